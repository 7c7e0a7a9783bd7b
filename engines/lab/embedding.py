"""Nearest neighbours of embeddings, and their projection onto a plane."""

from __future__ import annotations

import numpy as np


def cosines(vectors: np.ndarray) -> np.ndarray:
    """Unit vectors (N, D) -> the cosine of the angle between every two, (N, N)."""
    found: np.ndarray = vectors @ vectors.T
    return found


def nearest(likeness: np.ndarray, n: int) -> np.ndarray:
    """Cosines (N, N) -> for each thing the `n` others with the greatest, the greatest first, (N, n)."""
    others = likeness.copy()
    np.fill_diagonal(others, -np.inf)
    order: np.ndarray = np.argsort(-others, axis=1, kind="stable")[:, :n]
    return order


def plane(likeness: np.ndarray) -> tuple[np.ndarray, float]:
    """Cosines (N, N) -> points on a plane (N, 2) that preserve the distances best, and the share of the squared
    distances that they preserve: classical multidimensional scaling (Torgerson 1952)."""
    squared = 2.0 - 2.0 * likeness.astype(np.float64)  # of the distances between unit vectors
    centre = np.eye(len(squared)) - 1.0 / len(squared)
    values, vectors = np.linalg.eigh(-0.5 * centre @ squared @ centre)  # the smallest first
    values = np.maximum(values[::-1], 0.0)
    places = vectors[:, ::-1][:, :2] * np.sqrt(values[:2])
    return places, float(values[:2].sum() / max(values.sum(), 1e-12))
