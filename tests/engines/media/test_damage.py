"""Of a damaged sound or clip everything is read that is still whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engines.errors import MediaError
from engines.media.reading import load_clip, load_photo, load_sound, probe
from engines.protocol import RATE_HZ
from tests.engines.media.makers import SOUND_FILES, film, pitch_hz, seen_at


def spoiled(path: Path, start: float = 0.45, end: float = 0.55) -> Path:
    """Overwrite a stretch of a file with noise."""
    data = bytearray(path.read_bytes())
    a, b = round(start * len(data)), round(end * len(data))
    data[a:b] = np.random.default_rng(1).bytes(b - a)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("suffix", ["mp3", "aac", "opus", "flac", "mka"])
def test_a_sound_damaged_in_the_middle_keeps_the_rest(tmp_path, suffix):
    path = spoiled(film(tmp_path / f"tone.{suffix}", picture=None, sound=SOUND_FILES[suffix], seconds=8))
    samples = load_sound(path).samples
    assert len(samples) > 5 * RATE_HZ
    assert pitch_hz(samples[8_000:24_000]) == pytest.approx(440, abs=2)
    assert pitch_hz(samples[-24_000:-8_000]) == pytest.approx(440, abs=2)


@pytest.mark.parametrize("suffix", ["mkv", "ts", "avi"])
def test_a_clip_damaged_in_the_middle_keeps_the_rest(tmp_path, suffix):
    picture = "mpeg4" if suffix == "avi" else "libx264"
    path = spoiled(film(tmp_path / f"clip.{suffix}", picture=picture, sound="libmp3lame", seconds=8, fps=25))
    clip = load_clip(path, n_frames=8)
    assert clip.sound is not None
    assert seen_at(clip.frames[0], 8) == pytest.approx(0.5, abs=0.4)
    assert seen_at(clip.frames[-1], 8) == pytest.approx(clip.times_s[-1], abs=0.6)


@pytest.mark.parametrize("suffix", ["mp3", "ogg", "wav", "mka"])
def test_a_sound_cut_short_gives_what_is_there(tmp_path, suffix):
    path = film(tmp_path / f"tone.{suffix}", picture=None, sound=SOUND_FILES[suffix], seconds=4)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert load_sound(path).duration_s == pytest.approx(2, abs=0.6)


@pytest.mark.parametrize(("name", "picture"), [("cut.mp4", "libx264"), ("cut.m4a", None)])
def test_an_mp4_cut_short_has_lost_its_table_and_is_refused(tmp_path, name, picture):
    path = film(tmp_path / name, picture=picture)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 8 // 10])
    for read in (probe, load_clip, load_sound, load_photo):
        with pytest.raises(MediaError) as caught:
            read(path)
        assert caught.value.en == (
            f"{name} is not a photo, sound or clip, or it is damaged or cut short; "
            "JPEG, PNG, MP3 and MP4 are safe choices."
        )


def test_a_clip_whose_sound_cannot_be_read_is_a_silent_clip(tmp_path):
    path = film(tmp_path / "clip.mkv", sound="flac")
    data = path.read_bytes()
    path.write_bytes(data.replace(b"fLaC", b"xxxx"))
    clip = load_clip(path, n_frames=2)
    assert len(clip.frames) == 2
