"""Speech: words right and wrong, words invented, and voices that are not real."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from engines.evaluation.speech import made_silence, synthesise
from tests.engines.evaluation.oracle import rows_of
from tests.fake_host import FakeHost
from tests.tiny_data import LABELS


def test_transcripts_count_the_same_however_numbers_are_spelt(oracle, tiny):
    rows = rows_of(oracle, tiny, "speech")
    assert rows["speech.an4.word_error_rate"].value == 0.0
    assert rows["speech.an4.word_error_rate"].n == 2


def test_words_said_about_silence_are_counted(oracle, tiny):
    assert rows_of(oracle, tiny, "speech")["speech.silence.invented_words"].value == 0.0
    row = rows_of(FakeHost(), tiny, "speech", 6)["speech.silence.invented_words"]
    assert row.n == 6 + len(LABELS)
    assert row.value == 7.0 * row.n  # the fake host says seven words about everything


def test_made_silence_is_quiet_enough_and_of_every_sort():
    made = made_silence(np.random.default_rng(0), 12)
    assert len(made) == 12
    assert not made[0].samples.any()
    assert all(0.0 < np.abs(sound.samples).max() <= 0.21 for sound in made[1:6])


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
def test_speech_translation_says_that_its_voice_is_synthetic(tiny):
    assert 0.5 < synthesise("A dog runs.").duration_s < 5.0
    row = rows_of(FakeHost(), tiny, "speech_translation", 2)["speech_translation.multi30k.en_de.bleu"]
    assert (row.n, row.note) == (2, "synthetic voice: espeak-ng en-us")


def test_without_a_synthesizer_its_rows_are_skipped(oracle, tiny, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    rows = rows_of(oracle, tiny, "speech_translation")
    assert rows["speech_translation.multi30k.en_de.bleu"].skipped == "espeak-ng is not installed"
