"""Pictures without their end, made whole for libraries that refuse them: what is missing is filled in.

Zeros let most decoders go on to the end; filled in with other bytes, a picture differs from the first row on that rests
on them. JPEG 2000 (ISO/IEC 15444-1, A.4.2), WebP (RFC 9649, 2.7), AVIF and HEIC (boxes of ISO/IEC 14496-12).
"""

from __future__ import annotations

import io
import random
import struct
from collections.abc import Iterator
from typing import BinaryIO

FORMATS = ("AVIF", "HEIF", "JPEG2000", "WEBP")
LEAST_BYTES = 0.25
"""Least share of its bytes that a picture must have for the rest to be filled in."""
MARGIN_BYTES = 64
"""So many bytes less are kept to see what rests on the last ones."""


def ways(data: bytes, format: str) -> list[bytes]:
    """The file filled in with zeros, with other bytes, and with a little less of it kept; none for a file that has its
    end, that does not state it, or of which too little is there."""
    if format == "WEBP":
        return _webp(data)
    if format == "JPEG2000":
        return _jpeg2000(data)
    end = _end_of_boxes(io.BytesIO(data))
    return list(_filled(data, end)) if _is_cut(data, end) else []


def lacks_end(file: BinaryIO) -> bool:
    """Whether the boxes of an AVIF or HEIC file state that there is more of it. Goes to its beginning."""
    n_bytes = file.seek(0, io.SEEK_END)
    is_cut = _end_of_boxes(file) > n_bytes
    file.seek(0)
    return is_cut


def _is_cut(data: bytes, end: int) -> bool:
    return len(data) < end <= len(data) / LEAST_BYTES


def _filled(data: bytes, end: int) -> Iterator[bytes]:
    n = end - len(data)
    yield data + bytes(n)
    yield data + random.Random(0).randbytes(n)  # noqa: S311  (any bytes will do)
    yield data[:-MARGIN_BYTES] + bytes(n + MARGIN_BYTES)


def _end_of_boxes(file: BinaryIO) -> int:
    """Where the last box ends, as it says itself; one that does not say so, or is no box, is left out."""
    at = 0
    while True:
        file.seek(at)
        head = file.read(16)
        n = int.from_bytes(head[:4], "big")
        n = int.from_bytes(head[8:], "big") if n == 1 else n
        if len(head) < 8 or n < 8 or not head[4:8].isalnum():
            return at
        at += n


def _webp(data: bytes) -> list[bytes]:
    """The whole chunks, and of a still picture also the one that breaks off; a broken frame of an animation is left
    out."""
    if len(data) >= 8 + int.from_bytes(data[4:8], "little"):
        return []
    at = 12
    while at + 8 <= len(data):
        name, n = struct.unpack_from("<4sI", data, at)
        end = at + 8 + n + n % 2
        if end > len(data):
            if name not in (b"VP8 ", b"VP8L"):
                break
            filled = _filled(data, end) if _is_cut(data, end) else ()
            return [_riff(each[12:]) for each in filled]
        at = end
    return [_riff(data[12:at])]


def _riff(chunks: bytes) -> bytes:
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WEBP" + chunks


def _jpeg2000(data: bytes) -> list[bytes]:
    """Zeros stand for packets without content, so the picture is less sharp, or lacks tiles."""
    at, is_begun = data.find(b"\xff\x4f\xff\x51") + 2, False
    while 2 <= at <= len(data) - 12:
        marker, n = struct.unpack_from(">HH", data, at)
        if marker == 0xFF90:  # a part of a tile
            n, is_begun = int.from_bytes(data[at + 6 : at + 10], "big") - 2, True
        if n < 2 or marker == 0xFFD9:  # the end, or nothing that states it
            return []
        at += 2 + n
    if not is_begun or data[at : at + 2] == b"\xff\xd9" or at > len(data) / LEAST_BYTES:
        return []
    return [data[:at] + bytes(max(0, at - len(data))) + b"\xff\xd9"]
