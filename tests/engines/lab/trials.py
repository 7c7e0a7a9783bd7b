"""Runs of experiments that take a second, and what every experiment must do alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from engines.lab import Findings, LabRequest, Table, experiment, runs
from engines.protocol import Cancel

N_STEPS = 12


def last(request: LabRequest, **more: Any) -> Findings:
    """The end of a run."""
    *_, found = experiment(request, **more)
    return found


def stopped_after(request: LabRequest, enough: Callable[[Findings], bool]) -> list[Findings]:
    """What a run says when it is stopped as soon as it has said enough."""
    cancel, seen = Cancel(), []
    for found in experiment(request, cancel=cancel):
        seen.append(found)
        if enough(found):
            cancel.set()
    return seen


def untimed(found: Findings) -> tuple[Table, ...]:
    return tuple(table for table in found.tables if table.key != "time")


def assert_same(one: Findings, other: Findings) -> None:
    """Two runs found the same, but for what tells of time."""
    assert untimed(one) == untimed(other)
    assert one.charts == other.charts
    for a, b in zip(one.maps, other.maps, strict=True):
        for x, y in zip(a.groups, b.groups, strict=True):
            np.testing.assert_array_equal(x.points, y.points)
    assert one.weights.keys() == other.weights.keys()
    for name, value in one.weights.items():
        np.testing.assert_array_equal(value, other.weights[name])


def assert_an_experiment(request: LabRequest) -> Findings:
    """Live, repeatable by its seed, stopped by a stop, and measured again to the same numbers; gives the last findings.

    Everything an experiment owes whoever watches it, whichever it is.
    """
    whole = list(experiment(request))
    *going, end = whole
    assert end.end == "finished" and all(not found.done for found in going)
    assert end.n_done == end.n_steps > 0
    assert [found.n_done for found in whole] == sorted(found.n_done for found in whole)
    assert going[0].n_done == 1 and going[0].charts[0].curves[0].x == (1.0,), "the first point comes at once"
    assert end.data is not None and end.data.digest

    assert_same(end, last(request))
    other = last(replace(request, seed=request.seed + 1))
    assert any(not np.array_equal(end.weights[name], other.weights[name]) for name in end.weights)

    stopped = stopped_after(request, lambda found: found.n_done >= 2)
    assert stopped[-1].end == "cancelled" and not stopped[-1].weights
    assert stopped[-1].n_done <= stopped[-2].n_done + 1, "it stops at the next step"

    assert runs.measure_again(end) == untimed(end)
    return end
