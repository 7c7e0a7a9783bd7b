from __future__ import annotations

import copy
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from engines.errors import RequestError
from engines.lab import MamlRequest, Table, maml
from engines.lab.data.datasets import N_MELS, from_folder
from engines.lab.data.episodes import of_characters
from engines.lab.maml import (
    HEAD,
    META,
    STEPS,
    Namer,
    Tasks,
    answers,
    build,
    conclusions,
    losses,
    meta_loss,
    trail,
)
from engines.model.fusion import StreamSense
from engines.protocol import Cancel
from tests.engines.lab.makers import save_photos
from tests.engines.lab.trials import assert_an_experiment, last, stopped_after, untimed

QUICK = MamlRequest(n_steps=10, n_tasks=1, learner=("first_order",))
SMALL = {"width": 16, "n_heads": 2, "embed_dim": 8}


@pytest.fixture(autouse=True)
def few_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, n in (("N_VALID", 2), ("N_TEST", 4), ("WIDTH", 16)):
        monkeypatch.setattr(maml, name, n)


@pytest.fixture
def exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the product's casts to single precision."""
    monkeypatch.setattr(Tensor, "float", lambda tensor: tensor)


def small(**changes: object) -> Namer:
    namer = build(QUICK, "picture", **(SMALL | changes))
    assert isinstance(namer, Namer)
    return namer


def some_tasks(n_tasks: int = 2, n_shots: int = 1) -> Tasks:
    return of_characters().train.tasks(n_tasks, QUICK.n_ways, n_shots, 2, np.random.default_rng(5))


# --- as an experiment ----------------------------------------------------------------------------------------------


def test_an_experiment_is_live_repeatable_and_stopped() -> None:
    end = assert_an_experiment(QUICK)
    assert [row[0] for row in end.tables[0].rows] == list(QUICK.learner)
    assert [chart.key for chart in end.charts] == ["training", "adaptation"]
    for curve, row in zip(end.charts[1].curves, end.tables[0].rows, strict=True):
        assert curve.x == STEPS and curve.y == row[1 : 1 + len(STEPS)]
    assert [(p.key, p.name) for p in end.pictures] == [(k, str(i + 1)) for k in ("support", "query") for i in range(5)]


def test_a_stop_while_it_is_measured_ends_it_too() -> None:
    seen = stopped_after(replace(QUICK, learner=("scratch",)), lambda found: found.stage == "measuring")
    assert seen[-1].end == "cancelled" and len(seen) == 2


def test_learners_stand_side_by_side() -> None:
    request = replace(QUICK, learner=("fine_tuning", "prototypes", "scratch"))
    end = last(request)
    assert (
        [row[0] for row in end.tables[0].rows] == [curve.name for curve in end.charts[1].curves] == [*request.learner]
    )
    assert [curve.name for curve in end.charts[0].curves] == ["fine_tuning", "prototypes"], "scratch learns nothing"
    assert end.tables[0].rows[1][-1] == 0 and len(set(end.charts[1].curves[1].y)) == 1, "prototypes take no step"


@pytest.mark.parametrize("learner", ["second_order", "head", "prototypes", "fine_tuning"])
def test_spoken_digits_are_learnt_from_as_well(learner: str) -> None:
    end = last(replace(QUICK, learner=(learner,), material="digits", n_tasks=1))
    assert end.end == "finished" and end.data is not None and end.data.name == "digits"
    assert np.isfinite(end.charts[0].curves[0].y).all() and end.pictures[0].pixels.shape[0] == N_MELS


def test_a_folder_takes_the_place_of_the_characters(tmp_path: Path) -> None:
    for i in range(4):
        save_photos(tmp_path / str(i), 5)
    request = replace(QUICK, n_ways=2, learner=("first_order",))
    end = last(request, material=from_folder(tmp_path))
    assert end.data is not None and end.data.name == tmp_path.name
    assert maml.measure(request, from_folder(tmp_path), end.weights) == untimed(end)
    with pytest.raises(RequestError, match="Tasks of 5 classes cannot be made"):
        last(QUICK, material=from_folder(tmp_path))


def test_the_yardstick_wants_omniglot(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="Omniglot cannot be read"):
        list(maml.yardstick(QUICK, tmp_path, Cancel()))


# --- gradients -----------------------------------------------------------------------------------------------------


def value_at(namer: Namer, tasks: Tasks, request: MamlRequest, moved_by: dict[str, Tensor]) -> float:
    """The meta-loss of a model whose weights are moved."""
    moved = copy.deepcopy(namer)
    with torch.no_grad():
        for name, step in moved_by.items():
            moved.get_parameter(name).add_(step)
    return meta_loss(moved, "second_order", tasks, request).item()


@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize("sense", ["picture", "sound"])
def test_second_order_gradients_are_those_of_finite_differences(sense: StreamSense) -> None:
    """Through attention too, by its math kernel: the fast ones have no second derivative on a CPU."""
    request = replace(QUICK, n_ways=2, n_inner=2, inner_rate=0.5)
    namer = build(request, sense, sound="transformer", n_picture_blocks=1, **SMALL).double()
    rng = torch.Generator().manual_seed(0)
    shape = (3, 32, 32) if sense == "picture" else (N_MELS, 12)
    tasks = Tasks(*(torch.randn((2, 2 * n, *shape), generator=rng, dtype=torch.float64) for n in (1, 2)))
    direction = {name: torch.randn(p.shape, generator=rng, dtype=torch.float64) for name, p in namer.body().items()}
    with sdpa_kernel(SDPBackend.MATH):
        slopes = {}
        for kind in ("second_order", "first_order"):
            namer.zero_grad()
            meta_loss(namer, kind, tasks, request).backward()
            slopes[kind] = sum(
                float((step * grad).sum())
                for name, step in direction.items()
                if (grad := namer.get_parameter(name).grad) is not None
            )
        ahead, back = (
            value_at(namer, tasks, request, {name: sign * step for name, step in direction.items()})
            for sign in (1e-6, -1e-6)
        )
    measured = (ahead - back) / 2e-6
    assert slopes["second_order"] == pytest.approx(measured, rel=1e-5)
    assert slopes["first_order"] != pytest.approx(measured, rel=1e-2), "the first order leaves something out"


@pytest.mark.usefixtures("exact")
def test_the_first_step_moves_the_head_alone_since_zeros_pass_no_slope_on() -> None:
    namer, tasks = small().double(), some_tasks()
    _, moved, further = islice(trail(namer, "first_order", tasks.support, 5, 0.2), 3)
    assert set(moved) == namer.adapting("head").keys()
    assert further.keys() == namer.adapting("first_order").keys()
    for x, head in zip(tasks.support, moved[f"{HEAD}project.weight"], strict=True):
        losses(namer, {}, x[None].double(), 5).sum().backward()
        torch.testing.assert_close(head, -0.2 * namer.get_parameter(f"{HEAD}project.weight").grad)
        assert all(p.grad is None or not p.grad.any() for p in namer.body().values()), "nothing reaches the body"
        namer.zero_grad()


def test_first_and_second_order_make_the_same_steps() -> None:
    tasks, namer = some_tasks(), small()
    assert meta_loss(namer, "first_order", tasks, QUICK).item() == pytest.approx(
        meta_loss(namer, "second_order", tasks, QUICK).item(), rel=1e-6
    )


@pytest.mark.parametrize("kind", META)
def test_steps_on_a_task_lower_the_loss_on_its_support(kind: str) -> None:
    namer, tasks = small(), some_tasks(3, n_shots=2)
    steps = trail(namer, kind, tasks.support, 5, 0.05)
    with torch.no_grad():
        found = torch.stack([losses(namer, weights, tasks.support, 5) for weights in islice(steps, 5)])  # (steps, T)
    assert (found.diff(dim=0) < 0).all()
    torch.testing.assert_close(found[0], torch.full((3,), float(np.log(5))))


def test_only_the_head_adapts_where_only_the_head_is_to() -> None:
    namer = small()
    assert all("event_head" in name for name in namer.adapting("head"))
    assert namer.adapting("head").items() < namer.adapting("first_order").items()


def test_the_models_own_weights_stay_as_they_are_while_tasks_are_adapted_to() -> None:
    namer = small()
    before = {name: value.clone() for name, value in namer.state_dict().items()}
    answers(namer, "first_order", some_tasks(), 5, 0.2, STEPS)
    assert all(torch.equal(value, before[name]) for name, value in namer.state_dict().items())


# --- what a task may not depend on -----------------------------------------------------------------------------------


def shuffled(tasks: Tasks, order: list[int]) -> Tasks:
    """The same tasks, their classes in another order."""
    return Tasks(*(x.unflatten(1, (5, -1))[:, order].flatten(1, 2) for x in (tasks.support, tasks.queries)))


@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize("kind", ["first_order", "head", "prototypes"])
def test_the_order_of_classes_means_nothing(kind: str) -> None:
    namer, tasks, order = small().double(), some_tasks(), [3, 0, 4, 1, 2]
    plain, other = (
        answers(namer, kind, each, 5, 0.2, STEPS).unflatten(2, (5, -1)) for each in (tasks, shuffled(tasks, order))
    )  # (T, S, W, n, W)
    torch.testing.assert_close(plain[:, :, order][..., order], other)


@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize("kind", ["first_order", "prototypes"])
def test_a_task_knows_nothing_of_the_others_beside_it(kind: str) -> None:
    namer, tasks = small().double(), some_tasks(3)
    alone = answers(namer, kind, Tasks(tasks.support[1:2], tasks.queries[1:2]), 5, 0.2, STEPS)
    torch.testing.assert_close(answers(namer, kind, tasks, 5, 0.2, STEPS)[1:2], alone)


def test_prototypes_ignore_the_order_of_examples_and_name_their_own_centre() -> None:
    namer, tasks = small(), some_tasks(n_shots=3)
    mixed = Tasks(tasks.support.unflatten(1, (5, 3)).flip(2).flatten(1, 2), tasks.queries)
    torch.testing.assert_close(maml.prototype_logits(namer, tasks, 5), maml.prototype_logits(namer, mixed, 5))
    one = some_tasks(n_shots=1)
    own = maml.prototype_logits(namer, Tasks(one.support, one.support), 5)
    torch.testing.assert_close(own.diagonal(dim1=1, dim2=2), torch.zeros(2, 5))
    assert (own.argmax(-1) == torch.arange(5)).all()


def test_what_is_out_of_range_is_one_sentence() -> None:
    with pytest.raises(RequestError, match=r"inner_rate is 0; choose 0.001 to 2"):
        replace(QUICK, inner_rate=0)
    with pytest.raises(RequestError, match=r"n_ways is 11; choose 2 to 10"):
        replace(QUICK, n_ways=11)


# --- what is said --------------------------------------------------------------------------------------------------


def scores(**accuracy: tuple[float, float, float]) -> Table:
    """A table with accuracies after 0, 1 and 3 steps."""
    rows = tuple((kind, *three, three[2], three[2], 0.01, 1) for kind, three in accuracy.items())
    return Table("maml", ("learner", *(f"{n} steps %" for n in STEPS), "± one step %", "parameters adapted"), rows)


def test_what_is_said_is_what_the_table_holds() -> None:
    found = scores(first_order=(0.2, 0.9, 0.91), second_order=(0.2, 0.92, 0.9), fine_tuning=(0.2, 0.8, 0.95))
    assert conclusions(found) == (
        ("maml_ahead", {"learner": "second_order", "n": 1, "points": pytest.approx(12.0)}),
        ("maml_behind", {"learner": "first_order", "n": 3, "points": pytest.approx(4.0)}),
        ("maml_second", {"points": pytest.approx(2.0)}),
    )


def test_of_learners_that_were_not_asked_for_nothing_is_said() -> None:
    assert conclusions(scores(prototypes=(0.9, 0.9, 0.9), fine_tuning=(0.2, 0.8, 0.95))) == ()


@pytest.mark.slow
def test_the_lessons_claims_hold_at_the_size_it_speaks_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """One step on five drawings: MAML names more than pre-training and fine-tuning do, and both more than chance."""
    for name, n in (("N_VALID", 16), ("N_TEST", 40), ("WIDTH", 128)):
        monkeypatch.setattr(maml, name, n)
    end = last(MamlRequest(learner=("first_order", "fine_tuning")))
    meta, tuned = (dict(zip(STEPS, row[1 : 1 + len(STEPS)], strict=True)) for row in end.tables[0].rows)
    assert meta[0] == pytest.approx(0.2, abs=0.02), "a head of zeros knows nothing"
    assert meta[1] > tuned[1] > 0.3 and meta[3] > tuned[3]
