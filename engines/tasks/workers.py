"""Index a large folder with several workers: each reads one file at a time, this process writes the collection.

Workers are processes of the standard library (`local_worker`) or actors of a Ray cluster (`ray_workers`); both run
`read_file`. Only this process writes, one transaction a file, so each file is in the collection once or not at all,
whoever is killed when. A worker that dies is replaced and its file given to another once more; a file that two workers
died of becomes a failure. If this process dies, its workers end, and the next run goes on with the files that are not
in the collection yet.

A worker opens a host and serves an IndexRequest of one file into a collection of its own, whose rows are then handed
over: so any host that can index can be a worker. On a cluster every machine must see the files under the same paths.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from engines import media as files
from engines.errors import CheckpointError, DeviceError, MediaError, RequestError, UserError
from engines.index import Collection
from engines.protocol import Host, IndexRequest, IndexResult
from engines.tasks.search import Reading, metadata_of, update

Opener: TypeAlias = Callable[[], Host]
"""Opens a host in another process, so it must be something to pickle: a function of a module, or a `partial` of one."""

TRIES = 2
"""Workers that may die of one file, or while they open their host, before it is given up."""
LOOK_UP_S = 0.2
"""How often the process that waits for the workers looks up, to show progress or stop."""


class WorkerDied(Exception):
    """A worker ended before it gave its result."""


class Worker(Protocol):
    """One worker. Futures raise `WorkerDied`, or the UserError that `call` raised there."""

    def submit(self, call: Callable[..., Any], *arguments: object) -> Future[Any]: ...

    def close(self) -> None:
        """End it, whatever it is doing."""
        ...


def index(
    opener: Opener, request: IndexRequest, n_workers: int, start: Callable[[], Worker] | None = None
) -> Iterator[IndexResult]:
    """The results of `search.index`, the files read by `n_workers`. start: begins a worker, here by default.

    Raises what `opener` raises, and DeviceError if workers die before they have read anything.
    """
    began_s = time.perf_counter()
    with ExitStack() as stack:
        pool = _Pool(opener, local_worker if start is None else start)
        stack.callback(pool.close)
        host, model_digest = pool.describe()
        for result in update(request, model_digest, partial(pool.read, n_workers=n_workers)):
            seconds = time.perf_counter() - began_s
            yield replace(result, host=host, model_digest=model_digest, seconds=seconds)


class _Pool:
    """Workers, begun as they are needed."""

    def __init__(self, opener: Opener, start: Callable[[], Worker]) -> None:
        self._opener, self._start = opener, start
        self._about: tuple[str, str] | None = None
        self._n_unopened = 0
        self._idle: list[Worker] = []
        self._busy: dict[Future[Any], tuple[Worker, Path | None]] = {}
        """Each with the file it reads, None while it opens its host."""

    def describe(self) -> tuple[str, str]:
        """Name and model digest of the host, once the first worker has opened it."""
        while self._about is None:
            if not self._busy:
                self._begin()
            for future in wait(self._busy, LOOK_UP_S).done:
                self._hear(future)
        return self._about

    def read(self, paths: Sequence[Path], n_workers: int) -> Iterator[Reading | None]:
        """A `Reader`: each file once, in the order they are done."""
        left, deaths = deque(paths), dict[Path, int]()
        while left or any(path is not None for _, path in self._busy.values()):
            while left and len(self._busy) < n_workers:
                n_opening = sum(file is None for _, file in self._busy.values())
                if self._idle:
                    worker, path = self._idle.pop(), left.popleft()
                    self._busy[worker.submit(read_file, self._opener, path)] = worker, path
                elif n_opening < len(left):
                    self._begin()
                else:
                    break
            yield None
            for future in wait(self._busy, LOOK_UP_S, FIRST_COMPLETED).done:
                file = self._busy[future][1]
                reading = self._hear(future)
                if reading is not None:
                    yield reading
                elif file is not None:  # its worker died of it
                    deaths[file] = deaths.get(file, 0) + 1
                    if deaths[file] < TRIES:
                        left.appendleft(file)
                    else:
                        yield Reading(file, failure=_deadly(file).message)

    def close(self) -> None:
        for worker in (*self._idle, *(worker for worker, _ in self._busy.values())):
            worker.close()

    def _begin(self) -> None:
        worker = self._start()
        self._busy[worker.submit(describe, self._opener)] = worker, None

    def _hear(self, future: Future[Any]) -> Reading | None:
        """What a worker gives: a reading, or None for its host or its death. Raises UserError."""
        worker, file = self._busy[future]
        try:
            given = future.result()
        except WorkerDied:
            del self._busy[future]
            worker.close()
            self._n_unopened += file is None
            if self._n_unopened >= TRIES:
                raise _none_opened() from None
            return None
        del self._busy[future]
        self._idle.append(worker)
        if isinstance(given, Reading):
            return given
        self._n_unopened = 0
        if self._about is not None and given[1] != self._about[1]:
            raise CheckpointError(
                "workers_differ", "The workers do not all have the same model; use one version everywhere."
            )
        self._about = given
        return None


# --- in a worker -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Opened:
    """What a worker keeps from one file to the next."""

    host: Host
    scratch: tempfile.TemporaryDirectory[str]


_opened: list[_Opened] = []
"""The host of this process if it is a worker; at most one."""


def _this_worker(opener: Opener) -> _Opened:
    if not _opened:
        scratch = tempfile.TemporaryDirectory(prefix="fusion-studio-", ignore_cleanup_errors=True)
        _opened.append(_Opened(opener(), scratch))
    return _opened[0]


def describe(opener: Opener) -> tuple[str, str]:
    """Name and model digest of the worker's host, which is opened now."""
    info = _this_worker(opener).host.info
    return info.name, info.model_digest


def read_file(opener: Opener, path: Path) -> Reading:
    """One file's rows by the worker's host. Raises UserError for what is no fault of the file: device, disk, model."""
    worker = _this_worker(opener)
    own = Path(worker.scratch.name) / "rows.sqlite"
    try:
        digest = files.content_digest(path)
        for result in worker.host.stream(IndexRequest(folder=path, collection=own)):
            if result.done and isinstance(result, IndexResult) and result.failures:
                return Reading(path, failure=result.failures[0][1])
    except (MediaError, RequestError) as error:
        return Reading(path, failure=error.message)
    with Collection(own) as collection:
        rows, words_were_read = tuple(collection.rows_of(path)), collection.words_were_read(path)
        collection.forget([path])
    return Reading(path, digest, rows, metadata_of(path), words_were_read=words_were_read)


# --- processes on this machine -----------------------------------------------------------------------------------


class _LocalWorker:
    """A pool of one process, so that it is known which file a process died of."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")  # a fork would copy torch's and LanceDB's threads, dead
        theirs, self._ours = context.Pipe(duplex=False)
        self._pool = ProcessPoolExecutor(1, context, initializer=_live_with, initargs=(theirs,))
        self._theirs: Connection | None = theirs

    def submit(self, call: Callable[..., Any], *arguments: object) -> Future[Any]:
        told = Future[Any]()
        try:
            future = self._pool.submit(call, *arguments)
        except BrokenProcessPool:
            told.set_exception(WorkerDied())
            return told
        if self._theirs is not None:  # the process has its copy
            self._theirs.close()
            self._theirs = None
        future.add_done_callback(partial(_pass_on, told, BrokenProcessPool))
        return told

    def close(self) -> None:
        self._ours.close()
        self._pool.shutdown(wait=True, cancel_futures=True)


def local_worker() -> Worker:
    """A process on this machine; it ends with this one."""
    return _LocalWorker()


def _live_with(pipe: Connection) -> None:
    """Leave Ctrl-C to the process that began this one, and end as soon as it closes its end of the pipe, or dies."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def end() -> None:
        try:
            pipe.recv_bytes()
        except (EOFError, OSError):
            for opened in _opened:
                opened.scratch.cleanup()
            os._exit(0)

    threading.Thread(target=end, daemon=True).start()


def _pass_on(told: Future[Any], died: type[BaseException] | tuple[type[BaseException], ...], done: Future[Any]) -> None:
    """Hand a future's outcome on, a dead worker as `WorkerDied`."""
    if done.cancelled():
        told.cancel()
        return
    error = done.exception()
    if error is not None:
        told.set_exception(WorkerDied() if isinstance(error, died) else error)
    elif isinstance(done.result(), UserError):
        told.set_exception(done.result())
    else:
        told.set_result(done.result())


# --- a Ray cluster -----------------------------------------------------------------------------------------------


class _RayWorker:
    """An actor with one core; Ray chooses the machine."""

    def __init__(self, ray: Any) -> None:
        self._ray = ray
        self._actor = ray.remote(num_cpus=1, max_restarts=0, max_task_retries=0)(_Actor).remote()

    def submit(self, call: Callable[..., Any], *arguments: object) -> Future[Any]:
        told = Future[Any]()
        future = self._actor.run.remote(call, *arguments).future()
        future.add_done_callback(partial(_pass_on, told, self._ray.exceptions.RayActorError))
        return told

    def close(self) -> None:
        self._ray.kill(self._actor)


class _Actor:
    """What runs in a Ray worker process."""

    def run(self, call: Callable[..., Any], *arguments: object) -> Any:
        """The outcome; a UserError is returned, since Ray would wrap it into an exception of its own."""
        try:
            return call(*arguments)
        except UserError as error:
            return error


@contextmanager
def ray_workers(address: str) -> Iterator[tuple[Callable[[], Worker], int]]:
    """What begins workers on a Ray cluster, and how many cores it has. address: "local" for a cluster of this machine
    alone, "auto", or ray://host:10001. Raises RequestError where Ray is not installed or the cluster not reached."""
    try:
        import ray
    except ImportError as error:
        raise RequestError(
            "ray_missing", "--ray needs the package ray; install it with: {python} -m pip install ray",
            python=sys.executable,
        ) from error  # fmt: skip
    try:
        ray.init(address=address, log_to_driver=False, logging_level="error", include_dashboard=False)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise RequestError(
            "ray_unreachable", "No Ray cluster answers at {address}; check the address.", address=address
        ) from error
    try:
        yield partial(_RayWorker, ray), int(ray.cluster_resources().get("CPU", 1))
    finally:
        ray.shutdown()


# --- sentences ---------------------------------------------------------------------------------------------------


def _deadly(path: Path) -> MediaError:
    return MediaError(
        "file_ended_process",
        "{name} ended two workers that read it; it may be damaged, or too large for the memory.",
        name=path.name,
    )


def _none_opened() -> DeviceError:
    return DeviceError(
        "processes_ended",
        "Workers ended before they had read anything, perhaps for want of memory; choose fewer with --workers.",
    )
