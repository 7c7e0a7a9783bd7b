"""Runs whose network is drawn: the example a person watches, and another example or model on demand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engines.lab import EXPERIMENTS, Findings, LabRequest, Watch, name_of
from studio.tabs.lab import drawing

if TYPE_CHECKING:
    import numpy as np

N_WATCHED = 64
"""Runs of which another example can still be drawn."""


@dataclass
class WatchedRun:
    """A run of an experiment that can be drawn. key: what the page calls it; html: its newest drawing.

    finished: its last findings, whose weights draw other examples; None while it runs, and after a stop.
    """

    watch: Watch
    key: str = ""
    html: str = ""
    is_over: bool = False
    finished: Findings | None = None
    folder: Path | None = None

    def follow(self, found: Findings) -> None:
        """Take the newest findings."""
        if found.done:
            self.is_over = True
            self.finished = found if found.weights else None
        if found.network is not None:
            models = networks_of(found.request) if found.weights else (found.network.model,)
            self.html = drawing.data(found.network, run=self.key, found=found, models=models)


def is_drawn(name: str) -> bool:
    """Whether the networks of an experiment can be drawn."""
    return EXPERIMENTS[name].drawn is not None


def networks_of(request: LabRequest) -> tuple[str, ...]:
    """The names of an experiment's models that can be drawn."""
    load = EXPERIMENTS[name_of(request)].drawn
    return () if load is None else load().networks(request)


def draw(request: LabRequest, folder: Path | None, watch: Watch, model: str, run: WatchedRun | None) -> str:
    """HTML with the network of an example: of a finished run, else untrained. model: the last one if there is no such.

    Raises UserError where the data does not fit the experiment.
    """
    from engines.lab.data.datasets import from_folder
    from engines.lab.trainer import one_thread

    found = None if run is None else run.finished
    weights: Mapping[str, np.ndarray] = {}
    if found is not None and run is not None:
        request, folder, weights = found.request, run.folder, found.weights
    load = EXPERIMENTS[name_of(request)].drawn
    assert load is not None, "only experiments that can be drawn ask for this"
    experiment = load()
    models = experiment.networks(request)
    with one_thread():
        data = from_folder(folder) if folder is not None else None
        n_classes = len(data.classes) if data is not None else 10
        watch = Watch(watch.label % n_classes, watch.example)
        network = experiment.draw(request, data, weights, model if model in models else models[-1], watch)
    return drawing.data(network, run=run.key if run is not None else "", found=found, models=models)
