"""Findings as experiments give them, made up: nothing is trained for a test of the page."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from engines import Cancel
from engines.lab import (
    AlignmentRequest,
    Chart,
    Curve,
    DatasetRecord,
    Dots,
    Findings,
    FusionRequest,
    Map,
    Picture,
    Table,
)

REQUEST = FusionRequest(operator=("picture", "sound", "attention"), n_steps=40, seed=7)


def curve(name: str, *ys: float) -> Curve:
    """A curve over the steps 1, 2, ..."""
    return Curve(name, tuple(float(n + 1) for n in range(len(ys))), ys)


def under_way() -> Findings:
    """A fusion run of which a third is made."""
    training = Chart("training", "step", "accuracy", (curve("picture", 0.1, 0.5),), percent=True)
    return Findings(request=REQUEST, stage="picture", n_done=40, n_steps=120, seconds=1.0, charts=(training,))


def finished() -> Findings:
    """The same run, over."""
    rows = (("picture", 0.9, None, 0.9, 1000), ("sound", 0.5, 0.5, None, 2000), ("attention", 0.93, 0.4, 0.88, 3000))
    table = Table("fusion", ("operator", "accuracy %", "picture missing %", "sound missing %", "parameters"), rows)
    times = Table("time", ("operator", "ms per step"), (("picture", 12.3), ("sound", 20.0), ("attention", 30.0)))
    return replace(
        under_way(),
        data=DatasetRecord("digits", "0" * 64, ("digits.safetensors",)),
        stage="",
        n_done=120,
        seconds=12.5,
        charts=(
            Chart(
                "training",
                "step",
                "accuracy",
                (curve("picture", 0.1, 0.9), curve("sound", 0.1, 0.5), curve("attention", 0.2, 0.93)),
                percent=True,
            ),
        ),
        tables=(table, times),
        pictures=(Picture("picture", "noisy", np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4)),),
        said=(("fusion_gain", {"operator": "attention", "modality": "picture", "points": 3.04}),),
        weights={"attention/x": np.ones((2, 2), np.float32)},
        end="finished",
    )


def mapped(n: int = 6) -> Findings:
    """An alignment run with a map before and one after, n dots for each of two modalities."""
    labels = tuple(str(i % 10) for i in range(n))
    places = np.stack([np.arange(n), np.arange(n) % 3], 1).astype(np.float32)

    def drawn(key: str, name: str, apart: float) -> Map:
        return Map(key, name, (Dots("written", places, labels), Dots("spoken", places + apart, labels)))

    return Findings(
        request=AlignmentRequest(objective=("contrastive",), seed=3),
        maps=(drawn("start", "before", 9.0), drawn("contrastive", "after", 2.0)),
        weights={"contrastive/x": np.zeros(1, np.float32)},
        end="finished",
    )


class Script:
    """Stands for `experiment`: gives a first finding, waits until it may go on, gives the last. Stopped, it ends so.

    asked: (request, material) of every run.
    """

    def __init__(self) -> None:
        self.asked: list[tuple[Any, Any]] = []
        self.may_end = threading.Event()
        self.error: Exception | None = None

    def __call__(
        self, request: Any, material: Any = None, cancel: Cancel | None = None, watch: Any = None
    ) -> Iterator[Findings]:
        assert cancel is not None
        self.asked.append((request, material))
        if self.error is not None:
            raise self.error
        yield replace(under_way(), request=request)
        while not self.may_end.wait(0.01):
            if cancel.is_set:
                yield replace(under_way(), request=request, end="cancelled")
                return
        yield replace(finished(), request=request)
