"""What cannot be read is refused in one sentence, English and Chinese, before anything is decoded."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import engines.media
from engines.errors import MediaError
from engines.media import content_digest, opening, reading, refusals
from engines.media.reading import load_clip, load_photo, load_sound, probe, stream_sound
from tests.engines.media.makers import film

READERS: list[Callable[[Path], Any]] = [
    probe,
    load_photo,
    load_sound,
    load_clip,
    content_digest,
    lambda path: list(stream_sound(path)),
]
each_reader = pytest.mark.parametrize("read", READERS, ids=["probe", "photo", "sound", "clip", "digest", "stream"])


def said(read: Callable[[Path], Any], path: Path) -> str:
    with pytest.raises(MediaError) as caught:
        read(path)
    assert caught.value.zh != caught.value.en
    return caught.value.en


@each_reader
@pytest.mark.parametrize(
    ("name", "make", "told"),
    [
        ("gone.jpg", lambda path: None, "There is no file gone.jpg; check the path or choose it again."),
        ("a\0b.jpg", lambda path: None, "There is no file"),
        ("x" * 300, lambda path: None, "There is no file"),
        ("holiday.mp4", Path.mkdir, "holiday.mp4 is not a file; choose a photo, sound or clip."),
        ("empty.mp3", Path.touch, "empty.mp3 is empty (0 bytes); record or download it again."),
        pytest.param(
            "pipe.wav", lambda path: os.mkfifo(path), "pipe.wav is not a file",  # without waiting for it
            marks=pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes"),
        ),
    ],
)  # fmt: skip
def test_what_is_no_file_to_read_says_so(read, name, make, told, tmp_path):
    make(tmp_path / name)
    assert said(read, tmp_path / name).startswith(told)


@each_reader
def test_a_file_that_may_not_be_read_says_so(read, tmp_path, monkeypatch):
    path = tmp_path / "private.jpg"
    path.write_bytes(b"x")

    def refuse(path: Path, *args: object, **kwargs: object) -> None:  # chmod would not stop root
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(opening.os, "open", refuse)
    assert (
        said(read, path) == "private.jpg may not be read; allow reading it or copy it elsewhere, then choose it again."
    )


PLAYLISTS = {
    "live.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{other}\n#EXT-X-ENDLIST\n",
    "renamed.mp4": "#EXTM3U\n#EXTINF:10,\n{other}\n",
    "bom.mp3": "\ufeff\n#EXTM3U\n{other}\n",
    "script.txt": "ffconcat version 1.0\nfile '{other}'\n",
    "plain.m3u": "{other}\n",
    "radio.pls": "[playlist]\nFile1={other}\n",
    "show.asx": "<asx version='3.0'><entry><ref href='{other}'/></entry></asx>",
    "list.xspf": "<?xml version='1.0'?>\n<playlist version='1'><location>{other}</location></playlist>",
    "dash.mpd": "<?xml version='1.0'?>\n<!-- x -->\n<MPD><BaseURL>{other}</BaseURL></MPD>",
}


@pytest.mark.parametrize("name", PLAYLISTS)
@pytest.mark.parametrize("read", READERS[:4], ids=["probe", "photo", "sound", "clip"])
def test_a_playlist_is_refused_and_what_it_points_at_never_opened(read, name, tmp_path):
    other = film(tmp_path / "other.wav", picture=None, sound="pcm_s16le", seconds=0.2)
    (tmp_path / name).write_text(PLAYLISTS[name].format(other=other), encoding="utf-8")
    assert (
        said(read, tmp_path / name)
        == f"{name} is a playlist, which only points at other files; choose one of those files itself."
    )


def test_a_list_in_disguise_reaches_no_other_host(tmp_path):
    """Comments before the mark hide it from the sentence above, but not from the list of formats."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.0)
        url = f"http://127.0.0.1:{server.getsockname()[1]}/a.ts"
        for head in ("\0#EXTM3U\n", "# x\nffconcat version 1.0\nfile ", "v=0\no=- 0 0 IN IP4 127.0.0.1\n"):
            (tmp_path / "sly.mp4").write_text(f"{head}{url}\n")
            for read in READERS[:4]:
                with pytest.raises(MediaError):
                    read(tmp_path / "sly.mp4")
        with pytest.raises(BlockingIOError):
            server.accept()


@pytest.mark.parametrize("name", ["http:", "concat:a|b", "-i", "x%03d.mp4", "图片 ü '\".mp4", "~", "crypto+file:a.mp4"])
def test_a_name_is_only_a_name(tmp_path, name, monkeypatch):
    path = film(tmp_path / "clip.mp4").rename(tmp_path / name)
    assert probe(path).kind == "clip"
    monkeypatch.chdir(tmp_path)
    assert probe(Path(name)).kind == "clip"


@pytest.mark.skipif(os.name == "nt", reason="names are text there")
@pytest.mark.parametrize("by", [engines.media, reading], ids=["in its process", "here"])
def test_a_name_that_is_not_text_can_be_read_and_refused(tmp_path, by):
    path = tmp_path / os.fsdecode(b"caf\xe9.wav")
    film(tmp_path / "a.wav", picture=None, sound="pcm_s16le").rename(path)
    assert by.load_sound(path).duration_s > 1
    path.write_bytes(b"")
    assert "is empty" in said(by.probe, path)


@pytest.mark.parametrize(
    "data",
    [
        b"Dear diary, nothing happened today.\n" * 50,
        b"1\n00:00:01,000 --> 00:00:02,000\nA subtitle\n",
        b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        b"%PDF-1.7\n",
        b"PK\x03\x04" + bytes(200),
        b"\x7fELF" + bytes(500),
        b"\0",
        bytes(10_000),
        np.random.default_rng(3).bytes(10_000),
    ],
    ids=["text", "subtitles", "svg", "postscript", "pdf", "zip", "program", "one byte", "zeros", "noise"],
)
def test_what_is_no_media_file_says_so(tmp_path, data):
    path = tmp_path / "thing.jpg"
    path.write_bytes(data)
    for read in READERS[:4]:
        assert said(read, path) == (
            "thing.jpg is not a photo, sound or clip, or it is damaged or cut short; "
            "JPEG, PNG, MP3 and MP4 are safe choices."
        )


def test_media_of_the_wrong_kind_say_what_they_are(tmp_path):
    photo, sound = tmp_path / "a.png", film(tmp_path / "a.wav", picture=None, sound="pcm_s16le")
    Image.new("RGB", (8, 8)).save(photo)
    moving = tmp_path / "a.gif"
    Image.new("L", (8, 8)).save(moving, save_all=True, append_images=[Image.new("L", (8, 8), 255)])
    assert said(load_photo, sound) == "a.wav is not a photo but a sound or clip; choose a photo."
    assert said(load_clip, sound) == "a.wav is a sound without moving pictures; choose a clip."
    a_photo = "a.png is a photo, which neither moves nor sounds; choose a sound or clip."
    assert said(load_clip, photo) == said(load_sound, photo) == a_photo
    assert said(load_sound, moving) == "a.gif has no sound track; choose a sound, or a clip with sound."


@pytest.mark.parametrize("why", refusals.SENTENCES)
def test_every_sentence_names_the_file_without_its_folder_and_says_what_to_do(why):
    error = refusals.refusal(why, Path("/home/someone/secret/holiday.mov"), start_s=1.5)
    for text in (error.en, error.zh):
        assert "holiday.mov" in text and "someone" not in text and "{" not in text
    assert error.en.endswith(".") and error.zh.endswith("。")
    assert any(mark in error.en for mark in (";", ","))  # what is wrong, then what to do


def test_limits_are_stated_in_the_units_people_use():
    assert "89 megapixels" in refusals.refusal("too_many_pixels", Path("a")).en
    assert "89 百万像素" in refusals.refusal("too_many_pixels", Path("a")).zh
    assert refusals.refusal("too_long", Path("a")).en == "a is longer than 4 hours; cut it into parts first."
    assert refusals.refusal("too_long", Path("a")).zh == "a 超过 4 小时，请先剪成几段。"
