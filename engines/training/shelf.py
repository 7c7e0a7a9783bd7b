"""What batches are drawn from: photos and sounds by row, be they the media or what frozen towers made of them.

`store.opened` gives the one, `library.opened` the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
from torch import Tensor

Meta: TypeAlias = dict[str, object]
"""What is known of a row."""


class Pictures(Protocol):
    """Photos, each a tensor. lengths: tokens that the tower makes of each."""

    meta: list[Meta]
    lengths: np.ndarray

    def __len__(self) -> int: ...

    def __getitem__(self, i: int) -> Tensor: ...


class Sounding(Protocol):
    """Sounds, each a tensor with time as its first axis. lengths: tokens of the tower, the silence behind with them."""

    meta: list[Meta]
    lengths: np.ndarray

    @property
    def hz(self) -> int:
        """Places of the first axis in a second."""

    def __len__(self) -> int: ...

    def row(self, i: int, rng: np.random.Generator) -> Tensor:
        """All of it."""

    def end(self, i: int, n_tokens: int, rng: np.random.Generator) -> Tensor:
        """What fills n_tokens together with the silence behind it, or less."""

    def window(self, i: int, seconds: float, rng: np.random.Generator) -> Tensor:
        """A random stretch of it."""

    def played(self, i: int, gain: float) -> Tensor:
        """As it sounds in a clip."""


@dataclass(frozen=True)
class Shelf:
    """All that batches are drawn from.

    photos: views of the same ones, the first as they are. spoken: speech in pairs (what transcripts are written from,
    what clips are made of), each pair of one kind of voices. quiet: what nobody speaks in.
    """

    photos: Sequence[Pictures]
    sounds: Sequence[Sounding]
    quiet: Sequence[Sounding]
    spoken: Sequence[tuple[Sounding, Sounding]]
    named: Sequence[Pictures] = ()
    asked: Sequence[Pictures] = ()
    grey: Pictures | None = None
