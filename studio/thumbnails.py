"""A file as a small picture: the photo, a frame of the clip, the loudness of the sound as bars, from end to end too."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from engines import media
from engines.paths import ASSETS

N_BARS = 72
N_LONG_BARS = 160
MOST_WAVE_S = 600.0
"""Of a longer recording no wave is drawn from end to end: all of its sound would be decoded for it."""
READY = ASSETS / "wall"
"""Thumbnails of the samples; `scripts/prepare_samples.py` makes them."""


def thumbnail(path: Path, *, at_s: float = 0.0) -> tuple[bytes, str]:
    """A thumbnail of a file and its media type: the photo, a frame of the clip, the loudness of the sound.

    Raises MediaError if the file cannot be read.
    """
    for suffix, kind in ((".jpg", "image/jpeg"), (".svg", "image/svg+xml")):
        ready = READY / f"{path.name}{suffix}"
        if path.parent == READY.with_name("samples") and at_s == 0.0 and ready.is_file():
            return ready.read_bytes(), kind
    made = media.thumbnail(path, at_s=at_s)
    if made.jpeg is not None:
        return made.jpeg.tobytes(), "image/jpeg"
    peaks = [] if made.peaks is None else made.peaks.tolist()
    loudest = max(0.05, *peaks)
    return wave_svg([peak / loudest for peak in peaks]), "image/svg+xml"


def wave_svg(heights: Sequence[float]) -> bytes:
    """A sound as bars in a frame. heights: 0 to 1."""
    width = 5 * len(heights)
    return _bars(heights, 84.0, f'viewBox="-20 -15 {width + 40} 130"')


def _bars(heights: Sequence[float], tallest: float, box: str) -> bytes:
    bars = "".join(
        f'<rect x="{5 * n}" y="{50 - tallest * height / 2:.1f}" width="3" height="{max(2.0, tallest * height):.1f}" '
        'rx="1.5"/>'
        for n, height in enumerate(heights)
    )
    return f'<svg xmlns="http://www.w3.org/2000/svg" {box} fill="#D55E00">{bars}</svg>'.encode()


def whole_wave(path: Path, duration_s: float) -> bytes:
    """The loudness of a sound or clip from its beginning to its end, as wide as it is shown. Raises MediaError."""
    return _whole_wave(path, path.stat().st_mtime_ns, duration_s)


@lru_cache(maxsize=64)
def _whole_wave(path: Path, _changed_ns: int, duration_s: float) -> bytes:
    sound = media.load_sound(path, max_s=MOST_WAVE_S)
    samples, size = np.abs(sound.samples), max(1, round(duration_s * sound.rate_hz) // N_LONG_BARS)
    samples = np.pad(samples, (0, max(0, size * N_LONG_BARS - len(samples))))[: size * N_LONG_BARS]
    peaks = samples.reshape(N_LONG_BARS, size).max(axis=1)
    heights = (peaks / max(0.05, float(peaks.max()))).tolist()
    return _bars(heights, 96.0, f'viewBox="0 0 {5 * N_LONG_BARS} 100" preserveAspectRatio="none"')
