"""The reward of a caption: what several people said of the photo scores, what nobody said does not."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from engines.evaluation.metrics import cider
from engines.training.consensus import NOTHING, frequencies, packed, parted, rewards, stacked

DOGS = [[5, 6, 7, 8, 9, 0], [5, 6, 7, 10, 9, 0], [5, 11, 7, 8, 9, 0]]
BOATS = [[20, 21, 22, 23, 0], [20, 24, 22, 23, 0]]
HILLS = [[30, 31, 32, 0], [30, 33, 32, 34, 0]]
DOCUMENTS = [DOGS, BOATS, HILLS]
SHORT = st.lists(st.integers(0, 32_766), min_size=1, max_size=4)


def reward(text: list[int], references: list[list[int]] = DOGS) -> float:
    return float(rewards([text], [references], *frequencies(DOCUMENTS))[0])


def test_n_grams_of_one_to_four_pieces_are_counted() -> None:
    assert sum(packed([1, 2, 3, 4, 5]).values()) == 5 + 4 + 3 + 2
    assert packed([7, 7, 7])[7 + 1] == 3


@given(SHORT, SHORT)
def test_different_n_grams_have_different_keys(a: list[int], b: list[int]) -> None:
    assert (max(packed(a)) == max(packed(b))) == (a == b)  # the longest has the largest
    assert all(0 < key < 2**60 for key in packed(a))


def test_what_people_said_scores_more_than_half_of_it_and_that_more_than_something_else() -> None:
    assert reward(DOGS[0]) > reward([5, 6, 7, 0]) > reward([20, 21, 22, 23, 0]) >= 0.0


def test_saying_it_over_again_or_not_ending_costs() -> None:
    assert reward(DOGS[0][:-1] * 2) < reward(DOGS[0])
    assert reward(DOGS[0][:-1]) < reward(DOGS[0])


def test_what_every_document_says_is_worth_nothing() -> None:
    assert reward([0]) == 0.0


def test_it_is_the_metric_of_the_evaluation_when_a_piece_is_a_word() -> None:
    written = [[5, 6, 7, 8, 0], [20, 24, 22, 0], [30, 31, 32, 34, 0]]
    words = [" ".join(map(str, text)) for text in written]
    references = [[" ".join(map(str, text)) for text in own] for own in DOCUMENTS]
    ours = rewards(written, DOCUMENTS, *frequencies(DOCUMENTS))
    assert float(ours.mean()) * 100 == pytest.approx(cider(words, references), rel=1e-4)


def test_frequencies_are_sorted_and_rarer_n_grams_weigh_more() -> None:
    keys, idf = frequencies(DOCUMENTS)
    assert torch.equal(keys, keys.sort().values)
    everywhere, once = keys == 0 + 1, keys == 11 + 1
    assert float(idf[everywhere]) == 0.0 < float(idf[once])


def test_texts_come_back_from_a_tensor_as_they_were() -> None:
    tensor = stacked(DOCUMENTS)
    assert tensor.shape == (3, 3, 6)
    assert (tensor[2, 2] == NOTHING).all()
    assert [parted(texts) for texts in tensor] == DOCUMENTS
