"""A long sound is cut where nobody speaks, nothing is lost, and memory does not grow."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.media.segment import HARD_CUT_S, SpeechChunk, is_quiet, loudness, speech_chunks, trim
from engines.protocol import RATE_HZ
from tests.conftest import tone

SILENCE = np.zeros(RATE_HZ, np.float32)


def chunks(samples: np.ndarray, n: int) -> Iterator[np.ndarray]:
    return (samples[i : i + n] for i in range(0, len(samples), n))


@given(st.lists(st.floats(0.05, 30.0), min_size=1, max_size=4), st.integers(500, 200_000), st.integers(0, 99))
@settings(max_examples=10)
def test_chunks_lie_end_to_end_and_none_is_too_long(lengths_s, n_chunk, seed):
    rng = np.random.default_rng(seed)
    parts = [rng.choice([0.0, 0.3]) * rng.standard_normal(round(s * RATE_HZ)) for s in lengths_s]
    samples = np.concatenate(parts).astype(np.float32)
    found = list(speech_chunks(chunks(samples, n_chunk)))
    assert np.array_equal(np.concatenate([chunk.samples for chunk in found]), samples)
    assert all(0 < len(chunk.samples) <= HARD_CUT_S * RATE_HZ for chunk in found)
    starts = np.cumsum([0, *(len(chunk.samples) for chunk in found)])[:-1] / RATE_HZ
    assert [chunk.start_s for chunk in found] == pytest.approx(starts.tolist())


def test_the_cut_falls_into_the_longest_pause():
    speech = tone(40.0)
    speech[5 * RATE_HZ : round(5.3 * RATE_HZ)] = 0.0
    speech[9 * RATE_HZ : round(9.8 * RATE_HZ)] = 0.0
    first, *_ = speech_chunks(chunks(speech, RATE_HZ))
    assert first.end_s == pytest.approx(9.4, abs=0.05)


def test_an_early_pause_is_passed_over():
    speech = tone(40.0)
    speech[1 * RATE_HZ : 3 * RATE_HZ] = 0.0
    speech[12 * RATE_HZ : round(12.3 * RATE_HZ)] = 0.0
    first, *_ = speech_chunks(chunks(speech, RATE_HZ))
    assert first.end_s == pytest.approx(12.15, abs=0.05)


def test_without_a_pause_the_cut_falls_on_the_quietest_late_moment():
    speech = tone(40.0)
    speech[round(13.0 * RATE_HZ) : round(13.1 * RATE_HZ)] *= 0.2
    first, *_ = speech_chunks(chunks(speech, RATE_HZ))
    assert first.end_s == pytest.approx(13.05, abs=0.15)


def test_a_short_sound_stays_whole():
    (only,) = speech_chunks(iter([tone(12.0)]))
    assert only.start_s == 0.0 and only.end_s == 12.0


def test_silence_at_the_ends_is_cut_away_but_for_a_margin():
    kept = trim(SpeechChunk(5.0, np.concatenate([SILENCE, tone(2.0), SILENCE])))
    assert kept is not None
    assert kept.start_s == pytest.approx(5.7, abs=0.03) and kept.end_s == pytest.approx(8.3, abs=0.03)
    assert trim(SpeechChunk(0.0, SILENCE)) is None


def test_silence_is_told_by_its_loudness():
    assert is_quiet(SILENCE) and is_quiet(SILENCE[:0])
    assert is_quiet(tone(1.0, level=0.001)) and not is_quiet(tone(1.0, level=0.1))
    assert loudness(tone(1.0, level=0.5)).mean() == pytest.approx(0.5 / np.sqrt(2), rel=0.01)
