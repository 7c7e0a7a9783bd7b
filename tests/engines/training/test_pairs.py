"""Pairs of sentences: drawn by weight, from every language, in runs of like length."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.training.pairs import Pair, Pairs, similar_lengths

TEXTS = st.text(max_size=40)


@pytest.fixture(scope="module")
def pairs(data: Path) -> Pairs:
    return Pairs(data)


def test_translations_come_from_english_into_every_language(pairs: Pairs) -> None:
    drawn = pairs.translations(200, np.random.default_rng(0), {})
    assert len(drawn) == 200
    assert {pair.languages for pair in drawn} == {("en", "de"), ("en", "fr"), ("en", "zh")}


def test_a_corpus_that_weighs_nothing_is_not_drawn(pairs: Pairs) -> None:
    corpora = pairs.lists["en-de"]
    assert len(corpora) > 1
    favourite = next(iter(corpora))
    weights = {name: float(name == favourite) for names in pairs.lists.values() for name in names} | {favourite: 1.0}
    for own in pairs.lists.values():
        weights[next(iter(own))] = 1.0
    drawn = [p for p in pairs.translations(300, np.random.default_rng(1), weights) if p.languages == ("en", "de")]
    others = {p.source for name, own in corpora.items() if not weights[name] for p in own}
    assert not {p.source for p in drawn} & others


def test_captions_of_a_photo_are_english_with_german_or_english(pairs: Pairs) -> None:
    drawn = pairs.captions(60, np.random.default_rng(2))
    known = {text for captions in pairs.unseen for texts in captions.values() for text in texts}
    assert {pair.languages for pair in drawn} == {("en", "en"), ("en", "de")}
    assert {pair.source for pair in drawn} | {pair.target for pair in drawn} <= known


def test_a_folder_without_captions_of_unseen_photos_still_has_translations(data: Path, tmp_path: Path) -> None:
    shutil.copytree(data / "text", tmp_path / "text")
    few = Pairs(tmp_path)
    assert few.unseen == []
    assert few.translations(4, np.random.default_rng(3), {})


def test_the_same_generator_draws_the_same_pairs(pairs: Pairs) -> None:
    first, again = (pairs.translations(20, np.random.default_rng(4), {}) for _ in range(2))
    assert first == again


@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=5, max_size=30), st.integers(0, 9))
def test_a_run_similar_lengths_are_neighbours_by_length(texts: list[tuple[str, str]], seed: int) -> None:
    drawn = [Pair(source, target, ("en", "de")) for source, target in texts]
    taken = similar_lengths(drawn, 5, np.random.default_rng(seed))
    lengths, mine = sorted(pair.length for pair in drawn), [pair.length for pair in taken]
    assert mine == sorted(mine)
    assert any(lengths[i : i + 5] == mine for i in range(len(lengths) - 4))


def test_length_is_that_of_the_longer_text_and_chinese_signs_count_three() -> None:
    assert Pair("a cat", "猫", ("en", "zh")).length == 5
    assert Pair("cat", "一只猫", ("en", "zh")).length == 9
