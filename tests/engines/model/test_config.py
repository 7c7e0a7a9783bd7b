"""What a model is, as values: sizes that make sense, choices that exist."""

from __future__ import annotations

import re
from dataclasses import FrozenInstanceError, replace

import pytest

from engines.model.config import EVENTS, KINDS, ModelConfig, small, tiny


def test_the_shipped_model_has_the_sizes_of_whisper_base():
    config = small(30_000)
    assert (config.width, config.n_heads, config.n_sound_blocks, config.n_decoder_blocks) == (512, 8, 6, 6)
    assert (config.n_mels, config.max_sound_tokens, config.max_text_tokens) == (80, 1500, 448)


def test_a_config_cannot_be_changed_behind_a_models_back():
    with pytest.raises(FrozenInstanceError):
        tiny(10).width = 64


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


@pytest.mark.parametrize(("part", "kind"), [(part, kind) for part, kinds in KINDS.items() for kind in kinds])
def test_every_choice_of_a_part_is_accepted(part, kind):
    assert getattr(ModelConfig(vocab_size=10, **{part: kind}), part) == kind
