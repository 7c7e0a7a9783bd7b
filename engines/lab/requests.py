"""What can be asked of the Lab: one frozen request per experiment, every field checked against its range when made.

A field's metadata holds `known`, the words it may be, or `low`, `high` and `whole`, the numbers; the command line and
the page build their options from it. `first` is what the page starts with where the default takes longer than the half
minute that a class waits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from engines.errors import RequestError

PICTURE_KINDS = ("cnn", "transformer")
SOUND_KINDS = ("cnn", "gru", "transformer")
TEXT_KINDS = ("gru", "transformer")
MODALITIES = ("picture", "sound", "text")
OPERATORS = ("picture", "sound", "average", "sum", "gated", "gated_unit", "concat", "tensor", "attention")
"""Ways of fusion; the first three are the baselines: one modality alone, and the mean of two predictions."""
OBJECTIVES = ("none", "contrastive", "sigmoid", "adversarial", "both")
TASKS = ("digit", "parity", "language", "family")
METHODS = ("second_order", "first_order", "head", "prototypes", "fine_tuning", "scratch")
"""second_order, first_order: MAML; head: MAML that adapts the head alone; the others are baselines."""


def number(default: float, low: float, high: float, *, first: float | None = None) -> Any:
    """A number field with its range; whole numbers only where the default is one."""
    about = {"low": low, "high": high, "whole": isinstance(default, int)}
    return field(default=default, metadata=about | {"first": default if first is None else first})


def choice(default: str, known: tuple[str, ...]) -> Any:
    """A field that is one of some words."""
    return field(default=default, metadata={"known": known, "first": default})


def choices(known: tuple[str, ...], *, first: tuple[str, ...] = ()) -> Any:
    """A field that is one or more of some words; all of them by default."""
    return field(default=known, metadata={"known": known, "first": first or known})


@dataclass(frozen=True, kw_only=True)
class LabRequest:
    """What every experiment takes. seed: one seed gives one result."""

    seed: int = number(0, 0, 9_999)

    def __post_init__(self) -> None:
        for each in fields(self):
            check(each.name, getattr(self, each.name), each.metadata)


def check(name: str, value: object, about: Mapping[str, Any]) -> None:
    """Raises RequestError where a value is not allowed by its field's metadata."""
    if "known" in about:
        chosen, known = (value if isinstance(value, tuple) else (value,)), about["known"]
        odd = [word for word in chosen if word not in known]
        if not chosen:
            raise RequestError(
                "lab_nothing_chosen",
                "{name}: nothing is chosen; choose from {known}.",
                name=name,
                known=list(known),
            )
        if odd:
            raise RequestError(
                "lab_choice_unknown",
                "{name}: {odd!r} is not known; choose from {known}.",
                name=name,
                odd=odd[0],
                known=list(known),
            )
        if len(set(chosen)) < len(chosen):
            raise RequestError("lab_chosen_twice", "{name}: choose each only once.", name=name)
    if "low" in about:
        low, high, whole = about["low"], about["high"], about["whole"]
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not low <= value <= high:
            raise RequestError(
                "lab_out_of_range",
                "{name} is {value}; choose {low:g} to {high:g}.",
                name=name,
                value=value,
                low=low,
                high=high,
            )
        if whole and not isinstance(value, int):
            raise RequestError(
                "lab_not_whole",
                "{name} is {value}; choose a whole number from {low:g} to {high:g}.",
                name=name,
                value=value,
                low=low,
                high=high,
            )


@dataclass(frozen=True, kw_only=True)
class ExtractorsRequest(LabRequest):
    """The same task by different feature extractors of one modality, side by side."""

    modality: str = choice("picture", MODALITIES)
    n_steps: int = number(300, 10, 2_000)
    noise: float = number(0.3, 0.0, 1.0)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The extractors of the modality."""
        return {"picture": PICTURE_KINDS, "sound": SOUND_KINDS, "text": TEXT_KINDS}[self.modality]


@dataclass(frozen=True, kw_only=True)
class FusionRequest(LabRequest):
    """A written and a spoken digit together, by several operators.

    picture_noise, sound_noise: the maximum in training, the level in the test. modality_dropout: the share of training
    examples that lack one modality.
    """

    operator: tuple[str, ...] = choices(OPERATORS, first=("picture", "sound", "average", "attention"))
    n_steps: int = number(300, 10, 2_000, first=100)
    picture_noise: float = number(0.5, 0.0, 1.0)
    sound_noise: float = number(0.5, 0.0, 1.0)
    modality_dropout: float = number(0.5, 0.0, 0.9)


@dataclass(frozen=True, kw_only=True)
class AlignmentRequest(LabRequest):
    """Written, spoken and typed digits in one embedding space, aligned by several training objectives."""

    objective: tuple[str, ...] = choices(OBJECTIVES, first=("none", "contrastive"))
    n_steps: int = number(300, 10, 2_000, first=150)
    temperature: float = number(0.1, 0.01, 1.0)
    noise: float = number(0.2, 0.0, 1.0)


@dataclass(frozen=True, kw_only=True)
class MultitaskRequest(LabRequest):
    """Several tasks on a spoken digit: one shared trunk against a model for each task."""

    task: tuple[str, ...] = choices(TASKS)
    n_steps: int = number(300, 10, 2_000, first=80)
    noise: float = number(0.3, 0.0, 1.0)


@dataclass(frozen=True, kw_only=True)
class MamlRequest(LabRequest):
    """Meta-learning on small tasks of n_ways classes with n_shots examples each.

    n_tasks: tasks per step of the outer loop. n_inner: steps of the inner loop in training. inner_rate: the head's
    learning rate in them. body_rate: the body's, as a share of the head's.
    """

    method: tuple[str, ...] = choices(METHODS)
    material: str = choice("characters", ("characters", "digits"))
    n_ways: int = number(5, 2, 10)
    n_shots: int = number(1, 1, 5)
    n_steps: int = number(300, 10, 20_000)
    n_tasks: int = number(8, 1, 32)
    n_inner: int = number(2, 1, 5)
    inner_rate: float = number(0.2, 0.001, 2.0)
    body_rate: float = number(0.01, 0.01, 1.0)
