"""One button installs what reads words in pictures; how that ends is said in one sentence."""

from __future__ import annotations

import sys
import threading

import pytest

from engines import Cancel, Cancelled, RequestError
from engines.media import ocr
from studio import bootstrap
from studio.tabs.models import ocr as form


@pytest.fixture
def pip(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that were run; none is: the packages are there afterwards."""
    commands: list[list[str]] = []

    def run(command: list[str], **_: object) -> tuple[bool, list[str]]:
        commands.append(command)
        monkeypatch.setattr(ocr, "is_installed", lambda: True)
        return False, []

    monkeypatch.setattr(ocr, "is_installed", lambda: False)
    monkeypatch.setattr(bootstrap, "run_installer", run)
    return commands


def test_the_tested_packages_are_installed_into_the_running_environment(pip):
    form.install_packages(Cancel())
    (command,) = pip
    assert command[:4] == [sys.executable, "-m", "pip", "install"]
    assert set(ocr.PACKAGES) <= set(command) and str(bootstrap.CONSTRAINTS) in command


@pytest.mark.parametrize(
    ("said", "key"),
    [
        ("ERROR: [Errno 28] No space left on device", "extra_no_space"),
        ("Failed to establish a new connection", "extra_no_network"),
        ("ERROR: no matching distribution", "extra_failed"),
    ],
)
def test_a_failure_is_one_sentence(monkeypatch, said, key):
    monkeypatch.setattr(bootstrap, "run_installer", lambda command, **_: (True, [said]))
    with pytest.raises(RequestError) as failed:
        form.install_packages(Cancel())
    assert failed.value.message.key == f"error.{key}" and failed.value.zh != failed.value.en


def test_a_stop_ends_the_installer(monkeypatch):
    def run(command: list[str], *, hear: object) -> tuple[bool, list[str]]:
        assert callable(hear)
        hear("Collecting rapidocr")
        return False, []

    monkeypatch.setattr(bootstrap, "run_installer", run)
    cancel = Cancel()
    cancel.set()
    with pytest.raises(Cancelled):
        form.install_packages(cancel)


def test_the_page_says_that_they_are_read_once_installed(owner, pip):
    assert "120 MB" in form.view()
    *_, (shown, is_running) = form.install(owner, "me")
    assert "Photos and clips are read" in shown and not is_running and len(pip) == 1


def test_a_visitor_installs_nothing(visitor, pip):
    *_, (shown, _) = form.install(visitor, "me")
    assert "is-error" in shown and not pip


def test_a_failed_installation_leaves_the_page_as_it_was(owner, monkeypatch):
    monkeypatch.setattr(ocr, "is_installed", lambda: False)
    monkeypatch.setattr(bootstrap, "run_installer", lambda command, **_: (True, ["getaddrinfo failed"]))
    *_, (shown, _) = form.install(owner, "me")
    assert "no package index answers" in shown and "is-error" in shown


def test_a_run_of_the_installer_can_be_heard_and_stopped():
    heard: list[str] = []
    failed, said = bootstrap.run_installer([sys.executable, "-c", "print('one'); print('two')"], hear=heard.append)
    assert not failed and heard == said == ["one", "two"]
    ended = threading.Event()

    def stop(_line: str) -> None:
        ended.set()
        raise Cancelled

    with pytest.raises(Cancelled):
        bootstrap.run_installer([sys.executable, "-c", "print(1, flush=True); import time; time.sleep(60)"], hear=stop)
    assert ended.is_set()
