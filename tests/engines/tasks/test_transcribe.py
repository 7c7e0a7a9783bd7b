"""Speech becomes segments with times; where nobody speaks nothing is written."""

from __future__ import annotations

from copy import copy
from dataclasses import replace

import numpy as np
import pytest

from engines.decoding import Hypothesis
from engines.encoder import MediaEncoder
from engines.errors import MediaError
from engines.media import load_sound
from engines.media.segment import SpeechChunk
from engines.protocol import RATE_HZ, Clip, Pause, Segment, Sound, TranscribeRequest, TranscribeResult, Word, run
from engines.tasks import transcribe
from tests.conftest import SAMPLES, tone, write_photo, write_sound


def results_of(encoder: MediaEncoder, media: object, **options: object) -> list[TranscribeResult]:
    return list(transcribe.stream(encoder, TranscribeRequest(media=media, **options)))


def test_the_last_segment_grows_while_it_is_written(hearing):
    results = results_of(hearing, Sound(tone(3.0)))
    texts = [result.segments[-1].text for result in results if result.segments]
    assert len(set(texts)) > 3 and results[-1].end == "finished"
    assert results[-1].language in ("en", "de", "fr", "zh") and results[-1].duration_s == pytest.approx(3.0)


def test_segments_lie_in_order_within_the_sound_and_so_do_their_words(hearing, tmp_path):
    speech = np.concatenate([tone(12.0), np.zeros(RATE_HZ, np.float32), tone(25.0)])
    last = results_of(hearing, write_sound(tmp_path / "talk.wav", speech), language="en")[-1]
    assert len(last.segments) >= 2
    for segment in last.segments:
        assert 0.0 <= segment.start_s <= segment.end_s <= 38.0
        assert all(segment.start_s <= w.start_s <= w.end_s <= segment.end_s for w in segment.words)
    starts = [segment.start_s for segment in last.segments]
    assert starts == sorted(starts) and starts[-1] > 12.0


def test_a_segment_is_translated_as_soon_as_it_is_there(hearing):
    results = results_of(hearing, Sound(tone(2.0)), language="en", translate_to="de")
    assert all(segment.translation for segment in results[-1].segments) and results[-1].translation
    grown = {r.segments[-1].translation for r in results if r.segments}
    assert len(grown) > 3


def test_translating_into_the_language_spoken_copies(hearing):
    last = results_of(hearing, Sound(tone(2.0)), language="de", translate_to="de")[-1]
    assert [segment.translation for segment in last.segments] == [segment.text for segment in last.segments]


def test_progress_counts_seconds_up_to_the_whole(hearing, tmp_path):
    path = write_sound(tmp_path / "long.wav", tone(65.0))
    progress = [result.progress for result in results_of(hearing, path, language="en") if result.progress]
    progress = [p for p in progress if p.total]  # its length is not known while it is being opened
    done = [p.done for p in progress]
    assert {p.stage for p in progress} == {"listening"} and {p.unit for p in progress} == {"s"}
    assert done == sorted(done) and done[0] == 0.0 and done[-1] > 20.0
    assert all(p.total == pytest.approx(65.0, abs=0.1) for p in progress)


@pytest.mark.parametrize("what", ["silence", "no speech"])
def test_where_nobody_speaks_nothing_is_written(hearing, deaf, what):
    encoder, sound = (
        (hearing, Sound(np.zeros(3 * RATE_HZ, np.float32))) if what == "silence" else (deaf, Sound(tone(3.0)))
    )
    results = results_of(encoder, sound)
    assert results[-1].end == "empty" and not any(result.segments for result in results)


def test_a_photo_and_a_clip_without_sound_say_what_to_choose(hearing, photo, clip, tmp_path):
    wordless = Clip(clip.frames, clip.times_s, clip.duration_s)
    for media in (photo, wordless):
        with pytest.raises(MediaError, match="There is no sound in this to write down; choose a sound, or a clip with"):
            results_of(hearing, media)
    with pytest.raises(MediaError, match=r"dog\.png is a photo"):
        results_of(hearing, write_photo(tmp_path / "dog.png", photo))


def test_the_sound_of_a_clip_is_heard(hearing, clip):
    assert results_of(hearing, clip)[-1].end == "finished"


# --- segments fit to be read ---


def said(*words: tuple[float, float, str]) -> list[Word]:
    return [Word(*word) for word in words]


def cut(words: list[Word], language: str = "en") -> list[str]:
    chunk = SpeechChunk(0.0, np.zeros(RATE_HZ, np.float32))
    text = " ".join(word.text for word in words)
    return [segment.text for segment in transcribe._segments(text, words, chunk, language)]


def test_a_long_pause_and_a_full_stop_end_a_segment():
    words = said(
        (0.0, 0.3, "Good"), (0.4, 0.8, "morning."), (1.1, 1.5, "The"), (1.6, 2.0, "train"), (3.0, 3.5, "leaves")
    )
    assert cut(words) == ["Good morning.", "The train", "leaves"]


def test_a_long_sentence_is_cut_near_its_comma():
    sentence = "we went down to the old harbour, where the boats lay side by side in the evening sun and waited"
    texts = sentence.split()
    words = said(*((0.4 * n, 0.4 * n + 0.35, text) for n, text in enumerate(texts)))
    segments = cut(words)
    assert " ".join(segments) == sentence
    assert segments[0].endswith("harbour,")
    assert all(len(segment) <= 84 for segment in segments)


def test_chinese_segments_are_joined_without_spaces_and_half_as_wide():
    words = said(*((0.1 * n, 0.1 * n + 0.1, character) for n, character in enumerate("火车九点开" * 12)))
    segments = cut(words, "zh")
    assert "".join(segments) == "火车九点开" * 12 and all(len(segment) <= 42 for segment in segments)


def test_text_that_cannot_be_aligned_spans_its_stretch():
    chunk = SpeechChunk(4.0, np.zeros(RATE_HZ, np.float32))
    (segment,) = transcribe._segments("Hello.", (), chunk, "en")
    assert (segment.start_s, segment.end_s, segment.words) == (4.0, 5.0, ())


def test_the_built_in_model_writes_down_a_spoken_sample_and_nothing_about_noise(builtin):
    noise = (np.random.default_rng(0).standard_normal(5 * RATE_HZ) * 0.05).astype(np.float32)
    assert run(builtin, TranscribeRequest(media=Sound(noise))).end == "empty"
    spoken = SAMPLES / "query.wav"
    if not spoken.is_file():
        pytest.skip("no spoken sample in this checkout")
    result = run(builtin, TranscribeRequest(media=spoken))
    assert isinstance(result, TranscribeResult) and result.end == "finished" and result.language == "en"
    assert "dog" in result.text.lower() and result.segments[0].words


def test_between_speech_the_built_in_model_hears_music_and_silence(builtin):
    spoken, music = (load_sound(SAMPLES / name).samples for name in ("query.wav", "music.mp3"))
    quiet = np.zeros(7 * RATE_HZ, np.float32)
    sound = np.concatenate([spoken, quiet, music, spoken])
    result = run(builtin, TranscribeRequest(media=Sound(sound)))
    assert isinstance(result, TranscribeResult) and len(result.segments) >= 2
    silence, tune = (
        max(result.pauses, key=lambda p: (p.heard == h) * (p.end_s - p.start_s)) for h in ("silence", "music")
    )
    assert silence.heard == "silence" and silence.end_s - silence.start_s > 5.0
    assert tune.heard == "music" and tune.end_s - tune.start_s > 8.0
    spoken_s = len(spoken) / RATE_HZ
    assert spoken_s - 1.0 < silence.start_s < silence.end_s < spoken_s + 8.0 < tune.end_s < len(sound) / RATE_HZ


def test_pauses_lie_between_the_segments_of_a_chunk_and_go_on_over_a_cut():
    chunk = SpeechChunk(10.0, np.zeros(10 * RATE_HZ, np.float32))
    segments = [Segment(8.0, 11.5, "a"), Segment(12.0, 13.0, "b"), Segment(15.0, 16.0, "c")]
    pauses = list(transcribe.pauses_in(chunk, segments))
    assert pauses == [Pause(13.0, 15.0, "silence"), Pause(16.0, 20.0, "silence")]
    after = Pause(20.0, 30.0, "silence"), Pause(30.0, 40.0, "other")
    assert transcribe.joined_pauses((*pauses, *after)) == (pauses[0], Pause(16.0, 30.0, "silence"), after[1])


# --- repetition, languages, confidence ----------------------------------------------------------------------------


def speech_like(encoder: MediaEncoder, monkeypatch: pytest.MonkeyPatch, *texts: str, cut: bool = False) -> None:
    """Every chunk in turn is written as the next of these texts; of each chunk the first second holds its text."""
    left = list(texts)

    def written(encoder: MediaEncoder, spoken: transcribe._Spoken):
        yield transcribe._Written(left.pop(0), Hypothesis((), -0.1, True), cut)

    def end_of_text(log_probs: np.ndarray, text: str, language: str) -> int | None:
        return 50 if len(log_probs) > 60 else len(log_probs)

    monkeypatch.setattr(transcribe, "_written", written)
    monkeypatch.setattr(transcribe, "end_of_text", end_of_text)
    monkeypatch.setattr(transcribe, "spelt", len)


def test_what_is_said_after_the_end_of_a_text_is_written_too(hearing, monkeypatch):
    speech_like(hearing, monkeypatch, "Go, go", "run to the left.", "Come here.")
    last = results_of(hearing, Sound(tone(2.5)), language="en")[-1]
    assert last.text == "Go, go run to the left. Come here."
    starts = [segment.start_s for segment in last.segments]
    assert starts == sorted(starts) and starts[1] > 0.4


def test_what_cannot_be_written_is_marked(hearing, monkeypatch):
    speech_like(hearing, monkeypatch, "Go, go", "")
    assert results_of(hearing, Sound(tone(2.5)), language="en")[-1].text == "Go, go…"
    speech_like(hearing, monkeypatch, "Wait for me, wait", cut=True)
    assert results_of(hearing, Sound(tone(1.0)), language="en")[-1].text == "Wait for me, wait…"


def languages(monkeypatch: pytest.MonkeyPatch, *found: dict[str, float]) -> None:
    monkeypatch.setattr(transcribe, "MAX_RESTS", 0)  # a model that has learnt nothing runs in circles
    left = list(found)
    monkeypatch.setattr(MediaEncoder, "language_probabilities", lambda self, memory: left.pop(0))


def with_other_language(encoder: MediaEncoder, bias: float) -> MediaEncoder:
    """The encoder with a calibration by which speech is in another language where the bias is above 0."""
    changed, model = copy(encoder), copy(encoder.model)
    model.config = replace(model.config, calibration={"speech": {"other_language": (bias, 0.0, 0.0)}})
    changed.model = model
    return changed


def test_each_chunk_has_its_language_and_a_doubtful_one_that_of_the_chunk_before(hearing, monkeypatch):
    hearing = with_other_language(hearing, -1.0)
    languages(monkeypatch, {"en": 0.99, "zh": 0.01}, {"en": 0.3, "zh": 0.7}, {"en": 0.02, "zh": 0.98})
    pause = np.zeros(RATE_HZ, np.float32)
    last = results_of(hearing, Sound(np.concatenate([tone(13.0), pause, tone(13.0), pause, tone(12.0)])))[-1]
    spoken = [segment.language for segment in last.segments]
    assert list(dict.fromkeys(spoken)) == ["en", "zh"] and last.language == "en"
    assert min(s.start_s for s in last.segments if s.language == "zh") > 20.0


def test_speech_in_another_language_is_said_to_be_so(hearing, monkeypatch):
    unsure = {"en": 0.4, "de": 0.3, "fr": 0.2, "zh": 0.1}
    hearing = with_other_language(hearing, 1.0)
    languages(monkeypatch, unsure)
    last = results_of(hearing, Sound(tone(2.0)), translate_to="de")[-1]
    assert (last.text, last.language, last.segments[0].language) == ("[another language]", "", "other")
    languages(monkeypatch)
    given = results_of(hearing, Sound(tone(2.0)), language="en")[-1]
    assert given.language == "en" and "another language" not in given.text


@pytest.mark.parametrize(
    ("likeliest", "mean_logprob", "other"),
    [(0.9999, -0.3, False), (0.998, -0.84, False), (0.55, -0.8, True), (0.994, -1.17, True)],
)
def test_another_language_is_one_that_leaves_the_model_unsure(hearing, likeliest, mean_logprob, other):
    spread = {"en": likeliest, "de": 1.0 - likeliest}
    assert transcribe._other_language(hearing, spread, Hypothesis((), mean_logprob, True)) is other


def test_confidence_is_that_of_the_tokens_of_a_word(hearing):
    ids = hearing.tokenizer.encode("Good morning.")
    n_first = len(hearing.tokenizer.encode("Good"))
    logprobs = tuple(-0.1 if n < n_first else -2.0 for n in range(len(ids)))
    words = said((0.0, 0.3, "Good"), (0.4, 0.8, "morning."))
    good, morning = transcribe._with_confidence(hearing, words, Hypothesis(tuple(ids), -1.0, True, logprobs=logprobs))
    assert good.confidence == pytest.approx(np.exp(-0.1)) and morning.confidence == pytest.approx(np.exp(-2.0))


def test_a_segment_is_as_sure_as_its_words():
    words = [Word(0.0, 0.3, "Good", 0.9), Word(0.4, 0.8, "morning.", 0.5)]
    (segment,) = transcribe._segments("Good morning.", words, SpeechChunk(0.0, np.zeros(RATE_HZ, np.float32)), "en")
    assert segment.confidence == pytest.approx(0.7) and segment.language == "en"


# --- circles ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "n_bytes", "language", "said"),
    [
        ("Nine four two nine four two nine four two", 11, "en", "Nine four two"),
        ("two one one two one one one two one two two one one", 9, "en", "two one one"),  # no turn is like another
        ("你好吗你好吗你好吗你好吗", 8, "zh", "你好吗"),
        ("five five five five", 16, "en", "five five five five"),  # the sound holds them all
        ("He had had quite enough of it", 22, "en", "He had had quite enough of it"),
        ("a text far longer than what was spelt of it, saying new things", 10, "en", None),
        ("", 0, "en", ""),
        ("...", 0, "en", "..."),
    ],
)
def test_what_is_only_said_over_again_beyond_the_sounds_length_is_cut(text, n_bytes, language, said):
    assert transcribe.unlooped(text, n_bytes, language) == (text if said is None else said)
