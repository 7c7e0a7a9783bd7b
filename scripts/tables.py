"""Write every generated table of README, docs and model card again, so that no figure is typed by hand.

    python -m scripts.tables            all of them
    python -m scripts.tables --check    only say which document is out of date; exit code 1 where one is

Figures of the model come from assets/models/builtin/evaluation.json (those of the version before it from
evaluation.before.json), those of the Lab from assets/lab/results.json, the sizes of known checkpoints from their
configs, hostile files and many users from docs/trust.json and docs/load.json, which `scripts.hostile_files` and
`scripts.load` write, words in pictures from docs/words.json (`scripts.measure_words`). What a table says in English and
Chinese stands in tables.json. A document holds a table between `<!-- NAME LANGUAGE -->` and `<!-- end NAME -->`. The
options of every command are written too.

A config in known_checkpoints.json holds what differs from transformers' defaults for its architecture, as published
with the checkpoint; tabs are what the families of `engines.hosts.pretrained` serve. Nothing is fetched.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engines.cli.table import COMMANDS, Command, command_parser
from engines.hosts.pretrained.checkpoint import BYTES, SPARE
from engines.lab.findings import Table
from engines.lab.report import markdown
from engines.paths import ASSETS

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = ("README.md", "README.zh.md", "docs/*.md", "docs/zh/*.md", "assets/models/builtin/CARD.md")
TEXTS: dict[str, Any] = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))
BLOCK = re.compile(
    r"(<!-- (headline|measured|lab|known|trust|load|words) (en|zh) -->\n).*?(<!-- end \2 -->)", re.DOTALL
)
DIGITS = {"s": 3, "": 3, "MB": 0}
"""Digits behind the point, by unit, "" for a factor; one for all others."""

Figures = Mapping[str, Any]
"""What a command measured, as its JSON file holds it."""


def grid(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [f"| {' | '.join(row)} |" for row in (columns, *rows)]
    return "\n".join([lines[0], "|---" * len(columns) + "|", *lines[1:]]) + "\n"


def measured(rows: Figures, language: str, shown: str = "measured", before: Figures | None = None) -> str:
    """The rows of an evaluation, "headline" or "measured"; what was skipped or is not there is left out.

    before: the rows of the version before this one, which get a column of their own.
    """
    columns: list[str] = list(TEXTS["measured_columns"][language])
    lines = []
    for row in TEXTS[shown]:
        keys = row["keys"]
        if value := _values(rows, keys):
            lines.append([row[language], value, _values(before or {}, keys) or "–", f"{rows[keys[0]]['n']:,}"])
    if before is None:
        for line in (columns, *lines):
            del line[2]
    return grid(columns, lines)


def _values(rows: Figures, keys: Sequence[str]) -> str:
    """The values of some rows side by side; "" where one of them is missing."""
    found = [rows[key] for key in keys if rows.get(key, {}).get("value") is not None]
    if len(found) < len(keys):
        return ""
    values = " / ".join(f"{row['value']:.{DIGITS.get(row.get('unit'), 1)}f}" for row in found)
    return values + (" %" if {row.get("unit") for row in found} == {"%"} else "")


def lab(results: Figures, language: str) -> str:
    """Every experiment of the Lab with its tables; titles and column names in Chinese where asked for."""
    words: dict[str, str] = {}
    if language == "zh":
        words = json.loads((ASSETS / "locales" / "zh.json").read_text(encoding="utf-8"))

    def column(name: str) -> str:
        """The page's word for a column; "written → word %" part by part."""
        percent = " %" if name.endswith(" %") else ""
        parts = name.removesuffix(" %").split(" → ")
        return " → ".join(words.get(f"ui.lab.word.{re.sub('[^a-z0-9]', '', p.lower())}", p) for p in parts) + percent

    blocks = []
    for title, tables in results.items():
        heading = TEXTS["lab"][title] if language == "zh" else title[:1].upper() + title[1:]
        drawn = (Table(t["key"], tuple(map(column, t["columns"])), tuple(map(tuple, t["rows"]))) for t in tables)
        blocks += [f"**{heading}**\n", *(f"{markdown(table)}\n" for table in drawn)]
    return "\n".join(blocks)


@dataclass(frozen=True, kw_only=True)
class Known:
    """A checkpoint on the hub. task: the route to type, "" for all. auto: the class of transformers that is counted."""

    name: str
    tabs: list[str]
    model_type: str
    auto: str
    licence: str
    task: str = ""
    config: dict[str, Any] = field(default_factory=dict)

    def n_parameters(self) -> int:
        """Counted on torch's meta device, which takes no memory; shared ones once."""
        import torch
        import transformers

        config = transformers.AutoConfig.for_model(self.model_type, **self.config)
        with torch.device("meta"):
            model = getattr(transformers, self.auto).from_config(config)
        return sum(parameter.numel() for parameter in model.parameters())

    @property
    def line(self) -> str:
        """What is typed to open it."""
        return f"--model {self.task}={self.name}" if self.task else f"--model {self.name}"


KNOWN = [Known(**row) for row in json.loads((Path(__file__).parent / "known_checkpoints.json").read_text("utf-8"))]


def known(language: str, checkpoints: Sequence[Known] = KNOWN) -> str:
    """Known checkpoints; memory with room to work, as a host asks for it."""
    rows = []
    for one in checkpoints:
        n = one.n_parameters()
        needs = (f"{n * BYTES[dtype] * SPARE / 1e9:.1f} GB" for dtype in ("bfloat16", "int8"))
        tabs = ("、" if language == "zh" else ", ").join(TEXTS["known_tabs"][language][tab] for tab in one.tabs)
        size = f"{n / 1e9:.2f} B" if n >= 1e9 else f"{n / 1e6:.0f} M"
        rows.append([one.name, tabs, size, *needs, one.licence, f"`{one.line}`"])
    return grid(TEXTS["known"][language], rows)


def trust(found: Figures, language: str) -> str:
    """Hostile files: a line for each type, then what the kills cost."""
    rows = []
    for kind, row in found["types"].items():
        counts = (str(row[name]) for name in ("n", "n_read", "crashes", "slow", "large", "outside", "unsaid"))
        rows.append([kind, *counts, f"{row['most_cpu_s']:.1f} s", f"{row['most_bytes'] / 2**20:.0f} MB"])
    kills = f"\n{TEXTS['trust_kills'][language].format(**found['kills'])}\n" if found["kills"]["n"] else ""
    return grid(TEXTS["trust"][language], rows) + kills


def load(found: Figures, language: str) -> str:
    """Many users at once; what was not seen is left out."""
    waits, slope = found["waits"], found["slope"]
    values = (
        f"{found['users']}, {found['seconds']:.0f}",
        f"{waits['n_requests']}, {waits['n_errors']}",
        f"{waits['alone_s']:.2f} s",
        f"{waits['beside_s']:.2f} s",
        f"{waits['p50_s']:.2f} s, {waits['p95_s']:.2f} s",
        None if slope is None else f"{slope:+.1f} MB" + (" a minute" if language == "en" else ""),
        None if found["stop_s"] is None or waits["left_at"] == 0 else f"{found['stop_s']:.2f} s",
    )
    names = (name.format(**found) for name in TEXTS["load"][language])
    return grid(["", ""], [(name, value) for name, value in zip(names, values, strict=True) if value is not None])


def words(found: Figures, language: str) -> str:
    """How words in pictures are read."""
    rows = []
    *kinds, (photos, sentence) = TEXTS["words_rows"][language].items()
    for key, title in kinds:
        row = found[key]
        shares = (f"{100 * row[name]:.1f} %" for name in ("characters", "lines", "found"))
        rows.append([title, str(row["n"]), *shares, f"{row['seconds']:.1f} s"])
    n, share = found[photos]["n"], found[photos]["invented"]
    return f"{grid(TEXTS['words'][language], rows)}\n{sentence.format(n=n, k=int(n * share + 0.5))}\n"


def tables() -> dict[str, Callable[[str], str]]:
    """The name of each table -> what it is in a language."""

    def read(path: Path) -> Figures:
        found: Figures = json.loads(path.read_text(encoding="utf-8"))
        return found

    rows, before = (
        read(ASSETS / "models" / "builtin" / f"{name}.json") for name in ("evaluation", "evaluation.before")
    )
    results, docs = read(ASSETS / "lab" / "results.json"), ROOT / "docs"
    return {
        "headline": lambda language: measured(rows, language, "headline"),
        "measured": lambda language: measured(rows, language, before=before),
        "lab": lambda language: lab(results, language),
        "known": known,
        "trust": lambda language: trust(read(docs / "trust.json"), language),
        "load": lambda language: load(read(docs / "load.json"), language),
        "words": lambda language: words(read(docs / "words.json"), language),
    }


def fill(document: str, made: Mapping[str, Callable[[str], str]]) -> str:
    """A document with its tables and the options of commands filled in; tables that are not made here stay."""
    filled = BLOCK.sub(
        lambda found: found[1] + made[found[2]](found[3]) + found[4] if found[2] in made else found[0], document
    )
    return with_options(filled)


def main(argv: list[str] | None = None) -> int:
    """Write the tables, or check them; returns the exit code."""
    parser = argparse.ArgumentParser("scripts.tables", description="Write the generated tables of all documents.")
    parser.add_argument("--check", action="store_true", help="write nothing; say what is out of date")
    check = parser.parse_args(argv).check
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    made, stale = tables(), []
    for path in sorted(path for pattern in DOCUMENTS for path in ROOT.glob(pattern)):
        before = path.read_text(encoding="utf-8")
        after = fill(before, made)
        if after != before:
            stale.append(path)
            print(f"{path.relative_to(ROOT)} {'is out of date' if check else 'was written'}")
            if not check:
                path.write_text(after, encoding="utf-8")
    return int(check and bool(stale))


# --- the options of the commands -------------------------------------------------------------------------------------

COMMON = ("model", "device", "json", "quiet", "verbose")
"""Options of every command, told once."""
MARKS = re.compile(r"(<!-- options of (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def with_options(page: str) -> str:
    """The page with every table of options as the parsers have it."""
    commands = {command.name: command for command in COMMANDS}

    def table(found: re.Match[str]) -> str:
        name = found[2]
        shared = name == "every"
        rows = option_rows(commands["caption"] if shared else commands[name], shared=shared)
        return f"{found[1]}{rows}{found[3]}"

    return MARKS.sub(table, page)


def option_rows(command: Command, *, shared: bool = False) -> str:
    """The options of one command as rows of a table; shared: those that every command has."""
    rows = ["| option | what it does |", "|---|---|"]
    for action in command_parser(command)._actions:
        if action.dest == "help" or (action.dest in COMMON) != shared:
            continue
        rows.append(f"| {_written(action)} | {_option_cell(action.help or '')} |")
    return "\n".join(rows) + "\n"


def _written(action: argparse.Action) -> str:
    value = action.metavar or ("|".join(action.choices) if action.choices else action.dest.upper())
    if not action.option_strings:
        name = f"{action.metavar or action.dest}"
        return f"`{name}`" if action.nargs is None else f"`{name} ...`" if action.nargs in ("+", "*") else f"`[{name}]`"
    takes_value = action.nargs != 0
    written = (f"{option} {value}" if takes_value else option for option in action.option_strings)
    return ", ".join(f"`{_option_cell(each)}`" for each in written)


def _option_cell(text: str) -> str:
    return " ".join(text.split()).replace("|", r"\|")


if __name__ == "__main__":
    sys.exit(main())
