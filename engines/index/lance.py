"""A collection past one machine: a LanceDB table in object storage, or in a folder, behind `Collection`'s interface.

Each file is one append, its rows and a row for the file itself, so a kill leaves it whole or not at all; a file that
is read again is taken out first. One program writes at a time, any number may search, and each sees what was written
last. Search is exact below INDEXED_FROM rows: LanceDB goes over all vectors without an index and the best are scored
anew in float32. Whoever has brought a larger collection up to date gives it an index (IVF-PQ), whose best are scored
anew in the same way; it may miss one (docs/scale.md).

The keys of a store come from the environment alone: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, and
AWS_ENDPOINT where it is not Amazon's. Opening is the time to be slow; `lancedb` is imported then.
"""

from __future__ import annotations

import hashlib
import os
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.request import url2pathname

import numpy as np

from engines.errors import CollectionError, RequestError
from engines.index.matrix import Matrix, unit
from engines.index.rows import (
    SOURCES,
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
from engines.protocol import Filter, Kind, Metadata

_TABLE = "collection"
_VERSION = b"1"
_FILE = -1
"""Where a row has the number of its kind, the row of a file has this."""
_CHANGES_AT_MOST = 256
"""Files written between two compactions: each leaves small objects behind, and a list of all of them."""
_KEPT = timedelta(minutes=10)
"""How long a replaced version is kept for searches that still read it."""
_IN_ONE_GO = 500
"""Files dropped by one statement."""
INDEXED_FROM = 1_000_000
"""Rows from which on a collection has an index: fewer vectors are read in some seconds even over a network."""
_PROBED, _REFINED = 20, 10
"""Partitions of the index that a search looks into, and how many times the rows asked for are compared exactly."""
_PER_BYTE = 8
"""Numbers of a vector that the index holds as one byte."""
_PATIENCE = {"connect_timeout": "5s", "timeout": "60s", "client_max_retries": "2", "client_retry_timeout": "10"}
"""Retries and time limits of requests to a store. LanceDB's own settings would try for three minutes."""


@dataclass(frozen=True)
class _File:
    path: str
    digest: str
    size: int
    modified_ns: int
    failure: str | None
    n_rows: int


class LanceCollection:
    """A searchable set of files at an address, s3://bucket/prefix or file:///folder. Use from any thread.

    Raises CollectionError like `Collection`, and where `lancedb` is missing or the store cannot be reached.
    """

    def __init__(self, address: str, *, model_digest: str | None = None, create: bool = False) -> None:
        place, self._name = _place(address)
        self._lancedb, self._arrow = _libraries()
        self._lock = threading.RLock()
        self._known: dict[str, _File] | None = None
        self._counted: tuple[int, int] | None = None
        self._n_changes, self._is_changed = 0, False
        self._closed = False
        with self._speaking():
            if "://" in place:
                plain = os.environ.get("AWS_ENDPOINT", "").startswith("http://")
                options = _PATIENCE | {"allow_http": str(plain).lower()}
                self._db = self._lancedb.connect(place, storage_options=options)
            else:
                if create:
                    Path(place).mkdir(parents=True, exist_ok=True)
                self._db = self._lancedb.connect(place) if Path(place).is_dir() else None
            table = self._opened()
        if table is None and not create:
            raise missing(self._name)
        with self._speaking():
            self._table = self._made(model_digest or "") if table is None else table
            note = self._table.schema.metadata or {}
        if note.get(b"fusion") != _VERSION:
            raise CollectionError(
                "lance_not_a_collection",
                "{name} is not a collection of this version of the program; choose another address.",
                name=self._name,
            )
        if model_digest is not None and self.model_digest != model_digest:
            raise of_other_model(self._name)

    def __enter__(self) -> LanceCollection:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._tidy()
            if not self._n_changes:  # else another program is at it
                self._index()
        self.close()

    def close(self) -> None:
        """Close the collection; nothing needs to be saved."""
        self._closed = True

    # --- what is in it ---

    @property
    def n_rows(self) -> int:
        with self._speaking():
            self._follow()
            if self._counted is None or self._counted[0] != self._table.version:
                self._counted = self._table.version, self._table.count_rows(f"kind <> {_FILE}")
            return self._counted[1]

    @property
    def model_digest(self) -> str:
        """The model whose vectors these are; "" in a new collection that none was named for."""
        return str(self._table.schema.metadata[b"model_digest"].decode())

    def files(self) -> set[str]:
        """Paths of all files, those that could not be read among them."""
        return {file.path for file in self._files().values()}

    def failures(self) -> list[tuple[str, str]]:
        """(path, reason) of the files that could not be read, in order of their paths."""
        return sorted((file.path, file.failure) for file in self._files().values() if file.failure is not None)

    def unchanged(self, path: Path) -> bool:
        """Whether a file was put here as it is now. Its bytes are read only if its time stamp alone has changed."""
        known = self._files().get(_key(path))
        if known is None or known.failure is not None:
            return False
        now_ns = same_bytes_ns(path, known.digest, known.size, known.modified_ns)
        if now_ns is None:
            return False
        if now_ns != known.modified_ns:
            with self._speaking():
                mark = f"file = '{_key(path)}' AND kind = {_FILE}"
                self._table.update(where=mark, values={"modified_ns": now_ns})
                self._files()[_key(path)] = replace(known, modified_ns=now_ns)
                self._changed(0)
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
        """Write all rows of a file, in place of those it had. digest: SHA-256 of its bytes, as hex. metadata,
        words_were_read: not kept here."""
        kinds = [number(row.kind, row.source) for row in rows]
        vectors = [unit(row.vector) for row in rows]
        with self._lock:
            width = self._width()
            check_width(vectors, width)
            if vectors and width is None:
                with self._speaking():
                    self._table.add_columns(self._arrow.field("vector", self._vectors(len(vectors[0]))))
            self._write(path, digest, None, [*zip(rows, kinds, vectors, strict=True)])

    def fail(self, path: Path, reason: str) -> None:
        """Note that a file could not be read; rows it had are dropped."""
        with self._lock:
            self._write(path, "", reason, [])

    def forget(self, paths: Iterable[Path]) -> None:
        """Drop files and their rows; unknown ones are ignored."""
        with self._lock:
            keys = [key for key in map(_key, paths) if key in self._files()]
            for start in range(0, len(keys), _IN_ONE_GO):
                self._drop(keys[start : start + _IN_ONE_GO])

    def reset(self, model_digest: str) -> None:
        """Empty the collection and hand it to another model."""
        with self._speaking():
            self._table = self._made(model_digest)
            self._known = self._counted = None

    def is_described(self, path: Path) -> bool:
        """Metadata are not kept here, so nothing is left to do."""
        return True

    def describe(self, path: Path, metadata: Metadata) -> None:
        """Metadata are not kept here."""

    def words_were_read(self, path: Path) -> bool:
        """Always true: which files were searched for words is not stored here, so none is read again for them."""
        return True

    # --- finding ---

    def search(
        self, vector: np.ndarray, *, kinds: frozenset[Kind], k: int, only: Filter | None = None, source: Source = ""
    ) -> list[tuple[Row, float]]:
        """The k rows of these kinds and this source nearest to `vector` (D,), with their cosines. Raises RequestError
        for a filter.

        First the best row of each file, best file first; only if there are fewer than k files, further rows of theirs.
        """
        if only is not None:
            raise RequestError(
                "filter_at_address", "Dates, places and cameras are kept by collections in a file only; index into one."
            )
        query = unit(vector)
        numbers = sorted(number(kind, source) for kind in kinds)
        with self._speaking():
            self._follow()
            if self._width() is None:
                return []
            found = self._nearest(query, numbers, k)
        if not found:
            return []
        place = {key: n for n, key in enumerate({row["file"] for row in found})}
        stored = np.array([row["vector"] for row in found], np.float32)
        files, of_kind = [place[row["file"]] for row in found], [row["kind"] for row in found]
        best = Matrix(range(len(found)), files, of_kind, stored).nearest(query, numbers, k)
        return [(_row(found[i], vector), score) for i, score, vector in best]

    def with_words(
        self, parts: Sequence[str], *, kinds: frozenset[Kind], k: int, only: Filter | None = None
    ) -> list[Row]:
        """k rows of these kinds whose text holds any of these parts of words (`engines.words`). Filters were refused
        by `search`."""
        if not parts or only is not None:
            return []
        numbers = ", ".join(str(number(kind, source)) for kind in kinds for source in SOURCES)
        holds = " OR ".join(f"lower(text) LIKE '%{part}%'" for part in parts)  # letters and digits only
        with self._speaking():
            self._follow()
            if self._width() is None:
                return []
            rows = self._table.search().where(f"kind IN ({numbers}) AND ({holds})").limit(k).to_list()
        return [_row(row, unit(np.array(row["vector"], np.float32))) for row in rows]

    def _nearest(self, query: np.ndarray, numbers: Sequence[int], k: int) -> list[dict[str, Any]]:
        """The nearest rows, enough of them to name k files where there are as many."""
        where, n = f"kind IN ({', '.join(map(str, numbers))})", 4 * k
        is_indexed = self._is_indexed()
        while True:
            search = self._table.search(query.astype(np.float16), vector_column_name="vector").distance_type("cosine")
            search = search.where(where, prefilter=True).limit(n)
            found: list[dict[str, Any]] = []
            if is_indexed:
                found = search.nprobes(_PROBED).refine_factor(_REFINED).to_list()
            if len(found) < n:  # too few of these kinds where the index looked
                found = search.bypass_vector_index().to_list()
            if len(found) < n or len({row["file"] for row in found}) >= k:
                return found
            n *= 4  # long files fill the top; look further down

    # --- the table ---

    def _opened(self) -> Any | None:
        """The table that is there, None where there is none."""
        if self._db is None:
            return None
        try:
            return self._db.open_table(_TABLE)
        except ValueError as error:
            if str(error).startswith(f"Table '{_TABLE}' was not found"):
                return None
            raise

    def _made(self, model_digest: str) -> Any:
        """An empty table in place of what is there, in one step; vectors get their column with the first of them."""
        arrow = self._arrow
        fields = {
            "file": arrow.string(), "path": arrow.binary(), "kind": arrow.int8(), "digest": arrow.string(),
            "size": arrow.int64(), "modified_ns": arrow.int64(), "failure": arrow.string(), "n_rows": arrow.int64(),
            "start_s": arrow.float64(), "end_s": arrow.float64(), "text": arrow.string(),
        }  # fmt: skip
        note = {b"fusion": _VERSION, b"model_digest": model_digest.encode()}
        schema = arrow.schema([*fields.items()], metadata=note)
        return self._db.create_table(_TABLE, schema=schema, mode="overwrite")

    def _vectors(self, width: int) -> Any:
        return self._arrow.list_(self._arrow.float16(), width)

    def _width(self) -> int | None:
        """D, None before the first vector."""
        schema = self._table.schema
        return int(schema.field("vector").type.list_size) if "vector" in schema.names else None

    def _files(self) -> dict[str, _File]:
        """All files by their key, read once: who writes is alone at it."""
        with self._speaking():
            if self._known is None:
                self._follow()
                columns = ["file", "path", "digest", "size", "modified_ns", "failure", "n_rows"]
                rows = self._table.search().where(f"kind = {_FILE}").select(columns).limit(None).to_list()
                keyed = [(row.pop("file"), os.fsdecode(row.pop("path")), row) for row in rows]
                self._known = {key: _File(path=path, **rest) for key, path, rest in keyed}
            return self._known

    def _write(self, path: Path, digest: str, failure: str | None, rows: Sequence[tuple[Row, int, np.ndarray]]) -> None:
        key, name = _key(path), os.fsencode(path)
        size, modified_ns = stamp(path)  # of one that is gone already: never unchanged
        if key in self._files():
            self._drop([key])
        common = {"file": key, "path": name, "digest": digest, "size": size, "modified_ns": modified_ns}
        lines: list[dict[str, Any]] = [{**common, "kind": _FILE, "failure": failure, "n_rows": len(rows)}]
        for row, kind, vector in rows:
            span = {"start_s": row.start_s, "end_s": row.end_s, "text": row.text}
            lines.append({"file": key, "path": name, "kind": kind, **span, "vector": vector.astype(np.float16)})
        with self._speaking():
            self._table.add(self._arrow.Table.from_pylist(lines, schema=self._table.schema))
            self._files()[key] = _File(str(path), digest, size, modified_ns, failure, len(rows))
            self._changed(len(rows))

    def _drop(self, keys: Sequence[str]) -> None:
        with self._speaking():
            self._table.delete(f"file IN ({', '.join(repr(key) for key in keys)})")
            self._changed(-sum(self._files().pop(key).n_rows for key in keys))

    def _changed(self, n_more_rows: int) -> None:
        """Update the row count without a query, and compact now and then."""
        if self._counted is not None:
            self._counted = self._table.version, self._counted[1] + n_more_rows
        self._n_changes += 1
        self._is_changed = True
        if self._n_changes >= _CHANGES_AT_MOST:
            self._tidy()

    def _tidy(self) -> None:
        """Compact the small objects of single files, and drop versions older than _KEPT."""
        if self._n_changes:
            with self._speaking():
                self._follow()
                try:
                    self._table.optimize(cleanup_older_than=_KEPT)
                except RuntimeError as error:
                    if "conflict" not in str(error):
                        raise
                    return  # another program is at it; the next change tries again
            self._n_changes = 0

    def _is_indexed(self) -> bool:
        return any("vector" in index.columns for index in self._table.list_indices())

    def _index(self) -> None:
        """Build the index of a large collection that was changed here. Compaction adds later rows to it."""
        if not self._is_changed or self.n_rows < INDEXED_FROM:
            return
        from lancedb.index import IvfPq

        with self._speaking():
            self._follow()
            width = self._width()
            if width is not None and not self._is_indexed():
                n_bytes = width // _PER_BYTE if width % _PER_BYTE == 0 else 1
                self._table.create_index("vector", config=IvfPq(distance_type="cosine", num_sub_vectors=n_bytes))

    def _follow(self) -> None:
        """Check out the newest version of the table."""
        self._table.checkout_latest()

    @contextmanager
    def _speaking(self) -> Iterator[None]:
        """Hold the lock and turn LanceDB's errors into CollectionError."""
        with self._lock:
            if self._closed:
                raise RuntimeError(f"the collection {self._name} is closed")
            try:
                yield
            except (OSError, RuntimeError, ValueError) as error:  # what LanceDB raises for anything
                raise CollectionError(
                    "lance_unreachable",
                    "{name} cannot be read or written; check its address and the rights to it, and that the "
                    "store is up.",
                    name=self._name,
                ) from error


def _place(address: str) -> tuple[str, str]:
    """What LanceDB is given, an address or a folder of this machine, and the name to speak of it by."""
    scheme, _, rest = address.partition("://")
    name = rest.rstrip("/").rpartition("/")[2]
    if scheme == "s3" and name:
        return address.rstrip("/"), name
    if scheme == "file" and rest.startswith("/") and name:
        folder = url2pathname(rest)
        return folder, Path(folder).name
    raise CollectionError(
        "collection_address",
        "The address of a collection begins with s3:// and a bucket's name, or with file:/// and "
        "a folder; give one of these, or the path of a file.",
    )


def _libraries() -> tuple[Any, Any]:
    os.environ.setdefault("LANCEDB_LOG", "error")  # it would tell each new table on standard error
    try:
        import lancedb
        import pyarrow
    except ImportError as error:
        raise CollectionError(
            "lance_missing",
            "Collections at an address need LanceDB; install it with: {python} -m pip install lancedb pyarrow",
            python=sys.executable,
        ) from error
    return lancedb, pyarrow


def _row(found: dict[str, Any], vector: np.ndarray) -> Row:
    kind, source = kind_of(found["kind"]), source_of(found["kind"])
    return Row(os.fsdecode(found["path"]), kind, found["start_s"], found["end_s"], vector, found["text"], source)


def _key(path: Path) -> str:
    """A short name of a path that is safe in a condition, whatever the path is made of."""
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:32]
