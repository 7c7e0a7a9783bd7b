"""Sounds are named by the nearest label."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from engines.evaluation.suites import _sound
from engines.media.refusals import MIN_SOUND_S
from engines.protocol import Sound
from tests.engines.evaluation.oracle import rows_of
from tests.tiny_data import LABELS


def test_sounds_are_named_by_the_nearest_label(oracle, tiny):
    row = rows_of(oracle, tiny, "sound")["sound.esc10.accuracy"]
    assert (row.value, row.n) == (100.0, len(LABELS))
    assert "chance 20.0 %" in row.note


def test_a_recording_too_short_to_be_placed_has_silence_after_it():
    short, long = Sound(np.ones(80, np.float32)), Sound(np.ones(16_000, np.float32))
    padded = _sound(SimpleNamespace(load=lambda: short))
    assert padded.duration_s >= MIN_SOUND_S
    assert (padded.samples[:80] == 1.0).all() and not padded.samples[80:].any()
    assert _sound(SimpleNamespace(load=lambda: long)) is long
