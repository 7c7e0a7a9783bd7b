"""launch.py: what each way of starting does, and how a damaged environment is repaired."""

from __future__ import annotations

import ast
import os
import runpy
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import launch
import studio.__main__
from studio import bootstrap, cli


class Became(Exception):
    """Stands for exec, which does not come back."""


@pytest.fixture
def became(monkeypatch) -> list[list[str]]:
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
def whole(monkeypatch) -> list[str]:
    """An environment that stands: this Python. Holds the extras it was asked for."""
    asked: list[str] = []

    def python(extra: str = "") -> str:
        asked.append(extra)
        return sys.executable

    monkeypatch.setattr(bootstrap, "python", python)
    return asked


# --- Python -------------------------------------------------------------------------------------------------------


def test_a_python_that_is_too_old_is_told_which_one_is_needed():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "version_info", (3, 8, 18))
        with pytest.raises(SystemExit) as end:
            launch.require_python()
    assert "This is Python 3.8; Fusion Studio needs Python 3.11 or newer" in str(end.value)
    assert "需要 Python 3.11" in str(end.value)


def test_the_python_that_is_needed_is_the_one_the_project_declares():
    assert 'requires-python = ">={}.{}"'.format(*launch.OLDEST_PYTHON) in (launch.ROOT / "pyproject.toml").read_text()


def test_python_3_7_can_read_the_launcher_far_enough_to_say_so():
    ast.parse(Path(launch.__file__).read_text(encoding="utf-8"), feature_version=(3, 7))


@pytest.mark.parametrize("module", [launch, bootstrap, cli])
def test_only_the_standard_library_is_imported_before_the_environment_stands(module):
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
    became, monkeypatch
):
    monkeypatch.setattr(bootstrap, "python", lambda extra="": "/elsewhere/python")
    with pytest.raises(Became):
        launch.main(["--port", "7999"])
    assert became == [["/elsewhere/python", launch.__file__, "--port", "7999"]]


def test_when_the_environment_cannot_be_made_the_reason_is_said_in_both_languages(monkeypatch):
    def python(extra: str = "") -> str:
        raise bootstrap.SetupError("setup_no_space", "No room.")

    monkeypatch.setattr(bootstrap, "python", python)
    with pytest.raises(SystemExit, match=r"^No room\.\n磁盘空间不足.*$"):
        launch.main([])


def test_ctrl_c_ends_quietly(monkeypatch):
    def python(extra: str = "") -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(bootstrap, "python", python)
    monkeypatch.setattr(sys, "argv", ["launch.py"])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(launch.__file__, run_name="__main__")
    assert end.value.code == 130


@pytest.mark.parametrize("options", [["--help"], ["serve", "--help"], ["--port=0"], ["--no-such-option"]])
def test_help_and_wrong_options_need_no_environment(options, monkeypatch):
    monkeypatch.setattr(bootstrap, "python", lambda extra="": pytest.fail("nothing is set up for this"))
    with pytest.raises(SystemExit):
        launch.main(options)


def test_every_command_of_fusion_studio_runs_in_the_environment_and_its_exit_code_is_passed_on(whole, monkeypatch):
    asked: list[list[str]] = []
    monkeypatch.setattr("engines.cli.main", lambda argv: asked.append(argv) or 3)
    with pytest.raises(SystemExit) as end:
        launch.main(["caption", "a.jpg", "--language", "de"])
    assert asked == [["caption", "a.jpg", "--language", "de"]]
    assert end.value.code == 3
    assert whole == [""]


# --- repair -------------------------------------------------------------------------------------------------------


@pytest.fixture
def invalidated(monkeypatch) -> list[bool]:
    """Says that this Python is the one in .venv; holds a True for each time it was invalidated."""
    times: list[bool] = []
    monkeypatch.setattr(bootstrap, "in_own_venv", lambda: True)
    monkeypatch.setattr(bootstrap, "invalidate", lambda: times.append(True))
    return times


def start_with_import_error(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def main(argv: list[str], program: str) -> int:
        raise ImportError("cannot import", name=name)

    monkeypatch.setattr(studio.__main__, "main", main)
    launch.run(["--port", "7999"])


def test_a_damaged_package_has_the_environment_made_anew(became, invalidated, monkeypatch, capsys):
    with pytest.raises(Became):
        start_with_import_error("gradio.blocks", monkeypatch)
    assert invalidated == [True]
    assert became[0][1:] == [launch.__file__, "--port", "7999"]
    assert "The package gradio in .venv is damaged" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "tried", "is_own"),
    [
        ("gradio", "1", True),  # not repaired twice
        ("engines.hosts", "", True),  # a fault of our own
        ("studio.app", "", True),
        ("gradio", "", False),  # somebody else's environment
    ],
)
def test_only_a_damaged_package_of_our_own_environment_is_repaired_and_that_once(
    name, tried, is_own, became, invalidated, monkeypatch
):
    if tried:
        monkeypatch.setenv(launch.TRIED_REPAIR, tried)
    monkeypatch.setattr(bootstrap, "in_own_venv", lambda: is_own)
    with pytest.raises(ImportError):
        start_with_import_error(name, monkeypatch)
    assert not invalidated


# --- the tests ----------------------------------------------------------------------------------------------------


def test_the_tests_run_on_two_workers_with_one_thread_each(became, whole):
    with pytest.raises(Became):
        launch.main(["test", "-k", "search", "-x", "--color=yes"])
    assert whole == ["test"]
    assert became == [
        [sys.executable, "-m", "pytest", "-n", "2", "--dist", "loadfile", "-k", "search", "-x", "--color=yes"]
    ]
    assert os.environ["OMP_NUM_THREADS"] == "1"
    assert Path.cwd() == launch.ROOT


@pytest.mark.parametrize("steering", ["-n0", "-n=4", "--numprocesses=1", "--pdb", "-s", "--co", "--version", "--help"])
def test_arguments_that_steer_the_run_are_left_alone(steering, became, whole):
    with pytest.raises(Became):
        launch.main(["test", steering])
    assert became == [[sys.executable, "-m", "pytest", steering]]


@pytest.mark.skipif(os.name == "nt", reason="exec is not used on Windows")
def test_going_on_as_another_program_replaces_this_one(monkeypatch):
    executed: list[tuple[str, list[str]]] = []
    monkeypatch.setattr(os, "execv", lambda path, command: executed.append((path, command)))
    launch.become(["python", "x.py"])
    assert executed == [("python", ["python", "x.py"])]


def test_on_windows_the_other_program_is_waited_for_and_its_exit_code_passed_on(monkeypatch):
    monkeypatch.setattr(launch, "os", SimpleNamespace(name="nt"))
    with pytest.raises(SystemExit) as end:
        launch.become([sys.executable, "-c", "raise SystemExit(7)"])
    assert end.value.code == 7
