"""Questions about composed clips: what is asked, the right answer, and which photos and sounds make it right.

Each kind of question is one function of `QUESTIONS`. It draws the answer first and then media that fit it, so that the
question alone says nothing about the answer; where both modalities are needed, one of them leaves two answers open.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from engines.protocol import Modality
from engines.training.lexicon import LEXICON, SEEN_AND_HEARD, SOUND_NAMES, SUBJECTS, THINGS, PhotoFacts, alike

MIN_S, MAX_S = 3, 10
"""Length of a clip, whole seconds."""
DESCRIBE: dict[str, list[str]] = LEXICON["describe"]
"""Questions whose answer is a caption."""

_WORDINGS: dict[str, dict[str, list[str]]] = LEXICON["clip_questions"]
_NO_YES, _COUNTS, _TIMES, _SECONDS, _WHERE = (
    [(en, zh) for en, zh in LEXICON["clip_answers"][kind]] for kind in ("no_yes", "counts", "times", "seconds", "where")
)
"""Answers in English and Chinese, by number; _WHERE by 2 * seen + heard."""


class NoFit(Exception):
    """The material contains nothing that fits this kind of question; another kind is drawn."""


class Material:
    """Photos and sounds indexed by what they contain.

    labels: of the sounds, keys of `SOUND_NAMES` ("speech" for speech); others are left unused.
    """

    def __init__(self, photos: Sequence[PhotoFacts], labels: Sequence[str]) -> None:
        self.n_photos = len(photos)
        self.labels = tuple(labels)
        self.by_subject = {s: [i for i, photo in enumerate(photos) if photo.subject == s] for s in SUBJECTS}
        self.shown = {t: [i for i, photo in enumerate(photos) if t in photo.shown] for t in THINGS}
        self.absent = {t: [i for i, photo in enumerate(photos) if t in photo.absent] for t in THINGS}
        by_label = {name: [i for i, label in enumerate(labels) if label == name] for name in SOUND_NAMES}
        self.by_label = {name: rows for name, rows in by_label.items() if rows}


@dataclass(frozen=True)
class ClipQuestion:
    """A question in equivalent wordings, and its answer."""

    wordings: tuple[str, ...]
    answer: str


class Composer:
    """Draws one question and what its clip must contain; whatever stays open may be filled freely.

    photos, sounds: indices in order of appearance. photo_cuts_s, sound_cuts_s: the times of the changes, empty where
    they do not matter. sound_start_s: silence before the first sound.
    """

    def __init__(self, rng: np.random.Generator, material: Material, language: str) -> None:
        self.rng = rng
        self.material = material
        self.language = language
        self.duration_s = float(rng.integers(MIN_S, MAX_S + 1))
        self.photos: list[int] = []
        self.photo_cuts_s: list[float] = []
        self.sounds: list[int] = []
        self.sound_cuts_s: list[float] = []
        self.sound_start_s = 0.0

    def coin(self) -> bool:
        return bool(self.rng.random() < 0.5)

    def choose(self, names: Sequence[str], n: int = 1) -> list[str]:
        """n different names, uniformly. Raises NoFit where there are fewer."""
        if len(names) < n:
            raise NoFit
        return [str(name) for name in self.rng.permutation(list(names))[:n]]

    def one_of(self, rows: Sequence[int]) -> int:
        """One index, uniformly, preferably of a photo that is not on screen yet. Raises NoFit where there is none."""
        left = [i for i in rows if i not in self.photos] or rows
        if not left:
            raise NoFit
        return left[int(self.rng.integers(len(left)))]

    def choose_labels(self, n: int) -> list[str]:
        """n labels of sounds, no two alike."""
        chosen: list[str] = []
        while len(chosen) < n:
            chosen += self.choose([name for name in self.material.by_label if not any(alike(name, c) for c in chosen)])
        return chosen

    def show_subjects(self, n: int) -> list[str]:
        """Put photos of n different subjects on screen, one after the other."""
        subjects = self.choose([subject for subject, rows in self.material.by_subject.items() if rows], n)
        for subject in subjects:
            self.photos.append(self.one_of(self.material.by_subject[subject]))
        return subjects

    def show_anything(self, n: int) -> None:
        for _ in range(n):
            self.photos.append(self.one_of(range(self.material.n_photos)))

    def play(self, labels: Sequence[str]) -> None:
        for label in labels:
            rows = self.material.by_label[label]
            self.sounds.append(rows[self.rng.integers(len(rows))])

    def cuts_s(self, n: int) -> list[float]:
        """n whole seconds that cut the clip into spans of at least one second."""
        self.duration_s = max(self.duration_s, n + 1.0)
        inner = self.rng.permutation(np.arange(1, int(self.duration_s)))[:n]
        return sorted(float(cut) for cut in inner)

    def fit_duration(self, second: int) -> None:
        """Draw a duration that contains this second."""
        self.duration_s = float(self.rng.integers(max(MIN_S, second + 1), MAX_S + 1))

    def question(self, kind: str, answers: tuple[str, str], **slots: tuple[str, str]) -> ClipQuestion:
        """The wordings of a kind in the clip's language. answers, slots: in English and Chinese."""
        i = int(self.language == "zh")
        values = {name: pair[i] for name, pair in slots.items()}
        return ClipQuestion(tuple(text.format(**values) for text in _WORDINGS[kind][("en", "zh")[i]]), answers[i])

    # both modalities

    def thing_with_sound(self) -> str:
        """A key of SEEN_AND_HEARD that the material can show, not show and play."""
        material = self.material
        keys = [
            key
            for key, label in SEEN_AND_HEARD.items()
            if material.shown[key] and material.absent[key] and label in material.by_label
        ]
        return self.choose(keys)[0]

    def place(self, key: str, *, seen: bool, heard: bool) -> None:
        """One scene with or without a thing, one sound that is or is not the thing's."""
        label = SEEN_AND_HEARD[key]
        self.photos = [self.one_of((self.material.shown if seen else self.material.absent)[key])]
        self.play([label] if heard else self.choose([n for n in self.material.by_label if not alike(n, label)]))

    def two_at_once(self) -> tuple[str, str]:
        """Two scenes and two sounds that change at once; returns one subject and the label heard with it."""
        subjects = self.choose([subject for subject, rows in self.material.by_subject.items() if rows], 2)
        labels = self.choose_labels(2)
        for subject in subjects:
            self.photos.append(self.one_of(self.material.by_subject[subject]))
        self.play(labels)
        self.photo_cuts_s = self.sound_cuts_s = self.cuts_s(1)
        i = int(self.rng.integers(2))
        return subjects[i], labels[i]


def _thing(key: str) -> tuple[str, str]:
    return THINGS[key].en, THINGS[key].zh


def _subject(key: str) -> tuple[str, str]:
    return key, SUBJECTS[key]


def _sound(label: str) -> tuple[str, str]:
    return SOUND_NAMES[label].en, SOUND_NAMES[label].zh


def _sound_phrase(label: str) -> tuple[str, str]:
    """A sound within a question."""
    return SOUND_NAMES[label].phrase, SOUND_NAMES[label].zh


# --- the picture -------------------------------------------------------------------------------------------------


def see(c: Composer) -> ClipQuestion:
    material, yes = c.material, c.coin()
    (key,) = c.choose([t for t in THINGS if material.shown[t] and material.absent[t]])
    for _ in range(c.rng.integers(1, 3)):
        c.photos.append(c.one_of(material.absent[key]))
    if yes:
        c.photos[c.rng.integers(len(c.photos))] = c.one_of(material.shown[key])
    return c.question("see", _NO_YES[yes], thing=_thing(key))


def subject(c: Composer) -> ClipQuestion:
    return c.question("subject", _subject(c.show_subjects(1)[0]))


def seen_first(c: Composer) -> ClipQuestion:
    return c.question("seen_first", _subject(c.show_subjects(int(c.rng.integers(2, 4)))[0]))


def seen_last(c: Composer) -> ClipQuestion:
    return c.question("seen_last", _subject(c.show_subjects(int(c.rng.integers(2, 4)))[-1]))


def n_scenes(c: Composer) -> ClipQuestion:
    n = int(c.rng.integers(1, 4))
    c.show_anything(n)
    return c.question("n_scenes", _COUNTS[n])


def scene_change(c: Composer) -> ClipQuestion:
    second = int(c.rng.integers(1, 7))
    c.fit_duration(second)
    c.show_anything(2)
    c.photo_cuts_s = [float(second)]
    return c.question("scene_change", _SECONDS[second])


# --- the sound ---------------------------------------------------------------------------------------------------


def heard(c: Composer) -> ClipQuestion:
    (label,) = c.choose_labels(1)
    c.play([label])
    return c.question("heard", _sound(label))


def hear(c: Composer) -> ClipQuestion:
    yes, labels = c.coin(), c.choose_labels(3)
    n = int(c.rng.integers(1, 3))
    c.play(labels[:n])
    label = labels[c.rng.integers(n)] if yes else labels[2]
    return c.question("hear", _NO_YES[yes], sound=_sound_phrase(label))


def heard_first(c: Composer) -> ClipQuestion:
    labels = c.choose_labels(2)
    c.play(labels)
    return c.question("heard_first", _sound(labels[0]))


def heard_last(c: Composer) -> ClipQuestion:
    labels = c.choose_labels(2)
    c.play(labels)
    return c.question("heard_last", _sound(labels[1]))


def n_changes(c: Composer) -> ClipQuestion:
    n = int(c.rng.integers(0, 3))
    c.play(c.choose_labels(n + 1))
    return c.question("n_changes", _TIMES[n])


def sound_begins(c: Composer) -> ClipQuestion:
    second = int(c.rng.integers(0, 7))
    c.fit_duration(second)
    c.play(c.choose_labels(1))
    c.sound_start_s = float(second)
    return c.question("sound_begins", _SECONDS[second])


# --- both --------------------------------------------------------------------------------------------------------


def both(c: Composer) -> ClipQuestion:
    """Half of the answers are yes; the three ways to a no are equally likely."""
    key, yes = c.thing_with_sound(), c.coin()
    seen, audible = (True, True) if yes else ((True, False), (False, True), (False, False))[c.rng.integers(3)]
    c.place(key, seen=seen, heard=audible)
    return c.question("both", _NO_YES[yes], thing=_thing(key))


def where(c: Composer) -> ClipQuestion:
    key, seen, audible = c.thing_with_sound(), c.coin(), c.coin()
    c.place(key, seen=seen, heard=audible)
    return c.question("where", _WHERE[2 * seen + audible], thing=_thing(key))


def heard_while(c: Composer) -> ClipQuestion:
    key, label = c.two_at_once()
    return c.question("heard_while", _sound(label), subject=_subject(key))


def shown_while(c: Composer) -> ClipQuestion:
    key, label = c.two_at_once()
    return c.question("shown_while", _subject(key), sound=_sound_phrase(label))


_Question: TypeAlias = Callable[[Composer], ClipQuestion]
_BY_NEEDS: dict[frozenset[Modality], tuple[_Question, ...]] = {
    frozenset({"picture"}): (see, subject, seen_first, seen_last, n_scenes, scene_change),
    frozenset({"sound"}): (heard, hear, heard_first, heard_last, n_changes, sound_begins),
    frozenset({"picture", "sound"}): (both, where, heard_while, shown_while),
}
QUESTIONS: dict[str, _Question] = {one.__name__: one for questions in _BY_NEEDS.values() for one in questions}
QUESTION_KINDS: tuple[str, ...] = tuple(QUESTIONS)
NEEDS: dict[str, frozenset[Modality]] = {
    one.__name__: needs for needs, questions in _BY_NEEDS.items() for one in questions
}
"""The modalities without which the answer to a kind of question is a guess."""
