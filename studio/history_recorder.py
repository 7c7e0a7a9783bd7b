"""Record the results of the page in the history of this machine's owner, each with a thumbnail of its media."""

from __future__ import annotations

import logging
import time
from pathlib import Path

from engines import Result, SearchResult, UserError
from engines.index.history import History
from studio.thumbnails import thumbnail

TYPED_S = 4.0
"""A search that is followed by the next one sooner was a part of what is being typed, and is not kept beside it."""

log = logging.getLogger("studio")


class HistoryRecorder:
    """Records results. history: None on a page that others can reach, of which nothing is recorded."""

    def __init__(self, history: History | None = None) -> None:
        self.history = history
        self._typed: dict[str, tuple[int, float]] = {}

    def record(self, session: str, result: Result, *, is_typed: bool = False) -> int | None:
        """Record a finished result; returns the id of its entry, None where there is none. A history that cannot be
        written costs no result. is_typed: the search box searched by itself."""
        if self.history is None:
            return None
        try:
            if not self.history.is_on:
                return None
            before, at_s = self._typed.pop(session, (None, 0.0))
            is_same = isinstance(result, SearchResult) and time.monotonic() - at_s < TYPED_S
            entry = self.history.add(result, _picture(result), instead_of=before if is_same else None)
        except UserError:
            log.warning("a result could not be kept in the history", exc_info=True)
            return None
        if is_typed and entry is not None:
            self._typed[session] = entry, time.monotonic()
        return entry

    def correct(self, entry: object, result: Result) -> None:
        """Put a corrected result in the place of its entry. entry: the entry's id as the page sends it; anything that
        is not the id of an entry of the same request changes nothing."""
        if self.history is None or not (isinstance(entry, str) and entry.isascii() and entry.isdecimal()):
            return
        try:
            self.history.correct(int(entry), result)
        except UserError:
            log.warning("a correction could not be kept in the history", exc_info=True)


def _picture(result: Result) -> tuple[bytes, str] | None:
    """A thumbnail of a result's media; of a search for words that of its best hit."""
    path = getattr(result.request, "media", None) or getattr(result.request, "query", None)
    at_s = 0.0
    if isinstance(result, SearchResult) and not isinstance(path, Path) and result.hits:
        path, at_s = result.hits[0].path, result.hits[0].start_s
    if not isinstance(path, Path):
        return None
    try:
        return thumbnail(path, at_s=at_s)
    except UserError:  # text, or a file that is gone
        return None
