"""Registries of what the page may fetch: files, finished results and Lab runs, each under a random id.

A path never reaches the page: a hit, a sample or an export is registered, and the page gets its id, which is all that
the routes in `studio/routes.py` accept. Each registry is bounded; the oldest entries are dropped.
"""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from pathlib import Path
from typing import TypeVar

from engines import AskResult, Result
from engines.lab import Findings

N_FILES = 4000
N_RESULTS = 200
N_TALKS = 200
N_RUNS = 12
"""Runs of the lab that can be saved; each holds the weights it trained."""

_Value = TypeVar("_Value")


class DownloadRegistry:
    """Bounded tables from id to file, to result, and to the talk about a clip. Safe from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._files: OrderedDict[str, Path] = OrderedDict()
        self._results: OrderedDict[str, Result] = OrderedDict()
        self._runs: OrderedDict[str, Findings] = OrderedDict()
        self._talks: OrderedDict[str, tuple[Path, tuple[AskResult, ...]]] = OrderedDict()

    def put_file(self, path: Path) -> str:
        """Put a file out; its id."""
        return self._put(self._files, path, N_FILES)

    def put_result(self, result: Result) -> str:
        """Put a result out, to be saved from the page; its id."""
        return self._put(self._results, result, N_RESULTS)

    def put_run(self, found: Findings) -> str:
        """Put a run of the lab out, to be saved from the page; its id."""
        return self._put(self._runs, found, N_RUNS)

    def run(self, name: str) -> Findings | None:
        """The run of the lab under an id, None when there is none (any more)."""
        with self._lock:
            return self._runs.get(name)

    def file(self, name: str) -> Path | None:
        """The file under an id, None when there is none (any more)."""
        with self._lock:
            return self._files.get(name)

    def result(self, name: str) -> Result | None:
        """The result under an id, None when there is none (any more)."""
        with self._lock:
            return self._results.get(name)

    def talk(self, session: str, media: Path) -> tuple[AskResult, ...]:
        """What one session asked about one clip so far; empty as soon as the clip is another."""
        with self._lock:
            about, turns = self._talks.get(session, (None, ()))
            return turns if about == media else ()

    def keep_talk(self, session: str, media: Path, turns: tuple[AskResult, ...]) -> None:
        """Remember what one session asked about one clip."""
        with self._lock:
            self._talks.pop(session, None)
            self._talks[session] = (media, turns)
            while len(self._talks) > N_TALKS:
                self._talks.popitem(last=False)

    def forget_talk(self, session: str) -> None:
        """Forget what one session asked."""
        with self._lock:
            self._talks.pop(session, None)

    def _put(self, table: OrderedDict[str, _Value], value: _Value, limit: int) -> str:
        name = secrets.token_urlsafe(12)
        with self._lock:
            table[name] = value
            while len(table) > limit:
                table.popitem(last=False)
        return name
