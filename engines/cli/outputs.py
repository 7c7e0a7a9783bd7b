"""Where results go: lines of text or JSON on standard output, or a file for each input and format."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

from engines.cli.inputs import Input, named
from engines.cli.process import WrongUsage
from engines.errors import RequestError
from engines.paths import write_whole
from engines.protocol import Result
from engines.report import to_json

Render: TypeAlias = Callable[[Any], str]
"""A result as text that ends with a line break, or "" for nothing."""
Suffix: TypeAlias = Callable[[Input, str], str]
"""An input and a format → what comes behind the dot of the file that is written."""


def add_output_options(sub: argparse.ArgumentParser, formats: Sequence[str]) -> None:
    """--format, --output-dir and --resume."""
    known = ", ".join(formats)
    sub.add_argument("--format", metavar="FORMAT", help=f"{known}; with --output-dir several with commas, or all "
                     "(default: txt)")  # fmt: skip
    sub.add_argument("--output-dir", type=named, metavar="DIR", help="write one file for each input and format there")
    sub.add_argument("--resume", action="store_true", help="skip inputs whose files are all there (with --output-dir)")


class Output:
    """Writes the results of a command. renders: format → how a result is written in it, "txt" among them. suffix: of
    the file that an input is written to in a format. inputs: the files that are read, none of which is written over.

    Raises WrongUsage for formats that are unknown, or too many for standard output.
    """

    def __init__(
        self,
        options: argparse.Namespace,
        renders: Mapping[str, Render],
        n_inputs: int,
        suffix: Suffix = lambda _, form: form,
        inputs: Iterable[Path] = (),
    ) -> None:
        self._suffix = suffix
        self._inputs = frozenset(path.resolve() for path in inputs)
        self._renders: dict[str, Render] = {**renders, "json": _json}
        self._folder: Path | None = getattr(options, "output_dir", None)
        self._as_json, self._n_inputs = options.json, n_inputs
        self.formats = self._chosen("txt" if getattr(options, "format", None) is None else options.format)
        if getattr(options, "resume", False) and self._folder is None:
            raise WrongUsage("cli_resume", "--resume needs the folder of the files; add --output-dir.")
        if self._folder is None and len(self.formats) > 1:
            raise WrongUsage("cli_formats", "Standard output takes one format; name a folder with --output-dir.")
        self.n_files = 0

    def _chosen(self, words: str) -> list[str]:
        chosen = [word.strip() for word in words.split(",") if word.strip()]
        if "all" in chosen:
            return [*self._renders]
        for word in chosen or [words]:
            if word not in self._renders:
                raise WrongUsage(
                    "cli_format",
                    "{word!r} is no format of this command; choose {known}.",
                    word=word,
                    known=list(self._renders),
                )
        return list(dict.fromkeys(chosen))

    def files(self, source: Input) -> list[Path]:
        """The files one input is written to."""
        assert self._folder is not None
        suffixes = [self._suffix(source, form) for form in self.formats]
        return [self._folder / source.output.with_name(f"{source.output.name}.{suffix}") for suffix in suffixes]

    def is_done(self, source: Input) -> bool:
        """Whether all files of an input are there, and none older than it. Each is written whole or not at all."""
        if self._folder is None or not all(file.is_file() for file in self.files(source)):
            return False
        try:
            changed = source.path.stat().st_mtime_ns
        except (OSError, ValueError):  # a text, which may be too long for a name
            changed = 0
        return all(file.stat().st_mtime_ns >= changed for file in self.files(source))

    def put(self, source: Input, result: Result) -> None:
        """Write one result. Raises RequestError where its file cannot be written, or is itself an input."""
        if self._folder is not None:
            for form, file in zip(self.formats, self.files(source), strict=True):
                if file.resolve() in self._inputs:
                    raise RequestError(
                        "cli_own_input", "{path} is read too and is not written over; name another folder.", path=file
                    )
                write_output(file, self._renders[form](result))
                self.n_files += 1
        if self._as_json:
            print(_dumped({"file": source.name, **plain(result)}), flush=True)
        elif self._folder is None:
            self._print(source.name, self._renders[self.formats[0]](result))

    def _print(self, name: str, text: str) -> None:
        if self._n_inputs == 1:
            print(text, end="", flush=True)
        elif text.count("\n") <= 1:
            print(f"{name}: {text}", end="" if text.endswith("\n") else "\n", flush=True)
        else:
            print(f"==> {name} <==\n{text}", flush=True)

    def fail(self, name: str, sentence: str) -> None:
        """Say why there is no result for an input."""
        if self._as_json:
            print(_dumped({"file": name, "error": sentence}), flush=True)
        print(f"{name}: {sentence}", file=sys.stderr, flush=True)


def plain(result: Result) -> dict[str, Any]:
    """A result as JSON has it, with whole paths: this is the person's own machine."""
    return to_json(result, whole_paths=True)


def _json(result: Result) -> str:
    return _dumped(plain(result)) + "\n"


def print_json(value: object) -> None:
    """One JSON object on a line."""
    print(_dumped(value), flush=True)


def write_output(file: Path, text: str) -> None:
    """Write a file for the person who asked for it. Raises RequestError."""
    try:
        write_whole(file, text.encode("utf-8", "surrogateescape"))
    except OSError as error:
        raise RequestError(
            "cli_unwritable", "{path} cannot be written: {why}.", path=file, why=error.strerror or error
        ) from error


def _dumped(value: object) -> str:
    """JSON on one line. A file name that is not text is escaped, so that the line is UTF-8 in any case."""
    line = json.dumps(value, ensure_ascii=False)
    try:
        line.encode("utf-8")
    except UnicodeEncodeError:
        return json.dumps(value)
    return line


# --- progress --------------------------------------------------------------------------------------------------------


class Meter:
    """Files done, the rate and the time left; for a single file, its progress.

    total: how many files there are, 0 where nobody knows. Text printed while the bar is shown goes through `aside`.
    """

    def __init__(self, options: argparse.Namespace, total: int, unit: str = "file") -> None:
        from tqdm import tqdm

        hidden = options.quiet or not sys.stderr.isatty()
        self._alone = total == 1
        self._bar: Any = tqdm(
            total=None if self._alone or not total else total,
            unit="" if self._alone else unit,
            disable=hidden,
            dynamic_ncols=True,
            leave=not self._alone,
            file=sys.stderr,
        )

    def __enter__(self) -> Meter:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def begin(self, name: str) -> None:
        """Start the next file."""
        if not self._alone:
            self._bar.set_description_str(name[-40:])

    def show(self, result: Result) -> None:
        """Show a file's newest result."""
        if self._bar.disable:
            return
        progress, text = result.progress, " ".join(str(getattr(result, "text", "")).split())
        if not self._alone:
            if progress is not None and progress.total > 1.0:
                self._bar.set_postfix_str(f"{progress.done:.0f} of {progress.total:.0f} {progress.unit}")
            return
        if progress is not None:
            self._bar.set_description_str(progress.stage, refresh=False)
            self._bar.unit = f" {progress.unit}" if progress.unit else ""
            self._bar.total = progress.total if progress.total > 1.0 else None
            self._bar.n = progress.done
        self._bar.set_postfix_str(text[-60:], refresh=False)
        self._bar.refresh()

    def done(self) -> None:
        """Count a finished file."""
        if not self._alone:
            self._bar.set_postfix_str("", refresh=False)
            self._bar.update()

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Hide the bar while something is printed on the same terminal."""
        self._bar.clear()
        yield
        sys.stdout.flush()
        if not self._bar.disable:
            self._bar.refresh()
