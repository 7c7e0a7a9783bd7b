"""Spelling from Whisper: taken over where it hears the same words, in windows of several clips."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from engines.archives import Member, SpeechRecord
from engines.protocol import RATE_HZ, Sound
from engines.text import normalise
from engines.training.truecase import FILE
from scripts import truecase
from scripts.truecase import PAUSE_S, copy_spelling, split_window, windows

words = st.lists(st.sampled_from(["a", "dog", "i'm", "sees", "nine", "x", "i", "cats"]), min_size=1, max_size=8)


@dataclass(frozen=True)
class Clip(SpeechRecord):
    """A clip without a file, as long as it says."""

    seconds: float = 1.0

    def load(self) -> Sound:
        return Sound(np.full(round(self.seconds * RATE_HZ), 0.1, np.float32))


def clip(text: str, *, id: str = "c", speaker: str = "s", seconds: float = 1.0) -> Clip:
    nowhere = Member(Path("x.tar"), "x.opus", 0, 0)
    return Clip(id, speaker, text, text, "librispeech-dev-clean", "en", nowhere, seconds=seconds)


def test_spelling_is_taken_over_where_both_agree():
    ours = ["mister", "quilter", "is", "the", "apostle", "of", "the", "middle", "classes"]
    heard = ["Mr.", "Quilter", "is", "the", "apostle", "of", "the", "middle", "classes,"]
    assert " ".join(copy_spelling(ours, heard)) == "mister Quilter is the apostle of the middle classes,"


@given(ours=words, heard=words)
def test_no_word_is_changed(ours, heard):
    spelt = copy_spelling(ours, [word.title() for word in heard])
    assert [normalise(word, "en") for word in spelt] == ours


def test_clips_of_one_speaker_share_a_window_until_it_is_full():
    clips = [clip("a", seconds=10.0), clip("b", seconds=10.0), clip("c", seconds=10.0), clip("d", speaker="t")]
    joined = list(windows(clips))
    assert [[record.text for record in records] for records, _ in joined] == [["a", "b"], ["c"], ["d"]]
    assert len(joined[0][1]) == round(2 * (10.0 + PAUSE_S) * RATE_HZ)
    assert list(windows([])) == []


def test_a_window_is_split_into_its_clips():
    clips = [clip("he was not there", id="one"), clip("was he", id="two"), clip("nobody knows", id="three")]
    heard = ["He", "wasn't", "there.", "Was", "he?", "Nobody", "knows,"]
    assert split_window(clips, heard) == {"one": "He was not there.", "two": "Was he?", "three": "Nobody knows."}


def test_the_command_writes_the_transcripts_of_its_corpora(tmp_path, data, monkeypatch):
    monkeypatch.setattr(truecase, "truecase", lambda records, whisper: {record.id: whisper for record in records})
    monkeypatch.setattr(truecase, "CORPORA", ("an4",))
    monkeypatch.setattr("sys.argv", ["truecase", str(data), str(tmp_path), "--whisper", "whisper-base"])
    truecase.main()
    assert json.loads((tmp_path / FILE).read_text()) == dict.fromkeys(("u0", "u1", "u2"), "whisper-base")
