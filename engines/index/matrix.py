"""Exact nearest neighbours in memory: one float32 matrix, multiplied by the query.

For 100,000 vectors of 256 numbers that is 100 MB and a few milliseconds, with nothing to build and nothing to tune;
worth revisiting when a collection passes a million.

Axes: n rows, D numbers a vector.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

_ROOM = 1024
"""Rows the matrix grows by at least."""
_BLOCK = 1024
"""Vectors compared at a time when looking for similar ones: 4 MB of scores per 1024 others."""


@dataclass(frozen=True, eq=False)
class _Rows:
    """The first n entries of each array are in use; later entries of the arrays are room to grow into."""

    n: int
    vectors: np.ndarray  # (room, D) float32 of length 1
    alive: np.ndarray  # (room,) bool, False = dropped
    ids: np.ndarray  # (room,) int64
    files: np.ndarray  # (room,) int64
    kinds: np.ndarray  # (room,) int8


class Matrix:
    """Vectors with their row id, file id and kind. One thread at a time may change it, any may search meanwhile.

    A search holds on to the rows as they were when it began: what is appended later lies behind them or in new arrays.
    """

    def __init__(self, ids: Sequence[int], files: Sequence[int], kinds: Sequence[int], vectors: np.ndarray) -> None:
        """vectors: (n, D) float32 of any length but zero; taken over and made length 1 in place."""
        vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
        alive = np.ones(len(ids), bool)
        numbers = np.array(ids, np.int64), np.array(files, np.int64), np.array(kinds, np.int8)
        self._rows = _Rows(len(ids), vectors, alive, *numbers)

    @property
    def n_rows(self) -> int:
        return int(np.count_nonzero(self._rows.alive[: self._rows.n]))

    @property
    def width(self) -> int | None:
        """D, None while there is no row."""
        return self._rows.vectors.shape[1] if self._rows.n else None

    def append(self, ids: Sequence[int], file: int, kinds: Sequence[int], vectors: np.ndarray) -> None:
        """Add the rows of one file; vectors (m, D) of length 1."""
        rows, m = self._rows, len(ids)
        if rows.n + m > len(rows.ids):
            rows = _with_room(rows, m, vectors.shape[1])
        new = slice(rows.n, rows.n + m)
        rows.vectors[new], rows.ids[new], rows.files[new], rows.kinds[new] = vectors, ids, file, kinds
        self._rows = _Rows(rows.n + m, rows.vectors, rows.alive, rows.ids, rows.files, rows.kinds)

    def drop(self, file: int) -> None:
        """Take a file's rows out."""
        rows = self._rows
        rows.alive[: rows.n][rows.files[: rows.n] == file] = False

    def nearest(
        self, query: np.ndarray, kinds: Collection[int], k: int, files: Collection[int] | None = None
    ) -> list[tuple[int, float, np.ndarray]]:
        """(row id, cosine, vector) of the k rows of these kinds, and of these files if any are named, nearest to the
        query (D,) of length 1.

        First the best row of each file, best file first; only if there are fewer than k files, further rows of theirs.
        """
        rows = self._rows
        if rows.n == 0:
            return []
        mask = rows.alive[: rows.n] & np.isin(rows.kinds[: rows.n], list(kinds))
        if files is not None:
            mask &= np.isin(rows.files[: rows.n], list(files))
        wanted = np.flatnonzero(mask)
        few = 4 * len(wanted) < rows.n  # then copying them is quicker than comparing all
        scores = rows.vectors[wanted] @ query if few else (rows.vectors[: rows.n] @ query)[wanted]
        best = [(wanted[i], scores[i]) for i in _best(scores, rows.files[wanted], k)]
        return [(int(rows.ids[i]), float(score), rows.vectors[i].copy()) for i, score in best]

    def means(
        self, kinds: Collection[int], files: Collection[int]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """The mean of each file's rows of a kind: file ids (m,), kinds (m,), numbers of rows (m,), vectors (m, D)."""
        rows = self._rows
        mask = rows.alive[: rows.n] & np.isin(rows.kinds[: rows.n], list(kinds))
        wanted = np.flatnonzero(mask & np.isin(rows.files[: rows.n], list(files)))
        keys = np.stack([rows.files[wanted], rows.kinds[wanted]])
        pairs, place, counts = np.unique(keys, axis=1, return_inverse=True, return_counts=True)
        sums = np.zeros((pairs.shape[1], rows.vectors.shape[1]), np.float32)
        np.add.at(sums, place.reshape(-1), rows.vectors[wanted])
        return pairs[0], pairs[1], counts, sums / counts[:, None]

    def files_of(self, kinds: Collection[int]) -> np.ndarray:
        """The ids of files with rows of these kinds."""
        rows = self._rows
        return np.unique(rows.files[: rows.n][rows.alive[: rows.n] & np.isin(rows.kinds[: rows.n], list(kinds))])

    def similar(self, kind: int, without: Collection[int], threshold: float) -> Iterator[tuple[int, int, float]]:
        """(file, file, cosine) for each file of a kind and the earlier one most like it, from `threshold` on.

        Files are compared by the mean of their rows of that kind.
        """
        rows = self._rows
        of_kind = np.flatnonzero(
            rows.alive[: rows.n] & (rows.kinds[: rows.n] == kind) & ~np.isin(rows.files[: rows.n], list(without))
        )
        files, file_of = np.unique(rows.files[of_kind], return_inverse=True)
        means = np.zeros((len(files), rows.vectors.shape[1]), np.float32)
        np.add.at(means, file_of, rows.vectors[of_kind])
        means /= np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-9)
        for start in range(1, len(files), _BLOCK):
            ours = np.arange(start, min(start + _BLOCK, len(files)))
            scores = means[ours] @ means[: ours[-1]].T  # (ours, earlier and some of ours)
            scores[np.arange(scores.shape[1]) >= ours[:, None]] = -1.0
            best = scores.argmax(axis=1)
            for i in np.flatnonzero(scores.max(axis=1) >= threshold):
                yield int(files[best[i]]), int(files[ours[i]]), min(1.0, float(scores[i, best[i]]))


def unit(vector: np.ndarray) -> np.ndarray:
    """(D,) as float32 of length 1. ValueError if it has no direction."""
    vector = np.asarray(vector, np.float32)
    length = float(np.linalg.norm(vector))
    if vector.ndim != 1 or not math.isfinite(length) or length == 0.0:
        raise ValueError(f"a vector of shape {vector.shape} and length {length} has no direction")
    return vector / length


def _with_room(rows: _Rows, m: int, width: int) -> _Rows:
    """The rows that are not dropped, in arrays twice as large as they and m more need."""
    kept = np.flatnonzero(rows.alive[: rows.n])
    room = 2 * (len(kept) + m) + _ROOM

    def moved(old: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        new = np.zeros(shape, old.dtype)
        if len(kept):
            new[: len(kept)] = old[kept]
        return new

    numbers = (moved(old, (room,)) for old in (rows.ids, rows.files, rows.kinds))
    return _Rows(len(kept), moved(rows.vectors, (room, width)), np.ones(room, bool), *numbers)


def _best(scores: np.ndarray, files: np.ndarray, k: int) -> list[int]:
    """Places of the k best scores: the best of each file before any second one of a file."""
    n_looked_at = min(len(scores), 4 * k)
    while n_looked_at > 0:
        top = np.argpartition(-scores, n_looked_at - 1)[:n_looked_at]
        top = top[np.argsort(-scores[top], kind="stable")]
        first = np.sort(np.unique(files[top], return_index=True)[1])
        if len(first) >= k or n_looked_at == len(scores):
            return [*top[first].tolist(), *np.delete(top, first).tolist()][:k]
        n_looked_at = min(len(scores), 4 * n_looked_at)  # long files fill the top; look further down
    return []
