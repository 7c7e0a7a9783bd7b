"""Hostile files of every type are made from a seed, cost little and get their sentence."""

from __future__ import annotations

import json
import random
import sys

import pytest

from scripts import hostile_files

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="what a decoder takes is read from /proc")


@pytest.mark.slow
def test_no_type_of_hostile_file_does_harm():
    rows = hostile_files.measure(len(hostile_files.TYPES), seed=1)
    for kind, row in rows.items():
        assert row.n == 1, kind
        assert (row.crashes, row.slow, row.large, row.outside, row.unsaid) == (0, 0, 0, 0, 0), kind


@pytest.mark.parametrize("kind", ["images", "sounds", "clips", "archives", "lists"])
def test_a_seed_makes_the_same_file_again(kind, tmp_path):
    made = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        path = hostile_files._made(kind, tmp_path / name, 0, random.Random(5), tmp_path / "outside.wav")
        made.append((path.name, path.read_bytes()))
    assert made[0] == made[1]


def test_what_was_counted_is_written_for_the_tables(tmp_path):
    out = tmp_path / "hostile_files.json"
    assert hostile_files.main(["--files", "1", "--kills", "0", "--out", str(out)]) == 0
    found = json.loads(out.read_text(encoding="utf-8"))
    assert found["types"]["images"]["n"] == 1 and found["kills"] == {"n": 0, "files": 0, "lost": 0}
