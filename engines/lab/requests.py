"""What one can ask of the lab: one frozen request per experiment, each field with its range, checked when made.

A field's `known` are the words it may take, `low` and `high` the numbers: the command line and the page are laid out
from them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from engines.errors import RequestError

PICTURE_KINDS = ("cnn", "transformer")
SOUND_KINDS = ("cnn", "gru", "transformer")
TEXT_KINDS = ("gru", "transformer")
SENSES = ("picture", "sound", "text")
OPERATORS = ("picture", "sound", "average", "sum", "gated", "concat", "attention")
"""Of fusion; the first three are what it must beat: one sense alone, and the mean of two answers."""
ALIGNMENTS = ("none", "contrastive", "sigmoid", "adversarial", "both")
TASKS = ("digit", "parity", "language", "family")
LEARNERS = ("second_order", "first_order", "head", "prototypes", "fine_tuning", "scratch")
"""second_order, first_order: MAML; head: MAML that adapts only the head; the rest are what it is compared with."""


def dial(default: float, low: float, high: float) -> Any:
    """A number field with its range; whole numbers where the default is one."""
    return field(default=default, metadata={"low": low, "high": high, "whole": isinstance(default, int)})


def one_of(default: str, known: tuple[str, ...]) -> Any:
    """A field that is one of some words."""
    return field(default=default, metadata={"known": known})


def some_of(known: tuple[str, ...], default: tuple[str, ...] | None = None) -> Any:
    """A field that is one or more of some words; all of them unless a default is given."""
    return field(default=known if default is None else default, metadata={"known": known})


@dataclass(frozen=True, kw_only=True)
class LabRequest:
    """What every experiment can be told. seed: the same one gives the same result again."""

    seed: int = dial(0, 0, 9_999)

    def __post_init__(self) -> None:
        for each in fields(self):
            check(each.name, getattr(self, each.name), each.metadata)


def check(name: str, value: object, about: Mapping[str, Any]) -> None:
    """Raises RequestError where a value is not what its field may be."""
    if "known" in about:
        chosen, known = (value if isinstance(value, tuple) else (value,)), about["known"]
        odd = [word for word in chosen if word not in known]
        if odd or not chosen:
            if not odd:
                raise RequestError(
                    "lab_nothing_chosen",
                    "{name}: nothing is chosen; choose from {known}.",
                    name=name,
                    known=list(known),
                )
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
        if not is_number or not low <= value <= high or (whole and not isinstance(value, int)):
            if whole and is_number and low <= value <= high:
                raise RequestError(
                    "lab_not_whole",
                    "{name} is {value}; choose a whole number from {low:g} to {high:g}.",
                    name=name,
                    value=value,
                    low=low,
                    high=high,
                )
            raise RequestError(
                "lab_out_of_range",
                "{name} is {value}; choose {low:g} to {high:g}.",
                name=name,
                value=value,
                low=low,
                high=high,
            )


@dataclass(frozen=True, kw_only=True)
class ExtractorsRequest(LabRequest):
    """The same task by different extractors of one sense, side by side."""

    sense: str = one_of("picture", SENSES)
    n_steps: int = dial(300, 10, 2_000)
    noise: float = dial(0.3, 0.0, 1.0)

    @property
    def kinds(self) -> tuple[str, ...]:
        return {"picture": PICTURE_KINDS, "sound": SOUND_KINDS, "text": TEXT_KINDS}[self.sense]


@dataclass(frozen=True, kw_only=True)
class FusionRequest(LabRequest):
    """Written and spoken digit together, by several operators.

    picture_noise, sound_noise: in training at most, in the test as it is. dropped: the share of the training examples
    that lack one sense.
    """

    operator: tuple[str, ...] = some_of(OPERATORS)
    n_steps: int = dial(300, 10, 2_000)
    picture_noise: float = dial(0.5, 0.0, 1.0)
    sound_noise: float = dial(0.5, 0.0, 1.0)
    dropped: float = dial(0.5, 0.0, 0.9)


@dataclass(frozen=True, kw_only=True)
class AlignmentRequest(LabRequest):
    """Written, spoken and textual digits in one space, brought together in several ways."""

    way: tuple[str, ...] = some_of(ALIGNMENTS)
    n_steps: int = dial(300, 10, 2_000)
    temperature: float = dial(0.1, 0.01, 1.0)
    noise: float = dial(0.2, 0.0, 1.0)


@dataclass(frozen=True, kw_only=True)
class MultitaskRequest(LabRequest):
    """Many tasks on a spoken digit: one shared trunk against a model for each."""

    task: tuple[str, ...] = some_of(TASKS)
    n_steps: int = dial(300, 10, 2_000)
    noise: float = dial(0.3, 0.0, 1.0)


@dataclass(frozen=True, kw_only=True)
class MamlRequest(LabRequest):
    """Learning to learn small tasks.

    n_ways classes of n_shots examples each, n_tasks of them in a step of meta-training; inner_rate: of the steps that
    adapt; n_inner of them in meta-training.
    """

    learner: tuple[str, ...] = some_of(LEARNERS)
    material: str = one_of("characters", ("characters", "digits"))
    n_ways: int = dial(5, 2, 10)
    n_shots: int = dial(1, 1, 5)
    n_steps: int = dial(300, 10, 20_000)
    n_tasks: int = dial(8, 1, 32)
    n_inner: int = dial(2, 1, 5)
    inner_rate: float = dial(0.2, 0.001, 2.0)


EXPERIMENTS: dict[str, type[LabRequest]] = {
    "extractors": ExtractorsRequest,
    "fusion": FusionRequest,
    "alignment": AlignmentRequest,
    "multitask": MultitaskRequest,
    "maml": MamlRequest,
}
"""Name -> its request; the module of that name in `engines.lab` holds its `run` and its `measure`."""


def name_of(request: LabRequest) -> str:
    """The experiment a request is for."""
    return next(name for name, kind in EXPERIMENTS.items() if type(request) is kind)
