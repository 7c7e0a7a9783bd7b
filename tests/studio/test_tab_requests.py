"""What the widgets of a working tab ask for: one request, or a sentence on what is missing."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import gradio as gr
import pytest

from engines import AskRequest, AskResult, CaptionRequest, RequestError, TranscribeRequest, TranslateRequest
from studio import components
from studio.tabs import caption, video
from studio.tabs.search import ui as search
from studio.tabs.speech import ui as speech
from tests.engines.media.makers import several_tracks, sine
from tests.studio.conftest import media_input

TALK, FILM, CLIP = Path("talk.mp3"), Path("talk.mp4"), Path("walk.mp4")


def test_a_caption_is_asked_for_of_the_input_that_is_seen():
    media = media_input("caption", "photo", "clip", "sound")
    (request,) = caption.build(media, "clip", "a.jpg", "b.mp4", None, "zh")
    assert request == CaptionRequest(media=Path("b.mp4"), language="zh")


@pytest.mark.parametrize("tab", [search, speech, video, caption])
def test_every_tab_is_run_by_a_button_at_the_same_place_below_what_it_is_given(state, tab: ModuleType):
    with gr.Blocks():
        built = tab.create_ui(state)
    panel = getattr(built, "panel", built)
    row = panel.run.parent
    assert "actions" in row.elem_classes and "split-input" in row.parent.elem_classes
    given = [row.parent.children.index(part) for part in panel.media.parts.values()]
    assert max(given) < row.parent.children.index(row)


# --- speech ----------------------------------------------------------------------------------------------------------

SPEECH = media_input("speech", "sound", "clip", "text")


@pytest.mark.parametrize(
    ("values", "request_"),
    [
        (("sound", TALK, None, None, "auto", "none"), TranscribeRequest(media=TALK)),
        (
            ("clip", None, FILM, None, "de", "en"),
            TranscribeRequest(media=FILM, language="de", translate_to="en"),
        ),
        (("sound", TALK, None, None, "de", "de"), TranscribeRequest(media=TALK, language="de")),
        (("text", None, None, "Guten Tag", "de", "en"), TranslateRequest(text="Guten Tag", source="de", target="en")),
        *(
            (("text", None, None, text, "auto", "none"), TranslateRequest(text=text, source=source, target=target))
            for text, source, target in (  # from the language it is in, without a choice
                ("The dog is in the garden.", "en", "de"),
                ("Der Hund ist im Garten und schläft.", "de", "en"),
                ("Le chien est dans le jardin.", "fr", "en"),
                ("狗在花园里。", "zh", "en"),
            )
        ),
    ],
)
def test_speech_is_transcribed_and_translated_as_chosen_and_a_text_translated(values, request_):
    assert speech.build(SPEECH, *values) == (request_,)


@pytest.mark.parametrize(
    ("text", "source", "sentence", "zh"),
    [("dog", "auto", "language the text is written in", "原文"), ("", "en", "Type something", "请先输入")],
)
def test_what_is_missing_for_a_translation_is_said(text, source, sentence, zh):
    with pytest.raises(RequestError, match=sentence) as caught:
        speech.build(SPEECH, "text", None, None, text, source, "de")
    assert zh in caught.value.zh


def test_a_track_is_asked_for_and_can_be_chosen_where_a_file_has_several(tmp_path):
    film = several_tracks(tmp_path / "film.mka", {"ger": sine(0.5), "eng": sine(0.5)})
    one = several_tracks(tmp_path / "one.mka", {"ger": sine(0.5)})
    shown = components.track_choice(str(film))
    assert shown["visible"] and shown["choices"][1:] == [("1 ger", 1), ("2 eng", 2)] and shown["value"] == 0
    for file in (str(one), str(tmp_path / "gone.mp3"), None):
        assert not components.track_choice(file)["visible"], file
    (request,) = speech.build(SPEECH, "sound", str(film), None, None, "auto", "none", 2)
    assert request == TranscribeRequest(media=film, track=2)
    (request,) = caption.build(
        media_input("caption", "photo", "clip", "sound"), "sound", None, None, str(film), "en", 2
    )
    assert request == CaptionRequest(media=film, track=2)
    (request,) = video.build(
        media_input("video", "clip", "photo", "sound"),
        (),
        "en",
        "sound",
        None,
        None,
        str(film),
        "What is heard?",
        (),
        "en",
        2,
    )
    assert request == AskRequest(media=film, question="What is heard?", track=2)


# --- video -----------------------------------------------------------------------------------------------------------


def ask(question: str | None, *turns: AskResult, hide: tuple[str, ...] = (), language: str = "en") -> AskRequest:
    media = media_input("video", "clip", "photo", "sound")
    (request,) = video.build(media, turns, "zh", "clip", str(CLIP), None, None, question, hide, language)
    assert isinstance(request, AskRequest)
    return request


def test_a_question_is_answered_in_the_language_of_the_page_or_the_one_chosen_without_what_is_hidden():
    assert ask("What is it?", language=video.PAGE).language == "zh"
    assert ask("What is it?", language="de").language == "de"
    assert ask("What is it?", hide=("sound", "smell")).hide == {"sound"}


def test_the_latest_turns_go_along():
    turns = [
        AskResult(request=AskRequest(media=CLIP, question=f"Question {n}?"), text=f"{n}", end="finished")
        for n in range(video.N_HISTORY + 2)
    ]
    history = ask("And now?", *turns).history
    assert len(history) == video.N_HISTORY
    assert history[-1] == (f"Question {len(turns) - 1}?", f"{len(turns) - 1}")


@pytest.mark.parametrize("question", [None, "", "  "])
def test_an_empty_question_is_said(question):
    with pytest.raises(RequestError, match="Type a question first"):
        ask(question)
