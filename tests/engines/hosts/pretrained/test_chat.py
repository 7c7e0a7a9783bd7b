"""Models that are talked to: what they take is what they have towers for, and every tab runs through them."""

from __future__ import annotations

import pytest

from engines.errors import AbilityError
from engines.hosts.pretrained import chat, checkpoint, generation
from engines.protocol import (
    AskRequest,
    CaptionRequest,
    TranscribeRequest,
    TranslateRequest,
    run,
)


def test_modalities_are_those_there_are_towers_for(built):
    assert chat.takes(checkpoint.read(built("omni"), "x")) == {"picture", "sound"}
    assert chat.takes(checkpoint.read(built("language_model"), "x")) == frozenset()


def test_an_omni_model_serves_every_tab_but_search(opened, photo, sound, clip):
    host = opened("omni")
    for request in (
        CaptionRequest(media=photo),
        CaptionRequest(media=clip, language="zh"),
        CaptionRequest(media=sound),
        AskRequest(media=clip, question="What is it?", history=(("Who?", "A dog."),)),
        AskRequest(media=clip, question="What is it?", hide=frozenset({"sound"})),
        TranscribeRequest(media=sound, language="en", translate_to="de"),
        TranslateRequest(text="Good morning.", source="en", target="de"),
    ):
        result = run(host, request)
        assert result.end in ("finished", "cut", "empty") and result.host == "omni"


def test_a_model_that_only_sees_answers_about_what_is_seen(opened, sound, clip):
    host = opened("gemma")
    assert host.info.takes == {"picture"} and not host.info.serves(TranscribeRequest)
    for request in (CaptionRequest(media=clip), AskRequest(media=clip, question="What is it?")):
        assert run(host, request).end in ("finished", "cut")
    with pytest.raises(AbilityError, match=r"^gemma does not hear; choose a photo or a clip"):
        run(host, CaptionRequest(media=sound))


def test_a_model_shows_what_it_writes_as_it_writes_it(opened, photo):
    texts = [getattr(r, "text", "") for r in opened("omni").stream(CaptionRequest(media=photo))]
    assert texts[0] == "" and texts[-1] != "" and texts[-1] == texts[-2]


def test_a_text_that_reaches_its_limit_is_said_to_break_off(opened, photo, monkeypatch):
    host = opened("omni")
    ends = [run(host, CaptionRequest(media=photo)).end]
    monkeypatch.setattr(generation, "is_cut", lambda ids, n_new, ends: False)
    ends.append(run(host, CaptionRequest(media=photo)).end)
    assert ends == ["cut", "finished"]


def test_a_model_of_text_alone_translates_and_does_nothing_else(opened):
    host = opened("language_model")
    assert {ability.request for ability in host.info.abilities} == {TranslateRequest}
    result = run(host, TranslateRequest(text="Good morning.", source="en", target="fr"))
    assert result.end in ("finished", "cut") and "Translate from" not in result.text, "the prompt is no part of it"
