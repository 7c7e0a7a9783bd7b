"""What every experiment owes whoever watches it: live, repeatable by its seed, stoppable, measurable again."""

from __future__ import annotations

from pathlib import Path

import pytest

from engines.errors import RequestError
from engines.lab import (
    EXPERIMENTS,
    AlignmentRequest,
    ExtractorsRequest,
    FusionRequest,
    LabRequest,
    MultitaskRequest,
    name_of,
)
from engines.lab.data.datasets import from_folder
from tests.engines.lab.makers import save_photos, save_sounds
from tests.engines.lab.trials import N_STEPS, assert_an_experiment, last

QUICK: dict[str, LabRequest] = {
    "pictures": ExtractorsRequest(modality="picture", n_steps=N_STEPS),
    "sounds": ExtractorsRequest(modality="sound", n_steps=N_STEPS),
    "words": ExtractorsRequest(modality="text", n_steps=N_STEPS),
    "fusion": FusionRequest(n_steps=N_STEPS, operator=("average", "sum", "attention")),
    "alignment": AlignmentRequest(n_steps=N_STEPS, objective=("none", "both")),
    "multitask": MultitaskRequest(n_steps=N_STEPS, task=("digit", "language")),
}
ROWS = {
    "pictures": ["cnn", "transformer"],
    "sounds": ["cnn", "gru", "transformer"],
    "words": ["gru", "transformer"],
    "fusion": ["average", "sum", "attention"],
    "alignment": ["none", "both"],
    "multitask": ["digit", "language"],
}
CHARTS = {
    "fusion": ["training", "noise"],
    "alignment": ["training", "contrastive loss", "game"],
    "multitask": ["training", "gradients"],
}
TABLES = {"fusion": ["fusion", "trust", "time"], "multitask": ["multitask", "size", "gradients", "time"]}


@pytest.mark.parametrize("which", QUICK)
def test_an_experiment_is_live_repeatable_stoppable_and_measurable_again(which):
    end = assert_an_experiment(QUICK[which])
    assert [row[0] for row in end.tables[0].rows] == ROWS[which]
    assert [chart.key for chart in end.charts] == CHARTS.get(which, ["training"])
    assert [table.key for table in end.tables] == TABLES.get(which, [name_of(QUICK[which]), "time"])


def test_the_registry_names_every_request_once():
    requests = [entry.request for entry in EXPERIMENTS.values()]
    assert len(set(requests)) == len(requests)
    assert all(name_of(entry.request()) == name for name, entry in EXPERIMENTS.items())


# --- a person's own folder -------------------------------------------------------------------------------------------


@pytest.fixture
def photos(tmp_path) -> Path:
    for name in ("cat", "dog", "owl"):
        save_photos(tmp_path / name, 6)
    return tmp_path


@pytest.fixture
def sounds(tmp_path) -> Path:
    for name in ("cat", "dog"):
        save_sounds(tmp_path / name, 6)
    return tmp_path


@pytest.mark.parametrize(
    ("which", "sentence"),
    [
        ("sounds", "has no sounds in every class; choose another"),
        ("fusion", "Fusion needs both photos and sounds in every class"),
        ("multitask", "This experiment listens; every class needs sounds"),
    ],
)
def test_a_folder_that_lacks_a_modality_is_refused_in_one_sentence(which, sentence, photos):
    with pytest.raises(RequestError, match=sentence):
        last(QUICK[which], dataset=from_folder(photos))


@pytest.mark.parametrize("task", ["parity", "language", "family"])
def test_a_task_without_targets_is_refused_in_one_sentence(task, sounds):
    with pytest.raises(RequestError, match=f"says nothing of '{task}'; leave that task out"):
        last(MultitaskRequest(n_steps=10, task=("digit", task)), dataset=from_folder(sounds))


def test_a_folder_takes_the_place_of_the_digits(photos):
    found = last(ExtractorsRequest(modality="picture", n_steps=10), dataset=from_folder(photos))
    assert found.data is not None and found.data.files[0] == "cat/000.png"
    found = last(AlignmentRequest(n_steps=10, objective=("contrastive",)), dataset=from_folder(photos))
    assert [group.name for group in found.maps[0].groups] == ["written", "word"]
    assert set(found.maps[0].groups[0].labels) == {"cat", "dog", "owl"}


def test_a_folder_of_sounds_is_enough_to_tell_its_classes_apart(sounds):
    assert last(MultitaskRequest(n_steps=10, task=("digit",)), dataset=from_folder(sounds)).end == "finished"
