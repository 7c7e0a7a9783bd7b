from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from engines.errors import RequestError
from engines.lab import MamlRequest, maml
from engines.lab.data.arrays import N_MELS
from engines.lab.data.datasets import from_folder
from engines.lab.data.episodes import Episodes, from_characters
from engines.lab.maml import (
    HEAD,
    META,
    STEPS,
    Learner,
    build,
    conclusions,
    inner_loop,
    meta_loss,
    prototype_logits,
    query_logits,
    task_losses,
)
from tests.engines.lab.makers import save_photos
from tests.engines.lab.trials import assert_an_experiment, last, stopped_after, untimed

QUICK = MamlRequest(n_steps=10, n_tasks=1, method=("first_order",))
SMALL = {"width": 16, "n_heads": 2, "embed_dim": 8}


@pytest.fixture(autouse=True)
def few_tasks(monkeypatch) -> None:
    for name, n in (("N_VALID", 2), ("N_TEST", 4), ("WIDTH", 16)):
        monkeypatch.setattr(maml, name, n)


@pytest.fixture
def exact(monkeypatch) -> None:
    """Without the product's casts to single precision."""
    monkeypatch.setattr(Tensor, "float", lambda tensor: tensor)


def small(**changes: object) -> Learner:
    return build(QUICK, "picture", **(SMALL | changes))


def some_episodes(n_tasks: int = 2, n_shots: int = 1) -> Episodes:
    return from_characters().train.episodes(n_tasks, QUICK.n_ways, n_shots, 2, np.random.default_rng(5))


# --- as an experiment ----------------------------------------------------------------------------------------------


def test_an_experiment_is_live_repeatable_stoppable_and_measurable_again():
    end = assert_an_experiment(QUICK)
    assert [chart.key for chart in end.charts] == ["training", "adaptation"]
    for curve, row in zip(end.charts[1].curves, end.tables[0].rows, strict=True):
        assert curve.name == row[0] and curve.x == STEPS and curve.y == row[1 : 1 + len(STEPS)]
    assert [(p.key, p.name) for p in end.pictures] == [(k, str(i + 1)) for k in ("support", "query") for i in range(5)]


def test_a_stop_while_it_measures_ends_it_too():
    seen = stopped_after(replace(QUICK, method=("scratch",)), lambda found: found.stage == "measuring")
    assert seen[-1].end == "cancelled" and len(seen) == 2


def test_the_baselines_stand_beside_it():
    request = replace(QUICK, method=("fine_tuning", "prototypes", "scratch"))
    end = last(request)
    assert [row[0] for row in end.tables[0].rows] == [*request.method]
    assert [curve.name for curve in end.charts[0].curves] == ["fine_tuning", "prototypes"], "scratch is not trained"
    assert end.tables[0].rows[1][-1] == 0 and len(set(end.charts[1].curves[1].y)) == 1, "prototypes take no steps"


@pytest.mark.parametrize("method", ["second_order", "head", "prototypes", "fine_tuning"])
def test_every_method_learns_from_spoken_digits_too(method):
    end = last(replace(QUICK, method=(method,), material="digits", n_tasks=1))
    assert end.end == "finished" and end.data is not None and end.data.name == "digits"
    assert np.isfinite(end.charts[0].curves[0].y).all() and end.pictures[0].pixels.shape[0] == N_MELS


def test_a_folder_takes_the_place_of_the_characters(tmp_path):
    for i in range(4):
        save_photos(tmp_path / str(i), 5)
    request = replace(QUICK, n_ways=2, method=("first_order",))
    end = last(request, dataset=from_folder(tmp_path))
    assert end.data is not None and end.data.name == tmp_path.name
    assert maml.measure(request, from_folder(tmp_path), end.weights) == untimed(end)
    with pytest.raises(RequestError, match="Tasks of 5 classes cannot be made"):
        last(QUICK, dataset=from_folder(tmp_path))


# --- gradients -----------------------------------------------------------------------------------------------------


def meta_loss_at(learner: Learner, episodes: Episodes, request: MamlRequest, moved_by: dict[str, Tensor]) -> float:
    """The meta-loss with moved weights."""
    moved = copy.deepcopy(learner)
    with torch.no_grad():
        for name, step in moved_by.items():
            moved.get_parameter(name).add_(step)
    return meta_loss(moved, "second_order", episodes, request).item()


@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize("modality", ["picture", "sound"])
def test_second_order_gradients_are_those_of_finite_differences(modality):
    """Through attention too, by its math kernel: the fast ones have no second derivative on a CPU."""
    request = replace(QUICK, n_ways=2, n_inner=2, inner_rate=0.5)
    learner = build(request, modality, sound="transformer", n_picture_blocks=1, **SMALL).double()
    rng = torch.Generator().manual_seed(0)
    shape = (3, 32, 32) if modality == "picture" else (N_MELS, 12)
    episodes = Episodes(*(torch.randn((2, 2 * n, *shape), generator=rng, dtype=torch.float64) for n in (1, 2)))
    direction = {name: torch.randn(p.shape, generator=rng, dtype=torch.float64) for name, p in learner.body().items()}
    with sdpa_kernel(SDPBackend.MATH):
        derivative = {}
        for method in ("second_order", "first_order"):
            learner.zero_grad()
            meta_loss(learner, method, episodes, request).backward()
            derivative[method] = sum(
                float((step * grad).sum())
                for name, step in direction.items()
                if (grad := learner.get_parameter(name).grad) is not None
            )
        ahead, back = (
            meta_loss_at(learner, episodes, request, {name: h * step for name, step in direction.items()})
            for h in (1e-6, -1e-6)
        )
    measured = (ahead - back) / 2e-6
    assert derivative["second_order"] == pytest.approx(measured, rel=1e-5)
    assert derivative["first_order"] != pytest.approx(measured, rel=1e-2), "the first order leaves something out"


@pytest.mark.usefixtures("exact")
def test_the_first_step_moves_the_head_alone_since_no_gradient_passes_a_head_of_zeros():
    learner, episodes = small().double(), some_episodes()
    _, first, second = inner_loop(learner, "first_order", episodes.support, 5, 2, 0.2, 0.01, second_order=False)
    assert set(first) == learner.adapted_parameters("head").keys()
    assert second.keys() == learner.adapted_parameters("first_order").keys()
    for x, head in zip(episodes.support, first[f"{HEAD}project.weight"], strict=True):
        task_losses(learner, {}, x[None].double(), 5).sum().backward()
        torch.testing.assert_close(head, -0.2 * learner.get_parameter(f"{HEAD}project.weight").grad)
        assert all(p.grad is None or not p.grad.any() for p in learner.body().values()), "nothing reaches the body"
        learner.zero_grad()


def test_first_and_second_order_take_the_same_inner_steps():
    episodes, learner = some_episodes(), small()
    first, second = (meta_loss(learner, method, episodes, QUICK).item() for method in ("first_order", "second_order"))
    assert first == pytest.approx(second, rel=1e-6)


@pytest.mark.parametrize("method", META)
def test_inner_steps_lower_the_loss_on_the_support(method):
    learner, episodes = small(), some_episodes(3, n_shots=2)
    path = inner_loop(learner, method, episodes.support, 5, 4, 0.05, 0.01, second_order=False)
    with torch.no_grad():
        losses = torch.stack([task_losses(learner, weights, episodes.support, 5) for weights in path])  # (steps, T)
    assert (losses.diff(dim=0) < 0).all()
    torch.testing.assert_close(losses[0], torch.full((3,), float(np.log(5))))


def test_adaptation_leaves_the_models_own_weights_as_they_are():
    learner = small()
    before = {name: value.clone() for name, value in learner.state_dict().items()}
    query_logits(learner, "first_order", some_episodes(), QUICK, 0.2, STEPS)
    assert all(torch.equal(value, before[name]) for name, value in learner.state_dict().items())
    assert all("event_head" in name for name in learner.adapted_parameters("head"))


# --- what a task must not depend on ----------------------------------------------------------------------------------


def shuffled(episodes: Episodes, order: list[int]) -> Episodes:
    """The same tasks with their classes in another order."""
    return Episodes(*(x.unflatten(1, (5, -1))[:, order].flatten(1, 2) for x in (episodes.support, episodes.queries)))


@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize("method", ["first_order", "head", "prototypes"])
def test_the_order_of_classes_means_nothing(method):
    learner, episodes, order = small().double(), some_episodes(), [3, 0, 4, 1, 2]
    plain, other = (
        query_logits(learner, method, each, QUICK, 0.2, STEPS).unflatten(2, (5, -1))
        for each in (episodes, shuffled(episodes, order))
    )  # (T, S, W, n, W)
    torch.testing.assert_close(plain[:, :, order][..., order], other)


@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize("method", ["first_order", "prototypes"])
def test_tasks_of_a_batch_do_not_affect_each_other(method):
    learner, episodes = small().double(), some_episodes(3)
    alone = query_logits(learner, method, Episodes(episodes.support[1:2], episodes.queries[1:2]), QUICK, 0.2, STEPS)
    torch.testing.assert_close(query_logits(learner, method, episodes, QUICK, 0.2, STEPS)[1:2], alone)


def test_prototypes_are_means_that_ignore_the_order_of_examples():
    learner, episodes = small(), some_episodes(n_shots=3)
    flipped = Episodes(episodes.support.unflatten(1, (5, 3)).flip(2).flatten(1, 2), episodes.queries)
    torch.testing.assert_close(prototype_logits(learner, episodes, 5), prototype_logits(learner, flipped, 5))
    one = some_episodes(n_shots=1)
    own = prototype_logits(learner, Episodes(one.support, one.support), 5)
    torch.testing.assert_close(own.diagonal(dim1=1, dim2=2), torch.zeros(2, 5))
    assert (own.argmax(-1) == torch.arange(5)).all()


# --- conclusions -----------------------------------------------------------------------------------------------------


def scores(**accuracy: tuple[float, float, float]) -> dict[str, np.ndarray]:
    """Accuracies of two tasks after 0, 1, 3 and more steps; the second task is 2 points easier for every method."""
    return {
        method: np.array([[*three, three[2], three[2]], [each + 0.02 for each in (*three, three[2], three[2])]])
        for method, three in accuracy.items()
    }


def test_conclusions_are_what_was_measured():
    found = scores(first_order=(0.2, 0.9, 0.91), second_order=(0.2, 0.92, 0.94), fine_tuning=(0.2, 0.8, 0.95))
    assert conclusions(found) == (
        ("maml_ahead", {"method": "second_order", "n": 1, "points": pytest.approx(12.0)}),
        ("maml_behind", {"method": "second_order", "n": 3, "points": pytest.approx(1.0)}),
        ("maml_second", {"points": pytest.approx(3.0)}),
    )
    assert conclusions(scores(prototypes=(0.9, 0.9, 0.9), fine_tuning=(0.2, 0.8, 0.95))) == ()


def test_a_difference_within_its_interval_is_said_to_be_chance():
    found = scores(first_order=(0.2, 0.9, 0.9), second_order=(0.2, 0.9, 0.9))
    found["second_order"][:, STEPS.index(3)] += (0.1, -0.08)
    (said,) = conclusions(found)
    assert said == ("maml_even", {"points": pytest.approx(1.0), "chance": pytest.approx(1.96 * 9.0)})


def test_what_each_part_adds_is_the_difference_of_two_methods_on_the_same_tasks():
    found = scores(
        scratch=(0.2, 0.3, 0.4), fine_tuning=(0.2, 0.5, 0.5), head=(0.2, 0.8, 0.7), first_order=(0.2, 0.8, 0.75)
    )
    table = maml.contribution_table(found)
    assert table.columns == ("part", "1 step %", "3 steps %", "5 steps %", "10 steps %", "± three steps %")
    assert [row[0] for row in table.rows] == ["pre-training", "meta-training", "inner steps of the body"]
    for row, points in zip(table.rows, ((0.2, 0.1), (0.3, 0.2), (0.0, 0.05)), strict=True):
        assert row[1:3] == pytest.approx(points) and row[5] == pytest.approx(0.0), "every task gains as much"
    total = sum(float(row[2]) for row in table.rows)
    assert total == pytest.approx(0.75 - 0.4), "the parts add up to the whole"
    assert maml.contribution_table({"head": found["head"]}).rows == ()


def test_the_body_moves_by_its_share_of_the_rate():
    learner, episodes = small(), some_episodes()
    moved = {}
    for share in (0.1, 1.0):
        *_, last = inner_loop(learner, "first_order", episodes.support, 5, 2, 0.2, share, second_order=False)
        moved[share] = last["model.picture.project.weight"] - learner.get_parameter("model.picture.project.weight")
    torch.testing.assert_close(moved[1.0], 10 * moved[0.1], rtol=1e-3, atol=1e-7)


@pytest.mark.slow
def test_the_lessons_claims_hold_at_the_size_it_speaks_of(monkeypatch):
    """One step on five drawings: MAML is ahead of pre-training and fine-tuning, and both of chance."""
    for name, n in (("N_VALID", 16), ("N_TEST", 40), ("WIDTH", 128)):
        monkeypatch.setattr(maml, name, n)
    end = last(MamlRequest(method=("first_order", "fine_tuning")))
    meta, tuned = (dict(zip(STEPS, row[1 : 1 + len(STEPS)], strict=True)) for row in end.tables[0].rows)
    assert meta[0] == pytest.approx(0.2, abs=0.02), "a head of zeros can only guess"
    assert meta[1] > tuned[1] > 0.3 and meta[3] > tuned[3]
