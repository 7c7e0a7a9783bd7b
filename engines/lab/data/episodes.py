"""Episodes for few-shot learning: small tasks of a few classes, each with a support set and a query set.

Classes for training and for testing are disjoint: other scripts, another language and other voices, or the other half
of a folder's classes.

Axes: T tasks, W ways (classes of a task), n examples.
"""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from engines.errors import RequestError
from engines.lab.data.arrays import Pictures, Sounds
from engines.lab.data.datasets import Characters, Dataset, DatasetSplit, bundled, characters, digits, omniglot
from engines.lab.findings import DatasetRecord
from engines.model.fusion import StreamModality

PX = 32
"""The side of a picture, the least that the picture tower takes; a drawing has 28."""
MAX_NOISE = 0.5
"""Maximum noise level of spoken digits; each batch of episodes draws its own, uniformly."""
TRAIN_LANGUAGES, TEST_LANGUAGES = ("en", "de", "fr"), ("zh",)


@dataclass(frozen=True, eq=False)
class Episodes:
    """T tasks, examples sorted by class. support: (T, W * n_shots, ...); queries: (T, W * n_queries, ...)."""

    support: Tensor
    queries: Tensor

    def __len__(self) -> int:
        return len(self.support)


@dataclass(frozen=True, eq=False)
class ClassPool:
    """Classes that tasks are drawn from. rows: of each class, its rows in `examples`; noise: its maximum."""

    examples: Pictures | Sounds
    rows: tuple[np.ndarray, ...]
    noise: float = 0.0

    @property
    def modality(self) -> StreamModality:
        return "picture" if isinstance(self.examples, Pictures) else "sound"

    def episodes(self, n_tasks: int, n_ways: int, n_shots: int, n_queries: int, rng: np.random.Generator) -> Episodes:
        """Draw tasks, the classes and examples of each without replacement."""
        index = np.array(
            [
                [
                    rng.choice(self.rows[c], n_shots + n_queries, replace=False)
                    for c in rng.choice(len(self.rows), n_ways, replace=False)
                ]
                for _ in range(n_tasks)
            ]
        )  # (T, W, n)
        x = self._batch(index.ravel(), rng).unflatten(0, index.shape)
        return Episodes(x[:, :, :n_shots].flatten(1, 2), x[:, :, n_shots:].flatten(1, 2))

    def sample(self, n: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Draw n examples of random classes (n, ...), and the numbers of those classes (n,)."""
        classes = rng.integers(len(self.rows), size=n)
        index = np.array([rng.choice(self.rows[c]) for c in classes])
        return self._batch(index, rng), torch.from_numpy(classes)

    def _batch(self, index: np.ndarray, rng: np.random.Generator) -> Tensor:
        """Pictures (n, 3, PX, PX), or log-mel (n, N_MELS, S); shorter sounds are padded with silence."""
        noise = rng.uniform(0.0, self.noise)
        if isinstance(self.examples, Pictures):
            return self.examples.batch(index, noise=noise, rng=rng, px=PX)
        return self.examples.batch(index, noise=noise, rng=rng)[0]


@dataclass(frozen=True, eq=False)
class MetaDataset:
    """Classes for meta-training, for validation and for testing."""

    train: ClassPool
    valid: ClassPool
    test: ClassPool
    record: DatasetRecord

    def check(self, n_ways: int, n_shots: int) -> None:
        """Raises RequestError where there are too few classes, or too few examples of one, for such tasks."""
        n_classes = min(len(pool.rows) for pool in (self.train, self.valid, self.test))
        if n_ways > n_classes:
            raise RequestError(
                "too_few_classes",
                "Tasks of {n_ways} classes cannot be made: there are {n_classes} to learn from or to "
                "test on; choose fewer classes per task, or add classes.",
                n_ways=n_ways,
                n_classes=n_classes,
            )
        n_examples = self.n_examples
        if n_shots >= n_examples:
            raise RequestError(
                "too_few_examples",
                "{n_shots} examples per class leave none to be named: a class has only {n_examples}; choose fewer.",
                n_shots=n_shots,
                n_examples=n_examples,
            )

    @property
    def n_examples(self) -> int:
        """The number of examples of the smallest class."""
        return min(len(rows) for pool in (self.train, self.valid, self.test) for rows in pool.rows)


def meta_dataset(name: str, dataset: Dataset | None, seed: int) -> MetaDataset:
    """A person's own data set split by classes; without one, "characters" or "digits". Raises RequestError."""
    if dataset is not None:
        return from_dataset(dataset, seed)
    return from_characters() if name == "characters" else from_digits()


@functools.cache
def from_characters() -> MetaDataset:
    """Drawn characters; the scripts of the splits are disjoint."""
    record = bundled("characters")
    assert record is not None
    return MetaDataset(
        _drawn(characters("train"), rotated=True), _drawn(characters("valid")), _drawn(characters("test")), record
    )


def from_omniglot(data: Path) -> MetaDataset:
    """Omniglot (Lake et al. 2015): train on the alphabets of "train", test on those of "dev". Raises RequestError."""
    train, dev = omniglot(data, "train"), omniglot(data, "dev")
    digest = hashlib.sha256(train.drawings.tobytes() + dev.drawings.tobytes()).hexdigest()
    record = DatasetRecord("omniglot", digest, ("omniglot28.tar",))
    return MetaDataset(_drawn(train, rotated=True), _drawn(train), _drawn(dev), record)


def from_digits() -> MetaDataset:
    """Spoken digits, a class for each digit of each language.

    Training and validation are in three languages with different voices; the test is in a fourth, with new voices.
    """
    dataset, record = digits(), bundled("digits")
    assert record is not None

    def spoken(split: DatasetSplit, languages: tuple[str, ...]) -> ClassPool:
        sounds = split.sounds
        assert sounds is not None
        classes = [(dataset.languages.index(language), label) for language in languages for label in range(10)]
        rows = (np.flatnonzero((sounds.languages == number) & (sounds.labels == label)) for number, label in classes)
        return ClassPool(sounds, tuple(rows), MAX_NOISE)

    return MetaDataset(
        spoken(dataset.train, TRAIN_LANGUAGES),
        spoken(dataset.valid, TRAIN_LANGUAGES),
        spoken(dataset.test, TEST_LANGUAGES),
        record,
    )


def from_dataset(dataset: Dataset, seed: int) -> MetaDataset:
    """Its pictures, else its sounds: half of the classes to train and validate on, the other half to test on."""
    splits = (dataset.train, dataset.valid, dataset.test)
    pictures = [split.pictures for split in splits if split.pictures is not None]
    sounds = [split.sounds for split in splits if split.sounds is not None]
    examples = _joined_pictures(pictures) if pictures else _joined_sounds(sounds)
    order = np.random.default_rng(seed).permutation(len(dataset.classes))
    half = (len(order) + 1) // 2
    train, test = (
        ClassPool(examples, tuple(np.flatnonzero(examples.labels == label) for label in labels))
        for labels in (order[:half], order[half:])
    )
    return MetaDataset(train, train, test, dataset.record)


def _drawn(found: Characters, *, rotated: bool = False) -> ClassPool:
    """rotated: each character also by quarter turns, as further classes (Santoro et al. 2016, arXiv:1605.06065)."""
    drawings = found.drawings  # (C, n, 28, 28)
    if rotated:
        drawings = np.concatenate([np.rot90(drawings, turn, (2, 3)) for turn in range(4)])
    n_classes, n_each, *side = drawings.shape
    labels = np.repeat(np.arange(n_classes), n_each)
    rows = np.arange(len(labels)).reshape(n_classes, n_each)
    return ClassPool(Pictures(255 * drawings.reshape(-1, *side, 1), labels), tuple(rows))


def _joined_pictures(parts: list[Pictures]) -> Pictures:
    return Pictures(np.concatenate([p.pixels for p in parts]), np.concatenate([p.labels for p in parts]))


def _joined_sounds(parts: list[Sounds]) -> Sounds:
    codes = [code for part in parts for code in np.split(part.mel, part.ends[:-1])]
    return Sounds.of(codes, np.concatenate([part.labels for part in parts]))
