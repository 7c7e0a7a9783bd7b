"""Words are compared letter by letter, in English and Chinese."""

from __future__ import annotations

import pytest

from engines.words import LEAST, MOST, excerpt, fit, parts_of, query_parts, share


def test_a_text_has_words_in_small_letters_and_pairs_of_chinese_characters():
    assert parts_of("Platform 12, PLATFORM") == ("platform", "12")
    assert parts_of("三号会议室 A4") == ("三号", "号会", "会议", "议室", "a4")
    assert parts_of("ＷＩＦＩ") == ("wifi",) and parts_of("猫") == ("猫",)


def test_words_that_say_little_are_not_looked_for_unless_there_are_no_others():
    assert query_parts("the exit of the station") == ("exit", "station")
    assert query_parts("to be") == ("to", "be") or query_parts("to be") == ("be",)
    assert query_parts("the") == ("the",)


@pytest.mark.parametrize(
    ("query", "text", "expected"),
    [
        ("platform 12", "Trains\nPLATFORM 12", 1.0),
        ("exit", "EXITS", 0.0),  # a short word counts only whole: art is not in party
        ("emergency exit", "EMERGENCYEXIT", 9 / 13),  # signs run long words together
        ("会议室", "今天在三号会议室", 1.0),
        ("猫", "黑猫", 1.0),
        ("platform 9", "platform 12", 8 / 9),
    ],
)
def test_the_share_of_a_query_that_stands_in_a_text(query, text, expected):
    assert share(query_parts(query), text) == pytest.approx(expected)


def test_a_short_word_fits_less_than_a_whole_phrase_and_none_not_at_all():
    short, phrase = fit(query_parts("dog"), "A dog."), fit(query_parts("platform 12"), "Platform 12")
    assert LEAST < short < phrase == pytest.approx(MOST)
    assert fit(query_parts("会议室"), "三号会议室") == pytest.approx(MOST)
    assert fit(query_parts("cat"), "A dog.") == 0.0 == fit((), "A dog.")


def test_an_excerpt_shows_the_words_looked_for():
    text = " ".join(f"word{n}" for n in range(100))
    shown = excerpt(text, ("word70",), 60)
    assert "word70" in shown and shown.startswith("…") and shown.endswith("…") and len(shown) < 75
    assert excerpt("short\ntext", ("text",), 60) == "short text"
    assert excerpt(text, (), 60).startswith("word0 ")
