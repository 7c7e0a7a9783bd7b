from dataclasses import replace

import numpy as np
import pytest
import torch

from engines.lab import FusionRequest, Table, experiment, fusion, trainer
from engines.lab.data.datasets import digits
from engines.lab.fusion import MODALITIES, Condition, conclusions, networks, predictions
from engines.lab.operators import OPERATORS as OF_THE_LAB
from engines.lab.requests import OPERATORS
from engines.lab.trainer import Noise, sample
from engines.model.fusion import OPERATORS as OF_THE_PRODUCT
from engines.model.fusion import FusionModel

BASE = FusionRequest(n_steps=10)


def test_the_operators_are_those_of_the_product_and_two_of_the_literature():
    assert set(OPERATORS) - {"picture", "sound", "average"} == OF_THE_PRODUCT.keys() | OF_THE_LAB.keys()


@pytest.mark.parametrize(
    ("asked", "models"),
    [
        (("average",), ("picture", "sound")),
        (("sound", "concat"), ("sound", "concat")),
        (("concat", "gated"), ("concat", "gated")),
        (OPERATORS, ("picture", "sound", *OPERATORS[3:])),
    ],
)
def test_only_the_models_that_are_needed_are_trained(asked, models):
    assert networks(replace(BASE, operator=asked)) == models


def built(*operators: str) -> tuple[FusionRequest, dict[str, FusionModel]]:
    request = replace(BASE, operator=operators)
    return request, {name: fusion.build(request, digits(), name) for name in networks(request)}


def test_a_missing_modality_has_no_influence():
    request, models = built(*OF_THE_PRODUCT, *OF_THE_LAB, "average")
    examples = sample(digits().test, MODALITIES, 20, np.random.default_rng(0))
    assert examples.picture is not None
    other = replace(examples, picture=np.roll(examples.picture, 7))
    for missing, same in (("picture", True), ("", False)):
        one, two = (
            predictions(request, digits(), models, each, Condition(Noise(), missing)) for each in (examples, other)
        )
        assert [torch.equal(one[name], two[name]) for name in request.operator] == [same] * len(request.operator)


def test_predictions_are_probabilities_and_the_average_is_their_mean():
    request, models = built("picture", "sound", "average", "concat")
    examples = sample(digits().test, MODALITIES, 20, np.random.default_rng(0))
    found = predictions(request, digits(), models, examples, Condition(Noise(0.5, 0.5)))
    for each in found.values():
        torch.testing.assert_close(each.sum(1), torch.ones(20))
    torch.testing.assert_close(found["average"], (found["picture"] + found["sound"]) / 2)
    alone = predictions(request, digits(), models, examples, Condition(Noise(0.5, 0.5), missing="sound"))
    torch.testing.assert_close(alone["average"], found["picture"])


def test_modality_dropout_is_an_expectation_and_so_linear_in_its_share():
    def loss_at(share: float) -> float:
        request = replace(BASE, modality_dropout=share)
        model = fusion.build(request, digits(), "concat")
        return fusion.modality_dropout_loss(request, digits().train, "concat", model)(0).item()

    none, most, half = (loss_at(share) for share in (0.0, 0.9, 0.45))
    assert half == pytest.approx((none + most) / 2, rel=1e-4)
    assert none != pytest.approx(most, rel=1e-3)


def scores(**accuracy: tuple[float, float | None, float | None]) -> tuple[Table, ...]:
    rows = tuple((name, *cells, 1) for name, cells in accuracy.items())
    return (Table("fusion", ("operator", "accuracy %", "picture missing %", "sound missing %", "parameters"), rows),)


def test_conclusions_are_what_the_table_holds():
    table = scores(picture=(0.6, None, 0.6), sound=(0.5, 0.5, None), sum=(0.7, 0.2, 0.6), attention=(0.68, 0.45, 0.6))
    assert conclusions(table) == (
        ("fusion_gain", {"operator": "sum", "modality": "picture", "points": pytest.approx(10.0)}),
        ("fusion_missing", {"operator": "attention", "percent": pytest.approx(52.5)}),
    )
    assert conclusions(scores(sum=(0.8, 0.2, 0.6))) == (), "without both baselines nothing is compared"


@pytest.mark.parametrize(
    ("fused", "key", "points"), [(0.8, "fusion_loss", 10.0), (0.9, "fusion_even", 0.0), (0.92, "fusion_gain", 2.0)]
)
def test_a_fusion_that_gains_nothing_is_reported_as_such(fused, key, points):
    (said,) = conclusions(scores(picture=(0.9, None, 0.9), sound=(0.5, 0.5, None), sum=(fused, 0.2, 0.6)))
    assert said == (key, {"operator": "sum", "modality": "picture", "points": pytest.approx(points)})


def test_the_example_is_shown_with_its_noise_and_without():
    shown = fusion.example_pictures(BASE, digits())
    assert [(p.key, p.name) for p in shown] == [
        ("picture", "noisy"), ("sound", "noisy"), ("picture", "clean"), ("sound", "clean"),
    ]  # fmt: skip
    assert not np.array_equal(shown[0].pixels, shown[2].pixels)


# --- decision maps ----------------------------------------------------------------------------------------------------


def test_a_decision_map_is_painted_for_each_model_as_it_learns():
    request = replace(BASE, operator=("picture", "sum"))
    seen = [found.pictures for found in experiment(request)]
    maps = [{p.name: p.pixels for p in pictures if p.key == fusion.DECISIONS} for pictures in seen]
    assert list(maps[0]) == ["picture"] and list(maps[-1]) == ["picture", "sum"]
    assert any(not np.array_equal(maps[0]["picture"], later["picture"]) for later in maps)
    assert all(((cells >= 0) & (cells <= 1)).all() for cells in maps[-1].values())


def test_a_cell_is_the_accuracy_at_its_noise_and_the_picture_alone_does_not_hear_any():
    rng = np.random.default_rng(0)
    examples = trainer.sample(digits().valid, MODALITIES, 20, rng)
    alone = fusion.build(BASE, digits(), "picture")
    cells = fusion.decision_map(BASE, digits().valid, alone, "picture", examples).pixels
    assert (cells == cells[0]).all(), "its rows differ by the noise in the sound"
    both = fusion.build(BASE, digits(), "sum")
    cells = fusion.decision_map(BASE, digits().valid, both, "sum", examples).pixels
    clean = trainer.accuracy(trainer.probabilities(both, digits().valid, examples, Noise(), 0), examples.labels)
    assert cells[-1, 0] == pytest.approx(clean)
