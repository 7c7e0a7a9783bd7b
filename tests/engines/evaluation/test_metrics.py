"""The numbers against what is known of them by hand."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.evaluation.metrics import (
    MissingTool,
    accuracy,
    bleu,
    caption_bleu,
    cider,
    recall_at,
    same_answer,
    word_error_rate,
    word_errors,
)

texts = st.lists(st.sampled_from(["a", "dog", "runs", "on", "the", "beach"]), max_size=8).map(" ".join)


def test_bleu_is_100_for_the_reference_itself_and_less_for_less():
    references = [["Ein Hund läuft am langen Strand."], ["Zwei Männer sitzen im Park."]]
    same = [own[0] for own in references]
    assert bleu(same, references) == pytest.approx(100.0)
    assert bleu(["Ein Hund.", "Zwei Männer."], references) < 50.0
    assert bleu(["一只狗在跑步。"], [["一只狗在跑步。"]], tokenize="zh") == pytest.approx(100.0)


def test_caption_bleu_takes_the_best_of_several_references_of_different_number():
    references = [["a dog runs on the beach", "the brown dog runs"], ["two men sit in a park"]]
    assert caption_bleu(["a dog runs on the beach", "two men sit in a park"], references) == pytest.approx(100.0)
    # unigrams: "a dog" against "a dog runs", all right, brevity exp(1 - 3/2)
    assert caption_bleu(["a dog"], [["a dog runs"]], order=1) == pytest.approx(100 * math.exp(-0.5))


def test_bleu_without_its_library_is_a_missing_tool(monkeypatch):
    monkeypatch.setitem(sys.modules, "sacrebleu.metrics", None)
    with pytest.raises(MissingTool, match="sacrebleu is not installed"):
        bleu(["a"], [["a"]])


def test_cider_agrees_with_its_definition_worked_out_by_hand():
    references = [["a dog runs fast"], ["a man sits down"]]
    # "a dog runs fast" itself: every cosine is 1, so 10 x 1 x 100
    assert cider(["a dog runs fast", "a man sits down"], references) == pytest.approx(1000.0)
    # only "a dog" right. "a" is in both sets and weighs 0; n=1: dog / (dog, runs, fast) = 1/sqrt(3);
    # n=2: "a dog" of three bigrams = 1/sqrt(3); n=3, 4: nothing. The text has two bigrams fewer: exp(-4/72)
    expected = 1000 * (2 / math.sqrt(3)) / 4 * math.exp(-4 / 72)
    assert cider(["a dog", "x"], references) == pytest.approx(expected / 2)


def test_cider_clips_a_word_said_over_and_over():
    references = [["a dog runs fast"], ["a man sits down"]]
    assert cider(["dog dog dog dog", "x"], references) < cider(["dog runs fast", "x"], references)


@given(texts)
def test_a_text_has_no_errors_against_itself(text):
    assert word_errors(text, text) == (0, len(text.split()))


@given(texts, texts)
def test_word_errors_are_at_most_the_longer_text_and_at_least_the_difference(one, other):
    errors, n_words = word_errors(one, other)
    lengths = len(one.split()), len(other.split())
    assert n_words == lengths[1]
    assert abs(lengths[0] - lengths[1]) <= errors <= max(lengths)
    assert errors == word_errors(other, one)[0]


def test_word_error_rate_weighs_words_not_clips_and_its_interval_holds_it():
    rate, (low, high) = word_error_rate([(1, 1), (0, 9), (1, 10)])
    assert rate == pytest.approx(10.0)
    assert low <= rate <= high


def test_recall_counts_the_best_of_several_right_items_and_ties_against_the_query():
    similarity = np.array([[0.9, 0.8, 0.1], [0.5, 0.5, 0.5]])
    right = np.array([[False, True, True], [True, False, False]])
    assert recall_at(similarity, right, (1, 2, 3)) == {1: 0.0, 2: 50.0, 3: 100.0}


def test_the_interval_of_an_accuracy_is_wilsons():
    value, (low, high) = accuracy(8, 10)
    # Wilson 1927 for 8 of 10 at 95 %: 0.490 to 0.943, as in Newcombe 1998
    assert (value, round(low, 1), round(high, 1)) == (80.0, 49.0, 94.3)
    assert accuracy(0, 0) == (0.0, (0.0, 100.0))


@pytest.mark.parametrize(
    ("written", "right", "language", "same"),
    [
        ("A dog.", "dog", "en", True),
        ("the Sea waves", "sea waves", "en", True),
        ("2", "two", "en", True),
        ("two dogs", "two", "en", False),
        ("狗。", "狗", "zh", True),
        ("", "no", "en", False),
    ],
)
def test_answers_are_compared_without_case_punctuation_and_articles(written, right, language, same):
    assert same_answer(written, right, language) is same
