"""Read ahead in a thread, so that a computation on media never blocks on decoding.

    for chunk in ahead(stream_sound(path)):
        if chunk is None:      # not there yet: do something else, come back later
            ...

Closing the generator ends the decoding at once.
"""

from __future__ import annotations

import contextvars
import queue
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import suppress
from typing import TypeVar

from engines.media.child import Stop, current_stop

T = TypeVar("T")

LOOK_S = 0.002
"""Seconds that a look blocks, so that a loop of looks does not spin."""


def ahead(items: Iterable[T], *, look_s: float = LOOK_S) -> Generator[T | None]:
    """The items, made by a thread one ahead of their reader; None while the next is not there yet.

    look_s: how long a look at what is not there yet takes. Raises what the iterable raises.
    """
    stop = Stop()
    made: queue.Queue[tuple[T] | BaseException | None] = queue.Queue(1)  # None: that was the last

    def put(news: tuple[T] | BaseException | None) -> bool:
        """Hand over; false where nobody wants it any more."""
        while not stop.is_set:
            with suppress(queue.Full):
                made.put(news, timeout=0.2)
                return True
        return False

    def make() -> None:
        current_stop.set(stop)
        end: BaseException | None = None
        try:
            for item in items:
                if not put((item,)):
                    break
        except BaseException as error:  # raised again where the items are read
            end = error
        finally:
            with suppress(AttributeError):  # a list has nothing to close
                items.close()  # type: ignore[attr-defined]
            put(end)

    threading.Thread(target=contextvars.copy_context().run, args=(make,), name="read ahead", daemon=True).start()
    try:
        while True:
            try:
                news = made.get(timeout=look_s)
            except queue.Empty:
                yield None
                continue
            if news is None:
                return
            if isinstance(news, BaseException):
                raise news
            yield news[0]
    finally:
        stop.set()


def waited(call: Callable[[], T]) -> Generator[None, None, T]:
    """The value of a call made by a thread; yields None until it is there. Raises what the call raises."""

    def once() -> Iterator[T]:
        yield call()

    for value in ahead(once()):
        if value is None:
            yield None
        else:
            return value
    raise RuntimeError("the call gave no value")
