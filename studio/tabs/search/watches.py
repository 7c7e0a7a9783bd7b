"""Watched folders of this machine: what changes in one is indexed while the studio runs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from engines import Cancel, Host, IndexRequest, IndexResult, Result, UserError, run
from engines.folders import LOOK_S, Look, Stamp, looks, stamps
from engines.media import visible
from studio.collections import CollectionRef

RETRY_S = 60.0
"""How long after a failure of the whole indexing it is tried again."""


@dataclass(frozen=True)
class Seen:
    """What a page says of a watched folder. is_there: whether its files can be reached at the moment; is_reading:
    whether a change is being indexed; last: what the latest change came to, and when; problem: why one was not indexed.
    """

    is_there: bool = True
    is_reading: bool = False
    last: IndexResult | None = None
    at: datetime | None = None
    problem: UserError | None = None


class FolderWatch:
    """One folder, looked at from a background thread until it is closed.

    host: indexes. is_indexed: whether the folder was indexed as a whole; until then a change waits, for whoever indexes
    the folder reads it. note: is told each finished result. explain: any exception as a sentence.
    """

    def __init__(
        self,
        collection: CollectionRef,
        host: Host,
        is_indexed: Callable[[], bool],
        note: Callable[[Result], None],
        explain: Callable[[BaseException], UserError],
        *,
        look_s: float = LOOK_S,
    ) -> None:
        self.seen = Seen()
        self._collection = collection
        self._host = host
        self._is_indexed = is_indexed
        self._note = note
        self._explain = explain
        self._look_s = look_s
        self._closed = threading.Event()
        self._cancel = Cancel()
        self._known: Mapping[Path, Stamp] = stamps(visible(collection.folder))
        self._thread = threading.Thread(target=self._run, name="folder watch", daemon=True)
        self._thread.start()

    def close(self, *, wait_s: float = 0.0) -> None:
        """End the thread, and what it indexes. wait_s: how long to wait for it."""
        self._closed.set()
        self._cancel.set()
        self._thread.join(wait_s)

    def _run(self) -> None:
        retry_s = 0.0
        for look in looks(lambda: visible(self._collection.folder), self._wait):
            is_there = bool(look.files) or not self._known
            self.seen = replace(self.seen, is_there=is_there and self._collection.folder.is_dir())
            if not self._has_changed(look) or not self._is_indexed() or time.monotonic() < retry_s:
                continue
            self._index(look)
            retry_s = time.monotonic() + RETRY_S if self.seen.problem is not None else 0.0

    def _wait(self, seconds: float) -> bool:
        return self._closed.wait(seconds * self._look_s / LOOK_S)

    def _has_changed(self, look: Look) -> bool:
        """Whether a file is new, changed or gone. Of a folder without any files the disk may just not be mounted."""
        if not self.seen.is_there:
            return False
        return any(self._known.get(path) != stamp for path, stamp in look.settled.items()) or any(
            path not in look.files for path in self._known
        )

    def _index(self, look: Look) -> None:
        request = IndexRequest(folder=self._collection.folder, collection=self._collection.file)
        self.seen = replace(self.seen, is_reading=True, problem=None)
        try:
            result = run(self._host, request, self._cancel)
        except Exception as error:  # the watch goes on, and the page says what went wrong
            self.seen = replace(self.seen, is_reading=False, problem=self._explain(error))
            return
        assert isinstance(result, IndexResult)
        self._note(result)
        self._known = {path: look.settled.get(path, self._known.get(path, (0, 0))) for path in look.files}
        self.seen = replace(self.seen, is_reading=False)
        told = () if self.seen.last is None else self.seen.last.failures  # what failed is tried again each time
        if result.n_added or result.n_removed or set(result.failures) - set(told):
            self.seen = replace(self.seen, last=result, at=datetime.now())


class FolderWatches:
    """The watched folders of a studio, for all pages of its owner."""

    def __init__(self) -> None:
        self._watches: dict[Path, FolderWatch] = {}
        self._lock = threading.Lock()

    def of(self, folder: Path) -> FolderWatch | None:
        """The watch of a folder, None if it is not watched."""
        return self._watches.get(folder)

    def add(self, folder: Path, begin: Callable[[], FolderWatch]) -> None:
        """Watch a folder, unless it is watched already."""
        with self._lock:
            if folder not in self._watches:
                self._watches[folder] = begin()

    def remove(self, folder: Path, *, wait_s: float = 0.0) -> None:
        """Watch a folder no longer. wait_s: how long to wait for what it is at."""
        with self._lock:
            watch = self._watches.pop(folder, None)
        if watch is not None:
            watch.close(wait_s=wait_s)

    def close(self) -> None:
        """Watch nothing any more."""
        for folder in list(self._watches):
            self.remove(folder, wait_s=5.0)
