import numpy as np
import pytest
import torch

from engines.lab import Cell, MultitaskRequest, Table, multitask
from engines.lab.data.datasets import digits
from engines.lab.multitask import LabelledSplit, conclusions, gradient_cosines, models_of, n_classes
from engines.lab.trainer import sample
from tests.engines.lab.trials import last

REQUEST = MultitaskRequest(task=("digit", "language"))


def test_all_tasks_are_trained_together_then_each_alone():
    assert models_of(REQUEST) == {
        "together": ("digit", "language"), "digit": ("digit",), "language": ("language",),
    }  # fmt: skip


def test_a_single_task_is_measured_without_a_comparison():
    found = last(MultitaskRequest(n_steps=10, task=("parity",)))
    ((_, together, alone, difference, chance),) = found.tables[0].rows
    assert together is None and difference is None and isinstance(alone, float)
    assert chance == pytest.approx(0.5)
    assert found.said == () and all(chart.key == "training" for chart in found.charts)


def test_targets_are_what_the_data_set_says_of_a_sound():
    dataset = digits()
    labelled = LabelledSplit.of(dataset, dataset.test)
    sounds = dataset.test.sounds
    examples = sample(dataset.test, ("sound",), 50, np.random.default_rng(0))
    assert sounds is not None and examples.sound is not None
    np.testing.assert_array_equal(labelled.targets_of("digit", examples), examples.labels)
    np.testing.assert_array_equal(labelled.targets_of("parity", examples), examples.labels % 2)
    np.testing.assert_array_equal(labelled.targets_of("language", examples), sounds.languages[examples.sound])
    for family, i in zip(labelled.targets_of("family", examples), examples.sound, strict=True):
        assert dataset.families[family] == dataset.voices[sounds.voices[i]].family


def test_the_trunk_starts_the_same_in_every_model():
    sizes = n_classes(digits(), REQUEST.task)
    assert sizes == {"digit": 10, "language": 4}
    together, alone = (multitask.build(REQUEST, digits(), each) for each in (sizes, {"digit": 10}))
    assert list(together.heads) == ["digit", "language"]
    assert all(torch.equal(a, b) for a, b in zip(together.trunk(), alone.trunk(), strict=True))


def test_two_tasks_with_the_same_targets_and_heads_have_the_same_gradient():
    model = multitask.build(REQUEST, digits(), {"digit": 10, "parity": 10})
    model.heads["parity"].load_state_dict(model.heads["digit"].state_dict())
    labelled = LabelledSplit.of(digits(), digits().valid)
    same = LabelledSplit(labelled.split, {**labelled.targets, "parity": labelled.targets["digit"]})
    examples = sample(labelled.split, ("sound",), 16, np.random.default_rng(0))
    assert gradient_cosines(REQUEST, same, model, examples) == {("digit", "parity"): pytest.approx(1.0, abs=1e-4)}


def said_of(**differences: float) -> tuple[tuple[str, dict[str, Cell]], ...]:
    """The conclusions where each task is by so much better together than alone."""
    columns = ("task", "together %", "alone %", "difference %", "chance %")
    scores = Table("multitask", columns, tuple((task, 0.7 + d, 0.7, d, 0.1) for task, d in differences.items()))
    return conclusions((scores, Table("size", ("model", "parameters"), (("together", 120), ("alone", 480)))))


def test_conclusions_are_what_the_tables_hold():
    assert said_of(digit=0.1, parity=0.0, family=-0.2) == (
        ("multitask_gain", {"task": "digit", "points": pytest.approx(10.0)}),
        ("multitask_loss", {"task": "family", "points": pytest.approx(20.0)}),
        ("multitask_size", {"percent": pytest.approx(25.0)}),
    )
    assert said_of(digit=0.0, family=0.0)[:2] == (("multitask_no_gain", {}), ("multitask_no_loss", {}))
