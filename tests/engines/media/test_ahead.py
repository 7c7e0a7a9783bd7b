"""Who computes on media never waits for them: what is not there yet is None, and to leave is to stop the decoding."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from engines.errors import MediaError
from engines.media.ahead import ahead, waited
from engines.media.child import current_stop


def test_items_come_in_order_and_none_until_they_are_there():
    there = threading.Event()

    def items() -> Iterator[int]:
        there.wait()
        yield 1
        yield 2

    found = ahead(items())
    assert next(found) is None and next(found) is None
    there.set()
    assert [item for item in found if item is not None] == [1, 2]


def test_what_the_thread_raises_is_raised_where_the_items_are_read():
    def items() -> Iterator[int]:
        yield 1
        raise MediaError("damaged", "it is damaged, choose another.")

    found = ahead(items())
    with pytest.raises(MediaError, match="it is damaged"):
        list(found)


def test_closing_stops_the_decoding_and_ends_the_thread():
    seen, ended = [], threading.Event()

    def items() -> Iterator[int]:
        seen.append(current_stop.get())
        try:
            yield from range(1_000_000)
        finally:
            ended.set()

    found = ahead(items())
    assert next(item for item in found if item is not None) == 0
    found.close()
    assert seen[0] is not None and seen[0].is_set
    assert ended.wait(60)


def test_a_call_is_waited_for_step_by_step():
    there = threading.Event()

    def call() -> str:
        there.wait()
        return "read"

    steps = waited(call)
    assert next(steps) is None
    there.set()

    def finished() -> Iterator[None]:
        value = yield from steps
        assert value == "read"

    assert set(finished()) <= {None}
