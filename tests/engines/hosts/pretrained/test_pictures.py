"""Captioners and answerers without conversation: a picture, English, and a sentence for everything else."""

from __future__ import annotations

import pytest

from engines.errors import AbilityError
from engines.hosts import pretrained
from engines.protocol import AskRequest, CaptionRequest, run
from engines.settings import Settings
from tests.tiny_models import blip


def test_a_photo_and_a_clip_are_captioned_in_english(opened, photo, clip):
    host = opened("blip")
    assert {(a.request, a.language) for a in host.info.abilities} == {(CaptionRequest, "en")}
    for media in (photo, clip):
        assert run(host, CaptionRequest(media=media)).end in ("finished", "cut")


def test_other_languages_and_sounds_are_refused_in_a_sentence(opened, photo, sound):
    host = opened("blip")
    with pytest.raises(AbilityError, match=r"^blip writes English only; choose English, or another model"):
        run(host, CaptionRequest(media=photo, language="de"))
    with pytest.raises(AbilityError, match=r"^blip does not hear; choose a photo or a clip"):
        run(host, CaptionRequest(media=sound))


def test_a_question_about_a_picture_is_answered_if_the_picture_may_be_seen(tmp_path, photo):
    folder = blip(tmp_path / "vqa", answers=True)
    host = pretrained.load(folder, str(folder), settings=Settings(device="cpu", dtype="float32", n_threads=1))
    try:
        assert host.info.serves(AskRequest, "en") and not host.info.serves(CaptionRequest)
        assert run(host, AskRequest(media=photo, question="What colour?")).end in ("finished", "cut")
        with pytest.raises(AbilityError, match=r"^vqa only sees; without the picture it has nothing to answer from"):
            run(host, AskRequest(media=photo, question="What colour?", hide=frozenset({"picture"})))
    finally:
        host.close()
