"""Pairs of sentences with the same meaning: translations, and captions of one photo, drawn with little padding."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engines import archives

POOL = 8
"""Batches' worth of pairs drawn at once, from which a batch of similar lengths is taken."""
LANGUAGE_PAIRS = {"en-de": 0.42, "en-fr": 0.4, "en-zh": 0.18}
OTHER_CORPUS = 0.05
"""Weight of a corpus without a weight of its own in the table given."""


@dataclass(frozen=True)
class Pair:
    """A sentence and its translation or paraphrase."""

    source: str
    target: str
    languages: tuple[str, str]

    @property
    def length(self) -> int:
        """Bytes of the longer text: about four per token in every language, and faster than counting tokens."""
        return max(len(self.source.encode()), len(self.target.encode()))


class Pairs:
    """The translations of a data folder by corpus, and captions of photos that are not in it."""

    def __init__(self, data: Path) -> None:
        self.lists = {languages: self._read(data, languages) for languages in LANGUAGE_PAIRS}
        self.unseen: list[Mapping[str, tuple[str, ...]]] = []
        with suppress(archives.DatasetMissing):
            self.unseen = [captions for captions in archives.captions_only(data) if "en" in captions]

    @staticmethod
    def _read(data: Path, languages: str) -> dict[str, list[Pair]]:
        source, target = languages.split("-")
        found: dict[str, list[Pair]] = {}
        for record in archives.pairs(data, languages, "train"):
            found.setdefault(record.corpus, []).append(Pair(record.source, record.target, (source, target)))
        return found

    def translations(self, n: int, rng: np.random.Generator, weights: Mapping[str, float]) -> list[Pair]:
        """n pairs, English first. weights: relative frequency of each corpus."""
        found: list[Pair] = []
        counts = rng.multinomial(n, list(LANGUAGE_PAIRS.values()))
        for languages, count in zip(LANGUAGE_PAIRS, counts, strict=True):
            corpora = self.lists[languages]
            p = np.array([weights.get(name, OTHER_CORPUS) for name in corpora])
            for corpus, m in zip(corpora.values(), rng.multinomial(count, p / p.sum()), strict=True):
                found += [corpus[i] for i in rng.integers(len(corpus), size=m).tolist()]
        return found

    def captions(self, n: int, rng: np.random.Generator) -> list[Pair]:
        """n pairs of captions of one photo each: English with German or with other English."""
        return [self._caption_pair(self.unseen[i], rng) for i in rng.integers(len(self.unseen), size=n).tolist()]

    @staticmethod
    def _caption_pair(captions: Mapping[str, tuple[str, ...]], rng: np.random.Generator) -> Pair:
        language = "de" if "de" in captions and rng.random() < 0.5 else "en"
        first, among = captions["en"], captions[language]
        return Pair(first[int(rng.integers(len(first)))], among[int(rng.integers(len(among)))], ("en", language))


def similar_lengths(pairs: list[Pair], size: int, rng: np.random.Generator) -> list[Pair]:
    """`size` pairs that are neighbours by length; otherwise half of a batch would be padding."""
    order = np.argsort([pair.length for pair in pairs], kind="stable")
    start = int(rng.integers(len(order) - size + 1))
    return [pairs[i] for i in order[start : start + size].tolist()]
