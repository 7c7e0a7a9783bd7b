"""Runs that survive a reload of their page: a thread drives each of them, and pages follow what it shows.

    run = FollowedRun("me", "speech", frames, stop)     # begins
    for card, is_running in run.follow(): ...           # in the page that began it, and after a reload

A run that nobody has followed for some seconds is stopped: its page was closed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

GRACE_S = 30.0
"""Seconds that a run waits for its page to be reloaded: a busy machine or a slow line needs more than ten."""
BEAT_S = 0.5
"""How often the last frame is given again where nothing new comes: gradio closes a generator at a yield only, so that
one that waits would never hear that its page was closed."""

Frame = tuple[str, bool]


class FollowedRun:
    """A run of a tab, begun by a session. frames: what it shows, as `stream.run` gives it; stop: cancels it; about:
    what the tab needs besides to show it again."""

    def __init__(
        self,
        session: str,
        tab: str,
        frames: Iterator[Frame],
        stop: Callable[[], None],
        *,
        about: str = "",
        grace_s: float | None = None,
    ) -> None:
        self.session, self.tab, self.about = session, tab, about
        self._stop, self._grace_s = stop, GRACE_S if grace_s is None else grace_s
        self._changed = threading.Condition()
        self._shown: Frame | None = None
        self._n_shown = self._n_followers = 0
        self._is_over = False
        threading.Thread(target=self._drive, args=(frames,), name="run", daemon=True).start()

    def follow(self) -> Iterator[Frame]:
        """What the run shows from now on: the newest frame at once, the last one always, the same one again each
        BEAT_S in which nothing new comes."""
        with self._changed:
            self._n_followers += 1
        n_seen = 0
        try:
            while True:
                with self._changed:
                    if self._n_shown == n_seen and not self._is_over:
                        self._changed.wait(BEAT_S if n_seen else None)
                    shown = self._shown
                    is_seen_to_its_end, n_seen = self._is_over and self._n_shown == n_seen, self._n_shown
                if is_seen_to_its_end or shown is None:
                    return
                yield shown
        finally:  # also when the page was closed: gradio ends this generator at a yield, in the server's loop
            with self._changed:
                self._n_followers -= 1
                if self._n_followers == 0 and not self._is_over:
                    waiting = threading.Timer(self._grace_s, self._stop_if_left)
                    waiting.daemon = True
                    waiting.start()

    def _drive(self, frames: Iterator[Frame]) -> None:
        try:
            for shown in frames:
                with self._changed:
                    self._shown = shown
                    self._n_shown += 1
                    self._changed.notify_all()
        finally:
            with self._changed:
                self._is_over = True
                self._changed.notify_all()

    def _stop_if_left(self) -> None:
        with self._changed:
            is_left = self._n_followers == 0
        if is_left:
            self._stop()
