"""What an experiment records while it goes on: curves, steps and time, as findings."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from engines.lab.findings import Chart, Curve, DatasetRecord, Findings, Network, Picture, Table
from engines.lab.requests import LabRequest


class Recorder:
    """Collects a run's curves, its steps and its time. pictures: by name, those that change while it goes on."""

    def __init__(self, request: LabRequest, n_steps: int, data: DatasetRecord | None = None) -> None:
        self.request, self.n_steps, self.n_done, self.data = request, n_steps, 0, data
        self.ms_per_step: dict[str, float] = {}
        self.network: Network | None = None
        self.pictures: dict[str, Picture] = {}
        self._charts: dict[str, Chart] = {}
        self._began = time.monotonic()

    def draw(self, chart: Chart) -> None:
        """Add or replace a chart's curves by name; its other curves stay, in the order they first came."""
        before = self._charts.get(chart.key)
        curves = {curve.name: curve for curve in (() if before is None else before.curves)}
        curves |= {curve.name: curve for curve in chart.curves}
        self._charts[chart.key] = Chart(chart.key, chart.x, chart.y, tuple(curves.values()), chart.percent)

    def point(
        self, chart: str, curve: str, x: float, y: float, *, axes: tuple[str, str], percent: bool = False
    ) -> None:
        """Append a point to a curve. axes: the names of the chart's axes."""
        before = self._charts.get(chart)
        curves = {each.name: each for each in (() if before is None else before.curves)}
        self.draw(Chart(chart, *axes, (curves.get(curve, Curve(curve)).then(x, y),), percent))

    def times(self, what: str) -> Table:
        """The cost of a training step of each model, in milliseconds of its thread. what: names the first column."""
        return Table("time", (what, "ms per step"), tuple(self.ms_per_step.items()))

    def findings(self, *, pictures: tuple[Picture, ...] = (), **more: Any) -> Findings:
        """Everything recorded so far."""
        return Findings(
            request=self.request,
            data=self.data,
            n_done=self.n_done,
            n_steps=self.n_steps,
            seconds=time.monotonic() - self._began,
            charts=tuple(self._charts.values()),
            network=self.network,
            pictures=(*self.pictures.values(), *pictures),
            **more,
        )

    def stopped(self, **more: Any) -> Findings:
        """The last findings of a cancelled run."""
        return self.findings(end="cancelled", **more)

    def finished(self, *, tables: tuple[Table, ...], weights: Mapping[str, np.ndarray], **more: Any) -> Findings:
        """The last findings of a finished run."""
        return self.findings(tables=tables, weights=weights, end="finished", **more)
