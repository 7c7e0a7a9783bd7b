"""Words lost after a repetition are counted by the best alignment, and the texts are always the same."""

from __future__ import annotations

import numpy as np
import pytest

from engines.evaluation.speech import repetitive_texts, words_lost


@pytest.mark.parametrize(
    ("before", "after", "written", "lost"),
    [
        ("go go go go", "run to the left", "go go run to the left", 0),
        ("go go go go", "run to the left", "go go round to the left", 0),  # heard as another word
        ("go go go go", "run to the left", "go go", 4),
        ("go go go go", "run to the left", "go go to the left", 1),
        ("please wait please wait", "please come", "please wait please come", 0),
        ("", "come here", "", 2),
    ],
)
def test_only_words_after_the_repetition_can_be_lost(before, after, written, lost):
    assert words_lost(before.split(), after.split(), written.split()) == lost


def test_the_texts_repeat_themselves_and_go_on():
    texts = repetitive_texts(np.random.default_rng(0), 40)
    assert texts == repetitive_texts(np.random.default_rng(0), 40)
    assert len({text.voice for text in texts}) > 4 and all(text.after for text in texts)
    words = [text.before.lower().replace(",", "").replace(".", "").split() for text in texts]
    assert all(len(set(each)) < len(each) for each in words)
