"""When words are said, by the best path of a CTC head through their bytes."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from engines.align import align, best_path, end_of_text, spelt, spoken_words


def lattice(text: str, spans: list[tuple[int, int]], n_tokens: int) -> np.ndarray:
    """Log-probabilities of a head that is sure: byte i of the text in tokens spans[i], blank elsewhere."""
    probabilities = np.full((n_tokens, 257), 1e-4)
    probabilities[:, 0] = 1.0
    for byte, (first, last) in zip(text.encode(), spans, strict=True):
        probabilities[first : last + 1, 0] = 1e-4
        probabilities[first : last + 1, byte + 1] = 1.0
    return np.log(probabilities / probabilities.sum(1, keepdims=True)).astype(np.float32)


def test_words_get_the_times_at_which_their_letters_are_heard():
    log_probs = lattice("hi you", [(5, 6), (8, 8), (10, 10), (12, 12), (15, 15), (20, 24)], 40)
    words = align(log_probs, "Hi, you!", "en", 0.02)
    assert [word.text for word in words] == ["Hi,", "you!"]
    assert [(word.start_s, word.end_s) for word in words] == [
        (pytest.approx(0.10), pytest.approx(0.18)),
        (pytest.approx(0.24), pytest.approx(0.50)),
    ]


def test_chinese_is_timed_character_by_character():
    spans = [(i, i) for i in range(2, 11)]
    words = align(lattice("你好吗", spans, 20), "你好吗？", "zh", 0.02)
    assert [word.text for word in words] == ["你", "好", "吗？"]
    assert [round(word.start_s / 0.02) for word in words] == [2, 5, 8]


def test_what_cannot_have_been_said_in_the_time_gets_no_words():
    assert align(np.zeros((3, 257), np.float32), "four letters at least", "en", 0.02) == ()
    assert align(np.zeros((3, 257), np.float32), "...", "en", 0.02) == ()


def test_half_a_minute_of_words_is_aligned():
    text = " ".join(["many words in a row"] * 20)
    spans = [(2 * i, 2 * i) for i in range(len(text))]
    words = align(lattice(text, spans, 1500), text, "en", 0.02)
    assert len(words) == 100 and words[-1].end_s == pytest.approx((spans[-1][1] + 1) * 0.02)


def test_double_letters_are_kept_apart_by_a_blank():
    log_probs = np.log(np.full((4, 257), 1 / 257, np.float32))
    assert best_path(log_probs[:2], np.array([5, 5])) is None
    first, last = best_path(log_probs, np.array([5, 5])) or pytest.fail("four tokens are enough for two letters")
    assert last[0] + 1 < first[1]


def test_numbers_and_lone_punctuation_belong_to_the_words_people_see():
    assert spoken_words("In 21 days — really!", "en") == [
        ("In", "in"),
        ("21", "twenty one"),
        ("days —", "days"),
        ("really!", "really"),
    ]


@given(st.integers(0, 10_000), st.integers(1, 3), st.integers(1, 6))
def test_the_path_found_is_the_best_of_all_paths(seed, n_classes, n_tokens):
    rng = np.random.default_rng(seed)
    log_probs = np.log(rng.dirichlet(np.ones(3), n_tokens)).astype(np.float32)
    classes = rng.integers(1, 3, n_classes)

    def collapsed(path: tuple[int, ...]) -> list[int]:
        return [c for c, _ in itertools.groupby(path) if c]

    paths = [p for p in itertools.product(range(3), repeat=n_tokens) if collapsed(p) == classes.tolist()]
    spans = best_path(log_probs, classes)
    if spans is None:
        assert not paths
        return
    scores = {path: sum(float(log_probs[t, c]) for t, c in enumerate(path)) for path in paths}
    found = np.zeros(n_tokens, int)
    for c, first, last in zip(classes, *spans, strict=True):
        found[first : last + 1] = c
    assert scores[tuple(found.tolist())] == pytest.approx(max(scores.values()), abs=1e-4)


def test_the_path_agrees_with_torchaudio():
    functional = pytest.importorskip("torchaudio.functional", reason="torchaudio is not here", exc_type=ImportError)
    rng = np.random.default_rng(3)
    log_probs = np.log(rng.dirichlet(np.ones(257), 60)).astype(np.float32)
    classes = rng.integers(1, 257, 20)
    try:
        path, _ = functional.forced_align(torch.from_numpy(log_probs)[None], torch.from_numpy(classes)[None], blank=0)
    except (RuntimeError, OSError, AttributeError) as error:
        pytest.skip(f"torchaudio's alignment library does not load: {error}")
    first, last = best_path(log_probs, classes) or pytest.fail("60 tokens are enough for 20 classes")
    wanted = np.zeros(60, int)
    for c, a, b in zip(classes, first, last, strict=True):
        wanted[a : b + 1] = c
    assert path[0].tolist() == wanted.tolist()


def test_the_end_of_a_text_is_found_where_more_is_said_after_it():
    spans = [(3, 4), (6, 6), (8, 8), (10, 10), (12, 12), (14, 16), (20, 20), (24, 24), (26, 26)]
    log_probs = lattice("hi you go", spans, 40)
    assert end_of_text(log_probs, "Hi you.", "en") == 17
    assert end_of_text(log_probs, "Hi you, go!", "en") == 27
    assert end_of_text(log_probs, "...", "en") is None
    assert end_of_text(log_probs[:5], "Hi you", "en") is None


def test_the_spelling_counts_runs_of_a_byte_once_and_no_blanks():
    best = [0, 5, 5, 0, 5, 7, 7, 0, 0]
    assert spelt(np.eye(257, dtype=np.float32)[best]) == 3
    assert spelt(np.zeros((0, 257), np.float32)) == 0
