"""What an experiment has found so far, as values: curves, tables, maps and pictures. No torch, nothing of the page.

Names in them ("attention", "picture", "step") are plain words of the field; the page puts them into its language.
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
    """One line of a chart: what was measured (y) where (x)."""

    name: str
    x: tuple[float, ...] = ()
    y: tuple[float, ...] = ()

    def then(self, x: float, y: float) -> Curve:
        """The same curve with one more point."""
        return Curve(self.name, (*self.x, x), (*self.y, y))


@dataclass(frozen=True)
class Chart:
    """Curves over one axis. x and y name what is drawn; percent: y is a share, 0 to 1."""

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
    """Points of one sense (or of one set) on a map. places (n, 2); labels: n short words to write there."""

    name: str
    places: np.ndarray
    labels: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Map:
    """A two-dimensional picture of a space."""

    key: str
    name: str
    groups: tuple[Dots, ...]


@dataclass(frozen=True, eq=False)
class Picture:
    """An image to look at: a filter, an attention map, an example. pixels (H, W) or (H, W, 3) float32, 0 to 1."""

    key: str
    name: str
    pixels: np.ndarray


@dataclass(frozen=True)
class DataList:
    """What a run learnt from and was measured on. files: those it was read from; digest: SHA-256 over them, as hex."""

    name: str
    digest: str
    files: tuple[str, ...]


@dataclass(frozen=True, eq=False, kw_only=True)
class Findings:
    """All that is known of a run by now; the next one of its stream takes its place.

    n_done of n_steps steps are made. said: the measured conclusion, as (key, values) for a sentence, once there is one.
    weights: of every model trained, once the run is done, so that it can be kept and measured again.
    """

    request: LabRequest
    data: DataList | None = None
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
    end: End | None = None

    @property
    def done(self) -> bool:
        return self.end is not None
