"""The door: what each way of starting does, and the sentence for each way it cannot."""

from __future__ import annotations

import argparse
import ast
import errno
import os
import runpy
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

import launch
from engines import Progress
from engines.errors import DeviceError
from studio import environment
from tests.fake_host import FakeHost

BUILT_IN = {
    "host": "127.0.0.1",
    "port": 7860,
    "device": "auto",
    "model": [],
    "share": False,
    "no_browser": False,
}


class Became(Exception):
    """Stands for exec, which does not come back."""


@pytest.fixture
def became(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands the launcher went on as."""
    commands: list[list[str]] = []

    def become(command: list[str]) -> None:
        commands.append(command)
        raise Became

    monkeypatch.setattr(launch, "become", become)
    monkeypatch.chdir(Path.cwd())  # `test` moves to the project's folder
    names = ("OMP_NUM_THREADS", "HF_HUB_OFFLINE", "FUSION_STUDIO_OFFLINE", "GRADIO_ANALYTICS_ENABLED")
    for name in (*names, launch.TRIED_REPAIR):
        monkeypatch.setenv(name, "before")  # so that what the launcher sets is undone
        monkeypatch.delenv(name)
    return commands


@pytest.fixture
def whole(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """An environment that stands: this Python. Holds the extras it was asked for."""
    asked: list[str] = []

    def python(extra: str = "") -> str:
        asked.append(extra)
        return sys.executable

    monkeypatch.setattr(environment, "python", python)
    return asked


@pytest.fixture
def busy_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


# --- options ------------------------------------------------------------------------------------------------------


def test_without_flags_the_built_in_model_is_served_to_this_machine_only() -> None:
    assert vars(launch.parse([])) == BUILT_IN


def test_every_flag_reaches_its_option() -> None:
    flags = "--host 0.0.0.0 --port 80 --device cuda:1 --model mine --model ask=yours --share --no-browser"
    assert vars(launch.parse(flags.split())) == {
        "host": "0.0.0.0", "port": 80, "device": "cuda:1", "model": ["mine", "ask=yours"], "share": True,
        "no_browser": True,
    }  # fmt: skip


@pytest.mark.parametrize("port", ["0", "65536", "-1", "http", "7860.0"])
def test_a_number_that_is_no_port_is_refused_with_the_range(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        launch.parse([f"--port={port}"])
    assert f"{port} is not a port; choose 1 to 65535" in capsys.readouterr().err


def test_the_help_tells_what_a_first_start_does_and_how_to_test(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        launch.main(["--help"])
    said = capsys.readouterr().out
    assert end.value.code == 0
    for promise in (".venv", "network", "python launch.py test", "--share", "default: 7860", "password"):
        assert promise in said


def test_there_are_at_most_twelve_flags() -> None:
    assert len(BUILT_IN) <= 12


# --- Python -------------------------------------------------------------------------------------------------------


def test_a_python_that_is_too_old_is_told_which_one_is_needed() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "version_info", (3, 8, 18))
        with pytest.raises(SystemExit) as end:
            launch.require_python()
    assert "This is Python 3.8; Fusion Studio needs Python 3.11 or newer" in str(end.value)
    assert "需要 Python 3.11" in str(end.value)


def test_the_python_that_is_needed_is_the_one_the_project_declares() -> None:
    assert 'requires-python = ">={}.{}"'.format(*launch.OLDEST_PYTHON) in (launch.ROOT / "pyproject.toml").read_text()


def test_python_3_7_can_read_the_launcher_far_enough_to_say_so() -> None:
    ast.parse(Path(launch.__file__).read_text(encoding="utf-8"), feature_version=(3, 7))


@pytest.mark.parametrize("module", [launch, environment])
def test_only_the_standard_library_is_imported_before_the_environment_stands(module: ModuleType) -> None:
    tree = ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))
    imported = {
        name.split(".")[0]
        for node in tree.body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names])
    }
    assert imported <= sys.stdlib_module_names


# --- from start to page -------------------------------------------------------------------------------------------


def test_when_the_environment_is_another_pythons_the_launcher_goes_on_there_with_the_same_arguments(
    became: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment, "python", lambda extra="": "/elsewhere/python")
    with pytest.raises(Became):
        launch.main(["--port", "7999"])
    assert became == [["/elsewhere/python", launch.__file__, "--port", "7999"]]


def test_when_the_environment_cannot_be_made_the_reason_is_said_in_both_languages(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def python(extra: str = "") -> str:
        raise environment.SetupError("No room.", "没有空间。")

    monkeypatch.setattr(environment, "python", python)
    with pytest.raises(SystemExit, match=r"^No room\.\n没有空间。$"):
        launch.main([])


def serve_with(monkeypatch: pytest.MonkeyPatch, serve: Any, open_host: Any, home: Path | None = None) -> None:
    """Put a page and hosts of the test's own behind the launcher. home: where the page kept its choices."""
    import engines.hosts

    page = ModuleType("studio.app")
    page.serve = serve  # type: ignore[attr-defined]
    page.HOME = home if home is not None else Path("nowhere")  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "studio.app", page)
    monkeypatch.setattr(engines.hosts, "open_host", open_host)


def test_the_page_is_served_with_what_was_asked_for(
    became: list[list[str]], whole: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    served: list[Any] = []
    serve_with(
        monkeypatch,
        serve=lambda host, **options: served.append((host, options, dict(os.environ))),
        open_host=lambda name, settings, tell: FakeHost(name=settings.device, source=name),
    )
    monkeypatch.setattr(launch, "free_port", lambda host, port: port + 1)
    launch.main(["--host=0.0.0.0", "--port=8000", "--device=cpu", "--model=mine", "--share", "--no-browser"])
    [(host, options, variables)] = served
    assert host.routes == {"": "mine"}
    assert host.info.name == "cpu"
    assert options.pop("settings").device == "cpu"
    assert options == {"bind": "0.0.0.0", "port": 8001, "share": True, "open_browser": False}
    assert variables["GRADIO_ANALYTICS_ENABLED"] == "False" and variables["HF_HUB_OFFLINE"] == "1"


def test_a_device_that_is_absent_is_said_in_both_languages(
    became: list[list[str]], whole: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def open_host(name: str, settings: object, tell: object) -> None:
        raise DeviceError("test", "There is no cuda here.")

    serve_with(monkeypatch, serve=None, open_host=open_host)
    with pytest.raises(SystemExit, match=r"^There is no cuda here\.\n这里没有 cuda。$"):
        launch.main(["--device", "cuda"])


def test_a_model_on_its_way_is_one_line_in_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    launch.say_progress("a/whisper", Progress("fetching", 1e6, 2e6, "bytes"))
    launch.say_progress("a/whisper", Progress("fetching", 2e6, 2e6, "bytes"))
    said = capsys.readouterr().out
    assert said.count("\n") == 1
    assert said.endswith("a/whisper: fetching 2 of 2 MB\n")


def test_nothing_is_written_over_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    launch.say_progress("a/whisper", Progress("fetching", 1e6, 2e6, "bytes"))
    assert capsys.readouterr().out == ""


def test_ctrl_c_ends_quietly(monkeypatch: pytest.MonkeyPatch) -> None:
    def python(extra: str = "") -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(environment, "python", python)
    monkeypatch.setattr(sys, "argv", ["launch.py"])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(launch.__file__, run_name="__main__")
    assert end.value.code == 130


# --- mending ------------------------------------------------------------------------------------------------------


@pytest.fixture
def condemned(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Says that this Python is the one in .venv; holds a True for each time it was condemned."""
    times: list[bool] = []
    monkeypatch.setattr(environment, "is_ours", lambda: True)
    monkeypatch.setattr(environment, "condemn", lambda: times.append(True))
    return times


def start_with_import_error(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def open_page(options: argparse.Namespace, port: int) -> None:
        raise ImportError("cannot import", name=name)

    monkeypatch.setattr(launch, "open_page", open_page)
    monkeypatch.setattr(launch, "free_port", lambda host, port: port)
    launch.serve(launch.parse([]), ["--port", "7999"])


def test_a_damaged_package_has_the_environment_made_anew(
    became: list[list[str]], condemned: list[bool], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(Became):
        start_with_import_error("gradio.blocks", monkeypatch)
    assert condemned == [True]
    assert became[0][1:] == [launch.__file__, "--port", "7999"]
    assert "The package gradio in .venv is damaged" in capsys.readouterr().out


def test_a_damaged_package_is_not_mended_twice(
    became: list[list[str]], condemned: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(launch.TRIED_REPAIR, "1")
    with pytest.raises(ImportError):
        start_with_import_error("gradio", monkeypatch)
    assert not condemned


@pytest.mark.parametrize("name", ["engines.hosts", "studio.app"])
def test_a_fault_of_our_own_is_not_taken_for_a_damaged_package(
    name: str, became: list[list[str]], condemned: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ImportError):
        start_with_import_error(name, monkeypatch)
    assert not condemned


def test_somebody_elses_environment_is_never_made_anew(
    became: list[list[str]], condemned: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment, "is_ours", lambda: False)
    with pytest.raises(ImportError):
        start_with_import_error("gradio", monkeypatch)
    assert not condemned


# --- the tests ----------------------------------------------------------------------------------------------------


def test_the_tests_run_on_two_workers_with_one_thread_each(became: list[list[str]], whole: list[str]) -> None:
    with pytest.raises(Became):
        launch.main(["test", "-k", "search", "-x", "--color=yes"])
    assert whole == ["test"]
    assert became == [
        [sys.executable, "-m", "pytest", "-n", "2", "--dist", "loadfile", "-k", "search", "-x", "--color=yes"]
    ]
    assert os.environ["OMP_NUM_THREADS"] == "1"
    assert Path.cwd() == launch.ROOT


@pytest.mark.parametrize("steering", ["-n0", "-n=4", "--numprocesses=1", "--pdb", "-s", "--co", "--version", "--help"])
def test_arguments_that_steer_the_run_are_left_alone(steering: str, became: list[list[str]], whole: list[str]) -> None:
    with pytest.raises(Became):
        launch.main(["test", steering])
    assert became == [[sys.executable, "-m", "pytest", steering]]


@pytest.mark.skipif(os.name == "nt", reason="exec is not used on Windows")
def test_going_on_as_another_program_replaces_this_one(monkeypatch: pytest.MonkeyPatch) -> None:
    executed: list[tuple[str, list[str]]] = []
    monkeypatch.setattr(os, "execv", lambda path, command: executed.append((path, command)))
    launch.become(["python", "x.py"])
    assert executed == [("python", ["python", "x.py"])]


def test_on_windows_the_other_program_is_waited_for_and_its_exit_code_passed_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(launch, "os", SimpleNamespace(name="nt"))
    with pytest.raises(SystemExit) as end:
        launch.become([sys.executable, "-c", "raise SystemExit(7)"])
    assert end.value.code == 7


# --- the port -----------------------------------------------------------------------------------------------------


def test_a_port_in_use_is_passed_over_for_the_next_and_this_is_said(
    busy_port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    taken = launch.free_port("127.0.0.1", busy_port)
    assert taken > busy_port
    assert f"Port {busy_port} is in use; taking {taken}." in capsys.readouterr().out


def test_a_free_port_is_taken_without_a_word(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert launch.free_port("127.0.0.1", port) == port
    assert capsys.readouterr().out == ""


def refuse_to_bind(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    class Socket:
        def __init__(self, family: int) -> None: ...
        def __enter__(self) -> Socket:
            return self

        def __exit__(self, *_: object) -> None: ...
        def setsockopt(self, *_: object) -> None: ...
        def bind(self, address: object) -> None:
            raise OSError(code, os.strerror(code))

    monkeypatch.setattr(socket, "socket", Socket)


@pytest.mark.parametrize(
    ("code", "port", "sentence"),
    [
        (errno.EACCES, 80, "Port 80 is reserved by this system; choose one above 1023"),
        (errno.EADDRNOTAVAIL, 7860, "This machine has no address 1.2.3.4; start without --host"),
        (errno.EADDRINUSE, 7860, "No port from 7860 on is free"),
        (errno.EACCES, 7860, "No port from 7860 on is free"),
        (errno.EADDRINUSE, 65530, "No port from 65530 on is free"),
    ],
)
def test_a_port_that_cannot_be_had_is_one_sentence(
    code: int, port: int, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_to_bind(monkeypatch, code)
    with pytest.raises(SystemExit, match=sentence):
        launch.free_port("1.2.3.4", port)


def test_a_name_that_is_no_address_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_to_bind(monkeypatch, socket.EAI_NONAME)
    with pytest.raises(SystemExit, match="This machine has no address nowhere"):
        launch.free_port("nowhere", 7860)
