"""Music is told from hums, beeps, noise and other sounds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engines import media
from engines.media.music import is_music
from engines.paths import ASSETS
from engines.protocol import RATE_HZ

TIME_S = np.arange(8 * RATE_HZ) / RATE_HZ


def tones(*hertz: float) -> np.ndarray:
    return (0.2 * np.mean([np.sin(2 * np.pi * f * TIME_S) for f in hertz], axis=0)).astype(np.float32)


def tune() -> np.ndarray:
    """Notes of 0.4 s that fade, with overtones, drawn from an octave."""
    rng, note_s = np.random.default_rng(0), TIME_S[: round(0.4 * RATE_HZ)]
    notes = 220.0 * 2 ** (rng.integers(0, 13, 20) / 12)
    played = [sum(np.sin(2 * np.pi * f * k * note_s) / k for k in range(1, 6)) * np.exp(-3 * note_s) for f in notes]
    return (0.2 * np.concatenate(played)).astype(np.float32)


def sample(name: str) -> np.ndarray:
    return np.concatenate(list(media.stream_sound(Path(ASSETS / "samples" / name), chunk_s=5.0)))


def test_a_tune_and_the_music_of_the_samples_are_music_at_any_loudness():
    for samples in (tune(), sample("music.mp3")):
        assert is_music(samples) and is_music(0.01 * samples)


@pytest.mark.parametrize("name", ["rain.opus", "applause.flac", "barking.mp3", "helicopter.wav", "train.m4a"])
def test_other_sounds_of_the_samples_are_not(name):
    assert not is_music(sample(name))


NOT_MUSIC = {
    "silence": np.zeros(8 * RATE_HZ, np.float32),
    "a beep": tones(1000.0),
    "mains hum": tones(50.0, 100.0, 150.0),
    "a chord that is held": tones(261.6, 329.6, 392.0),
    "noise": (0.1 * np.random.default_rng(0).standard_normal(8 * RATE_HZ)).astype(np.float32),
    "a siren": (0.2 * np.sin(2 * np.pi * 800 * TIME_S + 600 * np.sin(np.pi * TIME_S))).astype(np.float32),
    "a moment": tune()[: RATE_HZ // 2],
}


@pytest.mark.parametrize("name", NOT_MUSIC)
def test_what_is_generated_without_a_tune_is_not(name):
    assert not is_music(NOT_MUSIC[name])
