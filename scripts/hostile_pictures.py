"""Bombs and lying files of the picture formats that have a library of their own: JPEG 2000, WebP, AVIF and HEIC.

The fields that lie: JPEG 2000 (ISO/IEC 15444-1, A.5.1 and I.5.3.1), WebP (RFC 9649, 2.7), AVIF and HEIC (boxes of
ISO/IEC 14496-12 and 23008-12). All of it is made by a seed.
"""

from __future__ import annotations

import io
import random
import struct
from functools import cache
from importlib import import_module

import numpy as np
from PIL import Image

FORMS = ("JPEG2000", "WEBP", "AVIF", "HEIF")
MOVING_FORMS = ("WEBP", "AVIF", "HEIF")
BRANDS = {"AVIF": (b"avif", b"av01", b"av1C"), "HEIF": (b"heic", b"hvc1", b"hvcC")}
"""Of a still picture: the brand of its file, the type of its item and the box that sets up the decoder."""

_FIELDS = {
    "JPEG2000": ((b"ihdr", 4), (b"ihdr", 8), *((b"\xff\x51", n) for n in (6, 10, 14, 18, 22, 26)), (b"\xff\x52", 4)),
    "WEBP": ((b"RIFF", 4), (b"VP8X", 12), (b"VP8X", 15), (b"VP8 ", 14), (b"VP8L", 9), (b"ANMF", 14), (b"ANMF", 20)),
    "AVIF": (
        *((b"ispe", n) for n in (8, 12)),
        *((b"iloc", n) for n in (8, 12, 20, 24)),
        *((name, n) for name in (b"stts", b"stsz", b"stsc", b"stco", b"stss") for n in (8, 12, 16)),
        *((b"tkhd", n) for n in (80, 84)),
        *((name, -4) for name in (b"meta", b"iprp", b"ipco", b"ipma", b"mdat", b"moov", b"trak", b"stbl", b"iinf")),
        *((b"av1C", n) for n in (4, 8)),
    ),
}
"""Where a form states sizes, counts and places: a name in the file, and how many bytes after it starts."""
_FIELDS["HEIF"] = (*_FIELDS["AVIF"], *((b"hvcC", n) for n in (4, 16, 26)), *((b"clap", n) for n in (4, 12, 20)))
_LIES = (b"\0\0\0\0", b"\0\0\0\1", b"\0\0\xff\xff", b"\0\1\0\0", b"\x00\x0f\xff\xff", b"\x7f\xff\xff\xff", b"\xff" * 4)


def still_bomb(rng: random.Random) -> bytes:
    """Far more pixels than bytes."""
    form = rng.choice(FORMS)
    if form in BRANDS:
        if rng.random() < 0.5:
            n = rng.choice((4, 18, 32, 120))
            return grid(form, 512, n, n, of_itself=rng.random() < 0.2)
        return _with(_saved(form, 512, 1), b"ispe", 8, struct.pack(">II", 9_000, rng.choice((9_000, 60_000))))
    if form == "WEBP":
        return _saved(form, rng.choice((9_000, 9_400, 16_383)), 1)
    if rng.random() < 0.5:
        return _saved(form, rng.choice((3_000, 9_000)), 1)
    side, tile = rng.choice((9_000, 60_000)), rng.choice((1, 64))  # of a small file, in very many tiles
    data = _with(_saved(form, 512, 1), b"ihdr", 4, struct.pack(">II", side, side))
    return _with(data, b"\xff\x51", 6, struct.pack(">6I", side, side, 0, 0, tile, tile))


def moving_bomb(rng: random.Random) -> bytes:
    """Very many frames, or huge ones."""
    form = rng.choice(MOVING_FORMS)
    if form == "WEBP":
        return rng.choice(
            (
                lambda: webp(rng.choice((5_000, 16_383)), 1, rng.choice((20, 20_000))),
                lambda: webp(1, 1, 100_000),
                lambda: webp(5_000, 5_000, rng.choice((20, 2_000))),
                lambda: webp(300, 5_000, 20),
            )
        )()
    if rng.random() < 0.5:
        return _saved(form, 16, rng.choice((500, 2_000)) if form == "AVIF" else 300)
    data = _saved(form, 1_500 if form == "HEIF" else 3_000, 8 if form == "AVIF" else 2)
    return data if rng.random() < 0.5 else _with(data, b"ispe", 8, struct.pack(">II", 60_000, 60_000))


def small(rng: random.Random, form: str, *, moves: bool) -> bytes:
    """An honest file, to be worn, cut or made to lie."""
    pixels = np.random.default_rng(rng.randrange(2**32)).integers(0, 255, (60, 80, 3), np.uint8)
    return _written(form, [Image.fromarray(np.roll(pixels, n, 0)) for n in range(3 if moves else 1)])


def lying(rng: random.Random, data: bytes, form: str) -> bytes:
    """A file of which one to three fields say something else."""
    for _ in range(rng.randrange(1, 4)):
        name, at = rng.choice([field for field in _FIELDS[form] if field[0] in data])
        data = _with(data, name, at, rng.choice(_LIES))
    return data


def webp(canvas: int, side: int, n_frames: int) -> bytes:
    """An animation by hand: the same frame again and again."""
    frame = _saved("WEBP", side, 1)[12:]
    head = struct.pack("<4sIB3x", b"VP8X", 10, 2) + 2 * _int24(canvas - 1) + struct.pack("<4sIIH", b"ANIM", 6, 0, 0)
    one = bytes(6) + 2 * _int24(side - 1) + _int24(50) + b"\0" + frame
    frames = (struct.pack("<4sI", b"ANMF", len(one)) + one) * n_frames
    return struct.pack("<4sI4s", b"RIFF", 4 + len(head) + len(frames), b"WEBP") + head + frames


def grid(form: str, side: int, n_rows: int, n_columns: int, *, of_itself: bool = False) -> bytes:
    """A still picture put together of tiles, all of which are the same bytes of the file.

    of_itself: the tiles are the grid again.
    """
    brand, item, setup = BRANDS[form]
    tile = _saved(form, side, 1)
    at = tile.index(setup) - 4
    decoder = tile[at : at + struct.unpack_from(">I", tile, at)[0]]
    coded = tile[tile.index(b"mdat") + 4 :]
    n, width, height = n_rows * n_columns, n_columns * side, n_rows * side
    laid_out = struct.pack(">BBBBII", 0, 1, n_rows - 1, n_columns - 1, width, height)
    first = _box(b"ftyp", brand, bytes(4), b"mif1", brand, b"miaf")
    tiles = range(2, n + 2)

    def meta(start: int) -> bytes:
        places = struct.pack(">HHHII", 1, 0, 1, start, len(laid_out))
        places += b"".join(struct.pack(">HHHII", i, 0, 1, start + len(laid_out), len(coded)) for i in tiles)
        items = _box(b"infe", b"\2\0\0\0", struct.pack(">HH", 1, 0), b"grid\0")
        items += b"".join(_box(b"infe", b"\2\0\0\1", struct.pack(">HH", i, 0), item, b"\0") for i in tiles)
        sizes = (_box(b"ispe", bytes(4), struct.pack(">II", *size)) for size in ((width, height), (side, side)))
        depth = _box(b"pixi", bytes(4), b"\3\x08\x08\x08")
        known = struct.pack(">HBBB", 1, 2, 1, 3) + b"".join(struct.pack(">HBBBB", i, 3, 2, 3, 0x84) for i in tiles)
        made_of = [1] * n if of_itself else list(tiles)
        return _box(
            b"meta",
            bytes(4),
            _box(b"hdlr", bytes(8), b"pict", bytes(13)),
            _box(b"pitm", bytes(4), b"\0\1"),
            _box(b"iinf", bytes(4), struct.pack(">H", n + 1), items),
            _box(b"iref", bytes(4), _box(b"dimg", struct.pack(f">HH{n}H", 1, n, *made_of))),
            _box(
                b"iprp",
                _box(b"ipco", *sizes, depth, decoder),
                _box(b"ipma", bytes(4), struct.pack(">I", n + 1), known),
            ),
            _box(b"iloc", bytes(4), b"\x44\0", struct.pack(">H", n + 1), places),
        )

    return first + meta(len(first) + len(meta(0)) + 8) + _box(b"mdat", laid_out, coded)


def _box(kind: bytes, *parts: bytes) -> bytes:
    data = b"".join(parts)
    return struct.pack(">I", 8 + len(data)) + kind + data


def _int24(value: int) -> bytes:
    return struct.pack("<I", value)[:3]


def _with(data: bytes, name: bytes, at: int, value: bytes) -> bytes:
    """The file with other bytes at a place after the first mention of a name."""
    start = data.index(name) + at
    return data[:start] + value[: max(0, len(data) - start)] + data[start + len(value) :]


@cache
def _saved(form: str, side: int, n_frames: int) -> bytes:
    """One colour, so large and so often; kept, since the large ones take seconds to make."""
    return _written(form, [Image.new("RGB", (side, side), (10 * (n % 20), 90, 20)) for n in range(n_frames)])


def _written(form: str, frames: list[Image.Image]) -> bytes:
    if form == "HEIF":
        import_module("pillow_heif").register_heif_opener()
    options = {"WEBP": {"lossless": True, "method": 0}, "AVIF": {"speed": 10, "max_threads": 1}, "HEIF": {"quality": 1}}
    many = {"save_all": True, "append_images": frames[1:]} if len(frames) > 1 else {}
    held = io.BytesIO()
    frames[0].save(held, form, **options.get(form, {}), **many)
    return held.getvalue()
