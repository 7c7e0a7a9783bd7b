"""How loud a sound is, and whether there is anything to hear in it."""

from __future__ import annotations

import numpy as np

from engines.protocol import RATE_HZ

STEP_S = 0.02
"""Loudness is taken over this long, as long as one token of the sound tower."""
QUIET_RMS = 10.0 ** (-55.0 / 20.0)
"""A sound that never gets louder than -55 dB of full scale holds nothing to hear: below microphone hiss."""


def loudness(samples: np.ndarray) -> np.ndarray:
    """Root mean square of each 20 ms at 16 kHz: (n,) -> (ceil(n / 320),)."""
    step = round(STEP_S * RATE_HZ)
    padded = np.pad(samples, (0, -len(samples) % step)).reshape(-1, step)
    return np.sqrt((padded.astype(np.float32) ** 2).mean(1))


def is_quiet(samples: np.ndarray) -> bool:
    """Whether no 20 ms of a sound rise above the energy gate."""
    return len(samples) == 0 or float(loudness(samples).max()) < QUIET_RMS
