"""The Lab's experiments on the command line: each prints the tables that the page shows.

    python -m engines.lab fusion --operator attention concat
    python -m engines.lab extractors --modality sound --seeds 3
    python -m engines.lab alignment --folder ~/classes --save aligned.run.safetensors
    python -m engines.lab maml --method first_order --omniglot DATA
    python -m engines.lab again aligned.run.safetensors --folder ~/classes

Tables go to standard output, progress to a terminal's last line. Exit codes: 0 done, 1 a sentence on standard error
says what to do, 2 wrong usage, 130 stopped with Ctrl-C.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engines.errors import RequestError, UserError
from engines.lab import EXPERIMENTS, Findings, LabRequest, MamlRequest, experiment, runs
from engines.lab.findings import Table
from engines.lab.report import over_seeds, text
from engines.protocol import Cancel

if TYPE_CHECKING:
    from engines.lab.data.datasets import Dataset

MAX_SEEDS = 20

PROGRAM = "python -m engines.lab"


def main(arguments: Sequence[str] | None = None, program: str = PROGRAM) -> int:
    """Run one experiment, or measure a saved run again; returns the exit code."""
    options = _parser(program).parse_args(arguments)
    try:
        request = None if options.experiment == "again" else request_of(options)
    except RequestError as error:
        print(error.en, file=sys.stderr)
        return 2  # as argparse has it
    try:
        tables = _again(options) if request is None else _run(options, request)
    except UserError as error:
        print(error.en, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    print("\n\n".join(map(text, tables)))
    return 0


def _run(options: argparse.Namespace, request: LabRequest) -> tuple[Table, ...]:
    """The tables of an experiment; of several seeds, means and standard deviations."""
    material, omniglot = _material(options.folder), getattr(options, "omniglot", None)
    requests = [replace(request, seed=request.seed + i) for i in range(options.seeds)]
    found = [_followed(one, experiment(one, material) if omniglot is None else _on(omniglot, one)) for one in requests]
    if options.save is not None:
        runs.save(options.save, found[0])
    if len(found) == 1:
        return found[0].tables
    return tuple(over_seeds(same) for same in zip(*(one.tables for one in found), strict=True))


def _again(options: argparse.Namespace) -> tuple[Table, ...]:
    """The tables of a saved run, measured again; standard error says whether the numbers are the same."""
    found = runs.load(options.run)
    tables = runs.measure_again(found, _material(options.folder))
    kept = {table.key: table for table in found.tables}
    same = all(kept.get(table.key) == table for table in tables)
    print(f"{'' if same else 'not '}the same numbers as when it was saved", file=sys.stderr)
    return tables


def _material(folder: Path | None) -> Dataset | None:
    if folder is None:
        return None
    from engines.lab.data.datasets import from_folder

    return from_folder(folder.expanduser())


def _on(omniglot: Path, request: LabRequest) -> Iterator[Findings]:
    """Meta-learning on Omniglot."""
    from engines.lab.maml import benchmark

    assert isinstance(request, MamlRequest)
    return benchmark(request, omniglot, Cancel())


def _followed(request: LabRequest, stream: Iterator[Findings]) -> Findings:
    """The last findings of an experiment; a terminal shows the progress."""
    found: Findings | None = None
    shows = sys.stderr.isatty()
    for found in stream:
        if shows:
            sys.stderr.write(f"\r\x1b[K{found.stage}: step {found.n_done} of {found.n_steps}, seed {request.seed}")
            sys.stderr.flush()
    if shows:
        sys.stderr.write("\r\x1b[K")
    assert found is not None, "an experiment ends with findings"
    return found


# --- options, from the fields of the requests --------------------------------------------------------------------


def request_of(options: argparse.Namespace) -> LabRequest:
    """The request of the options. Raises RequestError."""
    kind = EXPERIMENTS[options.experiment].request
    given: dict[str, Any] = {each.name: getattr(options, each.name) for each in fields(kind)}
    lists = {name: tuple(value) for name, value in given.items() if isinstance(value, list)}
    return kind(**(given | lists))


def _parser(program: str = PROGRAM) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(program, description="Run an idea of multimodal learning on small data.")
    commands = parser.add_subparsers(dest="experiment", required=True)
    for name, entry in EXPERIMENTS.items():
        kind = entry.request
        command = commands.add_parser(name, help=(kind.__doc__ or "").splitlines()[0])
        for each in fields(kind):
            command.add_argument(f"--{each.name.replace('_', '-')}", **_option(each.default, each.metadata))
        command.add_argument("--seeds", type=int, choices=range(1, MAX_SEEDS + 1), default=1, metavar="N",
                             help="number of seeds, from --seed on; prints means and standard deviations")  # fmt: skip
        command.add_argument("--folder", type=Path, help="train on a folder of yours: its sub-folders are the classes")
        if kind is MamlRequest:
            command.add_argument("--omniglot", type=Path, help="train and test on Omniglot; the folder holds fewshot/")
        command.add_argument("--save", type=Path, help="save the (first) run as a .run.safetensors file")
    again = commands.add_parser("again", help="measure a saved run again")
    again.add_argument("run", type=Path)
    again.add_argument("--folder", type=Path, help="the folder it was trained on, if it was one of yours")
    return parser


def _option(default: Any, about: Any) -> dict[str, Any]:
    """The command-line option of a field."""
    if "known" in about:
        listed = ", ".join(about["known"])
        if isinstance(default, tuple):
            return {"nargs": "+", "default": default, "metavar": "WORD", "help": f"one or more of: {listed}"}
        return {"default": default, "metavar": "WORD", "help": f"one of: {listed} (default {default})"}
    span = f"{about['low']:g} to {about['high']:g} (default {default:g})"
    return {"type": type(default), "default": default, "metavar": "N", "help": span}


if __name__ == "__main__":
    sys.exit(main())
