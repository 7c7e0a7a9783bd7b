"""Hostile files of every type are made from a seed, cost little and get their sentence."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest

from engines.evaluation import trust

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="what a decoder takes is read from /proc")


@pytest.mark.slow
def test_no_type_of_hostile_file_does_harm() -> None:
    rows = trust.measure(len(trust.TYPES), seed=1)
    for kind, row in rows.items():
        assert row.n == 1, kind
        assert (row.crashes, row.slow, row.large, row.outside, row.unsaid) == (0, 0, 0, 0, 0), kind


@pytest.mark.parametrize("kind", ["images", "sounds", "clips", "archives", "lists"])
def test_a_seed_makes_the_same_file_again(kind: str, tmp_path: Path) -> None:
    made = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        path = trust._made(kind, tmp_path / name, 0, random.Random(5), tmp_path / "outside.wav")
        made.append((path.name, path.read_bytes()))
    assert made[0] == made[1]


def test_the_table_has_a_line_for_each_type() -> None:
    rows = {"images": trust.FileTally(n=3, n_read=2, most_cpu_s=1.25, most_bytes=2**28)}
    assert trust.table(rows).splitlines()[2] == "| images | 3 | 2 | 0 | 0 | 0 | 0 | 0 | 1.2 s | 256 MB |"
