"""Word lists of training and evaluation, read from `lexicon.json`, and what captions make certain about a photo.

The lists are ours, made by reading and counting Flickr8k's captions. Labels of sounds are those of ESC-10 and
UrbanSound8K, and "speech".
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

LEXICON: dict[str, Any] = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))


def word_set(text: str) -> frozenset[str]:
    return frozenset(text.split())


# --- what a photo shows ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Thing:
    """Something a photo may show. en: with its article; zh: the Chinese noun; words: those that name it.

    doubt: words that may mean it, which make its absence uncertain. instead: where this is not empty, absence is
    certain only if one of these is named (grass goes unmentioned in a meadow, not on a beach).
    """

    en: str
    zh: str
    words: frozenset[str]
    doubt: frozenset[str]
    instead: frozenset[str] = frozenset()


THINGS: dict[str, Thing] = {
    key: Thing(row["en"], row["zh"], *(word_set(row[part]) for part in ("words", "doubt", "instead")))
    for key, row in LEXICON["things"].items()
}
"""What questions ask about; "person" and "child" include every word that names one."""
SUBJECTS: dict[str, str] = LEXICON["subjects"]
"""Who a photo may be about: the word in English (also a key of THINGS) and Chinese."""
_COMPANY, _ALONE = word_set(LEXICON["company"]), word_set(LEXICON["alone"])


@dataclass(frozen=True)
class PhotoFacts:
    """shown, absent: keys of THINGS that are certain. subject: the key of SUBJECTS the photo is about, or ""."""

    shown: frozenset[str]
    absent: frozenset[str]
    subject: str = ""


def photo_facts(captions: Sequence[str]) -> PhotoFacts:
    """What the English captions of one photo, written by five people, make certain.

    What at least two captions name is shown. What none names, in any word that could mean it, is absent. Everything
    in between stays open.
    """
    caption_words = _words_of(captions)
    all_words: frozenset[str] = frozenset().union(*caption_words)

    def n_naming(words: frozenset[str]) -> int:
        return sum(bool(words & caption) for caption in caption_words)

    shown = {key for key, thing in THINGS.items() if n_naming(thing.words) >= 2}
    absent = {
        key
        for key, thing in THINGS.items()
        if not all_words & (thing.words | thing.doubt) and (not thing.instead or all_words & thing.instead)
    }
    subjects = [key for key in SUBJECTS if THINGS[key].words & all_words]
    subject = ""
    if len(subjects) == 1 and n_naming(THINGS[subjects[0]].words) >= 3 and not all_words & _COMPANY:
        others = {"dog": "person" not in absent, "man": all_words & _ALONE, "woman": all_words & _ALONE}
        subject = "" if others.get(subjects[0]) else subjects[0]
    return PhotoFacts(frozenset(shown), frozenset(absent), subject)


def _words_of(captions: Sequence[str]) -> list[frozenset[str]]:
    return [frozenset(re.findall("[a-z]+", caption.lower())) for caption in captions]


# --- classes of photos by the nouns in their captions -------------------------------------------------------------

NounClasses: TypeAlias = Mapping[str, frozenset[str]]
"""Class: the words that stand for it."""


def _noun_classes(lines: Sequence[str]) -> NounClasses:
    """One class per line: its words, the first of which names it."""
    return {line.split()[0]: word_set(line) for line in lines}


UNSEEN = _noun_classes(LEXICON["unseen_nouns"])
"""Few-shot measurements use these; a head that learns to adapt has seen no photo whose captions name one."""
LEARNT = _noun_classes(LEXICON["learnt_nouns"])
MIN_CAPTIONS = 3
"""Captions, of five, that have to name a noun."""


def noun_of(captions: Sequence[str], nouns: NounClasses, *, without: NounClasses | None = None) -> str | None:
    """The only class that at least MIN_CAPTIONS captions name, or None. without: classes no caption may name."""
    caption_words = _words_of(captions)
    if any(words & caption for words in (without or {}).values() for caption in caption_words):
        return None
    found = [noun for noun, words in nouns.items() if sum(bool(words & c) for c in caption_words) >= MIN_CAPTIONS]
    return found[0] if len(found) == 1 else None


# --- sounds ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SoundName:
    """A class of sounds: the answer in English and Chinese, and its name within a sentence in English and German."""

    en: str
    zh: str
    phrase: str
    de: str


SOUND_NAMES: dict[str, SoundName] = {label: SoundName(**row) for label, row in LEXICON["sounds"].items()}
ALIKE: tuple[frozenset[str], ...] = tuple(word_set(line) for line in LEXICON["alike_sounds"])
"""Labels that may contain or resemble one another; no question rests on telling two of a set apart in one clip."""
SEEN_AND_HEARD: dict[str, str] = LEXICON["seen_and_heard"]
"""What can be both seen (key of THINGS) and heard (label of a sound)."""


def sound_prompt(label: str, language: str = "en") -> str:
    """A sound in words, for search and captions; in English any label works."""
    known = SOUND_NAMES.get(label)
    if known is None:
        return f"the sound of {label.replace('_', ' ')}"
    return {"zh": known.zh, "de": f"Das Geräusch: {known.de}"}.get(language, f"the sound of {known.phrase}")


def alike(first: str, second: str) -> bool:
    """Whether two labels are the same or too similar to ask about as different."""
    return first == second or any({first, second} <= group for group in ALIKE)
