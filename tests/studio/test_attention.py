"""What is attention: what is painted of each word, and what a run of the panel shows."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pytest

from engines.lab.attention import AttentionRequest, AttentionResult, Region
from studio.app import open_state
from studio.tabs.attention import ui as attention
from studio.tabs.attention import view
from tests.conftest import SAMPLES, write_photo
from tests.studio.conftest import CHINESE, Opened
from tests.studio.test_masking import uploaded


def looked(places: list[list[float]], to_names: list[float], words: tuple[str, ...] = ("A", " dog", ".")) -> Any:
    """A result of one block over a photo of 2 x 2 places and one name."""
    shares = np.array(places, np.float32).reshape(len(words), 1, 1, 2, 2)
    return AttentionResult(
        request=AttentionRequest(photo=Path("dog.jpg")), text="A dog.", words=words, places=shares,
        regions=(Region(0.0, 0.0, 1.0, 1.0),), names=("<Pug>",), to_names=np.array(to_names).reshape(-1, 1, 1),
        end="finished",
    )  # fmt: skip


FOUND = looked([[0.2] * 4, [0.0, 0.0, 0.0, 0.5], [0.9, 0.0, 0.0, 0.0]], [0.2, 0.5, 0.1])


def test_an_even_gaze_is_dark_and_what_is_looked_at_most_is_brightest():
    painted: Any = view.painted(FOUND)
    even, dog, _ = ([int(n) for n in base64.b64decode(word[0])] for word in painted["lit"])
    assert even == [0, 0, 0, 0] and dog == [0, 0, 0, 255]
    assert painted["times"] == [[1.0, 1.0], [4.0, 4.0], [4.0, 4.0]], "the block, and the mean of all blocks"
    assert (
        painted["place"][1] == [8, 8]
        and painted["places"][0][8] == "bottom right"
        and painted["places"][1][8] == "右下"
    )
    assert painted["shares"] == [[[80, 20]] * 2, [[50, 50]] * 2, [[90, 10]] * 2]


def test_the_card_offers_the_words_and_begins_with_the_one_that_looks_hardest_at_one_place(info):
    card = view.shown(FOUND, b"jpeg", info)
    assert card.count('<input type="radio" value=') == 2 + 2, "a mark cannot be chosen; a block and the mean"
    assert 'value="1" checked><span>dog' in card and "</label>.</div>" in card
    assert card.count("<i></i>") == 4 and "&lt;Pug&gt;" in card and "not an explanation of cause" in card
    assert base64.b64encode(b"jpeg").decode() in card


def test_the_parts_of_a_panorama_lie_where_they_were_seen(info):
    wide = looked([[0.25] * 4], [0.0], ("Sea",))
    halves = (Region(0.0, 0.0, 0.5, 1.0), Region(0.5, 0.0, 0.5, 1.0))
    right = np.concatenate([np.zeros_like(wide.places), wide.places], axis=2)
    found = AttentionResult(
        request=wide.request, words=wide.words, places=right, regions=halves, to_names=wide.to_names[..., :0],
        end="finished",
    )  # fmt: skip
    assert "left:50.00%;top:0.00%;width:50.00%" in view.shown(found, b"", info)
    painted: Any = view.painted(found)
    assert painted["places"][0][painted["place"][0][0]] in ("top", "top right") and painted["shares"] == [[[100]] * 2]


@pytest.fixture
def built(tmp_path, tiny_host) -> Opened:
    """The panel over the built-in host, which alone shows its attention."""
    return Opened(open_state(tiny_host, home=tmp_path / "home", devices=("cpu",)), attention)


def test_a_photo_is_captioned_and_its_words_can_be_chosen(built, tmp_path, photo):
    frames = built("act_look", uploaded(write_photo(tmp_path / "red.png", photo)), "de")
    result = built.page.result
    assert "is-busy" in frames[0][result] and frames[0][built.page.stop]["visible"]
    last = frames[-1]
    assert "data-attention" in last[result] and 'lang="de"' in last[result] and not last[built.page.stop]["visible"]
    assert "Drop a photo first" in built("act_look", None, "en")[-1][result]
    clip = built("act_look", uploaded(SAMPLES / "dog.mp4"), "en")[-1][result]
    assert "Only a photo helps here" in clip and "is-error" in clip


def test_the_first_sample_is_begun_with_in_the_pages_language(built):
    filled = built("begin", me=CHINESE)
    photo = built.page.media.parts["photo"]
    assert Path(filled[photo]).name == "dog.jpg" and filled[built.page.language] == "zh"
    assert "data-attention" in built("act_first", uploaded(SAMPLES / "dog.jpg"), "zh")[-1][built.page.result]


def test_another_model_is_not_asked_unasked_and_says_that_it_cannot(state):
    opened = Opened(state, attention)
    assert opened("begin") == gr.skip()
    (unchanged,) = opened("act_first", None, "en")
    assert unchanged[opened.page.result] != "" and "is-" not in str(unchanged[opened.page.result])
    said = opened("act_look", uploaded(SAMPLES / "dog.jpg"), "en")[-1][opened.page.result]
    assert "does not show its attention" in said and "不显示它的注意力" in said
