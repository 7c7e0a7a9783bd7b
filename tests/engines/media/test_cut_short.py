"""Pictures whose libraries want the whole file are shown as far as they go, with the note that they are cut short."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from engines.errors import MediaError
from engines.media.reading import load_clip, load_photo, probe, thumbnail
from engines.paths import ASSETS


def dog() -> Image.Image:
    return Image.open(ASSETS / "samples" / "dog.jpg").convert("RGB").resize((320, 240))


def encoded(form: str, **options: Any) -> bytes:
    if form == "HEIF":
        pytest.importorskip("pillow_heif").register_heif_opener()
    held = io.BytesIO()
    dog().save(held, form, **options)
    return held.getvalue()


def both(folder: Path, form: str, share: float, **options: Any) -> tuple[np.ndarray, np.ndarray]:
    """The pixels of a whole photo, and of one of which a share is there; that one says that it is cut short."""
    data = encoded(form, **options)
    whole, cut = folder / "whole", folder / "cut"
    whole.write_bytes(data)
    cut.write_bytes(data[: int(len(data) * share)])
    photo = load_photo(cut)
    assert probe(cut).kind == "photo" and thumbnail(cut).jpeg is not None
    assert [note.key for note in photo.notes] == ["note.cut_short"]
    return load_photo(whole).pixels.astype(int), photo.pixels.astype(int)


@pytest.mark.parametrize(
    ("form", "options"),
    [
        ("WEBP", {}),
        ("WEBP", {"lossless": True}),
        ("AVIF", {}),
        ("AVIF", {"tile_rows": 1, "tile_cols": 1}),
        ("HEIF", {}),
        ("HEIF", {"tile_size": 64}),
    ],
)
@pytest.mark.parametrize("share", [0.9, 0.75])
def test_a_photo_without_its_end_is_shown_as_far_as_it_is_there(tmp_path, form, options, share):
    whole, cut = both(tmp_path, form, share, **options)
    n = len(cut)
    assert 240 * (share - 0.5) < n < 240 and cut.shape[1] == 320
    assert np.abs(cut - whole[:n]).mean() < 1.0


@pytest.mark.parametrize("progression", ["LRCP", "RPCL"])
def test_a_jpeg_2000_photo_without_its_end_is_shown_less_sharp(tmp_path, progression):
    whole, cut = both(tmp_path, "JPEG2000", 0.9, progression=progression)
    assert cut.shape == whole.shape and np.abs(cut - whole).mean() < 12


def test_a_tiled_jpeg_2000_photo_without_its_end_lacks_its_last_tiles(tmp_path):
    whole, cut = both(tmp_path, "JPEG2000", 0.7, tile_size=(64, 64))
    assert 128 <= len(cut) < 240 and np.array_equal(cut[:128], whole[:128])


def test_a_photo_that_a_phone_stored_lying_is_shown_from_the_side_that_is_there(tmp_path):
    pillow_heif = pytest.importorskip("pillow_heif")
    exif = Image.Exif()
    exif[0x0112] = 6
    held = io.BytesIO()
    pillow_heif.from_pillow(dog()).save(held, quality=80, exif=exif.tobytes())
    path = tmp_path / "IMG_1.HEIC"
    path.write_bytes(held.getvalue())
    whole = load_photo(path).pixels.astype(int)
    path.write_bytes(held.getvalue()[: len(held.getvalue()) * 8 // 10])
    cut = load_photo(path).pixels.astype(int)
    assert len(cut) == 320 and 100 < cut.shape[1] < 240
    assert np.abs(cut - whole[:, -cut.shape[1] :]).mean() < 1.0


@pytest.mark.parametrize("form", ["WEBP", "AVIF"])
def test_an_animation_without_its_end_is_shown_as_far_as_it_goes(tmp_path, form):
    noise = np.random.default_rng(0).integers(0, 60, (5, 48, 64, 3), np.uint8)
    frames = [Image.fromarray(noise[n] + 40 * n) for n in range(5)]
    held = io.BytesIO()
    frames[0].save(held, form, save_all=True, append_images=frames[1:], duration=100)
    path = tmp_path / "moving"
    path.write_bytes(held.getvalue()[: len(held.getvalue()) * 9 // 10])
    assert probe(path).kind == "clip"
    clip = load_clip(path, n_frames=5)
    assert [note.key for note in clip.notes] == ["note.cut_short"]
    assert [round((float(frame.mean()) - 30) / 40) for frame in clip.frames[:4]] == [0, 1, 2, 3]


@pytest.mark.parametrize(("form", "share"), [("AVIF", 0.3), ("HEIF", 0.1), ("HEIF", 0.2)])
def test_a_photo_of_which_hardly_anything_is_there_says_that_it_is_cut_short(tmp_path, form, share):
    data = encoded(form, **({"tile_size": 64} if form == "HEIF" else {}))
    path = tmp_path / "cut"
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(MediaError) as caught:
        load_photo(path)
    assert caught.value.en == "cut is cut short and cannot be read without its end; export or download it again."


@pytest.mark.parametrize("form", ["WEBP", "AVIF", "HEIF", "JPEG2000"])
def test_a_whole_photo_has_no_such_note(tmp_path, form):
    path = tmp_path / "whole"
    path.write_bytes(encoded(form))
    assert load_photo(path).notes == ()
