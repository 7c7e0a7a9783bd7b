from __future__ import annotations

import base64
import html
import json
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from engines.lab import EXPERIMENTS, FusionRequest, Network, Part, Watch
from studio.i18n import LANGUAGES
from studio.tabs.lab import drawing, watching
from studio.tabs.lab.watching import WatchedRun
from tests.studio.findings import finished, under_way


def part(**changes: Any) -> Part:
    values = np.array([[1.0, -2.0], [0.5, 0.0]], np.float32)
    whole = Part("picture.tokens", "tokens", "picture", "tokens", (), (2, 2), "t = W x", "a.py:1", values)
    return replace(whole, **changes)


def held(shown: str) -> dict[str, Any]:
    """What the browser reads from the page."""
    found = re.fullmatch(r'<i data-network="([^"]*)"></i>', shown)
    assert found is not None
    data: dict[str, Any] = json.loads(html.unescape(found[1]))
    return data


def network(*parts: Part, model: str = "picture") -> Network:
    return Network(model, 3, 0, tuple("0123456789"), parts)


def test_the_browser_gets_numbers_from_minus_one_to_one_and_names_in_both_languages():
    first = part()
    links = np.array([[0.25, 0.75]], np.float32)
    second = part(
        key="all.pooling", name="pooling", lane="all", after=(first.key,), values=np.ones((1, 2)), links=links
    )
    shown = held(drawing.data(network(first, second)))["parts"]
    numbers = np.frombuffer(base64.b64decode(shown[0]["values"]), np.int8)
    assert numbers.tolist() == [64, -127, 32, 0] and shown[0]["size"] == [2, 2]
    assert shown[1]["after"] == [0] and shown[1]["name"] == ["pooling", "池化"]
    assert np.frombuffer(base64.b64decode(shown[1]["links"]), np.int8).tolist() == [32, 95]
    assert all(len(text) > 10 for text in shown[1]["about"])


def test_a_name_from_a_persons_folder_is_escaped():
    bars = part(kind="bars", labels=('"><b>',), values=np.ones((1, 1)))
    shown = drawing.data(network(bars))
    assert "<b>" not in shown and held(shown)["parts"][0]["labels"] == [['"><b>', '"><b>']]


def test_every_part_of_every_network_is_named_and_explained_in_both_languages():
    from engines.lab import network as drawn

    assert drawn.DRAWERS
    for name, entry in EXPERIMENTS.items():
        if entry.drawn is None:
            continue
        request = entry.request()
        for model in entry.drawn().networks(request):
            for each in entry.drawn().draw(request, None, {}, model, Watch(3)).parts:
                about = drawing._about(each.name)
                assert all(about) and len(set(about)) == len(LANGUAGES), f"{name}: {each.name}"


def test_a_run_says_which_step_it_is_at_and_which_models_there_are_at_its_end():
    run = WatchedRun(Watch(3), key="abc")
    going = replace(under_way(), network=network(part()))
    run.follow(going)
    shown = held(run.html)
    assert (shown["run"], shown["step"], shown["steps"], shown["is_over"]) == ("abc", 40, 40, False)
    assert [name for name, *_ in shown["models"]] == ["picture"] and not run.is_over
    run.follow(replace(finished(), network=network(part(), model="attention")))
    shown = held(run.html)
    assert run.is_over and run.finished is not None
    assert [name for name, *_ in shown["models"]] == ["picture", "sound", "attention"]


def test_before_a_run_the_untrained_network_of_the_form_is_drawn():
    shown = held(watching.draw(FusionRequest(operator=("sum", "gated")), None, Watch(4, 1), "sum", None))
    assert (shown["model"], shown["label"], shown["example"], shown["step"]) == ("sum", 4, 1, 0)
    assert shown["parts"][-1]["key"] == "all.classes" and sum(shown["parts"][-1]["bars"]) == pytest.approx(1, abs=0.01)
    assert held(watching.draw(FusionRequest(operator=("sum", "gated")), None, Watch(14), "none", None))["label"] == 4
