"""Whisper beside our own rows: the same clips, the same counting; what is not there is a reason, not an error."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from engines import archives
from engines.evaluation import speed
from engines.evaluation.harness import Harness
from engines.evaluation.speed import Whisper, whisper_rows
from engines.protocol import Sound
from tests.conftest import SAMPLES
from tests.fake_host import FakeHost


class Deaf:
    """Writes the same for everything; knows English only when its folder says so."""

    how = "without listening"

    def __init__(self, folder: Path) -> None:
        self.english_only = folder.name.endswith(".en")

    def write(self, sound: Sound, language: str) -> str:
        return "something else entirely"


@pytest.fixture
def harness(tiny) -> Harness:
    return Harness(FakeHost(), tiny, "dev", quiet=True)


def test_each_model_has_its_word_errors_on_every_corpus_and_its_seconds(harness, monkeypatch):
    monkeypatch.setattr(speed, "Whisper", Deaf)
    rows = whisper_rows(harness, [Path("base")])
    corpora = {record.corpus for record in archives.speech(harness.data, "dev")}
    seconds = {"whispers.base.transcribe.seconds", "whispers.base.transcribe_25_s.seconds"}
    assert set(rows) == {*seconds, *(f"whispers.base.{corpus}.word_error_rate" for corpus in corpora)}
    rates = [row.value for key, row in rows.items() if key.endswith("word_error_rate")]
    assert all(rate is not None and rate >= 100.0 for rate in rates)
    assert rows["whispers.base.transcribe.seconds"].unit == "s"


def test_an_english_model_is_not_asked_for_other_languages(harness, monkeypatch):
    monkeypatch.setattr(speed, "Whisper", Deaf)
    foreign = {record.corpus for record in archives.speech(harness.data, "dev") if record.language != "en"}
    rows = whisper_rows(harness, [Path("base"), Path("tiny.en")])
    assert all(f"whispers.tiny.en.{corpus}.word_error_rate" not in rows for corpus in foreign)
    assert "whispers.tiny.en.transcribe.seconds" in rows


def test_only_the_corpora_asked_for_are_heard(tiny, monkeypatch):
    monkeypatch.setattr(speed, "Whisper", Deaf)
    corpus = min(record.corpus for record in archives.speech(tiny, "dev"))
    rows = whisper_rows(Harness(FakeHost(), tiny, "dev", quiet=True, corpora=frozenset({corpus})), [Path("base")])
    assert [key for key in rows if key.endswith("word_error_rate")] == [f"whispers.base.{corpus}.word_error_rate"]


def test_a_folder_of_ctranslate2_is_heard_by_faster_whisper_or_says_that_it_is_missing(harness, tmp_path, monkeypatch):
    (tmp_path / "model.bin").touch()
    monkeypatch.setitem(sys.modules, "faster_whisper", None)
    (row,) = whisper_rows(harness, [tmp_path]).values()
    assert row.skipped == "faster-whisper is not installed"


def test_a_folder_without_a_model_is_a_skipped_row(harness, tmp_path):
    (row,) = whisper_rows(harness, [tmp_path]).values()
    assert row.value is None
    assert row.skipped


def test_the_real_one_writes_what_the_sample_says():
    folder = os.environ.get("FUSION_WEIGHTS")
    if not folder:
        pytest.skip("FUSION_WEIGHTS does not name a folder with whisper-tiny.en")
    from engines.media import load_sound

    written = Whisper(Path(folder) / "whisper-tiny.en").write(load_sound(SAMPLES / "all-busy.mp3"), "en")
    assert "hold" in written.lower()
