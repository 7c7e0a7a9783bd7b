import json
from dataclasses import replace

import gradio as gr
import pytest

from engines import LANGUAGES, Ability, CaptionRequest, DeviceError, Router, TranscribeRequest
from studio import model_routing
from studio.state import AppState
from studio.tabs.models import ui as models
from tests.fake_host import FakeHost


class Stuck(FakeHost):
    """A host that does not move."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.reason = error

    def move(self, device: str) -> None:
        raise self.reason


def test_the_host_moves_and_says_why_it_is_there(state):
    info, sentence = models.move(state, "cpu", "en")
    assert (info.device, info.device_reason.en, sentence) == ("cpu", "asked for", None)


@pytest.mark.parametrize(("language", "words"), [("en", "no CUDA device"), ("zh", "没有")])
def test_a_device_that_fails_is_one_sentence_and_the_host_stays(state, language, words):
    host = Stuck(DeviceError("no_apple_gpu", "There is no CUDA device here."))
    moved = AppState(host=Router({"": host}), collections=state.collections)
    info, sentence = models.move(moved, "cuda:0", language)
    assert info.device == "cpu"
    assert sentence is not None
    assert words in sentence


def test_a_defect_while_moving_is_a_calm_sentence(state):
    moved = AppState(host=Router({"": Stuck(RuntimeError("/home/me"))}), collections=state.collections)
    sentence = models.move(moved, "cpu", "en")[1]
    assert sentence is not None
    assert "/home" not in sentence


def test_the_switches_show_where_the_host_is_whatever_was_asked_for(state):
    models.move(state, "auto", "en")
    assert models.where(state) == "cpu"


def test_abilities_are_shown_as_declared():
    info = replace(FakeHost().info, abilities=frozenset({Ability(CaptionRequest, "zh")}))
    assert models.abilities_view(info).count('class="yes"') == 1


def test_the_card_names_what_counts(info):
    shown = models.card_view(info)
    for fact in ("fake", "1.0 M", "CPU · float32", "there is no CUDA device", "Apache-2.0", "fake0000"):
        assert fact in shown


def test_measured_figures_are_a_table(tmp_path):
    file = tmp_path / "evaluation.json"
    measured = {"value": 41.254, "unit": "points", "n": 185}
    skipped = {"skipped": "no data"}
    file.write_text(json.dumps({"about": {"seed": 0}, "caption.en.cider": measured, "speech.x": skipped}))
    assert models.figures(file) == [("caption.en.cider", "41.3")]
    assert "caption.en.cider" in models.measured_view(file)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}"])
def test_a_missing_or_damaged_table_is_a_sentence(tmp_path, content):
    file = tmp_path / "evaluation.json"
    file.write_text(content)
    assert "This model came without measurements" in models.measured_view(file)
    assert "came without measurements" in models.measured_view(tmp_path / "absent.json")


def test_devices_are_offered_by_name_after_the_automatic_choice(state):
    assert [value for _, value in models.choices(state)] == ["auto", "cpu"]


def other() -> FakeHost:
    return FakeHost(name="whi<sper", source="a/whisper", abilities=frozenset({Ability(TranscribeRequest, "en")}))


def test_each_task_tells_who_answers_it_and_the_owner_has_a_way_back(owner):
    assert "data-back" not in models.routing_view(owner)
    model_routing.assign(owner.host, "transcribe", other())
    shown = models.routing_view(owner)
    assert shown.count("whi&lt;sper") == 2  # as text, and whole in its title
    assert 'data-back="transcribe"' in shown and 'data-back=""' in shown
    assert 'data-back="caption"' not in shown


def test_a_task_nobody_can_do_is_marked(owner):
    model_routing.assign(owner.host, "", other())
    assert models.routing_view(owner).count("does not support this") == 4


def test_every_open_model_has_its_card(owner):
    model_routing.assign(owner.host, "transcribe", other())
    assert models.cards_view(owner).count("<dl") == 2


def test_a_model_that_does_not_tell_its_languages_is_taken_at_its_word():
    info = replace(FakeHost().info, abilities=frozenset({Ability(TranscribeRequest)}))
    assert models.abilities_view(info).count('class="yes"') == len(LANGUAGES)


def test_a_visitor_sees_what_answers_and_has_nothing_to_open_it_with(visitor):
    model_routing.assign(visitor.host, "transcribe", other())
    with gr.Blocks() as page:
        tab = models.create_ui(visitor)
    names = {str(part.elem_id) for part in page.blocks.values() if getattr(part, "elem_id", None)}
    assert (tab.load, tab.compare) == (None, None)
    assert not any(name.startswith(("load", "compare")) for name in names)
    shown = "".join(str(part) for part in models.show(visitor))
    assert "whi&lt;sper" in shown
    assert "data-back" not in shown and "a/whisper" not in shown


def test_what_is_shown_anew_fits_the_widgets_it_is_shown_in(owner, visitor):
    for state in (owner, visitor):
        with gr.Blocks():
            tab = models.create_ui(state)
        assert len(models.show(state)) == len(tab.shown)
