"""Embeddings on paper: the nearest come first, and a plane keeps the distances as far as it can."""

from __future__ import annotations

import numpy as np
import pytest

from engines.lab.embedding import cosines, nearest, plane


def circle(*degrees: float) -> np.ndarray:
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def test_the_nearest_come_first_and_nothing_is_near_itself():
    order = nearest(cosines(circle(0, 10, 30, 180)), 2)
    assert order.tolist() == [[1, 2], [0, 2], [1, 0], [2, 1]]


def test_what_lies_on_a_plane_is_shown_with_its_distances():
    likeness = cosines(circle(0, 40, 100, 250))
    places, share = plane(likeness)
    shown = ((places[:, None] - places[None]) ** 2).sum(-1)
    assert shown == pytest.approx(2 - 2 * likeness, abs=1e-9) and share == pytest.approx(1.0)


def test_the_share_says_what_the_plane_leaves_out():
    places, share = plane(cosines(np.eye(4)))  # a tetrahedron: three directions, all as long
    assert places.shape == (4, 2) and share == pytest.approx(2 / 3)


def test_the_same_thing_several_times_is_one_point():
    places, share = plane(cosines(np.tile(circle(20), (3, 1))))
    assert places == pytest.approx(np.zeros((3, 2)), abs=1e-6) and 0.0 <= share <= 1.0
