"""Where batches take photos and sounds from: media in memory, or features that frozen towers made of them.

`in_memory` reads the first, `feature_cache` the second. A batch stores a row under its source's `entry`, and
`objectives.run_towers` computes what is not cached, so that everything after it sees features only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
from torch import Tensor

Meta: TypeAlias = dict[str, Any]
"""Metadata of a row."""
PhotoEntry: TypeAlias = Literal["pixels", "maps"]
SoundEntry: TypeAlias = Literal["samples", "last", "layers"]
LAYERS_HZ = 5
"""Rows per second of a sound's layers, pooled."""
MAX_SPEECH_S = 27.0
"""Longest clip of speech: the sound tower takes 30 s with the silence after it."""


class Photos(Protocol):
    """Photos or their feature maps, one tensor each. lengths: tokens of the picture tower."""

    entry: PhotoEntry
    meta: list[Meta]
    lengths: np.ndarray

    def __len__(self) -> int: ...

    def __getitem__(self, i: int) -> Tensor: ...


class Sounds(Protocol):
    """Sounds or their features, time first. lengths: tokens of the sound tower, trailing silence included."""

    entry: SoundEntry
    meta: list[Meta]
    lengths: np.ndarray

    @property
    def hz(self) -> int:
        """Rows per second of the first axis."""

    def __len__(self) -> int: ...

    def row(self, i: int, rng: np.random.Generator) -> Tensor:
        """A whole sound."""

    def tail(self, i: int, n_tokens: int, rng: np.random.Generator) -> Tensor:
        """The end of a sound: at most n_tokens, trailing silence included."""

    def window(self, i: int, seconds: float, rng: np.random.Generator) -> Tensor:
        """A random part of a sound."""

    def at_gain(self, i: int, gain: float) -> Tensor:
        """A whole sound without variation, for the track of a clip."""


@dataclass(frozen=True)
class PhotoSources:
    """captioned: views of the same photos, the first unvaried. named: of one known class each. asked: with questions
    by people. grey: captioned photos without colour."""

    captioned: Sequence[Photos] = ()
    named: Sequence[Photos] = ()
    asked: Sequence[Photos] = ()
    grey: Sequence[Photos] = ()


@dataclass(frozen=True)
class SoundSources:
    """labelled: sounds with event labels. silent: sounds without speech. speech: pairs of the same clips (for
    transcripts, for tracks of clips), one pair per kind of voices."""

    labelled: Sequence[Sounds] = ()
    silent: Sequence[Sounds] = ()
    speech: Sequence[tuple[Sounds, Sounds]] = ()


@dataclass(frozen=True)
class Sources:
    photos: PhotoSources
    sounds: SoundSources
