"""Runs of experiments, saved as one file each and measured again from it to the same numbers.

The file is safetensors: weights, maps and pictures as arrays, everything else as JSON in its metadata. Opening a file
that somebody sent executes no code.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import save_file

from engines import tensor_files
from engines.errors import RequestError
from engines.lab import EXPERIMENTS, name_of
from engines.lab.findings import Chart, Curve, DatasetRecord, Dots, Findings, Map, Picture, Table

if TYPE_CHECKING:
    from engines.lab.data.datasets import Dataset

FORMAT = "fusion-studio run 1"
WEIGHT = "weight/"
MAX_FILE_BYTES = 2**28
"""A run with every method is 30 MB; a larger file is refused unread."""
RENAMED = {
    "sharing": "multitask",
    "sense": "modality",
    "dropped": "modality_dropout",
    "way": "objective",
    "learner": "method",
}
"""Names in files of versions before 0.6 -> names of today, of experiments, request fields and columns."""


def measure_again(found: Findings, dataset: Dataset | None = None) -> tuple[Table, ...]:
    """Measure the weights of a finished run again: all tables but that of times, with the same numbers.

    dataset: what the run was trained on, None for what comes with the program. Raises RequestError where the run was
    not finished, or where the data set is not the one it was trained on.
    """
    if not found.weights:
        raise RequestError("run_unfinished", "This run was not finished; there is nothing to measure.")
    from engines.lab.data.datasets import bundled
    from engines.lab.trainer import one_thread

    if found.data is not None and found.data != (bundled(found.data.name) if dataset is None else dataset.record):
        raise RequestError(
            "run_data_missing",
            "This run learnt from {name!r}, which is not here as it was then; give its folder.",
            name=found.data.name,
        )
    with one_thread():
        return EXPERIMENTS[name_of(found.request)].load().measure(found.request, dataset, found.weights)


# --- one file --------------------------------------------------------------------------------------------------------


def save(path: Path, found: Findings) -> None:
    """Write a run that has ended to a file. Raises RequestError where the file cannot be written."""
    arrays = {f"{WEIGHT}{name}": value for name, value in found.weights.items()}
    for i, each in enumerate(found.maps):
        arrays |= {f"map/{i}/{k}": group.points for k, group in enumerate(each.groups)}
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
    stored = {name: np.ascontiguousarray(value) for name, value in arrays.items()} or {"nothing": np.zeros(1)}
    try:
        save_file(stored, path, {"run": json.dumps(about, ensure_ascii=False)})
    except (OSError, SafetensorError) as error:
        raise RequestError(
            "run_not_written", "The run cannot be written to {name}; choose a folder you may write to.", name=path.name
        ) from error


def load(path: Path) -> Findings:
    """Read a saved run. Raises RequestError for any other file, and for a damaged one."""
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ValueError("larger than any run")
        return _findings(*tensor_files.read(path, "run"))
    except (OSError, KeyError, TypeError, ValueError, AttributeError, RequestError) as error:
        raise RequestError(
            "not_a_run",
            "{name} is not a run of the Lab, or is damaged; choose a file that “Save the run” wrote.",
            name=path.name,
        ) from error


def _findings(about: dict[str, Any], arrays: dict[str, np.ndarray]) -> Findings:
    if about["format"] != FORMAT or about["end"] not in ("finished", "cancelled"):
        raise ValueError("written by another version")
    asked = {_renamed(n): tuple(v) if isinstance(v, list) else v for n, v in about["request"].items()}
    return Findings(
        request=EXPERIMENTS[_renamed(about["experiment"])].request(**asked),
        data=_record(about["data"]),
        n_done=int(about["n_done"]),
        n_steps=int(about["n_steps"]),
        seconds=float(about["seconds"]),
        charts=tuple(_chart(**chart) for chart in about["charts"]),
        tables=tuple(
            Table(_renamed(str(t["key"])), tuple(_renamed(str(c)) for c in t["columns"]), tuple(map(tuple, t["rows"])))
            for t in about["tables"]
        ),
        maps=tuple(
            Map(key, name, tuple(_dots(arrays[f"map/{i}/{k}"], *group) for k, group in enumerate(groups)))
            for i, (key, name, groups) in enumerate(about["maps"])
        ),
        pictures=tuple(Picture(key, name, arrays[f"picture/{i}"]) for i, (key, name) in enumerate(about["pictures"])),
        said=tuple(
            (str(key).replace("sharing_", "multitask_"), {_renamed(n): v for n, v in values.items()})
            for key, values in about["said"]
        ),
        weights={name.removeprefix(WEIGHT): value for name, value in arrays.items() if name.startswith(WEIGHT)},
        end=about["end"],
    )


def _renamed(name: str) -> str:
    return RENAMED.get(name, name)


def _record(about: dict[str, Any] | None) -> DatasetRecord | None:
    return None if about is None else DatasetRecord(**about | {"files": tuple(about["files"])})


def _chart(key: str, x: str, y: str, curves: list[dict[str, Any]], percent: bool) -> Chart:
    drawn = tuple(Curve(str(c["name"]), tuple(map(float, c["x"])), tuple(map(float, c["y"]))) for c in curves)
    return Chart(str(key), str(x), str(y), drawn, bool(percent))


def _dots(points: np.ndarray, name: str, labels: list[str]) -> Dots:
    if points.shape != (len(labels), 2):
        raise ValueError("a map has another number of points than labels")
    return Dots(str(name), points, tuple(map(str, labels)))
