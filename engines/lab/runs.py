"""A run: watched while it goes on, kept as one file, and measured again from it to the same numbers.

The file is safetensors: weights, curves, maps and pictures as arrays, all the rest as JSON in its metadata, so opening
one that somebody sent runs nothing.
"""

from __future__ import annotations

import importlib
import json
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from engines.errors import RequestError
from engines.lab.findings import Cell, Chart, Curve, DataList, Dots, Findings, Map, Picture, Table
from engines.lab.requests import EXPERIMENTS, LabRequest, name_of

if TYPE_CHECKING:
    from engines.lab.data.datasets import Material

FORMAT = "fusion-studio run 1"
WEIGHT = "weight/"
MAX_FILE_BYTES = 2**28
"""A run of every learner is 30 MB; more than this is none of ours."""


class Watch:
    """What a run has found so far: its curves by chart, its steps, its clock."""

    def __init__(self, request: LabRequest, n_steps: int, data: DataList | None = None) -> None:
        self.request, self.n_steps, self.n_done, self.data = request, n_steps, 0, data
        self.ms_per_step: dict[str, float] = {}
        self._charts: dict[str, Chart] = {}
        self._began = time.monotonic()

    def stepped(self) -> None:
        """One more step is made."""
        self.n_done += 1

    def draw(self, chart: Chart) -> None:
        """Put a chart's curves in; those of other names that were in it stay, in the order they first came."""
        before = self._charts.get(chart.key)
        curves = {curve.name: curve for curve in (() if before is None else before.curves)}
        curves |= {curve.name: curve for curve in chart.curves}
        self._charts[chart.key] = Chart(chart.key, chart.x, chart.y, tuple(curves.values()), chart.percent)

    def point(self, chart: str, curve: str, x: float, y: float, *, of: tuple[str, str], percent: bool = False) -> None:
        """One more point of a curve. of: the names of the chart's axes."""
        before = self._charts.get(chart)
        held = {each.name: each for each in (() if before is None else before.curves)}
        self.draw(Chart(chart, *of, (held.get(curve, Curve(curve)).then(x, y),), percent))

    def times(self, what: str) -> Table:
        """What a step of each training cost, in milliseconds of its thread. what: the name of the first column."""
        return Table("time", (what, "ms per step"), tuple(self.ms_per_step.items()))

    def findings(self, **more: Any) -> Findings:
        """All of it now."""
        return Findings(
            request=self.request,
            data=self.data,
            n_done=self.n_done,
            n_steps=self.n_steps,
            seconds=time.monotonic() - self._began,
            charts=tuple(self._charts.values()),
            **more,
        )

    def stopped(self, **more: Any) -> Findings:
        """The end of a run that somebody stopped."""
        return self.findings(end="cancelled", **more)

    def finished(
        self,
        *,
        tables: tuple[Table, ...],
        maps: tuple[Map, ...] = (),
        pictures: tuple[Picture, ...] = (),
        said: tuple[tuple[str, Mapping[str, Cell]], ...] = (),
        weights: Mapping[str, np.ndarray],
    ) -> Findings:
        """The end of a run that went through."""
        return self.findings(tables=tables, maps=maps, pictures=pictures, said=said, weights=weights, end="finished")


def again(found: Findings, material: Material | None = None) -> tuple[Table, ...]:
    """Measure the weights of a finished run once more: the tables that do not tell of time, to the same numbers.

    material: what it learnt from, None for what comes with the program. Raises RequestError where there is nothing to
    measure, or where it is other material.
    """
    if not found.weights:
        raise RequestError("run_unfinished", "This run was not finished; there is nothing to measure.")
    from engines.lab.data.datasets import bundled
    from engines.lab.trainer import one_thread

    module: Any = importlib.import_module(f"engines.lab.{name_of(found.request)}")
    if found.data is not None and found.data != (bundled(found.data.name) if material is None else material.data):
        raise RequestError(
            "run_data_missing",
            "This run learnt from {name!r}, which is not here as it was then; give its folder.",
            name=found.data.name,
        )
    with one_thread():
        tables: tuple[Table, ...] = module.measure(found.request, material, found.weights)
    return tables


# --- one file --------------------------------------------------------------------------------------------------------


def save(path: Path, found: Findings) -> None:
    """Keep a run that is over. Raises RequestError where the file cannot be written."""
    arrays = {f"{WEIGHT}{name}": value for name, value in found.weights.items()}
    for i, each in enumerate(found.maps):
        arrays |= {f"map/{i}/{k}": group.places for k, group in enumerate(each.groups)}
    arrays |= {f"picture/{i}": each.pixels for i, each in enumerate(found.pictures)}
    about = {
        "format": FORMAT,
        "experiment": name_of(found.request),
        "request": asdict(found.request),
        "data": None if found.data is None else asdict(found.data),
        "n_done": found.n_done,
        "n_steps": found.n_steps,
        "seconds": found.seconds,
        "end": found.end,
        "charts": [asdict(chart) for chart in found.charts],
        "tables": [asdict(table) for table in found.tables],
        "maps": [[each.key, each.name, [[group.name, group.labels] for group in each.groups]] for each in found.maps],
        "pictures": [[each.key, each.name] for each in found.pictures],
        "said": [[key, dict(values)] for key, values in found.said],
    }
    whole = {name: np.ascontiguousarray(value) for name, value in arrays.items()} or {"nothing": np.zeros(1)}
    try:
        save_file(whole, path, {"run": json.dumps(about, ensure_ascii=False)})
    except (OSError, SafetensorError) as error:
        raise RequestError(
            "run_not_written", "The run cannot be written to {name}; choose a folder you may write to.", name=path.name
        ) from error


def load(path: Path) -> Findings:
    """Open a run that was kept. Raises RequestError for a file that is none, or that another version wrote."""
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ValueError("larger than any run")
        with safe_open(path, "np") as file:
            about = json.loads((file.metadata() or {})["run"])
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, a file is no dict
        return _findings(about, arrays)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, AttributeError, RequestError) as error:
        raise RequestError(
            "not_a_run",
            "{name} is not a run of the Lab, or is damaged; choose a file that “Save the run” wrote.",
            name=path.name,
        ) from error


def _findings(about: dict[str, Any], arrays: dict[str, np.ndarray]) -> Findings:
    if about["format"] != FORMAT or about["end"] not in ("finished", "cancelled"):
        raise ValueError("another version wrote it")
    asked: dict[str, Any] = {n: tuple(v) if isinstance(v, list) else v for n, v in about["request"].items()}
    return Findings(
        request=EXPERIMENTS[about["experiment"]](**asked),
        data=None if about["data"] is None else DataList(**about["data"] | {"files": tuple(about["data"]["files"])}),
        n_done=int(about["n_done"]),
        n_steps=int(about["n_steps"]),
        seconds=float(about["seconds"]),
        charts=tuple(_chart(**chart) for chart in about["charts"]),
        tables=tuple(
            Table(str(t["key"]), tuple(map(str, t["columns"])), tuple(tuple(row) for row in t["rows"]))
            for t in about["tables"]
        ),
        maps=tuple(
            Map(key, name, tuple(_dots(arrays[f"map/{i}/{k}"], *group) for k, group in enumerate(groups)))
            for i, (key, name, groups) in enumerate(about["maps"])
        ),
        pictures=tuple(Picture(key, name, arrays[f"picture/{i}"]) for i, (key, name) in enumerate(about["pictures"])),
        said=tuple((str(key), dict(values)) for key, values in about["said"]),
        weights={name.removeprefix(WEIGHT): value for name, value in arrays.items() if name.startswith(WEIGHT)},
        end=about["end"],
    )


def _chart(key: str, x: str, y: str, curves: list[dict[str, Any]], percent: bool) -> Chart:
    drawn = tuple(Curve(str(c["name"]), tuple(map(float, c["x"])), tuple(map(float, c["y"]))) for c in curves)
    return Chart(str(key), str(x), str(y), drawn, bool(percent))


def _dots(places: np.ndarray, name: str, labels: list[str]) -> Dots:
    if places.shape != (len(labels), 2):
        raise ValueError("a map's places and labels are not as many")
    return Dots(str(name), places, tuple(map(str, labels)))
