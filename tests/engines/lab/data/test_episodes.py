from __future__ import annotations

import numpy as np
import pytest
import torch

from engines.errors import RequestError
from engines.lab.data.arrays import Pictures
from engines.lab.data.datasets import characters, digits, from_folder
from engines.lab.data.episodes import (
    PX,
    ClassPool,
    from_characters,
    from_dataset,
    from_digits,
    meta_dataset,
)
from tests.engines.lab.makers import save_photos, save_sounds


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.fixture
def grey() -> ClassPool:
    """Six classes of eight pictures, each of one grey that tells class and example."""
    greys = np.arange(48, dtype=np.uint8) * 5
    pixels = np.broadcast_to(greys[:, None, None, None], (48, 8, 8, 1)).copy()
    labels = np.repeat(np.arange(6), 8)
    return ClassPool(Pictures(pixels, labels), tuple(np.arange(48).reshape(6, 8)))


def test_a_task_has_its_classes_in_order_and_no_example_twice(grey):
    drawn = grey.episodes(20, n_ways=4, n_shots=2, n_queries=3, rng=rng())
    assert drawn.support.shape == (20, 8, 3, PX, PX) and drawn.queries.shape == (20, 12, 3, PX, PX) and len(drawn) == 20
    support, queries = (
        ((x[:, :, 0, 0, 0] * 128 + 127) / 5).round().int().unflatten(1, (4, -1)) for x in (drawn.support, drawn.queries)
    )
    examples = torch.cat([support, queries], 2)  # (T, W, n): which of the 48
    assert all(len(set(task.flatten().tolist())) == 20 for task in examples)
    classes = examples // 8
    assert (classes == classes[:, :, :1]).all() and all(len(set(task[:, 0].tolist())) == 4 for task in classes)
    assert len({tuple(task[:, 0].tolist()) for task in classes}) > 10, "the order of classes is drawn too"


def test_the_same_seed_draws_the_same_tasks(grey):
    one, same, other = (grey.episodes(3, 2, 1, 1, rng(seed)) for seed in (1, 1, 2))
    assert torch.equal(one.support, same.support) and not torch.equal(one.support, other.support)


def test_single_examples_come_with_their_class(grey):
    x, labels = grey.sample(30, rng())
    assert torch.equal(((x[:, 0, 0, 0] * 128 + 127) / 5).round().int() // 8, labels.int())


def test_characters_share_no_script_and_are_turned_to_learn_from():
    found = from_characters()
    assert [len(pool.rows) for pool in (found.train, found.valid, found.test)] == [
        4 * len(characters("train").names), len(characters("valid").names), len(characters("test").names),
    ]  # fmt: skip
    assert found.train.modality == "picture" and found.n_examples == 20
    n = len(found.train.rows) // 4
    upright, turned = (found.train.examples.pixels[found.train.rows[i][0], :, :, 0] for i in (3, 3 + n))
    np.testing.assert_array_equal(turned, np.rot90(upright))


def test_digits_are_tested_in_another_language_with_other_voices():
    found, dataset = from_digits(), digits()

    def heard(pool: ClassPool) -> tuple[set[str], set[int]]:
        own, rows = pool.examples, np.concatenate(pool.rows)
        assert not isinstance(own, Pictures)
        return {dataset.languages[i] for i in own.languages[rows]}, set(own.voices[rows].tolist())

    (train, voices), (valid, others), (test, unheard) = map(heard, (found.train, found.valid, found.test))
    assert train == valid == {"en", "de", "fr"} and test == {"zh"}
    assert not voices & others and not (voices | others) & unheard
    assert [len(pool.rows) for pool in (found.train, found.valid, found.test)] == [30, 30, 10]
    assert found.train.modality == "sound"


def test_spoken_tasks_differ_in_noise_from_draw_to_draw():
    pool = from_digits().test
    assert pool.noise > 0
    quiet = ClassPool(pool.examples, pool.rows)
    assert torch.equal(quiet.episodes(1, 2, 1, 1, rng(3)).support, quiet.episodes(1, 2, 1, 1, rng(3)).support)
    assert not torch.equal(pool.episodes(1, 2, 1, 1, rng(3)).support, quiet.episodes(1, 2, 1, 1, rng(3)).support)


@pytest.mark.parametrize("modality", ["picture", "sound"])
def test_of_a_folder_half_of_the_classes_are_kept_for_testing(modality, tmp_path):
    for i in range(5):
        (save_photos if modality == "picture" else save_sounds)(tmp_path / f"class {i}", 5)
    found = from_dataset(from_folder(tmp_path), seed=1)
    assert found.test.modality == modality
    assert [len(pool.rows) for pool in (found.train, found.valid, found.test)] == [3, 3, 2]
    known, new = (set(np.concatenate(pool.rows).tolist()) for pool in (found.train, found.test))
    assert len(known) == 15 and len(new) == 10 and not known & new
    assert {tuple(rows) for rows in from_dataset(from_folder(tmp_path), seed=1).test.rows} == {
        tuple(rows) for rows in found.test.rows
    }
    found.test.episodes(2, 2, 1, 2, rng())


@pytest.mark.parametrize(
    ("n_ways", "n_shots", "sentence"),
    [
        (3, 1, "Tasks of 3 classes cannot be made: there are 2 to learn from or to test on"),
        (2, 5, "5 examples per class leave none to be named: a class has only 5"),
    ],
)
def test_too_little_for_such_tasks_is_one_sentence(n_ways, n_shots, sentence, tmp_path):
    for i in range(4):
        save_photos(tmp_path / str(i), 5)
    with pytest.raises(RequestError, match=sentence):
        from_dataset(from_folder(tmp_path), seed=0).check(n_ways, n_shots)


def test_a_persons_data_set_takes_the_place_of_any(tmp_path):
    for i in range(4):
        save_photos(tmp_path / str(i), 5)
    own = from_folder(tmp_path)
    assert meta_dataset("characters", own, 0).record == meta_dataset("digits", own, 0).record == own.record
    assert (
        meta_dataset("characters", None, 0).record.name == "characters"
        and meta_dataset("digits", None, 0).record.name == "digits"
    )
