"""A file as a small picture: the photo, a frame of the clip, the loudness of the sound as bars."""

from __future__ import annotations

from pathlib import Path

from engines.paths import ASSETS

N_BARS = 72
READY = ASSETS / "wall"
"""Thumbnails of the samples; `scripts/prepare_samples.py` makes them."""


def thumbnail(path: Path, *, at_s: float = 0.0) -> tuple[bytes, str]:
    """A thumbnail of a file and its media type: the photo, a frame of the clip, the loudness of the sound.

    Raises MediaError if the file cannot be read.
    """
    from engines import media

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


def wave_svg(heights: list[float]) -> bytes:
    """A sound as bars. heights: 0 to 1."""
    bars = "".join(
        f'<rect x="{5 * n}" y="{50 - 42 * height:.1f}" width="3" height="{max(2.0, 84 * height):.1f}" rx="1.5"/>'
        for n, height in enumerate(heights)
    )
    width = 5 * len(heights)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-20 -15 {width + 40} 130" fill="#D55E00">{bars}</svg>'
    ).encode()
