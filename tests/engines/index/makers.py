"""Rows of a collection with known vectors."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from engines.index import Row
from engines.protocol import Kind


def direction(seed: int, width: int = 16) -> np.ndarray:
    vector = np.random.default_rng(seed).standard_normal(width)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def row(path: Path, seed: int, kind: Kind = "photo", start_s: float = 0.0, end_s: float = 0.0, text: str = "") -> Row:
    return Row(str(path), kind, start_s, end_s, direction(seed), text)
