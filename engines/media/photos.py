"""Photos and animated pictures, by Pillow: upright, on white, three channels of 8 bits.

Axes: H height, W width. Colours are taken as they stand; embedded profiles are not applied.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from engines.media.refusals import MAX_ANIMATION_PIXELS, MAX_PIXELS, MAX_SECONDS, head, is_playlist, refusal

_FORMATS: tuple[str, ...] = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
_MOVING_FORMATS: tuple[str, ...] = ("AVIF", "GIF", "PNG", "WEBP")
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")

_FAULTS: tuple[type[Exception], ...] = (
    *(OSError, ValueError, SyntaxError, EOFError, LookupError, TypeError, AttributeError, ArithmeticError),
    *(RuntimeError, AssertionError, MemoryError, struct.error, zlib.error),
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


@contextmanager
def opened(path: Path) -> Iterator[Image.Image | None]:
    """A picture within the size limit, its pixels not decoded yet; None if it is none. Raises MediaError, also later.

    What Pillow raises in the body of the `with` is turned into MediaError too.
    """
    first = head(path)
    if is_playlist(first, path.suffix):
        raise refusal("playlist", path)
    image = _open(path, first)
    if image is None:
        yield None
        return
    with image:
        if image.width * image.height > MAX_PIXELS:
            raise refusal("too_many_pixels", path)
        try:
            yield image
        except _BOMBS as error:
            raise refusal("too_many_pixels", path) from error
        except _FAULTS as error:
            raise refusal("damaged", path) from error


def _open(path: Path, first: bytes) -> Image.Image | None:
    formats = _FORMATS
    if first[4:8] == b"ftyp" and first[8:12] in _HEIC_BRANDS and b"avif" not in first[:64]:
        try:
            import_module("pillow_heif").register_heif_opener()
        except ImportError as error:
            raise refusal("heic", path) from error
        formats = ("HEIF",)
    try:
        return Image.open(path, formats=formats)
    except UnidentifiedImageError:
        return None
    except _BOMBS as error:
        raise refusal("too_many_pixels", path) from error
    except _FAULTS as error:
        raise refusal("damaged", path) from error


def moves(image: Image.Image) -> bool:
    """Whether a picture is animated; the second view in a phone's JPEG or a further page of a TIFF is not that."""
    return image.format in _MOVING_FORMATS and bool(getattr(image, "is_animated", False))


def upright_size(image: Image.Image) -> tuple[int, int]:
    """(width, height) as `pixels` will turn it. Pillow has already done so for TIFF."""
    turned = image.format != "TIFF" and _orientation(image) >= 5
    return (image.height, image.width) if turned else image.size


def pixels(image: Image.Image, max_side: int) -> np.ndarray:
    """The picture as (H, W, 3) uint8, its longer side at most `max_side`."""
    image.draft(None, (max_side, max_side))  # JPEG decodes at a half, a quarter or an eighth where that is enough
    image.load()
    orientation = _orientation(image)  # after loading: by then TIFF has turned itself and says so
    if image.mode == "F" or image.mode.startswith("I"):
        flat = Image.fromarray(_eight_bits(np.asarray(image, np.float32), image.mode)).convert("RGB")
    elif image.has_transparency_data:
        seen = image.convert("RGBA")
        flat = Image.alpha_composite(Image.new("RGBA", seen.size, "white"), seen).convert("RGB")
    else:
        flat = image.convert("RGB")
    flat.thumbnail((max_side, max_side), Image.Resampling.LANCZOS, reducing_gap=3.0)
    return np.array(flat.transpose(_TURNS[orientation]) if orientation in _TURNS else flat)


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(0x0112, 1))
    except _FAULTS:  # a photo with broken EXIF is still a photo; it is taken as upright
        return 1


def _eight_bits(values: np.ndarray, mode: str) -> np.ndarray:
    """Grey of 16 bits, or floats from 0 to 1 or to whatever their highest is, as 0 to 255."""
    values = np.nan_to_num(values, posinf=0.0, neginf=0.0)
    top = max(65_535.0 if mode.startswith("I") else 1.0, float(values.max(initial=0.0)))
    return np.asarray(np.clip(values * (255.0 / top), 0, 255).round(), np.uint8)


class Animation:
    """When each frame of an animated picture appears, and the frames at given times."""

    def __init__(self, path: Path, image: Image.Image) -> None:
        n_frames = int(getattr(image, "n_frames", 1))
        if n_frames * image.width * image.height > MAX_ANIMATION_PIXELS:
            raise refusal("too_many_pixels", path)
        self._image = image
        self._starts_s = [0.0]
        for i in range(n_frames):
            image.seek(i)
            image.load()
            shown_ms = float(image.info.get("duration", 0))
            # browsers show a frame marked 10 ms or less for 100 ms, and such files are made for browsers
            self._starts_s.append(self._starts_s[-1] + (shown_ms if shown_ms > 10 else 100) / 1000)
        self.duration_s = self._starts_s.pop()
        if self.duration_s > MAX_SECONDS:
            raise refusal("too_long", path)

    def at(self, times_s: Sequence[float], max_side: int) -> tuple[np.ndarray, ...]:
        """The frame on screen at each time, as `pixels` gives them."""
        wanted = (np.searchsorted(self._starts_s, times_s, side="right") - 1).tolist()
        frames = {}
        for i in sorted(set(wanted)):  # ascending: going back means decoding from the start again
            self._image.seek(i)
            frames[i] = pixels(self._image, max_side)
        return tuple(frames[i] for i in wanted)
