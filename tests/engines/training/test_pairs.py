"""Pairs of sentences: drawn by weight, from every language, in runs of like length."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.training.pairs import Pair, Pairs, similar_lengths

LENGTHS = st.integers(0, 40)


@pytest.fixture(scope="module")
def pairs(data) -> Pairs:
    return Pairs(data)


def test_translations_come_from_english_into_every_language(pairs):
    drawn = pairs.translations(200, np.random.default_rng(0), {})
    assert len(drawn) == 200
    assert {pair.languages for pair in drawn} == {("en", "de"), ("en", "fr"), ("en", "zh")}


def test_captions_of_a_photo_are_english_with_german_or_english(pairs):
    drawn = pairs.captions(60, np.random.default_rng(2))
    known = {text for captions in pairs.unseen for texts in captions.values() for text in texts}
    assert {pair.languages for pair in drawn} == {("en", "en"), ("en", "de")}
    assert {pair.source for pair in drawn} | {pair.target for pair in drawn} <= known


def test_a_folder_without_captions_of_unseen_photos_still_has_translations(data, tmp_path):
    shutil.copytree(data / "text", tmp_path / "text")
    few = Pairs(tmp_path)
    assert few.unseen == []
    assert few.translations(4, np.random.default_rng(3), {})


@given(st.lists(st.tuples(LENGTHS, LENGTHS), min_size=5, max_size=30), st.integers(0, 9))
def test_pairs_of_a_batch_are_neighbours_by_length(lengths, seed):
    drawn = [Pair("a" * n, "b" * m, ("en", "de")) for n, m in lengths]
    taken = similar_lengths(drawn, 5, np.random.default_rng(seed))
    lengths, mine = sorted(pair.length for pair in drawn), [pair.length for pair in taken]
    assert mine == sorted(mine)
    assert any(lengths[i : i + 5] == mine for i in range(len(lengths) - 4))


def test_length_is_that_of_the_longer_text_and_chinese_signs_count_three():
    assert Pair("a cat", "猫", ("en", "zh")).length == 5
    assert Pair("cat", "一只猫", ("en", "zh")).length == 9
