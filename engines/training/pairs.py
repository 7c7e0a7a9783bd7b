"""Pairs of sentences that mean the same: translations, and captions of one photo; drawn so that little is padding."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engines import archives

POOL = 8
"""Batches' worth of pairs drawn at once, of which a run of like lengths is taken."""
LANGUAGE_PAIRS = {"en-de": 0.42, "en-fr": 0.4, "en-zh": 0.18}
OTHER_CORPUS = 0.05
"""How often a corpus that is not named is drawn, one that is named counting what it is given."""


@dataclass(frozen=True)
class Pair:
    """A sentence and its translation, or another of its kind."""

    source: str
    target: str
    languages: tuple[str, str]

    @property
    def length(self) -> int:
        """Bytes of the longer one: about four a piece in every language, and quicker told."""
        return max(len(self.source.encode()), len(self.target.encode()))


class Pairs:
    """The translations of a data folder by corpus, and the captions of photos that are not at hand."""

    def __init__(self, data: Path) -> None:
        self.lists = {languages: self._read(data, languages) for languages in LANGUAGE_PAIRS}
        try:
            records = archives.captions_only(data)
        except archives.MissingPart:
            records = []
        self.unseen = [record.captions for record in records if "en" in record.captions]

    @staticmethod
    def _read(data: Path, languages: str) -> dict[str, list[Pair]]:
        source, target = languages.split("-")
        found: dict[str, list[Pair]] = {}
        for record in archives.pairs(data, languages, "train"):
            found.setdefault(record.corpus, []).append(Pair(record.source, record.target, (source, target)))
        return found

    def translations(self, n: int, rng: np.random.Generator, weights: Mapping[str, float]) -> list[Pair]:
        """n pairs, English first. weights: how often each corpus is drawn."""
        found: list[Pair] = []
        counts = rng.multinomial(n, list(LANGUAGE_PAIRS.values()))
        for languages, count in zip(LANGUAGE_PAIRS, counts, strict=True):
            corpora = self.lists[languages]
            p = np.array([weights.get(name, OTHER_CORPUS) for name in corpora])
            for corpus, m in zip(corpora.values(), rng.multinomial(count, p / p.sum()), strict=True):
                found += [corpus[i] for i in rng.integers(len(corpus), size=m).tolist()]
        return found

    def captions(self, n: int, rng: np.random.Generator) -> list[Pair]:
        """n pairs of captions of photos that are not at hand: English with German or with other English."""
        return [self._two(self.unseen[i], rng) for i in rng.integers(len(self.unseen), size=n).tolist()]

    @staticmethod
    def _two(captions: Mapping[str, tuple[str, ...]], rng: np.random.Generator) -> Pair:
        language = "de" if "de" in captions and rng.random() < 0.5 else "en"
        first, among = captions["en"], captions[language]
        return Pair(first[int(rng.integers(len(first)))], among[int(rng.integers(len(among)))], ("en", language))


def of_like_length(pairs: list[Pair], size: int, rng: np.random.Generator) -> list[Pair]:
    """A run of neighbours by length: padding would otherwise be half of a batch."""
    order = np.argsort([pair.length for pair in pairs], kind="stable")
    start = int(rng.integers(len(order) - size + 1))
    return [pairs[i] for i in order[start : start + size].tolist()]
