"""The results of an experiment as values: curves, tables, maps and pictures. No torch and nothing of the page.

Names in them ("attention", "picture", "step") are English words of the field; the page translates them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from engines.lab.requests import LabRequest
from engines.protocol import End

Cell: TypeAlias = str | float | int | None


@dataclass(frozen=True)
class Curve:
    """One line of a chart: measured values y at x."""

    name: str
    x: tuple[float, ...] = ()
    y: tuple[float, ...] = ()

    def then(self, x: float, y: float) -> Curve:
        """The same curve with one more point."""
        return Curve(self.name, (*self.x, x), (*self.y, y))


@dataclass(frozen=True)
class Chart:
    """Curves over one axis. x and y name the axes; percent: y is a share, 0 to 1."""

    key: str
    x: str
    y: str
    curves: tuple[Curve, ...]
    percent: bool = False


@dataclass(frozen=True)
class Table:
    """Rows under named columns; the first cell of a row names it. Shares are 0 to 1 where the column ends in " %"."""

    key: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True, eq=False)
class Dots:
    """A named group of points on a map. points (n, 2); labels: n short words to write beside them."""

    name: str
    points: np.ndarray
    labels: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Map:
    """A two-dimensional projection of an embedding space."""

    key: str
    name: str
    groups: tuple[Dots, ...]


@dataclass(frozen=True, eq=False)
class Picture:
    """An image: a filter, an attention map, an example. pixels (H, W) or (H, W, 3) float32, 0 to 1."""

    key: str
    name: str
    pixels: np.ndarray


@dataclass(frozen=True, eq=False)
class Part:
    """One part of a network in the forward pass of one example.

    lane: the modality it belongs to, or "all". kind: what `values` are: "tokens" (rows of features), "maps" (n, h, w),
    "image" (1, h, w) from 0 to 1, "bars" (n, 1) with their `labels`, "letters" (only `labels`). after: keys of the
    parts it reads. shape: of the whole output. source: file and line of its code. links (rows, rows of the parts it
    reads): how much a row takes from each, None where that has no meaning. gradient: root mean square over its weights
    in the last training step. right: which of the bars is the target, None where there is none.
    """

    key: str
    name: str
    lane: str
    kind: str
    after: tuple[str, ...]
    shape: tuple[int, ...]
    formula: str
    source: str
    values: np.ndarray
    links: np.ndarray | None = None
    labels: tuple[str, ...] = ()
    gradient: float = 0.0
    right: int | None = None


@dataclass(frozen=True, eq=False)
class Network:
    """A model's forward pass of the n-th validation example of a class (`label`, `example`), in reading order."""

    model: str
    label: int
    example: int
    classes: tuple[str, ...]
    parts: tuple[Part, ...]


@dataclass
class Watch:
    """The example that a run draws its network for; another thread may change it while the run goes on."""

    label: int = 0
    example: int = 0


@dataclass(frozen=True)
class DatasetRecord:
    """The data set of a run. files: those it was read from; digest: SHA-256 over them, as hex."""

    name: str
    digest: str
    files: tuple[str, ...]


@dataclass(frozen=True, eq=False, kw_only=True)
class Findings:
    """The state of a run so far; each item of its stream replaces the one before.

    n_done of n_steps training steps are done. said: conclusions as (key, values) of sentences, once there are any.
    weights: of every trained model, once the run has finished, so that it can be saved and measured again. network: the
    model that trains, as it reads the watched example; None where nobody watches. It is not saved.
    """

    request: LabRequest
    data: DatasetRecord | None = None
    stage: str = ""
    n_done: int = 0
    n_steps: int = 0
    seconds: float = 0.0
    charts: tuple[Chart, ...] = ()
    tables: tuple[Table, ...] = ()
    maps: tuple[Map, ...] = ()
    pictures: tuple[Picture, ...] = ()
    said: tuple[tuple[str, Mapping[str, Cell]], ...] = ()
    weights: Mapping[str, np.ndarray] = field(default_factory=dict)
    network: Network | None = None
    end: End | None = None

    @property
    def done(self) -> bool:
        return self.end is not None
