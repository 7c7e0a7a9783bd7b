"""Run blocking work in a thread and follow it from a generator: throttled, cancellable, in a fair queue if wanted.

def open_model(emit):                                   # runs in a thread
    emit(open_host(name, tell=emit, cancel=cancel))     # progress first, the host last

for step in follow(open_model, cancel, discard=close):  # runs in the caller
    ...
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from engines.errors import Cancelled
from engines.protocol import Cancel

POLL_S = 0.1
"""Interval at which a stop, or a free place in the queue, is noticed."""
SLICE_S = 1.0
"""How long a turn lasts while others wait."""

Value = TypeVar("Value")


@dataclass(frozen=True)
class Queued:
    """Waiting in a `FairQueue`. n_ahead: how many come first."""

    n_ahead: int


class FairQueue:
    """One at a time, in the order of arrival; work that emits values gives way after `SLICE_S` while others wait.

    So everyone's work begins soon and goes on at the same pace, whatever others have asked for.
    """

    def __init__(self) -> None:
        self._waiting: deque[object] = deque()
        self._changed = threading.Condition()

    @contextmanager
    def turn(self, cancel: Cancel, emit: Callable[[Queued], None]) -> Iterator[Callable[[], None] | None]:
        """Wait for a turn; yields what gives way to others between two pieces of the work, None if it was cancelled
        first. emit: is told the position whenever it changes."""
        me, told = object(), 0
        began_s = 0.0

        def give_way() -> None:
            nonlocal began_s
            with self._changed:
                if len(self._waiting) == 1 or time.monotonic() - began_s < SLICE_S:
                    return
                self._waiting.rotate(-1)
                self._changed.notify_all()
                while self._waiting[0] is not me and not cancel.is_set:
                    self._changed.wait(POLL_S)
            began_s = time.monotonic()

        with self._changed:
            self._waiting.append(me)
        try:
            with self._changed:
                while (n_ahead := self._waiting.index(me)) > 0 and not cancel.is_set:
                    if n_ahead != told:
                        emit(Queued(n_ahead))
                        told = n_ahead
                    self._changed.wait(POLL_S)
            began_s = time.monotonic()
            yield give_way if n_ahead == 0 else None
        finally:
            with self._changed:
                self._waiting.remove(me)
                self._changed.notify_all()


def follow(
    work: Callable[[Callable[[Value | Queued], None]], object],
    cancel: Cancel,
    *,
    queue: FairQueue | None = None,
    every_s: float = 0.0,
    discard: Callable[[Value | Queued], object] | None = None,
) -> Generator[Value | Queued, None, None]:
    """Yield what `work(emit)` emits in a thread; raise what it raises.

    Of values that come faster than `every_s` apart, or than the caller takes them, only the newest is kept; the last
    one always arrives. queue: the work waits for its turn there, and `Queued` is yielded meanwhile.

    Work that polls `cancel` is followed to its end, so that its last value is seen. Work that cannot be interrupted is
    given a `discard`: then a cancel raises Cancelled at once and the thread is left behind; whatever it still emits,
    and whatever the caller did not take, goes to `discard`.
    """
    changed = threading.Condition()
    newest: list[Value | Queued] = []  # at most one value that was not yielded yet
    errors: list[BaseException] = []
    is_over = is_left = False
    give_way: Callable[[], None] | None = None

    def emit(value: Value | Queued) -> None:
        with changed:
            if is_kept := not is_left:
                newest[:] = [value]
                changed.notify_all()
        if not is_kept and discard is not None:
            discard(value)
        if give_way is not None:
            give_way()

    def run() -> None:
        nonlocal is_over, give_way
        try:
            if queue is None:
                work(emit)
            else:
                with queue.turn(cancel, emit) as give_way:
                    if give_way is not None:
                        work(emit)
        except BaseException as error:  # noqa: BLE001 (raised again by whoever follows)
            errors.append(error)
        finally:
            with changed:
                is_over = True
                changed.notify_all()

    threading.Thread(target=run, name="background", daemon=True).start()
    try:
        while True:
            with changed:
                changed.wait_for(lambda: newest or is_over, POLL_S)
                if discard is not None and cancel.is_set:
                    raise Cancelled
                if not newest and is_over:
                    break
                values = list(newest)
                newest.clear()
            yield from values
            with changed:
                changed.wait_for(lambda: is_over, every_s if values else 0.0)
        if errors:
            raise errors[0]
    finally:
        with changed:
            is_left = True
            values = list(newest)
            newest.clear()
        for value in values if discard is not None else ():  # may block, and a closed page ends this in the server loop
            threading.Thread(target=discard, args=(value,), name="discarding", daemon=True).start()
