"""BackgroundCall that blocks, in a thread of its own: it can be followed, and left behind.

A download can be stopped in the middle; the reading of weights cannot. Whoever does not want to wait any longer leaves
the work behind, and what it brings after that is given away instead of being kept.

    with BackgroundCall(lambda tell: open_host(name, tell=tell, cancel=cancel), cancel, leave=Host.close) as work:
        for progress in work.steps():
            ...
        host = work.value()
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Generic, TypeVar

from engines import Cancel, Cancelled, Progress

EVERY_S = 0.25
"""Shortest time between two updates of the page."""
LOOK_S = 0.1
"""How soon somebody in line sees that it is their turn, or that they were stopped."""

PAUSE_S = 0.1
"""How soon a stop is seen."""

_Value = TypeVar("_Value")
Found = TypeVar("Found")


class BackgroundCall(Generic[_Value]):
    """A call under way. call: is given where to tell progress. leave: what becomes of a value nobody takes any more."""

    def __init__(
        self,
        call: Callable[[Callable[[Progress], None]], _Value],
        cancel: Cancel,
        *,
        leave: Callable[[_Value], object] = lambda _value: None,
    ) -> None:
        self._call, self._cancel, self._leave = call, cancel, leave
        self._news: queue.Queue[Progress | None] = queue.Queue()
        self._guard = threading.Lock()
        self._is_left = False
        self._values: list[_Value] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="background", daemon=True)
        self._thread.start()

    def steps(self) -> Iterator[Progress]:
        """How far it is, as it goes on; ends when the work does, or when a stop was asked for."""
        while not self._cancel.is_set:
            try:
                news = self._news.get(timeout=PAUSE_S)
            except queue.Empty:
                continue
            if news is None:
                return
            yield news

    def value(self) -> _Value:
        """What came of it. Raises what the call raised, and Cancelled when it was stopped before its end."""
        with self._guard:
            if self._values and not self._cancel.is_set:
                return self._values.pop()
        if self._error is not None:
            raise self._error
        raise Cancelled

    def __enter__(self) -> BackgroundCall[_Value]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._guard:
            self._is_left = True
            left = [self._values.pop() for _ in list(self._values)]
        for value in left:  # a page that was closed is told in the server's own thread, which must not wait
            threading.Thread(target=self._leave, args=(value,), name="leaving", daemon=True).start()

    def _run(self) -> None:
        try:
            value = self._call(self._news.put)
        except BaseException as error:  # handed to whoever waits, who raises it
            self._error = error
        else:
            with self._guard:
                is_wanted = not self._is_left
                if is_wanted:
                    self._values.append(value)
            if not is_wanted:
                self._leave(value)
        finally:
            self._news.put(None)


@dataclass(frozen=True)
class Queued:
    """In line, behind so many runs."""

    n: int


class FairQueue:
    """Who computes now: one at a time, in the order in which they came."""

    def __init__(self) -> None:
        self._places: deque[object] = deque()
        self._moved = threading.Condition()

    @contextmanager
    def turn(self, cancel: Cancel, tell: Callable[[Queued], None]) -> Iterator[bool]:
        """Wait for one's turn; False when a stop came first. tell: is told how many are ahead, as it changes."""
        place = object()
        with self._moved:
            self._places.append(place)
        try:
            told = 0
            with self._moved:
                while (ahead := self._places.index(place)) > 0 and not cancel.is_set:
                    if ahead != told:
                        tell(Queued(ahead))
                        told = ahead
                    self._moved.wait(LOOK_S)
            yield ahead == 0
        finally:
            with self._moved:
                self._places.remove(place)
                self._moved.notify_all()


class BackgroundStream(Generic[Found]):
    """Something under way. start: begins it, once its turn has come, with the token that stops it."""

    def __init__(self, start: Callable[[Cancel], Iterator[Found]], cancel: Cancel, line: FairQueue) -> None:
        self._start, self._cancel, self._line = start, cancel, line
        self._latest: Found | Queued | None = None
        self._changed = threading.Event()
        self._over = threading.Event()
        self._error: BaseException | None = None
        threading.Thread(target=self._run, name="lab", daemon=True).start()

    def frames(self) -> Iterator[Found | Queued]:
        """What there is to show, never sooner than `EVERY_S` after the last. Raises what was raised under way."""
        shown: Found | Queued | None = None
        while True:
            self._changed.wait()
            self._changed.clear()
            is_over = self._over.is_set()  # read first: what is the latest after that is the last
            latest = self._latest
            if latest is not None and latest is not shown:
                shown = latest
                yield latest
            if is_over:
                break
            self._over.wait(EVERY_S)
        if self._error is not None:
            raise self._error

    def _tell(self, latest: Found | Queued) -> None:
        self._latest = latest
        self._changed.set()

    def _run(self) -> None:
        try:
            with self._line.turn(self._cancel, self._tell) as is_mine:
                if is_mine:
                    for found in self._start(self._cancel):
                        self._tell(found)
        except BaseException as error:  # handed to whoever watches, who raises it
            self._error = error
        finally:
            self._over.set()
            self._changed.set()
