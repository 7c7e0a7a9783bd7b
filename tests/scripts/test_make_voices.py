"""Synthetic speech: what is said can be heard, in every language, and its absence is no failure."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from engines import archives
from engines.protocol import LANGUAGES, RATE_HZ, Sound
from engines.training.truecase import transcript
from scripts import make_voices
from scripts.make_voices import ACCENTS, BIT_RATE, CORPUS, opus, record, speak, synthesise
from tests.conftest import tone
from tests.tiny_data import PHOTOS

needs_espeak = pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
SENTENCES = {"en": "A dog runs.", "de": "Ein Hund läuft.", "fr": "Un chien court.", "zh": "一只狗在跑。"}


def spoken(text: str, language: str, seed: int = 0) -> np.ndarray:
    sound = speak(text, language, np.random.default_rng(seed))
    assert sound is not None
    return sound.samples


def test_every_language_has_a_voice():
    assert ACCENTS.keys() == set(LANGUAGES)


@needs_espeak
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_sentence_is_heard_at_16_khz(language):
    if language == "zh":
        pytest.importorskip("pypinyin", reason="pypinyin is not installed")
    samples = spoken(SENTENCES[language], language)
    assert samples.dtype == np.float32
    assert 0.4 * RATE_HZ < len(samples) < 4 * RATE_HZ
    assert 0.05 < np.abs(samples).max() <= 1.0


@needs_espeak
def test_voices_are_drawn_from_the_generator():
    assert np.array_equal(spoken("Hello.", "en", 1), spoken("Hello.", "en", 1))
    assert len({len(spoken("Hello.", "en", seed)) for seed in range(4)}) > 1


@needs_espeak
def test_text_is_never_taken_for_an_option():
    assert len(spoken("--help -v de", "en")) > 0.3 * RATE_HZ


def test_without_espeak_nothing_is_said(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert speak("Hello.", "en", np.random.default_rng(0)) is None


def test_without_pinyin_no_chinese_is_said(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: name)
    monkeypatch.setitem(sys.modules, "pypinyin", None)
    assert speak("你好", "zh", np.random.default_rng(0)) is None


def test_a_voice_that_stays_silent_is_left_out(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: name)
    silent = subprocess.CompletedProcess((), 1, stdout=b"", stderr=b"")
    monkeypatch.setattr(subprocess, "run", lambda *arguments, **options: silent)
    assert speak("Hello.", "en", np.random.default_rng(0)) is None


# --- stored as the data store speech -------------------------------------------------------------------------------


@pytest.fixture
def tones(monkeypatch) -> None:
    """Every text is a tone, the longer the longer it is."""
    monkeypatch.setattr(make_voices, "speak", lambda text, language, rng: Sound(tone(0.02 * len(text))))


@pytest.mark.usefixtures("tones")
def test_sentences_in_other_languages_and_captions_in_english_are_given_a_voice(data):
    made = list(synthesise(data))
    languages = [language for _, language, _ in made]
    assert [languages.count(language) for language in ("de", "fr", "zh", "en")] == [6, 6, 6, 6]
    for language in ("de", "fr", "zh"):
        sentences = {pair.target for pair in archives.pairs(data, f"en-{language}", "train")}
        assert {text for text, own, _ in made if own == language} == sentences
    captions = [text.removeprefix("Look : ") for text, language, _ in made if language == "en"]
    assert sorted(captions) == sorted(PHOTOS.values())  # one of each photo
    assert [text for text, *_ in made] == [text for text, *_ in synthesise(data)]


@pytest.mark.usefixtures("tones")
def test_what_was_recorded_is_read_back_as_speech(data, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["make_voices", str(data), str(tmp_path)])
    make_voices.main()
    made, records = list(synthesise(data)), archives.speech(tmp_path / "voices", "train")
    assert capsys.readouterr().out == f"{len(made)} clips in {tmp_path / 'voices'}\n"
    assert [(own.raw, own.language, own.corpus) for own in records] == [
        (t, language, CORPUS) for t, language, _ in made
    ]
    for own, (_, _, sound) in zip(records, made, strict=True):
        assert len(own.load().samples) == pytest.approx(len(sound.samples), abs=RATE_HZ / 20)


def test_a_caption_without_capitals_is_written_as_a_sentence(data, tmp_path, monkeypatch):
    texts = ("two dogs , one black .", "A dog runs .", "一只狗在跑。")
    spoken = [(text, language, Sound(tone(0.5))) for text, language in zip(texts, ("en", "en", "zh"), strict=True)]
    monkeypatch.setattr(make_voices, "synthesise", lambda data: iter(spoken))
    assert record(data, tmp_path) == 3
    records = archives.speech(tmp_path, "train")
    assert [transcript(own, {}) for own in records] == ["Two dogs one black.", "A dog runs .", "一只狗在跑。"]


def test_where_nobody_can_speak_nothing_is_recorded(data, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert list(synthesise(data)) == []
    assert record(data, tmp_path) == 0
    with pytest.raises(archives.DatasetMissing, match="no speech"):
        archives.speech(tmp_path, "train")


def test_a_recording_that_was_stopped_is_not_taken_for_one(data, tmp_path, monkeypatch):
    def stopped(data: Path) -> object:
        yield "Hello.", "en", Sound(tone(0.5))
        raise KeyboardInterrupt

    monkeypatch.setattr(make_voices, "synthesise", stopped)
    with pytest.raises(KeyboardInterrupt):
        record(data, tmp_path)
    assert not (tmp_path / make_voices.LIST).exists()


@pytest.mark.parametrize("hz", [200.0, 1000.0, 3000.0])
def test_a_sound_kept_as_opus_is_near_itself(hz):
    sound = Sound(tone(2.0, hz=hz))
    coded = opus(sound)
    found = archives.decode_sound(coded, "tone").samples
    assert len(found) == pytest.approx(len(sound.samples), abs=RATE_HZ / 20)
    assert np.abs(np.fft.rfft(found)).argmax() * RATE_HZ / len(found) == pytest.approx(hz, rel=0.01)
    assert found.std() == pytest.approx(sound.samples.std(), rel=0.1)
    assert len(coded) < 2 * 1.5 * BIT_RATE / 8


def test_a_sound_too_loud_for_opus_is_cut():
    found = archives.decode_sound(opus(Sound(2 * np.sign(tone(1.0)))), "square").samples
    assert 0.5 < found.std() < 1.1
