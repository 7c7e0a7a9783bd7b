"""Few-shot classification ("Teach it"): labels for photos and sounds, learnt from a handful of examples of each.

The built-in model's embeddings are frozen; a small head on them adapts (`engines.lab.fewshot_head`). Importing this
loads no torch.

Axes: D embedding.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from engines.errors import AbilityError, Cancelled, MediaError, Message, RequestError
from engines.protocol import Cancel, EmbedRequest, EmbedResult, End, Host, Kind, Progress, run

if TYPE_CHECKING:
    from torch import Tensor

    from engines.lab.fewshot_head import AdaptedHead

MIN_LABELS, MAX_LABELS = 2, 10
MAX_EXAMPLES = 20
"""Per label. One to five are enough; more than twenty are no longer few."""
MAX_NAME = 60
"""Characters in the name of a set or a label."""
N_NEAREST = 3
"""Examples shown beside a prediction."""


# --- label sets and predictions ------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Example:
    """An example of a label. file: its name; path: its location. vector: its embedding (D,) float32."""

    label: str
    file: str
    path: str
    kind: Kind
    vector: np.ndarray


@dataclass(frozen=True, eq=False)
class LabelSet:
    """Labels and their examples, as embeddings of one model. Raises RequestError where `check` does."""

    name: str
    examples: tuple[Example, ...]
    model_digest: str

    def __post_init__(self) -> None:
        check(self.name, Counter(example.label for example in self.examples))

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels, in the order they were taught."""
        return tuple(dict.fromkeys(example.label for example in self.examples))


@dataclass(frozen=True, eq=False)
class Prediction:
    """A classified medium. label: None for "none of these". confidence: its probability, 0 to 1.

    probabilities: of every label, the highest first; with `none`, that of "none of these", they sum to 1. nearest: the
    most similar examples with their cosines.
    """

    label: str | None
    confidence: float
    probabilities: tuple[tuple[str, float], ...]
    none: float
    nearest: tuple[tuple[Example, float], ...]


def tidy(name: str) -> str:
    """A name without control characters and with single spaces."""
    return " ".join("".join(sign if sign.isprintable() else " " for sign in name).split())


def check(name: str, counts: Mapping[str, int]) -> None:
    """Raises RequestError for a name, or numbers of examples by label, that cannot be a label set."""
    set_name, label_name = Message("word.the_label_set", "the label set"), Message("word.the_label", "the label")
    for given, what in ((name, set_name), *((label, label_name) for label in counts)):
        if not tidy(given):
            raise RequestError("name_needed", "Give {what} a name.", what=what)
        if len(given) > MAX_NAME:
            raise RequestError(
                "name_too_long",
                "The name of {what} has {n} letters; at most {at_most} are taken.",
                what=what,
                n=len(given),
                at_most=MAX_NAME,
            )
    n_labels = len(counts)
    if n_labels == 0:
        raise RequestError("no_labels", "No labels can be told apart; teach {at_least} or more.", at_least=MIN_LABELS)
    if n_labels < MIN_LABELS:
        raise RequestError(
            "one_label_only", "One label cannot be told apart; teach {at_least} or more.", at_least=MIN_LABELS
        )
    if n_labels > MAX_LABELS:
        raise RequestError(
            "too_many_labels",
            "There are {n} labels; at most {at_most} can be taught in one set.",
            n=n_labels,
            at_most=MAX_LABELS,
        )
    for label, n_examples in counts.items():
        if n_examples == 0:
            raise RequestError(
                "label_without_example",
                "The label {label!r} has no example; give it 1 to 5 photos or sounds.",
                label=label,
            )
        if n_examples > MAX_EXAMPLES:
            raise RequestError(
                "too_many_examples",
                "The label {label!r} has {n} examples; 1 to 5 are enough, at most {at_most} are taken.",
                label=label,
                n=n_examples,
                at_most=MAX_EXAMPLES,
            )


# --- recognition -----------------------------------------------------------------------------------------------------


def adapted_head(labels: LabelSet) -> tuple[AdaptedHead, Tensor]:
    """The head after its steps on the examples of a set, and their embeddings (n, D)."""
    import torch

    from engines.lab.fewshot_head import adapt, head_for

    names = labels.labels
    head = head_for([example.kind for example in labels.examples], labels.model_digest)
    classes = torch.tensor([names.index(example.label) for example in labels.examples])
    with torch.inference_mode():
        support = torch.from_numpy(np.stack([example.vector for example in labels.examples])).float()
        return adapt(head, support, torch.eye(len(names))[classes]), support


def recognise(labels: LabelSet, vector: np.ndarray) -> Prediction:
    """Classify one embedding (D,). Adapting the head takes milliseconds, so it is done for every call."""
    import torch

    from engines.lab.fewshot_head import class_logits, transform

    adapted, support = adapted_head(labels)
    with torch.inference_mode():
        query = torch.from_numpy(vector[None]).float()
        *probabilities, none = class_logits(adapted, query)[0].softmax(-1).tolist()
        query_z = transform(adapted.head, query - adapted.centre)[0]
        cosines = (transform(adapted.head, support - adapted.centre) @ query_z).tolist()
    ranked = sorted(zip(labels.labels, probabilities, strict=True), key=lambda pair: -pair[1])
    nearest = sorted(zip(labels.examples, cosines, strict=True), key=lambda pair: -pair[1])[:N_NEAREST]
    label, confidence = ranked[0] if ranked[0][1] >= none else (None, none)
    return Prediction(label, confidence, tuple(ranked), none, tuple(nearest))


# --- from files ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TeachRequest:
    """A label set to be taught. files: labels with their example files; a label may occur more than once.

    Raises RequestError where `check` does.
    """

    name: str
    files: tuple[tuple[str, tuple[Path, ...]], ...]

    def __post_init__(self) -> None:
        check(self.name, {label: len(paths) for label, paths in self.by_label().items()})

    def by_label(self) -> dict[str, list[Path]]:
        """Every label once, its name tidied, with all its files."""
        merged: dict[str, list[Path]] = {}
        for label, paths in self.files:
            merged.setdefault(tidy(label), []).extend(paths)
        return merged


@dataclass(frozen=True, eq=False)
class TeachResult:
    """The state of teaching so far. labels: the set, once finished. failures: (file name, what is wrong with it)."""

    progress: Progress | None = None
    labels: LabelSet | None = None
    failures: tuple[tuple[str, MediaError], ...] = ()
    end: End | None = None


def teach(host: Host, request: TeachRequest, cancel: Cancel | None = None) -> Iterator[TeachResult]:
    """Embed the example files. An unreadable file is reported and skipped; RequestError where a label has no other."""
    check_host(host)
    examples: list[Example] = []
    failures: list[tuple[str, MediaError]] = []
    wanted, digest = request.by_label(), host.info.model_digest
    n_files = sum(map(len, wanted.values()))
    for label, paths in wanted.items():
        n_before = len(examples)
        for path in paths:
            yield TeachResult(
                Progress("looking", len(examples) + len(failures), n_files, "files"), None, tuple(failures)
            )
            try:
                embedded = embed(host, path, cancel)
            except MediaError as error:
                failures.append((path.name, error))
            except Cancelled:
                yield TeachResult(failures=tuple(failures), end="cancelled")
                return
            else:
                digest = embedded.model_digest or digest
                examples.append(Example(label, path.name, str(path.absolute()), embedded.kind, embedded.vector))
        if len(examples) == n_before:
            _, reason = failures[-1]
            raise RequestError(
                "no_example_readable",
                "No example of {label!r} could be read; give it another file. The last one: {reason}",
                label=label,
                reason=reason,
            ) from reason
    yield TeachResult(
        labels=LabelSet(tidy(request.name), tuple(examples), digest), failures=tuple(failures), end="finished"
    )


def check_host(host: Host) -> None:
    """Raises AbilityError where a host gives no embeddings."""
    if not host.info.serves(EmbedRequest):
        raise AbilityError(
            "no_vectors",
            "{name} makes no vectors to learn from; choose the built-in model for search.",
            name=host.info.name,
        )


def embed(host: Host, path: Path, cancel: Cancel | None = None) -> EmbedResult:
    """The embedding of a file, and its kind. Raises MediaError and Cancelled."""
    if cancel is not None and cancel.is_set:
        raise Cancelled
    result = run(host, EmbedRequest(media=path), cancel)
    assert isinstance(result, EmbedResult)
    if result.end == "cancelled":
        raise Cancelled
    return result


def recognise_file(host: Host, labels: LabelSet, path: Path, cancel: Cancel | None = None) -> Prediction:
    """Classify a file. Raises MediaError, Cancelled, and RequestError where the set was taught with another model."""
    check_host(host)
    check_digest(labels, host.info.model_digest)
    embedded = embed(host, path, cancel)
    check_digest(labels, embedded.model_digest or labels.model_digest)
    return recognise(labels, embedded.vector)


def check_digest(labels: LabelSet, model_digest: str) -> None:
    """Raises RequestError where a set's embeddings are of another model."""
    if labels.model_digest != model_digest:
        raise RequestError(
            "label_set_of_other_model",
            "The label set {name!r} was taught with another model; teach it again.",
            name=labels.name,
        )
