"""Transcripts as people write them: the words stay, capitals and punctuation are added where they are certain."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.archives import Member, SpeechRecord
from engines.text import normalise
from engines.training.truecase import FILE, as_sentence, is_cased, read, transcript


def record(text: str, *, raw: str = "", language: str = "en") -> SpeechRecord:
    return SpeechRecord("c", "s", text, raw or text, "an4", language, Member(Path("x.tar"), "x.opus", 0, 0))


@pytest.mark.parametrize(
    ("text", "cased"), [("A dog.", True), ("A DOG", False), ("a dog", False), ("Ein Hund", True), ("123", False)]
)
def test_a_text_is_cased_when_it_has_both_kinds_of_letters(text, cased):
    assert is_cased(text) is cased


@pytest.mark.parametrize(
    ("plain", "sentence"),
    [
        ("x i sixty one", "X I sixty one."),
        ("i'm sure i saw a dog", "I'm sure I saw a dog."),
        ("HELLO WORLD", "Hello world."),
    ],
)
def test_a_plain_line_becomes_a_sentence(plain, sentence):
    assert as_sentence(plain) == sentence


@given(words=st.lists(st.sampled_from(["a", "dog", "i'm", "sees", "nine", "x", "i", "cats"]), min_size=1, max_size=8))
def test_no_word_is_changed(words):
    assert normalise(as_sentence(" ".join(words)), "en").split() == words


def test_a_transcript_that_is_written_well_is_kept_and_a_plain_one_is_cased():
    assert transcript(record("one two", raw="One, two!"), {"c": "other"}) == "One, two!"
    assert transcript(record("guten morgen", language="de"), {}) == "guten morgen"
    assert transcript(record("a dog", raw="A DOG"), {"c": "A dog!"}) == "A dog!"
    assert transcript(record("a dog", raw="A DOG"), {}) == "A dog."


def test_cased_transcripts_are_read_where_there_are_any(tmp_path):
    assert read(tmp_path) == {}
    (tmp_path / FILE).write_text('{"u0": "One."}')
    assert read(tmp_path) == {"u0": "One."}
