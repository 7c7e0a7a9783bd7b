"""Nouns of captions, as names for the decoder to write from; and captions in which a noun is exchanged.

Text alone teaches the decoder to use a name it is given (ViECap, Fei et al., ICCV 2023, and OFCap, 2024, do so with
entities; Oscar, Li et al., ECCV 2020, with object tags beside the picture). The names of a caption are its own nouns;
in part of the captions one of them is exchanged for the name of a random class of the same kind, in the caption and
among the names, so that words which no caption holds are copied, too. The word lists are ours.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from engines.model.config import Concept, ConceptGroup
from engines.training.lexicon import LEXICON

_NOT_NOUNS = frozenset(LEXICON["not_nouns"])
_WORD = re.compile(r"[A-Za-zÄÖÜäöüß'-]+")
_GERMAN_NOUN = re.compile(r"(?<![.!?] )(?<!^)\b[A-ZÄÖÜ][a-zäöüß]{2,}\b")
_FEMININE = ("e", "ung", "heit", "keit", "schaft", "tion", "tur", "ei", "nz")
_NEUTER = ("chen", "lein", "ment", "um", "tier", "zeug", "boot", "haus", "rad", "glas", "brot", "huhn", "auto")


def nouns(caption: str, language: str) -> list[str]:
    """The words of a caption that name things, by rule: most of them nouns, in their order."""
    if language == "zh":
        return _chinese_nouns(caption)
    if language == "de":
        return list(dict.fromkeys(_GERMAN_NOUN.findall(caption)))
    words = _WORD.findall(caption.lower())
    kept = (w for w in words if len(w) > 2 and w not in _NOT_NOUNS and not w.endswith(("ing", "ly", "ed", "'s")))
    return list(dict.fromkeys(kept))


@lru_cache(maxsize=50_000)
def _tagged(caption: str) -> tuple[str, ...]:
    import jieba.posseg

    return tuple(word for word, tag in jieba.posseg.lcut(caption) if tag.startswith("n") and tag != "nr")


def _chinese_nouns(caption: str) -> list[str]:
    return list(dict.fromkeys(_tagged(caption)))


def drawn(names: Sequence[str], rng: np.random.Generator, most: int = 3) -> list[str]:
    """One to `most` of some names, in any order; none of none."""
    if not names:
        return []
    n = int(rng.integers(1, most + 1))
    return [str(name) for name in rng.permutation(list(names))[:n]]


@dataclass(frozen=True)
class Exchanged:
    """A caption with another noun in it. name: the one put in; others: nouns that stayed."""

    caption: str
    name: str
    others: list[str]


class Exchange:
    """Puts the name of a random class where a caption names something of the same kind, or anything at all.

    classes, groups: as a model's config has them; a word of a group is exchanged for one of its members.
    """

    def __init__(self, classes: Sequence[Concept], groups: Sequence[ConceptGroup]) -> None:
        self.classes = classes
        self.by_word: dict[str, dict[str, list[int]]] = {"en": {}, "de": {}, "zh": {}}
        for language, words in self.by_word.items():
            for group in groups:
                words[getattr(group.name, language).lower()] = list(group.members)
            for i, concept in enumerate(classes):
                words.setdefault(getattr(concept, language).lower(), [i])

    def __call__(self, caption: str, language: str, rng: np.random.Generator) -> Exchanged | None:
        found = nouns(caption, language)
        known = [noun for noun in found if noun.lower() in self.by_word[language]]
        if not found:
            return None
        if known and rng.random() < 0.8:
            old = str(rng.choice(known))
            among = self.by_word[language][old.lower()]
            i = (
                int(rng.choice(among))
                if len(among) > 1 and rng.random() < 0.6
                else int(rng.integers(len(self.classes)))
            )
        else:
            old, i = str(rng.choice(found)), int(rng.integers(len(self.classes)))
        name = str(getattr(self.classes[i], language))
        changed = self._put(caption, old, name, language)
        if changed is None:
            return None
        return Exchanged(changed, name, [noun for noun in found if noun != old])

    @staticmethod
    def _put(caption: str, old: str, name: str, language: str) -> str | None:
        """The caption with the noun exchanged and the article before it made to fit; None where it can't be."""
        if language == "zh":
            return caption.replace(old, name, 1)
        at = re.search(rf"(?:\b(a|an|ein|eine) )?((?:\w+ )?)\b{re.escape(old)}\b", caption, re.IGNORECASE)
        if at is None or (language == "en" and old.endswith("s") and not name.endswith("s")):
            return None
        article, between = at.group(1) or "", at.group(2)
        fits = article and not between and (gender(name) == "f") == (article.lower() == "eine")
        if language == "de" and not fits:
            return None
        if language == "en" and article and not between:
            article = (
                ("An" if name[0].lower() in "aeiou" else "A")
                if article[0].isupper()
                else ("an" if name[0].lower() in "aeiou" else "a")
            )
        put = f"{article} " if article else ""
        return caption[: at.start()] + put + between + name + caption[at.end() :]


def gender(noun: str) -> str:
    """A German noun's gender by its ending: "m", "f" or "n"; right for most."""
    low = noun.lower()
    if low.endswith(_NEUTER):
        return "n"
    return "f" if low.endswith(_FEMININE) else "m"
