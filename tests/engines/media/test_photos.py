"""Photos come out upright, on white and in 8 bits, or not at all with a sentence that says why."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from engines.errors import MediaError
from engines.media import photos
from engines.media.reading import load_clip, load_photo, probe

RED, BLUE = (255, 0, 0), (0, 0, 255)


def corner_photo() -> Image.Image:
    """60 x 40, blue, with a red quarter at the top left."""
    image = Image.new("RGB", (60, 40), BLUE)
    image.paste(RED, (0, 0, 30, 20))
    return image


def colour(pixels: np.ndarray, x: float, y: float) -> tuple[int, ...]:
    """The colour at a place given as fractions of width and height."""
    height, width, _ = pixels.shape
    return tuple(int(value) for value in pixels[int(y * height), int(x * width)])


def near(seen: tuple[int, ...], wanted: tuple[int, ...], by: int = 12) -> bool:
    return all(abs(a - b) <= by for a, b in zip(seen, wanted, strict=True))


@pytest.mark.parametrize("suffix", ["avif", "bmp", "gif", "jp2", "jpg", "png", "ppm", "tif", "webp"])
def test_every_usual_photo_format_keeps_its_colours(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"photo.{suffix}"
    corner_photo().save(path)
    pixels = load_photo(path).pixels
    assert pixels.shape == (40, 60, 3) and pixels.dtype == np.uint8
    assert near(colour(pixels, 0.2, 0.2), RED, 30) and near(colour(pixels, 0.8, 0.8), BLUE, 30)
    info = probe(path)
    assert (info.kind, info.width, info.height, info.has_sound, info.duration_s) == ("photo", 60, 40, False, 0.0)


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
@pytest.mark.parametrize(
    ("orientation", "red_at"),
    [(1, (0, 0)), (2, (1, 0)), (3, (1, 1)), (4, (0, 1)), (5, (0, 0)), (6, (1, 0)), (7, (1, 1)), (8, (0, 1))],
)
def test_a_photo_is_turned_as_its_exif_says(
    tmp_path: Path, suffix: str, orientation: int, red_at: tuple[int, int]
) -> None:
    path = tmp_path / f"photo.{suffix}"
    exif = Image.Exif()
    exif[0x0112] = orientation
    corner_photo().save(path, exif=exif)
    pixels = load_photo(path).pixels
    size = (40, 60) if orientation >= 5 else (60, 40)
    assert pixels.shape[1::-1] == size == (probe(path).width, probe(path).height)
    assert near(colour(pixels, 0.25 + 0.5 * red_at[0], 0.25 + 0.5 * red_at[1]), RED, 30)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_a_photo_with_broken_exif_is_taken_as_upright(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    corner_photo().save(path, exif=b"Exif\0\0" + b"MM\0*\0\0\0\x08\xff\xff" + b"\x01\x12" * 20)
    assert load_photo(path).pixels.shape == (40, 60, 3)
    assert probe(path).kind == "photo"


@pytest.mark.parametrize("suffix", ["png", "webp", "tif"])
def test_what_is_transparent_becomes_white(tmp_path: Path, suffix: str) -> None:
    image = Image.new("RGBA", (20, 10), (200, 0, 0, 0))
    image.paste((200, 0, 0, 255), (0, 0, 10, 10))
    image.paste((0, 0, 0, 128), (0, 5, 10, 10))
    path = tmp_path / f"photo.{suffix}"
    image.save(path, lossless=True)
    pixels = load_photo(path).pixels
    assert colour(pixels, 0.8, 0.5) == (255, 255, 255)
    assert colour(pixels, 0.2, 0.2) == (200, 0, 0)
    assert near(colour(pixels, 0.2, 0.8), (127, 127, 127), 2)  # half black over white


def test_transparent_grey_becomes_white(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    Image.new("LA", (8, 8), (90, 0)).save(path)
    assert colour(load_photo(path).pixels, 0.5, 0.5) == (255, 255, 255)


def test_one_transparent_colour_of_a_palette_becomes_white(tmp_path: Path) -> None:
    image = Image.new("P", (8, 8), 1)
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.paste(0, (0, 0, 4, 8))
    path = tmp_path / "photo.png"
    image.save(path, transparency=0)
    pixels = load_photo(path).pixels
    assert colour(pixels, 0.1, 0.5) == (255, 255, 255) and colour(pixels, 0.9, 0.5) == (200, 100, 50)


@pytest.mark.parametrize(
    ("mode", "suffix", "value", "seen"),
    [
        ("1", "png", 1, 255),
        ("L", "png", 100, 100),
        ("I;16", "png", 32_896, 128),
        ("I;16", "tif", 65_535, 255),
        ("I", "tif", 32_896, 128),
        ("F", "tif", 0.5, 128),
    ],
)
def test_grey_of_any_depth_becomes_eight_bits(tmp_path: Path, mode: str, suffix: str, value: float, seen: int) -> None:
    path = tmp_path / f"photo.{suffix}"
    Image.new(mode, (6, 4), value).save(path)
    assert colour(load_photo(path).pixels, 0.5, 0.5) == (seen, seen, seen)


def test_a_bright_16_bit_photo_is_not_cut_off_at_255(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    ramp = np.linspace(0, 65_535, 256).astype(np.uint16)[None].repeat(4, axis=0)
    Image.fromarray(ramp).save(path)
    assert np.abs(load_photo(path).pixels[0, :, 0].astype(int) - np.arange(256)).max() <= 1


def test_floats_that_are_not_numbers_become_black(tmp_path: Path) -> None:
    path = tmp_path / "photo.tif"
    Image.fromarray(np.array([[np.nan, np.inf], [1.0, 0.0]], np.float32)).save(path)
    assert load_photo(path).pixels[..., 0].tolist() == [[0, 0], [255, 0]]


@pytest.mark.parametrize("suffix", ["jpg", "tif"])
def test_ink_colours_become_screen_colours(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"photo.{suffix}"
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(path)
    assert near(colour(load_photo(path).pixels, 0.5, 0.5), RED, 5)


@settings(deadline=None)
@given(width=st.integers(1, 400), height=st.integers(1, 400), max_side=st.integers(1, 300))
def test_a_photo_is_shrunk_to_the_longer_side_asked_for_and_never_grown(
    width: int, height: int, max_side: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "shrunk.jpg"
    Image.new("RGB", (width, height), RED).save(path)
    seen_height, seen_width, _ = load_photo(path, max_side=max_side).pixels.shape
    assert max(seen_height, seen_width) == min(max_side, max(width, height))
    shrink = max(seen_height, seen_width) / max(width, height)
    assert abs(seen_width - width * shrink) <= 1 and abs(seen_height - height * shrink) <= 1


def png_that_claims(width: int, height: int) -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    pixels = zlib.compress(b"\0" * 1_000_000, 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [10_000, 16_000, 60_000])
def test_a_decompression_bomb_is_refused_before_it_is_decoded(tmp_path: Path, side: int) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(png_that_claims(side, side))
    for read in (probe, load_photo):
        with pytest.raises(MediaError, match=r"^bomb.png is larger than 89 megapixels; make it smaller first\.$"):
            read(path)


@pytest.mark.filterwarnings("error")
def test_a_bomb_is_refused_in_the_same_words_where_warnings_are_errors(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(png_that_claims(10_000, 10_000))
    with pytest.raises(MediaError, match="larger than 89 megapixels"):
        probe(path)


def test_an_animation_too_large_to_time_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photos, "MAX_ANIMATION_PIXELS", 3 * 60 * 40 - 1)
    path = animation(tmp_path / "long.gif", [100, 100, 100])
    with pytest.raises(MediaError, match=r"long\.gif is larger than"):
        probe(path)


def test_an_animation_that_runs_too_long_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photos, "MAX_SECONDS", 1)
    path = animation(tmp_path / "long.gif", [600, 600])
    with pytest.raises(MediaError, match=r"long\.gif is longer than"):
        probe(path)


@pytest.mark.parametrize("suffix", ["bmp", "gif", "jpg", "png", "tif", "webp"])
def test_a_photo_that_is_cut_short_is_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"cut.{suffix}"
    noise = np.random.default_rng(0).integers(0, 255, (120, 160, 3), np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    with pytest.raises(MediaError) as caught:
        load_photo(path)
    assert caught.value.en == f"cut.{suffix} is damaged or cut short and cannot be read; export or download it again."
    assert caught.value.zh == f"cut.{suffix} 已损坏或不完整，无法读取，请重新导出或下载。"


def test_a_suffix_does_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "photo.mp3"
    corner_photo().save(path, format="PNG")
    assert probe(path).kind == "photo"
    assert load_photo(path).pixels.shape == (40, 60, 3)


def heic_head() -> bytes:
    return struct.pack(">I", 24) + b"ftypheic\0\0\0\0mif1heic" + b"\0" * 200


def test_a_heic_photo_is_refused_with_the_way_to_read_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pillow_heif", None)  # as if it were not installed
    path = tmp_path / "IMG_1.HEIC"
    path.write_bytes(heic_head())
    with pytest.raises(MediaError) as caught:
        load_photo(path)
    assert caught.value.en == (
        "IMG_1.HEIC is a HEIC photo; save it as JPEG, or run `pip install pillow-heif` and start again."
    )
    assert caught.value.zh == "IMG_1.HEIC 是 HEIC 照片，请另存为 JPEG，或运行 `pip install pillow-heif` 后重新启动。"


# --- animated pictures -------------------------------------------------------------------------------------------


def animation(path: Path, shown_ms: list[int]) -> Path:
    """60 x 40 frames, the first grey 40, then 40 brighter each."""
    frames = [Image.new("RGB", (60, 40), (40 * (i + 1),) * 3) for i in range(len(shown_ms))]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=shown_ms, loop=0)
    return path


@pytest.mark.parametrize("suffix", ["avif", "gif", "png", "webp"])
def test_an_animated_picture_is_a_clip_without_sound(tmp_path: Path, suffix: str) -> None:
    path = animation(tmp_path / f"moving.{suffix}", [200, 200, 200, 200])
    info = probe(path)
    assert (info.kind, info.has_sound, info.width, info.height) == ("clip", False, 60, 40)
    assert info.duration_s == pytest.approx(0.8, abs=0.01)
    clip = load_clip(path, n_frames=4)
    assert clip.sound is None and clip.duration_s == pytest.approx(0.8, abs=0.01)
    assert clip.times_s == pytest.approx((0.1, 0.3, 0.5, 0.7), abs=0.01)
    assert [near(colour(f, 0.5, 0.5), (40 * (i + 1),) * 3) for i, f in enumerate(clip.frames)] == [True] * 4


def test_frames_of_an_animation_are_chosen_by_time_not_by_number(tmp_path: Path) -> None:
    clip = load_clip(animation(tmp_path / "slow.gif", [150, 700, 150]), n_frames=5)
    assert [round(frame.mean() / 40) for frame in clip.frames] == [1, 2, 2, 2, 3]


def test_an_animation_that_states_no_times_runs_as_in_a_browser(tmp_path: Path) -> None:
    assert probe(animation(tmp_path / "fast.gif", [0, 10, 0])).duration_s == pytest.approx(0.3)


def test_a_part_of_an_animation_counts_from_its_start(tmp_path: Path) -> None:
    clip = load_clip(animation(tmp_path / "moving.gif", [200] * 5), n_frames=2, start_s=0.4, max_s=0.4)
    assert clip.duration_s == pytest.approx(0.4) and clip.times_s == pytest.approx((0.1, 0.3))
    assert [round(frame.mean() / 40) for frame in clip.frames] == [3, 4]


def test_an_animated_picture_read_as_a_photo_gives_its_first_frame(tmp_path: Path) -> None:
    assert near(colour(load_photo(animation(tmp_path / "moving.webp", [100, 100])).pixels, 0.5, 0.5), (40, 40, 40))


def test_the_second_page_of_a_tiff_does_not_make_it_move(tmp_path: Path) -> None:
    path = tmp_path / "pages.tif"
    corner_photo().save(path, save_all=True, append_images=[corner_photo()])
    assert probe(path).kind == "photo"
