"""Meta-learning the heads: tasks like a person's, a head that gets better at them, and the shipped file."""

from __future__ import annotations

import json

import numpy as np
import torch
from safetensors import safe_open

from engines.lab.fewshot import MAX_LABELS, MIN_LABELS
from engines.lab.fewshot_head import HEADS, MIXED, Head, load_heads
from engines.model.checkpoint import BUILTIN
from engines.training.lexicon import UNSEEN
from scripts.train_fewshot_heads import (
    IN_BOTH,
    MAX_SHOTS,
    N_OUT_OF_SET,
    N_QUERIES,
    Source,
    draw,
    initial_head,
    loss,
    main,
    meta_learn,
    save,
    spread,
)
from tests.fake_host import FakeHost

D = 12


def made_up(n_classes: int = 12, n_each: int = 16, *, seed: int = 0, noise: float = 1.0) -> Source:
    """Classes that differ along half of the axes and vary along the others."""
    rng = np.random.default_rng(seed)
    spread_out = np.repeat((0.1, noise), D // 2)
    classes = {}
    for n in range(n_classes):
        rows = rng.normal(size=D) * np.repeat((1, 0), D // 2) + rng.normal(size=(n_each, D)) * spread_out + 0.5
        classes[f"class {n:02}"] = (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)
    return Source("made up", classes)


# --- tasks ---------------------------------------------------------------------------------------------------------


def test_tasks_are_as_a_person_would_set_them():
    rng, source = np.random.default_rng(0), made_up()
    seen_labels, seen_shots = set(), set()
    for _ in range(60):
        tasks = draw(source, rng, n_tasks=3)
        n_labels = tasks.one_hot.shape[-1]
        counts = tasks.one_hot.sum(-2)
        assert MIN_LABELS <= n_labels <= MAX_LABELS and tasks.targets.shape == tasks.queries.shape[:2]
        assert counts.min() >= 1 and counts.max() <= MAX_SHOTS
        assert set(tasks.one_hot.sum(-1).unique().tolist()) <= {0.0, 1.0}, "an example is of one label, or left out"
        assert int((tasks.targets == n_labels).sum()) == 3 * N_OUT_OF_SET
        assert tasks.targets.shape[1] - N_OUT_OF_SET <= n_labels * N_QUERIES
        seen_labels.add(n_labels)
        seen_shots |= set(counts.flatten().int().tolist())
    assert {2, 10} <= seen_labels and {1, 5} <= seen_shots


def test_no_query_is_among_the_examples_and_out_of_set_queries_are_of_other_classes():
    source = made_up()
    of_row = {tuple(row.tolist()): label for label, own in source.classes.items() for row in own}
    tasks = draw(source, np.random.default_rng(1), n_tasks=2)
    for support, one_hot, queries, targets in zip(
        tasks.support, tasks.one_hot, tasks.queries, tasks.targets, strict=True
    ):
        examples = {tuple(row.tolist()) for row in support}
        labels = [of_row[tuple(support[int(one_hot[:, c].argmax())].tolist())] for c in range(one_hot.shape[1])]
        for query, place in zip(queries, targets, strict=True):
            row = tuple(query.tolist())
            assert row not in examples
            assert of_row[row] == labels[place] if place < len(labels) else of_row[row] not in labels


def test_what_is_chosen_of_many_is_spread_evenly():
    assert spread(range(90), 3) == [0, 30, 60]
    assert spread("ab", 5) == ["a", "b"]


# --- learning ------------------------------------------------------------------------------------------------------


def test_the_first_metric_takes_the_variance_inside_classes_away():
    head = initial_head([made_up(noise=2.0)])
    assert head.metric[-1, -1] < 0.7 * head.metric[0, 0]
    assert initial_head([made_up()], metric=False).metric is None


def test_a_head_learns_to_adapt_to_tasks_it_has_not_seen():
    others, rng = made_up(seed=1), np.random.default_rng(5)
    tasks = [draw(others, rng) for _ in range(8)]

    def mean_loss(head: Head) -> float:
        return float(torch.stack([loss(head, each) for each in tasks]).mean())

    plain, start = initial_head([made_up()], metric=False), initial_head([made_up()])
    learnt = meta_learn([made_up()], n_steps=30)
    assert mean_loss(learnt) < mean_loss(start) < mean_loss(plain)


def test_learning_goes_through_the_adaptation_itself():
    """The gradient of a step size is that of finite differences: second order."""
    source, rng = made_up(), np.random.default_rng(2)
    start, tasks = initial_head([source]), draw(source, rng, n_tasks=2)

    def value(rates: torch.Tensor) -> torch.Tensor:
        exact = {name: part.double() for name, part in vars(start).items()} | {"rates": rates}
        doubled = type(tasks)(*(part.double() if part.is_floating_point() else part for part in vars(tasks).values()))
        return loss(type(start)(**exact), doubled)

    rates = start.rates.double().requires_grad_()
    assert torch.autograd.gradcheck(value, (rates,))


def test_the_same_seed_learns_the_same():
    one, other = (meta_learn([made_up()], n_steps=3, seed=4) for _ in range(2))
    assert torch.equal(one.rates, other.rates) and torch.equal(one.rejection, other.rejection)
    assert not torch.equal(one.rejection, meta_learn([made_up()], n_steps=3, seed=5).rejection)


# --- the file ------------------------------------------------------------------------------------------------------


def test_what_is_saved_is_what_is_read(tmp_path):
    file = tmp_path / "heads.safetensors"
    save(
        file,
        {"photo": initial_head([made_up()]), MIXED: initial_head([made_up()], metric=False)},
        {"model_digest": "abc"},
    )
    digest, known = load_heads(file)
    assert digest == "abc" and known.keys() == {"photo", MIXED}
    assert known["photo"].metric.shape == (D, D) and known[MIXED].centre is None


def test_data_that_is_not_there_is_a_sentence(tmp_path, capsys):
    host = FakeHost()
    assert main(["--data", str(tmp_path)], lambda name, settings: host) == 1
    assert "the data has no fewshot" in capsys.readouterr().err and host.closed


def test_the_shipped_heads_belong_to_the_shipped_model():
    config = json.loads((BUILTIN / "config.json").read_text(encoding="utf-8"))
    digest, known = load_heads()
    assert digest == config["weights_sha256"]
    assert known.keys() == {"photo", "sound", MIXED}
    width = config["model"]["embed_dim"]
    assert known["photo"].metric.shape == (width, width)
    assert known["sound"].metric is None and known[MIXED].metric is None
    assert HEADS.stat().st_size < 600_000


def test_the_shipped_heads_have_learnt_from_nothing_that_is_measured_on():
    with safe_open(HEADS, "np") as file:
        learnt_from = json.loads(file.metadata()["about"])["learnt_from"]
    assert learnt_from.keys() == {"omniglot", "photos", "us8k"}
    assert not UNSEEN.keys() & learnt_from["photos"].keys()
    assert not IN_BOTH & learnt_from["us8k"].keys()
