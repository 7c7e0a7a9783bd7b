"""Runs that go on while their page is loaded anew."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from studio.followed import FollowedRun


def counting(go_on: threading.Semaphore, n: int = 3) -> Iterator[tuple[str, bool]]:
    """A frame each time `go_on` is released."""
    for i in range(1, n + 1):
        go_on.acquire()
        yield str(i), i < n


def test_a_page_loaded_anew_goes_on_where_the_run_is_and_sees_its_end():
    go_on, stopped = threading.Semaphore(0), threading.Event()
    run = FollowedRun("me", "speech", counting(go_on), stopped.set, grace_s=60)
    before = run.follow()
    go_on.release()
    assert next(before) == ("1", True)
    before.close()
    after = run.follow()
    assert next(after) == ("1", True)
    go_on.release(2)
    assert list(after)[-1] == ("3", False)
    assert not stopped.is_set()


def test_the_end_is_shown_to_whoever_comes_later():
    go_on = threading.Semaphore(3)
    run = FollowedRun("me", "speech", counting(go_on), lambda: None)
    assert list(run.follow())[-1] == ("3", False)
    assert list(run.follow()) == [("3", False)]


def test_a_page_that_is_closed_while_nothing_new_comes_is_noticed():
    """Gradio closes what a page follows at a yield only."""
    go_on, stopped = threading.Semaphore(1), threading.Event()
    run = FollowedRun("me", "speech", counting(go_on), stopped.set, grace_s=0.05)
    frames = run.follow()
    assert [next(frames), next(frames)] == [("1", True)] * 2
    frames.close()
    assert stopped.wait(60)
    go_on.release(2)


def test_a_run_that_nobody_follows_any_more_is_stopped():
    go_on, stopped = threading.Semaphore(1), threading.Event()
    run = FollowedRun("me", "speech", counting(go_on), stopped.set, grace_s=0.05)
    frames = run.follow()
    next(frames)
    frames.close()
    assert stopped.wait(60)
    go_on.release(2)
