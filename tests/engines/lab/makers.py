"""Small folders of photos and sounds, made on the spot."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
from PIL import Image

from engines.protocol import RATE_HZ


def save_photos(folder: Path, n: int, *, first: int = 0) -> None:
    """n tiny pictures, all different."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(first, first + n):
        pixels = np.random.default_rng([i, *folder.name.encode()]).integers(0, 256, (12, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i:03}.png")


def tone(seconds: float, hz: float = 440.0, level: float = 0.3) -> np.ndarray:
    """(n,) float32 at 16 kHz."""
    return (level * np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE_HZ)) / RATE_HZ)).astype(np.float32)


def save_sound(path: Path, samples: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes((samples * 32767).astype("<i2").tobytes())


def save_sounds(folder: Path, n: int) -> None:
    """n short tones, all different."""
    for i in range(n):
        save_sound(folder / f"{i:03}.wav", tone(0.3, 200.0 + 37.0 * i + sum(folder.name.encode()) % 31))
