"""Media to tokens and vectors, on the tiny model: shapes, modalities present, what is kept and what is not."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engines.encoder import MAX_HEARD_S, TOKEN_S, MediaEncoder
from engines.errors import MediaError
from engines.model import checkpoint
from engines.model.features import MEL_HZ
from engines.model.fusion import Stream
from engines.model.sound import TAIL_FRAMES
from engines.protocol import LANGUAGES, RATE_HZ, Photo, Sound
from tests.conftest import tone, write_photo, write_sound


def test_a_photo_is_one_frame_a_sound_is_a_track_a_clip_is_both(encoder, photo, sound, clip):
    width = encoder.model.config.width
    seen, heard, both = (encoder.encode(media) for media in (photo, sound, clip))
    assert seen.frames is not None and seen.frames.shape == (1, (encoder.model.config.photo_px // 32) ** 2, width)
    assert seen.sound is None
    assert heard.frames is None and heard.sound is not None and heard.sound.tokens.shape == (1, 10, width)
    assert both.frames is not None and len(both.frames) == 4 and both.sound is not None and both.duration_s == 2.0


def test_streams_carry_the_times_of_frames_and_sound(encoder, clip):
    picture, sound = encoder.streams(encoder.encode(clip))
    assert picture.times_s is not None and picture.times_s[0].tolist() == [t for t in clip.times_s for _ in range(4)]
    assert sound.times_s is not None and sound.times_s[0].tolist() == pytest.approx([n / 5 for n in range(10)])


def test_of_a_clip_in_memory_sixteen_frames_are_seen(encoder, clip):
    frames, times_s = tuple(clip.frames[n % 4] for n in range(50)), tuple(n / 25 for n in range(50))
    encoded = encoder.encode(replace(clip, frames=frames, times_s=times_s))
    assert encoded.frames is not None and len(encoded.frames) == 16 == len(encoded.times_s)
    assert encoded.times_s[0] == 0.0 and encoded.times_s[-1] == times_s[-1]


def test_encoding_goes_in_steps_and_ends_whole(encoder, clip):
    steps = list(encoder.encoding(replace(clip, frames=clip.frames * 3, times_s=tuple(n / 6 for n in range(12)))))
    assert [len(step.times_s) for step in steps] == [4, 8, 12, 12, 12]
    assert steps[0].sound is None and steps[-1].sound is not None


def test_a_hidden_modality_is_not_among_the_streams(encoder, clip):
    encoded = encoder.encode(clip)
    assert [stream.modality for stream in encoder.streams(encoded, hide=frozenset({"picture"}))] == ["sound"]
    assert [stream.modality for stream in encoder.streams(encoded, hide=frozenset({"sound"}))] == ["picture"]
    assert encoder.streams(encoded, hide=frozenset({"picture", "sound"})) == []


def test_a_silent_track_is_no_sound_and_silence_within_one_is_masked(encoder, clip):
    silent = replace(clip, sound=Sound(np.zeros(2 * RATE_HZ, np.float32)))
    assert encoder.encode(silent).sound is None
    half = replace(clip, sound=Sound(np.concatenate([tone(1.0), np.zeros(RATE_HZ, np.float32)])))
    track = encoder.encode(half).sound
    assert track is not None and track.mask[0].tolist() == [True] * 5 + [False] * 5


def test_the_same_content_is_encoded_once_whatever_its_name(encoder, photo, tmp_path):
    first = write_photo(tmp_path / "a.png", photo)
    second = Path(shutil.copy(first, tmp_path / "b.png"))
    assert encoder.encode(first) is encoder.encode(second)
    assert encoder.encode(photo) is encoder.encode(Photo(photo.pixels.copy()))
    other = Photo(photo.pixels + 1)
    assert encoder.encode(other) is not encoder.encode(photo)


def test_what_was_encoded_is_kept_within_bounds_the_oldest_going_first(checkpoint, photo):
    photos = [Photo(np.full_like(photo.pixels, n)) for n in range(4)]
    room = MediaEncoder(checkpoint, cache_bytes=1 << 20).encode(photos[0]).n_bytes
    encoder = MediaEncoder(checkpoint, cache_bytes=2 * room)
    kept = [encoder.encode(one) for one in photos]
    assert encoder.encode(photos[3]) is kept[3] and encoder.encode(photos[2]) is kept[2]
    assert encoder.encode(photos[0]) is not kept[0]
    encoder.forget()
    assert encoder.encode(photos[3]) is not kept[3]


def test_a_long_sound_is_heard_for_a_minute_in_pieces_that_leave_room_for_silence(encoder):
    track = encoder.encode(Sound(tone(75.0))).sound
    assert track is not None and track.tokens.shape[1] == 300
    assert track.mask.all()
    heard = encoder.hear(tone(MAX_HEARD_S))
    assert heard.mask.sum() * TOKEN_S == MAX_HEARD_S + TAIL_FRAMES / MEL_HZ == 30.0


def test_speech_is_placed_by_its_words_and_other_sounds_by_how_they_sound(encoder, sound):
    heard = encoder.hear(sound.samples)
    mixed = encoder.model.vector("sound", heard.mix, heard.mix_mask)[0].numpy(force=True)
    for kind, probability, wanted in (("speech", 1.0, encoder.text_vector("a dog")), ("sound", 0.0, mixed)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(encoder, "speech_probability", lambda heard, p=probability: p)
            patch.setattr(encoder, "words", lambda heard: " a dog ")
            window = encoder.vector(sound)
        assert window.kind == kind
        assert window.vector == pytest.approx(wanted, abs=1e-5)


def test_speech_that_cannot_be_written_down_is_placed_as_a_sound(encoder, sound):
    heard = encoder.hear(sound.samples)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encoder, "speech_probability", lambda heard: 1.0)
        patch.setattr(encoder, "words", lambda heard: " ")
        window = encoder.vector(sound)
    wanted = encoder.model.vector("sound", heard.mix, heard.mix_mask)[0]
    assert window.kind == "sound"
    assert window.vector == pytest.approx(wanted.numpy(force=True), abs=1e-5)


def test_nobody_is_asked_what_is_said_in_what_cannot_be_heard(encoder):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encoder, "speech_probability", lambda heard: 1.0)
        patch.setattr(encoder, "words", lambda heard: "a dog")
        assert encoder.vector(Sound(tone(2.0, level=0.001))).kind == "sound"
        assert encoder.vector(Sound(tone(2.0))).kind == "speech"


def test_words_are_written_in_the_language_they_are_heard_in(encoder, sound):
    heard = encoder.hear(sound.samples)
    memory = encoder.model.fuse([Stream("sound", heard.last, heard.mask)])
    assert encoder.spoken_language(memory) in LANGUAGES
    assert isinstance(encoder.words(heard), str)
    asked: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encoder, "spoken_language", lambda memory: "zh")
        patch.setattr(encoder.tokenizer, "prefix", lambda task, language: asked.append(language) or [0])
        encoder.words(heard)
        patch.setattr(encoder.tokenizer, "decode", lambda ids: "There is a dog in the grass .")
        assert encoder.words(heard) == "There is a dog in the grass."
    assert asked == ["zh", "zh"]


def test_every_vector_has_length_one_and_its_kind(encoder, photo, sound, clip):
    for media, kinds in ((photo, {"photo"}), (sound, {"sound", "speech"}), (clip, {"clip"})):
        window = encoder.vector(media)
        assert window.kind in kinds and window.vector.dtype == np.float32
        assert np.linalg.norm(window.vector) == pytest.approx(1.0, abs=1e-5)
    for text in ("ein Hund", "一只狗", "dog " * 1000):
        assert np.linalg.norm(encoder.text_vector(text)) == pytest.approx(1.0, abs=1e-5)


def test_a_long_sound_is_cut_into_windows_that_point_into_it(encoder, tmp_path):
    for media in (Sound(tone(24.0)), write_sound(tmp_path / "long.wav", tone(24.0))):
        windows = [window for window in encoder.windows(media) if window is not None]
        assert [(w.start_s, w.end_s) for w in windows] == [(0.0, 10.0), (10.0, 20.0), (20.0, 24.0)]
    assert len(list(encoder.windows(Sound(tone(20.5))))) == 2, "half a second alone is no window"
    assert len(list(encoder.windows(Sound(tone(90.0)), max_s=60.0))) == 6


def test_the_vector_of_a_clip_rests_on_picture_and_sound(encoder, clip):
    both = encoder.vector(clip).vector
    silent = encoder.vector(replace(clip, sound=None)).vector
    heard = encoder.vector(replace(clip, frames=(), times_s=())).vector
    mean = silent + heard
    assert both == pytest.approx(mean / np.linalg.norm(mean), abs=1e-5)


def test_an_empty_sound_and_a_missing_file_are_one_sentence_each(encoder, tmp_path):
    empty = Sound(np.zeros(0, np.float32))
    for ask in (encoder.encode, encoder.vector):
        with pytest.raises(MediaError, match=r"^The sound is empty; record or choose another\.$"):
            ask(empty)
        with pytest.raises(MediaError, match=r"gone\.jpg"):
            ask(tmp_path / "gone.jpg")


def test_a_fit_follows_the_models_own_calibration_of_each_direction():
    opened = checkpoint.tiny()
    table = {"search": {"text-photo": (0.4, 12.0), "other": (0.7, 9.0)}}
    opened.model.config = replace(opened.model.config, calibration=table)
    encoder = MediaEncoder(opened)
    assert encoder.fit(0.4, "text", "photo") == encoder.fit(0.7, "sound", "photo") == 0.5
    fits = [encoder.fit(score, "text", "photo") for score in np.linspace(-1, 1, 41)]
    assert fits == sorted(fits) and fits[0] < 0.01 and fits[-1] > 0.9


def test_without_calibration_a_fit_is_strict(encoder):
    assert encoder.fit(0.6, "text", "photo") < 0.5 < encoder.fit(0.8, "text", "photo")
