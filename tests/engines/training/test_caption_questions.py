"""Questions made of captions, and captions with their nouns as names."""

from __future__ import annotations

import numpy as np
import pytest

from engines.training.caption_questions import UNANSWERABLE, questions, unanswerable
from engines.training.content_words import NounReplacer, gender, nouns
from tests.engines.training.conftest import CLASSES, GROUPS

CAPTIONS = ["A man in a red hat is playing guitar on a stage ."] * 3


def asked(captions: list[str], language: str = "en", *, grey: bool = False) -> dict[str, str]:
    found = questions(captions, np.random.default_rng(0), language, grey=grey)
    return {question.text: question.answer for question in found}


def test_questions_have_short_answers_that_the_captions_give():
    answers = set(asked(CAPTIONS).values())
    assert {"guitar", "playing guitar", "red", "hat", "on a stage"} <= answers
    assert all(len(answer.split()) <= 3 for answer in answers)


def test_two_captions_that_agree_are_asked_about_and_one_that_stands_alone_is_not():
    two = ["Two dogs run .", "Two dogs play .", "A beach ."]
    assert "two" in asked(two).values()
    assert "two" not in asked(two[1:]).values()
    assert "beach" not in " ".join(asked(two).values())


def test_chinese_questions_are_chinese():
    found = asked(CAPTIONS, "zh")
    assert found and not any(c.isascii() and c.isalpha() for c in "".join([*found, *found.values()]))


def test_a_grey_photo_is_only_asked_whether_it_has_colours():
    text, answer = list(asked(CAPTIONS, grey=True).items())[-1]
    assert answer == "no" and "colo" in text
    assert "red" not in asked(CAPTIONS, grey=True).values()


@pytest.mark.parametrize("language", ["en", "zh"])
def test_what_no_photo_can_tell_is_answered_so(language):
    assert unanswerable(np.random.default_rng(0), language).answer == UNANSWERABLE[language]


def test_nouns_are_what_a_caption_names():
    assert nouns("A black dog is running on the beach .", "en") == ["dog", "beach"]
    assert nouns("Ein Hund läuft über die Wiese.", "de") == ["Hund", "Wiese"]
    assert "狗" in nouns("一只狗在沙滩上奔跑。", "zh")


@pytest.mark.parametrize(
    ("caption", "old", "new", "language", "replaced"),
    [
        ("A cat sits on a chair .", "cat", "espresso", "en", "An espresso sits on a chair ."),
        ("On an ice field .", "ice", "cup", "en", "On a cup field ."),
        ("Two cats .", "cats", "cup", "en", None),
        ("Eine Katze sitzt.", "Katze", "Hund", "de", None),
        ("Eine Katze sitzt.", "Katze", "Tasse", "de", "Eine Tasse sitzt."),
    ],
)
def test_a_replaced_noun_has_an_article_that_fits(caption, old, new, language, replaced):
    assert NounReplacer._replace(caption, old, new, language) == replaced


def test_a_noun_is_replaced_by_the_name_of_a_class_and_the_others_stay():
    replacer = NounReplacer(CLASSES, GROUPS)
    found = [replacer("A dog sits on a chair .", "en", np.random.default_rng(seed)) for seed in range(20)]
    for replacement in filter(None, found):
        assert replacement.name in ("tabby cat", "cup") and replacement.name in replacement.caption
        assert len(replacement.others) == 1 and replacement.others[0] in replacement.caption
    assert any(found)


def test_german_genders_are_guessed_by_endings():
    assert [gender(noun) for noun in ("Tasse", "Hund", "Kätzchen")] == ["f", "m", "n"]
