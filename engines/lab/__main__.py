"""Every experiment of the lab as one command that prints what the page shows.

    python -m engines.lab fusion --operator attention concat
    python -m engines.lab extractors --sense sound --seeds 3
    python -m engines.lab alignment --folder ~/classes --save aligned.run.safetensors
    python -m engines.lab maml --learner first_order --omniglot ../shared/data
    python -m engines.lab again aligned.run.safetensors --folder ~/classes

Tables go to standard output; how far it is stands on a terminal's last line. Exit codes: 0 done, 1 a sentence on
standard error says what to do, 2 wrong usage, 130 stopped with Ctrl-C.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engines.errors import UserError
from engines.lab import EXPERIMENTS, Findings, LabRequest, MamlRequest, experiment, runs
from engines.lab.findings import Table
from engines.lab.report import over_seeds, text
from engines.protocol import Cancel

if TYPE_CHECKING:
    from engines.lab.data.datasets import Material

MAX_SEEDS = 20


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one experiment, or measure a kept run again; gives the exit code."""
    options = _parser().parse_args(arguments)
    try:
        tables = _again(options) if options.experiment == "again" else _run(options)
    except UserError as error:
        print(error.en, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    print("\n\n".join(map(text, tables)))
    return 0


def _run(options: argparse.Namespace) -> tuple[Table, ...]:
    """The tables of an experiment; of several seeds, their means and spreads."""
    request = request_of(options)
    material, omniglot = _material(options.folder), getattr(options, "omniglot", None)
    requests = [replace(request, seed=request.seed + i) for i in range(options.seeds)]
    found = [_followed(one, experiment(one, material) if omniglot is None else _on(omniglot, one)) for one in requests]
    if options.save is not None:
        runs.save(options.save, found[0])
    if len(found) == 1:
        return found[0].tables
    return tuple(over_seeds(same) for same in zip(*(one.tables for one in found), strict=True))


def _again(options: argparse.Namespace) -> tuple[Table, ...]:
    """The tables of a kept run, measured again; says where a number is another than it was."""
    found = runs.load(options.run)
    tables = runs.again(found, _material(options.folder))
    kept = {table.key: table for table in found.tables}
    same = all(kept.get(table.key) == table for table in tables)
    print(
        "the same numbers as when it was kept" if same else "not the same numbers as when it was kept", file=sys.stderr
    )
    return tables


def _material(folder: Path | None) -> Material | None:
    if folder is None:
        return None
    from engines.lab.data.datasets import from_folder

    return from_folder(folder.expanduser())


def _on(omniglot: Path, request: LabRequest) -> Iterator[Findings]:
    """Learning to learn on Omniglot instead."""
    from engines.lab.maml import yardstick

    assert isinstance(request, MamlRequest)
    return yardstick(request, omniglot, Cancel())


def _followed(request: LabRequest, stream: Iterator[Findings]) -> Findings:
    """The last findings of an experiment; meanwhile a terminal shows how far it is."""
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
    """The request that the options make. Raises RequestError."""
    kind = EXPERIMENTS[options.experiment]
    given: dict[str, Any] = {each.name: getattr(options, each.name) for each in fields(kind)}
    lists = {name: tuple(value) for name, value in given.items() if isinstance(value, list)}
    return kind(**(given | lists))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("engines.lab", description="Run an idea of multimodal learning on small data.")
    commands = parser.add_subparsers(dest="experiment", required=True)
    for name, kind in EXPERIMENTS.items():
        command = commands.add_parser(name, help=(kind.__doc__ or "").splitlines()[0])
        for each in fields(kind):
            command.add_argument(f"--{each.name.replace('_', '-')}", **_option(each.default, each.metadata))
        command.add_argument("--seeds", type=int, choices=range(1, MAX_SEEDS + 1), default=1, metavar="N",
                             help="run with so many seeds, from --seed on, and print means and spreads")  # fmt: skip
        command.add_argument("--folder", type=Path, help="learn from your own: its sub-folders are the classes")
        if kind is MamlRequest:
            command.add_argument("--omniglot", type=Path, help="learn and be tested on Omniglot; holds fewshot/")
        command.add_argument("--save", type=Path, help="keep the (first) run as a .run.safetensors file")
    again = commands.add_parser("again", help="measure a kept run again")
    again.add_argument("run", type=Path)
    again.add_argument("--folder", type=Path, help="what it learnt from, if that was a folder of your own")
    return parser


def _option(default: Any, about: Any) -> dict[str, Any]:
    """How a field of a request is given on the command line."""
    if "known" in about:
        listed = ", ".join(about["known"])
        if isinstance(default, tuple):
            return {"nargs": "+", "default": default, "metavar": "WORD", "help": f"one or more of: {listed}"}
        return {"default": default, "metavar": "WORD", "help": f"one of: {listed} (default {default})"}
    span = f"{about['low']:g} to {about['high']:g} (default {default:g})"
    return {"type": type(default), "default": default, "metavar": "N", "help": span}


if __name__ == "__main__":
    sys.exit(main())
