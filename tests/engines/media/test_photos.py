"""Photos come out upright, on white and in 8 bits, or not at all with a sentence that says why."""

from __future__ import annotations

import io
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from PIL import Image, ImageCms, PngImagePlugin, WebPImagePlugin

import engines.media
from engines.errors import MediaError
from engines.media import animations, budget, jxl, photos
from engines.media.reading import load_clip, load_photo, probe
from scripts import hostile_pictures

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
def test_every_usual_photo_format_keeps_its_colours(tmp_path, suffix):
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
def test_a_photo_is_turned_as_its_exif_says(tmp_path, suffix, orientation, red_at):
    path = tmp_path / f"photo.{suffix}"
    exif = Image.Exif()
    exif[0x0112] = orientation
    corner_photo().save(path, exif=exif)
    pixels = load_photo(path).pixels
    size = (40, 60) if orientation >= 5 else (60, 40)
    assert pixels.shape[1::-1] == size == (probe(path).width, probe(path).height)
    assert near(colour(pixels, 0.25 + 0.5 * red_at[0], 0.25 + 0.5 * red_at[1]), RED, 30)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_a_photo_with_broken_exif_is_taken_as_upright(tmp_path):
    path = tmp_path / "photo.jpg"
    corner_photo().save(path, exif=b"Exif\0\0" + b"MM\0*\0\0\0\x08\xff\xff" + b"\x01\x12" * 20)
    assert load_photo(path).pixels.shape == (40, 60, 3)
    assert probe(path).kind == "photo"


@pytest.mark.parametrize("suffix", ["png", "webp", "tif"])
def test_what_is_transparent_becomes_white(tmp_path, suffix):
    image = Image.new("RGBA", (20, 10), (200, 0, 0, 0))
    image.paste((200, 0, 0, 255), (0, 0, 10, 10))
    image.paste((0, 0, 0, 128), (0, 5, 10, 10))
    path = tmp_path / f"photo.{suffix}"
    image.save(path, lossless=True)
    pixels = load_photo(path).pixels
    assert colour(pixels, 0.8, 0.5) == (255, 255, 255)
    assert colour(pixels, 0.2, 0.2) == (200, 0, 0)
    assert near(colour(pixels, 0.2, 0.8), (127, 127, 127), 2)  # half black over white


def test_one_transparent_colour_of_a_palette_becomes_white(tmp_path):
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
        ("LA", "png", (90, 0), 255),  # transparent
        ("I;16", "png", 32_896, 128),
        ("I;16", "tif", 65_535, 255),
        ("I", "tif", 32_896, 128),
        ("F", "tif", 0.5, 128),
    ],
)
def test_grey_of_any_depth_becomes_eight_bits(tmp_path, mode, suffix, value, seen):
    path = tmp_path / f"photo.{suffix}"
    Image.new(mode, (6, 4), value).save(path)
    assert colour(load_photo(path).pixels, 0.5, 0.5) == (seen, seen, seen)


def test_floats_that_are_not_numbers_become_black(tmp_path):
    path = tmp_path / "photo.tif"
    Image.fromarray(np.array([[np.nan, np.inf], [1.0, 0.0]], np.float32)).save(path)
    assert load_photo(path).pixels[..., 0].tolist() == [[0, 0], [255, 0]]


@pytest.mark.parametrize("suffix", ["jpg", "tif"])
def test_ink_colours_become_screen_colours(tmp_path, suffix):
    path = tmp_path / f"photo.{suffix}"
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(path)
    assert near(colour(load_photo(path).pixels, 0.5, 0.5), RED, 5)


@given(width=st.integers(1, 400), height=st.integers(1, 400), max_side=st.integers(1, 300))
def test_a_photo_is_shrunk_to_the_longer_side_asked_for_and_never_grown(width, height, max_side, tmp_path_factory):
    assume(max(width, height) < 4 * min(width, height))
    path = tmp_path_factory.getbasetemp() / "shrunk.jpg"
    Image.new("RGB", (width, height), RED).save(path)
    seen_height, seen_width, _ = load_photo(path, max_side=max_side).pixels.shape
    assert max(seen_height, seen_width) == min(max_side, max(width, height))
    shrink = max(seen_height, seen_width) / max(width, height)
    assert abs(seen_width - width * shrink) <= 1 and abs(seen_height - height * shrink) <= 1


def png(width: int, height: int, depth: int, colour: int, rows: bytes) -> bytes:
    """A PNG as its specification says. colour: 0 grey, 2 RGB, 4 grey and 6 RGB with transparency."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("side", [10_000, 16_000, 60_000])
def test_a_decompression_bomb_is_refused_before_it_is_decoded(tmp_path, side):
    path = tmp_path / "bomb.png"
    path.write_bytes(png(side, side, 8, 0, b"\0" * 1_000_000))
    for read in (probe, load_photo):
        with pytest.raises(MediaError, match=r"^bomb.png is larger than 89 megapixels; make it smaller first\.$"):
            read(path)


def bare_gif(width: int, height: int, n_frames: int) -> bytes:
    """A GIF of a few bytes for each frame, however large these are."""
    head = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    frame = b"!\xf9\4\0\5\0\0\0" + b"," + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\2\2\x44\1\0"
    return head + frame * n_frames + b";"


def test_an_animation_of_frames_no_film_has_is_refused_before_it_is_decoded(tmp_path):
    path = tmp_path / "freeze.gif"
    path.write_bytes(bare_gif(9000, 9000, 16))
    for read in (probe, load_clip):
        with pytest.raises(MediaError, match=r"^freeze.gif moves and is larger than 37 megapixels; make it smaller"):
            read(path)


def test_a_frame_that_reaches_past_its_canvas_counts_as_large_as_it_is(tmp_path):
    path = tmp_path / "grows.gif"
    small, large = bare_gif(8, 8, 2), bare_gif(30_000, 30_000, 1)
    path.write_bytes(small[:-1] + large[19:])
    with pytest.raises(MediaError, match="moves and is larger"):
        load_clip(path)


def test_of_very_many_frames_the_first_are_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(animations, "MAX_COUNTED", 50)
    path = tmp_path / "long.gif"
    path.write_bytes(bare_gif(1, 1, 1000))
    assert probe(path).duration_s == pytest.approx(50 * 0.05)
    assert len(load_clip(path, n_frames=4).frames) == 4


def test_an_animation_that_takes_too_long_is_sampled_as_far_as_its_time_goes(tmp_path, monkeypatch):
    path = animation(tmp_path / "long.gif", [100, 100, 100, 100])
    monkeypatch.setattr(budget, "is_half_spent", lambda: True)
    frames = load_clip(path, n_frames=4).frames
    assert len(frames) == 4 and all(np.array_equal(frame, frames[0]) for frame in frames)


def test_the_budget_is_looked_at_between_the_frames_of_an_animated_webp_too(tmp_path, monkeypatch):
    path = tmp_path / "long.webp"
    frames = [Image.new("RGB", (60, 40), (4 * n, 0, 0)) for n in range(60)]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=100, lossless=True)
    decoded: list[int] = []
    decode = WebPImagePlugin.WebPImageFile._get_next

    def counted(image: WebPImagePlugin.WebPImageFile) -> object:
        decoded.append(image.tell())
        return decode(image)

    monkeypatch.setattr(WebPImagePlugin.WebPImageFile, "_get_next", counted)
    monkeypatch.setattr(photos, "MAX_FRAME_PIXELS", 4 * 60 * 40)
    monkeypatch.setattr(budget, "is_half_spent", lambda: len(decoded) > 8)
    clip = load_clip(path, n_frames=1)
    assert 8 < len(decoded) < 16 and [note.key for note in clip.notes] == ["note.only_beginning"]


def test_an_animation_is_decoded_once(tmp_path, monkeypatch):
    path = animation(tmp_path / "long.png", [100] * 6)
    decoded: list[int] = []
    load = PngImagePlugin.PngImageFile.load_end

    def counted(image: PngImagePlugin.PngImageFile) -> None:
        decoded.append(image.tell())
        load(image)

    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load_end", counted)
    probe(path)
    assert decoded == []
    load_clip(path, n_frames=6)
    assert decoded == [0, 1, 2, 3, 4, 5]


def test_an_animation_that_runs_too_long_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(photos, "MAX_SECONDS", 1)
    path = animation(tmp_path / "long.gif", [600, 600])
    with pytest.raises(MediaError, match=r"long\.gif is longer than"):
        probe(path)


def noise_cut_to(path: Path, share: float) -> Path:
    noise = np.random.default_rng(0).integers(0, 255, (120, 160, 3), np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    return path


@pytest.mark.parametrize(
    ("suffix", "share"),
    [("bmp", 0.15), ("gif", 0.15), ("tif", 0.15), ("webp", 0.15), ("avif", 0.15), ("jp2", 0.15), ("jpg", 0.15)],
)
def test_a_photo_of_which_too_little_is_there_is_refused(tmp_path, suffix, share):
    path = noise_cut_to(tmp_path / f"cut.{suffix}", share)
    with pytest.raises(MediaError) as caught:
        load_photo(path)
    assert caught.value.en == f"cut.{suffix} is damaged or cut short and cannot be read; export or download it again."


@pytest.mark.parametrize("suffix", ["jpg", "png", "ppm", "tif", "bmp"])
def test_a_photo_whose_end_is_missing_is_shown_as_far_as_it_goes(tmp_path, suffix):
    cut = load_photo(noise_cut_to(tmp_path / f"cut.{suffix}", 0.8))
    whole = load_photo(noise_cut_to(tmp_path / f"whole.{suffix}", 1.0)).pixels
    seen = cut.pixels
    assert 85 < len(seen) < 110 and [note.key for note in cut.notes] == ["note.cut_short"]
    if suffix == "bmp":  # its rows are stored from the lowest up
        assert np.array_equal(seen[-64:], whole[-64:])
    else:
        assert np.array_equal(seen[:64], whole[:64])


@pytest.mark.slow
def test_a_photo_of_108_megapixels_is_scaled_while_it_is_read(tmp_path):
    path = tmp_path / "phone.jpg"
    Image.new("L", (12_000, 9_000), 90).save(path)
    assert engines.media.load_photo(path, max_side=1000).pixels.shape == (750, 1000, 3)


@pytest.mark.parametrize("levels", [1, 6])
def test_a_jpeg_2000_photo_is_read_at_the_smallest_size_that_is_enough(tmp_path, monkeypatch, levels):
    path = tmp_path / "scan.jp2"
    photo = Image.new("RGB", (640, 480), BLUE)
    photo.paste(RED, (0, 0, 320, 480))
    photo.save(path, num_resolutions=levels)
    decoded = []
    finish = photos._finished
    monkeypatch.setattr(photos, "_finished", lambda image, size: decoded.append(image.size) or finish(image, size))
    pixels = load_photo(path, max_side=100).pixels
    assert pixels.shape == (75, 100, 3) and near(colour(pixels, 0.2, 0.5), RED, 40)
    assert decoded == [(160, 120) if levels == 6 else (640, 480)]


def test_a_phones_heic_photo_is_read_and_turned_upright(tmp_path):
    pillow_heif = pytest.importorskip("pillow_heif")
    path = tmp_path / "IMG_1.HEIC"
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright
    heif = pillow_heif.from_pillow(corner_photo())
    heif.save(path, quality=95, exif=exif.tobytes())
    info = probe(path)
    assert (info.kind, info.width, info.height) == ("photo", 40, 60)
    pixels = load_photo(path).pixels
    assert pixels.shape == (60, 40, 3) and near(colour(pixels, 0.8, 0.2), RED, 40)


def test_damaged_heic_is_one_sentence(tmp_path):
    path = tmp_path / "IMG_1.HEIC"
    path.write_bytes(struct.pack(">I", 24) + b"ftypheic\0\0\0\0mif1heic" + b"\0" * 200)
    with pytest.raises(MediaError, match=r"^IMG_1.HEIC is .*damaged or cut short"):
        load_photo(path)


def test_a_damaged_heic_photo_is_not_taken_for_a_clip_of_one_of_its_tiles(tmp_path):
    pytest.importorskip("pillow_heif")
    path = tmp_path / "IMG_1.HEIC"
    path.write_bytes(hostile_pictures.grid("HEIF", 64, 2, 2, of_itself=True))
    for read in (probe, load_photo, load_clip):
        with pytest.raises(MediaError) as caught:
            read(path)
        assert caught.value.parts()[0] == "media_damaged"


def jxl_photo(path: Path, image: Image.Image, **options: object) -> Path:
    pytest.importorskip("pillow_jxl", reason="the extra `jxl` is not installed")
    image.save(path, **options)
    return path


def test_a_jpeg_xl_photo_is_read_and_turned_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = jxl_photo(tmp_path / "photo.jxl", corner_photo(), exif=exif.tobytes())
    info = probe(path)
    assert (info.kind, info.width, info.height) == ("photo", 40, 60)
    pixels = load_photo(path).pixels
    assert pixels.shape == (60, 40, 3) and near(colour(pixels, 0.8, 0.2), RED, 40)
    half = tmp_path / "half.jxl"
    half.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(MediaError, match=r"^half\.jxl is damaged or cut short"):
        load_photo(half)


def jxl_head(width: int, height: int) -> bytes:
    """A codestream's mark and SizeHeader, both lengths in 30 bits, and nothing behind them."""
    bits = 0b110 | (height - 1) << 3 | 0 << 33 | 0b11 << 36 | (width - 1) << 38
    return b"\xff\x0a" + bits.to_bytes(9, "little")


def boxed(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content) + 8) + kind + content


def test_the_size_of_a_jpeg_xl_picture_is_read_from_its_header(tmp_path):
    container = b"\0\0\0\x0cJXL \r\n\x87\n" + boxed(b"ftyp", b"jxl \0\0\0\0jxl ") + boxed(b"Exif", bytes(5000))
    head = jxl_head(70_000, 90_001)
    for data in (head, container + boxed(b"jxlc", head), container + boxed(b"jxlp", bytes(4) + head)):
        assert jxl.size(io.BytesIO(data)) == (70_000, 90_001)
    for data in (b"", b"\xff\x0a", container, container + boxed(b"jxlc", b"none"), b"\xff\xd8\xff"):
        assert jxl.size(io.BytesIO(data)) is None
    for size in ((8, 8), (640, 480), (1921, 1080), (200, 100), (9000, 7)):
        path = jxl_photo(tmp_path / "photo.jxl", Image.new("RGB", size))
        with path.open("rb") as file:
            assert jxl.size(file) == size


def test_a_jpeg_xl_bomb_is_refused_before_its_pixels_are_decoded(tmp_path):
    pytest.importorskip("pillow_jxl", reason="the extra `jxl` is not installed")
    path = tmp_path / "bomb.jxl"
    path.write_bytes(jxl_head(100_000, 100_000) + bytes(200))
    with pytest.raises(
        MediaError, match=r"^bomb\.jxl is larger than .* megapixels"
    ):  # decoding it would find it damaged
        load_photo(path)


@pytest.mark.parametrize("head", [b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n"])
def test_jpeg_xl_without_its_extra_says_what_to_do(tmp_path, monkeypatch, head):
    monkeypatch.setitem(sys.modules, "pillow_jxl", None)
    path = tmp_path / "photo.jpg"
    path.write_bytes(head + bytes(200))
    with pytest.raises(MediaError, match=r"^photo\.jpg is a JPEG XL picture; save it as JPEG, or run") as refused:
        engines.media.reading.load_photo(path)
    assert "pip install pillow-jxl-plugin" in refused.value.zh


# --- grounds, ranges, colours ------------------------------------------------------------------------------------


def test_white_letters_on_nothing_can_be_seen(tmp_path):
    image = Image.new("RGBA", (40, 20), (0, 0, 0, 0))
    image.paste((255, 255, 255, 255), (10, 5, 30, 15))
    image.save(tmp_path / "letters.png")
    photo = load_photo(tmp_path / "letters.png")
    assert colour(photo.pixels, 0.5, 0.5) == (255, 255, 255) and max(colour(photo.pixels, 0.05, 0.05)) < 80
    assert [note.key for note in photo.notes] == ["note.dark_ground"]


def deep_png(path: Path, values: np.ndarray) -> Path:
    """A PNG of 16 bits a channel, which Pillow does not write in colour. values: (H, W, 1 to 4) uint16."""
    height, width, n = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    path.write_bytes(png(width, height, 16, {1: 0, 2: 4, 3: 2, 4: 6}[n], rows))
    return path


@pytest.mark.parametrize(("n_bits", "n_channels"), [(12, 1), (12, 2), (10, 3), (14, 3), (12, 4)])
def test_few_bits_in_sixteen_are_stretched_with_all_their_steps_and_that_is_said(tmp_path, n_bits, n_channels):
    values = np.full((2, 256, n_channels), 65_535, np.uint16)
    values[..., 0] = np.linspace(0, 2**n_bits - 1, 256)
    if n_channels > 2:
        values[..., 1], values[..., 2] = values[..., 0] // 2, 0
    photo = load_photo(deep_png(tmp_path / "scan.png", values))
    steps = np.arange(256)
    wanted = np.stack([steps, steps / 2, 0 * steps] if n_channels > 2 else [steps] * 3, 1)
    # of grey with transparency Pillow reads the upper 8 bits
    assert np.abs(photo.pixels[0].astype(int) - wanted).max() <= (16 if n_channels == 2 else 1)
    assert [note.key for note in photo.notes] == ["note.stretched"]


def test_sixteen_full_bits_of_colour_stay_as_they_are(tmp_path):
    values = np.linspace(0, 65_535, 256).astype(np.uint16)[None, :, None].repeat(3, axis=2)
    photo = load_photo(deep_png(tmp_path / "scan.png", values))
    assert np.abs(photo.pixels[0, :, 0].astype(int) - np.arange(256)).max() <= 1 and photo.notes == ()


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_a_colour_profile_is_applied(tmp_path, mode):
    lab = ImageCms.createProfile("XYZ")
    image = Image.new(mode, (8, 8), (120, 120, 120) if mode == "RGB" else (120, 120, 120, 255))
    image.save(tmp_path / "wide.png", icc_profile=ImageCms.ImageCmsProfile(lab).tobytes())
    plain = load_photo(tmp_path / "wide.png").pixels  # a profile of another colour space is passed over
    assert colour(plain, 0.5, 0.5) == (120, 120, 120)
    image.save(tmp_path / "linear.png", icc_profile=linear_profile())
    assert colour(load_photo(tmp_path / "linear.png").pixels, 0.5, 0.5)[0] == pytest.approx(181, abs=4)


def linear_profile() -> bytes:
    """sRGB's colours with a gamma of 1: 120 / 255 of its light is 181 in sRGB."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    for i in range(struct.unpack_from(">I", profile, 128)[0]):
        name, offset, _ = struct.unpack_from(">4sII", profile, 132 + 12 * i)
        if name in (b"rTRC", b"gTRC", b"bTRC"):
            profile[offset : offset + 12] = b"curv" + struct.pack(">II", 0, 0)  # no entries: the identity
            struct.pack_into(">I", profile, 132 + 12 * i + 8, 12)
    return bytes(profile)


@pytest.mark.parametrize("size", [(3600, 400), (400, 3600)])
def test_a_panorama_keeps_enough_of_its_short_side(tmp_path, size):
    Image.new("RGB", size, RED).save(tmp_path / "wide.jpg")
    height, width, _ = load_photo(tmp_path / "wide.jpg", max_side=1024).pixels.shape
    assert min(height, width) == 256 and max(height, width) == 2304


@pytest.mark.parametrize("suffix", ["tga", "psd"])
def test_pictures_of_old_programs_are_read(tmp_path, suffix):
    path = tmp_path / f"old.{suffix}"
    if suffix == "tga":
        corner_photo().save(path)
    else:  # Pillow does not write it: head, no palette, no resources, no layers, raw planes
        planes = np.asarray(corner_photo()).transpose(2, 0, 1).tobytes()
        path.write_bytes(b"8BPS" + struct.pack(">H6xHIIHH", 1, 3, 40, 60, 8, 3) + bytes(12) + b"\0\0" + planes)
    assert near(colour(load_photo(path).pixels, 0.2, 0.2), RED) and near(
        colour(load_photo(path).pixels, 0.8, 0.8), BLUE
    )


# --- animated pictures -------------------------------------------------------------------------------------------


def animation(path: Path, shown_ms: list[int]) -> Path:
    """60 x 40 frames, the first grey 40, then 40 brighter each."""
    frames = [Image.new("RGB", (60, 40), (40 * (i + 1),) * 3) for i in range(len(shown_ms))]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=shown_ms, loop=0)
    return path


@pytest.mark.parametrize("suffix", ["avif", "gif", "png", "webp"])
def test_an_animated_picture_is_a_clip_without_sound(tmp_path, suffix):
    path = animation(tmp_path / f"moving.{suffix}", [200, 200, 200, 200])
    info = probe(path)
    assert (info.kind, info.has_sound, info.width, info.height) == ("clip", False, 60, 40)
    assert info.duration_s == pytest.approx(0.8, abs=0.01)
    clip = load_clip(path, n_frames=4)
    assert clip.sound is None and clip.duration_s == pytest.approx(0.8, abs=0.01)
    assert clip.times_s == pytest.approx((0.1, 0.3, 0.5, 0.7), abs=0.01)
    assert [near(colour(f, 0.5, 0.5), (40 * (i + 1),) * 3) for i, f in enumerate(clip.frames)] == [True] * 4


def test_frames_of_an_animation_are_chosen_by_time_not_by_number(tmp_path):
    clip = load_clip(animation(tmp_path / "slow.gif", [150, 700, 150]), n_frames=5)
    assert [round(frame.mean() / 40) for frame in clip.frames] == [1, 2, 2, 2, 3]


def test_an_animation_that_states_no_times_runs_as_in_a_browser(tmp_path):
    assert probe(animation(tmp_path / "fast.gif", [0, 10, 0])).duration_s == pytest.approx(0.3)


def test_a_part_of_an_animation_counts_from_its_start(tmp_path):
    clip = load_clip(animation(tmp_path / "moving.gif", [200] * 5), n_frames=2, start_s=0.4, max_s=0.4)
    assert clip.duration_s == pytest.approx(0.4) and clip.times_s == pytest.approx((0.1, 0.3))
    assert [round(frame.mean() / 40) for frame in clip.frames] == [3, 4]


def test_the_second_page_of_a_tiff_does_not_make_it_move(tmp_path):
    path = tmp_path / "pages.tif"
    corner_photo().save(path, save_all=True, append_images=[corner_photo()])
    assert probe(path).kind == "photo"
