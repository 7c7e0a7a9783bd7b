"""Few-shot classes from vectors that tell them apart, and from too few of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engines.evaluation.oracle import rows_of
from tests.fake_host import FakeHost


def test_few_shot_classes_are_told_apart_by_perfect_vectors(
    oracle: FakeHost, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engines.evaluation.fewshot.N_EPISODES", 40)
    rows = rows_of(oracle, tiny, "fewshot")
    for shots in (1, 5):
        row = rows[f"fewshot.omniglot.5way_{shots}shot.accuracy"]
        assert row.value == pytest.approx(100.0)
        assert rows[f"fewshot.omniglot.5way_{shots}shot.logistic.accuracy"].value == pytest.approx(100.0)
        assert row.interval is not None
