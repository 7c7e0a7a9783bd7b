"""Registries of what the page may fetch: files, finished results and Lab runs, each under a random id.

A path never reaches the page: a hit, a sample or an export is registered, and the page gets its id, which is all that
the routes in `studio/routes.py` accept. Each registry is bounded; the oldest entries are dropped.
"""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from pathlib import Path
from typing import Generic, TypeVar

from engines import AskResult, Result
from engines.lab import Findings

N_FILES = 4000
N_RESULTS = 200
N_CHATS = 200
N_RUNS = 12
"""Lab runs that can be saved; each holds the weights it trained."""

Value = TypeVar("Value")


class Registry(Generic[Value]):
    """Values by random id, at most `limit` of them. Safe from any thread."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._values: OrderedDict[str, Value] = OrderedDict()

    def add(self, value: Value) -> str:
        """Register a value; returns its id."""
        value_id = secrets.token_urlsafe(12)
        with self._lock:
            self._values[value_id] = value
            while len(self._values) > self._limit:
                self._values.popitem(last=False)
        return value_id

    def get(self, value_id: str) -> Value | None:
        """The value under an id; None if there is none, or no longer."""
        with self._lock:
            return self._values.get(value_id)


class RunRegistry(Registry[Findings]):
    """Lab runs that can be saved from the page."""

    def __init__(self) -> None:
        super().__init__(N_RUNS)


class DownloadRegistry:
    """Files the page may show, and results it may save."""

    def __init__(self) -> None:
        self._files = Registry[Path](N_FILES)
        self._results = Registry[Result](N_RESULTS)
        self.add_file, self.file = self._files.add, self._files.get
        self.add_result, self.result = self._results.add, self._results.get


class ChatHistory:
    """What each session asked about its current clip. Safe from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._chats: OrderedDict[str, tuple[Path, tuple[AskResult, ...]]] = OrderedDict()

    def turns(self, session: str, media: Path) -> tuple[AskResult, ...]:
        """The questions and answers so far; empty if the session has moved on to another clip."""
        with self._lock:
            about, turns = self._chats.get(session, (None, ()))
            return turns if about == media else ()

    def keep(self, session: str, media: Path, turns: tuple[AskResult, ...]) -> None:
        """Replace what is remembered for a session."""
        with self._lock:
            self._chats.pop(session, None)
            self._chats[session] = (media, turns)
            while len(self._chats) > N_CHATS:
                self._chats.popitem(last=False)

    def forget(self, session: str) -> None:
        """Forget a session's questions."""
        with self._lock:
            self._chats.pop(session, None)
