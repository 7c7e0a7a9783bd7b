"""Few-shot classes from frozen photo vectors: nearest centroid (Snell et al. 2017) and logistic regression.

An episode draws 5 classes the model was never trained on, 1 or 5 examples of each, and up to 15 others to name.
"""

from __future__ import annotations

import numpy as np

from engines.archives import ExampleRecord, fewshot
from engines.evaluation.bench import REASONS, Bench, Row, Rows, skipped
from engines.evaluation.metrics import Z_95
from engines.protocol import Photo

N_WAYS = 5
SHOTS = (1, 5)
N_QUERIES = 15
N_EPISODES = 600
MAX_CLASSES = 100
MAX_EXAMPLES = 20
"""Of a class, one vector each: 2,000 pictures of a set at most."""


def fewshot_rows(bench: Bench) -> Rows:
    """`fewshot.<set>.5way_<n>shot.accuracy` by nearest centroid, `.logistic.accuracy` by logistic regression."""
    rows: Rows = {}
    records = fewshot(bench.data, bench.split)
    for corpus in sorted({record.corpus for record in records}):
        whole = [record for record in records if record.corpus == corpus]
        labels = bench.take(sorted({record.label for record in whole}), MAX_CLASSES)
        try:
            classes = [_class_vectors(bench, [r for r in whole if r.label == label], corpus) for label in labels]
        except REASONS as reason:
            rows[f"fewshot.{corpus}.{N_WAYS}way_1shot.accuracy"] = skipped(reason)
            continue
        for n_shots in SHOTS:
            rows |= _episode_rows(bench, f"fewshot.{corpus}.{N_WAYS}way_{n_shots}shot", classes, n_shots)
    return rows


def _class_vectors(bench: Bench, records: list[ExampleRecord], what: str) -> np.ndarray:
    return bench.vectors(records[:MAX_EXAMPLES], _picture, what)


def _picture(record: ExampleRecord) -> Photo:
    pixels = record.source.photo().pixels
    if record.box is None:
        return Photo(pixels)
    left, top, right, bottom = record.box
    return Photo(np.ascontiguousarray(pixels[top:bottom, left:right]))


def _episode_rows(bench: Bench, key: str, classes: list[np.ndarray], n_shots: int) -> Rows:
    usable = [vectors for vectors in classes if len(vectors) > n_shots]
    if len(usable) < N_WAYS:
        reason = ValueError(f"only {len(usable)} classes have more than {n_shots} pictures")
        return {f"{key}.accuracy": skipped(reason)}
    rng = np.random.default_rng(bench.seed)
    n_queries = min(N_QUERIES, min(len(vectors) for vectors in usable) - n_shots)
    by_centroid, by_regression = [], []
    for _ in range(N_EPISODES):
        chosen = rng.choice(len(usable), N_WAYS, replace=False)
        drawn = np.stack([rng.permutation(usable[i])[: n_shots + n_queries] for i in chosen])  # (ways, shots + q, D)
        support, queries = drawn[:, :n_shots], drawn[:, n_shots:]
        right = np.repeat(np.arange(N_WAYS), n_queries)
        queries = queries.reshape(-1, queries.shape[-1])
        by_centroid.append(np.mean(np.argmax(queries @ support.mean(1).T, 1) == right))
        by_regression.append(np.mean(_regression(support, queries) == right))
    note = f"{N_EPISODES} episodes, {len(usable)} classes; chance {100 / N_WAYS:.0f} %"
    return {
        f"{key}.accuracy": _mean_row(by_centroid, f"nearest centroid; {note}"),
        f"{key}.logistic.accuracy": _mean_row(by_regression, f"logistic regression; {note}"),
    }


def _mean_row(shares: list[np.floating], note: str) -> Row:
    values = 100.0 * np.asarray(shares, np.float64)
    mean, half = float(values.mean()), Z_95 * float(values.std(ddof=1)) / len(values) ** 0.5
    return Row(mean, len(values), interval=(mean - half, mean + half), note=note)


def _regression(support: np.ndarray, queries: np.ndarray, *, n_steps: int = 100, decay: float = 0.01) -> np.ndarray:
    """Classes of queries (q, D) by softmax regression on support (ways, shots, D), by plain gradient descent."""
    n_ways, n_shots, n_dims = support.shape
    centre = support.mean((0, 1))
    x = (support.reshape(-1, n_dims) - centre) * 4.0  # unit vectors lie close; a step of 1 is stable up to here
    target = np.repeat(np.eye(n_ways), n_shots, 0)
    weights = np.zeros((n_dims, n_ways))
    for _ in range(n_steps):
        logits = x @ weights
        chances = np.exp(logits - logits.max(1, keepdims=True))
        chances /= chances.sum(1, keepdims=True)
        weights -= x.T @ (chances - target) / len(x) + decay * weights
    return np.argmax((queries - centre) @ weights, 1)
