"""What each step of a run draws: its task and batch hang on the seed, the process and the step alone."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from engines.training.batches import Batch, Feeds
from engines.training.objectives import OBJECTIVES
from engines.training.recipes import Recipe, Share
from engines.training.train import Plan

EVERYTHING = Recipe(name="everything", n_steps=8, tasks={task: Share(1.0, 5) for task in OBJECTIVES})


def equal(one: tuple[str, Batch], other: tuple[str, Batch]) -> bool:
    """Whether the task is the same, and every tensor of the batch."""
    if one[0] != other[0] or one[1].keys() != other[1].keys():
        return False
    return all(torch.equal(one[1][name], other[1][name]) for name in one[1])


@pytest.fixture
def feeds(naming: Feeds) -> Feeds:
    """What every objective can draw from."""
    return naming


def test_a_step_has_the_task_and_batch_of_its_seed_process_and_number_alone(feeds: Feeds) -> None:
    plan, again = Plan(EVERYTHING, feeds, 0), Plan(EVERYTHING, feeds, 0)
    assert len(plan) == EVERYTHING.n_steps
    forwards, backwards = [plan[step] for step in range(8)], [again[step] for step in reversed(range(8))]
    assert all(equal(one, other) for one, other in zip(forwards, reversed(backwards), strict=True))
    assert not any(equal(one, other) for one, other in pairwise(forwards))
    reseeded = Plan(replace(EVERYTHING, seed=1), feeds, 0)
    assert not any(equal(forwards[step], reseeded[step]) for step in range(8))


def test_two_processes_draw_other_batches(feeds: Feeds) -> None:
    one, other = (Plan(EVERYTHING, feeds, process) for process in (0, 1))
    assert not any(equal(one[step], other[step]) for step in range(8))
    assert [one[step][0] for step in range(8)] != [other[step][0] for step in range(8)]


def test_tasks_are_drawn_by_their_weights_in_batches_of_their_size(feeds: Feeds) -> None:
    tasks = {"translate": Share(3, 4), "caption": Share(1, 2)}
    plan = Plan(replace(EVERYTHING, tasks=tasks), feeds, 0)
    drawn = [plan[step] for step in range(200)]
    assert np.mean([task == "translate" for task, _ in drawn]) == pytest.approx(0.75, abs=0.08)
    assert all(len(batch["ids"]) == tasks[task].size for task, batch in drawn)
