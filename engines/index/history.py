"""The history of results on this machine: one SQLite file, searchable, of limited size, with a switch.

    history = History(history_file(data_folder()))
    entry_id = history.add(result)            # None where the history is off, or the result is not of a kind it keeps
    history.find("dog")                       # entries, the newest first
    history.result(entry_id)                  # the result as it was
    history.add_run(about, text, run, file)   # a run of the Lab, which `history.run` gives back
    history.clear()

Media are not copied: an entry names its file, which may be gone by then, and holds a thumbnail of it. Safe from any
thread and process.
"""

from __future__ import annotations

import base64
import json
import sqlite3
import threading
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from engines import protocol
from engines.errors import Message, UserError
from engines.protocol import AskResult, CaptionResult, Result, SearchResult, TranscribeResult, TranslateResult

LIMIT_BYTES = 64 * 2**20
"""The oldest results are deleted once all of them take more."""
KINDS: tuple[type[Result], ...] = (CaptionResult, TranscribeResult, TranslateResult, AskResult, SearchResult)
LAB = "lab"
"""The task of a run of the Lab."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS entries (
    id INTEGER PRIMARY KEY AUTOINCREMENT, at TEXT NOT NULL, task TEXT NOT NULL, about TEXT NOT NULL,
    media TEXT NOT NULL, text TEXT NOT NULL, result TEXT NOT NULL, thumbnail BLOB, thumbnail_type TEXT
);
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, is_on INTEGER NOT NULL);
"""
_SELECT = "SELECT id, at, task, about, media, text, thumbnail IS NOT NULL FROM entries"
_TOO_MUCH = """
DELETE FROM entries WHERE id IN (SELECT id FROM (
    SELECT id, SUM(LENGTH(CAST(result AS BLOB)) + LENGTH(CAST(text AS BLOB)) + COALESCE(LENGTH(thumbnail), 0))
        OVER (ORDER BY id DESC) AS size FROM entries
) WHERE size > ?)
"""
RENAMED = {"senses": "modalities"}
"""Fields in histories of development versions before 0.6 -> names of today."""


@dataclass(frozen=True)
class Entry:
    """One kept result. at: local time, ISO 8601. task: "caption", "transcribe", ... about: the name of the media file,
    with a question the question, or the text that was given. media: the file's whole path, "" where there is none.
    text: what was answered."""

    id: int
    at: str
    task: str
    about: str
    media: str
    text: str
    has_thumbnail: bool


def history_file(home: Path) -> Path:
    """Where the history is kept, in the program's data folder."""
    return home / "history.sqlite"


class History:
    """The kept results. limit_bytes: of all results and thumbnails together. Raises UserError where the file cannot be
    read or written."""

    def __init__(self, file: Path, limit_bytes: int = LIMIT_BYTES) -> None:
        self._file, self._limit = file, limit_bytes
        self._lock = threading.Lock()

    @property
    def is_on(self) -> bool:
        """Whether results are kept."""
        rows = self._all("SELECT is_on FROM settings WHERE name = 'keep'")
        return not rows or bool(rows[0][0])

    def turn(self, *, on: bool) -> None:
        """Keep results from now on, or keep none; what is there stays."""
        self._all("INSERT OR REPLACE INTO settings VALUES ('keep', ?)", int(on))

    def add(
        self, result: Result, thumbnail: tuple[bytes, str] | None = None, instead_of: int | None = None
    ) -> int | None:
        """Keep a finished result; gives the id of its entry. None where it is not kept.

        thumbnail: a picture of its media and the picture's type. instead_of: the entry whose place it takes, as of a
        search that was only a part of what was typed.
        """
        if not isinstance(result, KINDS) or result.end not in ("finished", "cut") or not self.is_on:
            return None
        try:
            encoded = json.dumps(_encoded(result), ensure_ascii=False)
        except TypeError:  # media in memory
            return None
        media = _media(result)
        given = about(result), str(media) if isinstance(media, Path) else "", text_of(result)
        return self._add(task_of(result), *given, encoded, thumbnail, instead_of)

    def add_run(self, about: str, text: str, run: Mapping[str, Any], file: bytes) -> int | None:
        """Keep a finished run of the Lab; gives the id of its entry, None where the history is off. run: it as JSON;
        file: it as it is opened again, without its weights."""
        if not self.is_on:
            return None
        record = json.dumps({"run": run, "file": base64.b64encode(file).decode()}, ensure_ascii=False)
        return self._add(LAB, about, "", text, record)

    def run(self, entry_id: int) -> tuple[dict[str, Any], bytes]:
        """A kept run of the Lab, as JSON and as a file. Raises UserError where it is gone."""
        rows = self._all("SELECT result FROM entries WHERE id = ? AND task = ?", entry_id, LAB)
        if not rows:
            raise _gone()
        record = json.loads(rows[0][0])
        return record["run"], base64.b64decode(record["file"])

    def _add(
        self,
        task: str,
        about: str,
        media: str,
        text: str,
        record: str,
        thumbnail: tuple[bytes, str] | None = None,
        instead_of: int | None = None,
    ) -> int | None:
        at = datetime.now().isoformat(timespec="seconds")
        values = at, task, about, media, text, record, *(thumbnail or (None, None))
        with self._opened() as db:
            entry_id = db.execute(
                "INSERT OR REPLACE INTO entries (id, at, task, about, media, text, result, thumbnail, thumbnail_type) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (instead_of, *values),
            ).lastrowid
            db.execute(_TOO_MUCH, (self._limit,))
        return entry_id

    def correct(self, entry_id: int, result: Result) -> bool:
        """Replace an entry's result with a corrected one; False where the entry is gone or of another request."""
        if not any(True for _ in self._all("SELECT id FROM entries WHERE id = ?", entry_id)):
            return False
        if self.result(entry_id).request != result.request:
            return False
        encoded = json.dumps(_encoded(result), ensure_ascii=False)
        self._all("UPDATE entries SET text = ?, result = ? WHERE id = ?", text_of(result), encoded, entry_id)
        return True

    def find(self, words: str = "", n: int = 100) -> list[Entry]:
        """The newest entries in which every word occurs, at most `n` of them; all where `n` is negative."""
        wanted = _folded(words).split()
        every_word = "instr(folded(about || ' ' || text || ' ' || task), ?) > 0"
        where = f" WHERE {' AND '.join([every_word] * len(wanted))}" if wanted else ""
        found = self._all(f"{_SELECT}{where} ORDER BY at DESC, id DESC LIMIT ?", *wanted, min(n, 2**31))
        return list(map(_entry, found))

    def entry(self, entry_id: int) -> Entry:
        """One entry. Raises UserError where it is gone."""
        rows = self._all(f"{_SELECT} WHERE id = ?", entry_id)
        if not rows:
            raise _gone()
        return _entry(rows[0])

    def result(self, entry_id: int) -> Result:
        """A kept result. Raises UserError where it is gone, or was stored by an incompatible version."""
        rows = self._all("SELECT result FROM entries WHERE id = ?", entry_id)
        if not rows:
            raise _gone()
        try:
            found = _decoded(json.loads(rows[0][0]))
        except (ValueError, TypeError, AttributeError, KeyError, UserError):
            found = None
        if not isinstance(found, KINDS):
            raise UserError(
                "history_unreadable", "This result was kept by another version of the program, which cannot be read."
            )
        return found

    def thumbnail(self, entry_id: int) -> tuple[bytes, str] | None:
        """The thumbnail of an entry and its media type; None where it has none."""
        rows = self._all("SELECT thumbnail, thumbnail_type FROM entries WHERE id = ?", entry_id)
        return (rows[0][0], rows[0][1]) if rows and rows[0][0] is not None else None

    def delete(self, entry_ids: Sequence[int]) -> int:
        """Delete entries; gives how many of them were there."""
        return sum(len(self._all("DELETE FROM entries WHERE id = ? RETURNING id", each)) for each in entry_ids)

    def clear(self) -> int:
        """Delete all entries, and their bytes from the disk; gives their number."""
        n = len(self._all("DELETE FROM entries RETURNING id"))
        self._all("VACUUM")
        return n

    def _all(self, query: str, *values: object) -> list[Any]:
        with self._opened() as db:
            return db.execute(query, values).fetchall()

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with self._lock:
                is_new = not self._file.exists()
                db = sqlite3.connect(self._file, timeout=10.0, isolation_level=None)
                try:
                    if is_new:
                        with suppress(OSError):  # a disk that knows no rights
                            self._file.chmod(0o600)
                    db.execute("PRAGMA secure_delete = ON")  # what is deleted is overwritten
                    db.executescript(_SCHEMA)
                    db.create_function("folded", 1, _folded, deterministic=True)
                    yield db
                finally:
                    db.close()
        except OverflowError as error:  # an id larger than SQLite's integers
            raise _gone() from error
        except (OSError, sqlite3.Error) as error:
            raise UserError(
                "history_file",
                "The history, {name}, cannot be read or written; check the disk, or delete that file.",
                name=self._file.name,
            ) from error


def task_of(result: Result) -> str:
    """The task that gave a result: "caption", "transcribe", ..."""
    return type(result).__name__.removesuffix("Result").lower()


def about(result: Result) -> str:
    """What a result is about, in one line: the name of its file, its question, the text that was given."""
    media = _media(result)
    terms = [term.media for term in media] if isinstance(media, tuple) else [media]
    name = " + ".join(term.name if isinstance(term, Path) else str(term) for term in terms)
    question = getattr(result.request, "question", "")
    return f"{name}: {question}" if question else name


def text_of(result: Result) -> str:
    """The text of a result, for searching."""
    if isinstance(result, SearchResult):
        return ", ".join(dict.fromkeys(hit.path.name for hit in result.hits))
    if isinstance(result, TranscribeResult):
        return "\n".join(filter(None, (result.text, result.translation)))
    return str(getattr(result, "text", ""))


def _media(result: Result) -> Any:
    request = result.request
    return next(
        (found for name in ("media", "query", "text") if (found := getattr(request, name, None)) is not None), ""
    )


def _entry(row: Sequence[Any]) -> Entry:
    entry_id, at, task, about, media, text, has_thumbnail = row
    return Entry(entry_id, at, task, about, media, text, bool(has_thumbnail))


def _gone() -> UserError:
    return UserError("history_gone", "This result is no longer in the history.")


def _folded(text: str) -> str:
    """For comparison: without case and without other forms of the same letters; SQLite itself knows ASCII only."""
    return unicodedata.normalize("NFKC", text).casefold()


# --- records as JSON -------------------------------------------------------------------------------------------------


def _encoded(value: object) -> Any:
    """A record as JSON that `_decoded` makes the same record of: {"is": its class, ...}. Raises TypeError."""
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, Path):
        return {"is": "Path", "path": str(value)}
    if isinstance(value, Message):
        values = {name: _encoded(part) for name, part in value.values.items()}
        return {"is": "Message", "key": value.key, "english": value.english, "values": values}
    if isinstance(value, frozenset):
        return {"is": "frozenset", "items": sorted(value)}
    if isinstance(value, tuple | list):
        return [_encoded(item) for item in value]
    if is_dataclass(value) and getattr(protocol, type(value).__name__, None) is type(value):
        return {"is": type(value).__name__} | {each.name: _encoded(getattr(value, each.name)) for each in fields(value)}
    raise TypeError(f"{type(value).__name__} is not kept")


def _decoded(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(map(_decoded, value))
    if not isinstance(value, dict):
        return value
    name = value["is"]
    if name == "Path":
        return Path(value["path"])
    if name == "Message":
        parts = {key: _decoded(part) for key, part in value["values"].items()}
        listed = {key: list(part) if isinstance(part, tuple) else part for key, part in parts.items()}
        return Message(value["key"], value["english"], **listed)
    if name == "frozenset":
        return frozenset(value["items"])
    kind = getattr(protocol, name)
    if not is_dataclass(kind):
        raise TypeError(name)
    return kind(**{RENAMED.get(key, str(key)): _decoded(part) for key, part in value.items() if key != "is"})  # type: ignore[operator]
