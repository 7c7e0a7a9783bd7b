"""A file's small picture is decoded once, however many ask for it, and made small while it is decoded."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engines import media
from engines.errors import Cancelled, MediaError
from engines.media import reading
from engines.media.refusals import refusal
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


def test_a_photo_is_decoded_once_for_whatever_time_it_is_asked_for(tmp_path, reads):
    path = tmp_path / "photo.jp2"
    Image.new("RGB", (20, 10)).save(path)
    for n in range(5):
        assert size_of(media.thumbnail(path, at_s=n / 10)) == (20, 10)
    assert reads == [path]


@pytest.mark.parametrize("suffix", ["png", "webp", "avif"])
def test_a_photo_of_a_kind_that_may_move_is_decoded_once_for_whatever_time_it_is_asked_for(tmp_path, reads, suffix):
    path = tmp_path / f"photo.{suffix}"
    Image.new("RGB", (20, 10)).save(path)
    for n in range(20):
        assert size_of(media.thumbnail(path, at_s=n / 10)) == (20, 10)
    assert reads == [path]


def test_however_many_times_of_a_clip_are_asked_for_few_are_decoded(tmp_path, reads, monkeypatch):
    monkeypatch.setattr(media, "MOST_TIMES", 5)
    path = film(tmp_path / "clip.mp4", seconds=2.0)
    shown = [media.thumbnail(path, at_s=n / 50) for n in range(1, 200)]  # far past the end too
    assert len(reads) == 5 and len({one.jpeg.tobytes() for one in shown if one.jpeg is not None}) == 5


def test_the_nearest_of_the_times_that_are_shown_is_shown():
    assert [round(media._shown_s(2.0, at_s), 1) for at_s in (0.0, 0.04, 0.06, 1.94, 2.0, 1e9)] == [
        0,
        0,
        0.1,
        1.9,
        1.9,
        1.9,
    ]
    assert media._shown_s(0.0, 7.0) == 0.0
    asked = {media._shown_s(14_400.0, n / 10) for n in range(144_000)}
    assert len(asked) == media.MOST_TIMES and max(asked) < 14_400.0


@pytest.mark.parametrize("why", ["too_slow", "took_too_long", "too_much_memory"])
def test_what_a_busy_machine_gave_up_is_tried_again(tmp_path, monkeypatch, why):
    path = tmp_path / "photo.png"
    Image.new("RGB", (20, 10)).save(path)

    def give_up(path: Path, **options: object) -> reading.Thumbnail:
        raise refusal(why, path)

    with monkeypatch.context() as busy:
        busy.setattr(media, "_read_thumbnail", give_up)
        with pytest.raises(MediaError, match="was given up"):
            media.thumbnail(path)
    assert size_of(media.thumbnail(path)) == (20, 10)


def test_whoever_waits_for_one_who_gives_up_still_has_the_picture(tmp_path, monkeypatch):
    path = tmp_path / "photo.png"
    Image.new("RGB", (20, 10)).save(path)
    n_read, begun, give_up, waits = 0, threading.Event(), threading.Event(), threading.Event()

    def read(path: Path, **options: object) -> reading.Thumbnail:
        nonlocal n_read
        n_read += 1
        if n_read > 1:
            return reading.thumbnail(path, **options)
        begun.set()
        assert give_up.wait(30)
        raise Cancelled

    class Watched(media.Future):
        def result(self, timeout: float | None = None) -> object:
            waits.set()
            return super().result(timeout)

    monkeypatch.setattr(media, "_read_thumbnail", read)
    monkeypatch.setattr(media, "Future", Watched)
    with ThreadPoolExecutor(2) as asking:
        first = asking.submit(media.thumbnail, path)
        assert begun.wait(30)
        second = asking.submit(media.thumbnail, path)
        assert waits.wait(30)
        give_up.set()
        assert isinstance(first.exception(), Cancelled)
        assert size_of(second.result()) == (20, 10)


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
