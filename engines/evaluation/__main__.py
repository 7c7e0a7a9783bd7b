"""Measure a model on data in the shared layout: one table, and a JSON file with all of it.

    python -m engines.evaluation --data DIR --split dev --out evaluation.json
    python -m engines.evaluation --data DIR --split dev --only caption,retrieval --limit 100

The file is written after every suite. Rows of other suites that an earlier run of the same model on the same split
left in it are kept, so a long evaluation may be made in pieces.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from engines.errors import RequestError, UserError
from engines.evaluation.harness import Harness, Rows
from engines.evaluation.report import about, earlier, table, write
from engines.evaluation.speed import precision_rows, speed_rows, whisper_rows
from engines.evaluation.suites import SUITES, Suite, chosen, evaluate
from engines.hosts import open_host
from engines.protocol import Host
from engines.settings import Settings

logger = logging.getLogger(__name__)


def main(
    arguments: Sequence[str] | None = None,
    opener: Callable[[str, Settings], Host] = open_host,
    program: str = "python -m engines.evaluation",
) -> int:
    """Runs the suites asked for; 0 when all ran, 1 when one failed, 2 when the request made no sense."""
    args = _parser(program).parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        if not args.data.is_dir():
            name = args.data.name
            raise RequestError(
                "data_folder_missing",
                "There is no folder {name!r}; give the folder the data lies in with --data.",
                name=name,
            )
        names = chosen([name for name in args.only.split(",") if name])
        reopen = partial(opener, args.model, Settings(device=args.device, n_threads=args.threads))
        host = reopen()
    except UserError as error:
        print(error.en, file=sys.stderr)
        return 2
    corpora = frozenset(name for name in args.corpora.split(",") if name)
    harness = Harness(host, args.data, args.split, args.limit, corpora=corpora)
    try:
        speed = partial(speed_rows, reopen=reopen, with_peers=args.peers, with_hour=args.hour, with_starts=args.starts)
        suites: dict[str, Suite] = {**SUITES, "speed": speed}
        if args.whispers:
            suites["whispers"] = partial(whisper_rows, folders=args.whispers)
            names.append("whispers")
        if args.precision:
            suites["precision"] = partial(precision_rows, folder=None if args.model == "builtin" else Path(args.model))
            names.append("precision")
        rows, failed = _run(harness, names, suites, args.out)
    finally:
        host.close()
    print(table(rows))
    if failed:
        print(f"failed: {', '.join(failed)}; the log above says why", file=sys.stderr)
    return 1 if failed else 0


def _run(
    harness: Harness, names: Sequence[str], suites: Mapping[str, Suite], out: Path | None
) -> tuple[Rows, list[str]]:
    rows, seconds = earlier(out, harness)
    failed: list[str] = []
    for name in names:
        print(f"{name} ...", file=sys.stderr, flush=True)
        started = time.monotonic()
        try:
            fresh = evaluate(harness, name, suites)
        except Exception:  # a defect in one suite must not cost the hours of the others; it is logged and reported
            logger.exception("the suite %s failed", name)
            failed.append(name)
            continue
        seconds[name] = time.monotonic() - started
        rows = {key: row for key, row in rows.items() if not f"{key}.".startswith(f"{name}.")} | fresh
        if out is not None:
            write(out, about(harness, seconds), rows)
    return rows, failed


def _parser(program: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(program, description="Measure a model on your data.")
    parser.add_argument("--data", type=Path, required=True, help="folder in the shared layout: photos/, speech/, ...")
    parser.add_argument("--split", default="dev", help="which split of it (default: dev)")
    parser.add_argument("--out", type=Path, help="JSON file to write; without it only the table is printed")
    parser.add_argument("--only", default="", help=f"suites, comma-separated: {', '.join(SUITES)} (default: all)")
    parser.add_argument("--corpora", default="", help="of speech and translation, comma-separated (default: all)")
    parser.add_argument("--limit", type=int, help="most items of a row (default: all, or the bound of the suite)")
    parser.add_argument("--model", default="builtin", help="builtin, or the folder of a checkpoint (default: builtin)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:n (default: auto)")
    parser.add_argument("--threads", type=int, default=0, help="torch threads; 0 = torch's choice")
    parser.add_argument("--peers", action="store_true", help="time peers' architectures too (needs transformers)")
    parser.add_argument("--hour", action="store_true", help="time the transcript of an hour of speech, too")
    parser.add_argument("--starts", action="store_true", help="time new processes of the program, too")
    parser.add_argument("--precision", action="store_true", help="measure each part in another precision too")
    parser.add_argument(
        "--whispers", type=Path, nargs="+", help="folders of Whisper (transformers, CTranslate2), on the same speech"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
