"""Speech by transformers: Whisper's times, languages, silence and translation; letters with times from CTC models."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from engines.errors import AbilityError
from engines.hosts import pretrained
from engines.hosts.pretrained import speech
from engines.hosts.pretrained.speech import TIME_S, _is_repetitive, _timed
from engines.protocol import RATE_HZ, Sound, TranscribeRequest, TranscribeResult, run
from engines.settings import Settings
from tests.conftest import SAMPLES, tone
from tests.engines.hosts.pretrained.conftest import WHISPER, with_whisper


def test_time_tokens_become_times_and_what_is_open_ends_with_the_chunk():
    words = {1: "good", 2: "morning", 3: "bye"}
    ids = [100, 1, 2, 150, 160, 3]
    found = _timed(ids, 100, lambda held: " ".join(words[i] for i in held), end_s=2.0)
    assert [(s.start_s, s.end_s, s.text) for s in found] == [
        (0.0, 50 * TIME_S, "good morning"),
        (60 * TIME_S, 2.0, "bye"),
    ]
    (found,) = _timed([100, 1, 1500], 100, lambda held: "x" * len(held), end_s=3.0)
    assert found.end_s == 3.0, "no time reaches past the chunk"


@pytest.mark.parametrize(
    ("text", "is_repetitive"),
    [("[music] " * 20, True), ("Please hold and your call will be answered in the order it was received. " * 1, False)],
)
def test_what_is_said_over_and_over_is_told_from_speech(text, is_repetitive):
    assert _is_repetitive(text) is is_repetitive


def test_a_whisper_writes_segments_with_times_in_a_language_it_knows(opened, sound):
    result = run(opened("whisper"), TranscribeRequest(media=sound))
    assert isinstance(result, TranscribeResult) and result.end in ("finished", "empty")
    assert result.language in ("en", "de", "fr", "zh") and result.duration_s == pytest.approx(2.0, abs=0.1)
    assert all(0 <= s.start_s <= s.end_s <= 2.1 for s in result.segments)


def test_a_whisper_translates_into_english_by_itself_and_into_nothing_else(opened, sound, monkeypatch):
    host = opened("whisper")
    monkeypatch.setattr(speech, "_is_repetitive", lambda _: False)  # random weights do nothing else
    asked: list[str] = []
    ids = speech.Whisper._ids

    def seen(self: Any, inputs: Any, language: str, task: str, confidence: Any) -> Any:
        asked.append(f"{language} {task}")
        return ids(self, inputs, language, task, confidence)

    monkeypatch.setattr(speech.Whisper, "_ids", seen)
    result = run(host, TranscribeRequest(media=sound, language="de", translate_to="en"))
    assert asked == ["de transcribe", "de translate"] and result.end is not None
    with pytest.raises(AbilityError, match=r"^whisper does not translate speech to fr; leave the translation out"):
        run(host, TranscribeRequest(media=sound, language="de", translate_to="fr"))


def test_silence_gives_no_words_when_the_model_hears_no_speech(opened, sound, monkeypatch):
    monkeypatch.setattr(speech, "NO_SPEECH", -1.0)
    assert run(opened("whisper"), TranscribeRequest(media=sound)).end == "empty"


@pytest.mark.parametrize(
    ("no_speech", "unsure", "is_speech"),
    [
        (0.1, 0.0, True),  # hardly understood, but speech
        (0.4, 0.0, False),  # the words that Whisper hears in rain
        (0.4, -100.0, True),
        (0.7, -100.0, False),
    ],
)
def test_what_may_be_noise_gives_no_words_if_the_model_is_unsure_of_them(
    opened, sound, monkeypatch, no_speech, unsure, is_speech
):
    monkeypatch.setattr(speech, "_is_repetitive", lambda _: False)  # random weights do nothing else
    monkeypatch.setattr(speech.Whisper, "_heard", lambda *_: (no_speech, "en"))
    monkeypatch.setattr(speech, "UNSURE", unsure)
    *partial, last = opened("whisper").stream(TranscribeRequest(media=sound))
    assert last.end == ("finished" if is_speech else "empty")
    assert any(result.text for result in partial) is is_speech


def test_sureness_is_the_mean_log_probability_of_what_is_taken():
    confidence = speech._Confidence()
    for shares in ([0.5, 0.2, 0.3], [0.1, 0.9, 0.0]):
        scores = torch.tensor([shares]).log() + 3.0  # logits of these shares
        assert confidence(torch.zeros(1, 1), scores) is scores
    assert confidence.mean_logprob == pytest.approx(np.log([0.5, 0.9]).mean(), abs=1e-5)


def test_an_english_model_refuses_other_languages(opened, sound, monkeypatch):
    monkeypatch.setattr(speech, "_languages", lambda _: ("en",))
    with pytest.raises(AbilityError, match=r"^whisper does not write down de; it knows en"):
        run(opened("whisper"), TranscribeRequest(media=sound, language="de"))


def test_a_model_that_spells_gives_each_word_its_times(opened, sound):
    host = opened("speller")
    assert {a.language for a in host.info.abilities} == {""}  # it does not tell which
    result = run(host, TranscribeRequest(media=sound))
    assert isinstance(result, TranscribeResult)
    for segment in result.segments:
        assert segment.words and all(0 <= w.start_s <= w.end_s <= 2.1 for w in segment.words)


@with_whisper
def test_real_whisper_writes_down_the_sample_speech():
    host = pretrained.load(WHISPER, str(WHISPER), settings=Settings(device="cpu", n_threads=1))
    try:
        english = run(host, TranscribeRequest(media=SAMPLES / "all-busy.mp3"))
        german = run(host, TranscribeRequest(media=SAMPLES / "morgen.mp3", translate_to="en"))
        music = run(host, TranscribeRequest(media=SAMPLES / "music.mp3"))
        rain = run(host, TranscribeRequest(media=SAMPLES / "rain.opus"))
    finally:
        host.close()
    assert isinstance(english, TranscribeResult) and isinstance(german, TranscribeResult)
    assert english.language == "en" and "your call will be answered in the order it was received" in english.text
    assert all(a.end_s <= b.start_s + 0.01 for a, b in zip(english.segments, english.segments[1:], strict=False))
    assert german.language == "de" and "Guten Morgen" in german.text and "sun" in german.translation
    assert len(getattr(music, "text", "")) < 200
    assert rain.end == "empty"


def test_a_tone_is_cut_where_it_is_quiet_and_no_stretch_is_left_out(opened):
    pause = np.zeros(RATE_HZ, np.float32)
    long = Sound(np.concatenate([tone(6.0), pause, tone(6.0), pause, tone(6.0)]))
    results = list(opened("whisper").stream(TranscribeRequest(media=long, language="en")))
    assert results[-1].duration_s == pytest.approx(20.0, abs=0.1)
    assert len({r.progress.done for r in results if r.progress is not None}) >= 2
    assert torch.is_grad_enabled()  # what the writer's thread switches off stays off there only
