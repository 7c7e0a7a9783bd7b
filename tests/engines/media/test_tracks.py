"""Sounds and clips of every usual container come out mono at 16 kHz and as frames by time."""

from __future__ import annotations

import io
import tracemalloc
import wave
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from engines.errors import MediaError
from engines.media import tracks
from engines.media.reading import load_clip, load_sound, probe, stream_sound
from engines.protocol import RATE_HZ
from tests.engines.media.makers import SOUND_FILES, film, pitch_hz, seen_at, shown_by, sine, with_cover

CLIP_FILES = {
    "h264.mp4": ("libx264", "aac"),
    "hevc.mp4": ("libx265", "aac"),
    "av1.mp4": ("libsvtav1", "aac"),
    "phone.mov": ("libx264", "aac"),
    "vp9.webm": ("libvpx-vp9", "libopus"),
    "av1.webm": ("libsvtav1", "libopus"),
    "h264.mkv": ("libx264", "flac"),
    "old.avi": ("mpeg4", "libmp3lame"),
    "old.mpg": ("mpeg2video", "mp2"),
    "camera.ts": ("libx264", "aac"),
    "old.flv": ("flv", "libmp3lame"),
    "old.wmv": ("wmv2", "wmav2"),
    "old.3gp": ("mpeg4", "aac"),
}


# --- sound -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("suffix", "coding"), SOUND_FILES.items())
def test_every_usual_sound_file_keeps_its_pitch_length_and_level(tmp_path, suffix, coding):
    path = film(tmp_path / f"tone.{suffix}", picture=None, sound=coding, layout="stereo", seconds=2)
    info = probe(path)
    assert (info.kind, info.has_sound, info.width, info.height) == ("sound", True, 0, 0)
    assert info.duration_s == pytest.approx(2, abs=0.1)
    sound = load_sound(path)
    assert sound.samples.dtype == np.float32 and sound.samples.ndim == 1 and sound.rate_hz == RATE_HZ
    assert sound.duration_s == pytest.approx(2, abs=0.1)
    middle = sound.samples[8_000:24_000]
    assert pitch_hz(middle) == pytest.approx(440, abs=2)
    assert np.sqrt((middle**2).mean()) == pytest.approx(0.5 / np.sqrt(2), rel=0.1)


@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 22_050, 44_100, 96_000])
def test_every_rate_is_brought_to_16_khz_without_losing_the_end(tmp_path, rate_hz):
    tone = sine(1, rate_hz=rate_hz)
    path = film(tmp_path / "tone.wav", picture=None, sound="pcm_s16le", samples=tone, rate_hz=rate_hz)
    samples = load_sound(path).samples
    assert abs(len(samples) - RATE_HZ) <= 1
    assert np.sqrt((samples[-800:] ** 2).mean()) > 0.3  # the resampler was emptied


def test_a_float_file_past_full_scale_is_held_at_full_scale(tmp_path):
    samples = np.array([0.5, 3.0, -3.0, np.nan, np.inf, -np.inf, 0.25] * 400, np.float32)
    path = film(tmp_path / "loud.wav", picture=None, sound="pcm_f32le", samples=samples, rate_hz=RATE_HZ)
    assert load_sound(path).samples[:7].tolist() == [0.5, 1.0, -1.0, 0.0, 1.0, -1.0, 0.25]


@pytest.mark.parametrize(
    ("layout", "sides", "level"),
    [("mono", (1,), 1.0), ("stereo", (1, 1), 1.0), ("stereo", (1, 0), 0.5), ("5.1", (1,) * 6, 1.0)],
)
@pytest.mark.parametrize("peak", [0.01, 1.0])
def test_channels_mix_to_their_mean_and_the_level_is_kept(tmp_path, layout, sides, level, peak):
    tone = sine(0.5, rate_hz=RATE_HZ, level=peak)
    samples = np.stack([side * tone for side in sides])
    path = film(tmp_path / "tone.flac", picture=None, sound="flac", samples=samples, rate_hz=RATE_HZ, layout=layout)
    assert np.abs(load_sound(path).samples - level * tone).max() < 0.001


def test_more_channels_than_have_names_are_averaged(tmp_path):
    with wave.open(str(tmp_path / "many.wav"), "wb") as file:
        file.setparams((20, 2, RATE_HZ, 0, "NONE", ""))
        file.writeframes(np.full((8_000, 20), 8_192, "<i2").tobytes())
    assert np.abs(load_sound(tmp_path / "many.wav").samples - 0.25).max() < 0.001


def test_a_sound_that_changes_its_rate_on_the_way_is_read_to_the_end(tmp_path):
    first = film(tmp_path / "a.mp3", picture=None, sound="libmp3lame", seconds=1, rate_hz=44_100)
    second = film(tmp_path / "b.mp3", picture=None, sound="libmp3lame", seconds=1, rate_hz=48_000, layout="stereo")
    path = tmp_path / "joined.mp3"
    path.write_bytes(first.read_bytes() + second.read_bytes())
    sound = load_sound(path)
    assert sound.duration_s == pytest.approx(2, abs=0.25)
    assert pitch_hz(sound.samples[-12_000:-4_000]) == pytest.approx(440, abs=3)


def test_a_sound_with_cover_art_is_a_sound(tmp_path):
    cover = io.BytesIO()
    Image.new("RGB", (300, 300), (200, 30, 30)).save(cover, "JPEG")
    path = with_cover(film(tmp_path / "song.mp3", picture=None, sound="libmp3lame"), cover.getvalue())
    with av.open(str(path)) as container:
        assert len(container.streams.video) == 1  # the cover is there
    assert probe(path).kind == "sound"
    assert load_sound(path).duration_s == pytest.approx(2, abs=0.1)
    with pytest.raises(MediaError, match="without moving pictures"):
        load_clip(path)


@pytest.mark.parametrize("suffix", ["mp3", "m4a", "opus", "flac", "wav"])
def test_a_part_of_a_sound_is_where_it_was(tmp_path, suffix):
    times_s = np.arange(96_000) / 48_000
    rising = (0.5 * np.sin(2 * np.pi * (100 + 100 * times_s) * times_s)).astype(np.float32)  # the pitch tells the time
    path = film(tmp_path / f"rising.{suffix}", picture=None, sound=SOUND_FILES[suffix], samples=rising)
    whole = load_sound(path).samples
    for start_s, max_s in [(0.1, 0.5), (0.625, 0.01), (1.0, 0.9), (1.2345, 0.7), (1.7, 5.0)]:
        part = load_sound(path, start_s=start_s, max_s=max_s).samples
        there = whole[round(start_s * RATE_HZ) :][: round(max_s * RATE_HZ)]
        assert abs(len(part) - len(there)) <= 1
        n = min(len(part), len(there))
        assert np.abs(part[:n] - there[:n]).mean() < 0.1  # a sample to the side is 0.06, a millisecond 0.5


@pytest.mark.parametrize("suffix", ["wav", "mp3", "flac", "opus", "m4a"])
@pytest.mark.parametrize("chunk_s", [0.25, 0.7, 30.0])
def test_a_stream_gives_the_whole_sound_in_equal_chunks(tmp_path, suffix, chunk_s):
    path = film(tmp_path / f"tone.{suffix}", picture=None, sound=SOUND_FILES[suffix])
    chunks = list(stream_sound(path, chunk_s=chunk_s))
    assert all(len(chunk) == round(chunk_s * RATE_HZ) for chunk in chunks[:-1])
    assert 0 < len(chunks[-1]) <= round(chunk_s * RATE_HZ)
    assert np.array_equal(np.concatenate(chunks), load_sound(path).samples)


def test_a_long_sound_streams_in_constant_memory(tmp_path):
    def peak_bytes(seconds: int) -> int:
        path = tmp_path / f"{seconds}.wav"
        samples = np.tile(sine(10, rate_hz=8_000), seconds // 10)
        film(path, picture=None, sound="pcm_mulaw", samples=samples, rate_hz=8_000)
        tracemalloc.start()
        n = sum(len(chunk) for chunk in stream_sound(path, chunk_s=10))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert n == seconds * RATE_HZ
        return peak

    assert peak_bytes(120) < 1.2 * peak_bytes(30) < 1.2 * 5 * 10 * RATE_HZ * 4


def test_a_stream_left_half_way_lets_the_file_go(tmp_path):
    path = film(tmp_path / "tone.wav", picture=None, sound="pcm_s16le")
    stream = stream_sound(path, chunk_s=0.1)
    next(stream)
    stream.close()
    path.unlink()
    with pytest.raises(MediaError, match=r"There is no file tone\.wav"):
        next(stream_sound(path))


def test_a_pause_the_file_only_tells_by_its_clock_becomes_silence(tmp_path):
    path = tmp_path / "pause.mkv"
    with av.open(str(path), "w") as container:
        audio = container.add_stream("flac", rate=RATE_HZ, layout="mono")
        for start_s in (0.0, 0.5, 2.0):
            part = sine(0.5, rate_hz=RATE_HZ)
            frame = av.AudioFrame.from_ndarray((part[None] * 32_767).astype(np.int16), format="s16", layout="mono")
            frame.sample_rate, frame.pts = RATE_HZ, round(start_s * RATE_HZ)
            container.mux(audio.encode(frame))
        container.mux(audio.encode(None))
    samples = load_sound(path).samples
    assert len(samples) / RATE_HZ == pytest.approx(2.5, abs=0.01)
    loud = [float(np.abs(samples[round(t * RATE_HZ) :][:1_600]).max()) > 0.2 for t in (0.1, 0.8, 1.2, 1.7, 2.2)]
    assert loud == [True, True, False, False, True]


# --- clips -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def clip_file(tmp_path_factory) -> Callable[[str], Path]:
    folder = tmp_path_factory.mktemp("clips")

    def made(name: str) -> Path:
        picture, sound = CLIP_FILES[name]
        path = folder / name
        if not path.exists():
            fps, rate_hz = (25, 44_100) if name.startswith("old") else (10, 48_000)
            film(path, picture=picture, sound=sound, seconds=4, fps=fps, rate_hz=rate_hz)
        return path

    return made


@pytest.mark.parametrize("name", CLIP_FILES)
def test_every_usual_clip_gives_its_frames_by_time_and_its_sound(clip_file, name):
    path = clip_file(name)
    info = probe(path)
    assert (info.kind, info.has_sound, info.width, info.height) == ("clip", True, 64, 48)
    assert info.duration_s == pytest.approx(4, abs=0.2)
    clip = load_clip(path, n_frames=8)
    assert clip.duration_s == info.duration_s
    assert clip.times_s == pytest.approx([(i + 0.5) * clip.duration_s / 8 for i in range(8)])
    assert all(frame.shape == (48, 64, 3) and frame.dtype == np.uint8 for frame in clip.frames)
    for frame, time_s in zip(clip.frames, clip.times_s, strict=True):
        assert seen_at(frame, 4) == pytest.approx(time_s - 0.05, abs=0.2)
    assert clip.sound is not None and clip.sound.duration_s == pytest.approx(4, abs=0.2)
    assert pitch_hz(clip.sound.samples[16_000:32_000]) == pytest.approx(440, abs=2)


@pytest.mark.parametrize("name", ["h264.mp4", "vp9.webm", "h264.mkv", "old.avi", "old.mpg", "camera.ts"])
def test_a_part_of_a_clip_counts_from_its_start(clip_file, name):
    clip = load_clip(clip_file(name), n_frames=3, start_s=2.4, max_s=1.2)
    assert clip.duration_s == pytest.approx(1.2)
    assert clip.times_s == pytest.approx((0.2, 0.6, 1.0))
    for frame, time_s in zip(clip.frames, clip.times_s, strict=True):
        assert seen_at(frame, 4) == pytest.approx(2.4 + time_s - 0.05, abs=0.2)
    assert clip.sound is not None and clip.sound.duration_s == pytest.approx(1.2, abs=0.05)


def test_a_start_past_the_end_is_named(clip_file):
    for read in (load_clip, load_sound):
        with pytest.raises(MediaError, match=r"^h264\.mp4 ends before 60\.0 seconds; choose an earlier time\.$"):
            read(clip_file("h264.mp4"), start_s=60)


def test_a_clip_without_a_sound_track_is_normal(tmp_path):
    path = film(tmp_path / "silent.mp4", sound=None)
    info, clip = probe(path), load_clip(path, n_frames=2)
    assert info.kind == "clip" and not info.has_sound and clip.sound is None and len(clip.frames) == 2


def test_a_clip_recorded_in_a_browser_has_no_length_in_its_head(tmp_path):
    path = film(tmp_path / "recording.webm", picture="libvpx-vp9", sound="libopus", seconds=3, options={"live": "1"})
    with av.open(str(path)) as container:
        assert container.duration is None  # as from MediaRecorder
    assert probe(path).duration_s == pytest.approx(3, abs=0.1)
    clip = load_clip(path, n_frames=3)
    assert [round(seen_at(frame, 3), 1) for frame in clip.frames] == pytest.approx([0.5, 1.5, 2.5], abs=0.15)
    assert clip.sound is not None and clip.sound.duration_s == pytest.approx(3, abs=0.1)


def white_corner(_: int) -> np.ndarray:
    """White at the top left."""
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[:24, :32] = 255
    return picture


@pytest.mark.parametrize(
    ("matrix", "white_at"),
    [
        ((1, 0, 0, 1), (0, 0)),
        ((0, 1, -1, 0), (0, 1)),  # by 90 degrees
        ((-1, 0, 0, -1), (1, 1)),
        ((0, -1, 1, 0), (1, 0)),
        ((-1, 0, 0, 1), (0, 1)),  # mirrored
        ((1, 0, 0, -1), (1, 0)),
        ((0, 1, 1, 0), (0, 0)),
        ((0, -1, -1, 0), (1, 1)),
    ],
)
def test_a_clip_is_turned_and_mirrored_as_players_show_it(tmp_path, matrix, white_at):
    for suffix in ("mp4", "mov"):
        path = shown_by(film(tmp_path / f"phone.{suffix}", paint=white_corner, sound=None), *matrix)
        width, height = (64, 48) if matrix[0] else (48, 64)
        assert (probe(path).width, probe(path).height) == (width, height)
        frame = load_clip(path, n_frames=1).frames[0]
        assert frame.shape == (height, width, 3) and frame.flags["C_CONTIGUOUS"]
        y, x = white_at
        assert frame[height // 4 + y * height // 2, width // 4 + x * width // 2].mean() > 200
        assert frame.mean() == pytest.approx(64, abs=12)


def test_frames_of_an_uneven_rate_are_chosen_by_time(tmp_path):
    times_s = [0.0, 0.1, 0.2, 0.3, 2.0, 3.9]
    path = film(tmp_path / "screen.mkv", sound=None, seconds=4, times_s=times_s, options={"cluster_time_limit": "500"})
    clip = load_clip(path, n_frames=4, max_s=4)
    shown = [max(t for t in times_s if t <= wanted) for wanted in clip.times_s]
    assert [seen_at(frame, 4) for frame in clip.frames] == pytest.approx(shown, abs=0.1)


@pytest.mark.parametrize(("max_side", "shape"), [(512, (48, 64)), (32, (24, 32)), (1, (1, 1))])
def test_frames_are_shrunk_and_never_grown(tmp_path, max_side, shape):
    clip = load_clip(film(tmp_path / "clip.mp4"), n_frames=1, max_side=max_side)
    assert clip.frames[0].shape == (*shape, 3)


def test_a_clip_of_one_frame_repeats_it(tmp_path):
    clip = load_clip(film(tmp_path / "one.mp4", sound=None, seconds=0.1, fps=10), n_frames=5)
    assert len(clip.frames) == 5 and all(np.array_equal(frame, clip.frames[0]) for frame in clip.frames)


def test_only_so_much_of_the_sound_is_kept_as_asked_for(tmp_path):
    clip = load_clip(film(tmp_path / "clip.mp4", seconds=3), n_frames=2, sound_s=0.5)
    assert clip.duration_s == pytest.approx(3, abs=0.1)
    assert clip.sound is not None and len(clip.sound.samples) == RATE_HZ // 2


@pytest.mark.parametrize("n_frames", [0, -1, 257])
def test_a_number_of_frames_out_of_reason_is_a_defect_of_the_caller(tmp_path, n_frames):
    with pytest.raises(ValueError, match=f"n_frames is {n_frames}, not 1 to 256"):
        load_clip(film(tmp_path / "clip.mp4"), n_frames=n_frames)


@pytest.mark.parametrize(("suffix", "key_every"), [("mp4", 10), ("mkv", 10), ("ts", 10), ("mp4", 10_000)])
def test_few_frames_of_a_long_clip_are_found_without_decoding_all(tmp_path, monkeypatch, suffix, key_every):
    path = film(tmp_path / f"long.{suffix}", sound=None, seconds=120, fps=10, key_every=key_every, size=(32, 32))
    n_decoded = 0
    decode = tracks.Film._decode

    def counted(self: tracks.Film) -> av.VideoFrame | None:
        nonlocal n_decoded
        n_decoded += 1
        return decode(self)

    monkeypatch.setattr(tracks.Film, "_decode", counted)
    clip = load_clip(path, n_frames=6)
    for frame, time_s in zip(clip.frames, clip.times_s, strict=True):
        assert seen_at(frame, 120) == pytest.approx(time_s, abs=1.0)
    # with one key frame in all there is no way round decoding, but it is not done again for each frame
    assert n_decoded < (200 if key_every == 10 else 2_500)


# --- limits ------------------------------------------------------------------------------------------------------


def test_a_frame_larger_than_the_limit_is_refused(tmp_path, monkeypatch):
    path = film(tmp_path / "huge.mp4")
    monkeypatch.setattr(tracks, "MAX_FRAME_PIXELS", 64 * 48 - 1)
    for read in (probe, load_clip):
        with pytest.raises(MediaError, match=r"huge\.mp4 moves and is larger than"):
            read(path)
    assert load_sound(path).duration_s > 1  # what can be read without the picture still is


def test_a_clip_longer_than_the_limit_is_refused(tmp_path, monkeypatch):
    path = film(tmp_path / "long.mp4")
    monkeypatch.setattr(tracks, "MAX_SECONDS", 1)
    for read in (probe, load_clip, load_sound):
        with pytest.raises(MediaError, match=r"long\.mp4 is longer than"):
            read(path)


def test_a_stream_stops_where_the_sound_passes_the_limit(tmp_path, monkeypatch):
    path = film(tmp_path / "long.wav", picture=None, sound="pcm_s16le", seconds=3)
    monkeypatch.setattr(tracks, "MAX_SECONDS", 1)
    stream = stream_sound(path, chunk_s=0.5)
    assert len(next(stream)) == RATE_HZ // 2
    with pytest.raises(MediaError, match=r"long\.wav is longer than"):
        list(stream)


def test_a_file_of_very_many_tracks_is_refused(tmp_path):
    path = tmp_path / "many.mka"
    with av.open(str(path), "w") as container:
        audio = [container.add_stream("pcm_s16le", rate=8_000, layout="mono") for _ in range(40)]
        for track in audio:
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
            frame.sample_rate = 8_000
            container.mux(track.encode(frame))
    with pytest.raises(MediaError) as caught:
        probe(path)
    assert caught.value.en == "many.mka holds more than 32 tracks; export it with one picture and one sound track."


def test_tags_in_an_old_alphabet_do_no_harm(tmp_path):
    path = film(tmp_path / "song.mp3", picture=None, sound="libmp3lame", metadata={"title": "XXXX"})
    path.write_bytes(path.read_bytes().replace(b"XXXX", b"\xff\xe4\xf6\xfc"))
    assert probe(path).kind == "sound"
