"""Read ahead in a thread, so that whoever computes on media never waits for them to be decoded.

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
from typing import Generic, TypeVar

from engines.media.child import Stop, current_stop

T = TypeVar("T")

POLL_S = 0.002
"""How long a look at what is not there yet takes, so that a loop that only looks does not spin."""


class _End:
    """What comes after the last item: how it ended."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


class _Item(Generic[T]):
    def __init__(self, value: T) -> None:
        self.value = value


def ahead(items: Iterable[T]) -> Iterator[T | None]:
    """The items, made by a thread one ahead of their reader; None while the next is not there yet.

    Raises what the iterable raises.
    """
    stop = Stop()
    made: queue.Queue[_Item[T] | _End] = queue.Queue(1)

    def put(news: _Item[T] | _End) -> bool:
        """Hand over; false where nobody wants it any more."""
        while not stop.is_set:
            with suppress(queue.Full):
                made.put(news, timeout=0.2)
                return True
        return False

    def make() -> None:
        current_stop.set(stop)
        end = _End()
        try:
            for item in items:
                if not put(_Item(item)):
                    break
        except BaseException as error:  # raised again where the items are read
            end = _End(error)
        finally:
            with suppress(AttributeError):  # a list has nothing to close
                items.close()  # type: ignore[attr-defined]
            put(end)

    threading.Thread(target=contextvars.copy_context().run, args=(make,), name="read ahead", daemon=True).start()
    try:
        while True:
            try:
                news = made.get(timeout=POLL_S)
            except queue.Empty:
                yield None
                continue
            if isinstance(news, _End):
                if news.error is not None:
                    raise news.error
                return
            yield news.value
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
