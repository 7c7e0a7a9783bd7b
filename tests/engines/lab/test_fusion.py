from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from engines.errors import RequestError
from engines.lab import FusionRequest, Table, fusion
from engines.lab.data.datasets import digits, from_folder
from engines.lab.fusion import Condition, conclusions, trained
from engines.lab.requests import OPERATORS
from engines.lab.trainer import Noise
from engines.model.fusion import OPERATORS as OF_THE_PRODUCT
from tests.engines.lab.makers import save_photos
from tests.engines.lab.trials import N_STEPS, assert_an_experiment, last

QUICK = FusionRequest(n_steps=N_STEPS, operator=("average", "sum", "attention"))


def test_an_experiment_is_live_repeatable_and_stopped() -> None:
    end = assert_an_experiment(QUICK)
    assert [row[0] for row in end.tables[0].rows] == list(QUICK.operator)
    assert [chart.key for chart in end.charts] == ["training", "noise"]
    assert [curve.name for curve in end.charts[1].curves] == list(QUICK.operator)


def test_the_operators_are_those_of_the_product() -> None:
    assert set(OPERATORS) - {"picture", "sound", "average"} == OF_THE_PRODUCT.keys()


@pytest.mark.parametrize(
    ("asked", "models"),
    [
        (("average",), ("picture", "sound")),
        (("sound", "concat"), ("sound", "concat")),
        (("concat", "gated"), ("concat", "gated")),
        (OPERATORS, ("picture", "sound", "sum", "gated", "concat", "attention")),
    ],
)
def test_only_what_is_needed_is_trained(asked: tuple[str, ...], models: tuple[str, ...]) -> None:
    assert trained(replace(QUICK, operator=asked)) == models


def built(*operators: str) -> tuple[FusionRequest, dict[str, fusion.FusionModel]]:
    request = replace(QUICK, operator=operators)
    return request, {kind: fusion.build(request, digits(), kind) for kind in trained(request)}


def test_a_sense_that_is_hidden_changes_nothing_any_more() -> None:
    request, models = built("sum", "gated", "concat", "attention", "average")
    drawn = fusion.trainer.draw(digits().test, fusion.ALONE, 20, np.random.default_rng(0))
    other = replace(drawn, picture=np.roll(drawn.picture, 7) if drawn.picture is not None else None)
    for hidden, same in (("picture", True), ("", False)):
        one, two = (
            fusion.answers(request, digits(), models, some, Condition(Noise(), hidden)) for some in (drawn, other)
        )
        for kind in request.operator:
            assert torch.equal(one[kind], two[kind]) == same, kind


def test_answers_are_probabilities_and_an_average_is_their_mean() -> None:
    request, models = built("picture", "sound", "average", "concat")
    drawn = fusion.trainer.draw(digits().test, fusion.ALONE, 20, np.random.default_rng(0))
    found = fusion.answers(request, digits(), models, drawn, Condition(Noise(0.5, 0.5)))
    for each in found.values():
        torch.testing.assert_close(each.sum(1), torch.ones(20))
    torch.testing.assert_close(found["average"], (found["picture"] + found["sound"]) / 2)
    alone = fusion.answers(request, digits(), models, drawn, Condition(Noise(0.5, 0.5), hidden="sound"))
    torch.testing.assert_close(alone["average"], found["picture"])


def test_dropping_senses_in_training_is_the_mean_over_what_is_dropped() -> None:
    def loss_at(dropped: float) -> float:
        request = replace(QUICK, dropped=dropped)
        model = fusion.build(request, digits(), "concat")
        return fusion._loss(request, digits().train, "concat", model)(0).item()

    whole, most, half = (loss_at(dropped) for dropped in (0.0, 0.9, 0.45))
    assert half == pytest.approx((whole + most) / 2, rel=1e-4), "linear in the share that is dropped"
    assert whole != pytest.approx(most, rel=1e-3)


def scores(**accuracy: tuple[float, float | None, float | None]) -> tuple[Table, ...]:
    rows = tuple((kind, *cells, 1) for kind, cells in accuracy.items())
    return (Table("fusion", ("operator", "accuracy %", "picture missing %", "sound missing %", "parameters"), rows),)


def test_what_is_said_is_what_the_table_holds() -> None:
    told = dict(
        conclusions(
            scores(picture=(0.6, None, 0.6), sound=(0.5, 0.5, None), sum=(0.7, 0.2, 0.6), attention=(0.68, 0.45, 0.6))
        )
    )
    gain = told["fusion_gain"]
    assert gain["operator"] == "sum" and gain["sense"] == "picture" and gain["points"] == pytest.approx(10.0)
    assert told["fusion_missing"]["operator"] == "attention"
    assert told["fusion_missing"]["percent"] == pytest.approx(52.5)


@pytest.mark.parametrize(
    ("fused", "key", "points"), [(0.8, "fusion_loss", 10.0), (0.9, "fusion_even", 0.0), (0.92, "fusion_gain", 2.0)]
)
def test_a_fusion_that_gains_nothing_is_told_so(fused: float, key: str, points: float) -> None:
    (told,) = conclusions(scores(picture=(0.9, None, 0.9), sound=(0.5, 0.5, None), sum=(fused, 0.2, 0.6)))
    assert told == (key, {"operator": "sum", "sense": "picture", "points": pytest.approx(points)})


def test_without_both_senses_alone_nothing_is_compared() -> None:
    assert conclusions(scores(sum=(0.8, 0.2, 0.6))) == ()


def test_the_example_is_seen_and_heard_with_its_noise_and_without() -> None:
    shown = fusion.shown(QUICK, digits())
    assert [(p.key, p.name) for p in shown] == [
        ("picture", "noisy"), ("sound", "noisy"), ("picture", "clean"), ("sound", "clean"),
    ]  # fmt: skip
    assert not np.array_equal(shown[0].pixels, shown[2].pixels)


def test_a_folder_of_photos_alone_is_one_sentence(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        save_photos(tmp_path / name, 5)
    with pytest.raises(RequestError, match=r"^Fusion needs both photos and sounds in every class"):
        last(QUICK, material=from_folder(tmp_path))
