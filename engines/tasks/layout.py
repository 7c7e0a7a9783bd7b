"""Lay vectors out on a plane: principal components, t-SNE, k-means. NumPy only, the same picture every time.

n points, D numbers a vector, m their k nearest neighbours.
"""

from __future__ import annotations

from collections.abc import Generator

import numpy as np

PERPLEXITY = 15.0
"""About how many neighbours a point is kept close to; a third of the points where there are fewer."""
N_ITERATIONS = 300
N_EXAGGERATED = 100
"""The first steps, in which neighbours attract each other 12 times as much (van der Maaten and Hinton 2008)."""
FEWEST = 8
"""With fewer points t-SNE says nothing."""


def pca(vectors: np.ndarray) -> np.ndarray:
    """(n, D) -> (n, 2): along the two directions of most variance."""
    centred = vectors - vectors.mean(0)
    _, _, directions = np.linalg.svd(centred, full_matrices=False)
    placed = np.zeros((len(vectors), 2), np.float32)
    flat = centred @ directions[:2].T
    placed[:, : flat.shape[1]] = flat
    return placed


def tsne(similarity: np.ndarray, start: np.ndarray) -> Generator[int, None, np.ndarray]:
    """(n, n) similarities, of which only differences count, and a first layout (n, 2) -> (n, 2).

    Exact t-SNE from a layout by principal components (Kobak and Berens 2019), so nothing is left to chance. Yields the
    number of steps done, so that whoever waits can stop.
    """
    n = len(similarity)
    attraction = _neighbours(similarity, min(PERPLEXITY, (n - 1) / 3.0))
    placed = (start / max(float(start[:, 0].std()), 1e-9) * 1e-2).astype(np.float32)
    moved, gains = np.zeros_like(placed), np.ones_like(placed)
    rate = max(n / 12.0 / 4.0, 50.0)
    for step in range(N_ITERATIONS):
        squares = (placed**2).sum(1)
        near = 1.0 / (1.0 + np.maximum(squares[:, None] + squares[None] - 2.0 * placed @ placed.T, 0.0))
        np.fill_diagonal(near, 0.0)
        pull = (12.0 if step < N_EXAGGERATED else 1.0) * attraction - near / max(float(near.sum()), 1e-12)
        pull *= near
        slope = 4.0 * (pull.sum(1)[:, None] * placed - pull @ placed)
        gains = np.maximum(np.where(np.sign(slope) == np.sign(moved), gains * 0.8, gains + 0.2), 0.01)
        moved = (0.5 if step < N_EXAGGERATED else 0.8) * moved - rate * gains * slope
        placed = placed + moved - (placed + moved).mean(0)
        yield step + 1
    return placed


def _neighbours(similarity: np.ndarray, perplexity: float) -> np.ndarray:
    """(n, n) joint probabilities: how much each pair of points belongs together, by their nearest neighbours."""
    n = len(similarity)
    m = min(n - 1, int(3 * perplexity) + 1)
    similarity = similarity.astype(np.float32, copy=True)
    np.fill_diagonal(similarity, -np.inf)
    nearest = np.argpartition(-similarity, m - 1, axis=1)[:, :m]  # (n, m)
    distance = -np.take_along_axis(similarity, nearest, axis=1)
    distance -= distance.min(1, keepdims=True)
    low, high, sharpness = np.zeros(n), np.full(n, np.inf), np.ones(n)
    for _ in range(60):  # bisection: the entropy of each row is to be log(perplexity)
        weights = np.exp(-distance * sharpness[:, None])
        weights /= weights.sum(1, keepdims=True)
        entropy = -(weights * np.log(np.maximum(weights, 1e-12))).sum(1)
        wide = entropy > np.log(perplexity)
        low, high = np.where(wide, sharpness, low), np.where(wide, high, sharpness)
        sharpness = np.where(np.isinf(high), 2.0 * sharpness, (low + high) / 2.0)
    joint = np.zeros((n, n), np.float32)
    np.put_along_axis(joint, nearest, weights.astype(np.float32), axis=1)
    return (joint + joint.T) / (2.0 * n)


def kmeans(points: np.ndarray, k: int, *, n_tries: int = 8) -> np.ndarray:
    """(n, 2) -> the number of its cluster for each point, 0 to k - 1; the tightest of several tries."""
    random = np.random.default_rng(0)
    best, least = np.zeros(len(points), int), np.inf
    for _ in range(n_tries):
        middles = _spread(points, k, random)
        for _ in range(50):
            distance = ((points[:, None] - middles[None]) ** 2).sum(2)
            chosen = distance.argmin(1)
            means = [points[chosen == i].mean(0) if (chosen == i).any() else middles[i] for i in range(len(middles))]
            if np.allclose(means, middles):
                break
            middles = np.stack(means)
        spread = float(distance.min(1).sum())
        if spread < least:
            best, least = chosen, spread
    return np.unique(best, return_inverse=True)[1].reshape(-1)


def _spread(points: np.ndarray, k: int, random: np.random.Generator) -> np.ndarray:
    """First middles, the farther apart the likelier (k-means++, Arthur and Vassilvitskii 2007)."""
    middles = [points[random.integers(len(points))]]
    for _ in range(k - 1):
        distance = ((points[:, None] - np.stack(middles)[None]) ** 2).sum(2).min(1)
        total = float(distance.sum())
        if total <= 0.0:
            break
        middles.append(points[random.choice(len(points), p=distance / total)])
    return np.stack(middles)
