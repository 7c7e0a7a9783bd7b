"""From hostile files come arrays within bounds or a sentence, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engines.errors import MediaError
from engines.media.reading import load_clip, load_photo, load_sound, probe, stream_sound
from engines.protocol import RATE_HZ
from tests.engines.media.makers import film


def small_photo(path: Path) -> Path:
    noise = np.random.default_rng(5).integers(0, 255, (24, 32, 3), np.uint8)
    Image.fromarray(noise).save(path)
    return path


def small_animation(path: Path) -> Path:
    frames = [Image.new("RGB", (32, 24), (i * 60, 90, 200 - i * 60)) for i in range(3)]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=50)
    return path


SEEDS: dict[str, Callable[[Path], Path]] = {
    **{f"photo.{suffix}": small_photo for suffix in ("avif", "bmp", "gif", "jp2", "jpg", "png", "ppm", "tif", "webp")},
    **{f"moving.{suffix}": small_animation for suffix in ("avif", "gif", "png", "webp")},
    **{
        f"sound.{suffix}": lambda path, coding=coding: film(path, picture=None, sound=coding, seconds=0.4)
        for suffix, coding in {
            "aac": "aac", "aiff": "pcm_s16be", "flac": "flac", "m4a": "aac", "mp3": "libmp3lame", "opus": "libopus",
            "wav": "pcm_f32le", "wma": "wmav2",
        }.items()
    },
    **{
        f"clip.{suffix}": lambda path, codings=codings: film(
            path, picture=codings[0], sound=codings[1], seconds=0.4, size=(32, 32)
        )
        for suffix, codings in {
            "avi": ("mpeg4", "libmp3lame"), "flv": ("flv", "aac"), "mkv": ("libx264", "flac"),
            "mov": ("libx264", "pcm_s16le"), "mp4": ("libx264", "aac"), "ts": ("mpeg2video", "mp2"),
            "webm": ("libvpx-vp9", "libopus"),
        }.items()
    },
}  # fmt: skip

N_HOSTILE = 14
"""Mutations of each seed."""


def mutated(data: bytes, rng: np.random.Generator) -> bytes:
    """Bytes flipped, cut, zeroed, doubled or put in, mostly near the beginning, where the structure is."""
    spoilt = bytearray(data)
    for _ in range(rng.integers(1, 6)):
        at = int(len(spoilt) * rng.random() ** 3)
        n = int(rng.integers(1, 40))
        match rng.integers(0, 7):
            case 0:
                del spoilt[at + 1 :]
            case 1:
                spoilt[at : at + n] = rng.bytes(n)
            case 2:
                spoilt[at : at + 4] = rng.choice([b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\0", b"\0\0\0\1"])
            case 3:
                spoilt[at:at] = rng.bytes(n)
            case 4:
                spoilt[at:at] = spoilt[at : at + 200]
            case 5:
                del spoilt[at : at + n]
            case _:
                spoilt[at : at + 1] = bytes([int(rng.integers(256))])
        if not spoilt:
            return b"\0"
    return bytes(spoilt)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", SEEDS)
def test_a_hostile_file_gives_something_within_bounds_or_a_sentence(name, tmp_path):
    data = SEEDS[name](tmp_path / name).read_bytes()
    rng = np.random.default_rng(sorted(SEEDS).index(name))
    path = tmp_path / f"hostile{Path(name).suffix}"
    n_read = 0
    for _ in range(N_HOSTILE):
        path.write_bytes(mutated(data, rng))
        for read in (probe, load_photo, lambda p: load_sound(p, max_s=5), lambda p: load_clip(p, n_frames=2, max_s=5)):
            try:
                read(path)
                n_read += 1
            except MediaError as error:
                assert path.name in error.en and path.name in error.zh
        try:
            for n, chunk in enumerate(stream_sound(path, chunk_s=5)):
                assert len(chunk) <= 5 * RATE_HZ and np.isfinite(chunk).all() and np.abs(chunk).max() <= 1
                if n > 2:
                    break
        except MediaError as error:
            assert error.en.endswith(".")
