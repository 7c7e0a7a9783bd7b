"""Learn what `teach` starts from, over many small tasks, and keep it in assets/lab/heads.safetensors.

    python -m scripts.train_fewshot_heads --data ../shared/data

Each step draws tasks as a person would set them (2 to 10 labels, 1 to 10 examples of each, some queries of no label at
all), lets the head adapt to each, and follows the gradient of the queries' cross-entropy through the adaptation, all
its steps included (second order). The metric is not learnt by gradients: it whitens what varies inside the classes.
Sources: characters of Omniglot's training alphabets, photos of Flickr8k's training part by the nouns in their captions,
and the training folds of UrbanSound8K. The classes that `engines.evaluation.fewshot` measures on are none of these:
other alphabets, other nouns, and the labels of ESC-10.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import TypeAlias, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.numpy import save_file
from torch import Tensor

from engines.archives import ExampleRecord, MissingPart, fewshot, photos, sounds
from engines.errors import MediaError, UserError
from engines.hosts import open_host
from engines.lab.fewshot import HEADS, MAX_LABELS, MIN_LABELS, MIXED, Head, adapt, answer
from engines.protocol import EmbedRequest, EmbedResult, Host, Media, Photo, run
from engines.settings import Settings
from engines.training.nouns import LEARNT, UNSEEN, noun_of

N_STEPS = 5
"""Gradient steps of the adaptation."""
TASKS = 16
"""Tasks of a step of learning, of one shape."""
MAX_SHOTS = 10
N_QUERIES = 4
N_STRANGERS = 8
"""Queries of a task that belong to no label of it; their loss counts a third, as they come less often than the rest."""
STRANGE = 1 / 3
WITH_METRIC = frozenset({"photo"})
"""Spaces with a metric. On classes held back, one from a few kinds of sound was worse than none."""
RIDGE = 1.0
"""Added to the variance inside the classes before it is whitened, as a share of its mean; chosen on classes of the
training part that were held back."""
BY_GRADIENT = ("scale", "rates", "slopes", "refusal")
"""What is learnt by gradients. Centre and metric are not: from so few classes, 66,000 numbers are learnt by heart."""
EVERY_CHARACTER = 8
"""Every so many-th of Omniglot's 813 training characters is learnt from: reading them all takes an hour of one core."""
N_DRAWINGS, N_PHOTOS, N_SOUNDS = 12, 30, 30
"""At most so many examples of a class."""
MIN_EACH = 7
"""Examples a class needs."""
IN_BOTH = frozenset({"dog_bark"})
"""Labels that ESC-10 has too, on which is measured."""

T = TypeVar("T")
Classes: TypeAlias = Mapping[str, np.ndarray]
"""Class: its vectors (n, D)."""
Load: TypeAlias = Callable[[], Media]


@dataclass(frozen=True, eq=False)
class Source:
    """Classes that tasks are drawn from: a task has all its labels from one source."""

    name: str
    classes: Classes


# --- vectors of classes ------------------------------------------------------------------------------------------


def sources(host: Host, data: Path) -> dict[str, list[Source]]:
    """What there is to learn from, by space. Raises MissingPart."""
    listed = (
        ("photo", "omniglot", _drawings(data), N_DRAWINGS),
        ("photo", "photos", _photos(data), N_PHOTOS),
        ("sound", "us8k", _sounds(data), N_SOUNDS),
    )
    found: dict[str, list[Source]] = {}
    for space, name, records, most in listed:
        classes: dict[str, np.ndarray] = {}
        for label, loads in sorted(records.items()):
            if len(loads) >= MIN_EACH:
                classes[label] = vectors(host, spread(loads, most))
                print(f"{name}: {label}", file=sys.stderr, flush=True)
        found.setdefault(space, []).append(Source(name, classes))
    return found


def spread(items: Sequence[T], most: int) -> list[T]:
    """At most so many of them, evenly spread: what lies side by side is often of one recording."""
    n = min(len(items), most)
    return [items[i * len(items) // n] for i in range(n)]


def vectors(host: Host, loads: Sequence[Load]) -> np.ndarray:
    """(n, D) of what can be read, those of the commonest kind: a sound taken for speech is another thing."""
    rows = []
    for load in loads:
        with suppress(MediaError):
            result = run(host, EmbedRequest(media=load()))
            assert isinstance(result, EmbedResult)
            rows.append(result)
    ((kind, _),) = Counter(row.kind for row in rows).most_common(1)
    return np.stack([row.vector for row in rows if row.kind == kind])


def _drawings(data: Path) -> dict[str, list[Load]]:
    records = fewshot(data, "train")
    chosen = set(sorted({record.label for record in records})[::EVERY_CHARACTER])
    return _grouped([(record.label, partial(tile, record)) for record in records if record.label in chosen])


def tile(record: ExampleRecord) -> Photo:
    """The part of a sheet that is one drawing, or the whole photo."""
    pixels = record.source.photo().pixels
    if record.box is None:
        return Photo(pixels)
    left, top, right, bottom = record.box
    return Photo(np.ascontiguousarray(pixels[top:bottom, left:right]))


def _photos(data: Path) -> dict[str, list[Load]]:
    named = [(noun_of(each.captions.get("en", ()), LEARNT, without=UNSEEN), each) for each in photos(data, "train")]
    return _grouped([(noun, record.load) for noun, record in named if noun is not None])


def _sounds(data: Path) -> dict[str, list[Load]]:
    records = [each for each in sounds(data, "train") if each.corpus == "us8k" and each.label not in IN_BOTH]
    return _grouped([(record.label, record.load) for record in records])


def _grouped(pairs: Sequence[tuple[str, Load]]) -> dict[str, list[Load]]:
    found: dict[str, list[Load]] = {}
    for label, load in pairs:
        found.setdefault(label, []).append(load)
    return found


# --- small tasks -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Tasks:
    """Several tasks of one shape. support (B, n, D) and owners (B, n, C) for `adapt`; a row of zeros is no example.

    queries (B, q, D); right (B, q): the place of the label, C for a stranger.
    """

    support: Tensor
    owners: Tensor
    queries: Tensor
    right: Tensor


def draw(source: Source, rng: np.random.Generator, *, n_tasks: int = TASKS) -> Tasks:
    """Tasks of 2 to 10 labels, 1 to MAX_SHOTS examples of each (not of all the same number), and strangers."""
    classes = [own for own in source.classes.values() if len(own) >= 2]
    most = min(len(own) for own in classes) - 1
    n_labels = int(rng.integers(MIN_LABELS, min(MAX_LABELS, len(classes) - 1) + 1))
    n_shots = int(min(most, rng.choice((1, 2, 3, 5, MAX_SHOTS), p=(0.3, 0.2, 0.15, 0.25, 0.1))))
    n_queries = min(N_QUERIES, most + 1 - n_shots)
    uneven = rng.random() < 0.3
    support, queries, owners, right = [], [], [], []
    for _ in range(n_tasks):
        chosen = rng.permutation(len(classes))
        drawn = np.stack([rng.permutation(classes[i])[: n_shots + n_queries] for i in chosen[:n_labels]])  # (C, ., D)
        others = np.concatenate([classes[i] for i in chosen[n_labels:]])
        strangers = others[rng.integers(len(others), size=N_STRANGERS)]
        support.append(drawn[:, :n_shots].reshape(n_labels * n_shots, -1))
        queries.append(np.concatenate([drawn[:, n_shots:].reshape(n_labels * n_queries, -1), strangers]))
        kept = np.arange(n_shots) < (rng.integers(1, n_shots + 1, (n_labels, 1)) if uneven else n_shots)
        owners.append(
            np.repeat(np.eye(n_labels), n_shots, 0) * np.broadcast_to(kept, (n_labels, n_shots)).reshape(-1, 1)
        )
        right.append([*np.repeat(np.arange(n_labels), n_queries), *[n_labels] * N_STRANGERS])
    return Tasks(
        _tensor(support), _tensor(owners), _tensor(queries), torch.from_numpy(np.stack(right).astype(np.int64))
    )


def _tensor(parts: Sequence[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.stack(parts).astype(np.float32))


def loss(head: Head, tasks: Tasks) -> Tensor:
    """Cross-entropy of the queries after adaptation, strangers counted by STRANGE."""
    logits = answer(adapt(head, tasks.support, tasks.owners, torch), tasks.queries, torch)
    n_labels = tasks.owners.shape[-1]
    each = F.cross_entropy(logits.flatten(0, 1), tasks.right.flatten(), reduction="none")
    strange = tasks.right.flatten() == n_labels
    known = each[~strange].mean()
    return known + STRANGE * each[strange].mean()


# --- learning to adapt -------------------------------------------------------------------------------------------


def first(found: Sequence[Source], *, metric: bool = True) -> Head:
    """What learning starts from. metric: whiten what varies inside the classes; False for vectors nothing is known of.

    Every source has the same weight, however many classes it has.
    """
    known: dict[str, Tensor] = {}
    if metric:
        inside = np.mean([np.mean([np.cov(own.T, bias=True) for own in each.classes.values()], 0) for each in found], 0)
        centre = np.mean([np.mean([own.mean(0) for own in each.classes.values()], 0) for each in found], 0)
        spread, axes = np.linalg.eigh(inside)
        white = (axes / np.sqrt(spread + RIDGE * spread.mean())) @ axes.T * np.sqrt(spread.mean())
        known = {"centre": torch.from_numpy(centre).float(), "metric": torch.from_numpy(white).float()}
    return Head(
        known.get("centre"),
        known.get("metric"),
        scale=torch.tensor(10.0),
        rates=torch.ones(N_STEPS),
        slopes=torch.zeros(N_STEPS),
        refusal=torch.tensor([0.3, 0.0, 0.0, 0.0, 0.0]),
    )


def learn(found: Sequence[Source], *, n_steps: int, seed: int = 0, metric: bool = True, rate: float = 0.03) -> Head:
    """A head that adapts well to tasks of these sources.

    What is learnt by gradients is learnt where the metric is strange, as it will be to a person's labels: on tasks of
    one half of the classes, with a metric from the other.
    """
    rng = np.random.default_rng(seed)
    halves = [[Source(each.name, dict(sorted(each.classes.items())[i::2])) for each in found] for i in (0, 1)]
    starts = [first(half, metric=metric) for half in halves]
    learnt = {name: getattr(starts[0], name).clone().requires_grad_() for name in BY_GRADIENT}
    optimizer = torch.optim.Adam(learnt.values(), rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, n_steps)
    for step in range(n_steps):
        head, others = replace(starts[step % 2], **learnt), halves[1 - step % 2]
        value = torch.stack([loss(head, draw(source, rng)) for source in others]).mean()
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        schedule.step()
    return replace(first(found, metric=metric), **{name: value.detach() for name, value in learnt.items()})


# --- the file ----------------------------------------------------------------------------------------------------


def save(path: Path, heads: Mapping[str, Head], about: Mapping[str, object]) -> None:
    """Keep heads as `teach.heads` reads them, in half precision. about: the model's digest, what was learnt from."""
    arrays = {
        f"{space}.{part.name}": np.asarray(getattr(head, part.name), np.float16)
        for space, head in heads.items()
        for part in fields(Head)
        if getattr(head, part.name) is not None
    }
    save_file(arrays, path, {"about": json.dumps(about)})


def main(arguments: Sequence[str] | None = None, opener: Callable[[str, Settings], Host] = open_host) -> int:
    """Learn a head for each space, and a plain one for all others; gives the exit code."""
    parser = argparse.ArgumentParser("scripts.train_fewshot_heads", description="Meta-learn the heads of Teach it.")
    parser.add_argument(
        "--data", type=Path, required=True, help="folder in the shared layout: fewshot/, photos/, sounds/"
    )
    parser.add_argument("--out", type=Path, default=HEADS, help="file to write (default: the one the program reads)")
    parser.add_argument("--model", default="builtin", help="builtin, or the folder of a checkpoint (default: builtin)")
    parser.add_argument("--steps", type=int, default=200, help="steps of learning (default: 200)")
    parser.add_argument("--seed", type=int, default=0, help="of the tasks drawn (default: 0)")
    options = parser.parse_args(arguments)
    try:
        with closing(opener(options.model, Settings(device="cpu", n_threads=1))) as host:
            digest, found = host.info.model_digest, sources(host, options.data)
    except (MissingPart, UserError) as error:
        print(error, file=sys.stderr)
        return 1
    every = [source for listed in found.values() for source in listed]
    how = {"n_steps": options.steps, "seed": options.seed}
    heads = {space: learn(listed, metric=space in WITH_METRIC, **how) for space, listed in found.items()}
    heads[MIXED] = learn(every, metric=False, **how)
    learnt_from = {source.name: {label: len(own) for label, own in source.classes.items()} for source in every}
    save(options.out, heads, {"model_digest": digest, "seed": options.seed, "learnt_from": learnt_from})
    for space, head in heads.items():
        print(space, *(f"{name} {np.round(getattr(head, name).numpy(), 3).tolist()}" for name in BY_GRADIENT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
