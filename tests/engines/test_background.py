from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from engines import Cancel, Cancelled, RequestError
from engines.background import FairQueue, Queued, follow

WAIT_S = 30.0
"""How long a busy machine may take for anything; nothing is asserted about it."""
END = object()


class Script:
    """Work that emits what `say` is given, when it is given; cancelled, it emits "stopped". running: all at work."""

    def __init__(self, running: list[Script]) -> None:
        self.began = threading.Event()
        self._lines: queue.Queue[object] = queue.Queue()
        self._running = running

    def say(self, *values: object) -> None:
        for value in values:
            self._lines.put(value)

    def run(self, cancel: Cancel, emit: Callable[[object], None]) -> None:
        self._running.append(self)
        assert self._running == [self], "two at a time"
        self.began.set()
        try:
            while not cancel.is_set:
                with contextlib.suppress(queue.Empty):
                    value = self._lines.get(timeout=0.01)
                    if value is END:
                        return
                    if isinstance(value, Exception):
                        raise value
                    emit(value)
            emit("stopped")
        finally:
            self._running.remove(self)


class Viewer:
    """Follows a script in a thread, as an open page does."""

    def __init__(self, script: Script, turns: FairQueue) -> None:
        self.cancel = Cancel()
        self.seen: list[object] = []
        self.error: Exception | None = None
        self._new = threading.Condition()
        values = follow(lambda emit: script.run(self.cancel, emit), self.cancel, queue=turns)
        self._thread = threading.Thread(target=self._watch, args=(values,), daemon=True)
        self._thread.start()

    def _watch(self, values: Iterator[object]) -> None:
        try:
            for value in values:
                with self._new:
                    self.seen.append(value)
                    self._new.notify_all()
        except RequestError as error:
            self.error = error

    def until(self, value: object) -> None:
        with self._new:
            assert self._new.wait_for(lambda: value in self.seen, WAIT_S), self.seen

    def all(self) -> list[object]:
        self._thread.join(WAIT_S)
        assert not self._thread.is_alive()
        return self.seen


@pytest.fixture
def turns() -> FairQueue:
    return FairQueue()


@pytest.fixture
def scripts() -> list[Script]:
    running: list[Script] = []
    return [Script(running) for _ in range(3)]


def test_only_the_newest_value_is_kept_and_the_last_always_arrives():
    def work(emit: Callable[[object], None]) -> None:
        for n in range(1000):
            emit(n)

    seen = list(follow(work, Cancel(), every_s=0.05))
    assert seen[-1] == 999 and seen == sorted(seen) and len(seen) < 1000


def test_the_second_waits_for_its_turn_and_sees_its_position(turns, scripts):
    one, two, _ = scripts
    mine = Viewer(one, turns)
    one.say("mine")
    mine.until("mine")
    yours = Viewer(two, turns)
    yours.until(Queued(1))
    assert not two.began.is_set()
    two.say("yours", END)
    one.say(END)
    assert mine.all() == ["mine"]
    assert yours.all() == [Queued(1), "yours"]


def test_the_queue_moves_up_when_somebody_leaves_it(turns, scripts):
    one, two, three = scripts
    first = Viewer(one, turns)
    assert one.began.wait(WAIT_S)
    second = Viewer(two, turns)
    second.until(Queued(1))
    third = Viewer(three, turns)
    third.until(Queued(2))
    second.cancel.set()
    third.until(Queued(1))
    assert second.all() == [Queued(1)] and not two.began.is_set()
    three.say("third", END)
    one.say(END)
    first.all()
    assert third.all() == [Queued(2), Queued(1), "third"]


def test_cancelled_work_is_followed_to_its_last_value_and_the_next_begins(turns, scripts):
    one, two, _ = scripts
    mine = Viewer(one, turns)
    one.say("half")
    mine.until("half")
    yours = Viewer(two, turns)
    two.say("yours", END)
    mine.cancel.set()
    assert mine.all() == ["half", "stopped"]
    assert yours.all()[-1] == "yours"


def test_what_the_work_raises_is_raised_to_the_caller_and_frees_the_queue(turns, scripts):
    one, two, _ = scripts
    mine = Viewer(one, turns)
    one.say(RequestError("Not like this.", "不能这样。"))
    mine.all()
    assert mine.error is not None
    yours = Viewer(two, turns)
    two.say("yours", END)
    assert yours.all() == ["yours"]


def test_a_closed_page_frees_the_queue(turns, scripts):
    one, two, _ = scripts
    cancel = Cancel()
    one.say("half")
    values = follow(lambda emit: one.run(cancel, emit), cancel, queue=turns)
    assert next(values) == "half"
    values.close()  # as gradio does; the runner then sets the token
    cancel.set()
    yours = Viewer(two, turns)
    two.say("yours", END)
    assert yours.all()[-1] == "yours"


def test_work_that_cannot_be_interrupted_is_left_behind_and_its_value_discarded():
    cancel, go_on, discarded = Cancel(), threading.Event(), threading.Event()

    def work(emit: Callable[[object], None]) -> None:
        emit("progress")
        assert go_on.wait(WAIT_S)
        emit("late")

    values = follow(work, cancel, discard=lambda value: value == "late" and discarded.set())
    assert next(values) == "progress"
    cancel.set()
    with pytest.raises(Cancelled):
        next(values)
    assert not discarded.is_set()
    go_on.set()
    assert discarded.wait(WAIT_S)


def test_a_value_that_was_taken_is_not_discarded():
    discarded: list[object] = []
    assert list(follow(lambda emit: emit("model"), Cancel(), discard=discarded.append)) == ["model"]
    assert discarded == []


# --- taking turns -----------------------------------------------------------------------------------------------------


def test_work_gives_way_while_others_wait_so_that_all_go_on_in_turn(
    turns: FairQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engines.background.SLICE_S", 0.0)
    done: list[str] = []
    is_queued = threading.Event()

    def work(name: str) -> Callable[[Callable[[object], None]], None]:
        def pieces(emit: Callable[[object], None]) -> None:
            for n in range(3):
                if name == "a":
                    assert is_queued.wait(30)
                done.append(f"{name}{n}")
                emit(n)

        return pieces

    def consume(name: str) -> None:
        for value in follow(work(name), Cancel(), queue=turns):
            if isinstance(value, Queued):
                is_queued.set()

    first = threading.Thread(target=consume, args=("a",))
    first.start()
    while not turns._waiting:
        time.sleep(0.01)
    second = threading.Thread(target=consume, args=("b",))
    second.start()
    first.join(30)
    second.join(30)
    assert done == ["a0", "b0", "a1", "b1", "a2", "b2"]
