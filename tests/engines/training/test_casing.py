"""Transcripts as people write them: the words stay, capitals and marks come from where they are certain."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines import archives
from engines.archives import Member, SpeechRecord
from engines.protocol import RATE_HZ, Sound
from engines.text import normalise
from engines.training import casing
from engines.training.casing import as_sentence, is_cased, packed, spell_like, written

words = st.lists(st.sampled_from(["a", "dog", "i'm", "sees", "nine", "x", "i", "cats"]), min_size=1, max_size=8)


class Clip(SpeechRecord):
    """A clip that needs no file: as long as it says."""

    def load(self) -> Sound:
        return Sound(np.full(round(self.seconds * RATE_HZ), 0.1, np.float32))


def clip(
    text: str, *, raw: str = "", id: str = "c", speaker: str = "s", seconds: float = 1.0, language: str = "en"
) -> Clip:
    nowhere = Member(Path("x.tar"), "x.opus", 0, 0)
    return Clip(id, speaker, text, raw or text, seconds, "librispeech-dev-clean", language, nowhere)


@pytest.mark.parametrize(
    ("text", "cased"), [("A dog.", True), ("A DOG", False), ("a dog", False), ("Ein Hund", True), ("123", False)]
)
def test_a_text_is_cased_when_it_has_both_kinds_of_letters(text: str, cased: bool) -> None:
    assert is_cased(text) is cased


@pytest.mark.parametrize(
    ("plain", "sentence"),
    [
        ("x i sixty one", "X I sixty one."),
        ("i'm sure i saw a dog", "I'm sure I saw a dog."),
        ("HELLO WORLD", "Hello world."),
        ("enter nine", "Enter nine."),
    ],
)
def test_a_plain_line_becomes_a_sentence(plain: str, sentence: str) -> None:
    assert as_sentence(plain) == sentence


@given(words=words)
def test_no_word_is_changed(words: list[str]) -> None:
    assert normalise(as_sentence(" ".join(words)), "en").split() == words


def test_spelling_is_taken_over_where_both_agree() -> None:
    ours = ["mister", "quilter", "is", "the", "apostle", "of", "the", "middle", "classes"]
    heard = ["Mr.", "Quilter", "is", "the", "apostle", "of", "the", "middle", "classes,"]
    assert " ".join(spell_like(ours, heard)) == "mister Quilter is the apostle of the middle classes,"


@given(ours=words, heard=words)
def test_what_was_heard_changes_no_word_either(ours: list[str], heard: list[str]) -> None:
    spelt = spell_like(ours, [word.title() for word in heard])
    assert [normalise(word, "en") for word in spelt] == ours


def test_clips_of_one_speaker_share_a_window_until_it_is_full() -> None:
    clips = [clip("a", seconds=10.0), clip("b", seconds=10.0), clip("c", seconds=10.0), clip("d", speaker="t")]
    windows = list(packed(clips))
    assert [[record.text for record in records] for records, _ in windows] == [["a", "b"], ["c"], ["d"]]
    assert len(windows[0][1]) == round(2 * (10.0 + casing.PAUSE_S) * RATE_HZ)
    assert not windows[1][1][-100:].any()
    assert list(packed([])) == []


def test_a_window_is_cut_back_into_its_clips() -> None:
    clips = [clip("he was not there", id="one"), clip("was he", id="two"), clip("nobody knows", id="three")]
    heard = ["He", "wasn't", "there.", "Was", "he?", "Nobody", "knows,"]
    assert casing._cut(clips, heard) == {"one": "He was not there.", "two": "Was he?", "three": "Nobody knows."}


def test_a_reference_that_is_written_well_is_kept() -> None:
    assert written(clip("one two", raw="One, two!"), {"c": "other"}) == "One, two!"
    assert written(clip("guten morgen", language="de"), {}) == "guten morgen"


def test_a_plain_reference_is_taught_or_made_a_sentence() -> None:
    assert written(clip("a dog", raw="A DOG"), {"c": "A dog!"}) == "A dog!"
    assert written(clip("a dog", raw="A DOG"), {}) == "A dog."


def test_taught_spellings_are_asked_for_once(tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def taught(records: object, whisper: str) -> dict[str, str]:
        asked.append(whisper)
        return {"u0": "One, two, three."}

    monkeypatch.setattr(casing, "taught", taught)
    records = archives.speech(data, "train")
    for _ in range(2):
        assert casing.kept(tmp_path, records, "whisper-base") == {"u0": "One, two, three."}
    assert asked == ["whisper-base"]


def test_the_command_keeps_the_spellings_for_later(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(casing, "taught", lambda records, whisper: {"u0": whisper})
    monkeypatch.setattr("sys.argv", ["casing", str(data), str(tmp_path), "--whisper", "whisper-base"])
    casing.main()
    assert capsys.readouterr().out == "1 were spelt\n"
    assert (tmp_path / casing.FILE).exists()
