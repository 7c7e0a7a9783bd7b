from pathlib import Path

import gradio as gr
import pytest

from engines import RequestError, TranscribeRequest, TranslateRequest
from studio import components
from studio.components import MediaInput
from studio.tabs.speech import ui as speech
from tests.engines.media.makers import several_tracks, sine


@pytest.fixture
def media() -> MediaInput:
    with gr.Blocks():
        return components.media_input("speech", ("sound", "clip", "text"), text_key="ui.speech.text")


def test_a_sound_is_transcribed_in_the_language_it_is_found_to_be_in(media):
    (request,) = speech.build(media, "sound", "talk.mp3", None, None, "auto", "none")
    assert request == TranscribeRequest(media=Path("talk.mp3"))


def test_a_clip_is_transcribed_and_translated(media):
    (request,) = speech.build(media, "clip", None, "talk.mp4", None, "de", "en")
    assert request == TranscribeRequest(media=Path("talk.mp4"), language="de", translate_to="en")


def test_speech_is_not_translated_into_the_language_it_is_in(media):
    (request,) = speech.build(media, "sound", "talk.mp3", None, None, "de", "de")
    assert isinstance(request, TranscribeRequest)
    assert request.translate_to is None


def test_words_are_translated(media):
    (request,) = speech.build(media, "text", None, None, "Guten Tag", "de", "en")
    assert request == TranslateRequest(text="Guten Tag", source="de", target="en")


@pytest.mark.parametrize(
    ("text", "source", "target"),
    [
        ("The dog is in the garden.", "en", "de"),
        ("Der Hund ist im Garten und schläft.", "de", "en"),
        ("Le chien est dans le jardin.", "fr", "en"),
        ("狗在花园里。", "zh", "en"),
    ],
)
def test_a_text_is_translated_from_the_language_it_is_in_without_a_choice(media, text, source, target):
    (request,) = speech.build(media, "text", None, None, text, "auto", "none")
    assert request == TranslateRequest(text=text, source=source, target=target)


@pytest.mark.parametrize(
    ("text", "source", "target", "sentence", "zh"),
    [("dog", "auto", "de", "language the text is written in", "原文"), ("", "en", "de", "Type something", "请先输入")],
)
def test_what_is_missing_for_a_translation_is_said(media, text, source, target, sentence, zh):
    with pytest.raises(RequestError, match=sentence) as caught:
        speech.build(media, "text", None, None, text, source, target)
    assert zh in caught.value.zh


def test_a_track_is_asked_for_and_can_be_chosen_where_a_file_has_several(media, tmp_path):
    film = several_tracks(tmp_path / "film.mka", {"ger": sine(0.5), "eng": sine(0.5)})
    one = several_tracks(tmp_path / "one.mka", {"ger": sine(0.5)})
    shown = speech.track_choice("sound", str(film), None)
    assert shown["visible"] and [number for _, number in shown["choices"]] == [0, 1, 2] and shown["value"] == 0
    for kind, file in (("sound", one), ("clip", film), ("text", film), ("sound", tmp_path / "gone.mp3")):
        assert not speech.track_choice(kind, str(file), None)["visible"], kind
    (request,) = speech.build(media, "sound", str(film), None, None, "auto", "none", 2)
    assert request == TranscribeRequest(media=film, track=2)
