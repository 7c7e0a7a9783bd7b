"""A file's small picture is decoded once, however many ask for it, and made small while it is decoded."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engines import media
from engines.errors import MediaError
from engines.media import reading
from tests.engines.media.makers import film, sine


@pytest.fixture(autouse=True)
def reads(monkeypatch) -> Iterator[list[Path]]:
    """Which files were decoded; here, not in a child, to be quick."""
    done: list[Path] = []

    def read(path: Path, **options: object) -> reading.Thumbnail:
        done.append(path)
        return reading.thumbnail(path, **options)

    monkeypatch.setattr(media, "_read_thumbnail", read)
    yield done
    media._thumbnails.clear()


def size_of(thumbnail: reading.Thumbnail) -> tuple[int, int]:
    assert thumbnail.jpeg is not None
    return Image.open(io.BytesIO(thumbnail.jpeg.tobytes())).size


def test_a_photo_and_a_clip_are_small_pictures_and_a_sound_is_its_peaks(tmp_path):
    Image.new("RGB", (900, 600)).save(tmp_path / "photo.png")
    assert size_of(media.thumbnail(tmp_path / "photo.png")) == (360, 240)
    assert size_of(media.thumbnail(film(tmp_path / "clip.mp4"), at_s=1.0)) == (64, 48)
    samples = np.concatenate([np.zeros(48_000, np.float32), sine(1.0)])
    half = film(tmp_path / "half.wav", picture=None, sound="pcm_s16le", samples=samples)
    peaks = media.thumbnail(half).peaks
    assert peaks is not None and peaks.shape == (72,)
    assert peaks[:35].max() < 0.01 and peaks[37:].min() > 0.4


def test_five_who_ask_at_once_cost_one_decode(tmp_path, reads):
    path = tmp_path / "photo.png"
    Image.new("RGB", (2000, 2000)).save(path)
    threads = [threading.Thread(target=media.thumbnail, args=(path,)) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    media.thumbnail(path)
    assert reads == [path]


def test_a_file_that_changed_is_read_again_and_what_cannot_be_read_is_not_tried_twice(tmp_path, reads):
    path = tmp_path / "photo.png"
    path.write_bytes(b"no picture")
    for _ in range(2):
        with pytest.raises(MediaError, match=r"photo\.png is not a photo"):
            media.thumbnail(path)
    assert len(reads) == 1
    Image.new("RGB", (10, 10)).save(path)
    assert size_of(media.thumbnail(path)) == (10, 10)


def test_a_large_transparent_picture_is_made_small_without_a_second_copy_of_it(tmp_path, monkeypatch):
    path = tmp_path / "memory.png"
    Image.new("RGBA", (3000, 3000), (255, 0, 0, 128)).save(path)
    whole = Image.Image.convert

    def small(image: Image.Image, *args: object, **options: object) -> Image.Image:
        assert image.width * image.height < 3000 * 3000 / 2
        return whole(image, *args, **options)

    monkeypatch.setattr(Image.Image, "convert", small)
    monkeypatch.setattr("engines.media.photos._STRIP_BYTES", 2**20)
    assert size_of(media.thumbnail(path)) == (360, 360)
