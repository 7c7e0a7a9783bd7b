"""Index a large folder with several processes: each reads one file at a time, one writes the collection.

Only the process that began writes, one transaction a file, so each file is in the collection once or not at all,
whoever is killed when. A reader that dies is replaced and its file given to another once more; a file that two
readers died of becomes a failure. If the first process dies, the readers find their pipe closed and end, and the next
run goes on with the files that are not in the collection yet.

A reader opens a host of its own. It serves an IndexRequest of one file into a collection of the reader's own, whose
rows are then handed over: so any host that can index can be one of a crowd.
"""

from __future__ import annotations

import multiprocessing
import shutil
import signal
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TypeAlias, cast

from engines import media as files
from engines.errors import DeviceError, MediaError, RequestError, UserError
from engines.index import Collection
from engines.protocol import Host, IndexRequest, IndexResult
from engines.tasks.search import Reading, update

Opener: TypeAlias = Callable[[], Host]
"""Opens a host in another process, so it must be something to pickle: a function of a module, or a `partial` of one."""

Said: TypeAlias = tuple[str, str] | Reading | UserError
"""What comes from a reader: first name and model digest of its host, then readings; or what ends the work."""

TRIES = 2
"""Readers that may die of one file, or while they open their host, before it is given up."""
LOOK_UP_S = 0.2
"""How often whoever waits for the readers may look up, to show progress or stop."""


def index(opener: Opener, request: IndexRequest, n_processes: int) -> Iterator[IndexResult]:
    """The results of `search.index`, the files read by `n_processes` others.

    Raises what `opener` raises, and DeviceError if readers die before they have read anything.
    """
    began_s = time.perf_counter()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch, Crowd(opener, Path(scratch)) as crowd:
        host, model_digest = crowd.open()
        for result in update(request, model_digest, lambda paths: crowd.read(paths, n_processes)):
            seconds = time.perf_counter() - began_s
            yield replace(result, host=host, model_digest=model_digest, seconds=seconds)


@dataclass(eq=False)
class _Member:
    """One reader: its process, our end of its pipe, what it told of its host, and the file it is at."""

    process: BaseProcess
    pipe: Connection
    host: tuple[str, str] | None = None
    path: Path | None = None


class Crowd:
    """Readers in processes of their own, begun as they are needed. scratch: a folder for their own collections."""

    def __init__(self, opener: Opener, scratch: Path) -> None:
        self._opener, self._scratch = opener, scratch
        self._processes = multiprocessing.get_context("spawn")  # a fork would copy torch's and LanceDB's threads, dead
        self._members: list[_Member] = []
        self._n_begun = self._n_stillborn = 0

    def __enter__(self) -> Crowd:
        return self

    def __exit__(self, *_: object) -> None:
        for member in self._members:
            member.pipe.close()
            member.process.terminate()
        for member in self._members:
            member.process.join()

    def open(self) -> tuple[str, str]:
        """Name and model digest of the host, once the first reader has opened it."""
        while True:
            if not self._members:
                self._begin()
            member = self._members[0]
            if member.host is None:
                self._hear(member)
            if member.host is not None:
                return member.host

    def read(self, paths: Sequence[Path], n_processes: int) -> Iterator[Reading | None]:
        """A `Reader`: each file once, in the order they are done."""
        left, deaths = deque(paths), dict[Path, int]()
        while left or any(member.path is not None for member in self._members):
            n_busy = sum(member.path is not None for member in self._members)
            while len(self._members) < min(n_processes, n_busy + len(left)):
                self._begin()
            for member in self._members:
                if left and member.host is not None and member.path is None:
                    self._give(member, left.popleft())
            yield None
            ready = wait([member.pipe for member in self._members], LOOK_UP_S)
            for member in [member for member in self._members if member.pipe in ready]:
                path = member.path
                reading = self._hear(member)
                if reading is not None:
                    yield reading
                elif path is not None:  # it died of it
                    deaths[path] = deaths.get(path, 0) + 1
                    if deaths[path] < TRIES:
                        left.appendleft(path)
                    else:
                        yield Reading(path, failure=_deadly(path).en)

    def _begin(self) -> None:
        ours, theirs = self._processes.Pipe()
        own = self._scratch / f"{self._n_begun}.sqlite"
        process = self._processes.Process(target=work, args=(theirs, self._opener, own), daemon=True)
        process.start()
        theirs.close()  # or its end would never be seen
        self._n_begun += 1
        self._members.append(_Member(process, ours))

    def _give(self, member: _Member, path: Path) -> None:
        member.path = path
        with suppress(OSError):  # it is dead: told when it is listened to
            member.pipe.send(path)

    def _hear(self, member: _Member) -> Reading | None:
        """What a reader says next: a reading, or None for its host or its death. Raises what went wrong in it."""
        try:
            said: Said = member.pipe.recv()
        except (EOFError, OSError):
            self._members.remove(member)
            member.pipe.close()
            member.process.join()
            if member.host is None:
                self._n_stillborn += 1
            if self._n_stillborn >= TRIES:
                raise _stillborn() from None
            return None
        if isinstance(said, UserError):
            raise said
        if isinstance(said, Reading):
            member.path = None
            return said
        member.host, self._n_stillborn = said, 0
        return None


# --- in a reader's process ---------------------------------------------------------------------------------------


def work(pipe: Connection, opener: Opener, own: Path) -> None:
    """Open a host, say which, and read what is given until the pipe closes. own: a collection of this reader's."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the first process ends the others
    try:
        host = opener()
    except UserError as error:
        _tell(pipe, error)
        return
    with closing(host):
        _tell(pipe, (host.info.name, host.info.model_digest))
        while (path := _told(pipe)) is not None:
            said: Said | None
            try:
                said = _read(host, path, own, pipe)
            except (MediaError, RequestError) as error:
                said = Reading(path, failure=error.en)
            except UserError as error:  # the device, or the disk: no fault of the file
                said = error
            _tell(pipe, said)
    shutil.rmtree(own.parent, ignore_errors=True)  # the first process may have been killed before it could


def _read(host: Host, path: Path, own: Path, pipe: Connection) -> Reading | None:
    """One file's rows by a host, None if the pipe has closed meanwhile. Raises UserError."""
    digest = files.content_digest(path)
    for result in host.stream(IndexRequest(folder=path, collection=own)):
        if pipe.poll():  # nothing is sent to a reader that is at work, so this is the end
            return None
        if result.done and isinstance(result, IndexResult) and result.failures:
            return Reading(path, failure=result.failures[0][1])
    with Collection(own) as collection:
        rows = tuple(collection.rows_of(path))
        collection.forget([path])
    return Reading(path, digest, rows)


def _tell(pipe: Connection, said: Said | None) -> None:
    with suppress(OSError):  # nobody is there any more: found out when listening
        pipe.send(said)


def _told(pipe: Connection) -> Path | None:
    """The next file, None when there will be no more."""
    try:
        return cast(Path, pipe.recv())
    except (EOFError, OSError):
        return None


def _deadly(path: Path) -> MediaError:
    return MediaError(
        "file_ended_process",
        "{name} ended two processes that read it; it may be damaged, or too large for the memory.",
        name=path.name,
    )


def _stillborn() -> DeviceError:
    return DeviceError(
        "processes_ended",
        "Processes ended before they had read anything, perhaps for want of memory; choose fewer with --processes.",
    )
