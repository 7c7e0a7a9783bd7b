"""Sounds and clips are heard and seen as players play them: the right track, side, shape and level."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from engines import media
from engines.errors import MediaError
from engines.media import tracks
from engines.media.reading import load_clip, load_sound, probe, probe_sound, stream_sound
from engines.media.segment import is_quiet, loudness
from engines.protocol import RATE_HZ
from tests.engines.media.makers import DTS_TONE, film, pitch_hz, several_tracks, sine


def keys(notes: Sequence[object]) -> list[str]:
    return [note.key for note in notes]


LOW, HIGH = (sine(2.0, rate_hz=RATE_HZ, hz=hz) for hz in (300.0, 800.0))
SILENT = np.zeros(2 * RATE_HZ, np.float32)


def test_the_default_track_is_heard_and_that_there_are_others_is_said(tmp_path):
    path = several_tracks(tmp_path / "film.mka", {"ger": LOW, "eng": HIGH}, default="eng")
    sound = load_sound(path)
    assert pitch_hz(sound.samples) == pytest.approx(800, abs=3)
    (note,) = sound.notes
    assert note.en == "Sound track 2 of 2 (1 ger, 2 eng) was heard; another can be chosen by its number."
    assert probe(path).tracks == ("ger", "eng") and probe_sound(path).track == 2


def test_a_track_can_be_chosen_by_its_number(tmp_path):
    path = several_tracks(tmp_path / "film.mka", {"ger": LOW, "eng": HIGH}, default="eng")
    assert pitch_hz(load_sound(path, track=1).samples) == pytest.approx(300, abs=3)
    assert pitch_hz(np.concatenate(list(stream_sound(path, track=1)))) == pytest.approx(300, abs=3)
    with pytest.raises(MediaError, match=r"film\.mka has 2 sound tracks; choose one of them\."):
        load_sound(path, track=3)


@pytest.mark.parametrize("default", ["ger", None])
def test_a_silent_track_is_passed_over(tmp_path, default):
    path = several_tracks(tmp_path / "film.mka", {"ger": SILENT, "eng": HIGH}, default=default)
    assert pitch_hz(load_sound(path).samples) == pytest.approx(800, abs=3)
    assert is_quiet(load_sound(path, track=1).samples)


def test_sides_that_cancel_out_are_heard_by_one_of_them(tmp_path):
    samples = sine(1.0)
    path = film(
        tmp_path / "wide.flac", picture=None, sound="flac", layout="stereo", samples=np.stack([samples, -samples])
    )
    sound = load_sound(path)
    assert pitch_hz(sound.samples) == pytest.approx(440, abs=3)
    assert np.sqrt((sound.samples**2).mean()) == pytest.approx(0.5 / np.sqrt(2), rel=0.05)


@pytest.mark.parametrize(
    ("layout", "signs"),
    [("3.0", (1, -1, 0)), ("quad", (1, -1, 1, -1)), ("5.1", (1, -1, 0, 0, 0, 0)), ("5.1", (0, 0, 0, 0, 1, -1))],
)
def test_sides_of_surround_sound_that_cancel_out_are_heard(tmp_path, layout, signs):
    samples = np.stack([sign * sine(1.0) for sign in signs])
    sound = load_sound(film(tmp_path / "wide.flac", picture=None, sound="flac", layout=layout, samples=samples))
    assert pitch_hz(sound.samples) == pytest.approx(440, abs=3) and not is_quiet(sound.samples)


def words(level: float) -> np.ndarray:
    """Four beeps with pauses, as loud and soft as speech is."""
    beep = np.concatenate([sine(0.3, level=level), np.zeros(9_600, np.float32)])
    return np.tile(beep, 4)


def float_wav(path: Path, samples: np.ndarray) -> Path:
    return film(path, picture=None, sound="pcm_f32le", samples=samples)


def test_very_quiet_speech_is_made_as_loud_as_usual_and_that_is_said(tmp_path):
    path = float_wav(tmp_path / "far.wav", words(10 ** (-65 / 20)))
    sound = load_sound(path)
    assert not is_quiet(sound.samples) and np.percentile(loudness(sound.samples), 95) > 0.03
    assert keys(sound.notes) == keys(probe_sound(path).notes) == ["note.very_quiet"]
    assert max(map(np.max, stream_sound(path))) > 0.03


def with_sound(samples: np.ndarray, at_s: float, seconds: float) -> np.ndarray:
    """Samples with a loud tone laid over them."""
    loud, start = samples.copy(), round(at_s * RATE_HZ)
    loud[start : start + round(seconds * RATE_HZ)] += sine(seconds, rate_hz=RATE_HZ, level=0.5)
    return loud


@pytest.mark.parametrize("seconds", [0.01, 0.05, 0.2])
def test_a_click_or_beep_does_not_keep_very_quiet_speech_from_being_made_louder(tmp_path, seconds):
    faint = np.tile(words(10 ** (-65 / 20)), 3)
    for at_s in (0.5, 5.0):
        path = film(
            tmp_path / f"{at_s}.wav",
            picture=None,
            sound="pcm_f32le",
            rate_hz=RATE_HZ,
            samples=with_sound(faint, at_s, seconds),
        )
        samples, streamed = load_sound(path).samples, np.concatenate(list(stream_sound(path)))
        for heard in (samples, streamed):
            assert all(np.percentile(loudness(part), 90) > 0.03 for part in np.array_split(heard, 4))
            assert float(np.abs(heard).max()) <= 1.0
        assert keys(load_sound(path).notes) == ["note.very_quiet"]


def test_what_gets_loud_late_is_made_louder_no_longer(tmp_path):
    samples = np.concatenate([words(10 ** (-65 / 20)), sine(10.0, rate_hz=RATE_HZ, level=0.5)])
    path = film(tmp_path / "late.wav", picture=None, sound="pcm_f32le", rate_hz=RATE_HZ, samples=samples)
    heard = tracks.Heard(1, ("und",), gain=50.0)  # as found from places before
    with tracks.opened(path) as container:
        given = np.concatenate(list(tracks.sound_blocks(path, container, 0.0, heard)))
    assert float(np.abs(given[:RATE_HZ]).max()) > 0.02
    assert float(np.abs(given[-8 * RATE_HZ :]).max()) < 0.51


def test_silence_an_even_hiss_and_what_is_loud_enough_stay_as_they_are(tmp_path):
    rng = np.random.default_rng(0)
    hiss = (10 ** (-65 / 20) * rng.standard_normal(96_000)).astype(np.float32)
    for name, samples in {"hiss": hiss, "none": np.zeros(96_000, np.float32), "soft": words(0.02)}.items():
        path = float_wav(tmp_path / f"{name}.wav", samples)
        assert float(np.abs(load_sound(path).samples).max()) <= 1.1 * float(np.abs(samples).max()) + 1e-6
        assert load_sound(path).notes == ()


@pytest.mark.parametrize("seconds", [1 / 48_000, 0.02, 0.0999])
def test_a_sound_of_a_moment_is_too_short_to_say(tmp_path, seconds):
    path = film(tmp_path / "click.wav", picture=None, sound="pcm_s16le", samples=sine(seconds))
    for read in (load_sound, lambda path: list(stream_sound(path))):
        with pytest.raises(MediaError, match=r"click\.wav is shorter than 0\.1 seconds, too short to say what it is"):
            read(path)


@pytest.mark.parametrize(
    ("suffix", "coding", "rate_hz"),
    [("ac3", "ac3", 48_000), ("eac3", "eac3", 48_000), ("g722", "g722", 16_000), ("rm", "ac3", 48_000)],
)
def test_raw_and_old_sounds_are_read(tmp_path, suffix, coding, rate_hz):
    sound = load_sound(film(tmp_path / f"a.{suffix}", picture=None, sound=coding, rate_hz=rate_hz))
    assert sound.duration_s == pytest.approx(2, abs=0.1)
    assert pitch_hz(sound.samples[8_000:24_000]) == pytest.approx(440, abs=3)


@pytest.mark.parametrize("name", ["film.dts", "film.wav"])
def test_raw_dts_is_read_whatever_its_name(tmp_path, name):
    (tmp_path / name).write_bytes(DTS_TONE)
    sound = load_sound(tmp_path / name)
    assert sound.duration_s == pytest.approx(0.4, abs=0.1)
    assert pitch_hz(sound.samples[1_600:5_600]) == pytest.approx(440, abs=5)
    assert media.may_hold_media(tmp_path / name)


@pytest.mark.parametrize(("suffix", "picture", "sound"), [("mxf", "mpeg2video", "pcm_s16le"), ("nut", "mpeg4", "flac")])
def test_clips_of_editing_programs_are_read(tmp_path, suffix, picture, sound):
    clip = load_clip(film(tmp_path / f"a.{suffix}", picture=picture, sound=sound, fps=25), n_frames=2)
    assert clip.frames[0].shape == (48, 64, 3) and clip.sound is not None


def test_tape_of_a_camcorder_is_read_in_its_shape(tmp_path):
    tape = film(tmp_path / "tape.dv", picture="dvvideo", sound="pcm_s16le", fps=25, size=(720, 576), layout="stereo")
    clip = load_clip(tape, n_frames=2, max_side=320)
    height, width, _ = clip.frames[0].shape
    assert width / height == pytest.approx(4 / 3, rel=0.03) and clip.sound is not None
    assert pitch_hz(clip.sound.samples[4_000:20_000]) == pytest.approx(440, abs=3)


def test_pixels_that_are_not_square_are_shown_in_their_shape(tmp_path):
    path = tmp_path / "dv.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width = stream.height = 180
        stream.pix_fmt = "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(16, 9)
        frame = av.VideoFrame.from_ndarray(np.zeros((180, 180, 3), np.uint8), format="rgb24")
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    assert (probe(path).width, probe(path).height) == (320, 180)
    assert load_clip(path, n_frames=1).frames[0].shape == (180, 320, 3)
