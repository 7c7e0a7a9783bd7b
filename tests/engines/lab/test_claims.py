"""What the lessons say one should see, measured at the size at which the page shows it.

Trains for minutes, so it is left out unless it is asked for: `python launch.py test -m claims`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TypeAlias

import pytest

from engines.lab import (
    AlignmentRequest,
    ExtractorsRequest,
    FusionRequest,
    LabRequest,
    SharingRequest,
)
from tests.engines.lab.trials import last

pytestmark = pytest.mark.claims

Numbers: TypeAlias = Mapping[str, Mapping[str, float]]
"""Row -> column -> what was measured, shares in percent."""

CHANCE = 10.0
"""Of ten digits."""


@pytest.fixture(autouse=True, scope="module")
def only_when_asked_for(request: pytest.FixtureRequest) -> None:
    if "claims" not in request.config.getoption("-m"):
        pytest.skip("trains for minutes; -m claims runs it")


@pytest.fixture(autouse=True)
def few_examples() -> None:
    """Here it is tested how well: on as many examples as the page measures on."""


@cache
def measured(request: LabRequest) -> dict[str, Numbers]:
    """The tables of a run by their keys."""
    return {
        table.key: {
            str(row[0]): {
                column: float(cell) * (100.0 if column.endswith("%") else 1.0)
                for column, cell in zip(table.columns[1:], row[1:], strict=True)
                if isinstance(cell, int | float)
            }
            for row in table.rows
        }
        for table in last(request).tables
    }


# --- extractors ----------------------------------------------------------------------------------------------------


def test_convolutions_read_pictures_best_with_the_fewest_weights() -> None:
    found = measured(ExtractorsRequest(sense="picture"))["extractors"]
    cnn, transformer = found["cnn"], found["transformer"]
    assert cnn["accuracy %"] > transformer["accuracy %"] + 10.0
    assert cnn["parameters"] < transformer["parameters"] / 5


def test_a_recurrent_network_hears_best_and_takes_longest() -> None:
    found = measured(ExtractorsRequest(sense="sound"))
    accuracy = {kind: row["accuracy %"] for kind, row in found["extractors"].items()}
    assert accuracy.pop("gru") > max(accuracy.values()) + 2.0
    spent = {kind: row["ms per step"] for kind, row in found["time"].items()}
    assert spent.pop("gru") > 1.3 * max(spent.values())


def test_on_words_the_two_end_level_and_know_every_word_that_is_not_spoiled() -> None:
    found = measured(ExtractorsRequest(sense="text"))["extractors"]
    assert abs(found["gru"]["accuracy %"] - found["transformer"]["accuracy %"]) < 5.0
    assert all(row["clean %"] > 98.0 for row in found.values())


# --- fusion --------------------------------------------------------------------------------------------------------

WITH_DROPS = FusionRequest(operator=("picture", "sound", "average", "concat", "attention"))
WHOLE = FusionRequest(operator=("concat", "attention"), dropped=0.0)


@pytest.mark.parametrize("operator", ["average", "concat", "attention"])
def test_fusion_beats_the_better_sense_under_noise(operator: str) -> None:
    found = measured(WITH_DROPS)["fusion"]
    better = max(found[sense]["accuracy %"] for sense in ("picture", "sound"))
    assert found[operator]["accuracy %"] > better + 5.0


@pytest.mark.parametrize("operator", ["concat", "attention"])
def test_trained_on_whole_examples_alone_a_fusion_never_listens(operator: str) -> None:
    found = measured(WHOLE)["fusion"][operator]
    assert found["picture missing %"] < 2 * CHANCE
    assert abs(found["sound missing %"] - found["accuracy %"]) < 3.0, "without its sound it answers as well"
    cured = measured(WITH_DROPS)["fusion"][operator]
    assert cured["picture missing %"] > 45.0
    assert cured["accuracy %"] > found["accuracy %"] + 5.0


# --- alignment -----------------------------------------------------------------------------------------------------


def test_only_what_knows_the_pairs_aligns() -> None:
    found = measured(AlignmentRequest(way=("none", "contrastive", "adversarial")))["alignment"]
    assert found["contrastive"]["mean %"] > 60.0
    assert found["none"]["mean %"] < 3 * CHANCE
    assert found["adversarial"]["mean %"] < 3 * CHANCE


# --- many tasks ----------------------------------------------------------------------------------------------------


def test_sharing_saves_weights_and_does_not_help_every_task() -> None:
    found = measured(SharingRequest())
    assert found["size"]["together"]["parameters"] < 0.3 * found["size"]["alone"]["parameters"]
    difference = {task: row["difference %"] for task, row in found["sharing"].items()}
    assert difference["family"] < -3.0 < 0.0 < difference["language"]
    assert found["gradients"]["digit + parity"]["cosine"] > found["gradients"]["digit + family"]["cosine"] + 0.2
