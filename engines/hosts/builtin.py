"""The built-in model behind one worker thread.

The worker owns the model. It goes round the requests under way and does a step at a time: a token, a window, a file.
Requests get equal shares of its time, not of its steps, since a window of speech takes as long as a hundred tokens: a
request that had more than another passes its turn. So a short question is not stuck behind a two-hour recording, and no
lock is held while anybody waits. A reader always gets the newest result, and hears of a stop at once, whatever the
worker is doing.

The worker never decodes a file. Other processes do (`media.child`), and a task that waits for them gives its newest
result once more, the same object; its request then passes its turn until there is something new.
"""

from __future__ import annotations

import copy
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import torch

from engines import device as devices
from engines.encoder import MediaEncoder
from engines.errors import AbilityError, Cancelled
from engines.hosts.results import RESULTS, closed
from engines.model import checkpoint as checkpoints
from engines.model.checkpoint import Checkpoint
from engines.protocol import (
    LANGUAGES,
    Ability,
    AskRequest,
    Cancel,
    CaptionRequest,
    EmbedRequest,
    HostInfo,
    IndexRequest,
    MapRequest,
    Request,
    Result,
    SearchRequest,
    TranscribeRequest,
    TranslateRequest,
    current_client,
)
from engines.settings import Settings
from engines.tasks import ask, caption, maps, search, transcribe, translate

Task: TypeAlias = Callable[[MediaEncoder, Any], Iterator[Result]]
AnyResult = TypeVar("AnyResult", bound=Result)

TASKS: dict[type, tuple[Task, tuple[str, ...]]] = {
    CaptionRequest: (caption.stream, LANGUAGES),
    TranscribeRequest: (transcribe.stream, (*LANGUAGES, *translate.PAIRS)),
    TranslateRequest: (translate.stream, translate.PAIRS),
    AskRequest: (ask.stream, LANGUAGES),
    EmbedRequest: (search.embed, ("",)),
    IndexRequest: (search.index, ("",)),
    SearchRequest: (search.search, ("",)),
    MapRequest: (maps.stream, ("",)),
}
"""Request type -> its task, and the languages it is served in."""

STOP_S = 0.05
"""Interval at which a reader checks for a stop."""
LOOK_UP_S = 0.005
"""Interval at which a worker that waits for media checks for them and for a stop."""

ABILITIES = frozenset(Ability(kind, language) for kind, (_, languages) in TASKS.items() for language in languages)


def load(folder: Path | None = None, *, settings: Settings) -> BuiltinHost:
    """The checkpoint in a folder, None for the one that comes with the program, as a host.

    Raises DeviceError and CheckpointError.
    """
    folder = checkpoints.BUILTIN if folder is None else folder
    choice = devices.choose(settings.device, settings.dtype)
    devices.set_threads(settings.n_threads)
    try:
        checkpoint = _load(folder, choice)
    except (RuntimeError, MemoryError) as error:
        raise devices.explain(error) or error from error
    return BuiltinHost(checkpoint, choice=choice, folder=folder, dtype=settings.dtype, cache_bytes=settings.cache_bytes)


@dataclass(eq=False)
class _Job:
    """A running request: its steps once it has begun, and the newest result until its reader has taken it."""

    task: Task
    kind: type[Result]
    request: Any
    cancel: Cancel
    started_s: float = field(default_factory=time.perf_counter)
    abandoned: bool = False
    steps: Iterator[Result] | None = None
    given: Result | None = None
    """The task's last result; a task that waits gives the same object again."""
    waits: bool = False
    spent_s: float = 0.0
    """The worker's time that it had, or that others had had when it came."""
    last: Result | None = None
    _news: queue.Queue[Result | BaseException] = field(default_factory=lambda: queue.Queue(1))

    def tell(self, news: Result | BaseException) -> None:
        """Replace what the reader has not taken yet. Only the worker tells."""
        with suppress(queue.Empty):
            self._news.get_nowait()
        self._news.put_nowait(news)

    def take(self) -> Result | None:
        """Wait for the next result; None once it was stopped. Raises what the task raised."""
        while True:
            try:
                news = self._news.get(timeout=STOP_S)
            except queue.Empty:
                if self.cancel.is_set:
                    return None
                continue
            if isinstance(news, BaseException):
                raise news
            return news


@dataclass(frozen=True)
class _Move:
    """A move to another device, done once no request runs."""

    choice: devices.Choice
    done: Future[None] = field(default_factory=Future)


class BuiltinHost:
    """A checkpoint as an `engines.Host`."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        *,
        choice: devices.Choice | None = None,
        folder: Path | None = None,
        dtype: str = "auto",
        cache_bytes: int = 0,
    ) -> None:
        """choice: where the checkpoint lies already, None for the CPU in float32. folder: where to read it again for
        another device, None to copy the loaded weights. dtype: setting by which later moves choose.
        """
        self._checkpoint = checkpoint
        self._choice = devices.choose("cpu", "float32") if choice is None else choice
        self._folder, self._dtype, self._cache_bytes = folder, dtype, cache_bytes
        self._encoder = MediaEncoder(checkpoint, cache_bytes=cache_bytes)
        self._incoming: queue.Queue[_Job | _Move | None] = queue.Queue()
        self._closing = threading.Lock()
        self._closed = False
        self._worker = threading.Thread(target=self._work, name=f"host {checkpoint.name}", daemon=True)
        self._worker.start()

    @property
    def info(self) -> HostInfo:
        checkpoint, choice = self._checkpoint, self._choice
        return HostInfo(
            name=checkpoint.name,
            abilities=ABILITIES,
            device=choice.device,
            device_reason=choice.reason,
            dtype=choice.dtype,
            arithmetic=self.arithmetic,
            n_parameters=checkpoint.n_parameters,
            memory_bytes=checkpoint.memory_bytes,
            licence=checkpoint.licence,
            model_digest=checkpoint.digest,
            source="builtin" if self._folder in (None, checkpoints.BUILTIN) else str(self._folder),
        )

    @property
    def arithmetic(self) -> str:
        """The number formats that products are computed in, such as "float32" or "bfloat16 and int8"."""
        return self._choice.dtype + (" and int8" if self._checkpoint.is_int8 else "")

    def stream(self, request: Request, cancel: Cancel | None = None) -> Iterator[Result]:
        """Results as they are made. Work begins when the first is asked for, and ends when nobody reads any more."""
        if type(request) not in TASKS:
            raise AbilityError(
                "builtin_unable", "The built-in model does not serve {request}.", request=type(request).__name__
            )
        return self.perform(TASKS[type(request)][0], RESULTS[type(request)], request, cancel)

    def perform(
        self, task: Task, kind: type[AnyResult], request: Any, cancel: Cancel | None = None
    ) -> Iterator[AnyResult]:
        """Results of a task that is no ability of a host, as the lab has them; it takes turns with all others.

        kind: of its results; one of a request alone can be made. request: frozen, the task's own.
        """
        results: Any = self._read(_Job(task, kind, request, cancel if cancel is not None else Cancel()))
        return results

    def _read(self, job: _Job) -> Iterator[Result]:
        self._send(job)
        try:
            while True:
                result = job.take()
                yield self._ended(job) if result is None else result
                if result is None or result.done:
                    return
        finally:
            job.abandoned = True

    def move(self, device: str) -> None:
        """Finish the running requests, then move to another device. On DeviceError it stays where it was."""
        move = _Move(devices.choose(device, self._dtype))
        self._send(move)
        move.done.result()

    def close(self) -> None:
        """Stop the running requests and end the worker. Closing twice is fine."""
        with self._closing:
            self._closed = True
            self._incoming.put(None)
        if threading.current_thread() is not self._worker:
            self._worker.join()

    def _send(self, item: _Job | _Move) -> None:
        with self._closing:  # nothing comes in once the worker may be gone, or it would wait for ever
            if self._closed:
                raise closed()
            self._incoming.put(item)

    # --- the worker's side ---

    def _work(self) -> None:
        jobs: deque[_Job] = deque()
        move: _Move | None = None
        while not self._closed:
            if move is None:
                move = self._receive(jobs)
            if jobs:
                job = jobs.popleft()
                waited = job.waits
                if not _may_go(job, jobs) or self._step(job):
                    jobs.append(job)
                if waited:  # time spent on waiting is not made up for
                    job.spent_s = max(job.spent_s, _least_spent_s(jobs, 0.0))
            elif move is not None:
                self._move(move)
                move = None
        left = [*jobs, move]
        while not self._incoming.empty():
            left.append(self._incoming.get())
        for item in left:
            if isinstance(item, _Move):
                item.done.set_exception(closed())
            elif item is not None:
                item.abandoned = True
                self._step(item)

    def _receive(self, jobs: deque[_Job]) -> _Move | None:
        """Receive a job or a move; block only where there is nothing else to do."""
        wait_s = None if not jobs else LOOK_UP_S if all(job.waits for job in jobs) else 0.0
        try:
            item = self._incoming.get(block=wait_s != 0.0, timeout=wait_s)
        except queue.Empty:
            return None
        if isinstance(item, _Move):
            return item
        if item is not None:  # None wakes up a worker that is to end
            item.spent_s = _least_spent_s(jobs, 0.0)
            jobs.append(item)
        return None

    def _step(self, job: _Job) -> bool:
        """Do one step of a job; returns whether there is more to do. Errors are raised in the reader."""
        began_s = time.perf_counter()
        try:
            job.last = self._next(job)
        except Exception as error:
            fault = devices.explain(error)
            if fault is not None and fault is not error:
                fault.__cause__ = error
                self._encoder.forget()
            job.tell(fault if fault is not None else error)
            return False
        job.spent_s += time.perf_counter() - began_s
        if job.waits:
            return True
        job.tell(job.last)
        return not job.last.done

    def _next(self, job: _Job) -> Result:
        """The next result of a job; of one that was stopped, the last one again as its end."""
        if job.steps is None:
            job.steps = job.task(self._encoder, job.request)
        result: Result | None = None
        if not (job.abandoned or job.cancel.is_set):
            current_client.set(job.cancel.client)
            with torch.inference_mode(), suppress(Cancelled):
                result = next(job.steps)
                job.waits = result is job.given
                job.given = result
        if result is None:
            result = self._ended(job)
            job.waits = False
        if result.done:
            job.steps.close()  # type: ignore[attr-defined]  # tasks are generators; files they hold are closed here
        return self._signed(job, result)

    def _ended(self, job: _Job) -> Result:
        """The last result again, as the end of a request that was stopped."""
        last = job.last if job.last is not None else job.kind(request=job.request)
        return self._signed(job, replace(last, progress=None, end="cancelled"))

    def _signed(self, job: _Job, result: Result) -> Result:
        seconds = time.perf_counter() - job.started_s
        return replace(
            result,
            host=self._checkpoint.name,
            model_digest=self._checkpoint.digest,
            arithmetic=self.arithmetic,
            seconds=seconds,
        )

    def _move(self, move: _Move) -> None:
        try:
            checkpoint = self._placed(move.choice)
        except Exception as error:  # raised in `move`; the host stays where it was
            move.done.set_exception(devices.explain(error) or error)
            return
        self._checkpoint, self._choice = checkpoint, move.choice
        self._encoder = MediaEncoder(checkpoint, cache_bytes=self._cache_bytes)
        move.done.set_result(None)

    def _placed(self, choice: devices.Choice) -> Checkpoint:
        """The checkpoint on another device; read from disk where possible, since a lost GPU gives nothing back."""
        if self._folder is not None:
            return _load(self._folder, choice)
        model = copy.deepcopy(self._checkpoint.model).to(device=choice.device, dtype=getattr(torch, choice.dtype))
        return replace(self._checkpoint, model=model)


def _least_spent_s(jobs: Iterable[_Job], otherwise: float) -> float:
    """The shortest time spent on any of the jobs that are not waiting."""
    return min((job.spent_s for job in jobs if not job.waits), default=otherwise)


def _may_go(job: _Job, others: Iterable[_Job]) -> bool:
    """Whether it is a job's turn: no other had less time. A job that waits for media or ends takes no time."""
    return job.waits or job.abandoned or job.cancel.is_set or job.spent_s <= _least_spent_s(others, job.spent_s)


def _load(folder: Path, choice: devices.Choice) -> Checkpoint:
    return checkpoints.load(folder, device=choice.device, dtype=getattr(torch, choice.dtype), int8=choice.int8)
