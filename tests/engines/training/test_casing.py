"""Transcripts get capitals and marks, and never another word."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.archives import Member, SpeechRecord
from engines.protocol import Sound
from engines.text import normalise
from engines.training import casing

WORDS = st.lists(st.sampled_from(["the", "train", "leaves", "at", "nine", "boston", "i", "a", "q"]), min_size=1)


def record(text: str, raw: str = "", language: str = "en", speaker: str = "one", name: str = "clip") -> SpeechRecord:
    return SpeechRecord(name, speaker, text, raw or text, 1.0, "made", language, Member(Path("none"), name, 0, 0))


@pytest.mark.parametrize(
    ("plain", "sentence"),
    [
        ("x i sixty one", "X I sixty one."),
        ("i'm a child and i know it", "I'm a child and I know it."),
        ("yes", "Yes."),
    ],
)
def test_a_plain_reference_becomes_a_sentence(plain: str, sentence: str) -> None:
    assert casing.as_sentence(plain) == sentence


def test_spelling_is_taken_over_where_the_words_agree() -> None:
    heard = ["He", "met", "Mr.", "Smith,", "in", "Boston;", "twenty", "5", "times"]
    plain = ["he", "met", "mr", "smith", "in", "boston", "twenty", "five", "times"]
    assert casing.spell_like(plain, heard) == ["He", "met", "Mr.", "Smith,", "in", "Boston;", "twenty", "five", "times"]


@given(words=WORDS, heard=WORDS)
def test_no_word_of_a_reference_is_changed(words: list[str], heard: list[str]) -> None:
    spelt = casing.spell_like(words, [f"{word.title()}," for word in heard])
    assert normalise(" ".join(spelt), "en").split() == words
    assert normalise(casing.as_sentence(" ".join(words)), "en").split() == words


def test_what_is_written_as_people_write_it_stays() -> None:
    german = record("der hund", raw="Der Hund.", language="de")
    assert casing.written(german, {}) == "Der Hund."
    assert casing.written(record("he ran", raw="HE RAN"), {}) == "He ran."
    assert casing.written(record("he ran", raw="HE RAN"), {"clip": "He ran!"}) == "He ran!"


def test_windows_hold_one_speaker_and_no_more_than_they_can(monkeypatch: pytest.MonkeyPatch) -> None:
    ten_s = np.zeros(10 * 16_000, np.float32)
    monkeypatch.setattr(SpeechRecord, "load", lambda self: Sound(ten_s))
    clips = [record("a", name=f"{speaker}{i}", speaker=speaker) for speaker in "ab" for i in range(3)]
    windows = [([clip.id for clip in window], len(samples) / 16_000) for window, samples in casing.packed(clips)]
    assert [names for names, _ in windows] == [["a0", "a1"], ["a2"], ["b0", "b1"], ["b2"]]
    assert max(seconds for _, seconds in windows) <= casing.WINDOW_S


def test_a_window_is_laid_over_its_clips() -> None:
    clips = [record("he ran home", name="one"), record("she stayed", name="two")]
    assert casing._cut(clips, ["he", "ran", "home,", "She", "stayed"]) == {"one": "He ran home.", "two": "She stayed."}
