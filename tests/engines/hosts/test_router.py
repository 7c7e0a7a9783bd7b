"""One host for each task, as one: what goes where, what closes when, and speech translated by a second host."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engines.errors import AbilityError, RequestError
from engines.hosts import open_routes, router
from engines.hosts.router import Route, Router, parse_routes, read_routes, write_routes
from engines.protocol import (
    Ability,
    Cancel,
    CaptionRequest,
    Host,
    SearchRequest,
    TranscribeRequest,
    TranslateRequest,
    run,
)
from engines.settings import Settings
from tests.fake_host import FakeHost

SPEAKS = frozenset({Ability(TranscribeRequest, "en"), Ability(TranscribeRequest, "de")})


def test_a_command_line_names_hosts_for_all_tasks_or_for_one():
    assert parse_routes([]) == {"": "builtin"}
    assert parse_routes(["org/model"]) == {"": "org/model"}
    assert parse_routes(["builtin", "transcribe=openai/whisper-base", "ask=http://host:8000/v1#a=b"]) == {
        "": "builtin",
        "transcribe": "openai/whisper-base",
        "ask": "http://host:8000/v1#a=b",
    }
    assert parse_routes(["./folder=1"]) == {"": "./folder=1"}


def test_routes_are_kept_in_a_small_file_and_what_is_as_usual_as_a_name(tmp_path):
    file = tmp_path / "home" / "models.json"
    assert read_routes(file) == {}
    routes = {"": Route("builtin"), "ask": Route("组织/模型", "int8", 600.0)}
    write_routes(file, routes)
    assert read_routes(file) == routes and [f.name for f in file.parent.iterdir()] == ["models.json"]
    assert json.loads(file.read_text(encoding="utf-8")) == {
        "": "builtin",
        "ask": {"model": "组织/模型", "dtype": "int8", "idle_s": 600.0},
    }


def test_a_route_says_how_its_model_is_held_and_the_rest_is_as_usual():
    usual = Settings(device="cpu", dtype="bfloat16", idle_s=60.0)
    assert Route("a/b").settings(usual) == usual
    assert Route("a/b", "int8", 600.0).settings(usual) == Settings(device="cpu", dtype="int8", idle_s=600.0)
    with pytest.raises(RequestError, match=r"^dtype 'int3' is not known"):
        Route("a/b", "int3")


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        '{"ask": 3}',
        '{"ask": {"dtype": "int8"}}',
        '{"ask": {"model": 3}}',
        '{"ask": {"model": "a/b", "dtype": "int3"}}',
        '{"ask": {"model": "a/b", "idle_s": "long"}}',
    ],
)
def test_a_damaged_file_is_one_sentence(tmp_path, content):
    (tmp_path / "models.json").write_text(content, encoding="utf-8")
    with pytest.raises(RequestError, match=r"^models\.json is damaged; remove it"):
        read_routes(tmp_path / "models.json")


def test_an_unknown_task_is_refused_with_those_there_are(tmp_path):
    with pytest.raises(RequestError, match=r"^No task is called 'transcrib'; known are search, .*did you mean"):
        parse_routes(["transcrib=x"])
    (tmp_path / "models.json").write_text('{"sing": "x"}', encoding="utf-8")
    for refuse in (
        lambda: read_routes(tmp_path / "models.json"),
        lambda: Router({"": FakeHost()}).route("sing", FakeHost()),
    ):
        with pytest.raises(RequestError, match=r"^No task is called 'sing'; known are search, "):
            refuse()


def test_a_request_goes_to_the_host_of_its_task_and_the_rest_to_the_default():
    first, second = FakeHost(name="first"), FakeHost(name="second")
    router = Router({"": first, "caption": second})
    assert isinstance(router, Host)
    assert run(router, CaptionRequest(media=Path("x.jpg"))).host == "second"
    assert run(router, SearchRequest(query="dog", collection=Path("c"))).host == "first"
    assert router.serving(CaptionRequest) is second and router.serving(TranslateRequest) is first


def test_abilities_are_those_of_whoever_would_answer():
    speech = FakeHost(name="speech", abilities=SPEAKS)
    router = Router({"": FakeHost(), "transcribe": speech})
    assert not router.info.serves(TranscribeRequest, "zh") and router.info.serves(CaptionRequest, "zh")
    only = Router({"": speech})
    with pytest.raises(AbilityError, match=r"^speech does not caption; choose another model for it"):
        only.stream(CaptionRequest(media=Path("x.jpg")))


def test_a_host_is_closed_when_no_route_leads_to_it_any_more():
    first, second, third = FakeHost(name="1"), FakeHost(name="2"), FakeHost(name="3")
    router = Router({"": first, "ask": second, "caption": second})
    router.route("ask", third)
    assert not second.closed
    router.route("caption", None)
    assert second.closed and not first.closed and not third.closed
    router.route("", third)
    assert first.closed and router.hosts() == (third,)
    router.close()
    assert third.closed


def test_a_name_is_opened_once():
    opened: list[Route] = []

    def opener(route: Route) -> Any:
        opened.append(route)
        return FakeHost(source=route.model)

    router = Router({"": FakeHost()}, opener)
    host = router.open(Route("a/b", "int8"))
    router.route("ask", host)
    assert router.open(Route("a/b")) is host
    assert opened == [Route("a/b", "int8")]
    with pytest.raises(RequestError, match=r"^No other model can be opened here"):
        Router({"": FakeHost()}).open(Route("a/b"))


def test_what_is_kept_says_how_each_was_opened_and_holds_what_could_not_be_had():
    router = Router({"": FakeHost()}, lambda route: FakeHost(source=route.model))
    router.route("ask", router.open(Route("a/b", "int8", 60.0)))
    router.missing["caption"] = Route("down", "int4")
    assert router.kept == {
        "": Route("builtin"),
        "ask": Route("a/b", "int8", 60.0),
        "caption": Route("down", "int4"),
    }


def test_speech_is_translated_by_the_host_for_translation_where_the_one_that_hears_cannot(sound):
    speech, other = FakeHost(name="speech", abilities=SPEAKS), FakeHost(name="other")
    router = Router({"": other, "transcribe": speech})
    result: Any = run(router, TranscribeRequest(media=sound, language="en", translate_to="de"))
    assert result.host == "speech" and [s.translation for s in result.segments] == ["Guten Morgen."] * 2
    assert [r.text for r in other.requests] == [s.text for s in result.segments]
    assert result.request.translate_to == "de" and speech.requests[0].translate_to is None


def test_a_host_that_translates_speech_itself_is_left_to_it(sound):
    speech = FakeHost(name="speech", abilities=SPEAKS | {Ability(TranscribeRequest, "de-en")})
    other = FakeHost(name="other")
    router = Router({"": other, "transcribe": speech})
    run(router, TranscribeRequest(media=sound, language="de", translate_to="en"))
    assert speech.requests[0].translate_to == "en" and not other.requests


def test_a_stop_reaches_both_steps(sound):
    router = Router({"": FakeHost(), "transcribe": FakeHost(abilities=SPEAKS)})
    cancel = Cancel()
    ends = []
    for result in router.stream(TranscribeRequest(media=sound, language="en", translate_to="de"), cancel):
        cancel.set()
        ends.append(result.end)
    assert ends[-1] == "cancelled"


def test_what_was_opened_is_closed_when_a_later_one_cannot_be(monkeypatch):
    first = FakeHost()

    def opener(name: str, *_: Any, **__: Any) -> Any:
        if name == "bad":
            raise RequestError("test", "No host is called 'bad'.")
        return first

    monkeypatch.setattr("engines.hosts.open_host", opener)
    with pytest.raises(RequestError):
        open_routes({"": "good", "ask": "bad"})
    assert first.closed
    assert router.DEFAULT in open_routes({"": "good", "ask": "good"}).routes
