"""A collection in a file finds copies and lookalikes, and gives scores a meaning; the rest is in `test_contract`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from engines.index import Row
from engines.protocol import KINDS, Kind
from tests.engines.index.makers import direction, row

ALL = frozenset(KINDS)
ROOT = Path(__file__).resolve().parents[3]


# --- one file's rows ---------------------------------------------------------------------------------------------


def test_the_rows_of_a_file_come_in_the_order_they_were_put(collection, tmp_path):
    path, other = tmp_path / "talk.mp4", tmp_path / "other.mp4"
    collection.put(path, "d", [row(path, 1, "clip", 0, 8, "a dog"), row(path, 2, "speech", 8, 16, "hello")])
    collection.put(other, "e", [row(other, 3)])
    rows = collection.rows_of(path)
    assert [(r.path, r.kind, r.start_s, r.end_s, r.text) for r in rows] == [
        (str(path), "clip", 0, 8, "a dog"),
        (str(path), "speech", 8, 16, "hello"),
    ]
    assert np.allclose([r.vector for r in rows], [direction(1), direction(2)], atol=1e-3)
    assert collection.rows_of(tmp_path / "never-there.mp4") == []


# --- near-duplicates ---------------------------------------------------------------------------------------------


def test_copies_are_told_by_their_bytes_and_lookalikes_by_their_vectors(collection, tmp_path):
    def put(name: str, digest: str, vector: np.ndarray, kind: Kind = "photo") -> str:
        collection.put(tmp_path / name, digest, [Row(str(tmp_path / name), kind, 0, 0, vector)])
        return str(tmp_path / name)

    original = put("a.jpg", "same", direction(1))
    copy = put("b.jpg", "same", direction(1))
    third = put("c.jpg", "same", direction(1))
    alike = put("d.jpg", "other", direction(1) + 0.1 * direction(2))
    put("e.jpg", "far", direction(3))
    put("f.wav", "sound", direction(1), "sound")  # another kind is no duplicate
    pairs = collection.near_duplicates()
    assert [pair[:2] for pair in pairs] == [(original, copy), (original, third), (original, alike)]
    assert [pair[2] for pair in pairs[:2]] == [1, 1] and 0.97 <= pairs[2][2] < 1
    assert [pair[:2] for pair in collection.near_duplicates(0.9999)] == [(original, copy), (original, third)]


def test_a_file_that_failed_is_no_duplicate(collection, tmp_path):
    collection.fail(tmp_path / "a.jpg", "damaged")
    collection.fail(tmp_path / "b.jpg", "damaged")
    assert collection.near_duplicates() == []
