"""Questions about composed clips: what is asked, what is answered, and which photos and sounds make it so.

Each kind of question is one `ask_` method of `Composer`. It draws the answer first and then what fits it, so that the
question alone says nothing about the answer; where both senses are needed, one of them leaves two answers open.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engines.protocol import Sense
from engines.training.facts import SEEN_AND_HEARD, SOUND_NAMES, SUBJECTS, THINGS, PhotoFacts, alike

MIN_S, MAX_S = 3, 10
"""How long a clip is, whole seconds."""

_PICTURE: frozenset[Sense] = frozenset({"picture"})
_SOUND: frozenset[Sense] = frozenset({"sound"})

NEEDS: dict[str, frozenset[Sense]] = {
    "see": _PICTURE,
    "subject": _PICTURE,
    "seen_first": _PICTURE,
    "seen_last": _PICTURE,
    "n_scenes": _PICTURE,
    "scene_change": _PICTURE,
    "heard": _SOUND,
    "hear": _SOUND,
    "heard_first": _SOUND,
    "heard_last": _SOUND,
    "n_changes": _SOUND,
    "sound_begins": _SOUND,
    "both": _PICTURE | _SOUND,
    "where": _PICTURE | _SOUND,
    "heard_while": _PICTURE | _SOUND,
    "shown_while": _PICTURE | _SOUND,
}
"""The kinds of question, and the senses without which the answer is a guess."""

KINDS: tuple[str, ...] = tuple(NEEDS)

DESCRIBE = {
    "en": ("What is happening?", "What is shown?", "What can be seen?", "Describe the clip.", "What is going on here?"),
    "zh": ("发生了什么？", "画面里有什么？", "描述一下这段视频。", "这里在做什么？"),
}
"""What is answered with a caption."""

_YES_NO = {"en": ("no", "yes"), "zh": ("没有", "有")}
_COUNTS = {"en": ("none", "one", "two", "three"), "zh": ("没有", "一个", "两个", "三个")}
_TIMES = {"en": ("never", "once", "twice"), "zh": ("没有变", "一次", "两次")}
_SECONDS = {
    "en": (
        "at the start",
        "after one second",
        *(f"after {n} seconds" for n in ("two", "three", "four", "five", "six")),
    ),
    "zh": ("一开始", *(f"{n}秒后" for n in "一两三四五六")),
}
_PLACES = {
    "en": {(1, 0): "picture", (0, 1): "sound", (1, 1): "both", (0, 0): "neither"},
    "zh": {(1, 0): "画面里", (0, 1): "声音里", (1, 1): "两者都有", (0, 0): "都没有"},
}


class Lacking(Exception):
    """The material holds nothing that fits a kind of question; another kind is drawn."""


class Material:
    """Photos and sounds by what they hold, so that one that fits is found at once.

    labels: of the sounds, keys of `SOUND_NAMES` ("speech" for speech); others are left unused.
    """

    def __init__(self, photos: Sequence[PhotoFacts], labels: Sequence[str]) -> None:
        self.n_photos = len(photos)
        self.labels = tuple(labels)
        self.by_subject = {s: [i for i, photo in enumerate(photos) if photo.subject == s] for s in SUBJECTS}
        self.shown = {t: [i for i, photo in enumerate(photos) if t in photo.shown] for t in THINGS}
        self.absent = {t: [i for i, photo in enumerate(photos) if t in photo.absent] for t in THINGS}
        by_label = {name: [i for i, label in enumerate(labels) if label == name] for name in SOUND_NAMES}
        self.by_label = {name: found for name, found in by_label.items() if found}


@dataclass(frozen=True)
class Asked:
    """A question in some wordings, each as good as the others, and its answer."""

    wordings: tuple[str, ...]
    answer: str


class Composer:
    """Draws one question and what its clip must hold; whatever is left open afterwards may be filled freely.

    photos, sounds: indices in the order of their appearance. photo_cuts_s, sound_cuts_s: when one gives way to the
    next, empty where it does not matter. sound_start_s: silence before it.
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

    # --- drawing what fits

    def coin(self) -> bool:
        return bool(self.rng.random() < 0.5)

    def words(self, among: Sequence[str], n: int = 1) -> list[str]:
        """n different words, each as likely as the others."""
        if len(among) < n:
            raise Lacking
        return [str(word) for word in self.rng.permutation(list(among))[:n]]

    def one(self, among: Sequence[int]) -> int:
        """Any of some indices, one not yet on screen if there is one."""
        left = [i for i in among if i not in self.photos] or among
        if not left:
            raise Lacking
        return left[int(self.rng.integers(len(left)))]

    def labels(self, n: int) -> list[str]:
        """n labels of sounds, no two alike."""
        chosen: list[str] = []
        while len(chosen) < n:
            chosen += self.words([name for name in self.material.by_label if not any(alike(name, c) for c in chosen)])
        return chosen

    def subjects(self, n: int) -> list[str]:
        return self.words([subject for subject, found in self.material.by_subject.items() if found], n)

    def show(self, subjects: Sequence[str]) -> None:
        for subject in subjects:
            self.photos.append(self.one(self.material.by_subject[subject]))

    def show_anything(self, n: int) -> None:
        for _ in range(n):
            self.photos.append(self.one(range(self.material.n_photos)))

    def play(self, labels: Sequence[str]) -> None:
        for label in labels:
            found = self.material.by_label[label]
            self.sounds.append(found[self.rng.integers(len(found))])

    def cuts_s(self, n: int) -> list[float]:
        """n whole seconds that part the clip into stretches of one second or more."""
        self.duration_s = max(self.duration_s, n + 1.0)
        inner = self.rng.permutation(np.arange(1, int(self.duration_s)))[:n]
        return sorted(float(cut) for cut in inner)

    def say(self, en: Sequence[str], zh: Sequence[str], answers: tuple[str, str]) -> Asked:
        """What is asked in the clip's language; answers: the English and the Chinese one."""
        return Asked(tuple(zh), answers[1]) if self.language == "zh" else Asked(tuple(en), answers[0])

    def yes_no(self, en: Sequence[str], zh: Sequence[str], yes: bool) -> Asked:
        return self.say(en, zh, (_YES_NO["en"][yes], _YES_NO["zh"][yes]))

    # --- what is seen

    def ask_see(self) -> Asked:
        material, yes = self.material, self.coin()
        (key,) = self.words([t for t in THINGS if material.shown[t] and material.absent[t]])
        for _ in range(self.rng.integers(1, 3)):
            self.photos.append(self.one(material.absent[key]))
        if yes:
            self.photos[self.rng.integers(len(self.photos))] = self.one(material.shown[key])
        en, zh = THINGS[key].en, THINGS[key].zh
        return self.yes_no(
            (f"Is there {en} in the picture?", f"Can you see {en}?", f"Is {en} shown?"),
            (f"画面里有{zh}吗？", f"有没有看到{zh}？", f"视频里有{zh}吗？"),
            yes,
        )

    def ask_subject(self) -> Asked:
        (subject,) = self.subjects(1)
        self.show([subject])
        return self.say(
            ("What animal or person is it?", "Who is in the picture?", "What animal or person is shown?"),
            ("画面里是什么动物或人？", "画面里是谁？"),
            (subject, SUBJECTS[subject]),
        )

    def _row_of_subjects(self) -> list[str]:
        subjects = self.subjects(int(self.rng.integers(2, 4)))
        self.show(subjects)
        return subjects

    def ask_seen_first(self) -> Asked:
        subject = self._row_of_subjects()[0]
        return self.say(
            ("What is shown first?", "Who is shown first?", "What is seen at the beginning?"),
            ("最先出现的是什么？", "一开始画面里是什么？"),
            (subject, SUBJECTS[subject]),
        )

    def ask_seen_last(self) -> Asked:
        subject = self._row_of_subjects()[-1]
        return self.say(
            ("What is shown at the end?", "Who is shown last?", "What is shown last?"),
            ("最后出现的是什么？", "结尾画面里是什么？"),
            (subject, SUBJECTS[subject]),
        )

    def ask_n_scenes(self) -> Asked:
        n = int(self.rng.integers(1, 4))
        self.show_anything(n)
        return self.say(
            ("How many scenes are there?", "How many different scenes does the clip have?"),
            ("有几个场景？", "视频里有几个不同的场景？"),
            (_COUNTS["en"][n], _COUNTS["zh"][n]),
        )

    def ask_scene_change(self) -> Asked:
        at = int(self.rng.integers(1, 7))
        self.duration_s = float(self.rng.integers(max(MIN_S, at + 1), MAX_S + 1))
        self.show_anything(2)
        self.photo_cuts_s = [float(at)]
        return self.say(
            ("When does the scene change?", "When does the picture change?"),
            ("画面什么时候切换？", "场景什么时候变化？"),
            (_SECONDS["en"][at], _SECONDS["zh"][at]),
        )

    # --- what is heard

    def ask_heard(self) -> Asked:
        (label,) = self.labels(1)
        self.play([label])
        return self.say(
            ("What can be heard?", "What do you hear?", "What sound is it?"),
            ("能听到什么？", "这是什么声音？"),
            (SOUND_NAMES[label].en, SOUND_NAMES[label].zh),
        )

    def ask_hear(self) -> Asked:
        yes, labels = self.coin(), self.labels(3)
        n = int(self.rng.integers(1, 3))
        self.play(labels[:n])
        name = SOUND_NAMES[labels[self.rng.integers(n)] if yes else labels[2]]
        return self.yes_no(
            (f"Can you hear {name.asked}?", f"Is {name.asked} to be heard?", f"Do you hear {name.asked}?"),
            (f"有{name.zh}吗？", f"声音里有没有{name.zh}？"),
            yes,
        )

    def ask_heard_first(self) -> Asked:
        labels = self.labels(2)
        self.play(labels)
        return self.say(
            ("What can be heard first?", "What is heard at the beginning?"),
            ("最先听到的是什么？", "一开始能听到什么？"),
            (SOUND_NAMES[labels[0]].en, SOUND_NAMES[labels[0]].zh),
        )

    def ask_heard_last(self) -> Asked:
        labels = self.labels(2)
        self.play(labels)
        return self.say(
            ("What can be heard last?", "What is heard at the end?"),
            ("最后听到的是什么？", "结尾能听到什么？"),
            (SOUND_NAMES[labels[1]].en, SOUND_NAMES[labels[1]].zh),
        )

    def ask_n_changes(self) -> Asked:
        n = int(self.rng.integers(0, 3))
        self.play(self.labels(n + 1))
        return self.say(
            ("How often does the sound change?", "How many times does the sound change?"),
            ("声音变了几次？", "声音变化了多少次？"),
            (_TIMES["en"][n], _TIMES["zh"][n]),
        )

    def ask_sound_begins(self) -> Asked:
        at = int(self.rng.integers(0, 7))
        self.duration_s = float(self.rng.integers(max(MIN_S, at + 1), MAX_S + 1))
        self.play(self.labels(1))
        self.sound_start_s = float(at)
        return self.say(
            ("When does the sound begin?", "When does the sound start?"),
            ("声音什么时候开始？", "什么时候开始有声音？"),
            (_SECONDS["en"][at], _SECONDS["zh"][at]),
        )

    # --- what needs both

    def _thing_with_sound(self) -> str:
        material = self.material
        return self.words(
            [
                key
                for key, label in SEEN_AND_HEARD.items()
                if material.shown[key] and material.absent[key] and label in material.by_label
            ]
        )[0]

    def _place(self, key: str, *, seen: bool, heard: bool) -> None:
        """One scene with or without a thing, one sound that is or is not its own."""
        label = SEEN_AND_HEARD[key]
        self.photos = [self.one((self.material.shown if seen else self.material.absent)[key])]
        self.play([label] if heard else self.words([n for n in self.material.by_label if not alike(n, label)]))

    def ask_both(self) -> Asked:
        """Half of the answers are yes; the three ways to a no are as likely as one another."""
        key, yes = self._thing_with_sound(), self.coin()
        seen, heard = (True, True) if yes else ((True, False), (False, True), (False, False))[self.rng.integers(3)]
        self._place(key, seen=seen, heard=heard)
        en, zh = THINGS[key].en, THINGS[key].zh
        return self.yes_no(
            (f"Can you both see and hear {en}?", f"Is {en} both seen and heard?"),
            (f"画面和声音里都有{zh}吗？", f"有没有既能看到又能听到的{zh}？"),
            yes,
        )

    def ask_where(self) -> Asked:
        key, seen, heard = self._thing_with_sound(), self.coin(), self.coin()
        self._place(key, seen=seen, heard=heard)
        en, zh = THINGS[key].en, THINGS[key].zh
        return self.say(
            (
                f"Is {en} in the picture, in the sound, in both or in neither?",
                f"Where is {en}: in the picture, the sound, both or neither?",
            ),
            (f"{zh}在画面里、声音里、两者都有还是都没有？",),
            (_PLACES["en"][seen, heard], _PLACES["zh"][seen, heard]),
        )

    def _one_of_two(self) -> tuple[str, str]:
        """Two scenes and two sounds that change at once; gives one subject and the label heard with it."""
        subjects, labels = self.subjects(2), self.labels(2)
        self.show(subjects)
        self.play(labels)
        self.photo_cuts_s = self.sound_cuts_s = self.cuts_s(1)
        which = int(self.rng.integers(2))
        return subjects[which], labels[which]

    def ask_heard_while(self) -> Asked:
        subject, label = self._one_of_two()
        return self.say(
            (f"What can be heard while the {subject} is shown?", f"What do you hear when the {subject} is shown?"),
            (f"出现{SUBJECTS[subject]}的时候能听到什么？",),
            (SOUND_NAMES[label].en, SOUND_NAMES[label].zh),
        )

    def ask_shown_while(self) -> Asked:
        subject, label = self._one_of_two()
        name = SOUND_NAMES[label]
        return self.say(
            (f"What is shown while {name.asked} is heard?", f"Who is shown when you hear {name.asked}?"),
            (f"听到{name.zh}的时候画面里是什么？",),
            (subject, SUBJECTS[subject]),
        )
