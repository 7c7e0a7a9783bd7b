"""What a model is, as values: every size, every choice of extractor and of fusion operator.

`SMALL` is the shipped model, `TINY` the one for tests. A config is written beside the weights and read back; unknown
or missing fields are an error, so a file of another version is named as such.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Literal, TypeAlias, get_args

PictureKind: TypeAlias = Literal["efficientnet_lite2", "cnn", "transformer"]
SoundKind: TypeAlias = Literal["transformer", "cnn", "gru"]
TextKind: TypeAlias = Literal["transformer", "gru"]
FusionKind: TypeAlias = Literal["sum", "gated", "concat", "attention"]
KINDS: dict[str, tuple[str, ...]] = {
    "picture": get_args(PictureKind),
    "sound": get_args(SoundKind),
    "text": get_args(TextKind),
    "fusion": get_args(FusionKind),
}
MAY_BE_NONE = ("n_text_blocks", "n_picture_blocks", "n_fusion_blocks")
"""What a model can do without; of everything else that is counted there is at least one."""

EVENTS = (
    *("speech", "silence", "noise"),
    *("baby_cry", "chainsaw", "clock_tick", "dog_bark", "fire_crackling"),
    *("helicopter", "person_sneeze", "rain", "rooster", "sea_waves"),
    *("air_conditioner", "car_horn", "children_playing", "drilling", "engine_idling"),
    *("gun_shot", "jackhammer", "siren", "street_music"),
)
"""What the event head can tell: three states of a sound, then the classes of ESC-10 and UrbanSound8K (dogs in both)."""


@dataclass(frozen=True)
class Concept:
    """A class of the concept head by its everyday name in each language."""

    en: str
    de: str
    fr: str
    zh: str


@dataclass(frozen=True)
class ConceptGroup:
    """Classes that one everyday word names: "dog" for 122 breeds. members: their places among the concepts."""

    name: Concept
    members: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Sizes and choices of one model. Lengths are in tokens; mel frames are 100 Hz, sound tokens 50 Hz."""

    vocab_size: int
    width: int = 512
    n_heads: int = 8
    n_mels: int = 80
    n_sound_blocks: int = 6
    n_text_blocks: int = 4
    n_picture_blocks: int = 2
    n_fusion_blocks: int = 1
    n_decoder_blocks: int = 6
    max_sound_tokens: int = 1500
    max_text_tokens: int = 448
    photo_px: int = 256
    embed_dim: int = 256
    picture: PictureKind = "efficientnet_lite2"
    sound: SoundKind = "transformer"
    text: TextKind = "transformer"
    fusion: FusionKind = "attention"
    fusion_grid: int = 64
    """Tokens the element-wise operators lay every stream out on."""
    events: tuple[str, ...] = EVENTS
    calibration: Mapping[str, Mapping[str, tuple[float, ...]]] = field(default_factory=dict, hash=False)
    """Numbers that belong to these weights and turn raw scores into probabilities: table -> row -> numbers. Whoever
    reads a table says what its rows mean; "search", for one, is read in `engines/encoder.py`."""
    concepts: tuple[Concept, ...] = ()
    """What the concept head of the picture tower can name; without any there is no such head."""
    concept_groups: tuple[ConceptGroup, ...] = ()
    """What several of them have in common, for when it is not sure which one it is."""

    def __post_init__(self) -> None:
        for each in fields(self):
            if each.type == "int":
                value, least = getattr(self, each.name), 0 if each.name in MAY_BE_NONE else 1
                if type(value) is not int or value < least:
                    raise ValueError(f"{each.name} is {value!r}; it must be a whole number of {least} or more")
        for name, table in self.calibration.items():
            for row, numbers in table.items():
                if not all(isinstance(number, int | float) and math.isfinite(number) for number in numbers):
                    raise ValueError(f"calibration {name}.{row} is {numbers!r}; it must be a list of finite numbers")
        for name, kinds in KINDS.items():
            if getattr(self, name) not in kinds:
                raise ValueError(f"{name} is {getattr(self, name)!r}; it must be one of {', '.join(kinds)}")
        if self.width % self.n_heads:
            raise ValueError(f"width {self.width} is not a multiple of n_heads {self.n_heads}")
        if self.photo_px % 32:
            raise ValueError(f"photo_px {self.photo_px} is not a multiple of 32, the stride of the picture tower")


def small(vocab_size: int) -> ModelConfig:
    """The shipped model: Whisper-base's width, so that its encoder and decoder blocks carry over."""
    return ModelConfig(vocab_size=vocab_size)


def tiny(vocab_size: int) -> ModelConfig:
    """The smallest model that has every part; built in milliseconds, for tests."""
    return ModelConfig(
        vocab_size=vocab_size,
        width=32,
        n_heads=2,
        n_sound_blocks=2,
        n_text_blocks=1,
        n_picture_blocks=1,
        n_decoder_blocks=2,
        picture="cnn",
        photo_px=64,
        embed_dim=16,
        fusion_grid=8,
    )
