"""Words in pictures are read where the extra is installed, and nothing breaks where it is not."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from engines import media
from engines.errors import MediaError
from engines.media import child, ocr, reading
from tests.engines.media.makers import film

needs_ocr = pytest.mark.skipif(not ocr.is_installed(), reason="the extra ocr is not installed")


def sign(*lines: str, size: tuple[int, int] = (800, 400)) -> Image.Image:
    """Black letters on white, one line below the other."""
    picture = Image.new("RGB", size, "white")
    drawing = ImageDraw.Draw(picture)
    for n, line in enumerate(lines):
        drawing.text((40, 40 + 90 * n), line, font=ImageFont.load_default(48), fill="black")
    return picture


@pytest.fixture
def read(monkeypatch) -> Callable[..., None]:
    """Have a picture be read as (line, confidence) pairs by a reader that looks at nothing."""

    def use(*found: tuple[str, float]) -> None:
        texts, confidences = zip(*found, strict=True) if found else (None, None)
        monkeypatch.setattr(ocr, "is_installed", lambda: True)
        monkeypatch.setattr(ocr, "_reader", lambda: lambda _: SimpleNamespace(txts=texts, scores=confidences))

    return use


def test_doubtful_lines_and_single_signs_are_left_out(read):
    read(("EXIT", 0.99), ("Q", 0.98), ("风利", 0.63), ("  Gate   12 ", 0.9), ("--", 1.0))
    assert ocr.lines_of(np.zeros((8, 8, 3), np.uint8)) == ("EXIT", "Gate 12")


def test_a_picture_without_words_has_none(read):
    read()
    assert ocr.lines_of(np.zeros((8, 8, 3), np.uint8)) == ()


def test_a_clip_is_read_in_a_frame_of_each_stretch_and_a_long_one_in_no_more_than_asked(read, tmp_path):
    read(("EXIT", 0.99))
    clip = film(tmp_path / "clip.mp4")
    duration_s = reading.probe(clip).duration_s
    words = list(reading.stream_words(clip, step_s=duration_s / 4, most=16))
    assert len(words) == 4 and {each.lines for each in words} == {("EXIT",)}
    assert words[0].start_s == 0.0 and words[-1].end_s == pytest.approx(duration_s)
    assert len(list(reading.stream_words(clip, step_s=duration_s / 40, most=3))) == 3


def test_without_the_extra_nothing_is_read_and_nothing_fails(monkeypatch, tmp_path):
    monkeypatch.setattr(ocr, "PACKAGES", ("a_package_nobody_has",))
    sign("EXIT").save(tmp_path / "sign.png")
    assert not ocr.is_installed()
    assert list(reading.stream_words(tmp_path / "sign.png")) == []
    assert ocr.lines_of(np.zeros((8, 8, 3), np.uint8)) == ()
    assert "pip install" in ocr.missing().en and "pip install" in ocr.missing().zh
    assert ocr.missing().zh != ocr.missing().en


def test_a_reader_that_fails_costs_one_sentence(monkeypatch, tmp_path):
    def fail() -> None:
        raise ImportError("libGL.so.1")

    monkeypatch.setattr(ocr, "is_installed", lambda: True)
    monkeypatch.setattr(ocr, "_reader", fail)
    sign("EXIT").save(tmp_path / "sign.png")
    with pytest.raises(MediaError, match=r"The words in sign\.png could not be read"):
        list(reading.stream_words(tmp_path / "sign.png"))


@needs_ocr
@pytest.mark.slow
def test_a_rendered_sign_is_read_line_by_line_in_a_process_of_its_own(tmp_path):
    sign("Emergency exit", "Platform 12").save(tmp_path / "sign.png")
    (words,) = media.stream_words(tmp_path / "sign.png")
    assert words.lines == ("Emergency exit", "Platform 12")


@needs_ocr
@pytest.mark.slow
def test_an_empty_wall_and_noise_hold_no_words(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (300, 300, 3), np.uint8)
    for name, pixels in (("wall.png", np.full((300, 300, 3), 200, np.uint8)), ("noise.png", noise)):
        Image.fromarray(pixels).save(tmp_path / name)
        assert [words.lines for words in media.stream_words(tmp_path / name)] == [()]


@needs_ocr
@pytest.mark.slow
def test_reading_words_sends_nothing_about_this_machine(tmp_path, monkeypatch):
    while child._idle:
        child._idle.pop().end()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    sign("Emergency exit").save(tmp_path / "sign.png")
    list(media.stream_words(tmp_path / "sign.png"))
    assert [path.name for path in tmp_path.iterdir()] == ["sign.png"], "telemetry keeps a queue in the cache folder"
