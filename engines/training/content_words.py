"""Nouns of captions, as names for the decoder to write from, and captions in which one noun is replaced.

Text alone teaches the decoder to use the names it is given (ViECap, Fei et al., ICCV 2023, and OFCap, 2024, do so with
entities; Oscar, Li et al., ECCV 2020, with object tags beside the picture). A caption's names are its nouns. In some
captions one noun is replaced by the name of a random class of the same kind, in the caption and among the names, so
that the decoder also learns to copy words that no caption contains.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from engines.model.config import Concept, ConceptGroup
from engines.training.lexicon import LEXICON, word_set

_NOT_NOUNS = word_set(LEXICON["not_nouns"])
_WORD = re.compile(r"[A-Za-zÄÖÜäöüß'-]+")
_GERMAN_NOUN = re.compile(r"(?<![.!?] )(?<!^)\b[A-ZÄÖÜ][a-zäöüß]{2,}\b")
_FEMININE = ("e", "ung", "heit", "keit", "schaft", "tion", "tur", "ei", "nz")
_NEUTER = ("chen", "lein", "ment", "um", "tier", "zeug", "boot", "haus", "rad", "glas", "brot", "huhn", "auto")


def nouns(caption: str, language: str) -> list[str]:
    """The words of a caption that name things, by rule, in order; most of them are nouns."""
    if language == "zh":
        return list(dict.fromkeys(_chinese_nouns(caption)))
    if language == "de":
        return list(dict.fromkeys(_GERMAN_NOUN.findall(caption)))
    words = _WORD.findall(caption.lower())
    kept = (w for w in words if len(w) > 2 and w not in _NOT_NOUNS and not w.endswith(("ing", "ly", "ed", "'s")))
    return list(dict.fromkeys(kept))


@lru_cache(maxsize=50_000)
def _chinese_nouns(caption: str) -> tuple[str, ...]:
    import jieba.posseg

    return tuple(word for word, tag in jieba.posseg.lcut(caption) if tag.startswith("n") and tag != "nr")


def sample(names: Sequence[str], rng: np.random.Generator, most: int = 3) -> list[str]:
    """One to `most` of the names in random order; an empty list where there are none."""
    if not names:
        return []
    n = int(rng.integers(1, most + 1))
    return [str(name) for name in rng.permutation(list(names))[:n]]


@dataclass(frozen=True)
class Replacement:
    """A caption with one noun replaced. name: the new noun; others: the nouns that stayed."""

    caption: str
    name: str
    others: list[str]


class NounReplacer:
    """Puts the name of a random class where a caption names something of the same kind, or else any noun.

    classes, groups: those of a model's config; a group's word is replaced by the name of one of its members.
    """

    def __init__(self, classes: Sequence[Concept], groups: Sequence[ConceptGroup]) -> None:
        self.classes = classes
        self.by_word: dict[str, dict[str, list[int]]] = {"en": {}, "de": {}, "zh": {}}
        for language, words in self.by_word.items():
            for group in groups:
                words[getattr(group.name, language).lower()] = list(group.members)
            for i, concept in enumerate(classes):
                words.setdefault(getattr(concept, language).lower(), [i])

    def __call__(self, caption: str, language: str, rng: np.random.Generator) -> Replacement | None:
        words = nouns(caption, language)
        known = [noun for noun in words if noun.lower() in self.by_word[language]]
        if not words:
            return None
        if known and rng.random() < 0.8:
            old = str(rng.choice(known))
            among = self.by_word[language][old.lower()]
            same_kind = len(among) > 1 and rng.random() < 0.6
            i = int(rng.choice(among)) if same_kind else int(rng.integers(len(self.classes)))
        else:
            old, i = str(rng.choice(words)), int(rng.integers(len(self.classes)))
        name = str(getattr(self.classes[i], language))
        changed = self._replace(caption, old, name, language)
        if changed is None:
            return None
        return Replacement(changed, name, [noun for noun in words if noun != old])

    @staticmethod
    def _replace(caption: str, old: str, name: str, language: str) -> str | None:
        """The caption with the noun replaced and the article before it adapted; None where that is impossible."""
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
            article = article[0] + ("n" if name[0].lower() in "aeiou" else "")
        return caption[: at.start()] + (f"{article} " if article else "") + between + name + caption[at.end() :]


def gender(noun: str) -> str:
    """The gender of a German noun, "m", "f" or "n", guessed from its ending."""
    low = noun.lower()
    if low.endswith(_NEUTER):
        return "n"
    return "f" if low.endswith(_FEMININE) else "m"
