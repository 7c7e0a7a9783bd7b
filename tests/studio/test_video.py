from pathlib import Path

import gradio as gr
import pytest

from engines import AskRequest, AskResult, RequestError
from studio import components
from studio.components import MediaInput
from studio.tabs import video

CLIP = Path("walk.mp4")


@pytest.fixture
def media() -> MediaInput:
    with gr.Blocks():
        return components.media_input("video", ("clip", "photo", "sound"))


def ask(media: MediaInput, turns: list[AskResult], question: str | None, hide: list[str], language: str) -> AskRequest:
    (request,) = video.build(media, turns, "zh", "clip", str(CLIP), None, None, question, hide, language)
    assert isinstance(request, AskRequest)
    return request


def test_a_question_is_answered_in_the_language_of_the_page_or_in_the_one_chosen(media):
    assert ask(media, [], "What is it?", [], video.PAGE).language == "zh"
    assert ask(media, [], "What is it?", [], "de").language == "de"


def test_a_hidden_modality_goes_along(media):
    assert ask(media, [], "What is it?", ["sound", "smell"], "en").hide == {"sound"}


def test_earlier_turns_go_along_but_not_without_end(media):
    turns = [
        AskResult(request=AskRequest(media=CLIP, question=f"Question {n}?"), text=f"{n}", end="finished")
        for n in range(video.N_HISTORY + 2)
    ]
    history = ask(media, turns, "And now?", [], "en").history
    assert len(history) == video.N_HISTORY
    assert history[-1] == (f"Question {len(turns) - 1}?", f"{len(turns) - 1}")


@pytest.mark.parametrize("question", [None, "", "  "])
def test_an_empty_question_is_said(media, question):
    with pytest.raises(RequestError, match="Type a question first"):
        ask(media, [], question, [], "en")
