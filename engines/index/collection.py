"""A collection: one SQLite file of vectors, searched in memory.

What is finished is on disk: each file's rows are written in one transaction to a write-ahead log, so a kill at any
moment loses at most the current file. Vectors are stored as float16 and searched as a float32 matrix that is read once
and follows every change, also of other programs. One thread writes at a time; any number may search meanwhile.

Scores are cosines in the shared space.
"""

from __future__ import annotations

import errno
import math
import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from engines.errors import CollectionError
from engines.index.matrix import Matrix, unit
from engines.index.rows import (
    NUMBERS,
    SOURCES,
    FileMean,
    Row,
    Source,
    check_width,
    kind_of,
    missing,
    number,
    of_other_model,
    same_bytes_ns,
    source_of,
    stamp,
)  # fmt: skip
from engines.protocol import KINDS, Filter, Kind, Metadata

_APPLICATION_ID = 0x46757331  # "Fus1" in the SQLite header tells a collection from any other database
_SCHEMA_VERSION = 3
_SCHEMA = """
CREATE TABLE model (digest TEXT NOT NULL);
CREATE TABLE files (
    id INTEGER PRIMARY KEY AUTOINCREMENT, path BLOB NOT NULL UNIQUE, digest TEXT NOT NULL,
    size INTEGER NOT NULL, modified_ns INTEGER NOT NULL, failure TEXT
);
CREATE TABLE rows (
    id INTEGER PRIMARY KEY AUTOINCREMENT, file_id INTEGER NOT NULL REFERENCES files ON DELETE CASCADE,
    kind INTEGER NOT NULL, start_s REAL NOT NULL, end_s REAL NOT NULL, text TEXT NOT NULL, vector BLOB NOT NULL
);
CREATE INDEX rows_by_file ON rows (file_id);
"""
"""Paths are the system's own bytes (os.fsencode), since a name on disk need not be text; what lies below the
collection's folder is written as ./path, so that both can be moved together. kind: `rows.number`."""
_METADATA = """
CREATE TABLE metadata (
    file_id INTEGER PRIMARY KEY REFERENCES files ON DELETE CASCADE,
    taken TEXT NOT NULL, latitude REAL, longitude REAL, camera TEXT NOT NULL
)
"""
"""What files say about themselves, since version 2; a file without a row was not asked yet."""
_WORDS = (
    "CREATE TABLE words (file_id INTEGER PRIMARY KEY REFERENCES files ON DELETE CASCADE)",
    "CREATE INDEX rows_with_text ON rows (kind) WHERE text <> ''",
)
"""Files in which written words were looked for, and rows that have words, since version 3."""
_ODD_TYPES = """
SELECT 1 FROM files WHERE typeof(path) <> 'blob' OR typeof(digest) <> 'text' OR typeof(size) <> 'integer'
    OR typeof(modified_ns) <> 'integer' OR typeof(failure) NOT IN ('text', 'null')
UNION ALL SELECT 1 FROM rows WHERE typeof(kind) <> 'integer' OR typeof(start_s) <> 'real' OR typeof(end_s) <> 'real'
    OR typeof(text) <> 'text' OR typeof(vector) <> 'blob' LIMIT 1
"""
"""SQLite takes any type in any column, so a damaged file may hold what the rest of this code cannot."""
_WAIT_S = 10.0
"""How long to wait while another program writes to the same collection."""


class DamagedCollection(CollectionError):
    """A collection of this program that is damaged; `discard` makes room for a new one."""


class Collection:
    """A searchable set of files. A context manager; thread-safe.

    Raises CollectionError if the file is absent (unless `create`), no collection, damaged, or if `model_digest` is
    given and another model made it; `reset` empties one for a new model, so open it without a digest to do that.
    """

    def __init__(self, file: Path, *, model_digest: str | None = None, create: bool = False) -> None:
        self._file, self._name = file, file.name
        self._folder = file.parent.resolve()
        self._lock = threading.RLock()
        if not create and not file.is_file():
            raise missing(file.name)
        with self._speaking():
            if create:
                file.parent.mkdir(parents=True, exist_ok=True)
            # autocommit: `_transaction` says where one begins
            self._db = sqlite3.connect(file, timeout=_WAIT_S, isolation_level=None, check_same_thread=False)
        try:
            with self._speaking():
                self._open(model_digest, create)
                self._load()
        except BaseException:
            self._db.close()
            raise

    def __enter__(self) -> Collection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; nothing needs to be saved."""
        with self._lock:
            self._db.close()

    # --- what is in it ---

    @property
    def n_rows(self) -> int:
        return self._now().n_rows

    @property
    def model_digest(self) -> str:
        """The model whose vectors these are; "" in a new collection that none was named for."""
        found = self._all("SELECT digest FROM model")
        if len(found) != 1 or not isinstance(found[0][0], str):
            raise _sentence(self._file, sqlite3.DatabaseError("not one model"))
        return str(found[0][0])

    def files(self) -> set[str]:
        """Paths of all files, those that could not be read among them."""
        return {self._path(path) for (path,) in self._all("SELECT path FROM files")}

    def failures(self) -> list[tuple[str, str]]:
        """(path, reason) of the files that could not be read, in order of their paths."""
        failed = self._all("SELECT path, failure FROM files WHERE failure IS NOT NULL ORDER BY path")
        return [(self._path(path), reason) for path, reason in failed]

    def rows_of(self, path: Path) -> list[Row]:
        """All rows of a file, in the order they were put."""
        query = "SELECT rows.id, vector FROM rows JOIN files ON files.id = file_id WHERE path = ? ORDER BY rows.id"
        halves = [(i, np.frombuffer(half, "<f2")) for i, half in self._all(query, self._key(path))]
        return [row for i, half in halves if (row := self._row(i, half.astype(np.float32))) is not None]

    def unchanged(self, path: Path) -> bool:
        """Whether a file was put here as it is now. Its bytes are read only if its time stamp alone has changed.

        A file that failed is never unchanged: what could not be read may be readable by now.
        """
        known = self._all(
            "SELECT digest, size, modified_ns FROM files WHERE path = ? AND failure IS NULL", self._key(path)
        )
        now_ns = same_bytes_ns(path, *known[0]) if known else None
        if now_ns is None:
            return False
        if now_ns != known[0][2]:
            with self._transaction():
                self._db.execute("UPDATE files SET modified_ns = ? WHERE path = ?", (now_ns, self._key(path)))
        return True

    # --- changing it ---

    def put(
        self,
        path: Path,
        digest: str,
        rows: Sequence[Row],
        metadata: Metadata | None = None,
        *,
        words_were_read: bool = False,
    ) -> None:
        """Write all rows of a file, in place of those it had. digest: SHA-256 of its bytes, as hex. metadata: None
        where nobody has looked. words_were_read: whether written words were looked for."""
        kinds = [number(row.kind, row.source) for row in rows]
        vectors = [unit(row.vector) for row in rows]
        query = "INSERT INTO rows (file_id, kind, start_s, end_s, text, vector) VALUES (?, ?, ?, ?, ?, ?)"
        with self._lock:  # until the matrix has the rows too, or another thread might read them twice
            with self._transaction():
                check_width(vectors, self._matrix.width)
                file_id = self._replace_file(path, digest, None)
                if metadata is not None:
                    self._describe(file_id, metadata)
                if words_were_read:
                    self._db.execute("INSERT INTO words VALUES (?)", (file_id,))
                ids = []
                for row, kind, vector in zip(rows, kinds, vectors, strict=True):
                    half = vector.astype("<f2").tobytes()
                    values = (file_id, kind, row.start_s, row.end_s, row.text, half)
                    ids.append(int(self._db.execute(query, values).lastrowid or 0))
            if rows:
                self._matrix.append(ids, file_id, kinds, np.stack(vectors))

    def is_described(self, path: Path) -> bool:
        """Whether what a file says about itself is here."""
        query = "SELECT 1 FROM metadata JOIN files ON files.id = file_id WHERE path = ?"
        return bool(self._all(query, self._key(path)))

    def words_were_read(self, path: Path) -> bool:
        """Whether written words were looked for in a file."""
        query = "SELECT 1 FROM words JOIN files ON files.id = file_id WHERE path = ?"
        return bool(self._all(query, self._key(path)))

    def describe(self, path: Path, metadata: Metadata) -> None:
        """Write what a file says about itself."""
        with self._transaction():
            for (file_id,) in self._all("SELECT id FROM files WHERE path = ?", self._key(path)):
                self._describe(file_id, metadata)

    def _describe(self, file_id: int, metadata: Metadata) -> None:
        values = (file_id, metadata.taken, metadata.latitude, metadata.longitude, metadata.camera)
        self._db.execute("INSERT OR REPLACE INTO metadata VALUES (?, ?, ?, ?, ?)", values)

    def fail(self, path: Path, reason: str) -> None:
        """Note that a file could not be read; rows it had are dropped.

        reason: may name the file, whose name need not be text; what is not becomes a question mark.
        """
        with self._transaction():
            self._replace_file(path, "", reason.encode("utf-8", "replace").decode())

    def forget(self, paths: Iterable[Path]) -> None:
        """Drop files and their rows; unknown ones are ignored."""
        with self._transaction():
            for path in paths:
                self._drop_file(path)

    def reset(self, model_digest: str) -> None:
        """Empty the collection and hand it to another model."""
        with self._lock:
            with self._transaction():
                self._db.execute("DELETE FROM files")
                self._db.execute("DELETE FROM model")
                self._db.execute("INSERT INTO model VALUES (?)", (model_digest,))
            with self._speaking():
                self._load()

    # --- finding ---

    def search(
        self, vector: np.ndarray, *, kinds: frozenset[Kind], k: int, only: Filter | None = None, source: Source = ""
    ) -> list[tuple[Row, float]]:
        """The k rows of these kinds and this source nearest to `vector` (D,), with their cosines. only: the files to
        look in.

        First the best row of each file, best file first; only if there are fewer than k files, further rows of theirs.
        """
        query, matrix = unit(vector), self._now()
        if matrix.width not in (None, len(query)):  # though the same model is named as its own
            raise _sentence(self._file, sqlite3.DatabaseError("vectors of another width than the model's"))
        files = None if only is None else self._matching(only)
        nearest = matrix.nearest(query, [number(kind, source) for kind in kinds], k, files)
        found = [(self._row(row_id, stored), score) for row_id, score, stored in nearest]
        return [(row, score) for row, score in found if row is not None]  # it may have been dropped since

    def with_words(
        self, parts: Sequence[str], *, kinds: frozenset[Kind], k: int, only: Filter | None = None
    ) -> list[Row]:
        """The k rows of these kinds whose text holds most of these parts of words (`engines.words`), and some."""
        if not parts:
            return []
        found = " + ".join(["(text LIKE ?)"] * len(parts))
        numbers = ", ".join(str(number(kind, source)) for kind in kinds for source in SOURCES)
        query = f"""SELECT id, file_id, vector, {found} AS n FROM rows
                    WHERE text <> '' AND kind IN ({numbers}) AND n > 0 ORDER BY n DESC, id"""  # noqa: S608 (numbers)
        files = None if only is None else set(self._matching(only))
        rows = [row for row in self._all(query, *map(_like, parts)) if files is None or row[1] in files][:k]
        unpacked = [self._row(row_id, np.frombuffer(half, "<f2").astype(np.float32)) for row_id, _, half, _ in rows]
        return [row for row in unpacked if row is not None]

    def _matching(self, only: Filter) -> list[int]:
        """The ids of the files that a filter lets through."""
        query = """SELECT id, modified_ns, taken, latitude, longitude, camera
                   FROM files LEFT JOIN metadata ON files.id = file_id WHERE failure IS NULL"""
        return [
            file_id
            for file_id, modified_ns, taken, latitude, longitude, camera in self._all(query)
            if _passes(only, Metadata(taken or _date(modified_ns), latitude, longitude, camera or ""))
        ]

    def means(self, kinds: frozenset[Kind], n_most: int) -> tuple[list[FileMean], int]:
        """The means of the files with rows of these kinds, by path, one for each kind that a file has; of more than
        `n_most` files those that stand evenly in the list. Also how many files there are."""
        matrix, numbers = self._now(), [number(kind) for kind in kinds]
        ids = set(matrix.files_of(numbers).tolist())
        query = """SELECT id, path, modified_ns, taken FROM files LEFT JOIN metadata ON files.id = file_id
                   WHERE failure IS NULL ORDER BY path"""
        files = [row for row in self._all(query) if row[0] in ids]
        step = max(1.0, len(files) / n_most)
        drawn = [files[int(n * step)] for n in range(min(len(files), n_most))]
        rank = {file_id: n for n, (file_id, *_) in enumerate(drawn)}
        found = [
            (rank[file_id], FileMean(self._path(path), kind_of(kind), taken or _date(modified_ns), int(n_rows), vector))
            for file_id, kind, n_rows, vector in zip(*matrix.means(numbers, rank), strict=True)
            for _, path, modified_ns, taken in [drawn[rank[file_id]]]
        ]
        return [mean for _, mean in sorted(found, key=lambda pair: pair[0])], len(files)

    def near_duplicates(self, threshold: float = 0.97) -> list[tuple[str, str, float]]:
        """Pairs of files with the same bytes (score 1), or the same kind and a cosine of at least `threshold`.

        Each file is named with the one before it that it resembles most, so n copies make n - 1 pairs. A file of
        several rows is compared by their mean.
        """
        paths: dict[int, str] = {}
        same: dict[str, list[int]] = {}
        for file_id, path, digest in self._all(
            "SELECT id, path, digest FROM files WHERE failure IS NULL ORDER BY path"
        ):
            paths[file_id] = self._path(path)
            same.setdefault(digest, []).append(file_id)
        matrix = self._now()
        pairs = {(twins[0], twin): 1.0 for twins in same.values() for twin in twins[1:]}
        copies = {twin for _, twin in pairs}
        for kind in range(len(KINDS)):
            for a, b, score in matrix.similar(kind, copies, threshold):
                pairs[a, b] = max(score, pairs.get((a, b), 0.0))
        named = [(paths[a], paths[b], score) for (a, b), score in pairs.items() if a in paths and b in paths]
        return sorted(((min(a, b), max(a, b), score) for a, b, score in named), key=lambda pair: (-pair[2], pair))

    # --- the file ---

    def _open(self, model_digest: str | None, create: bool) -> None:
        self._db.execute("PRAGMA foreign_keys = ON")
        if create and self._pragma("schema_version") == 0:
            self._make(model_digest or "")
        application_id, version = self._pragma("application_id"), self._pragma("user_version")
        if application_id != _APPLICATION_ID:
            raise CollectionError(
                "not_a_collection", "{name} is not a collection; choose another file or a new name.", name=self._name
            )
        if version in (1, 2):
            self._upgrade()
            version = _SCHEMA_VERSION
        if version != _SCHEMA_VERSION:
            raise CollectionError(
                "collection_of_other_version",
                "{name} was made by another version of this program; index the folder again under a new name.",
                name=self._name,
            )
        # with a write-ahead log this is safe against a kill; a power cut may undo the last files, never harm the rest
        self._db.execute("PRAGMA synchronous = NORMAL")
        if model_digest is not None and self.model_digest != model_digest:
            raise of_other_model(self._name)

    def _make(self, model_digest: str) -> None:
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("BEGIN IMMEDIATE")
        if self._pragma("schema_version") == 0:  # else another program made it just now
            for statement in (*_SCHEMA.split(";"), _METADATA, *_WORDS):
                self._db.execute(statement)
            self._db.execute("INSERT INTO model VALUES (?)", (model_digest,))
            self._db.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
            self._db.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")
        self._db.execute("COMMIT")

    def _upgrade(self) -> None:
        """From version 1: add metadata, and make paths below the collection's folder relative. From version 2: add
        which files were searched for written words."""
        self._db.execute("BEGIN IMMEDIATE")
        version = self._pragma("user_version")
        if version < _SCHEMA_VERSION:  # else another program did it just now
            for statement in _WORDS:
                self._db.execute(statement)
        if version == 1:
            self._db.execute(_METADATA)
            for file_id, path in self._db.execute("SELECT id, path FROM files").fetchall():
                values = (self._key(os.fsdecode(path)), file_id)
                self._db.execute("UPDATE files SET path = ? WHERE id = ?", values)
        self._db.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")
        self._db.execute("COMMIT")

    def _key(self, path: Path | str) -> bytes:
        """The stored form of a path."""
        whole, folder = os.fsencode(path), os.fsencode(self._folder) + os.sep.encode()
        return b"./" + whole[len(folder) :] if whole.startswith(folder) else whole

    def _path(self, key: bytes) -> str:
        """The path of a stored form."""
        return str(self._folder / os.fsdecode(key[2:])) if key.startswith(b"./") else os.fsdecode(key)

    def _pragma(self, name: str) -> int:
        return int(self._db.execute(f"PRAGMA {name}").fetchone()[0])

    @contextmanager
    def _speaking(self) -> Iterator[None]:
        """Hold the lock and turn SQLite's errors into CollectionError."""
        with self._lock:
            try:
                yield
            except sqlite3.ProgrammingError:  # closed, or a defect of ours
                raise
            except (sqlite3.Error, OSError) as error:
                raise _sentence(self._file, error) from error

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._speaking():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                self._follow()
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                self._seen = -1  # the matrix may be ahead of what is on disk now; reload it
                raise

    def _all(self, query: str, *values: object) -> list[Any]:
        with self._speaking():
            return self._db.execute(query, values).fetchall()

    def _row(self, row_id: int, vector: np.ndarray) -> Row | None:
        found = self._all(
            "SELECT path, kind, start_s, end_s, text FROM rows JOIN files ON files.id = file_id WHERE rows.id = ?",
            row_id,
        )
        for path, kind, start_s, end_s, text in found:
            return Row(self._path(path), kind_of(kind), start_s, end_s, vector, text, source_of(kind))
        return None

    def _replace_file(self, path: Path, digest: str, failure: str | None) -> int:
        self._drop_file(path)
        size, modified_ns = stamp(path)  # of one that is gone already: never unchanged
        values = (self._key(path), digest, size, modified_ns, failure)
        query = "INSERT INTO files (path, digest, size, modified_ns, failure) VALUES (?, ?, ?, ?, ?)"
        return int(self._db.execute(query, values).lastrowid or 0)

    def _drop_file(self, path: Path) -> None:
        for (file_id,) in self._all("SELECT id FROM files WHERE path = ?", self._key(path)):
            self._db.execute("DELETE FROM files WHERE id = ?", (file_id,))
            self._matrix.drop(file_id)

    def _load(self) -> None:
        self._seen = self._pragma("data_version")
        if self._db.execute(_ODD_TYPES).fetchone() is not None:
            raise sqlite3.DatabaseError("columns that hold another type than theirs")
        rows = self._db.execute("SELECT id, file_id, kind, vector FROM rows ORDER BY id").fetchall()
        ids, files, kinds, halves = zip(*rows, strict=True) if rows else ((), (), (), ())
        joined = b"".join(halves)
        width = len(halves[0]) // 2 if rows else 0
        if {len(half) for half in halves} - {2 * width} or not set(kinds) <= NUMBERS:
            raise sqlite3.DatabaseError("rows of unequal length, or of an unknown kind")
        vectors = np.frombuffer(joined, "<f2").reshape(len(rows), width).astype(np.float32)
        if not np.isfinite(vectors).all():
            raise sqlite3.DatabaseError("a vector that is none")
        self._matrix = Matrix(ids, files, kinds, vectors)

    def _now(self) -> Matrix:
        """The matrix of what is in the file now."""
        with self._speaking():
            self._follow()
            return self._matrix

    def _follow(self) -> None:
        """Reload the matrix if another connection, perhaps of another program, has written since."""
        if self._pragma("data_version") != self._seen:
            self._load()


def _like(part: str) -> str:
    """A part of a word as a pattern of SQL's LIKE, which knows capitals of ASCII letters only."""
    letters = (letter if letter.isascii() or letter.upper() == letter else "_" for letter in part)
    return f"%{''.join(letters)}%"


def _date(modified_ns: int) -> str:
    return datetime.fromtimestamp(modified_ns / 1e9).isoformat(timespec="seconds")


def _passes(only: Filter, metadata: Metadata) -> bool:
    """Whether a file is among those that a filter lets through."""
    if only.since and metadata.taken[: len(only.since)] < only.since:
        return False
    if only.until and metadata.taken[: len(only.until)] > only.until:
        return False
    if only.camera.lower() not in metadata.camera.lower():
        return False
    if only.near is None:
        return True
    if metadata.latitude is None or metadata.longitude is None:
        return False
    return _distance_km(only.near, (metadata.latitude, metadata.longitude)) <= only.within_km


def _distance_km(a: tuple[float, float], b: tuple[float, float]) -> float:
    """The length of the great circle between two places in degrees (haversine; the Earth a ball of 6371 km)."""
    (lat_a, lon_a), (lat_b, lon_b) = (tuple(map(math.radians, place)) for place in (a, b))
    half = math.sin((lat_b - lat_a) / 2) ** 2
    half += math.cos(lat_a) * math.cos(lat_b) * math.sin((lon_b - lon_a) / 2) ** 2
    return 2 * 6371.0 * math.asin(min(1.0, math.sqrt(half)))


def discard(file: Path) -> None:
    """Delete a damaged collection: what it holds can be made again from the files it lists.

    Nothing happens to a file that does not begin as a collection does.
    """
    if _is_ours(file):
        for part in (file, *(file.with_name(file.name + ending) for ending in ("-wal", "-shm"))):
            part.unlink(missing_ok=True)


def _is_ours(file: Path) -> bool:
    """Whether a file's SQLite header carries the number of collections."""
    try:
        with file.open("rb") as opened:
            header = opened.read(72)
    except OSError:
        return False
    return header.startswith(b"SQLite format 3\0") and header[68:72] == _APPLICATION_ID.to_bytes(4, "big")


def _sentence(file: Path, error: Exception) -> CollectionError:
    name = file.name
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF  # the low byte is the kind of error
    if isinstance(error, OSError):
        code = sqlite3.SQLITE_FULL if error.errno == errno.ENOSPC else sqlite3.SQLITE_CANTOPEN
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return CollectionError(
            "collection_locked", "{name} is being changed by another program; try again in a moment.", name=name
        )
    if code == sqlite3.SQLITE_FULL:
        return CollectionError(
            "collection_disk_full",
            "There is no room left on the disk for {name}; free some and index again.",
            name=name,
        )
    if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_PERM):
        return CollectionError(
            "collection_not_writable",
            "{name} cannot be opened or written there; choose another place for the collection.",
            name=name,
        )
    if _is_ours(file):
        return DamagedCollection(
            "collection_to_renew", "{name} is damaged; index the folder again, and it is made anew.", name=name
        )
    return CollectionError(  # nothing is said of deleting it: it may be any file
        "collection_damaged",
        "{name} is no collection, or damaged beyond recognition; choose another, or index the folder under a new name.",
        name=name,
    )
