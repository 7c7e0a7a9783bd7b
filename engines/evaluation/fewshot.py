"""Few-shot classes from frozen vectors: nearest centroid (Snell et al. 2017), logistic regression, and "Teach it".

An episode draws 5 classes, 1 or 5 examples of each, and up to 15 others to name. The sets: those of `fewshot/`, of
which the model has seen no class in training; photos by the nouns in their captions (`engines.training.lexicon`), and
sounds. Of these the model has seen other photos and recordings, while the head of "Teach it" was learnt on other
classes, except for those of UrbanSound8K.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TypeAlias

import numpy as np
import torch

from engines.archives import fewshot, photos, sounds
from engines.errors import MediaError
from engines.evaluation.harness import REASONS, Harness, Row, Rows, skipped
from engines.evaluation.metrics import Z_95
from engines.lab.fewshot_head import adapt, class_logits, head_for
from engines.protocol import Kind, Media
from engines.training.lexicon import UNSEEN, noun_of

N_WAYS = 5
SHOTS = (1, 5)
N_QUERIES = 15
N_EPISODES = 600
MAX_CLASSES = 100
MAX_EXAMPLES = 20
"""Examples of a class, one vector each: at most 2,000 pictures of a set."""
N_DESCENT, WEIGHT_DECAY = 100, 0.01
"""Steps and L2 penalty of the logistic regression."""
ROOMY = max(SHOTS) + 1
"""Examples a class of photos by nouns has to have: enough for 5 shots and one to name."""

Load: TypeAlias = Callable[[], Media]


def fewshot_rows(harness: Harness) -> Rows:
    """For each set `fewshot.<set>.5way_<n>shot.accuracy` by nearest centroid, and the same by other means:

    `.logistic.accuracy`; `.adapted.accuracy` by the head of "Teach it"; where "none of these" is an answer too, its
    accuracy on examples of the 5 classes, `.adapted.in_set_accuracy`, and of others, `.adapted.out_of_set_accuracy`.
    """
    rows: Rows = {}
    for what, read in {"drawings": _drawn, "photos": _named, "sounds": _heard}.items():
        try:
            listed = read(harness)
        except REASONS as reason:
            rows[f"fewshot.{what}"] = skipped(reason)
            continue
        for corpus, (kind, classes) in sorted(listed.items()):
            try:
                vectors = [_vectors(harness, loads[:: -(-len(loads) // MAX_EXAMPLES)], corpus) for loads in classes]
            except REASONS as reason:
                rows[f"fewshot.{corpus}.{N_WAYS}way_1shot.accuracy"] = skipped(reason)
                continue
            for n_shots in SHOTS:
                rows |= _episode_rows(harness, f"fewshot.{corpus}.{N_WAYS}way_{n_shots}shot", vectors, n_shots, kind)
    return rows


# --- classes -----------------------------------------------------------------------------------------------------

Listed: TypeAlias = dict[str, tuple[Kind, list[list[Load]]]]
"""Set name -> the kind of its media, and its classes."""


def _drawn(harness: Harness) -> Listed:
    pairs = [(each.corpus, each.label, each.load) for each in fewshot(harness.data, harness.split)]
    return _listed(harness, "photo", pairs, 1)


def _named(harness: Harness) -> Listed:
    records = [
        (noun_of(each.captions.get("en", ()), UNSEEN), each.load) for each in photos(harness.data, harness.split)
    ]
    return _listed(harness, "photo", [("photos", noun, load) for noun, load in records if noun is not None], ROOMY)


def _heard(harness: Harness) -> Listed:
    pairs = [(each.corpus, each.label, each.load) for each in sounds(harness.data, harness.split)]
    return _listed(harness, "sound", pairs, ROOMY)


def _listed(harness: Harness, kind: Kind, pairs: Sequence[tuple[str, str, Load]], n_least: int) -> Listed:
    """Set name -> its classes that have enough examples, at most MAX_CLASSES."""
    sets: dict[str, dict[str, list[Load]]] = {}
    for corpus, label, load in pairs:
        sets.setdefault(corpus, {}).setdefault(label, []).append(load)
    found: Listed = {}
    for corpus, classes in sets.items():
        labels = harness.take(sorted(label for label, loads in classes.items() if len(loads) >= n_least), MAX_CLASSES)
        found[corpus] = (kind, [classes[label] for label in labels])
    return found


def _vectors(harness: Harness, loads: Sequence[Load], what: str) -> np.ndarray:
    """(n, D) float32 of the examples that can be embedded: UrbanSound8K has sounds of less than 0.1 s."""
    vectors = []
    for load in harness.each(loads, what):
        with suppress(MediaError):
            vectors.append(harness.vector(load()))
    if not vectors:
        raise MediaError("no_example", "No example of a class of {name} can be read.", name=what)
    return np.stack(vectors)


# --- episodes ----------------------------------------------------------------------------------------------------


def _episode_rows(harness: Harness, key: str, classes: list[np.ndarray], n_shots: int, kind: Kind) -> Rows:
    usable = [vectors for vectors in classes if len(vectors) > n_shots]
    if len(usable) < N_WAYS:
        reason = ValueError(f"only {len(usable)} classes have more than {n_shots} examples")
        return {f"{key}.accuracy": skipped(reason)}
    rng, rng_out_of_set = np.random.default_rng(harness.seed), np.random.default_rng(harness.seed + 1)
    n_queries = min(N_QUERIES, min(len(vectors) for vectors in usable) - n_shots)
    head = head_for([kind], harness.host.info.model_digest)
    one_hot = torch.eye(N_WAYS).repeat_interleave(n_shots, 0)
    accuracies: dict[str, list[np.floating]] = {}

    def add(name: str, predicted: np.ndarray, target: np.ndarray | int) -> None:
        accuracies.setdefault(name, []).append(np.mean(predicted == target))

    for _ in range(N_EPISODES):
        chosen = rng.choice(len(usable), N_WAYS, replace=False)
        drawn = np.stack([rng.permutation(usable[i])[: n_shots + n_queries] for i in chosen])  # (ways, shots + q, D)
        support, queries = drawn[:, :n_shots], drawn[:, n_shots:]
        target = np.repeat(np.arange(N_WAYS), n_queries)
        queries = queries.reshape(-1, queries.shape[-1])
        add("accuracy", np.argmax(queries @ support.mean(1).T, 1), target)
        add("logistic.accuracy", _regression(support, queries), target)
        adapted = adapt(head, torch.from_numpy(support.reshape(-1, support.shape[-1])), one_hot)
        logits = class_logits(adapted, torch.from_numpy(queries)).numpy()
        add("adapted.accuracy", np.argmax(logits[:, :-1], 1), target)
        others = [vectors for i, vectors in enumerate(usable) if i not in chosen]
        if others:
            outside = np.concatenate(others)
            outside = outside[rng_out_of_set.integers(len(outside), size=len(target))]
            add("adapted.in_set_accuracy", np.argmax(logits, 1), target)
            predicted = class_logits(adapted, torch.from_numpy(outside)).argmax(1).numpy()
            add("adapted.out_of_set_accuracy", predicted, N_WAYS)
    counted = f"{N_EPISODES} episodes, {len(usable)} classes"
    chance, rejecting = f"{counted}; chance {100 / N_WAYS:.0f} %", 'where "none of these" is an answer too,'
    notes = {
        "accuracy": f"nearest centroid; {chance}",
        "logistic.accuracy": f"logistic regression; {chance}",
        "adapted.accuracy": f'the head of "Teach it"; {chance}',
        "adapted.in_set_accuracy": f"{rejecting} of the 5 classes; {counted}",
        "adapted.out_of_set_accuracy": f'{rejecting} of other classes, "none of these" is right; {counted}',
    }
    return {f"{key}.{name}": _mean_row(values, notes[name]) for name, values in accuracies.items()}


def _mean_row(accuracies: list[np.floating], note: str) -> Row:
    values = 100.0 * np.asarray(accuracies, np.float64)
    mean, half = float(values.mean()), Z_95 * float(values.std(ddof=1)) / len(values) ** 0.5
    return Row(mean, len(values), interval=(mean - half, mean + half), note=note)


def _regression(support: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """Classes of queries (q, D) by softmax regression on support (ways, shots, D), by plain gradient descent."""
    n_ways, n_shots, n_dims = support.shape
    centre = support.mean((0, 1))
    x = (support.reshape(-1, n_dims) - centre) * 4.0  # unit vectors lie close; a step of 1 is stable up to here
    target = np.repeat(np.eye(n_ways), n_shots, 0)
    weights = np.zeros((n_dims, n_ways))
    for _ in range(N_DESCENT):
        logits = x @ weights
        probabilities = np.exp(logits - logits.max(1, keepdims=True))
        probabilities /= probabilities.sum(1, keepdims=True)
        weights -= x.T @ (probabilities - target) / len(x) + WEIGHT_DECAY * weights
    return np.argmax((queries - centre) @ weights, 1)
