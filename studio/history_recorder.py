"""Record the results of the page in the history of this machine's owner, each with a thumbnail of its media."""

from __future__ import annotations

import json
import logging
import time
from dataclasses import fields, replace
from pathlib import Path

from engines import Result, SearchResult, UserError
from engines.index.history import LAB, History
from engines.lab import Findings, name_of
from engines.lab.findings import Cell
from studio import exports
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

    def record_run(self, found: Findings) -> int | None:
        """Record a run of the Lab that has ended, without its weights; returns the id of its entry, None where there is
        none."""
        if self.history is None or found.end != "finished":
            return None
        kept = replace(found, weights={}, network=None)
        run, file = exports.run_as(kept, "json"), exports.run_as(kept, "run")
        assert run is not None and file is not None
        try:
            return self.history.add_run(
                settings_of(found), measured_by(found), {"result": LAB, **json.loads(run)}, file
            )
        except UserError:
            log.warning("a run of the Lab could not be kept in the history", exc_info=True)
            return None

    def correct(self, entry: object, result: Result) -> None:
        """Put a corrected result in the place of its entry. entry: the entry's id as the page sends it; anything that
        is not the id of an entry of the same request changes nothing."""
        if self.history is None or not (isinstance(entry, str) and entry.isascii() and entry.isdecimal()):
            return
        try:
            self.history.correct(int(entry), result)
        except UserError:
            log.warning("a correction could not be kept in the history", exc_info=True)


def settings_of(found: Findings) -> str:
    """Name and settings of a run in one line: what differs from the defaults, and the seed."""
    request = found.request
    ordered = sorted(fields(request), key=lambda each: each.name == "seed")
    asked = [(each, getattr(request, each.name)) for each in ordered]
    told = [
        f"{each.name} {' '.join(value) if isinstance(value, tuple) else value}"
        for each, value in asked
        if value != each.default or each.name == "seed"
    ]
    return f"{name_of(request)}: {', '.join(told)}"


def measured_by(found: Findings) -> str:
    """The first table of a run in words: each row with its first number."""
    rows = found.tables[0].rows if found.tables else ()
    unit = " %" if found.tables and found.tables[0].columns[1].endswith(" %") else ""
    return ", ".join(f"{row[0]} {_number(row[1], unit)}" for row in rows)


def _number(cell: Cell, unit: str) -> str:
    return f"{cell * 100:.1f}{unit}" if unit and isinstance(cell, float) else str(cell)


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
