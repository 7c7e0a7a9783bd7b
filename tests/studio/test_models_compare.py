from pathlib import Path

import gradio as gr
import pytest

from engines import (
    AskRequest,
    Cancel,
    CaptionRequest,
    CaptionResult,
    MediaError,
    TranscribeRequest,
    TranscribeResult,
    TranslateRequest,
)
from studio import model_routing
from studio.components import CLIP, PHOTO, SOUND
from studio.state import AppState
from studio.tabs.models import compare
from tests.fake_host import FakeHost
from tests.studio.conftest import last, media_input

CAPTION = CaptionRequest(media=Path("/home/somebody/dog.jpg"))


@pytest.fixture
def two(owner) -> AppState:
    """A state at which the built-in model and another are open."""
    model_routing.assign(owner.host, "caption", FakeHost(name="oth<er", source="a/other"))
    return owner


def test_both_answer_one_after_the_other_with_what_it_cost(two):
    frames = [shown for shown, _ in compare.both_sides(two, ("builtin", "a/other"), CAPTION, Cancel())]
    assert "Next in turn." in frames[0]
    assert frames[-1].count("A dog runs on the beach.") == 2
    assert "is-done" in frames[-1]
    assert frames[-1].count("s · CPU · 4 MiB") == 2
    assert "built" in frames[-1] and "oth&lt;er" in frames[-1]


def test_an_answer_that_breaks_off_says_so(two):
    info = two.host.hosts()[0].info
    side = compare.Side(info.source, info, CaptionResult(request=CAPTION, text="A dog and", end="cut"))
    assert "cut off here" in compare.view(two, [side], is_over=True)


def test_one_that_fails_is_one_sentence_and_the_other_still_answers(owner):
    broken = FakeHost(name="broken", source="a/broken", error=MediaError("sound_empty", "No picture in dog.jpg."))
    model_routing.assign(owner.host, "caption", broken)
    shown = last(compare.both_sides(owner, ("a/broken", "builtin"), CAPTION, Cancel()))
    assert "No picture in dog.jpg." in shown and "声音是空的" in shown
    assert "A dog runs on the beach." in shown


def test_one_that_cannot_do_it_says_so(owner, catalogue):
    model_routing.assign(owner.host, "transcribe", catalogue._host("a/whisper"))
    shown = last(compare.both_sides(owner, ("builtin", "a/whisper"), CAPTION, Cancel()))
    assert "不能写描述" in shown and "whisper" in shown


def test_a_stop_keeps_what_is_there_and_the_second_does_not_begin(owner):
    slow, other = FakeHost(source="a/slow", delay_s=0.1), FakeHost(name="other", source="a/other")
    model_routing.assign(owner.host, "caption", slow)
    model_routing.assign(owner.host, "ask", other)
    cancel = Cancel()
    steps = compare.both_sides(owner, ("a/slow", "a/other"), CAPTION, cancel)
    for shown, _ in steps:
        if "A dog" in shown:
            cancel.set()
            break
    shown = last(steps)
    assert "is-stopped" in shown and "A dog" in shown
    assert other.requests == []


def test_the_built_in_model_is_opened_for_the_comparison_and_closed_after(owner, catalogue):
    model_routing.assign(owner.host, "", FakeHost(name="other", source="a/other"))
    shown = last(compare.both_sides(owner, ("builtin", "a/other"), CAPTION, Cancel()))
    assert shown.count("A dog runs on the beach.") == 2
    assert [host.closed for host in catalogue.hosts] == [True]


def test_a_model_that_was_closed_meanwhile_is_said(two):
    shown = last(compare.both_sides(two, ("a/gone", "builtin"), CAPTION, Cancel()))
    assert "This model was closed; open it again." in shown


def test_silence_is_an_answer(two):
    def silent(request):
        yield TranscribeResult(request=request, end="empty")

    model_routing.assign(two.host, "transcribe", FakeHost(source="a/deaf", scripts={TranscribeRequest: silent}))
    shown = last(compare.both_sides(two, ("builtin", "a/deaf"), TranscribeRequest(media=Path("tone.wav")), Cancel()))
    assert "There is no speech in this." in shown and "Good morning." in shown


def test_what_can_be_chosen_is_what_is_open_and_the_built_in_model(two):
    assert compare.choices(two) == [("built", "builtin"), ("oth<er", "a/other")]
    model_routing.assign(two.host, "", FakeHost(name="all", source="a/all"))
    assert ("builtin", "builtin") in compare.choices(two)


def test_the_choices_keep_what_they_showed_while_that_is_open(two):
    assert compare.still_offered(two, None, None) == ("builtin", "a/other")
    assert compare.still_offered(two, "a/other", "builtin") == ("a/other", "builtin")
    assert compare.still_offered(two, "a/gone", "a/other") == ("builtin", "a/other")


def test_a_task_and_its_inputs_become_one_request():
    media = media_input("compare", PHOTO, SOUND, CLIP)
    file, none = "/tmp/dog.jpg", None
    made = [
        compare.build(task, "Why?", "en", "de", media, PHOTO, file, none, none)
        for task in ("caption", "ask", "transcribe", "translate")
    ]
    assert made == [
        CaptionRequest(media=Path(file), language="de"),
        AskRequest(media=Path(file), question="Why?", language="de"),
        TranscribeRequest(media=Path(file)),
        TranslateRequest(text="Why?", source="en", target="de"),
    ]


def values(left: str, right: str) -> tuple[object, ...]:
    return (left, right, "translate", "dog", "en", "de", PHOTO, None, None, None)


@pytest.fixture
def block(two) -> compare.Compare:
    with gr.Blocks():
        return compare.create_ui(two)


def test_a_comparison_of_a_model_with_itself_is_refused(two, block):
    assert "two different models" in last(compare.compare(two, "me", block, values("builtin", "builtin")))
    assert "is-done" in last(compare.compare(two, "me", block, values("builtin", "a/other")))


def test_a_visitor_is_refused(visitor, block):
    shown = last(compare.compare(visitor, "me", block, values("builtin", "a/other")))
    assert "compared by the owner of this studio only" in shown and "只有此工作室的主人" in shown
