from dataclasses import replace

import pytest

from engines import Ability, Offer, RequestError, Route, Settings, TranslateRequest, read_routes
from studio.state import EVERYTHING
from studio.tabs.models import load
from tests.fake_host import FakeHost
from tests.studio.conftest import last

AS_USUAL = Settings(device="cpu")


# --- look ------------------------------------------------------------------------------------------------------------


def test_a_look_tells_what_a_name_would_bring_and_opens_nothing(owner, catalogue):
    frames = list(load.look_up(owner, "me", " a/whisper ", AS_USUAL))
    assert "is-busy" in frames[0][0]
    shown = frames[-1][0]
    for fact in ("whisper", "transformers checkpoint", "277 MiB", "1.0 M", "4 MiB", "CPU · float32", "Apache-2.0"):
        assert fact in shown
    assert shown.count("Transcribe") == 1 and "German" in shown and "mark-sound" in shown
    assert catalogue.hosts == []


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("b/unknown", "No host is called &#x27;b/unknown&#x27;."),
        (" ", "Type the name of a model, a folder or an address"),
    ],
)
def test_a_name_nothing_answers_to_is_one_sentence(owner, name, sentence):
    shown = last(load.look_up(owner, "me", name, AS_USUAL))
    assert "is-error" in shown
    assert sentence in shown


def test_of_a_model_that_is_not_here_yet_only_its_size_is_told():
    info = replace(FakeHost(source="a/big").info, abilities=frozenset(), n_parameters=0, memory_bytes=0, device="")
    shown = load.offer_view(Offer(info, 2**31))
    assert "2.0 GiB" in shown and "What it can do is known once it is loaded." in shown
    assert "mark-sound" not in shown and "Parameters" not in shown


def test_the_kinds_of_model_are_told_apart():
    info = FakeHost().info
    assert load.kind(info) == "builtin"
    assert load.kind(replace(info, source="a/whisper")) == "transformers"
    assert load.kind(replace(info, source="http://localhost:8000/v1", device="remote")) == "server"


def test_a_server_is_offered_without_what_only_it_knows():
    info = replace(FakeHost(source="http://localhost:8000/v1").info, device="remote", dtype="", n_parameters=0)
    shown = load.offer_view(Offer(replace(info, memory_bytes=0, licence="")))
    assert "on the server" in shown
    assert "Parameters" not in shown and "Licence" not in shown and " · <" not in shown


def test_pairs_of_languages_are_listed_unless_there_are_all():
    assert "between all four languages" in load.offer_view(Offer(FakeHost().info))
    one = FakeHost(abilities=frozenset({Ability(TranslateRequest, "en-de")})).info
    assert "en → de" in load.offer_view(Offer(one))


# --- load ------------------------------------------------------------------------------------------------------------


def test_a_model_that_is_loaded_answers_its_task_and_is_kept(owner, catalogue):
    frames = list(load.load(owner, "me", "a/whisper", "transcribe", AS_USUAL))
    assert all("is-busy" in shown for shown, goes_on in frames if goes_on)
    assert "Transcribe: served by whisper from now on." in frames[-1][0]
    assert owner.host.routes == {"": "builtin", "transcribe": "a/whisper"}
    assert read_routes(owner.collections.routes) == {"": Route("builtin"), "transcribe": Route("a/whisper")}


def test_a_model_loaded_for_a_task_it_does_not_do_says_so(owner):
    assert "Caption: whisper does not support this" in last(load.load(owner, "me", "a/whisper", "caption", AS_USUAL))


def test_a_failure_is_one_sentence_and_what_answered_before_goes_on(owner):
    before = owner.host.hosts()
    shown = last(load.load(owner, "me", "b/unknown", EVERYTHING, AS_USUAL))
    assert "is-error" in shown and "No host is called" in shown
    assert owner.host.hosts() == before
    assert not owner.collections.routes.exists()


def test_a_model_that_is_open_is_not_opened_again(owner, catalogue):
    for task in ("transcribe", "translate"):
        last(load.load(owner, "me", "a/whisper", task, AS_USUAL))
    assert len(catalogue.hosts) == 1


def test_a_model_opened_again_in_another_format_takes_all_its_tasks_along(owner, catalogue):
    last(load.load(owner, "me", "a/whisper", "transcribe", AS_USUAL))
    last(load.load(owner, "me", "a/whisper", "ask", replace(AS_USUAL, dtype="int8")))
    old, new = catalogue.hosts
    assert old.closed and not new.closed
    kept = Route("a/whisper", "int8")
    assert read_routes(owner.collections.routes) == {"": Route("builtin"), "transcribe": kept, "ask": kept}


def test_format_and_idle_time_are_kept_with_the_choice(owner):
    last(load.load(owner, "me", "a/chat", "ask", replace(AS_USUAL, dtype="int8", idle_s=300.0)))
    last(load.load(owner, "me", "a/whisper", "transcribe", AS_USUAL))
    assert read_routes(owner.collections.routes)["ask"] == Route("a/chat", "int8", 300.0)


def test_the_built_in_model_takes_a_task_back_and_memory_is_given_back(owner, catalogue):
    last(load.load(owner, "me", "a/whisper", "transcribe", AS_USUAL))
    shown = last(load.load(owner, "me", "builtin", "transcribe", AS_USUAL))
    assert "Transcribe: served by built from now on." in shown
    assert catalogue.hosts[0].closed
    assert read_routes(owner.collections.routes) == {"": Route("builtin")}


def test_the_built_in_model_comes_back_after_everything_went_elsewhere(owner, catalogue):
    last(load.load(owner, "me", "a/chat", EVERYTHING, AS_USUAL))
    assert owner.host.routes == {"": "a/chat"}
    last(load.load(owner, "me", "builtin", EVERYTHING, AS_USUAL))
    assert owner.host.routes == {"": "builtin"}
    assert catalogue.hosts[0].closed and not catalogue.hosts[1].closed


@pytest.mark.parametrize("act", ["look", "load"])
def test_a_visitor_is_refused(visitor, catalogue, act):
    if act == "look":
        shown = last(load.look_up(visitor, "me", "a/whisper", AS_USUAL))
    else:
        shown = last(load.load(visitor, "me", "a/whisper", EVERYTHING, AS_USUAL))
    assert "opened by the owner of this studio only" in shown
    assert "只有此工作室的主人" in shown
    assert catalogue.hosts == [] and visitor.host.routes == {"": "builtin"}


# --- how -------------------------------------------------------------------------------------------------------------


def test_the_options_become_settings(owner):
    settings = load.settings_of(owner, "cpu", "int8", 5, " secret ")
    assert (settings.device, settings.dtype, settings.idle_s, settings.api_key) == ("cpu", "int8", 300.0, "secret")
    assert "secret" not in repr(settings)


@pytest.mark.parametrize("untouched", [None, ""])
def test_options_that_were_never_opened_are_as_usual(owner, untouched):
    settings = load.settings_of(owner, "auto", "auto", None, untouched)
    assert settings == Settings()


def test_an_idle_time_below_nothing_is_refused(owner):
    with pytest.raises(RequestError, match="0 or more"):
        load.settings_of(owner, "auto", "auto", -1, "")


def test_the_key_of_a_server_is_nowhere_to_be_seen_afterwards(owner, catalogue):
    shown = "".join(page for page, _ in load.load(owner, "me", "a/chat", "ask", replace(AS_USUAL, api_key="secret")))
    assert catalogue.asked[0].api_key == "secret"
    assert "secret" not in shown
    assert "secret" not in owner.collections.routes.read_text(encoding="utf-8")


def test_a_folder_is_kept_by_its_whole_path(owner, tmp_path, monkeypatch):
    (tmp_path / "model").mkdir()
    monkeypatch.chdir(tmp_path)
    assert load.full_name(owner, ' "model" ') == str((tmp_path / "model").resolve())
    assert load.full_name(owner, "a/whisper") == "a/whisper"
