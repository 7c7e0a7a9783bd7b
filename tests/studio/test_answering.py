import json
from dataclasses import replace

import pytest

from engines import TASKS, Ability, Route, Router, TranscribeRequest, UserError, read_routes
from studio import answering
from studio.desk import EVERYTHING, Desk
from tests.fake_host import FakeHost

WHISPER = frozenset({Ability(TranscribeRequest, "en")})


@pytest.fixture
def built() -> FakeHost:
    return FakeHost(name="built")


@pytest.fixture
def router(built: FakeHost) -> Router:
    return Router({EVERYTHING: built})


def test_a_task_goes_to_another_model_and_the_rest_stays(router: Router, built: FakeHost) -> None:
    other = FakeHost(source="a/whisper")
    answering.assign(router, "transcribe", other)
    assert router.routes == {"": "builtin", "transcribe": "a/whisper"}
    assert not built.closed


def test_back_to_the_default_closes_what_answers_nothing_any_more(router: Router, built: FakeHost) -> None:
    other = FakeHost(source="a/whisper")
    answering.assign(router, "transcribe", other)
    answering.assign(router, "transcribe", built)
    assert router.routes == {"": "builtin"}
    assert other.closed


def test_everything_goes_to_one_model_and_all_others_are_closed(router: Router, built: FakeHost) -> None:
    whisper, chat = FakeHost(source="a/whisper"), FakeHost(source="a/chat")
    answering.assign(router, "transcribe", whisper)
    answering.assign(router, EVERYTHING, chat)
    assert router.routes == {"": "a/chat"}
    assert built.closed and whisper.closed


def test_a_default_that_answers_nothing_any_more_is_closed(router: Router, built: FakeHost) -> None:
    chat, whisper = FakeHost(source="a/chat"), FakeHost(source="a/whisper")
    answering.assign(router, "transcribe", whisper)
    for task in TASKS:
        if task != "transcribe":
            answering.assign(router, task, chat)
    assert built.closed
    assert router.routes == {"": "a/chat", "transcribe": "a/whisper"}


def test_choices_are_kept_for_the_next_start(desk: Desk) -> None:
    answering.assign(desk.host, "caption", FakeHost(source="a/chat"))
    answering.keep(desk)
    assert read_routes(desk.library.routes) == {"": Route("builtin"), "caption": Route("a/chat")}
    assert json.loads(desk.library.routes.read_text(encoding="utf-8"))


def test_a_choice_that_could_not_be_had_outlives_the_next_one(desk: Desk) -> None:
    desk.host.missing["ask"] = Route("down", "int8")
    answering.assign(desk.host, "caption", FakeHost(source="a/chat"))
    answering.keep(desk)
    kept = {"": Route("builtin"), "caption": Route("a/chat"), "ask": Route("down", "int8")}
    assert read_routes(desk.library.routes) == kept


def test_who_stands_in_for_a_missing_default_keeps_the_task_it_was_given(desk: Desk) -> None:
    desk.host.missing[EVERYTHING] = Route("down")
    answering.assign(desk.host, "ask", desk.host.hosts()[0])
    assert desk.host.kept == {"": Route("down"), "ask": Route("builtin")}


@pytest.mark.parametrize("task", ["ask", EVERYTHING])
def test_a_choice_that_could_not_be_had_ends_with_another_for_its_task(desk: Desk, task: str) -> None:
    desk.host.missing["ask"] = Route("down")
    answering.assign(desk.host, task, desk.host.hosts()[0])
    assert desk.host.kept == {"": Route("builtin")}


def test_choices_that_cannot_be_kept_are_one_sentence(desk: Desk) -> None:
    desk.library.routes.mkdir(parents=True)
    with pytest.raises(UserError, match="not after the next start") as caught:
        answering.keep(desk)
    assert "下次启动" in caught.value.zh


def test_the_built_in_model_is_not_named_in_the_tabs(desk: Desk) -> None:
    assert answering.line(desk, "speech") == ""
    assert "Write down what is said" in answering.lead(desk, "speech")


def test_another_model_is_named_in_its_tab_in_both_languages(desk: Desk) -> None:
    answering.assign(desk.host, "transcribe", FakeHost(name="whi<sper", source="a/whisper", abilities=WHISPER))
    line = answering.line(desk, "speech")
    assert "Written down by whi&lt;sper." in line and "转写：whi&lt;sper" in line
    assert "Translated" not in line
    assert answering.line(desk, "caption") == ""


def test_a_tab_whose_model_cannot_do_it_says_so(desk: Desk) -> None:
    answering.assign(desk.host, EVERYTHING, FakeHost(name="whisper", source="a/whisper", abilities=WHISPER))
    assert "Caption: whisper does not do this; choose another model" in answering.line(desk, "caption")
    speech = answering.line(desk, "speech")
    assert "Written down by whisper." in speech
    assert "Translate: whisper does not do this" in speech and "翻译：whisper 不具备此功能" in speech


def test_sizes_read_like_those_of_files() -> None:
    info = FakeHost().info
    assert answering.size(291 * 2**20) == "291 MiB"
    assert answering.size(3 * 2**29) == "1.5 GiB"
    assert answering.parameters(replace(info, n_parameters=7_600_000_000)) == "7.6 B"
    assert answering.parameters(replace(info, n_parameters=0)) == "–"


def test_a_server_says_neither_device_nor_memory() -> None:
    place = answering.place(replace(FakeHost().info, device="remote", memory_bytes=0))
    assert "server" in place and "服务器" in place
    assert "MiB" not in place
