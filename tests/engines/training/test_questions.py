"""Every answer is true of its clip, and nothing but the clip gives it away."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from engines.training.clips import ClipPlan, plan
from engines.training.lexicon import SEEN_AND_HEARD, SOUND_NAMES, SUBJECTS, THINGS, PhotoFacts, alike
from engines.training.questions import QUESTION_KINDS
from tests.engines.training.material import LABELS, MATERIAL, PHOTOS


def drawn(kind: str, n: int, language: str = "en") -> list[ClipPlan]:
    rng = np.random.default_rng(7)
    return [plan(rng, MATERIAL, kinds=(kind,), languages=(language,)) for _ in range(n)]


def heard(made: ClipPlan) -> list[str]:
    return [LABELS[track.sound] for track in made.tracks]


def seen(made: ClipPlan) -> list[PhotoFacts]:
    return [PHOTOS[scene.photo] for scene in made.scenes]


def asked_thing(made: ClipPlan, names: dict[str, str]) -> str:
    """The longest of the names that the question contains."""
    return max((key for key, name in names.items() if name in made.question), key=lambda key: len(names[key]))


THING_NAMES = {key: f" {thing.en}" for key, thing in THINGS.items()}
SOUND_ASKED = {key: name.phrase for key, name in SOUND_NAMES.items()}
SECONDS = ("at the start", "after one second", *(f"after {n} seconds" for n in ("two", "three", "four", "five", "six")))


def test_what_is_said_to_be_shown_is_shown_and_what_is_not_is_certainly_absent():
    for made in drawn("see", 200):
        key = asked_thing(made, THING_NAMES)
        if made.answer == "yes":
            assert any(key in facts.shown for facts in seen(made))
        else:
            assert all(key in facts.absent for facts in seen(made))


def test_order_and_number_of_scenes_are_those_of_the_answer():
    for made in drawn("seen_first", 50):
        assert seen(made)[0].subject == made.answer
    for made in drawn("seen_last", 50):
        assert seen(made)[-1].subject == made.answer
    for made in drawn("subject", 50):
        assert [facts.subject for facts in seen(made)] == [made.answer]
    for made in drawn("n_scenes", 50):
        assert len({scene.photo for scene in made.scenes}) == {"one": 1, "two": 2, "three": 3}[made.answer]


def test_sounds_are_those_of_the_answer():
    for made in drawn("heard", 50):
        assert [SOUND_NAMES[label].en for label in heard(made)] == [made.answer]
    for made in drawn("heard_first", 50):
        assert SOUND_NAMES[heard(made)[0]].en == made.answer
    for made in drawn("heard_last", 50):
        assert SOUND_NAMES[heard(made)[-1]].en == made.answer
    for made in drawn("n_changes", 50):
        assert len(heard(made)) - 1 == ("never", "once", "twice").index(made.answer)
    for made in drawn("hear", 100):
        asked = asked_thing(made, SOUND_ASKED)
        assert (asked in heard(made)) == (made.answer == "yes")
        assert made.answer == "yes" or not any(alike(asked, label) for label in heard(made))


def test_times_asked_for_are_whole_seconds_of_the_clip():
    for made in drawn("scene_change", 50):
        assert made.scenes[1].start_s == SECONDS.index(made.answer)
    for made in drawn("sound_begins", 50):
        assert made.tracks[0].start_s == SECONDS.index(made.answer)


def test_seen_and_heard_together_is_true_of_both_senses():
    for made in (*drawn("both", 100), *drawn("where", 100)):
        key = asked_thing(made, THING_NAMES)
        shown, sounding = key in seen(made)[0].shown, heard(made)[0] == SEEN_AND_HEARD[key]
        if made.kind == "both":
            assert (shown and sounding) == (made.answer == "yes")
        else:
            places = {(True, False): "picture", (False, True): "sound", (True, True): "both", (False, False): "neither"}
            assert made.answer == places[shown, sounding]
        assert shown or key in seen(made)[0].absent


def test_what_happens_while_something_else_does_is_on_at_the_same_time():
    for made in drawn("heard_while", 60):
        subject = next(s for s in SUBJECTS if f"the {s} " in made.question)
        at = next(i for i, facts in enumerate(seen(made)) if facts.subject == subject)
        assert SOUND_NAMES[heard(made)[at]].en == made.answer
        assert made.tracks[at].start_s == made.scenes[at].start_s
    for made in drawn("shown_while", 60):
        label = asked_thing(made, SOUND_ASKED)
        assert seen(made)[heard(made).index(label)].subject == made.answer


@pytest.mark.parametrize("kind", QUESTION_KINDS)
def test_a_guess_without_the_clip_is_near_chance(kind):
    answers = Counter(made.answer for made in drawn(kind, 300))
    assert answers.most_common(1)[0][1] / 300 < {2: 0.62, 3: 0.45}.get(len(answers), 0.36)


@pytest.mark.parametrize("kind", QUESTION_KINDS)
def test_every_kind_is_asked_in_chinese_too(kind):
    for made in drawn(kind, 5, "zh"):
        assert not any(c.isascii() and c.isalpha() for c in made.question + made.answer)
