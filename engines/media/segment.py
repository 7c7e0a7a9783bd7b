"""How loud a sound is; long sound cut at its pauses, so that a model gets at most 15 s at a time.

Memory is constant: less than a minute of samples is held at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from engines.protocol import RATE_HZ

STEP_S = 0.02
"""Loudness is taken over this long, as long as one token of the sound tower."""
QUIET_RMS = 10.0 ** (-55.0 / 20.0)
"""A sound that never gets louder than -55 dB of full scale holds nothing to hear: below microphone hiss."""
EARLIEST_CUT_S = 4.0
"""Before this a chunk is too short to be worth a window of its own."""
LATEST_CUT_S = 14.0
HARD_CUT_S = 15.0
"""Without a pause by now, the cut falls on the quietest moment of the last seconds. The tower could hear 30 s, but half
of the speech in training is shorter than 4 s and little of it longer than this."""
SEEK_FROM_S = 10.0
PAUSE_S = 0.2
"""Shorter lulls are the closures of p, t and k."""
MARGIN_S = 0.3
"""Silence kept on both sides of what is loud."""


def loudness(samples: np.ndarray) -> np.ndarray:
    """Root mean square of each 20 ms at 16 kHz: (n,) -> (ceil(n / 320),)."""
    step = round(STEP_S * RATE_HZ)
    padded = np.pad(samples, (0, -len(samples) % step)).reshape(-1, step)
    return np.sqrt((padded.astype(np.float32) ** 2).mean(1))


def is_quiet(samples: np.ndarray) -> bool:
    """Whether no 20 ms of a sound rise above the energy gate."""
    return len(samples) == 0 or float(loudness(samples).max()) < QUIET_RMS


@dataclass(frozen=True, eq=False)
class SpeechChunk:
    """Part of a sound between two cuts. samples: (n,) float32 at 16 kHz, at most 15 s."""

    start_s: float
    samples: np.ndarray

    @property
    def end_s(self) -> float:
        return self.start_s + len(self.samples) / RATE_HZ


def speech_chunks(blocks: Iterator[np.ndarray]) -> Iterator[SpeechChunk]:
    """Cut consecutive blocks of any length into chunks of at most 15 s that lie end to end, at pauses."""
    held = np.zeros(0, np.float32)
    start = 0
    hard_cut = round(HARD_CUT_S * RATE_HZ)
    for block in blocks:
        held = np.concatenate([held, block])
        while len(held) > hard_cut:
            cut = _cut(held[:hard_cut])
            yield SpeechChunk(start / RATE_HZ, held[:cut])
            held, start = held[cut:], start + cut
    if len(held):
        yield SpeechChunk(start / RATE_HZ, held)


def _cut(samples: np.ndarray) -> int:
    """The sample to cut at: the middle of the longest pause, or else the quietest moment late in the sound."""
    level = 20.0 * np.log10(np.maximum(loudness(samples), 1e-6))  # (n,) dB, one per 20 ms
    low, high = np.percentile(level, (10, 95))
    quiet = level < low + 0.25 * (high - low)
    edges = np.flatnonzero(np.diff(np.concatenate(([False], quiet, [False])).astype(np.int8)))
    begins, ends = edges[::2], edges[1::2]
    middles_s = (begins + ends) / 2 * STEP_S
    fits = (ends - begins >= PAUSE_S / STEP_S) & (middles_s >= EARLIEST_CUT_S) & (middles_s <= LATEST_CUT_S)
    if fits.any():
        at = int(np.argmax(np.where(fits, ends - begins, 0)))
        return round(middles_s[at] * RATE_HZ)
    late = round(SEEK_FROM_S / STEP_S)
    n = round(PAUSE_S / STEP_S)
    smooth = np.convolve(level[late:], np.ones(n) / n, mode="same")
    return round((late + int(smooth.argmin()) + 0.5) * STEP_S * RATE_HZ)


def trim(chunk: SpeechChunk) -> SpeechChunk | None:
    """A chunk without the silence at its ends; None where there is nothing but silence."""
    loud = np.flatnonzero(loudness(chunk.samples) >= QUIET_RMS)
    if len(loud) == 0:
        return None
    step, margin = round(STEP_S * RATE_HZ), round(MARGIN_S * RATE_HZ)
    start = max(0, int(loud[0]) * step - margin)
    end = (int(loud[-1]) + 1) * step + margin
    return SpeechChunk(chunk.start_s + start / RATE_HZ, chunk.samples[start:end])
