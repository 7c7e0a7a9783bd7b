"""Meta-learn the heads of "Teach it" over many small tasks, and write them to assets/lab/heads.safetensors.

    python -m scripts.train_fewshot_heads --data DATA

Each step draws tasks like a person's (2 to 10 labels, 1 to 10 examples of each, some out-of-set queries), adapts the
head to each, and follows the gradient of the queries' cross-entropy through all steps of the adaptation (second order).
The metric is not learnt by gradients: it whitens the variation within classes. Sources: characters of Omniglot's
training alphabets, photos of Flickr8k's training split by the nouns in their captions, and the training folds of
UrbanSound8K. The classes that `engines.evaluation.fewshot` measures on are none of these: other alphabets, other nouns,
and the labels of ESC-10.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TypeAlias, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.numpy import save_file
from torch import Tensor

from engines.archives import DatasetMissing, fewshot, photos, sounds
from engines.errors import MediaError, UserError
from engines.hosts import open_host
from engines.lab.fewshot import MAX_LABELS, MIN_LABELS
from engines.lab.fewshot_head import HEADS, MIXED, Head, adapt, class_logits
from engines.protocol import EmbedRequest, EmbedResult, Host, Media, run
from engines.settings import Settings
from engines.training.lexicon import LEARNT, UNSEEN, noun_of

N_STEPS = 5
"""Gradient steps of an adaptation."""
TASKS = 16
"""Tasks per meta-training step, all of one shape."""
MAX_SHOTS = 10
N_QUERIES = 4
N_OUT_OF_SET = 8
"""Queries of a task that belong to none of its labels."""
OUT_OF_SET_WEIGHT = 1 / 3
"""Weight of their loss: in use they are rarer than queries of the labels."""
WITH_METRIC = frozenset({"photo"})
"""Spaces with a metric. For sounds, one from a few classes was worse on held-out classes than none."""
RIDGE = 1.0
"""Added to the within-class variance before whitening, as a share of its mean; chosen on held-out classes of the
training split."""
BY_GRADIENT = ("scale", "rates", "exponents", "rejection")
"""What is learnt by gradients. Centre and metric are not: their 66,000 numbers would overfit to so few classes."""
EVERY_CHARACTER = 8
"""Every eighth of Omniglot's 813 training characters is used: embedding all of them takes an hour on one core."""
N_DRAWINGS, N_PHOTOS, N_SOUNDS = 12, 30, 30
"""Maximum number of examples of a class."""
MIN_EACH = 7
"""Minimum number of examples of a class."""
IN_BOTH = frozenset({"dog_bark"})
"""Labels that ESC-10, on which the evaluation measures, has too."""

T = TypeVar("T")
Classes: TypeAlias = Mapping[str, np.ndarray]
"""Class -> its embeddings (n, D)."""
Load: TypeAlias = Callable[[], Media]


@dataclass(frozen=True, eq=False)
class Source:
    """Classes that tasks are drawn from; all labels of a task are of one source."""

    name: str
    classes: Classes


# --- vectors of classes ------------------------------------------------------------------------------------------


def sources(host: Host, data: Path) -> dict[str, list[Source]]:
    """The sources of each space. Raises DatasetMissing."""
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
    """Choose at most `most` items, evenly spaced: neighbours are often of one recording."""
    n = min(len(items), most)
    return [items[i * len(items) // n] for i in range(n)]


def vectors(host: Host, loads: Sequence[Load]) -> np.ndarray:
    """Embeddings (n, D) of the readable media of the commonest kind: a sound taken for speech is of another space."""
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
    return _grouped([(record.label, record.load) for record in records if record.label in chosen])


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
    """B tasks of one shape. support (B, n, D) and one_hot (B, n, C) as `adapt` takes them; a row of zeros is padding.

    queries (B, q, D); targets (B, q): the number of the label, C for out-of-set.
    """

    support: Tensor
    one_hot: Tensor
    queries: Tensor
    targets: Tensor


def draw(source: Source, rng: np.random.Generator, *, n_tasks: int = TASKS) -> Tasks:
    """Tasks of 2 to 10 labels with 1 to MAX_SHOTS examples (not always equally many), and out-of-set queries."""
    classes = [vectors for vectors in source.classes.values() if len(vectors) >= 2]
    most = min(len(vectors) for vectors in classes) - 1
    n_labels = int(rng.integers(MIN_LABELS, min(MAX_LABELS, len(classes) - 1) + 1))
    n_shots = int(min(most, rng.choice((1, 2, 3, 5, MAX_SHOTS), p=(0.3, 0.2, 0.15, 0.25, 0.1))))
    n_queries = min(N_QUERIES, most + 1 - n_shots)
    uneven = rng.random() < 0.3
    support, queries, one_hot, targets = [], [], [], []
    for _ in range(n_tasks):
        chosen = rng.permutation(len(classes))
        drawn = np.stack([rng.permutation(classes[i])[: n_shots + n_queries] for i in chosen[:n_labels]])  # (C, ., D)
        others = np.concatenate([classes[i] for i in chosen[n_labels:]])
        out_of_set = others[rng.integers(len(others), size=N_OUT_OF_SET)]
        support.append(drawn[:, :n_shots].reshape(n_labels * n_shots, -1))
        queries.append(np.concatenate([drawn[:, n_shots:].reshape(n_labels * n_queries, -1), out_of_set]))
        used = np.arange(n_shots) < (rng.integers(1, n_shots + 1, (n_labels, 1)) if uneven else n_shots)
        mask = np.broadcast_to(used, (n_labels, n_shots)).reshape(-1, 1)
        one_hot.append(np.repeat(np.eye(n_labels), n_shots, 0) * mask)
        targets.append([*np.repeat(np.arange(n_labels), n_queries), *[n_labels] * N_OUT_OF_SET])
    return Tasks(
        _tensor(support), _tensor(one_hot), _tensor(queries), torch.from_numpy(np.stack(targets).astype(np.int64))
    )


def _tensor(parts: Sequence[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.stack(parts).astype(np.float32))


def loss(head: Head, tasks: Tasks) -> Tensor:
    """Cross-entropy of the queries after adaptation, that of out-of-set queries weighted."""
    logits = class_logits(adapt(head, tasks.support, tasks.one_hot), tasks.queries)
    each = F.cross_entropy(logits.flatten(0, 1), tasks.targets.flatten(), reduction="none")
    out_of_set = tasks.targets.flatten() == tasks.one_hot.shape[-1]
    return each[~out_of_set].mean() + OUT_OF_SET_WEIGHT * each[out_of_set].mean()


# --- meta-learning -----------------------------------------------------------------------------------------------


def initial_head(sources: Sequence[Source], *, metric: bool = True) -> Head:
    """The head before meta-learning. metric: whiten the variation within classes; False for unknown embeddings.

    Every source has the same weight, however many classes it has.
    """
    known: dict[str, Tensor] = {}
    if metric:
        by_source = [list(each.classes.values()) for each in sources]
        within = np.mean([np.mean([np.cov(x.T, bias=True) for x in classes], 0) for classes in by_source], 0)
        centre = np.mean([np.mean([x.mean(0) for x in classes], 0) for classes in by_source], 0)
        variances, axes = np.linalg.eigh(within)
        ridge = RIDGE * variances.mean()
        whitening = (axes / np.sqrt(variances + ridge)) @ axes.T * np.sqrt(variances.mean())
        known = {"centre": torch.from_numpy(centre).float(), "metric": torch.from_numpy(whitening).float()}
    return Head(
        known.get("centre"),
        known.get("metric"),
        scale=torch.tensor(10.0),
        rates=torch.ones(N_STEPS),
        exponents=torch.zeros(N_STEPS),
        rejection=torch.tensor([0.3, 0.0, 0.0, 0.0, 0.0]),
    )


def meta_learn(
    sources: Sequence[Source], *, n_steps: int, seed: int = 0, metric: bool = True, rate: float = 0.03
) -> Head:
    """A head that adapts well to tasks of these sources.

    The metric will be new to a person's labels, so what is learnt by gradients is learnt that way too: on tasks of one
    half of the classes, with the metric of the other half.
    """
    rng = np.random.default_rng(seed)
    halves = [[Source(each.name, dict(sorted(each.classes.items())[i::2])) for each in sources] for i in (0, 1)]
    heads = [initial_head(half, metric=metric) for half in halves]
    learnt = {name: getattr(heads[0], name).clone().requires_grad_() for name in BY_GRADIENT}
    optimizer = torch.optim.Adam(learnt.values(), rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, n_steps)
    for step in range(n_steps):
        head, others = replace(heads[step % 2], **learnt), halves[1 - step % 2]
        value = torch.stack([loss(head, draw(source, rng)) for source in others]).mean()
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        schedule.step()
    return replace(initial_head(sources, metric=metric), **{name: value.detach() for name, value in learnt.items()})


# --- the file ----------------------------------------------------------------------------------------------------


def save(path: Path, heads: Mapping[str, Head], about: Mapping[str, object]) -> None:
    """Write heads as `load_heads` reads them, in half precision. about: the model's digest, what was learnt from."""
    arrays = {
        f"{space}.{part.name}": np.asarray(getattr(head, part.name), np.float16)
        for space, head in heads.items()
        for part in fields(Head)
        if getattr(head, part.name) is not None
    }
    save_file(arrays, path, {"about": json.dumps(about)})


def main(arguments: Sequence[str] | None = None, opener: Callable[[str, Settings], Host] = open_host) -> int:
    """Learn a head for each space, and MIXED for all others; returns the exit code."""
    parser = argparse.ArgumentParser(description="Meta-learn the heads of Teach it.")
    parser.add_argument("--data", type=Path, required=True, help="folder with fewshot/, photos/ and sounds/")
    parser.add_argument("--out", type=Path, default=HEADS, help="file to write (default: the one the program reads)")
    parser.add_argument("--model", default="builtin", help="builtin, or the folder of a checkpoint (default: builtin)")
    parser.add_argument("--steps", type=int, default=200, help="steps of learning (default: 200)")
    parser.add_argument("--seed", type=int, default=0, help="of the tasks drawn (default: 0)")
    options = parser.parse_args(arguments)
    try:
        with closing(opener(options.model, Settings(device="cpu", n_threads=1))) as host:
            digest, found = host.info.model_digest, sources(host, options.data)
    except (DatasetMissing, UserError) as error:
        print(error, file=sys.stderr)
        return 1
    every = [source for listed in found.values() for source in listed]
    how = {"n_steps": options.steps, "seed": options.seed}
    heads = {space: meta_learn(listed, metric=space in WITH_METRIC, **how) for space, listed in found.items()}
    heads[MIXED] = meta_learn(every, metric=False, **how)
    learnt_from = {source.name: {label: len(x) for label, x in source.classes.items()} for source in every}
    save(options.out, heads, {"model_digest": digest, "seed": options.seed, "learnt_from": learnt_from})
    for space, head in heads.items():
        print(space, *(f"{name} {np.round(getattr(head, name).numpy(), 3).tolist()}" for name in BY_GRADIENT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
