"""Layouts on a plane: what is alike lies together, and the same vectors give the same picture."""

from __future__ import annotations

import numpy as np
import pytest

from engines.tasks.maps import kmeans, pca, tsne


@pytest.fixture
def three_groups():
    """Ten vectors around each of three directions, (30, 16)."""
    random = np.random.default_rng(0)
    middles = np.eye(16, dtype=np.float32)[[0, 5, 9]]
    vectors = np.repeat(middles, 10, axis=0) + 0.1 * random.standard_normal((30, 16)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def laid_out(vectors):
    *_, placed = tsne(vectors @ vectors.T, pca(vectors))
    return placed


def test_tsne_keeps_each_group_together_and_apart_from_the_others(three_groups):
    placed = laid_out(three_groups).reshape(3, 10, 2)
    middles = placed.mean(1)
    radius = np.linalg.norm(placed - middles[:, None], axis=2).max()
    between = min(np.linalg.norm(middles[i] - middles[j]) for i, j in ((0, 1), (0, 2), (1, 2)))
    assert between > 2.0 * radius


def test_tsne_gives_the_same_picture_every_time(three_groups):
    assert np.array_equal(laid_out(three_groups), laid_out(three_groups))


def test_tsne_of_equal_vectors_is_finite():
    assert np.isfinite(laid_out(np.ones((12, 4), np.float32) / 2.0)).all()


def test_principal_components_find_the_direction_in_which_vectors_differ_most():
    line = np.arange(5.0)[:, None] * np.array([[3.0, 4.0, 0.0]])
    placed = pca(line)
    assert np.allclose(np.abs(np.diff(placed[:, 0])), 5.0, atol=1e-5)
    assert np.allclose(placed[:, 1], 0.0, atol=1e-5)


def test_one_vector_is_placed_too():
    assert pca(np.ones((1, 8), np.float32)).shape == (1, 2)


def test_kmeans_finds_the_groups(three_groups):
    found = kmeans(laid_out(three_groups), 3).reshape(3, 10)
    assert all(len(set(row)) == 1 for row in found.tolist())
    assert len({row[0] for row in found.tolist()}) == 3


def test_kmeans_makes_no_more_clusters_than_there_are_places():
    assert kmeans(np.zeros((6, 2)), 4).tolist() == [0] * 6
