"""What both kinds of collections share: rows, the numbers of their kinds and sources, and detecting changed files."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np

from engines.errors import CollectionError
from engines.protocol import KINDS, Kind

Source: TypeAlias = Literal["", "heard", "said", "written"]
SOURCES: tuple[Source, ...] = ("", "heard", "said", "written")
"""The part of a medium that a row's vector represents: all of it, only its sound, the words said, or the words written
in it."""
_STRIDE = 16
"""Distance between the numbers of two sources: more kinds than there will ever be, and all of it below 128."""


@dataclass(frozen=True, eq=False)
class Row:
    """One searchable thing: a photo or text, or a stretch of a sound or clip. vector: (D,), of length 1. text: the
    words of a text, or those said or written in a medium."""

    path: str
    kind: Kind
    start_s: float
    end_s: float
    vector: np.ndarray
    text: str = ""
    source: Source = ""


@dataclass(frozen=True, eq=False)
class FileMean:
    """The mean of a file's rows of one kind. vector: (D,). n_rows: how many there are. taken: when the file was made,
    or changed last."""

    path: str
    kind: Kind
    taken: str
    n_rows: int
    vector: np.ndarray


def number(kind: Kind, source: Source = "") -> int:
    """The stored number of a kind and a source; without a source it is the index of the kind in KINDS."""
    return KINDS.index(kind) + _STRIDE * SOURCES.index(source)


def kind_of(number: int) -> Kind:
    return KINDS[number % _STRIDE]


def source_of(number: int) -> Source:
    return SOURCES[number // _STRIDE]


NUMBERS = frozenset(number(kind, source) for kind in KINDS for source in SOURCES)


def missing(name: str) -> CollectionError:
    return CollectionError("collection_missing", "There is no collection {name}; index a folder first.", name=name)


def of_other_model(name: str) -> CollectionError:
    return CollectionError(
        "collection_of_other_model",
        "{name} was made by another model, and this one cannot read it; index the folder again.",
        name=name,
    )


def check_width(vectors: Iterable[np.ndarray], width: int | None) -> None:
    """Raise ValueError for vectors that are not all of one length, which is `width` where that is known."""
    widths = {len(vector) for vector in vectors} | ({width} if width is not None else set())
    if len(widths) > 1:
        raise ValueError(f"vectors of {sorted(widths)} numbers in one collection")


def stamp(path: Path) -> tuple[int, int]:
    """(size, time of change in ns) of a file; (-1, -1), which no file has, where it is gone or what is there is none: a
    pipe would never be read to its end."""
    try:
        status = path.stat()
    except OSError:
        return -1, -1
    return (status.st_size, status.st_mtime_ns) if stat.S_ISREG(status.st_mode) else (-1, -1)


def same_bytes_ns(path: Path, digest: str, size: int, modified_ns: int) -> int | None:
    """The time of change of a file that has the bytes it had, None where it has others or is gone. They are read only
    if the time alone is another."""
    now = stamp(path)
    if now == (-1, -1) or now[0] != size:
        return None
    if now[1] == modified_ns:
        return modified_ns
    try:
        return now[1] if sha256(path) == digest else None
    except OSError:  # reading it next raises the error
        return None


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
