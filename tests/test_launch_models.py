"""Which models answer after a start: of the command line, chosen on the page before, or the built-in one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import launch
from engines import Route, Settings, write_routes
from engines.errors import RequestError
from tests.fake_host import FakeHost
from tests.test_launch import serve_with


@pytest.fixture
def models(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Any]:
    """Holds the host that was served. Every name opens but "down", and the page kept its choices in `tmp_path`."""
    served: list[Any] = []

    def open_host(name: str, settings: object, tell: object) -> FakeHost:
        if name == "down":
            raise RequestError("test", "The server does not answer.")
        host = FakeHost(source=name)
        host.settings = settings  # type: ignore[attr-defined]
        return host

    serve_with(monkeypatch, lambda host, **_: served.append(host), open_host, tmp_path)
    monkeypatch.setattr(launch, "free_port", lambda host, port: port)
    return served


def start_with(*arguments: str) -> None:
    launch.serve(launch.parse(list(arguments)), list(arguments))


def test_each_task_may_have_a_model_of_its_own(models: list[Any]) -> None:
    start_with("--model", "builtin", "--model", "transcribe=a/whisper")
    assert models[0].routes == {"": "builtin", "transcribe": "a/whisper"}


def test_a_task_that_is_unknown_is_said(models: list[Any]) -> None:
    with pytest.raises(SystemExit, match=r"No task is called 'transcibe'.*did you mean transcribe"):
        start_with("--model", "transcibe=a/whisper")


def test_what_was_chosen_on_the_page_answers_again(models: list[Any], tmp_path: Path) -> None:
    write_routes(tmp_path / "models.json", {"": Route("big"), "caption": Route("big"), "search": Route("builtin")})
    start_with()
    (router,) = models
    assert router.routes == {"": "big", "caption": "big", "search": "builtin"}
    assert len(router.hosts()) == 2
    assert not any(host.closed for host in router.hosts())


def test_what_the_command_line_says_counts_before_what_the_page_kept(models: list[Any], tmp_path: Path) -> None:
    write_routes(tmp_path / "models.json", {"ask": Route("down")})
    start_with("--model", "builtin")
    assert models[0].routes == {"": "builtin"}


@pytest.mark.parametrize("task", ["ask", ""])
def test_a_kept_model_that_cannot_be_had_now_does_not_stop_the_start(
    models: list[Any], tmp_path: Path, task: str, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = {task: Route("down", "int8"), "translate": Route("down", "int8"), "caption": Route("a/picture")}
    write_routes(tmp_path / "models.json", kept)
    start_with()
    (router,) = models
    assert {router.routes[""], router.routes.get(task)} == {"builtin"}
    assert router.routes["caption"] == "a/picture"
    assert not any(host.closed for host in router.hosts())
    said = capsys.readouterr().out
    assert said.count("down is left out this time, the built-in model answers for it: The server does not answer.") == 1
    assert "这次没有 down，由内置模型代替：服务器没有响应。" in said
    assert router.kept == {"": Route("builtin"), **kept}, "the next start tries again"


def test_a_kept_model_is_opened_in_the_format_it_was_chosen_in(models: list[Any], tmp_path: Path) -> None:
    kept = {"": Route("builtin", "bfloat16"), "ask": Route("a/chat", "int8", 600.0), "caption": Route("a/picture")}
    write_routes(tmp_path / "models.json", kept)
    start_with("--device", "cpu")
    (router,) = models
    how = {host.info.source: host.settings for host in router.hosts()}
    assert how["a/chat"] == Settings(device="cpu", dtype="int8", idle_s=600.0)
    assert how["a/picture"] == Settings(device="cpu")
    assert how["builtin"].dtype == "bfloat16"
    assert router.kept == kept


def test_choices_that_are_damaged_are_one_sentence_and_the_start_goes_on(
    models: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "models.json").write_text("{")
    start_with()
    assert models[0].routes == {"": "builtin"}
    assert "models.json is damaged" in capsys.readouterr().out
