"""A transcript by any model that writes down one stretch at a time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from engines.errors import MediaError
from engines.hosts.transcription import ChunkTranscript, transcribe_chunks
from engines.protocol import RATE_HZ, Clip, Segment, Sound, TranscribeRequest, TranscribeResult, Word
from tests.conftest import tone, write_sound

PAUSE = np.zeros(RATE_HZ, np.float32)
TALK = np.concatenate([tone(8.0), PAUSE, tone(8.0), PAUSE, tone(8.0)])
"""Three stretches of speech, as far as loudness tells."""


class Writer:
    """A model that says how many seconds it heard, word by word."""

    def __init__(self, language: str = "") -> None:
        self.language = language
        self.heard: list[tuple[float, str | None]] = []

    def __call__(self, samples: np.ndarray, language: str | None) -> Iterator[ChunkTranscript]:
        seconds = len(samples) / RATE_HZ
        self.heard.append((seconds, language))
        for text in ("I", "I heard", f"I heard {len(self.heard)}"):
            word = Word(0.5, 1.0, text)
            yield ChunkTranscript((Segment(0.0, seconds, text, (word,)),), self.language)


def last_of(results: Iterator[TranscribeResult]) -> TranscribeResult:
    *_, last = results
    return last


def test_a_long_sound_is_cut_at_its_pauses_and_every_segment_has_its_times():
    writer = Writer()
    last = last_of(transcribe_chunks(TranscribeRequest(media=Sound(TALK)), writer))
    assert last.end == "finished" and last.duration_s == len(TALK) / RATE_HZ and last.progress is None
    assert [s.text for s in last.segments] == ["I heard 1", "I heard 2", "I heard 3"]
    assert [s.start_s for s in last.segments] == pytest.approx([0.0, 8.7, 17.7], abs=0.05)
    assert [s.words[0].start_s - s.start_s for s in last.segments] == pytest.approx([0.5] * 3)
    assert all(a.end_s <= b.start_s for a, b in zip(last.segments, last.segments[1:], strict=False))


def test_the_segment_being_written_stands_last_and_grows():
    texts = [r.text for r in transcribe_chunks(TranscribeRequest(media=Sound(tone(2.0))), Writer())]
    assert texts == ["", "I", "I heard", "I heard 1", "I heard 1"]


def test_progress_is_told_in_seconds_of_sound():
    results = [*transcribe_chunks(TranscribeRequest(media=Sound(TALK)), Writer())]
    done = [r.progress.done for r in results if r.progress is not None]
    assert done == sorted(done) and done[0] == 0.0 and results[0].progress.total == 26.0


@pytest.mark.parametrize(
    ("given", "found", "told", "asked"),
    [
        (None, "fr", "fr", [None, "fr", "fr"]),  # found in the first chunk, kept for the rest
        ("de", "fr", "de", ["de", "de", "de"]),
        (None, "sw", "", [None, None, None]),  # none of the studio's languages
    ],
)
def test_the_language_is_the_one_given_or_else_the_first_one_found(given, found, told, asked):
    writer = Writer(found)
    last = last_of(transcribe_chunks(TranscribeRequest(media=Sound(TALK), language=given), writer))
    assert last.language == told and [language for _, language in writer.heard] == asked


def test_each_finished_segment_is_translated():
    asked: list[tuple[str, str]] = []

    def translate(text: str, language: str) -> Iterator[str]:
        asked.append((text, language))
        yield "Ich"
        yield f"Ich hörte {len(asked)}"

    request = TranscribeRequest(media=Sound(TALK), translate_to="de")
    *partial, last = transcribe_chunks(request, Writer("en"), translate=translate)
    assert asked == [("I heard 1", "en"), ("I heard 2", "en"), ("I heard 3", "en")]
    assert last.translation == "Ich hörte 1 Ich hörte 2 Ich hörte 3"
    assert any(result.translation == "Ich" for result in partial)


def test_speech_in_the_language_to_translate_to_is_not_translated():
    def translate(text: str, language: str) -> Iterator[str]:
        raise AssertionError("nothing to translate")

    request = TranscribeRequest(media=Sound(tone(1.0)), translate_to="en")
    assert last_of(transcribe_chunks(request, Writer("en"), translate=translate)).translation == ""


def test_silence_is_not_listened_to_and_ends_empty():
    writer = Writer()
    last = last_of(transcribe_chunks(TranscribeRequest(media=Sound(np.zeros(3 * RATE_HZ, np.float32))), writer))
    assert last.end == "empty" and last.duration_s == 3.0 and writer.heard == []


def test_a_model_that_hears_nobody_ends_empty():
    for said in (ChunkTranscript(), ChunkTranscript((Segment(0.0, 1.0, "  "),))):
        last = last_of(
            transcribe_chunks(TranscribeRequest(media=Sound(tone(1.0))), lambda *_, said=said: (one for one in [said]))
        )
        assert last.end == "empty" and last.segments == ()


def test_files_and_clips_are_heard_too(tmp_path, clip):
    for medium in (write_sound(tmp_path / "tone.wav", tone(2.0)), clip):
        last = last_of(transcribe_chunks(TranscribeRequest(media=medium), Writer()))
        assert last.text == "I heard 1" and last.duration_s == pytest.approx(2.0, abs=0.01)


def test_what_has_no_sound_is_told(clip):
    mute = Clip(clip.frames, clip.times_s, clip.duration_s)
    with pytest.raises(MediaError, match="There is no sound in this to write down"):
        next(transcribe_chunks(TranscribeRequest(media=mute), Writer()))
