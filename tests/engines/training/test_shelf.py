"""Both shelves, of the media and of what towers made of them, hold the same and are read alike."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engines.training.shelf import Shelf, Sounding
from engines.training.store import opened

TOLD = ("id", "captions", "mirrored", "text", "language", "label", "corpus")


@pytest.fixture(params=["media", "stores"])
def either(request: pytest.FixtureRequest, shelf: Shelf, run: Path) -> Shelf:
    return shelf if request.param == "media" else opened(run)


def heard(shelf: Shelf) -> list[Sounding]:
    return [*shelf.sounds, *shelf.quiet, *(own for pair in shelf.spoken for own in pair)]


def test_what_was_there_stands_in_the_same_order_on_both(shelf: Shelf, run: Path) -> None:
    stored = opened(run)
    for one, other in zip(shelf.photos, stored.photos, strict=True):
        assert [known["id"] for known in one.meta] == [known["id"] for known in other.meta]
        assert [known["mirrored"] for known in one.meta] == [known["mirrored"] for known in other.meta]
        assert one.lengths.tolist() == other.lengths.tolist()
    assert shelf.spoken[0][0].meta == stored.spoken[0][0].meta
    assert [m["label"] for m in shelf.sounds[0].meta[:5]] == [m["label"] for m in stored.sounds[0].meta[:5]]


def test_everything_is_known_by_its_row(either: Shelf) -> None:
    for own in (*either.photos, *heard(either)):
        assert len(own) == len(own.meta) == len(own.lengths) > 0
        assert all(known.keys() & set(TOLD) for known in own.meta)
    assert all(first.meta == second.meta for first, second in either.spoken)


def test_a_window_is_no_longer_than_it_may_be_and_an_end_no_longer_than_all(either: Shelf) -> None:
    for own in heard(either):
        rng = np.random.default_rng(0)
        whole = own.row(0, np.random.default_rng(1))
        assert 0 < len(own.window(0, 0.4, rng)) <= round(0.4 * own.hz)
        assert 0 < len(own.end(0, 170, np.random.default_rng(1))) <= len(whole)
        assert own.played(0, 1.0).shape[1:] == own.window(0, 1.0, rng).shape[1:] == whole.shape[1:]
