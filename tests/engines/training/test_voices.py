"""Synthetic speech: what is said can be heard, in every language, and its absence is no failure."""

from __future__ import annotations

import shutil
import subprocess
import sys

import numpy as np
import pytest

from engines.protocol import LANGUAGES, RATE_HZ
from engines.training import voices
from engines.training.voices import ACCENTS, speak

needs_espeak = pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
SENTENCES = {"en": "A dog runs.", "de": "Ein Hund läuft.", "fr": "Un chien court.", "zh": "一只狗在跑。"}


@pytest.fixture(autouse=True)
def look_again() -> None:
    voices.espeak.cache_clear()


def spoken(text: str, language: str, seed: int = 0) -> np.ndarray:
    sound = speak(text, language, np.random.default_rng(seed))
    assert sound is not None
    return sound.samples


def test_every_language_has_a_voice() -> None:
    assert ACCENTS.keys() == set(LANGUAGES)


@needs_espeak
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_sentence_is_heard_at_16_khz(language: str) -> None:
    if language == "zh":
        pytest.importorskip("pypinyin", reason="pypinyin is not installed")
    samples = spoken(SENTENCES[language], language)
    assert samples.dtype == np.float32
    assert 0.4 * RATE_HZ < len(samples) < 4 * RATE_HZ
    assert 0.05 < np.abs(samples).max() <= 1.0


@needs_espeak
def test_a_longer_sentence_takes_longer() -> None:
    assert len(spoken("One, two, three, four, five, six.", "en")) > 1.5 * len(spoken("One.", "en"))


@needs_espeak
def test_voices_are_drawn_from_the_generator() -> None:
    assert np.array_equal(spoken("Hello.", "en", 1), spoken("Hello.", "en", 1))
    assert len({len(spoken("Hello.", "en", seed)) for seed in range(4)}) > 1


@needs_espeak
def test_text_is_never_taken_for_an_option() -> None:
    assert len(spoken("--help -v de", "en")) > 0.3 * RATE_HZ


def test_without_espeak_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert speak("Hello.", "en", np.random.default_rng(0)) is None


def test_without_pinyin_no_chinese_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: name)
    monkeypatch.setitem(sys.modules, "pypinyin", None)
    assert speak("你好", "zh", np.random.default_rng(0)) is None


def test_a_voice_that_stays_silent_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: name)
    silent = subprocess.CompletedProcess((), 1, stdout=b"", stderr=b"")
    monkeypatch.setattr(subprocess, "run", lambda *arguments, **options: silent)
    assert speak("Hello.", "en", np.random.default_rng(0)) is None
