"""Sounds are named by the nearest label."""

from __future__ import annotations

from pathlib import Path

from tests.engines.evaluation.oracle import rows_of
from tests.fake_host import FakeHost
from tests.tiny_data import LABELS


def test_sounds_are_named_by_the_nearest_label(oracle: FakeHost, tiny: Path) -> None:
    row = rows_of(oracle, tiny, "sound")["sound.esc10.accuracy"]
    assert (row.value, row.n) == (100.0, len(LABELS))
    assert "chance 20.0 %" in row.note
