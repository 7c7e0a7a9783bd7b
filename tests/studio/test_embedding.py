"""What is an embedding: words and samples become points, with what lies nearest to each."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import numpy as np
import pytest

from engines import EmbedRequest, RequestError
from studio.state import AppState
from studio.tabs.embedding import ui as embedding
from studio.tabs.embedding import view
from studio.tabs.embedding.view import Thing

ME: Any = SimpleNamespace(session_hash="me", cookies={}, headers={})


def things() -> list[Thing]:
    angles = np.radians([0.0, 20.0, 90.0, 100.0])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    names = (("a dog", "a dog"), ("Dog", "狗"), ("<rain>", "<rain>"), ("Rain", "下雨"))
    return [
        Thing(name, kind, v) for name, kind, v in zip(names, ("text", "photo", "text", "sound"), vectors, strict=True)
    ]


def test_each_thing_says_what_lies_nearest_and_stands_on_the_map(info):
    shown = view.shown(things(), info, 1.5)
    assert shown.count('class="embedding-point"') == 4 and shown.count("<line") == 4
    first, second, third, _ = (row.split("</tr>")[0] for row in shown.split("<tr><td>")[1:])
    assert first.index("Dog") < first.index("&lt;rain&gt;") and "0.94" in first
    assert "狗" in second and third.index("下雨") < third.index("Dog") and "0.98" in third
    assert "<rain>" not in shown and "4 things, each a list of 2 numbers" in shown and "100%" in shown


def test_words_are_compared_with_words_and_lines_count_once(state):
    dog = next(sample for sample in state.samples if sample.path.name == "dog.jpg")
    found = embedding.asked(state, " a dog \n\nein Hund\na dog\n", [dog.file_id, "of no sample"])
    assert [names for names, _ in found] == [("a dog", "a dog"), ("ein Hund", "ein Hund"), ("Dog", "狗")]
    assert [request.media for _, request in found] == ["a dog", "ein Hund", dog.path]
    assert found[0][1] == EmbedRequest(media="a dog", against="text")


@pytest.mark.parametrize(
    ("words", "said"),
    [("a dog\na cat", "3 things or more"), (None, "3 things or more"), ("x\n" + "y" * 201, "200 letters"),
     ("\n".join(map(str, range(21))), "At most 20 lines")],
)  # fmt: skip
def test_too_few_or_too_many_is_one_sentence(state, words, said):
    with pytest.raises(RequestError, match=said) as caught:
        embedding.asked(state, words, [])
    assert caught.value.zh != caught.value.en


class Page:
    """The panel, and its event."""

    def __init__(self, state: AppState) -> None:
        with gr.Blocks() as self.blocks:
            self.widgets = embedding.create_ui(state)
            embedding.wire(state, self.widgets)

    def run(self, words: str, chosen: list[str]) -> list[Any]:
        (act,) = [fn.fn for fn in self.blocks.fns.values() if fn.name == "act_embed"]
        assert act is not None
        return [update[self.widgets.result] for update in act(ME, words, chosen)]


def test_a_run_embeds_one_thing_after_the_other_and_ends_with_the_map(state):
    page = Page(state)
    *before, last = page.run("a dog\nrain", [sample.file_id for sample in embedding.offered_samples(state)][:2])
    assert "embedding-map" in last and last.count('class="embedding-point"') == 4
    assert any("is-busy" in card or "busy" in card for card in before)
    *_, last = page.run("a dog", [])
    assert "Write or choose 3 things" in last


def test_samples_that_speak_are_not_offered_and_some_are_chosen_at_first(state):
    offered = embedding.offered_samples(state)
    assert all(sample.kind != "speech" for sample in offered)
    assert {Path(name).name for name in embedding.FIRST} <= {sample.path.name for sample in offered}
    assert len(Page(state).widgets.samples.value) == len(embedding.FIRST)
