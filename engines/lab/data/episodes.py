"""Small tasks for learning to learn: a few classes, few examples of each to adapt to, and others of them to name.

Tasks to learn from and tasks to be tested on share no class: other scripts, another language with other voices, or the
other half of a folder's classes.

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
from engines.lab.data.datasets import (
    Characters,
    Material,
    Part,
    Pictures,
    Sounds,
    bundled,
    characters,
    digits,
    omniglot,
)
from engines.lab.findings import DataList
from engines.model.fusion import StreamSense

PX = 32
"""The side of a picture in a task, the least that the picture tower takes: a drawing has 28."""
MAX_NOISE = 0.5
"""Of spoken digits: every draw of tasks has its own noise, up to this."""
LEARNT, NEW = ("en", "de", "fr"), ("zh",)
"""Languages whose spoken digits are learnt from, and those of the test."""


@dataclass(frozen=True, eq=False)
class Tasks:
    """T tasks. support: what is adapted to, (T, W * n_shots, ...); queries: what is to be named, (T, W * n_queries,
    ...), both class by class."""

    support: Tensor
    queries: Tensor

    def __len__(self) -> int:
        return len(self.support)


@dataclass(frozen=True, eq=False)
class Pool:
    """Classes that tasks are drawn from. rows: of each class, its places in `examples`; noise: the most there is."""

    examples: Pictures | Sounds
    rows: tuple[np.ndarray, ...]
    noise: float = 0.0

    @property
    def sense(self) -> StreamSense:
        return "picture" if isinstance(self.examples, Pictures) else "sound"

    def tasks(self, n_tasks: int, n_ways: int, n_shots: int, n_queries: int, rng: np.random.Generator) -> Tasks:
        """Every task with classes and examples of its own; no example of a task is there twice."""
        index = np.array(
            [
                [rng.choice(self.rows[c], n_shots + n_queries, replace=False) for c in self._classes(n_ways, rng)]
                for _ in range(n_tasks)
            ]
        )  # (T, W, n)
        x = self._batch(index.ravel(), rng).unflatten(0, index.shape)
        return Tasks(x[:, :, :n_shots].flatten(1, 2), x[:, :, n_shots:].flatten(1, 2))

    def _classes(self, n_ways: int, rng: np.random.Generator) -> np.ndarray:
        return rng.choice(len(self.rows), n_ways, replace=False)

    def draw(self, n: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """n examples of any classes (n, ...) and which ones they are (n,)."""
        classes = rng.integers(len(self.rows), size=n)
        index = np.array([rng.choice(self.rows[c]) for c in classes])
        return self._batch(index, rng), torch.from_numpy(classes)

    def _batch(self, index: np.ndarray, rng: np.random.Generator) -> Tensor:
        """Pictures (n, 3, PX, PX), or log-mel (n, N_MELS, S), S the longest sound: past its end a sound is quiet."""
        noise = rng.uniform(0.0, self.noise)
        if isinstance(self.examples, Pictures):
            return self.examples.batch(index, noise=noise, rng=rng, px=PX)
        return self.examples.batch(index, noise=noise, rng=rng)[0]


@dataclass(frozen=True, eq=False)
class Pools:
    """Where tasks come from: to learn, to watch the learning by, and to test."""

    train: Pool
    valid: Pool
    test: Pool
    data: DataList

    def check(self, n_ways: int, n_shots: int) -> None:
        """Raises RequestError where there are too few classes, or examples of one, for such tasks."""
        pools = (self.train, self.valid, self.test)
        n_classes = min(len(pool.rows) for pool in pools)
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
        """Those of the class that has the fewest."""
        return min(len(rows) for pool in (self.train, self.valid, self.test) for rows in pool.rows)


def pools(material: str, own: Material | None, seed: int) -> Pools:
    """Of "characters" or of "digits"; of a person's own material where there is one. Raises RequestError."""
    if own is not None:
        return of_own(own, seed)
    return of_characters() if material == "characters" else of_digits()


@functools.cache
def of_characters() -> Pools:
    """Drawn characters; each split has scripts of its own."""
    data = bundled("characters")
    assert data is not None
    return Pools(_drawn(characters("train"), True), _drawn(characters("valid")), _drawn(characters("test")), data)


def of_omniglot(data: Path) -> Pools:
    """Omniglot (Lake et al. 2015): the alphabets of "train" to learn from, of "dev" to test on. Raises RequestError."""
    train, dev = omniglot(data, "train"), omniglot(data, "dev")
    digest = hashlib.sha256(train.drawings.tobytes() + dev.drawings.tobytes()).hexdigest()
    return Pools(_drawn(train, True), _drawn(train), _drawn(dev), DataList("omniglot", digest, ("omniglot28.tar",)))


def of_digits() -> Pools:
    """Spoken digits, a class for each digit of each language: three languages to learn from, by some voices; watched
    by others, and tested in a language not heard before, by voices not heard before."""
    all_of_it = digits()
    data = bundled("digits")
    assert data is not None

    def spoken(part: Part, languages: tuple[str, ...]) -> Pool:
        sounds = part.sounds
        assert sounds is not None
        named = [(all_of_it.languages.index(language), label) for language in languages for label in range(10)]
        rows = (np.flatnonzero((sounds.languages == spoken) & (sounds.labels == label)) for spoken, label in named)
        return Pool(sounds, tuple(rows), MAX_NOISE)

    return Pools(spoken(all_of_it.train, LEARNT), spoken(all_of_it.valid, LEARNT), spoken(all_of_it.test, NEW), data)


def of_own(own: Material, seed: int) -> Pools:
    """Pictures, else sounds, of half of the classes to learn from (and to watch by), of the other half to test on."""
    parts = (own.train, own.valid, own.test)
    pictures = [part.pictures for part in parts if part.pictures is not None]
    sounds = [part.sounds for part in parts if part.sounds is not None]
    examples = _joined_pictures(pictures) if pictures else _joined_sounds(sounds)
    order = np.random.default_rng(seed).permutation(len(own.classes))
    half = (len(order) + 1) // 2
    known, new = (
        Pool(examples, tuple(np.flatnonzero(examples.labels == label) for label in some))
        for some in (order[:half], order[half:])
    )
    return Pools(known, known, new, own.data)


def _drawn(found: Characters, turned: bool = False) -> Pool:
    """turned: each character also by quarter turns, as further classes (Santoro et al. 2016, arXiv:1605.06065)."""
    drawings = found.drawings  # (C, n, 28, 28)
    if turned:
        drawings = np.concatenate([np.rot90(drawings, turn, (2, 3)) for turn in range(4)])
    n_classes, n_each, *side = drawings.shape
    labels = np.repeat(np.arange(n_classes), n_each)
    rows = np.arange(len(labels)).reshape(n_classes, n_each)
    return Pool(Pictures(255 * drawings.reshape(-1, *side, 1), labels), tuple(rows))


def _joined_pictures(parts: list[Pictures]) -> Pictures:
    return Pictures(np.concatenate([p.pixels for p in parts]), np.concatenate([p.labels for p in parts]))


def _joined_sounds(parts: list[Sounds]) -> Sounds:
    codes = [code for part in parts for code in np.split(part.mel, part.ends[:-1])]
    return Sounds.of(codes, np.concatenate([part.labels for part in parts]))
