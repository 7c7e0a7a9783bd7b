"""The environment: made once, repaired when broken, one plain sentence where it cannot be made.

Nothing is installed and no network is asked: venv, pip and the driver only pretend.
"""

from __future__ import annotations

import errno
import importlib.util
import os
import shutil
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

from studio import bootstrap
from studio.bootstrap import SetupError

PROJECT = """\
[project]
dependencies = ["torch>=2.11", "torchaudio", "gradio>=6,<7"]
[project.optional-dependencies]
test = ["pytest-xdist>=3"]
"""
CONSTRAINTS = "# tested\ntorch==2.13.0\ntorchaudio==2.11.0\ngradio==6.31.0\npytest-xdist==3.8.0\n"
INSTALLED_BY = {".": ("torch==2.13.0+cpu", "torchaudio==2.11.0", "gradio==6.31.0"), ".[test]": ("pytest-xdist==3.8.0",)}


def put_package(folder: Path, name: str, version: str) -> None:
    """What an installed package leaves for importlib.metadata to find."""
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


class House:
    """A project folder in which venv and pip only pretend; `did` lists what they were asked for."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        self.did: list[str] = []
        self.free_bytes = 100e9
        self.cuda = 0
        self.pip: Callable[[str], None] = lambda what: None
        (root / "pyproject.toml").write_text(PROJECT)
        (root / "constraints.txt").write_text(CONSTRAINTS)
        monkeypatch.setattr(bootstrap, "ROOT", root)
        monkeypatch.setattr(bootstrap, "VENV", root / ".venv")
        monkeypatch.setattr(bootstrap, "CONSTRAINTS", root / "constraints.txt")
        monkeypatch.setattr(bootstrap, "make_venv", self._make_venv)
        monkeypatch.setattr(bootstrap, "install", self._install)
        monkeypatch.setattr(bootstrap, "repair_torchaudio", lambda: self.did.append("repair torchaudio"))
        monkeypatch.setattr(bootstrap, "compile_imports", lambda: None)
        monkeypatch.setattr(bootstrap, "install_torch", lambda cuda: self.did.append(f"torch, cuda {cuda}"))
        monkeypatch.setattr(bootstrap, "cuda_version", lambda: self.cuda)
        monkeypatch.setattr(bootstrap, "torchaudio_loads", lambda: False)  # this Python will not do
        monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=self.free_bytes))

    def _make_venv(self) -> None:
        self.did.append("make .venv")
        shutil.rmtree(bootstrap.VENV, ignore_errors=True)
        bootstrap.venv_python().parent.mkdir(parents=True)
        bootstrap.venv_python().touch()

    def _install(self, *arguments: str) -> None:
        part = "test" if arguments[-1] == ".[test]" else ""
        assert not bootstrap.stamp_file(part).exists(), "the stamp must be gone while anything is installed"
        self.did.append(f"pip {arguments[-1]}")
        self.pip(arguments[-1])
        for package in INSTALLED_BY[arguments[-1]]:
            put_package(bootstrap.site_packages(), *package.split("=="))

    def start(self, extra: str = "") -> list[str]:
        """What a start does to the bootstrap."""
        self.did.clear()
        assert bootstrap.python(extra) == str(bootstrap.venv_python())
        return list(self.did)


@pytest.fixture
def house(tmp_path, monkeypatch) -> House:
    return House(tmp_path, monkeypatch)


ALL = ["make .venv", "torch, cuda 0", "pip .", "repair torchaudio"]


# --- when something is done, and when nothing ---------------------------------------------------------------------


def test_the_first_start_makes_everything_and_the_next_does_nothing(house):
    assert house.start() == ALL
    assert house.start() == []


def test_the_tests_add_their_own_packages_once(house):
    house.start()
    assert house.start("test") == ["pip .[test]"]
    assert house.start("test") == []
    assert house.start() == []


@pytest.mark.parametrize(
    "failure", [KeyboardInterrupt(), SetupError("setup_no_network", "no network")], ids=["Ctrl-C", "failure"]
)
def test_an_interrupted_set_up_is_begun_anew(house, failure):
    def fail(what: str) -> None:
        raise failure

    house.pip = fail
    with pytest.raises(type(failure)):
        house.start()
    house.pip = lambda what: None
    assert house.start() == ALL


UPDATE = ["torch, cuda 0", "pip .", "repair torchaudio"]


@pytest.mark.parametrize(
    ("spoil", "done"),
    [
        *(
            (lambda content=content: bootstrap.stamp_file("").write_text(content), ALL)
            for content in ("", "{", "[]", "null", '{"python": "2.7"}')  # damaged, or of another Python
        ),
        (lambda: shutil.rmtree(bootstrap.site_packages() / "gradio-6.31.0.dist-info"), UPDATE),
        (lambda: bootstrap.CONSTRAINTS.write_text(CONSTRAINTS + "numpy==2.4.6\n"), UPDATE),
        (lambda: bootstrap.venv_python().unlink(), ALL),
        (bootstrap.invalidate, ALL),
    ],
)
def test_what_is_damaged_is_made_anew_and_what_is_missing_is_put_there(house, spoil, done):
    house.start()
    spoil()
    assert house.start() == done


def test_a_new_nvidia_driver_has_everything_made_anew_and_one_that_goes_changes_nothing(house):
    house.start()
    house.cuda = 13000
    assert house.start() == ["make .venv", "torch, cuda 13000", "pip .", "repair torchaudio"]
    house.cuda = 0
    assert house.start() == []


def test_packages_still_missing_after_all_are_named_and_the_set_up_does_not_count(house, monkeypatch):
    monkeypatch.setitem(INSTALLED_BY, ".", ("torch==2.13.0", "gradio==6.30.0"))
    with pytest.raises(SetupError, match="After the set-up torchaudio, gradio is still missing; start again"):
        house.start()
    assert not bootstrap.stamp_file("").exists()


def test_what_is_being_done_is_said(house, capsys):
    house.start()
    said = capsys.readouterr().err
    assert "Setting up Fusion Studio; this takes a minute or a few, once." in said and "Set up in 0 s;" in said
    house.start("test")
    assert "Adding what the tests need" in capsys.readouterr().err
    (house.root / "constraints.txt").write_text(CONSTRAINTS + "numpy==2.4.6\n")
    house.start()
    assert "Bringing the environment up to date" in capsys.readouterr().err


# --- a Python that has everything ---------------------------------------------------------------------------------


@pytest.fixture
def furnished(house, tmp_path, monkeypatch) -> Path:
    """A folder on this Python's path that has all packages of the project, tests included."""
    folder = tmp_path / "elsewhere"
    for packages in INSTALLED_BY.values():
        for package in packages:
            put_package(folder, *package.split("=="))
    monkeypatch.setattr(sys, "path", [str(folder)])
    monkeypatch.setattr(bootstrap, "torchaudio_loads", lambda: True)
    return folder


@pytest.mark.parametrize("extra", ["", "test"])
def test_a_python_that_has_everything_is_used_as_it_is(furnished, house, extra):
    assert bootstrap.python(extra) == sys.executable
    assert house.did == [] and not bootstrap.VENV.exists()


@pytest.mark.parametrize("differs", ["a version", "torchaudio"])
def test_a_python_with_another_version_or_a_torchaudio_that_does_not_load_gets_an_environment(
    furnished, house, monkeypatch, differs
):
    if differs == "torchaudio":
        monkeypatch.setattr(bootstrap, "torchaudio_loads", lambda: False)
    else:
        shutil.rmtree(furnished / "gradio-6.31.0.dist-info")
        put_package(furnished, "gradio", "6.30.0")
    assert house.start() == ALL


def test_torchaudio_loads_only_where_its_import_succeeds(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchaudio", SimpleNamespace())
    assert bootstrap.torchaudio_loads()
    monkeypatch.setitem(sys.modules, "torchaudio", None)
    assert not bootstrap.torchaudio_loads()


def test_the_environments_own_python_goes_on_in_itself(house, monkeypatch):
    house.start()
    monkeypatch.setattr(sys, "prefix", str(bootstrap.VENV))
    assert bootstrap.python() == sys.executable


def test_a_local_build_counts_as_its_version(tmp_path):
    put_package(tmp_path, "torch", "2.13.0+cpu")
    put_package(tmp_path, "gradio", "6.31.0")
    wanted = {"torch": "2.13.0", "gradio": "6.31.1", "numpy": "2.4.6"}
    assert bootstrap.missing(wanted, [str(tmp_path)]) == ["gradio", "numpy"]


# --- the project's own files --------------------------------------------------------------------------------------


def test_every_requirement_of_the_project_has_a_tested_version_that_it_allows():
    packaging = pytest.importorskip("packaging.requirements")
    project = tomllib.loads((bootstrap.ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for extra, wanted in {"": project["dependencies"], **project["optional-dependencies"]}.items():
        tested = bootstrap.pins(extra)
        for requirement in map(packaging.Requirement, wanted):
            assert requirement.specifier.contains(tested[requirement.name]), requirement


def test_no_constraint_asks_for_one_build_of_torch():
    assert "+" not in bootstrap.pins("")["torch"]


# --- what may be in the way ---------------------------------------------------------------------------------------


def test_too_little_disk_space_is_said_with_numbers_before_anything_is_touched(house):
    house.free_bytes = 1.2e9
    with pytest.raises(SetupError, match=r"about 2\.5 GB are needed and 1\.2 GB are free\. Make room") as error:
        house.start()
    assert "磁盘空间不足" in error.value.zh
    assert house.did == [] and not bootstrap.VENV.exists()


def test_a_cuda_build_needs_more_room(house):
    house.free_bytes, house.cuda = 5e9, 13000
    with pytest.raises(SetupError, match=r"about 9\.0 GB are needed"):
        house.start()


def test_an_update_needs_less_room_than_a_first_set_up(house):
    house.start()
    house.free_bytes = 1.2e9
    assert house.start("test") == ["pip .[test]"]


@pytest.mark.parametrize(
    ("code", "sentence"),
    [(errno.ENOSPC, "not enough disk space"), (errno.EACCES, r"\.venv cannot be written \(Permission denied\); close")],
)
def test_a_disk_that_is_full_or_closed_to_us_is_one_sentence(house, monkeypatch, code, sentence):
    def make_venv() -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(bootstrap, "make_venv", make_venv)
    with pytest.raises(SetupError, match=sentence) as error:
        house.start()
    assert error.value.zh


@pytest.mark.parametrize("lacks", ["ensurepip", "venv"])
def test_a_python_without_venv_is_told_what_to_install(monkeypatch, lacks):
    if lacks == "venv":
        monkeypatch.setitem(sys.modules, "venv", None)
    else:
        monkeypatch.setattr(importlib.util, "find_spec", lambda module: None)
    with pytest.raises(SetupError, match=r"lacks a working venv module\. On Debian and Ubuntu install") as error:
        bootstrap.make_venv()
    assert "python3-venv" in error.value.zh


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="only a person without all rights meets this")
def test_an_install_folder_that_is_closed_to_us_is_one_sentence(house):
    house.root.chmod(0o555)
    try:
        with pytest.raises(SetupError, match=r"\.venv cannot be written \(Permission denied\)"):
            house.start()
    finally:
        house.root.chmod(0o755)


def test_a_file_in_the_place_of_the_lock_is_one_sentence(house):
    (house.root / ".venv.lock").mkdir()  # whoever is root meets no closed folder, but this
    with pytest.raises(SetupError, match=r"\.venv cannot be written"):
        house.start()


def test_of_two_starts_at_once_one_makes_the_environment_and_the_other_waits(house, monkeypatch):
    began, waits, goes_on = threading.Event(), threading.Event(), threading.Event()

    def wait(what: str) -> None:
        began.set()
        assert goes_on.wait(120)

    house.pip = wait
    monkeypatch.setattr(bootstrap, "say", lambda text: "waiting for it" in text and waits.set())
    with ThreadPoolExecutor(2) as starts:
        first = starts.submit(bootstrap.python)
        assert began.wait(120)
        second = starts.submit(bootstrap.python)
        assert waits.wait(120) and not second.done()
        goes_on.set()
        assert first.result(120) == second.result(120) == str(bootstrap.venv_python())
    assert house.did == ALL


def test_a_start_that_died_in_its_set_up_keeps_nobody_waiting(house):
    program = f"""
import os, sys
sys.path.insert(0, {str(Path(__file__).resolve().parents[2])!r})
from pathlib import Path
from studio import bootstrap
bootstrap.VENV = Path({str(bootstrap.VENV)!r})
with bootstrap.one_at_a_time():
    os._exit(9)
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 9
    assert house.start() == ALL


@pytest.mark.parametrize("step_s", [-40 * 365 * 86400.0, 86400.0], ids=["back forty years", "on a day"])
def test_a_clock_that_jumps_during_a_set_up_changes_nothing(house, monkeypatch, step_s, capsys):
    real = time.time

    def jump(what: str) -> None:
        monkeypatch.setattr(time, "time", lambda: real() + step_s)

    house.pip = jump
    assert house.start() == ALL
    assert "Set up in 0 s" in capsys.readouterr().err
    assert house.start() == []
