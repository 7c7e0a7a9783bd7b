"""Labels of one's own on the command line: `python -m engines teach | recognise | labels`.

    python -m engines teach Pets cat=a.jpg,b.jpg dog=c.jpg dog=d.jpg
    python -m engines recognise Pets new.jpg
    python -m engines labels rename Pets Animals

The sets are those of the page "Teach it". Each command prints its answer and gives an exit code; what goes wrong
altogether is raised.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, TypeAlias

from engines.errors import MediaError
from engines.home import data_folder
from engines.lab.fewshot import (
    Prediction,
    TeachRequest,
    TeachResult,
    check_digest,
    check_host,
    recognise_file,
    teach,
)
from engines.lab.label_store import Entry, LabelFolder
from engines.protocol import Host

Open: TypeAlias = Callable[[], Host]
Show: TypeAlias = Callable[[str], None]
"""Shows what is under way."""
Command: TypeAlias = Callable[[str, str], argparse.ArgumentParser]
"""Adds a command of a name, with a line about it."""


def add(command: Command) -> None:
    """Add the commands. Each sets `act`: (options, open, show) -> exit code."""
    sub = command("teach", "Learn labels of your own from a few photos or sounds of each.")
    sub.add_argument("name", help="of the label set; one of the same name is replaced")
    sub.add_argument("files", nargs="+", type=_labelled, metavar="LABEL=FILE,...", help="a label and examples of it")
    sub.set_defaults(act=_teach)

    sub = command("recognise", "Name photos or sounds by a label set that was taught.")
    sub.add_argument("name", help="of the label set")
    sub.add_argument("files", nargs="+", type=Path, metavar="FILE")
    sub.set_defaults(act=_recognise)

    sub = command("labels", "List, rename or delete label sets.")
    sub.set_defaults(act=_list)
    acts = sub.add_subparsers(metavar="list | rename | delete")
    acts.add_parser("list", help="the label sets there are (also without this word)")
    rename = acts.add_parser("rename", help="give a set another name")
    rename.add_argument("name")
    rename.add_argument("new")
    rename.set_defaults(act=_rename)
    delete = acts.add_parser("delete", help="delete a set; of a damaged one, give the name that the list gives")
    delete.add_argument("name")
    delete.set_defaults(act=_delete)


def _labelled(word: str) -> tuple[str, tuple[Path, ...]]:
    """ "cat=a.jpg,b.jpg" -> a label and its files. A file that is there may have commas in its name."""
    label, equals, files = word.partition("=")
    if not equals or not files:
        raise argparse.ArgumentTypeError(f"{word!r} is no label with files; write label=file,file")
    names = [files] if Path(files).is_file() else [name for name in files.split(",") if name]
    return label, tuple(Path(name).expanduser() for name in names)


def _teach(options: argparse.Namespace, open_host: Open, show: Show) -> int:
    lesson = TeachRequest(options.name, tuple(options.files))
    with closing(open_host()) as host:
        step = TeachResult()
        for step in teach(host, lesson):
            show("" if step.progress is None else f"[{step.progress.done:.0f} of {step.progress.total:.0f} files]")
    assert step.labels is not None, "nobody stops a command but with Ctrl-C, which is raised"
    LabelFolder(data_folder() / "labels").save(step.labels)
    counts = Counter(example.label for example in step.labels.examples)
    failures = {name: error.en for name, error in step.failures}
    if options.json:
        _print({"name": step.labels.name, "labels": counts, "failures": failures})
    else:
        print(f"{step.labels.name}: " + ", ".join(f"{label} ({n})" for label, n in counts.items()))
    return _failed(failures)


def _recognise(options: argparse.Namespace, open_host: Open, show: Show) -> int:
    labels = LabelFolder(data_folder() / "labels").load(options.name)
    named: list[tuple[Path, Prediction]] = []
    failures: dict[str, str] = {}
    with closing(open_host()) as host:
        check_host(host)
        check_digest(labels, host.info.model_digest)
        for n, path in enumerate(options.files):
            show(f"[{n} of {len(options.files)} files]")
            try:
                named.append((path, recognise_file(host, labels, path.expanduser())))
            except MediaError as error:
                failures[path.name] = error.en
        show("")
    if options.json:
        _print({"name": labels.name, "files": [_plain(path, found) for path, found in named], "failures": failures})
    else:
        for path, found in named:
            near = ", ".join(f"{example.file} {cosine:.2f}" for example, cosine in found.nearest)
            print(f"{found.confidence:4.0%}  {found.label or '(none of these)'}  {path}  (nearest: {near})")
    return _failed(failures)


def _list(options: argparse.Namespace, open_host: Open, show: Show) -> int:
    entries = LabelFolder(data_folder() / "labels").entries()
    if options.json:
        _print({"sets": [_entry(entry) for entry in entries]})
    else:
        for entry in entries:
            said = (
                f"{', '.join(entry.labels)} ({entry.n_examples} examples)"
                if entry.failure is None
                else entry.failure.en
            )
            print(f"{entry.name}: {said}")
        if not entries:
            print("(no label set yet; teach one)")
    return 0


def _rename(options: argparse.Namespace, open_host: Open, show: Show) -> int:
    LabelFolder(data_folder() / "labels").rename(options.name, options.new)
    return 0


def _delete(options: argparse.Namespace, open_host: Open, show: Show) -> int:
    LabelFolder(data_folder() / "labels").delete(options.name)
    return 0


def _failed(failures: dict[str, str]) -> int:
    """The exit code; on standard error, what could not be read."""
    for sentence in failures.values():
        print(sentence, file=sys.stderr)
    return 1 if failures else 0


def _plain(path: Path, found: Prediction) -> dict[str, Any]:
    return {
        "file": str(path),
        "label": found.label,
        "confidence": round(found.confidence, 4),
        "chances": {label: round(chance, 4) for label, chance in found.probabilities},
        "none": round(found.none, 4),
        "nearest": [
            {"label": each.label, "file": each.file, "cosine": round(cosine, 4)} for each, cosine in found.nearest
        ],
    }


def _entry(entry: Entry) -> dict[str, Any]:
    if entry.failure is not None:
        return {"name": entry.name, "failure": entry.failure.en}
    return {"name": entry.name, "labels": list(entry.labels), "n_examples": entry.n_examples}


def _print(plain: dict[str, Any]) -> None:
    print(json.dumps(plain, ensure_ascii=False))
