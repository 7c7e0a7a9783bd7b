"""Measure the Lab's experiments over three seeds, for the tables that `scripts.tables` writes into documents.

    python -m scripts.measure_lab assets/lab/results.json --voices VOICES --omniglot DATA

This takes about half an hour on two cores. VOICES holds the Free Spoken Digit Dataset (fsdd.tar and fsdd.jsonl.gz),
DATA holds Omniglot (fewshot/).

    python -m scripts.measure_lab --times

says how long each experiment takes as the page starts with it: to the first point of a curve, and to its end. On two
quiet cores that should be 2 s and 30 s.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
import tarfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from engines.archives import decode_sound
from engines.errors import Message, RequestError, UserError
from engines.lab import (
    EXPERIMENTS,
    AlignmentRequest,
    ExtractorsRequest,
    Findings,
    FusionRequest,
    LabRequest,
    MamlRequest,
    MultitaskRequest,
    Watch,
    experiment,
    fusion,
    maml,
)
from engines.lab.data.arrays import Sounds, sound_codes
from engines.lab.data.datasets import digits
from engines.lab.findings import Table
from engines.lab.report import over_seeds
from engines.protocol import Cancel

SEEDS = (0, 1, 2)
RUNS: dict[str, LabRequest] = {
    "extractors of pictures": ExtractorsRequest(modality="picture"),
    "extractors of sounds": ExtractorsRequest(modality="sound"),
    "extractors of text": ExtractorsRequest(modality="text"),
    "fusion": FusionRequest(),
    "fusion without modality dropout": FusionRequest(modality_dropout=0.0),
    "alignment": AlignmentRequest(),
    "multi-task learning": MultitaskRequest(),
    "meta-learning": MamlRequest(),
}
"""Title -> request: the defaults of the page, and fusion once more without modality dropout."""
VOICES, OMNIGLOT = "fusion, real voices", "meta-learning on Omniglot"
BENCHMARK = MamlRequest(method=("first_order", "fine_tuning"), n_steps=6_000, n_tasks=16, n_inner=1)
"""With one inner step first and second order are the same, and a step of meta-training costs least."""
ORDER = [*list(RUNS)[:4], VOICES, *list(RUNS)[4:], OMNIGLOT]
LEFT_OUT = ("trust", "size", "gradients")
"""Tables of a single example, or of little interest in a document."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and write the results; returns the exit code."""
    parser = argparse.ArgumentParser(description="Measure the Lab's experiments.")
    parser.add_argument("results", type=Path, nargs="?", help="the results, as JSON")
    parser.add_argument("--times", action="store_true", help="only say how long the page's default runs take")
    parser.add_argument("--voices", type=Path, help="folder of the Free Spoken Digit Dataset, to test fusion on it too")
    parser.add_argument("--omniglot", type=Path, help="folder that holds fewshot/, to meta-learn on Omniglot too")
    parser.add_argument("--only", choices=RUNS, nargs="+", default=RUNS, help="run these and keep the other results")
    options = parser.parse_args(arguments)
    if options.times:
        for name, entry in EXPERIMENTS.items():
            first_s, end_s = times(page_request(entry.request))
            print(f"{name}: first point after {first_s:.1f} s, end after {end_s:.1f} s", flush=True)
        return 0
    if options.results is None:
        parser.error("name the file of the results, or give --times")
    results = json.loads(options.results.read_text(encoding="utf-8")) if options.results.is_file() else {}
    try:
        results |= measured({title: RUNS[title] for title in options.only}, options.voices, options.omniglot)
    except UserError as error:
        print(error.en, file=sys.stderr)
        return 1
    ordered = {title: results[title] for title in ORDER if title in results}
    options.results.write_text(json.dumps(ordered, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return 0


def page_request(kind: type[LabRequest]) -> LabRequest:
    """The settings that the page starts with."""
    return kind(**{each.name: each.metadata["first"] for each in fields(kind) if "first" in each.metadata})


def times(request: LabRequest) -> tuple[float, float]:
    """Seconds until a run has a point of a curve, and until its end, its network drawn as on the page."""
    began_s, first_s = time.monotonic(), 0.0
    for found in experiment(request, watch=Watch(3)):
        if not first_s and any(curve.x for chart in found.charts for curve in chart.curves):
            first_s = time.monotonic() - began_s
    return first_s, time.monotonic() - began_s


def measured(
    requests: Mapping[str, LabRequest], voices: Path | None, omniglot: Path | None = None, seeds: Sequence[int] = SEEDS
) -> dict[str, Any]:
    """Title -> tables, their numbers as "mean ± standard deviation" over the seeds. Raises RequestError."""
    spoken = None if voices is None else real_voices(voices)
    found: dict[str, list[Table]] = {}
    for title, request in requests.items():
        ends = []
        for seed in seeds:
            print(f"{title}, seed {seed}", file=sys.stderr, flush=True)
            ends.append(_last(experiment(replace(request, seed=seed))))
        found[title] = _merged([end.tables for end in ends])
        if title == "fusion" and spoken is not None:
            dataset = replace(digits(), test=replace(digits().test, sounds=spoken))
            asked = [end.request for end in ends if isinstance(end.request, FusionRequest)]
            found[VOICES] = _merged([fusion.measure(r, dataset, e.weights) for r, e in zip(asked, ends, strict=True)])
        if title == "meta-learning" and omniglot is not None:
            print(OMNIGLOT, file=sys.stderr, flush=True)
            found[OMNIGLOT] = _merged([_last(maml.benchmark(BENCHMARK, omniglot, Cancel())).tables])
    return {title: [asdict(table) for table in tables] for title, tables in found.items()}


def real_voices(folder: Path) -> Sounds:
    """English digits of six people (Free Spoken Digit Dataset, 8 kHz), voices in alphabetical order.

    folder: holds fsdd.tar and fsdd.jsonl.gz. Raises RequestError.
    """
    try:
        with gzip.open(folder / "fsdd.jsonl.gz", "rt", encoding="utf-8") as lines:
            about = {row["id"]: row for row in map(json.loads, lines)}
        with tarfile.open(folder / "fsdd.tar", "r:") as tar:
            files = {Path(m.name).stem: file.read() for m in tar if (file := tar.extractfile(m)) is not None}
    except (OSError, tarfile.TarError) as error:
        raise RequestError(
            "lab_folder_lacks",
            "{what} cannot be read from this folder; choose another, or take what comes with the program.",
            what=Message("word.voices", "The recordings of real voices"),
        ) from error
    codes = {name: sound_codes(decode_sound(files[name], name).samples) for name in about if name in files}
    audible = {name: code for name, code in codes.items() if code is not None}
    speakers = sorted({row["speaker"] for row in about.values()})
    sounds = Sounds.of(list(audible.values()), np.array([int(about[name]["digit"]) for name in audible]))
    return replace(sounds, voices=np.array([speakers.index(about[name]["speaker"]) for name in audible]))


def _last(stream: Iterator[Findings]) -> Findings:
    *_, found = stream
    return found


def _merged(tables: Sequence[tuple[Table, ...]]) -> list[Table]:
    """Merge each table over seeds; the time per step becomes a column of the first where it has the same rows."""
    first, *others = [over_seeds(same) for same in zip(*tables, strict=True) if same[0].key not in LEFT_OUT]
    times = next((table for table in others if table.key == "time"), None)
    ms = {} if times is None else {row[0]: row[1] for row in times.rows}
    if ms.keys() >= {row[0] for row in first.rows}:
        first = Table(first.key, (*first.columns, "ms per step"), tuple((*row, ms[row[0]]) for row in first.rows))
    return [first, *(table for table in others if table is not times)]


if __name__ == "__main__":
    sys.exit(main())
