"""What a model is, as values: sizes that make sense, choices that exist."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from engines.model.config import EVENTS, tiny


def test_events_are_three_states_and_then_sounds_each_once():
    assert EVENTS[:3] == ("speech", "silence", "noise")
    assert len(set(EVENTS)) == len(EVENTS) == 22


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"vocab_size": 0}, "vocab_size is 0; it must be a whole number of 1 or more"),
        ({"n_text_blocks": -1}, "n_text_blocks is -1; it must be a whole number of 0 or more"),
        ({"width": "32"}, "width is '32'; it must be a whole number of 1 or more"),
        ({"n_mels": 80.0}, "n_mels is 80.0; it must be a whole number of 1 or more"),
        ({"embed_dim": True}, "embed_dim is True; it must be a whole number of 1 or more"),
        ({"width": 33}, "width 33 is not a multiple of n_heads 2"),
        ({"photo_px": 100}, "photo_px 100 is not a multiple of 32, the stride of the picture tower"),
        ({"picture": "vgg"}, "picture is 'vgg'; it must be one of efficientnet_lite2, cnn, transformer"),
        ({"sound": "lstm"}, "sound is 'lstm'; it must be one of transformer, cnn, gru"),
        ({"text": ""}, "text is ''; it must be one of transformer, gru"),
        ({"calibration": {"search": {"other": ["a"]}}}, "calibration search.other is ['a']; it must be a list of"),
        ({"fusion": None}, "fusion is None; it must be one of sum, gated, concat, attention"),
    ],
)
def test_a_config_that_makes_no_sense_says_why(wrong, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        replace(tiny(10), **wrong)
