from __future__ import annotations

from typing import Any

import gradio as gr
import pytest

from engines import RequestError
from engines.lab import EXPERIMENTS, FusionRequest, LabRequest, MamlRequest
from studio import i18n
from studio.tabs.lab import form
from studio.tabs.lab.terms import key_of

KINDS = pytest.mark.parametrize("kind", [entry.request for entry in EXPERIMENTS.values()], ids=list(EXPERIMENTS))


def values_of(request: LabRequest) -> dict[str, Any]:
    return {each.name: form.value_of(each, request) for each in form.fields_of(type(request))}


@KINDS
def test_every_field_of_every_experiment_can_be_turned_and_the_seed_stands_last(kind):
    names = [each.name for each in form.fields_of(kind)]
    assert names[-1] == "seed"
    assert {*names, form.MATERIAL} >= set(kind.__dataclass_fields__)


@KINDS
def test_every_field_and_every_word_has_a_text(kind):
    for each in form.fields_of(kind):
        assert i18n.knows(key_of(each.name, "field")), each.name
        for word in each.metadata.get("known", ()):
            assert i18n.knows(key_of(word)), word


@KINDS
def test_untouched_widgets_ask_for_what_the_page_begins_with(kind):
    with gr.Blocks():
        widgets = {each.name: form.widget("x", each) for each in form.fields_of(kind)}
    values = {name: widget.value for name, widget in widgets.items()}
    assert form.request_of(kind, values, form.materials_of(kind)[0]) == kind(
        **{each.name: each.metadata["first"] for each in form.fields_of(kind)}
    )


@KINDS
def test_a_slider_can_reach_its_default_and_its_ends(kind):
    for each in form.fields_of(kind):
        if "low" in each.metadata:
            low, high = each.metadata["low"], each.metadata["high"]
            step = form.step_of(low, high, each.default)
            for value in (each.default, high):
                assert (value - low) / step == pytest.approx(round((value - low) / step)), each.name


def test_what_widgets_show_of_a_request_asks_for_it_again():
    request = FusionRequest(operator=("sound", "gated"), n_steps=40, picture_noise=0.25, seed=9)
    assert form.request_of(FusionRequest, values_of(request)) == request
    task = MamlRequest(material="digits", n_ways=3)
    assert form.request_of(MamlRequest, values_of(task), "digits") == task


def test_words_come_in_their_own_order_and_whole_numbers_as_such():
    values = values_of(FusionRequest()) | {"operator": ["attention", "picture"], "n_steps": 40.0}
    request = form.request_of(FusionRequest, values)
    assert request == FusionRequest(operator=("picture", "attention"), n_steps=40)


@pytest.mark.parametrize(
    ("name", "value", "en", "zh"),
    [
        ("operator", [], "Ways of fusion", "融合方式"),
        ("operator", None, "Ways of fusion", "融合方式"),
        ("seed", None, "Seed", "随机种子"),
        ("seed", "", "seed", "seed"),
        ("n_steps", 5, "10 to 2000", "10 到 2000"),
        ("n_steps", 12.5, "whole number", "整数"),
        ("picture_noise", 7, "0 to 1", "0 到 1"),
    ],
)
def test_what_cannot_be_run_is_said_in_both_languages(name, value, en, zh):
    with pytest.raises(RequestError) as caught:
        form.request_of(FusionRequest, values_of(FusionRequest()) | {name: value})
    assert en in caught.value.en and zh in caught.value.zh


def test_a_forged_word_is_no_material():
    with pytest.raises(RequestError, match="choose from characters"):
        form.request_of(MamlRequest, values_of(MamlRequest()), "passwords")


def test_one_material_is_the_usual_one_of_most_experiments():
    assert form.materials_of(FusionRequest) == (form.DIGITS,)
    assert form.materials_of(MamlRequest) == ("characters", "digits")
