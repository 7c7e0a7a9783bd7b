"""Media to tokens and vectors, on the tiny model: shapes, senses present, what is kept and what is not."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engines.errors import MediaError
from engines.model.checkpoint import Checkpoint
from engines.model.features import MEL_HZ
from engines.model.fusion import Stream
from engines.model.sound import TAIL_FRAMES
from engines.protocol import LANGUAGES, RATE_HZ, Clip, Photo, Sound
from engines.senses import MAX_HEARD_S, TOKEN_S, Senses, is_quiet, loudness
from tests.conftest import tone, write_photo, write_sound


def test_a_photo_is_one_frame_a_sound_is_a_track_a_clip_is_both(senses: Senses, photo: Photo, sound: Sound, clip: Clip):
    width = senses.model.config.width
    seen, heard, both = (senses.encode(media) for media in (photo, sound, clip))
    assert seen.frames is not None and seen.frames.shape == (1, senses.model.config.n_picture_tokens, width)
    assert seen.sound is None
    assert heard.frames is None and heard.sound is not None and heard.sound.tokens.shape == (1, 10, width)
    assert both.frames is not None and len(both.frames) == 4 and both.sound is not None and both.duration_s == 2.0


def test_streams_carry_the_times_of_frames_and_sound(senses: Senses, clip: Clip):
    picture, sound = senses.streams(senses.encode(clip))
    assert picture.times_s is not None and picture.times_s[0].tolist() == [t for t in clip.times_s for _ in range(4)]
    assert sound.times_s is not None and sound.times_s[0].tolist() == pytest.approx([n / 5 for n in range(10)])


def test_of_a_clip_in_memory_sixteen_frames_are_seen(senses: Senses, clip: Clip):
    frames, times_s = tuple(clip.frames[n % 4] for n in range(50)), tuple(n / 25 for n in range(50))
    encoded = senses.encode(replace(clip, frames=frames, times_s=times_s))
    assert encoded.frames is not None and len(encoded.frames) == 16 == len(encoded.times_s)
    assert encoded.times_s[0] == 0.0 and encoded.times_s[-1] == times_s[-1]


def test_encoding_goes_in_steps_and_ends_whole(senses: Senses, clip: Clip):
    steps = list(senses.encoding(replace(clip, frames=clip.frames * 3, times_s=tuple(n / 6 for n in range(12)))))
    assert [len(step.times_s) for step in steps] == [4, 8, 12, 12, 12]
    assert steps[0].sound is None and steps[-1].sound is not None


def test_a_hidden_sense_is_not_among_the_streams(senses: Senses, clip: Clip):
    encoded = senses.encode(clip)
    assert [stream.sense for stream in senses.streams(encoded, hide=frozenset({"picture"}))] == ["sound"]
    assert [stream.sense for stream in senses.streams(encoded, hide=frozenset({"sound"}))] == ["picture"]
    assert senses.streams(encoded, hide=frozenset({"picture", "sound"})) == []


def test_a_silent_track_is_no_sound_and_silence_within_one_is_masked(senses: Senses, clip: Clip):
    silent = replace(clip, sound=Sound(np.zeros(2 * RATE_HZ, np.float32)))
    assert senses.encode(silent).sound is None
    half = replace(clip, sound=Sound(np.concatenate([tone(1.0), np.zeros(RATE_HZ, np.float32)])))
    track = senses.encode(half).sound
    assert track is not None and track.mask[0].tolist() == [True] * 5 + [False] * 5


def test_the_same_content_is_encoded_once_whatever_its_name(senses: Senses, photo: Photo, tmp_path: Path):
    first = write_photo(tmp_path / "a.png", photo)
    second = Path(shutil.copy(first, tmp_path / "b.png"))
    assert senses.encode(first) is senses.encode(second)
    assert senses.encode(photo) is senses.encode(Photo(photo.pixels.copy()))
    other = Photo(photo.pixels + 1)
    assert senses.encode(other) is not senses.encode(photo)


def test_what_was_encoded_is_kept_within_bounds_the_oldest_going_first(checkpoint: Checkpoint, photo: Photo):
    photos = [Photo(np.full_like(photo.pixels, n)) for n in range(4)]
    room = Senses(checkpoint, cache_bytes=1 << 20).encode(photos[0]).n_bytes
    senses = Senses(checkpoint, cache_bytes=2 * room)
    kept = [senses.encode(one) for one in photos]
    assert senses.encode(photos[3]) is kept[3] and senses.encode(photos[2]) is kept[2]
    assert senses.encode(photos[0]) is not kept[0]
    senses.forget()
    assert senses.encode(photos[3]) is not kept[3]


def test_without_a_cache_nothing_is_kept(checkpoint: Checkpoint, photo: Photo):
    senses = Senses(checkpoint)
    assert senses.encode(photo) is not senses.encode(photo)


def test_a_long_sound_is_heard_for_a_minute_in_pieces_that_leave_room_for_silence(senses: Senses):
    track = senses.encode(Sound(tone(75.0))).sound
    assert track is not None and track.tokens.shape[1] == 300
    assert track.mask.all()
    heard = senses.hear(tone(MAX_HEARD_S))
    assert heard.mask.sum() * TOKEN_S == MAX_HEARD_S + TAIL_FRAMES / MEL_HZ == 30.0


def test_speech_is_placed_by_its_words_and_other_sounds_by_how_they_sound(senses: Senses, sound: Sound):
    heard = senses.hear(sound.samples)
    mixed = senses.model.vector("sound", heard.mix, heard.mix_mask)[0].numpy(force=True)
    for kind, probability, wanted in (("speech", 1.0, senses.text_vector("a dog")), ("sound", 0.0, mixed)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(senses, "speech_probability", lambda heard, p=probability: p)
            patch.setattr(senses, "words", lambda heard: " a dog ")
            window = senses.vector(sound)
        assert window.kind == kind
        assert window.vector == pytest.approx(wanted, abs=1e-5)


def test_speech_that_cannot_be_written_down_is_placed_as_a_sound(senses: Senses, sound: Sound):
    heard = senses.hear(sound.samples)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(senses, "speech_probability", lambda heard: 1.0)
        patch.setattr(senses, "words", lambda heard: " ")
        window = senses.vector(sound)
    wanted = senses.model.vector("sound", heard.mix, heard.mix_mask)[0]
    assert window.kind == "sound"
    assert window.vector == pytest.approx(wanted.numpy(force=True), abs=1e-5)


def test_nobody_is_asked_what_is_said_in_what_cannot_be_heard(senses: Senses):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(senses, "speech_probability", lambda heard: 1.0)
        patch.setattr(senses, "words", lambda heard: "a dog")
        assert senses.vector(Sound(tone(2.0, level=0.001))).kind == "sound"
        assert senses.vector(Sound(tone(2.0))).kind == "speech"


def test_words_are_written_in_the_language_they_are_heard_in(senses: Senses, sound: Sound):
    heard = senses.hear(sound.samples)
    memory = senses.model.fuse([Stream("sound", heard.last, heard.mask)])
    assert senses.spoken_language(memory) in LANGUAGES
    assert isinstance(senses.words(heard), str)
    asked: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(senses, "spoken_language", lambda memory: "zh")
        patch.setattr(senses.tokenizer, "prefix", lambda task, language: asked.append(language) or [0])
        senses.words(heard)
    assert asked == ["zh"]


def test_every_vector_has_length_one_and_its_kind(senses: Senses, photo: Photo, sound: Sound, clip: Clip):
    for media, kinds in ((photo, {"photo"}), (sound, {"sound", "speech"}), (clip, {"clip"})):
        window = senses.vector(media)
        assert window.kind in kinds and window.vector.dtype == np.float32
        assert np.linalg.norm(window.vector) == pytest.approx(1.0, abs=1e-5)
    for text in ("ein Hund", "一只狗", "dog " * 1000):
        assert np.linalg.norm(senses.text_vector(text)) == pytest.approx(1.0, abs=1e-5)


def test_a_long_sound_is_cut_into_windows_that_point_into_it(senses: Senses, tmp_path: Path):
    for media in (Sound(tone(24.0)), write_sound(tmp_path / "long.wav", tone(24.0))):
        windows = list(senses.windows(media))
        assert [(w.start_s, w.end_s) for w in windows] == [(0.0, 10.0), (10.0, 20.0), (20.0, 24.0)]
    assert len(list(senses.windows(Sound(tone(20.5))))) == 2, "half a second alone is no window"
    assert len(list(senses.windows(Sound(tone(90.0)), max_s=60.0))) == 6


def test_the_vector_of_a_clip_rests_on_picture_and_sound(senses: Senses, clip: Clip):
    both = senses.vector(clip).vector
    silent = senses.vector(replace(clip, sound=None)).vector
    heard = senses.vector(replace(clip, frames=(), times_s=())).vector
    mean = silent + heard
    assert both == pytest.approx(mean / np.linalg.norm(mean), abs=1e-5)


def test_silence_is_told_by_its_loudness():
    assert is_quiet(np.zeros(RATE_HZ, np.float32)) and is_quiet(np.zeros(0, np.float32))
    assert is_quiet(tone(1.0, level=0.001)) and not is_quiet(tone(1.0, level=0.1))
    assert loudness(tone(1.0, level=0.5)).mean() == pytest.approx(0.5 / np.sqrt(2), rel=0.01)


def test_an_empty_sound_and_a_missing_file_are_one_sentence_each(senses: Senses, tmp_path: Path):
    empty = Sound(np.zeros(0, np.float32))
    for ask in (senses.encode, senses.vector):
        with pytest.raises(MediaError, match=r"^The sound is empty; record or choose another\.$"):
            ask(empty)
        with pytest.raises(MediaError, match=r"gone\.jpg"):
            ask(tmp_path / "gone.jpg")


def test_a_sound_at_another_rate_is_brought_to_ours(senses: Senses):
    slow = Sound(tone(1.0)[::2].copy(), rate_hz=RATE_HZ // 2)
    track = senses.encode(slow).sound
    assert track is not None and track.tokens.shape[1] == 5
