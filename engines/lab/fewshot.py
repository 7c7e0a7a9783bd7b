"""Few-shot classification ("Teach it"): labels for photos and sounds, learnt from a handful of examples of each.

The built-in model's embeddings are frozen; a head on them adapts. It starts from the labels' prototypes (Snell et al.
2017, arXiv:1703.05175) and takes a few gradient steps on the examples, as MAML does (Finn et al. 2017,
arXiv:1703.03400). Everything else was meta-learnt over many small tasks by `scripts.train_fewshot_heads`: the centre of
the embeddings, a metric that separates classes, the scale of the logits, the rate of each step (Li et al. 2017,
arXiv:1707.09835) and the threshold of "none of these". Like ProtoMAML (Triantafillou et al. 2020, arXiv:1903.03096),
but with cosines, on frozen embeddings, and able to reject.

Axes: n examples, q queries, C labels, D embedding; `...` may be a batch of tasks.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from engines.errors import AbilityError, Cancelled, MediaError, Message, RequestError
from engines.paths import ASSETS
from engines.protocol import Cancel, EmbedRequest, EmbedResult, End, Host, Kind, Progress, run

MIN_LABELS, MAX_LABELS = 2, 10
MAX_EXAMPLES = 20
"""Of one label. One to five are enough; more than twenty are no longer few."""
MAX_NAME = 60
"""Letters of a name of a set or a label."""
N_NEAREST = 3
PULL = 0.5
"""How far the centre moves from the one that was learnt, or from 0, to the middle of the examples; chosen on classes of
the training part that were held back."""
MIXED = "plain"
"""The space in which photos and sounds are compared: no metric was learnt for it, nor for other models."""
SPACE_OF_KIND: dict[Kind, str] = {"photo": "photo", "clip": "photo", "sound": "sound", "speech": MIXED, "text": MIXED}
HEADS = ASSETS / "lab" / "heads.safetensors"


# --- what is taught, and what is said ----------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Example:
    """One example of a label. file: its name; path: where it lies. vector: (D,) float32."""

    label: str
    file: str
    path: str
    kind: Kind
    vector: np.ndarray


@dataclass(frozen=True, eq=False)
class LabelSet:
    """Labels and their examples, as vectors of one model. Raises RequestError where it is none."""

    name: str
    examples: tuple[Example, ...]
    model_digest: str

    def __post_init__(self) -> None:
        check(self.name, Counter(example.label for example in self.examples))

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels, in the order in which they were taught."""
        return tuple(dict.fromkeys(example.label for example in self.examples))


@dataclass(frozen=True, eq=False)
class Naming:
    """What a medium was named. label: None for none of these. confidence: 0 to 1, of what was said.

    chances: of every label, the likeliest first; with `none` they make 1. nearest: examples with their cosines.
    """

    label: str | None
    confidence: float
    chances: tuple[tuple[str, float], ...]
    none: float
    nearest: tuple[tuple[Example, float], ...]


def tidy(name: str) -> str:
    """A name without control characters, and with single spaces."""
    return " ".join("".join(sign if sign.isprintable() else " " for sign in name).split())


def check(name: str, counts: Mapping[str, int]) -> None:
    """Raises RequestError where labels and numbers of examples make no set."""
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


# --- the head ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Head:
    """What was learnt over many small tasks, for one space. Arrays of numpy, or of torch while they are learnt.

    centre (D,) and metric (D, E): None where too little is known of the vectors. scale: () of cosines before the
    softmax. rates, slopes (K,): the steps, rate * shots ** slope. refusal (5,): how near "none of these" is, in
    cosines: a start, and what is added by the features of `_crowding`.
    """

    centre: Any
    metric: Any
    scale: Any
    rates: Any
    slopes: Any
    refusal: Any


@dataclass(frozen=True, eq=False)
class Adapted:
    """A head after it has seen the examples. weights (..., C, E); refusal (..., 1) in cosines; centre (..., 1, D)."""

    head: Head
    centre: Any
    weights: Any
    refusal: Any


def adapt(head: Head, vectors: Any, owners: Any, xp: Any = np) -> Adapted:
    """Learn from examples. vectors (..., n, D); owners (..., n, C): 1 where an example is of a label, else 0.

    A row of zeros is no example. xp: numpy, or torch to learn through the steps.
    """
    counts = owners.sum(-2)  # (..., C)
    share = owners / xp.where(counts > 0, counts, xp.ones_like(counts))[..., None, :]  # (..., n, C), columns sum to 1
    n_labels = owners.shape[-1]
    centre = PULL * (share.mT @ vectors).mean(-2)[..., None, :]  # of the labels
    if head.centre is not None:
        centre = centre + (1 - PULL) * head.centre
    placed = _placed(head, vectors - centre, xp)  # (..., n, E)
    weights = start = _unit(share.mT @ placed, xp)  # (..., C, E)
    n_shots = counts.mean(-1)[..., None, None]
    evenly = share.sum(-1)[..., None] / n_labels  # (..., n, 1): every label counts the same
    for rate, slope in zip(head.rates, head.slopes, strict=True):
        chances = softmax(head.scale * placed @ weights.mT, xp)
        slope_of_loss = ((chances - owners) * evenly).mT @ placed  # of the cross-entropy over scale * weights
        weights = weights - rate * n_shots**slope * slope_of_loss
    features = _crowding(placed, start, owners, counts, xp)
    return Adapted(head, centre, weights, (features * head.refusal).sum(-1)[..., None])


def _crowding(placed: Any, start: Any, owners: Any, counts: Any, xp: Any) -> Any:
    """What tells how near a stranger comes: (..., 5): 1; log shots; log labels; how alike the labels are; how alike
    the examples of one label are, 0 where each has one only.
    """
    n_labels = owners.shape[-1]
    alike = start @ start.mT
    between = (alike.sum(-1).sum(-1) - n_labels) / (n_labels * (n_labels - 1))
    among = owners @ owners.mT  # (..., n, n): of the same label
    pairs = (counts * (counts - 1)).sum(-1)
    inside = ((placed @ placed.mT) * among).sum(-1).sum(-1) - counts.sum(-1)
    within = inside / xp.where(pairs > 0, pairs, xp.ones_like(pairs))
    ones = xp.ones_like(between)
    return xp.stack([ones, xp.log(counts.mean(-1)), ones * float(np.log(n_labels)), between, within], -1)


def answer(adapted: Adapted, vectors: Any, xp: Any = np) -> Any:
    """Queries (..., q, D) -> logits (..., q, C + 1): the labels, and last "none of these"."""
    head = adapted.head
    near = _placed(head, vectors - adapted.centre, xp) @ adapted.weights.mT
    none = xp.ones_like(near[..., :1]) * adapted.refusal[..., None, :]
    return head.scale * xp.concatenate([near, none], -1)


def softmax(logits: Any, xp: Any = np) -> Any:
    """Over the last axis."""
    grown = xp.exp(logits - xp.amax(logits, -1)[..., None])
    return grown / grown.sum(-1)[..., None]


def _placed(head: Head, moved: Any, xp: Any) -> Any:
    return _unit(moved if head.metric is None else moved @ head.metric, xp)


def _unit(rows: Any, xp: Any) -> Any:
    return rows / xp.sqrt((rows * rows).sum(-1) + 1e-12)[..., None]


@cache
def heads(path: Path = HEADS) -> tuple[str, dict[str, Head]]:
    """What was learnt: the digest of the model it was learnt for, and a head for each space. Raises RequestError."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "np") as file:
            kept = {name: file.get_tensor(name).astype(np.float32) for name in file.keys()}  # noqa: SIM118
            digest = json.loads(file.metadata()["about"])["model_digest"]
        spaces = {name.partition(".")[0] for name in kept}
        parts = ("centre", "metric", "scale", "rates", "slopes", "refusal")
        return digest, {space: Head(*(kept.get(f"{space}.{part}") for part in parts)) for space in spaces}
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise RequestError(
            "lab_part_damaged",
            "The file assets/lab/{name} is missing or damaged; download the program again.",
            name=path.name,
        ) from error


def head_for(kinds: Sequence[Kind], model_digest: str) -> Head:
    """The head for examples of these kinds: one of their own where they are alike and the model is the known one."""
    digest, known = heads()
    spaces = {SPACE_OF_KIND[kind] for kind in kinds}
    space = spaces.pop() if len(spaces) == 1 and model_digest == digest else MIXED
    return known[space]


def recognise(labels: LabelSet, vector: np.ndarray) -> Naming:
    """Name one medium by its vector (D,): milliseconds, so that nothing adapted need be kept."""
    head = head_for([example.kind for example in labels.examples], labels.model_digest)
    vectors = np.stack([example.vector for example in labels.examples])
    names = labels.labels
    places = np.array([names.index(example.label) for example in labels.examples])
    adapted = adapt(head, vectors, np.eye(len(names), dtype=np.float32)[places])
    *chances, none = softmax(answer(adapted, vector[None]))[0].tolist()
    ranked = sorted(zip(names, chances, strict=True), key=lambda pair: -pair[1])
    near = _placed(head, vectors - adapted.centre, np) @ _placed(head, vector[None] - adapted.centre, np)[0]
    nearest = tuple((labels.examples[i], float(near[i])) for i in np.argsort(-near, kind="stable")[:N_NEAREST])
    label, confidence = ranked[0] if ranked[0][1] >= none else (None, none)
    return Naming(label, confidence, tuple(ranked), none, nearest)


# --- files to vectors --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Lesson:
    """What is to be taught. files: labels with the files that are examples of them; a label may come more than once.

    Raises RequestError where it can become no set.
    """

    name: str
    files: tuple[tuple[str, tuple[Path, ...]], ...]

    def __post_init__(self) -> None:
        check(self.name, {label: len(paths) for label, paths in self.by_label().items()})

    def by_label(self) -> dict[str, list[Path]]:
        """Every label once, tidy, with all its files."""
        merged: dict[str, list[Path]] = {}
        for label, paths in self.files:
            merged.setdefault(tidy(label), []).extend(paths)
        return merged


@dataclass(frozen=True, eq=False)
class Taught:
    """How far a lesson is. labels: the set, once done. failures: (file name, what is wrong with it)."""

    progress: Progress | None = None
    labels: LabelSet | None = None
    failures: tuple[tuple[str, MediaError], ...] = ()
    end: End | None = None


def teach(host: Host, lesson: Lesson, cancel: Cancel | None = None) -> Iterator[Taught]:
    """Learn from files. One that cannot be read is named and left out; a label without any other: RequestError."""
    check_host(host)
    examples: list[Example] = []
    failures: list[tuple[str, MediaError]] = []
    wanted, digest = lesson.by_label(), host.info.model_digest
    n_files = sum(map(len, wanted.values()))
    for label, paths in wanted.items():
        n_before = len(examples)
        for path in paths:
            yield Taught(Progress("looking", len(examples) + len(failures), n_files, "files"), None, tuple(failures))
            try:
                seen = embed(host, path, cancel)
            except MediaError as error:
                failures.append((path.name, error))
            except Cancelled:
                yield Taught(failures=tuple(failures), end="cancelled")
                return
            else:
                digest = seen.model_digest or digest
                examples.append(Example(label, path.name, str(path.absolute()), seen.kind, seen.vector))
        if len(examples) == n_before:
            _, reason = failures[-1]
            raise RequestError(
                "no_example_readable",
                "No example of {label!r} could be read; give it another file. The last one: {reason}",
                label=label,
                reason=reason,
            ) from reason
    yield Taught(labels=LabelSet(tidy(lesson.name), tuple(examples), digest), failures=tuple(failures), end="finished")


def check_host(host: Host) -> None:
    """Raises AbilityError where a host makes no vectors."""
    if not host.info.serves(EmbedRequest):
        raise AbilityError(
            "no_vectors",
            "{name} makes no vectors to learn from; choose the built-in model for search.",
            name=host.info.name,
        )


def embed(host: Host, path: Path, cancel: Cancel | None = None) -> EmbedResult:
    """The vector of a file, and what it was taken for. Raises MediaError, or Cancelled."""
    if cancel is not None and cancel.is_set:
        raise Cancelled
    result = run(host, EmbedRequest(media=path), cancel)
    assert isinstance(result, EmbedResult)
    if result.end == "cancelled":
        raise Cancelled
    return result


def name_file(host: Host, labels: LabelSet, path: Path, cancel: Cancel | None = None) -> Naming:
    """Name a file. Raises MediaError, Cancelled, and RequestError where the set was taught with another model."""
    check_host(host)
    check_digest(labels, host.info.model_digest)
    seen = embed(host, path, cancel)
    check_digest(labels, seen.model_digest or labels.model_digest)
    return recognise(labels, seen.vector)


def check_digest(labels: LabelSet, model_digest: str) -> None:
    """Raises RequestError where a set's vectors mean nothing to a model."""
    if labels.model_digest != model_digest:
        raise RequestError(
            "label_set_of_other_model",
            "The label set {name!r} was taught with another model; teach it again.",
            name=labels.name,
        )
