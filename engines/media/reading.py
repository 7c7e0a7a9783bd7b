"""Whole files read in this process: what a file is, and what is in it.

Others read through `engines.media`, which runs these functions in a process of their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from engines.errors import MediaError
from engines.media import photos, tracks
from engines.media.metadata import load_metadata as load_metadata
from engines.media.refusals import refusal
from engines.protocol import RATE_HZ, Clip, Photo, Sound

MAX_FRAMES = 256
"""Frames that can be asked of one clip."""


@dataclass(frozen=True)
class MediaInfo:
    """What a file is. duration_s is 0 for a photo; width and height are upright pixels, 0 for a sound."""

    kind: Literal["photo", "sound", "clip"]
    duration_s: float
    has_sound: bool
    width: int
    height: int


def probe(path: Path) -> MediaInfo:
    """Look inside a file: a sound with cover art is a sound, an animated picture is a clip without sound.

    Decodes one frame of a clip, but all of an animated picture. Raises MediaError.
    """
    with photos.opened(path) as image:
        if image is not None:
            if photos.moves(image):
                return MediaInfo("clip", photos.Animation(path, image).duration_s, False, *image.size)
            return MediaInfo("photo", 0.0, False, *photos.upright_size(image))
    with tracks.opened(path) as container:
        duration_s = tracks.duration_s(path, container)
        has_sound = tracks.audio(container) is not None
        if tracks.video(container) is None:
            return MediaInfo("sound", duration_s, has_sound, 0, 0)
        return MediaInfo("clip", duration_s, has_sound, *tracks.upright_size(tracks.Film(path, container).at(0.0)))


def load_photo(path: Path, *, max_side: int = 1024) -> Photo:
    """A photo, upright and on white, its longer side at most `max_side` pixels; the first frame if it moves.

    Raises MediaError.
    """
    with photos.opened(path) as image:
        if image is not None:
            return Photo(photos.pixels(image, max_side))
    with tracks.opened(path):
        raise refusal("not_a_photo", path)


def load_sound(path: Path, *, start_s: float = 0.0, max_s: float | None = None) -> Sound:
    """The sound of a sound file or clip from `start_s` on, at most `max_s` seconds of it, its level kept.

    Raises MediaError, also where the sound ends before `start_s`.
    """
    n_max = None if max_s is None else max(1, round(max_s * RATE_HZ))
    blocks, n = [], 0
    for block in _blocks(path, start_s):
        blocks.append(block)
        n += len(block)
        if n_max is not None and n >= n_max:
            break
    return Sound(np.concatenate(blocks)[:n_max])


def stream_sound(path: Path, *, chunk_s: float = 30.0) -> Iterator[np.ndarray]:
    """The same in consecutive chunks of `chunk_s` seconds, the last one shorter; memory does not grow with length.

    Raises MediaError, at the first chunk or where the length passes MAX_SECONDS.
    """
    n_chunk = max(1, round(chunk_s * RATE_HZ))
    chunk, n = np.empty(n_chunk, np.float32), 0
    for block in _blocks(path, 0.0):
        while len(block) > 0:
            part, block = block[: n_chunk - n], block[n_chunk - n :]
            chunk[n : n + len(part)] = part
            n += len(part)
            if n == n_chunk:
                yield chunk
                chunk, n = np.empty(n_chunk, np.float32), 0
    if n > 0:
        yield chunk[:n]


def _blocks(path: Path, start_s: float) -> Iterator[np.ndarray]:
    with photos.opened(path) as image:
        if image is not None:
            raise refusal("no_sound" if photos.moves(image) else "not_moving", path)
    with tracks.opened(path) as container:
        yield from tracks.sound_blocks(path, container, start_s)


def load_clip(
    path: Path,
    *,
    n_frames: int = 16,
    max_side: int = 512,
    start_s: float = 0.0,
    max_s: float | None = None,
    sound_s: float | None = None,
) -> Clip:
    """Exactly `n_frames` frames at the mid-points of equal spans, and the sound track if there is one.

    The clip is what lies from `start_s` on, at most `max_s` seconds of it; times and sound count from `start_s`. A
    frame is the one on screen at its time, its longer side at most `max_side` pixels. sound_s: keep only so much
    of the sound, where all of it would be too much to hold. Raises MediaError.
    """
    if not 1 <= n_frames <= MAX_FRAMES:
        raise ValueError(f"n_frames is {n_frames}, not 1 to {MAX_FRAMES}")
    with photos.opened(path) as image:
        if image is not None:
            if not photos.moves(image):
                raise refusal("not_moving", path)
            animation = photos.Animation(path, image)
            length_s, times_s = _span(path, animation.duration_s, start_s, max_s, n_frames)
            return Clip(animation.at([start_s + t for t in times_s], max_side), times_s, length_s)
    with tracks.opened(path) as container:
        length_s, times_s = _span(path, tracks.duration_s(path, container), start_s, max_s, n_frames)
        film = tracks.Film(path, container)
        frames = tuple(tracks.pixels(path, film.at(start_s + t), max_side) for t in times_s)
        has_sound = tracks.audio(container) is not None
    kept_s = length_s if sound_s is None else min(length_s, sound_s)
    try:
        sound = load_sound(path, start_s=start_s, max_s=kept_s) if has_sound else None
    except MediaError:  # a sound track that ends earlier or cannot be read leaves a silent clip, not a failure
        sound = None
    return Clip(frames, times_s, length_s, sound)


def _span(
    path: Path, duration_s: float, start_s: float, max_s: float | None, n_frames: int
) -> tuple[float, tuple[float, ...]]:
    if start_s > 0 and start_s >= duration_s:
        raise refusal("past_the_end", path, start_s=start_s)
    length_s = duration_s - start_s if max_s is None else min(max_s, duration_s - start_s)
    return length_s, tuple((i + 0.5) * length_s / n_frames for i in range(n_frames))
