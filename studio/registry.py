"""Registries of what the page may fetch: files, finished results and Lab runs, each under a random id.

A path never reaches the page: a hit, a sample or an export is registered, and the page gets its id, which is all that
the routes in `studio/routes.py` accept. Each registry is bounded; the oldest entries are dropped.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from engines import AskResult, Result
from engines.lab.fewshot import LabelSet

N_FILES = 4000
N_RESULTS = 2000
N_VERSIONS = 50
"""Versions of a corrected result that are kept."""
N_SESSIONS = 200
"""Open pages of which something is remembered."""
N_RUNS = 12
"""Lab runs, and label sets, that can be saved; a run holds the weights it trained."""

Value = TypeVar("Value")


class Registry(Generic[Value]):
    """The newest values by their key, at most `limit` of them. Safe from any thread."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._values: OrderedDict[str, Value] = OrderedDict()

    def add(self, value: Value) -> str:
        """Register a value under a random id; returns the id."""
        value_id = secrets.token_urlsafe(12)
        self.put(value_id, value)
        return value_id

    def put(self, key: str, value: Value) -> Value:
        """Register a value, in place of another under the same key; returns it."""
        with self._lock:
            self._values[key] = value
            self._values.move_to_end(key)
            while len(self._values) > self._limit:
                self._values.popitem(last=False)
        return value

    def replace(self, key: str, value: Value) -> None:
        """Replace the value under a key; nothing happens if there is none, or no longer."""
        with self._lock:
            if key in self._values:
                self._values[key] = value

    def get(self, key: str) -> Value | None:
        """The value under a key; None if there is none, or no longer."""
        with self._lock:
            return self._values.get(key)

    def remove(self, key: str) -> None:
        """Forget a value; nothing happens if there is none."""
        with self._lock:
            self._values.pop(key, None)

    def items(self) -> list[tuple[str, Value]]:
        """Every key with its value, the oldest first."""
        with self._lock:
            return list(self._values.items())


class DownloadRegistry:
    """Files the page may show, results and label sets it may save. A corrected result keeps what it was before."""

    def __init__(self) -> None:
        self._files = Registry[Path](N_FILES)
        self._results = Registry[tuple[Result, ...]](N_RESULTS)
        self._batches = Registry[tuple[str, ...]](N_RESULTS)
        self._labels = Registry[LabelSet](N_RUNS)
        self._correcting = threading.Lock()
        self._key = secrets.token_bytes(16)
        self.add_file, self.file = self._files.add, self._files.get
        self.add_batch = self._batches.add
        self.add_labels, self.labels = self._labels.add, self._labels.get

    def same_file(self, path: Path) -> str:
        """Register a file that is shown again and again, under the same id as long as it stays as large as it is."""
        size = path.stat().st_size
        file_id = hashlib.blake2b(b"%d " % size + os.fsencode(path), key=self._key, digest_size=12).hexdigest()
        self._files.put(file_id, path)
        return file_id

    def add_result(self, result: Result) -> str:
        """Register a result; returns its id."""
        return self._results.add((result,))

    def result(self, result_id: str) -> Result | None:
        """The result under an id, as it is now."""
        versions = self._results.get(result_id)
        return versions[-1] if versions else None

    def extend_batch(self, batch_id: str, result_id: str) -> None:
        """Add a result to a batch, the ids of the results of several files."""
        self._batches.replace(batch_id, (*(self._batches.get(batch_id) or ()), result_id))

    def batch(self, batch_id: str) -> list[Result] | None:
        """The results of a batch as they are now; None if there is no such batch."""
        ids = self._batches.get(batch_id)
        return None if ids is None else [result for result in map(self.result, ids) if result is not None]

    def correct(self, result_id: str, corrected: Callable[[Result], Result]) -> tuple[Result, Result] | None:
        """Put what `corrected` makes of a result in its place; its last versions are kept. Corrections come one after
        the other, so that none is lost where two are sent at once. Gives what it was and what it is; None for an
        unknown id."""
        with self._correcting:
            versions = self._results.get(result_id)
            if not versions:
                return None
            if (result := corrected(versions[-1])) != versions[-1]:
                self._results.replace(result_id, (*versions, result)[-N_VERSIONS:])
            return versions[-1], result

    def undo(self, result_id: str) -> tuple[Result, Result] | None:
        """Take back the last correction, if there is one. Gives what it was and what it is; None for an unknown id."""
        with self._correcting:
            versions = self._results.get(result_id)
            if not versions:
                return None
            if len(versions) > 1:
                self._results.replace(result_id, versions[:-1])
            return versions[-1], versions[max(0, len(versions) - 2)]


class ChatHistory(Registry[tuple[Path, tuple[str, ...]]]):
    """By session, the current clip and the ids of the results of what was asked about it."""

    def turns(self, session: str, media: Path, downloads: DownloadRegistry) -> dict[str, AskResult]:
        """The questions and answers so far by the ids of their results, as they are now: an answer may have been
        corrected. Empty if the session has moved on to another clip."""
        about, ids = self.get(session) or (None, ())
        found = {result_id: downloads.result(result_id) for result_id in (ids if about == media else ())}
        return {result_id: result for result_id, result in found.items() if isinstance(result, AskResult)}
