import threading

import pytest

from engines import Cancel, Cancelled, Progress, RequestError
from studio.background import BackgroundCall


def test_work_is_followed_to_its_end() -> None:
    def call(tell):  # type: ignore[no-untyped-def]
        tell(Progress("fetching", 1, 2))
        tell(Progress("fetching", 2, 2))
        return "a model"

    with BackgroundCall(call, Cancel()) as work:
        assert [progress.done for progress in work.steps()] == [1, 2]
        assert work.value() == "a model"


def test_what_the_work_raises_reaches_whoever_waits() -> None:
    def call(_tell: object) -> str:
        raise RequestError("test", "There is no such model.")

    with BackgroundCall(call, Cancel()) as work:
        assert list(work.steps()) == []
        with pytest.raises(RequestError, match="no such model"):
            work.value()


def test_work_that_cannot_be_stopped_is_left_behind_and_what_it_brings_is_given_away() -> None:
    cancel, go_on, given_away = Cancel(), threading.Event(), threading.Event()

    def call(_tell: object) -> str:
        assert go_on.wait(60)
        return "late"

    with BackgroundCall(call, cancel, leave=lambda value: given_away.set()) as work:
        cancel.set()
        assert list(work.steps()) == []
        with pytest.raises(Cancelled):
            work.value()
    assert not given_away.is_set()
    go_on.set()
    assert given_away.wait(60)


def test_what_came_but_was_not_taken_is_given_away() -> None:
    given_away = threading.Event()
    with BackgroundCall(lambda _tell: "unwanted", Cancel(), leave=lambda value: given_away.set()) as work:
        list(work.steps())
    assert given_away.wait(60)


def test_what_was_taken_is_kept() -> None:
    given_away = threading.Event()
    with BackgroundCall(lambda _tell: "wanted", Cancel(), leave=lambda value: given_away.set()) as work:
        list(work.steps())
        assert work.value() == "wanted"
    assert not given_away.is_set()
