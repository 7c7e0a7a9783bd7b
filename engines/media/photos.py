"""Photos and animated pictures, by Pillow: upright, on a plain ground, three channels of 8 bits in sRGB.

Axes: H height, W width. A large picture is made smaller while it is read, in strips, so that the pixels a file holds
lie in memory once.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import import_module
from io import BufferedReader, BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageChops, ImageCms, ImageFile, UnidentifiedImageError

from engines.media import animations, budget, cut_short, jxl
from engines.media.opening import HEAD_BYTES, head, open_file
from engines.media.refusals import (
    MAX_FRAME_PIXELS,
    MAX_PIXELS,
    MAX_SCALED_PIXELS,
    MAX_SECONDS,
    is_playlist,
    note,
    refusal,
)
from engines.protocol import Photo

_FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "PSD", "TIFF", "WEBP")
_MOVING_FORMATS = ("AVIF", "GIF", "PNG", "WEBP")
_SCALED = ("JPEG", "MPO")
"""Read at a half, a quarter or an eighth of their size where that is enough."""
_SHOWN_CUT = ("BMP", "GIF", "JPEG", "MPO", "PNG", "PPM", "TIFF")
_FROM_BELOW = ("BMP",)
"""Stored from the lowest row up, so that the top is missing where the file is cut short."""
_BY_SUFFIX = {".tga": "TGA", ".icb": "TGA", ".vda": "TGA", ".vst": "TGA"}
"""Formats without a signature are recognised by their suffix."""
_STILL_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"mif1")
_HEIC_BRANDS = (*_STILL_HEIC_BRANDS, b"hevc", b"hevx", b"msf1")
_AVIF_BRANDS = (b"avif", b"avis")
_JXL_HEADS = (jxl.CODESTREAM, jxl.CONTAINER)

PILLOW_FAULTS: tuple[type[Exception], ...] = (
    *(OSError, ValueError, SyntaxError, EOFError, LookupError, TypeError, AttributeError, ArithmeticError),
    *(RuntimeError, AssertionError, struct.error, zlib.error, ImageCms.PyCMSError),
)
"""What Pillow raises on damaged bytes: it lets the errors of the modules beneath it through."""
_BOMBS = (Image.DecompressionBombError, Image.DecompressionBombWarning)

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation (tag 0x0112 of the Exif 2.3 standard) -> what turns the picture upright."""

LEAST_SHOWN = 0.25
"""Least share of its rows that a picture without its end must have to be shown."""
DARK_SHARE = 1 / 4
"""16-bit values that all lie below this share of their range are 14 or fewer bits, and are stretched."""
BRIGHT, DARK_GROUND = 0.85 * 255, (40, 40, 40)
"""A picture with transparency that is as bright as BRIGHT is laid on DARK_GROUND, since it would not show on white."""
OPAQUE = 0.98 * 255
"""Mean opacity from which the ground does not matter."""
PANORAMA, MOST_LONG_SIDE = 4.0, 8
"""A picture this many times as wide as high keeps a quarter of the side asked for as its height, so that a tower sees
something of it, and at most this many times that side as its width."""
_STRIP_BYTES = 2**25
"""Pixels are made smaller this much at a time."""


def lift_pillows_limit() -> None:
    """Leave the size of pictures to the limits here: Pillow refuses by what a file says before it can be scaled.

    Only for a process that opens pictures through `opened` alone.
    """
    Image.MAX_IMAGE_PIXELS = None


@dataclass(frozen=True, eq=False)
class Opened:
    """A picture that is open, its pixels not decoded yet."""

    path: Path
    file: BinaryIO
    image: Image.Image
    formats: tuple[str, ...]
    filled: tuple[bytes, ...] = ()
    """The file in ways to fill in its missing end, of which `image` is the first; nothing for a whole file."""

    @property
    def moves(self) -> bool:
        """Whether it is animated; the second view in a phone's JPEG or a further page of a TIFF is not that."""
        return self.image.format in _MOVING_FORMATS and bool(getattr(self.image, "is_animated", False))

    @property
    def upright_size(self) -> tuple[int, int]:
        """(width, height) as `photo` will turn it. Pillow has already done so for TIFF."""
        if self.image.format == "TIFF" or (self.image.format == "PNG" and "exif" not in self.image.info):
            return self.image.size  # looking for Exif behind the pixels of a PNG would decode them
        turned = _orientation(self.image) >= 5
        return (self.image.height, self.image.width) if turned else self.image.size


@contextmanager
def opened(path: Path) -> Iterator[Opened | None]:
    """A picture within the size limit; None if the file is none. Raises MediaError, also later.

    What Pillow raises in the body of the `with` is turned into MediaError too.
    """
    first = head(path)
    if is_playlist(first, path.suffix):
        raise refusal("playlist", path)
    with open_file(path) as file:
        formats = _formats(path, first)
        if formats == ("JXL",):
            _check_jxl(path, file)
        image, filled = _image(path, file, formats, first)
        if image is None:
            if first[4:8] == b"ftyp" and first[8:12] in (*_AVIF_BRANDS, *_STILL_HEIC_BRANDS):
                # film decoders would take it for a clip, and a tile of it for the whole
                raise refusal("damaged", path)
            yield None
            return
        with image:
            most = MAX_SCALED_PIXELS if image.format in _SCALED else MAX_PIXELS
            if image.width * image.height > most:
                raise refusal("too_many_pixels", path, n_pixels=most)
            try:
                yield Opened(path, file, image, formats, filled)
            except _BOMBS as error:
                raise refusal("too_many_pixels", path) from error
            except PILLOW_FAULTS as error:
                raise refusal("cut_short" if filled else "damaged", path) from error


def _image(
    path: Path, file: BufferedReader, formats: tuple[str, ...], first: bytes
) -> tuple[Image.Image | None, tuple[bytes, ...]]:
    """A picture as Pillow opens it, None if the file is none; and the ways to fill it in where its end is missing."""
    form = _format(first)
    lacks_end = form == "HEIF" and cut_short.lacks_end(file)  # its library would leave gaps without a word
    try:
        if not lacks_end:
            return Image.open(file, formats=formats), ()
        filled = cut_short.ways(file.read(), form)
    except _BOMBS as error:
        raise refusal("too_many_pixels", path) from error
    except PILLOW_FAULTS as error:
        file.seek(0)
        filled = cut_short.ways(file.read(), form) if form else []
        if not filled:
            if isinstance(error, UnidentifiedImageError):
                return None, ()
            raise refusal("damaged", path) from error
    try:
        return Image.open(BytesIO(filled[0]), formats=formats), tuple(filled)
    except PILLOW_FAULTS as error:  # an empty list too
        raise refusal("cut_short", path) from error


def _format(first: bytes) -> str:
    """Which of the formats that need their end to be opened a file is of; "" for another."""
    if first[:4] == b"RIFF" and first[8:12] == b"WEBP":
        return "WEBP"
    if first[4:8] != b"ftyp":
        return ""
    return "AVIF" if b"avif" in first[:64] or b"avis" in first[:64] else "HEIF" if first[8:12] in _HEIC_BRANDS else ""


def _formats(path: Path, first: bytes) -> tuple[str, ...]:
    """What to try, those with a library of their own only for files that begin like them."""
    if first[4:8] == b"ftyp" and first[8:12] in _HEIC_BRANDS and b"avif" not in first[:64]:
        import_module("pillow_heif").register_heif_opener()
        return ("HEIF",)
    if first.startswith(_JXL_HEADS):
        try:
            import_module("pillow_jxl")
        except ImportError as error:
            raise refusal("jxl", path) from error
        return ("JXL",)
    by_suffix = _BY_SUFFIX.get(path.suffix.lower())
    return _FORMATS if by_suffix is None else (*_FORMATS, by_suffix)


def _check_jxl(path: Path, file: BufferedReader) -> None:
    """Refuse a JPEG XL picture by the size in its header, for to open it is to decode it. Raises MediaError."""
    size = jxl.size(file)
    if size is None:
        raise refusal("damaged", path)
    if size[0] * size[1] > MAX_PIXELS:
        raise refusal("too_many_pixels", path, n_pixels=MAX_PIXELS)
    file.seek(0)


# --- one picture -------------------------------------------------------------------------------------------------


def photo(picture: Opened, max_side: int) -> Photo:
    """The picture, its longer side at most `max_side`, more for a panorama."""
    image: Image.Image = picture.image
    notes = []
    size = _target(image.size, max_side)
    if picture.filled:
        image, size = _there(picture, size)
        return _said_cut_short(_finished(image, size))
    image.draft(None, size)  # JPEG decodes at a half, a quarter or an eighth where that is enough
    raw_mode = _raw_mode(image)
    try:
        image = _small(picture, size) if image.format == "JPEG2000" else image
        image.load()
        image, is_stretched = _all_bits(picture, image, raw_mode)
        notes += [note("stretched")] if is_stretched else []
    except OSError:
        return _said_cut_short(_finished(*_cut_short(picture, size)))
    finished = _finished(image, size)
    return Photo(finished.pixels, (*notes, *finished.notes))


def _said_cut_short(photo: Photo) -> Photo:
    return Photo(photo.pixels, (note("cut_short"), *photo.notes))


def _finished(image: Image.Image, size: tuple[int, int]) -> Photo:
    """A loaded picture as it is shown."""
    orientation = _orientation(image)  # after loading: by then TIFF has turned itself and says so
    top = _top(image)
    flat, is_on_dark = _flat(_shrunk(image, size, top), image.info.get("icc_profile"))
    notes = [note("stretched")] if image.mode.startswith("I") and top < 65_535.0 else []
    notes += [note("dark_ground")] if is_on_dark else []
    return Photo(np.array(flat.transpose(_TURNS[orientation]) if orientation in _TURNS else flat), tuple(notes))


def _small(picture: Opened, size: tuple[int, int]) -> Image.Image:
    """A JPEG 2000 picture at a half, a quarter, ... of its size, where that is enough and the file holds it."""
    image: Image.Image = picture.image
    n_halvings = int(np.log2(max(1.0, min(image.width / size[0], image.height / size[1]))))
    if n_halvings == 0:
        return image
    image.reduce = n_halvings  # type: ignore[method-assign, assignment]  # of Pillow's plugin; it hides the method
    try:
        image.load()
    except OSError:  # the file has fewer sizes than that
        picture.file.seek(0)
        return Image.open(picture.file, formats=picture.formats)
    return image


def _raw_mode(image: Image.Image) -> str:
    """How the file stores its pixels, as Pillow names it; "" where that is not told or the picture is loaded."""
    tiles = getattr(image, "tile", ())
    arguments = tiles[0].args if tiles else ""
    name = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    return name if isinstance(name, str) else ""


def _all_bits(picture: Opened, image: Image.Image, raw_mode: str) -> tuple[Image.Image, bool]:
    """A loaded picture of 16 bits a channel that uses a small part of them, stretched to 8 bits; others as they are.

    Pillow gives the higher byte of each colour. The lower one comes by loading the file again in the other byte order,
    where Pillow has that, and is 0 elsewhere.
    """
    if ";16" not in raw_mode or image.mode not in ("RGB", "RGBA"):
        return image, False
    highest = int(np.max(np.asarray(image.getextrema())[:3]))
    if highest >= DARK_SHARE * 256:
        return image, False
    lower = _lower_bytes(picture, raw_mode)
    if lower is None and highest == 0:
        return image, False
    n_rows = max(1, _STRIP_BYTES // (16 * image.width))
    boxes = [(0, y, image.width, min(y + n_rows, image.height)) for y in range(0, image.height, n_rows)]

    def colours(box: tuple[int, int, int, int]) -> np.ndarray:
        values = np.asarray(image.crop(box), np.uint16)[..., :3] << 8
        return values if lower is None else values | np.asarray(lower.crop(box))[..., :3]

    top = max(int(colours(box).max()) for box in boxes)
    if top == 0:
        return image, False
    for box in boxes:
        stretched = Image.fromarray((colours(box) * (255.0 / top)).round().astype(np.uint8))
        if image.mode == "RGBA":
            stretched.putalpha(image.crop(box).getchannel("A"))
        image.paste(stretched, box)
    return image, True


def _lower_bytes(picture: Opened, raw_mode: str) -> Image.Image | None:
    """The lower byte of each colour, by reading the file as if its bytes were in the other order; None where Pillow
    cannot."""
    other = raw_mode[:-1] + ("L" if raw_mode.endswith("B") else "B")
    picture.file.seek(0)
    image = Image.open(picture.file, formats=picture.formats)
    image.tile = [
        tile._replace(args=other if isinstance(tile.args, str) else (other, *(tile.args or ())[1:]))
        for tile in image.tile
    ]
    try:
        image.load()
    except (ValueError, OSError):
        return None
    return image


def _target(size: tuple[int, int], max_side: int) -> tuple[int, int]:
    """(width, height) to bring a picture to."""
    long, short = max(size), min(size)
    scale = max_side / long
    if long >= PANORAMA * short:
        scale = max(scale, min(max_side / 4 / short, MOST_LONG_SIDE * scale))
    scale = min(1.0, scale)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _cut_short(picture: Opened, size: tuple[int, int]) -> tuple[Image.Image, tuple[int, int]]:
    """What is there of a picture whose end is missing, and the size to bring that to.

    Raises OSError where it is too little.
    """
    picture.file.seek(0)
    if picture.image.format == "JPEG2000":
        filled = cut_short.ways(picture.file.read(), "JPEG2000")
        if not filled:
            raise OSError("it is damaged, or too little of it is there")
        picture = replace(picture, file=BytesIO(filled[0]))
    elif picture.image.format not in _SHOWN_CUT:
        raise OSError("it is damaged")
    image: Image.Image = Image.open(picture.file, formats=picture.formats)
    image.draft(None, size)
    image = _small(replace(picture, image=image), size) if image.format == "JPEG2000" else image
    ImageFile.LOAD_TRUNCATED_IMAGES = True
    try:
        image.load()
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = False
    is_from_below = image.format in _FROM_BELOW
    if is_from_below:
        image = image.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    seen = image.convert("RGBA")
    last = seen.getpixel((seen.width - 1, seen.height - 1))
    blank = Image.new("RGBA", seen.size, last)  # rows that were never decoded are all alike
    rows = np.flatnonzero(np.asarray(ImageChops.difference(seen, blank)).any(axis=(1, 2)))
    if len(rows) < image.height * LEAST_SHOWN:
        raise OSError("most of it is missing")
    end = int(rows[-1]) + 1
    shown = image.crop((0, 0, image.width, end))
    if is_from_below:
        shown = shown.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    shown.info = image.info
    return shown, (size[0], max(1, round(size[1] * end / image.height)))


def _there(picture: Opened, size: tuple[int, int]) -> tuple[Image.Image, tuple[int, int]]:
    """What is there of a picture that is filled in: the part that is the same in whichever way, and its size.

    Raises MediaError where it is too little, or cannot be told.
    """
    image = picture.image
    if len(picture.filled) > 1 and image.width * image.height > MAX_FRAME_PIXELS:
        raise refusal("cut_short", picture.path)  # two of it take too much memory
    try:
        image.load()
        other = image if len(picture.filled) == 1 or picture.moves else _filled_otherwise(picture)
    except PILLOW_FAULTS as error:
        raise refusal("cut_short", picture.path) from error
    box = _unsure(image, other, has_tiles=b"grid" in picture.filled[0][:HEAD_BYTES])
    if box is None:
        return image, size
    left, top, right, bottom = box
    parts = [(0, 0, image.width, top), (0, bottom, image.width, image.height)]
    parts += [(0, 0, left, image.height), (right, 0, image.width, image.height)]  # a phone's photo is stored lying
    part = max(parts, key=lambda part: (part[2] - part[0]) * (part[3] - part[1]))
    width, height = part[2] - part[0], part[3] - part[1]
    if width * height < LEAST_SHOWN * image.width * image.height:
        raise refusal("cut_short", picture.path)
    shown = image.crop(part)
    shown.info = image.info
    return shown, (max(1, round(size[0] * width / image.width)), max(1, round(size[1] * height / image.height)))


def _filled_otherwise(picture: Opened) -> Image.Image:
    """The picture filled in, in a second way that can be decoded. Raises OSError where there is none."""
    for other in picture.filled[1:]:
        try:
            image: Image.Image = Image.open(BytesIO(other), formats=picture.formats)
            image.load()
        except PILLOW_FAULTS:
            continue
        if image.size == picture.image.size and image.mode == picture.image.mode:
            return image
    raise OSError("it cannot be told what is there of it")


def _unsure(image: Image.Image, other: Image.Image, *, has_tiles: bool) -> tuple[int, int, int, int] | None:
    """The smallest rectangle around what differs, or is a tile that is missing; None for two pictures that are alike.

    The library for HEIC leaves a missing tile at zero in YCbCr, which is a green without any red and blue.
    """
    boxes = []
    n_rows = max(1, _STRIP_BYTES // (4 * image.width))
    for y in range(0, image.height, n_rows):
        strip = (0, y, image.width, min(y + n_rows, image.height))
        seen = image.crop(strip)
        box = ImageChops.difference(seen, other.crop(strip)).getbbox(alpha_only=False)
        boxes += [(box[0], y + box[1], box[2], y + box[3])] if box else []
        if has_tiles:
            red, green, blue = (np.asarray(seen.convert("RGB"))[..., i] for i in range(3))
            rows, columns = np.nonzero((red == 0) & (blue == 0) & (green > 70) & (green < 160))
            if len(rows):
                boxes.append((int(columns.min()), y + int(rows.min()), int(columns.max()) + 1, y + int(rows.max()) + 1))
    if not boxes:
        return None
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)


def _shrunk(image: Image.Image, size: tuple[int, int], top: float) -> Image.Image:
    """A loaded picture in a plain mode (L, RGB, RGBA or CMYK), about as large as `size`."""
    factor = max(1, min(image.width // max(1, 2 * size[0]), image.height // max(1, 2 * size[1])))
    n_rows = max(1, _STRIP_BYTES // (4 * image.width * factor)) * factor
    strips = []
    for y in range(0, image.height, n_rows):
        strip = _plain(image.crop((0, y, image.width, min(y + n_rows, image.height))), top)
        strips.append(strip.reduce(factor) if factor > 1 else strip)
    whole = strips[0]
    if len(strips) > 1:
        whole = Image.new(whole.mode, (whole.width, sum(strip.height for strip in strips)))
        y = 0
        for strip in strips:
            whole.paste(strip, (0, y))
            y += strip.height
    if size[0] < whole.width or size[1] < whole.height:
        whole = whole.resize(size, Image.Resampling.LANCZOS)
    return whole


def _top(image: Image.Image) -> float:
    """What is white in a picture of more than 8 bits; 0 for others."""
    if image.mode.startswith("I"):
        highest = float(image.getextrema()[1])  # type: ignore[arg-type]
        return highest if highest > 65_535.0 or 0.0 < highest < DARK_SHARE * 65_535.0 else 65_535.0
    if image.mode == "F":
        values = np.asarray(image)
        return max(1.0, float(np.max(values, initial=0.0, where=np.isfinite(values))))
    return 0.0


def _plain(image: Image.Image, top: float) -> Image.Image:
    if top:
        values = np.nan_to_num(np.asarray(image, np.float32), posinf=0.0, neginf=0.0)
        return Image.fromarray(np.clip(values * (255.0 / top), 0, 255).round().astype(np.uint8))
    if image.has_transparency_data:
        return image if image.mode == "RGBA" else image.convert("RGBA")
    if image.mode in ("CMYK", "L", "RGB"):
        return image
    return image.convert("L" if image.mode == "1" else "RGB")


def _flat(image: Image.Image, profile: bytes | None) -> tuple[Image.Image, bool]:
    """A small picture as RGB in sRGB, laid on a ground on which it can be seen; and whether that is a dark one."""
    alpha = image.getchannel("A") if image.mode == "RGBA" else None
    flat = _in_srgb(image.convert("RGB") if alpha is not None else image, profile)
    if alpha is None:
        return flat, False
    visible = np.asarray(alpha, np.float32)
    brightness = float((np.asarray(flat.convert("L"), np.float32) * visible).sum() / max(float(visible.sum()), 1.0))
    is_bright = brightness > BRIGHT and float(visible.mean()) < OPAQUE
    ground = DARK_GROUND if is_bright else (255, 255, 255)
    return Image.composite(flat, Image.new("RGB", flat.size, ground), alpha), is_bright


def _in_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(BytesIO(profile))
            return ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB") or image
        except PILLOW_FAULTS:  # a damaged profile, or one of another colour space
            return image.convert("RGB")
    return image.convert("RGB")


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(0x0112, 1))
    except PILLOW_FAULTS:  # a photo with broken EXIF is still a photo; it is taken as upright
        return 1


# --- animated pictures -------------------------------------------------------------------------------------------


class Animation:
    """When each frame of an animated picture appears, and the frames at given times."""

    def __init__(self, picture: Opened) -> None:
        image = picture.image
        times = animations.timeline(picture.file, str(image.format))
        if times is None:  # AVIF; its frames are taken to be as long as the first
            image.load()
            n_frames = min(int(getattr(image, "n_frames", 1)), animations.MAX_COUNTED)
            times = animations.Timeline(image.size, [float(image.info.get("duration", 0))] * n_frames)
        if times.size[0] * times.size[1] > MAX_FRAME_PIXELS:
            raise refusal("too_many_frame_pixels", picture.path, n_pixels=MAX_FRAME_PIXELS)
        # browsers show a frame marked 10 ms or less for 100 ms, and such files are made for browsers
        shown_s = [(ms if ms > 10 else 100) / 1000 for ms in times.durations_ms] or [0.1]
        self._picture = picture
        self._starts_s = np.concatenate([[0.0], np.cumsum(shown_s)])
        self.duration_s = float(self._starts_s[-1])
        if self.duration_s > MAX_SECONDS:
            raise refusal("too_long", picture.path)

    def at(self, times_s: Sequence[float], max_side: int) -> tuple[tuple[np.ndarray, ...], bool]:
        """The frame on screen at each time, as `photo` gives them; and whether all of these were reached.

        One pass over the file, which ends early when half of the budget is spent: frames rest on those before them.
        What lies after that is shown by the last frame reached.
        """
        last = len(self._starts_s) - 2
        wanted = np.clip(np.searchsorted(self._starts_s, times_s, side="right") - 1, 0, last).tolist()
        image = self._picture.image
        frames: dict[int, np.ndarray] = {}
        for i in sorted(set(wanted)):
            try:
                is_there = self._reach(i)
                image.load()
                frames[image.tell()] = _finished(image, _target(image.size, max_side)).pixels
            except PILLOW_FAULTS:  # it breaks off
                if not frames:
                    raise
                break
            if not is_there or budget.is_half_spent():
                break
        shown = [max(i for i in frames if i <= want) for want in wanted]
        return tuple(frames[i] for i in shown), shown == wanted

    def _reach(self, i: int) -> bool:
        """Go on to frame `i`; false where the budget or the file ends before.

        WebP decodes all frames on the way only when one is loaded, so some on the way are.
        """
        image = self._picture.image
        step = max(1, MAX_FRAME_PIXELS // (image.width * image.height)) if image.format == "WEBP" else 0
        for frame in range(image.tell() + 1, i + 1):
            try:
                image.seek(frame)
            except EOFError:
                return False
            if step and frame % step == 0:
                image.load()
            if frame < i and budget.is_half_spent():
                return False
        return True
