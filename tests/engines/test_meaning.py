"""Letters typed at random are told from text by where the model places them and by the tokens they take."""

from __future__ import annotations

import numpy as np
import pytest

from engines.meaning import Meaning, random_texts

WORDS = {"dog", "castle"}
RANDOM, REAL = np.array([1.0, 0.0], np.float32), np.array([0.0, 1.0], np.float32)


def place(text: str) -> np.ndarray:
    return REAL if set(text.split()) & WORDS else RANDOM


def tokens(text: str) -> list[int]:
    return [0] * sum(1 if word in WORDS else len(word) for word in text.split())


@pytest.fixture
def meaning() -> Meaning:
    return Meaning((-6.0, -11.0, 5.0), place, tokens, known=("gecko", "Fire engine"))


def test_random_letters_mean_little_and_words_a_lot(meaning):
    assert meaning("xkcd qwrtz") < 0.01
    assert meaning("dog") > 0.99 and meaning("castle dog") > 0.99


@pytest.mark.parametrize("text", ["gecko", "a gecko", "geckos", "fire engine", "the fire engines"])
def test_a_known_name_means_something_with_an_article_or_several_of_it(meaning, text):
    assert meaning(text) == 1.0


@pytest.mark.parametrize("text", ["\N{CJK UNIFIED IDEOGRAPH-732B}", "B\N{LATIN SMALL LETTER A WITH DIAERESIS}r"])
def test_letters_outside_ascii_are_taken_for_words(meaning, text):
    assert meaning(text) == 1.0


def test_nothing_at_all_has_a_meaning_between_0_and_1(meaning):
    assert 0.0 <= meaning("") <= 1.0


def test_random_texts_are_the_same_for_a_seed():
    assert random_texts(5, seed=3) == random_texts(5, seed=3) != random_texts(5, seed=4)
    assert all(1 <= len(text.split()) <= 3 for text in random_texts(50))
