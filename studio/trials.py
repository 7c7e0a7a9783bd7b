"""A run of the lab in a thread of its own: it takes its turn, is watched at a quiet pace, and can be left.

line = Line()
for found in Trial(lambda cancel: experiment(request, None, cancel), cancel, line).frames():
    ...  # `Ahead` while others run; then what there is, the last of it always
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

from engines import Cancel

EVERY_S = 0.25
"""Shortest time between two updates of the page."""
LOOK_S = 0.1
"""How soon somebody in line sees that it is their turn, or that they were stopped."""

Found = TypeVar("Found")


@dataclass(frozen=True)
class Ahead:
    """In line, behind so many runs."""

    n: int


class Line:
    """Who computes now: one at a time, in the order in which they came."""

    def __init__(self) -> None:
        self._places: deque[object] = deque()
        self._moved = threading.Condition()

    @contextmanager
    def turn(self, cancel: Cancel, tell: Callable[[Ahead], None]) -> Iterator[bool]:
        """Wait for one's turn; False when a stop came first. tell: is told how many are ahead, as it changes."""
        place = object()
        with self._moved:
            self._places.append(place)
        try:
            told = 0
            with self._moved:
                while (ahead := self._places.index(place)) > 0 and not cancel.is_set:
                    if ahead != told:
                        tell(Ahead(ahead))
                        told = ahead
                    self._moved.wait(LOOK_S)
            yield ahead == 0
        finally:
            with self._moved:
                self._places.remove(place)
                self._moved.notify_all()


class Trial(Generic[Found]):
    """Something under way. start: begins it, once its turn has come, with the token that stops it."""

    def __init__(self, start: Callable[[Cancel], Iterator[Found]], cancel: Cancel, line: Line) -> None:
        self._start, self._cancel, self._line = start, cancel, line
        self._latest: Found | Ahead | None = None
        self._changed = threading.Event()
        self._over = threading.Event()
        self._error: BaseException | None = None
        threading.Thread(target=self._run, name="lab", daemon=True).start()

    def frames(self) -> Iterator[Found | Ahead]:
        """What there is to show, never sooner than `EVERY_S` after the last. Raises what was raised under way."""
        shown: Found | Ahead | None = None
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

    def _tell(self, latest: Found | Ahead) -> None:
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
