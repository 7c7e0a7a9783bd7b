"""What the lessons say one should see, measured at the size at which the page shows it.

Trains for minutes, so it is left out unless it is asked for: `python launch.py test -m claims`.
"""

from __future__ import annotations

import itertools
from functools import cache
from typing import TypeAlias

import numpy as np
import pytest

from engines.lab import (
    AlignmentRequest,
    ExtractorsRequest,
    Findings,
    FusionRequest,
    LabRequest,
    MultitaskRequest,
)
from tests.engines.lab.trials import last

pytestmark = pytest.mark.claims

Numbers: TypeAlias = dict[str, dict[str, float]]
"""Row -> column -> what was measured, shares in percent."""

CHANCE = 10.0
"""Of ten digits."""


@pytest.fixture(autouse=True, scope="module")
def only_when_asked_for(request) -> None:
    if "claims" not in request.config.getoption("-m"):
        pytest.skip("trains for minutes; -m claims runs it")


@pytest.fixture(autouse=True)
def few_examples() -> None:
    """Here it is tested how well: on as many examples as the page measures on."""


@cache
def run(request: LabRequest) -> Findings:
    return last(request)


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
        for table in run(request).tables
    }


# --- extractors ----------------------------------------------------------------------------------------------------


def test_convolutions_read_pictures_best_with_the_fewest_weights():
    found = measured(ExtractorsRequest(modality="picture"))["extractors"]
    cnn, transformer = found["cnn"], found["transformer"]
    assert cnn["accuracy %"] > transformer["accuracy %"] + 10.0
    assert cnn["parameters"] < transformer["parameters"] / 5


def test_a_recurrent_network_hears_best_and_takes_longest():
    found = measured(ExtractorsRequest(modality="sound"))
    accuracy = {kind: row["accuracy %"] for kind, row in found["extractors"].items()}
    assert accuracy.pop("gru") > max(accuracy.values()) + 2.0
    spent = {kind: row["ms per step"] for kind, row in found["time"].items()}
    assert spent.pop("gru") > 1.3 * max(spent.values())


def test_on_words_the_two_end_level_and_know_every_word_that_is_not_spoiled():
    found = measured(ExtractorsRequest(modality="text"))["extractors"]
    assert abs(found["gru"]["accuracy %"] - found["transformer"]["accuracy %"]) < 5.0
    assert all(row["clean %"] > 98.0 for row in found.values())


# --- fusion --------------------------------------------------------------------------------------------------------

WITH_DROPS = FusionRequest(operator=("picture", "sound", "average", "concat", "attention"))
WHOLE = FusionRequest(operator=("concat", "attention"), modality_dropout=0.0)


@pytest.mark.parametrize("operator", ["average", "concat", "attention"])
def test_fusion_beats_the_better_sense_under_noise(operator):
    found = measured(WITH_DROPS)["fusion"]
    better = max(found[modality]["accuracy %"] for modality in ("picture", "sound"))
    assert found[operator]["accuracy %"] > better + 5.0


@pytest.mark.parametrize("operator", ["concat", "attention"])
def test_trained_on_whole_examples_alone_a_fusion_never_listens(operator):
    found = measured(WHOLE)["fusion"][operator]
    assert found["picture missing %"] < 2.5 * CHANCE
    assert abs(found["sound missing %"] - found["accuracy %"]) < 3.0, "without its sound it answers as well"
    cured = measured(WITH_DROPS)["fusion"][operator]
    assert cured["picture missing %"] > 45.0
    assert cured["accuracy %"] > found["accuracy %"] + 5.0


# --- alignment -----------------------------------------------------------------------------------------------------


ALIGNED = AlignmentRequest(objective=("none", "contrastive", "adversarial"))


def test_only_what_knows_the_pairs_aligns():
    found = measured(ALIGNED)["alignment"]
    assert found["contrastive"]["mean %"] > 60.0
    assert found["none"]["mean %"] < 3 * CHANCE
    assert found["adversarial"]["mean %"] < 3 * CHANCE


def test_the_spoken_finds_the_others_worst():
    found = measured(ALIGNED)["alignment"]["contrastive"]
    spoken, written, word = (
        sum(value for column, value in found.items() if column.startswith(f"{modality} →")) / 2
        for modality in ("spoken", "written", "word")
    )
    assert spoken < min(written, word) - 5.0


def test_the_gap_stays_and_closing_it_finds_no_more():
    found = measured(ALIGNED)["alignment"]
    assert found["contrastive"]["modality gap"] > 0.5 * found["none"]["modality gap"]
    assert found["contrastive"]["mean, gap closed %"] < found["contrastive"]["mean %"] + 3.0
    assert found["adversarial"]["modality gap"] > 0.5 * found["none"]["modality gap"]


def test_the_discriminator_still_tells_the_senses_apart():
    (game,) = (chart for chart in run(ALIGNED).charts if chart.key == "game")
    (loss,) = (curve.y for curve in game.curves if curve.name == "adversarial: discriminator")
    assert np.mean(loss[-5:]) < np.log(3) - 0.1


def test_before_training_every_sense_sits_in_a_corner_of_its_own():
    start = run(ALIGNED).maps[0]
    points = [group.points for group in start.groups]
    spread = max(float(group.std(0).max()) for group in points)
    apart = min(float(np.linalg.norm(a.mean(0) - b.mean(0))) for a, b in itertools.combinations(points, 2))
    assert apart > 5 * spread


# --- many tasks ----------------------------------------------------------------------------------------------------


def test_sharing_saves_weights_and_costs_the_voices():
    found = measured(MultitaskRequest())
    assert found["size"]["together"]["parameters"] < 0.3 * found["size"]["alone"]["parameters"]
    scores = found["multitask"]
    family = scores.pop("family")
    assert family["difference %"] < -5.0
    assert family["together %"] < family["chance %"] + 8.0
    assert all(abs(row["difference %"]) < 12.0 for row in scores.values())


def test_at_first_digits_are_quicker_alone_and_parity_lives_on_them():
    found = measured(MultitaskRequest(n_steps=60))["multitask"]
    assert found["digit"]["difference %"] < -8.0
    assert found["parity"]["difference %"] > 2.0
