"""Corrections of a transcript: what a person changes changes, and every time that was measured stays."""

from __future__ import annotations

import pytest

from engines import RequestError, Segment, Word
from studio.tabs.speech.edits import MAX_CHARACTERS, edited, retimed

WORDS = (Word(1.0, 1.4, "Good", 0.9), Word(1.4, 2.0, "mourning,", 0.3), Word(2.0, 2.6, "Anna.", 0.8))
LINES = (
    Segment(1.0, 2.6, "Good mourning, Anna.", WORDS, "Guten Morgen, Anna.", "en", 0.67),
    Segment(3.0, 4.0, "How are you?", (), "Wie geht es dir?", "en"),
)
CHINESE = (Word(0.0, 0.8, "你好", 0.9), Word(0.8, 1.0, "吗", 0.7))


def times(words: tuple[Word, ...]) -> list[tuple[str, float, float]]:
    return [(word.text, round(word.start_s, 3), round(word.end_s, 3)) for word in words]


def test_a_corrected_word_takes_the_place_of_the_wrong_one_and_the_others_keep_their_times():
    first, second = edited(LINES, {"edit": "text", "line": 0, "text": "Good  morning, Anna."})
    assert first.text == "Good morning, Anna."
    assert times(first.words) == [("Good", 1.0, 1.4), ("morning,", 1.4, 2.0), ("Anna.", 2.0, 2.6)]
    assert first.confidence == pytest.approx(0.85), "the word a person wrote says nothing of how sure the model was"
    assert (first.start_s, first.end_s, first.translation) == (1.0, 2.6, "Guten Morgen, Anna.")
    assert second == LINES[1]


def test_words_put_between_two_share_the_time_between_them():
    shown = times(retimed((Word(0.0, 1.0, "a"), Word(3.0, 4.0, "d")), "a b c d", 0.0, 4.0))
    assert shown == [("a", 0.0, 1.0), ("b", 1.0, 2.0), ("c", 2.0, 3.0), ("d", 3.0, 4.0)]


def test_a_character_put_right_in_chinese_leaves_the_times_of_the_others():
    shown = times(retimed(CHINESE, "您好吗", 0.0, 1.0))
    assert shown == [("您", 0.0, 0.4), ("好", 0.4, 0.8), ("吗", 0.8, 1.0)]


def test_a_translation_is_corrected_beside_its_text():
    (first, _) = edited(LINES, {"edit": "translation", "line": 0, "text": "Guten Tag."})
    assert (first.text, first.translation, first.words) == (LINES[0].text, "Guten Tag.", WORDS)


def test_a_line_is_cut_where_its_words_are():
    first, second, _ = edited(LINES, {"edit": "split", "line": 0, "at": len("Good mourning,")})
    assert (first.text, first.start_s, first.end_s) == ("Good mourning,", 1.0, 2.0)
    assert (second.text, second.start_s, second.end_s) == ("Anna.", 2.0, 2.6)
    assert (first.translation, second.translation) == ("Guten Morgen, Anna.", "")
    assert second.confidence == 0.8


def test_a_line_without_word_times_is_cut_by_its_length():
    _, first, second = edited(LINES, {"edit": "split", "line": 1, "at": 6})
    assert (first.text, second.text) == ("How ar", "e you?")
    assert first.end_s == second.start_s == 3.5


def test_a_line_joins_the_one_before():
    (one,) = edited(LINES, {"edit": "join", "line": 1})
    assert (one.start_s, one.end_s) == (1.0, 4.0)
    assert one.text == "Good mourning, Anna. How are you?"
    assert one.translation == "Guten Morgen, Anna. Wie geht es dir?"
    assert one.words == (), "times of half a line's words would make the other half look unsaid"
    (chinese,) = edited((Segment(0, 1, "你好。", CHINESE), Segment(1, 2, "再见。")), {"edit": "join", "line": 1})
    assert chinese.text == "你好。再见。"


def test_a_line_and_then_all_lines_are_moved_but_never_before_the_beginning():
    _, second = edited(LINES, {"edit": "shift", "line": 1, "seconds": 0.5})
    assert (second.start_s, second.end_s) == (3.5, 4.5)
    first, second = edited(LINES, {"edit": "shift", "seconds": -9})
    assert (first.start_s, second.start_s) == (0.0, 2.0)
    assert first.words[1].start_s == pytest.approx(0.4)


def test_a_text_is_replaced_everywhere_and_only_as_it_is_written():
    first, second = edited(LINES, {"edit": "replace", "find": "Anna", "with": "Anne"})
    assert (first.text, first.translation) == ("Good mourning, Anne.", "Guten Morgen, Anne.")
    assert first.words[2].text == "Anne." and second == LINES[1]
    with pytest.raises(RequestError, match="'anna' does not occur here; large and small letters are told apart"):
        edited(LINES, {"edit": "replace", "find": "anna", "with": "Anne"})


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"edit": "burn"},
        {"edit": "text", "line": 2, "text": "x"},
        {"edit": "text", "line": "0", "text": "x"},
        {"edit": "text", "line": 0, "text": None},
        {"edit": "text", "line": 0, "text": "x" * (MAX_CHARACTERS + 1)},
        {"edit": "split", "line": 0, "at": 0},
        {"edit": "split", "line": 0, "at": 99},
        {"edit": "split", "line": 0},
        {"edit": "join", "line": 0},
        {"edit": "shift", "seconds": float("inf")},
        {"edit": "shift", "seconds": "1"},
        {"edit": "replace", "find": 1, "with": "x"},
    ],
)
def test_a_correction_that_does_not_fit_is_refused_in_a_sentence(asked):
    with pytest.raises(RequestError, match="does not fit the result") as caught:
        edited(LINES, asked)
    assert "结果" in caught.value.zh


def test_nothing_to_find_is_asked_for():
    with pytest.raises(RequestError, match="what to find") as caught:
        edited(LINES, {"edit": "replace", "find": "", "with": "x"})
    assert "查找" in caught.value.zh
