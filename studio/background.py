"""Work that blocks, in a thread of its own: it can be followed, and left behind.

A download can be stopped in the middle; the reading of weights cannot. Whoever does not want to wait any longer leaves
the work behind, and what it brings after that is given away instead of being kept.

    with Work(lambda tell: open_host(name, tell=tell, cancel=cancel), cancel, leave=Host.close) as work:
        for progress in work.steps():
            ...
        host = work.value()
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Generic, TypeVar

from engines import Cancel, Cancelled, Progress

PAUSE_S = 0.1
"""How soon a stop is seen."""

_Value = TypeVar("_Value")


class Work(Generic[_Value]):
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

    def __enter__(self) -> Work[_Value]:
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
