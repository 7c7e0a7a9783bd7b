from pathlib import Path

import numpy as np
import pytest
import torch

from engines.errors import RequestError
from engines.lab import Cell, MultitaskRequest, Table, multitask
from engines.lab.data.datasets import Material, digits, from_folder
from engines.lab.multitask import Spoken, conclusions, cosines, groups_of, n_classes
from engines.model.fusion import PoolHead
from tests.engines.lab.makers import save_photos, save_sounds
from tests.engines.lab.trials import N_STEPS, assert_an_experiment, last

QUICK = MultitaskRequest(n_steps=N_STEPS, task=("digit", "language"))


def test_an_experiment_is_live_repeatable_and_stopped() -> None:
    end = assert_an_experiment(QUICK)
    assert [table.key for table in end.tables] == ["multitask", "size", "gradients", "time"]
    assert {curve.name for curve in end.charts[0].curves} == {
        "digit: together", "language: together", "digit: alone", "language: alone",
    }  # fmt: skip
    (pair,) = next(chart for chart in end.charts if chart.key == "gradients").curves
    assert pair.name == "digit + language" and all(-1.0 <= cosine <= 1.0 for cosine in pair.y)


def test_all_tasks_together_then_each_alone() -> None:
    assert groups_of(QUICK) == {
        "together": ("digit", "language"), "digit": ("digit",), "language": ("language",),
    }  # fmt: skip
    assert groups_of(MultitaskRequest(task=("parity",))) == {"parity": ("parity",)}, "nobody to share with"


def test_one_task_alone_is_measured_without_a_comparison() -> None:
    found = last(MultitaskRequest(n_steps=10, task=("parity",)))
    ((_, together, alone, difference, chance),) = found.tables[0].rows
    assert together is None and difference is None and isinstance(alone, float)
    assert chance == pytest.approx(0.5)
    assert found.said == () and all(chart.key == "training" for chart in found.charts)


def test_what_is_right_of_a_sound_is_what_the_material_says_of_it() -> None:
    material = digits()
    spoken = Spoken.of(material, material.test)
    sounds = material.test.sounds
    assert sounds is not None
    drawn = multitask.trainer.draw(material.test, ("sound",), 50, np.random.default_rng(0))
    assert drawn.sound is not None
    np.testing.assert_array_equal(spoken.right("digit", drawn), drawn.labels)
    np.testing.assert_array_equal(spoken.right("parity", drawn), drawn.labels % 2)
    np.testing.assert_array_equal(spoken.right("language", drawn), sounds.languages[drawn.sound])
    for family, i in zip(spoken.right("family", drawn), drawn.sound, strict=True):
        assert material.families[family] == material.voices[sounds.voices[i]].family


def test_the_shared_trunk_has_one_head_of_the_product_for_each_task() -> None:
    sizes = n_classes(digits(), QUICK.task)
    model = multitask.build(QUICK, digits(), sizes)
    assert sizes == {"digit": 10, "language": 4}
    assert list(model.heads) == ["digit", "language"]
    assert all(isinstance(head, PoolHead) for head in model.heads.values())
    alone = multitask.build(QUICK, digits(), {"digit": 10})
    assert all(torch.equal(a, b) for a, b in zip(model.trunk(), alone.trunk(), strict=True)), "they start alike"


def test_two_heads_that_ask_the_same_pull_the_same_way() -> None:
    model = multitask.build(QUICK, digits(), {"digit": 10, "parity": 10})
    model.heads["parity"].load_state_dict(model.heads["digit"].state_dict())
    spoken = Spoken.of(digits(), digits().valid)
    same = Spoken(spoken.part, {**spoken.answers, "parity": spoken.answers["digit"]})
    drawn = multitask.trainer.draw(spoken.part, ("sound",), 16, np.random.default_rng(0))
    assert cosines(QUICK, same, model, drawn) == {("digit", "parity"): pytest.approx(1.0, abs=1e-4)}


def told_of(**differences: float) -> tuple[tuple[str, dict[str, Cell]], ...]:
    """What is said where each task is by so much better together than alone."""
    columns = ("task", "together %", "alone %", "difference %", "chance %")
    scores = Table("multitask", columns, tuple((task, 0.7 + d, 0.7, d, 0.1) for task, d in differences.items()))
    return conclusions((scores, Table("size", ("model", "parameters"), (("together", 120), ("alone", 480)))))


def test_what_is_said_is_what_the_tables_hold() -> None:
    assert told_of(digit=0.1, parity=0.0, family=-0.2) == (
        ("multitask_gain", {"task": "digit", "points": pytest.approx(10.0)}),
        ("multitask_loss", {"task": "family", "points": pytest.approx(20.0)}),
        ("multitask_size", {"percent": pytest.approx(25.0)}),
    )


def test_where_no_task_gains_or_none_loses_that_is_said() -> None:
    assert [key for key, _ in told_of(digit=-0.1, family=-0.2)[:2]] == ["multitask_no_gain", "multitask_loss"]
    assert [key for key, _ in told_of(digit=0.1, family=0.2)[:2]] == ["multitask_gain", "multitask_no_loss"]
    assert told_of(digit=0.0, family=0.0)[:2] == (("multitask_no_gain", {}), ("multitask_no_loss", {}))


def own_sounds(folder: Path) -> Material:
    for name in ("cat", "dog"):
        save_sounds(folder / name, 6)
    return from_folder(folder)


@pytest.mark.parametrize("task", ["parity", "language", "family"])
def test_a_folder_that_says_nothing_of_a_task_is_one_sentence(tmp_path: Path, task: str) -> None:
    with pytest.raises(RequestError, match=f"says nothing of '{task}'; leave that task out"):
        last(MultitaskRequest(n_steps=10, task=("digit", task)), material=own_sounds(tmp_path))


def test_a_folder_of_sounds_can_be_told_apart(tmp_path: Path) -> None:
    found = last(MultitaskRequest(n_steps=10, task=("digit",)), material=own_sounds(tmp_path))
    assert found.end == "finished"


def test_a_folder_of_photos_is_one_sentence(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        save_photos(tmp_path / name, 6)
    with pytest.raises(RequestError, match=r"^This experiment listens; every class needs sounds"):
        last(QUICK, material=from_folder(tmp_path))
