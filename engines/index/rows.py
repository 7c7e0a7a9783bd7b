"""What a collection holds: rows, and the number that stands for what a row is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from engines.protocol import KINDS, Kind

Source: TypeAlias = Literal["", "heard", "said", "written"]
SOURCES: tuple[Source, ...] = ("", "heard", "said", "written")
"""What of a medium a row's vector stands for: the medium itself, or only its sound, the words said in it, or those
written in it."""
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
    """What stands in a collection for a kind and a source; without a source it is the place of the kind in KINDS."""
    return KINDS.index(kind) + _STRIDE * SOURCES.index(source)


def kind_of(number: int) -> Kind:
    return KINDS[number % _STRIDE]


def source_of(number: int) -> Source:
    return SOURCES[number // _STRIDE]


NUMBERS = frozenset(number(kind, source) for kind in KINDS for source in SOURCES)
