from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Iterator

import pytest

from engines import Cancel, RequestError
from studio.background import BackgroundStream, FairQueue, Queued

WAIT_S = 30.0
"""How long a busy machine may take for anything; nothing is asserted about it."""
END = object()


class Script:
    """Something to run: it gives what it is told to, when it is told to; stopped, it says so. inside: who runs now."""

    def __init__(self, inside: list[Script]) -> None:
        self.began = threading.Event()
        self._told: queue.Queue[object] = queue.Queue()
        self._inside = inside

    def say(self, *what: object) -> None:
        for each in what:
            self._told.put(each)

    def end(self) -> None:
        self._told.put(END)

    def __call__(self, cancel: Cancel) -> Iterator[object]:
        self._inside.append(self)
        assert self._inside == [self], "two at a time"
        self.began.set()
        try:
            while not cancel.is_set:
                with contextlib.suppress(queue.Empty):
                    said = self._told.get(timeout=0.01)
                    if said is END:
                        return
                    if isinstance(said, Exception):
                        raise said
                    yield said
            yield "stopped"
        finally:
            self._inside.remove(self)


class Watcher:
    """A page: follows a trial in a thread of its own."""

    def __init__(self, trial: BackgroundStream[object]) -> None:
        self.seen: list[object] = []
        self.error: Exception | None = None
        self._new = threading.Condition()
        self._thread = threading.Thread(target=self._watch, args=(trial,), daemon=True)
        self._thread.start()

    def _watch(self, trial: BackgroundStream[object]) -> None:
        try:
            for frame in trial.frames():
                with self._new:
                    self.seen.append(frame)
                    self._new.notify_all()
        except RequestError as error:
            self.error = error

    def until(self, frame: object) -> None:
        """Wait until this is seen."""
        with self._new:
            assert self._new.wait_for(lambda: frame in self.seen, WAIT_S), self.seen

    def all(self) -> list[object]:
        """All that was seen, once it is over."""
        self._thread.join(WAIT_S)
        assert not self._thread.is_alive()
        return self.seen


@pytest.fixture
def line() -> FairQueue:
    return FairQueue()


@pytest.fixture
def inside() -> list[Script]:
    return []


def test_what_is_found_is_seen_and_the_last_of_it_always(line: FairQueue, inside: list[Script]) -> None:
    script = Script(inside)
    page = Watcher(BackgroundStream(script, Cancel(), line))
    script.say("first")
    page.until("first")
    script.say(*range(1000), "last")
    script.end()
    seen = page.all()
    assert seen[0] == "first" and seen[-1] == "last"
    assert len(seen) < 1000, "not every finding is worth a picture"


def test_the_second_waits_in_line_and_sees_so(line: FairQueue, inside: list[Script]) -> None:
    one, two = Script(inside), Script(inside)
    mine = Watcher(BackgroundStream(one, Cancel(), line))
    one.say("mine")
    mine.until("mine")
    yours = Watcher(BackgroundStream(two, Cancel(), line))
    yours.until(Queued(1))
    assert not two.began.is_set()
    two.say("yours")
    two.end()
    one.end()
    assert mine.all() == ["mine"]
    assert yours.all() == [Queued(1), "yours"]


def test_two_at_once_never_see_each_others_curves(line: FairQueue, inside: list[Script]) -> None:
    scripts = [Script(inside) for _ in range(4)]
    pages = [Watcher(BackgroundStream(script, Cancel(), line)) for script in scripts]
    for n, script in enumerate(scripts):
        script.say(*((n, i) for i in range(50)))
        script.end()
    for n, page in enumerate(pages):
        found = [frame for frame in page.all() if not isinstance(frame, Queued)]
        assert found[-1] == (n, 49)
        assert {owner for owner, _ in found} == {n}
        assert found == sorted(found)


def test_the_line_moves_up_as_it_gets_shorter(line: FairQueue, inside: list[Script]) -> None:
    one, two, three = (Script(inside) for _ in range(3))
    first = Watcher(BackgroundStream(one, Cancel(), line))
    assert one.began.wait(WAIT_S)
    stop = Cancel()
    second = Watcher(BackgroundStream(two, stop, line))
    second.until(Queued(1))
    third = Watcher(BackgroundStream(three, Cancel(), line))
    third.until(Queued(2))
    stop.set()
    third.until(Queued(1))
    assert second.all() == [Queued(1)], "who was stopped in line never began"
    assert not two.began.is_set()
    three.say("third")
    three.end()
    one.end()
    first.all()
    assert third.all() == [Queued(2), Queued(1), "third"]


def test_a_stop_ends_it_with_what_it_had_and_the_next_begins(line: FairQueue, inside: list[Script]) -> None:
    one, two, stop = Script(inside), Script(inside), Cancel()
    mine = Watcher(BackgroundStream(one, stop, line))
    one.say("half")
    mine.until("half")
    yours = Watcher(BackgroundStream(two, Cancel(), line))
    two.say("yours")
    two.end()
    stop.set()
    assert mine.all() == ["half", "stopped"]
    assert one not in inside
    assert yours.all()[-1] == "yours"


def test_what_goes_wrong_is_raised_to_whoever_watches_and_the_line_goes_on(
    line: FairQueue, inside: list[Script]
) -> None:
    one, two = Script(inside), Script(inside)
    mine = Watcher(BackgroundStream(one, Cancel(), line))
    one.say("half", RequestError("test", "Not like this."))
    assert mine.all()[-1:] == ["half"]
    assert mine.error is not None
    yours = Watcher(BackgroundStream(two, Cancel(), line))
    two.say("yours")
    two.end()
    assert yours.all() == ["yours"]


def test_a_page_that_was_closed_frees_the_line(line: FairQueue, inside: list[Script]) -> None:
    one, two, stop = Script(inside), Script(inside), Cancel()
    one.say("half")
    frames = BackgroundStream(one, stop, line).frames()
    assert next(frames) == "half"
    frames.close()  # as gradio does, then the tab sets the token
    stop.set()
    yours = Watcher(BackgroundStream(two, Cancel(), line))
    two.say("yours")
    two.end()
    assert yours.all()[-1] == "yours"
