from dataclasses import replace

import pytest

from engines import TASKS, Ability, Route, Router, TranscribeRequest, UserError, read_routes
from studio import model_routing
from studio.state import EVERYTHING
from tests.fake_host import FakeHost

WHISPER = frozenset({Ability(TranscribeRequest, "en")})


@pytest.fixture
def built() -> FakeHost:
    return FakeHost(name="built")


@pytest.fixture
def router(built) -> Router:
    return Router({EVERYTHING: built})


def test_a_task_goes_to_another_model_and_the_rest_stays(router, built):
    other = FakeHost(source="a/whisper")
    model_routing.assign(router, "transcribe", other)
    assert router.routes == {"": "builtin", "transcribe": "a/whisper"}
    assert not built.closed


def test_back_to_the_default_closes_what_answers_nothing_any_more(router, built):
    other = FakeHost(source="a/whisper")
    model_routing.assign(router, "transcribe", other)
    model_routing.assign(router, "transcribe", built)
    assert router.routes == {"": "builtin"}
    assert other.closed


def test_everything_goes_to_one_model_and_all_others_are_closed(router, built):
    whisper, chat = FakeHost(source="a/whisper"), FakeHost(source="a/chat")
    model_routing.assign(router, "transcribe", whisper)
    model_routing.assign(router, EVERYTHING, chat)
    assert router.routes == {"": "a/chat"}
    assert built.closed and whisper.closed


def test_a_default_that_answers_nothing_any_more_is_closed(router, built):
    chat, whisper = FakeHost(source="a/chat"), FakeHost(source="a/whisper")
    model_routing.assign(router, "transcribe", whisper)
    for task in TASKS:
        if task != "transcribe":
            model_routing.assign(router, task, chat)
    assert built.closed
    assert router.routes == {"": "a/chat", "transcribe": "a/whisper"}


def test_a_choice_that_could_not_be_had_outlives_the_next_one(state):
    state.host.missing["ask"] = Route("down", "int8")
    model_routing.assign(state.host, "caption", FakeHost(source="a/chat"))
    model_routing.save(state)
    kept = {"": Route("builtin"), "caption": Route("a/chat"), "ask": Route("down", "int8")}
    assert read_routes(state.collections.routes) == kept


def test_who_stands_in_for_a_missing_default_keeps_the_task_it_was_given(state):
    state.host.missing[EVERYTHING] = Route("down")
    model_routing.assign(state.host, "ask", state.host.hosts()[0])
    assert state.host.kept == {"": Route("down"), "ask": Route("builtin")}


@pytest.mark.parametrize("task", ["ask", EVERYTHING])
def test_a_choice_that_could_not_be_had_ends_with_another_for_its_task(state, task):
    state.host.missing["ask"] = Route("down")
    model_routing.assign(state.host, task, state.host.hosts()[0])
    assert state.host.kept == {"": Route("builtin")}


def test_choices_that_cannot_be_kept_are_one_sentence(state):
    state.collections.routes.mkdir(parents=True)
    with pytest.raises(UserError, match="not after the next start") as caught:
        model_routing.save(state)
    assert "下次启动" in caught.value.zh


def test_the_built_in_model_is_not_named_in_the_tabs(state):
    assert model_routing.models_of(state, "speech") == ""
    assert "Transcribe speech of any length" in model_routing.subtitle(state, "speech")


def test_another_model_is_named_in_its_tab_in_both_languages(state):
    model_routing.assign(state.host, "transcribe", FakeHost(name="whi<sper", source="a/whisper", abilities=WHISPER))
    line = model_routing.models_of(state, "speech")
    assert "Transcribed by whi&lt;sper." in line and "转写：whi&lt;sper" in line
    assert "Translated" not in line
    assert model_routing.models_of(state, "caption") == ""


def test_a_tab_whose_model_cannot_do_it_says_so(state):
    model_routing.assign(state.host, EVERYTHING, FakeHost(name="whisper", source="a/whisper", abilities=WHISPER))
    assert "Caption: whisper does not support this; choose another model" in model_routing.models_of(state, "caption")
    speech = model_routing.models_of(state, "speech")
    assert "Transcribed by whisper." in speech
    assert "Translate: whisper does not support this" in speech and "翻译：whisper 不具备此功能" in speech


def test_sizes_read_like_those_of_files():
    info = FakeHost().info
    assert model_routing.size(291 * 2**20) == "291 MiB"
    assert model_routing.size(3 * 2**29) == "1.5 GiB"
    assert model_routing.parameters(replace(info, n_parameters=7_600_000_000)) == "7.6 B"
    assert model_routing.parameters(replace(info, n_parameters=0)) == "–"


def test_a_server_says_neither_device_nor_memory():
    place = model_routing.place(replace(FakeHost().info, device="remote", memory_bytes=0))
    assert "server" in place and "服务器" in place
    assert "MiB" not in place
