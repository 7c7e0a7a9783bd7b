"""teach, recognise and labels: the label sets of the page "Teach it" on the command line.

fusion-studio teach Pets cat=a.jpg,b.jpg dog=c.jpg dog=d.jpg
fusion-studio recognise Pets new.jpg
fusion-studio labels rename Pets Animals
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

from engines.cli.inputs import gathered, passed_over
from engines.cli.models import open_for
from engines.cli.outputs import Meter, print_json
from engines.cli.process import WrongUsage
from engines.errors import MediaError
from engines.home import data_folder
from engines.lab.fewshot import Prediction, TeachRequest, TeachResult, check_digest, check_host, recognise_file
from engines.lab.fewshot import teach as learn
from engines.lab.label_store import Entry, LabelFolder


def teach_arguments(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("name", help="of the label set; one of the same name is replaced")
    sub.add_argument("files", nargs="+", type=_labelled, metavar="LABEL=FILE,...", help="a label and examples of it")


def recognise_arguments(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("name", help="of the label set")
    sub.add_argument("files", nargs="+", metavar="FILE", help="files, folders, glob patterns, or - for standard input")


def labels_arguments(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("action", nargs="?", choices=_ACTIONS, default="list", help="(default: list)")
    sub.add_argument("name", nargs="?", help="of the set to rename or delete; of a damaged one, as the list has it")
    sub.add_argument("new", nargs="?", help="its new name")


def teach(options: argparse.Namespace) -> int:
    lesson = TeachRequest(options.name, tuple(options.files))
    n_files = sum(len(files) for _, files in options.files)
    with closing(open_for(options, "search")) as host, Meter(options, n_files) as meter:
        step, n_read = TeachResult(), 0
        for step in learn(host, lesson):
            n_done = n_files if step.progress is None else int(step.progress.done)
            for _ in range(n_done - n_read):
                meter.done()
            n_read = max(n_read, n_done)
    assert step.labels is not None, "only Ctrl-C stops a command, and it is raised"
    LabelFolder(data_folder() / "labels").save(step.labels)
    counts = Counter(example.label for example in step.labels.examples)
    failures = {name: error.en for name, error in step.failures}
    if options.json:
        print_json({"name": step.labels.name, "labels": counts, "failures": failures})
    else:
        print(f"{step.labels.name}: " + ", ".join(f"{label} ({n})" for label, n in counts.items()))
    return _exit_code(failures)


def recognise(options: argparse.Namespace) -> int:
    from engines import media

    labels = LabelFolder(data_folder() / "labels").load(options.name)
    failures: dict[str, str] = {}
    named: list[tuple[str, Prediction]] = []
    kinds = media.PHOTO_SUFFIXES | media.SOUND_SUFFIXES | media.CLIP_SUFFIXES
    with gathered(options.files, kinds) as inputs:
        failures |= {name: f"{name}: {sentence}" for name, sentence in inputs.missing}
        if inputs.passed and not options.quiet:
            print(passed_over(inputs.passed, len(inputs.passed)), file=sys.stderr)
        if inputs.found:
            with closing(open_for(options, "search")) as host, Meter(options, len(inputs.found)) as meter:
                check_host(host)
                check_digest(labels, host.info.model_digest)
                for source in inputs.found:
                    meter.begin(source.name)
                    try:
                        named.append((source.name, recognise_file(host, labels, source.path)))
                    except MediaError as error:
                        failures[source.name] = error.en
                    meter.done()
    if options.json:
        print_json({"name": labels.name, "files": [_plain(*each) for each in named], "failures": failures})
    else:
        for name, found in named:
            near = ", ".join(f"{example.file} {cosine:.2f}" for example, cosine in found.nearest)
            print(f"{found.confidence:4.0%}  {found.label or '(none of these)'}  {name}  (nearest: {near})")
    return _exit_code(failures)


def labels(options: argparse.Namespace) -> int:
    names = [name for name in (options.name, options.new) if name is not None]
    wanted = _ACTIONS[options.action]
    if len(names) != wanted:
        raise WrongUsage(
            "cli_labels", "`labels {action}` takes {wanted} names, not {given}.", action=options.action, wanted=wanted,
            given=len(names),
        )  # fmt: skip
    store = LabelFolder(data_folder() / "labels")
    if options.action == "rename":
        store.rename(*names)
    elif options.action == "delete":
        store.delete(*names)
    elif options.json:
        print_json({"sets": [_entry(entry) for entry in store.entries()]})
    else:
        for entry in store.entries():
            print(f"{entry.name}: {_about(entry)}")
        if not store.entries():
            print("(no label set yet; teach one)")
    return 0


_ACTIONS = {"list": 0, "rename": 2, "delete": 1}
"""What can be done with label sets, and how many names it takes."""


def _labelled(word: str) -> tuple[str, tuple[Path, ...]]:
    """ "cat=a.jpg,b.jpg" -> a label and its files. A file that is there may have commas in its name."""
    label, equals, files = word.partition("=")
    if not equals or not files:
        raise argparse.ArgumentTypeError(f"{word!r} is no label with files; write label=file,file")
    names = [files] if Path(files).is_file() else [name for name in files.split(",") if name]
    return label, tuple(Path(name).expanduser() for name in names)


def _exit_code(failures: dict[str, str]) -> int:
    """The exit code; on standard error, what could not be read."""
    for sentence in failures.values():
        print(sentence, file=sys.stderr)
    return 1 if failures else 0


def _about(entry: Entry) -> str:
    if entry.failure is not None:
        return entry.failure.en
    return f"{', '.join(entry.labels)} ({entry.n_examples} examples)"


def _plain(name: str, found: Prediction) -> dict[str, Any]:
    return {
        "file": name,
        "label": found.label,
        "confidence": round(found.confidence, 4),
        "probabilities": {label: round(probability, 4) for label, probability in found.probabilities},
        "none": round(found.none, 4),
        "nearest": [
            {"label": each.label, "file": each.file, "cosine": round(cosine, 4)} for each, cosine in found.nearest
        ],
    }


def _entry(entry: Entry) -> dict[str, Any]:
    if entry.failure is not None:
        return {"name": entry.name, "failure": entry.failure.en}
    return {"name": entry.name, "labels": list(entry.labels), "n_examples": entry.n_examples}
