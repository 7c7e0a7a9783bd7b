"""The reward of a caption: what several people wrote about the photo scores, what nobody wrote does not."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from engines.evaluation.metrics import cider
from engines.training.losses import NO_TOKEN, document_frequencies, pack_ngram, rewards, stack_references, token_rows

DOGS = [[5, 6, 7, 8, 9, 0], [5, 6, 7, 10, 9, 0], [5, 11, 7, 8, 9, 0]]
BOATS = [[20, 21, 22, 23, 0], [20, 24, 22, 23, 0]]
HILLS = [[30, 31, 32, 0], [30, 33, 32, 34, 0]]
DOCUMENTS = [DOGS, BOATS, HILLS]
GRAMS = st.lists(st.integers(0, 32_766), min_size=1, max_size=4)


def reward(text: list[int], references: list[list[int]] = DOGS) -> float:
    return float(rewards([text], [references], *document_frequencies(DOCUMENTS))[0])


@given(GRAMS, GRAMS)
def test_different_n_grams_have_different_keys(a, b):
    assert (pack_ngram(a) == pack_ngram(b)) == (a == b)
    assert 0 < pack_ngram(a) < 2**60


def test_a_persons_caption_scores_more_than_half_of_it_and_that_more_than_another_photos():
    assert reward(DOGS[0]) > reward([5, 6, 7, 0]) > reward([20, 21, 22, 23, 0]) >= 0.0


def test_repetition_and_a_missing_end_cost():
    assert reward(DOGS[0][:-1] * 2) < reward(DOGS[0])
    assert reward(DOGS[0][:-1]) < reward(DOGS[0])


def test_it_is_the_metric_of_the_evaluation_when_a_token_is_a_word():
    written = [[5, 6, 7, 8, 0], [20, 24, 22, 0], [30, 31, 32, 34, 0]]
    references = [[" ".join(map(str, text)) for text in group] for group in DOCUMENTS]
    ours = rewards(written, DOCUMENTS, *document_frequencies(DOCUMENTS))
    assert float(ours.mean()) * 100 == pytest.approx(cider([" ".join(map(str, t)) for t in written], references))


def test_rare_n_grams_weigh_more_and_those_of_every_document_nothing():
    keys, idf = document_frequencies(DOCUMENTS)
    assert torch.equal(keys, keys.sort().values)
    assert float(idf[keys == pack_ngram([0])]) == 0.0 < float(idf[keys == pack_ngram([11])])
    assert reward([0]) == 0.0


def test_texts_come_back_from_a_tensor():
    tensor = stack_references(DOCUMENTS)
    assert tensor.shape == (3, 3, 6) and (tensor[2, 2] == NO_TOKEN).all()
    assert [token_rows(texts) for texts in tensor] == DOCUMENTS
