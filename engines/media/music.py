"""Whether a sound without speech is music: tones that last, and that change.

Tones that last stand out in a spectrogram as level lines, knocks as upright ones: a median along each direction tells
them apart (FitzGerald 2010). A hum, a beep or a held chord lasts and never changes; in music it depends on the moment
which tone sounds, which is the mutual information between the two.
"""

from __future__ import annotations

import numpy as np

from engines.protocol import RATE_HZ

MUSIC = 0.06
"""From here on a sound is music. Of UrbanSound8K's dev clips 19 of 30 of street music lie above, and 12 of 244 of other
sounds, half of them air conditioners (`python -m scripts.measure_music DATA`)."""
WINDOW = 2048
HOP = 512
LOWEST_HZ, HIGHEST_HZ = 78.0, 2000.0
"""Where the tones of tunes lie."""
MEDIAN = 13
"""Columns (0.4 s) or rows (100 Hz) of the spectrogram that a median takes."""
LEAST_S = 2.0
"""In less than this no tune is heard."""


def is_music(samples: np.ndarray) -> bool:
    """Whether samples (n,) at 16 kHz without speech are music."""
    return len(samples) >= LEAST_S * RATE_HZ and _tunefulness(samples) >= MUSIC


def _tunefulness(samples: np.ndarray) -> float:
    """The share of lasting tones in the energy, above the half that noise has, times how much they change, in nats."""
    frames = np.lib.stride_tricks.sliding_window_view(samples.astype(np.float32), WINDOW)[::HOP]
    spectrum = np.abs(np.fft.rfft(frames * np.hanning(WINDOW).astype(np.float32))).T  # (F, T)
    hertz = np.arange(len(spectrum)) * RATE_HZ / WINDOW
    band = (hertz >= LOWEST_HZ) & (hertz < HIGHEST_HZ)
    spectrum, hertz = spectrum[band], hertz[band]
    level, upright = _median(spectrum, axis=1) ** 2, _median(spectrum, axis=0) ** 2
    tones = spectrum**2 * level / (level + upright + 1e-12)
    total = float((spectrum**2).sum())
    if total <= 0.0:
        return 0.0
    semitone = np.round(12.0 * np.log2(hertz / LOWEST_HZ)).astype(int)
    notes = np.stack([tones[semitone == n].sum(0) for n in np.unique(semitone)]).astype(np.float64)  # (N, T)
    joint = notes / max(float(notes.sum()), 1e-12)
    change = _entropy(joint.sum(0)) + _entropy(joint.sum(1)) - _entropy(joint)
    return (float(tones.sum()) / total - 0.5) * change


def _median(values: np.ndarray, axis: int) -> np.ndarray:
    """The running median along an axis, mirrored at the ends."""
    pad = [(MEDIAN // 2, MEDIAN // 2) if n == axis else (0, 0) for n in range(values.ndim)]
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(values, pad, mode="symmetric"), MEDIAN, axis=axis)
    median: np.ndarray = np.median(windows, axis=-1)
    return median


def _entropy(share: np.ndarray) -> float:
    return -float((share * np.log(share + 1e-12)).sum())
