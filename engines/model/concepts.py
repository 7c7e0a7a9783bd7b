"""From the concept head's probabilities to the names that are worth saying.

A classifier of 1,000 classes splits what it knows: a photo of a cat gives "tabby 0.4, tiger cat 0.3, Egyptian cat 0.2",
none of them sure, though "cat" is. So where no class reaches the bar, the sum over a group of classes may (the back-off
of Deng et al., "Hedging Your Bets", CVPR 2012, with two levels). C classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engines.model.config import Concept, ModelConfig

MAX_NAMES = 3
"""Names given to the decoder, at most."""
NAMED_COSINE, NAMED_SLOPE, NAMED_SPREAD = 0.9, 0.04, 0.03
"""A query counts as a concept's name from this cosine on, within this slope; like names share within the spread."""
DOMINANT = 0.6
"""A class with this share of its group's probability is guessed by its own name."""


@dataclass(frozen=True)
class Name:
    """Something that is probably there. probability: 0 to 1."""

    concept: Concept
    probability: float

    def text(self, language: str) -> str:
        name: str = getattr(self.concept, language)
        return name


def names(
    probabilities: np.ndarray, config: ModelConfig, *, sure: float = 0.5, least: float = 0.25
) -> tuple[Name, ...]:
    """(C,) probabilities of one photo -> its likely names, the likeliest first, at most MAX_NAMES.

    Tried in this order: a class with at least `sure`; the smallest group whose sum is at least `sure`; a class with at
    least `least`; the smallest group whose sum is at least `least`.
    """
    classes = [(float(probabilities[i]), i) for i in np.argsort(-probabilities)[: 2 * MAX_NAMES]]
    found: list[Name] = []
    taken: set[int] = set()
    for probability, i in classes:
        if len(found) == MAX_NAMES or i in taken:
            continue
        if probability < sure:
            groups = [g for g in config.concept_groups if i in g.members and not taken & set(g.members)]
            sums = [(float(probabilities[list(group.members)].sum()), group) for group in groups]
            sure_groups = [(total, group) for total, group in sums if total >= sure]
            if sure_groups:
                total, group = min(sure_groups, key=lambda item: len(item[1].members))
                found.append(Name(group.name, total))
                taken |= set(group.members)
                continue
            likely_groups = [(total, group) for total, group in sums if total >= least]
            if probability < least and likely_groups:
                total, group = min(likely_groups, key=lambda item: len(item[1].members))
                found.append(Name(group.name, total))
                taken |= set(group.members)
                continue
        if probability >= least:
            found.append(Name(config.concepts[i], probability))
            taken.add(i)
        if probability >= sure:  # the rest of its groups are other words for the same thing
            taken |= {member for group in config.concept_groups if i in group.members for member in group.members}
    return tuple(found)


def listed(texts: list[str], language: str) -> str:
    """Names as one text for the text tower: "espresso, cup"."""
    return ("、" if language == "zh" else ", ").join(texts)


def likeliest(probabilities: np.ndarray, config: ModelConfig, n: int) -> tuple[Name, ...]:
    """The n likeliest things, for guesses where nothing is sure: classes, and groups of which no class has most."""
    found: dict[str, Name] = {}
    taken: set[int] = set()
    for i in np.argsort(-probabilities)[: 8 * n]:
        if i in taken:
            continue
        named: Concept = config.concepts[i]
        members: tuple[int, ...] = (int(i),)
        for group in sorted(config.concept_groups, key=lambda group: len(group.members)):
            left = tuple(member for member in group.members if member not in taken)
            if i in left and probabilities[i] < DOMINANT * probabilities[list(left)].sum():
                named, members = group.name, left
                break
        before = found[named.en].probability if named.en in found else 0.0  # two classes may have one name
        found[named.en] = Name(named, before + float(probabilities[list(members)].sum()))
        taken |= set(members)
    return tuple(sorted(found.values(), key=lambda name: -name.probability)[:n])


class NameTable:
    """The names of concepts in the shared space, and a code for each: its English name's vector less the mean of all.

    L languages, C concepts, G groups of them, E dimensions. vectors: (L * (C + G), E), as `place_names` makes them.
    """

    def __init__(self, config: ModelConfig, vectors: np.ndarray) -> None:
        n, n_groups = len(config.concepts), len(config.concept_groups)
        self.vectors = vectors.reshape(-1, n + n_groups, vectors.shape[-1])
        english = self.vectors[0, :n]
        codes = english - english.mean(0)
        self.codes: np.ndarray = codes / np.maximum(np.linalg.norm(codes, axis=1, keepdims=True), 1e-9)  # (C, E)
        groups = [self.codes[list(group.members)].sum(0) for group in config.concept_groups]
        self._of_rows = np.concatenate([self.codes, np.reshape(groups, (n_groups, -1))]) if groups else self.codes

    def found(self, vector: np.ndarray) -> np.ndarray | None:
        """The code (E,) of the concepts that a text's vector names, weighted by certainty; None where it names none."""
        cosine = (self.vectors @ vector).max(0)  # (C + G,): the nearest language counts
        best = float(cosine.max())
        sure = 1.0 / (1.0 + np.exp(-(best - NAMED_COSINE) / NAMED_SLOPE))
        if sure < 0.05:
            return None
        share = np.exp((cosine - best) / NAMED_SPREAD)
        code: np.ndarray = sure * (share / share.sum()) @ self._of_rows
        return code
