"""How far a command is: a bar of `tqdm` on a terminal, nothing elsewhere or with --quiet."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from engines.protocol import Result


class Meter:
    """Files done, the rate and the time left; of a single file, how far it is.

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
        """The next file is being read."""
        if not self._alone:
            self._bar.set_description_str(name[-40:])

    def show(self, result: Result) -> None:
        """What a file has given so far."""
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
        """One file more is done."""
        if not self._alone:
            self._bar.set_postfix_str("", refresh=False)
            self._bar.update()

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Take the bar away while something is printed on the same terminal."""
        self._bar.clear()
        yield
        sys.stdout.flush()
        if not self._bar.disable:
            self._bar.refresh()
