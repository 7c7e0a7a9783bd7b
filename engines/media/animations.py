"""When each frame of an animated picture appears, read from the file's structure without decoding a pixel.

Formats: GIF89a (https://www.w3.org/Graphics/GIF/spec-gif89a.txt), APNG (PNG specification, third edition, 11.3.6),
WebP (RFC 9649, 2.7). AVIF states its times only in its decoder, see `photos.Animation`.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import BinaryIO

MAX_COUNTED = 100_000
"""Frames looked at; at 25 a second they last for more than an hour."""


@dataclass
class Timeline:
    """durations_ms: of each frame, as the file states them. size: the largest (width, height) of a frame or canvas.

    is_whole: whether all frames were counted.
    """

    size: tuple[int, int] = (0, 0)
    durations_ms: list[float] = field(default_factory=list)
    is_whole: bool = True

    def grow(self, width: int, height: int) -> None:
        self.size = max(self.size[0], width), max(self.size[1], height)


def timeline(file: BinaryIO, format: str) -> Timeline | None:
    """The times of a file's frames; None for a format that does not state them. A file that breaks off ends there."""
    read = _READERS.get(format)
    if read is None:
        return None
    found = Timeline()
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            read(data, found)
        except (IndexError, struct.error):  # cut short
            found.is_whole = False
    return found


def _gif(data: mmap.mmap, found: Timeline) -> None:
    found.grow(*struct.unpack_from("<HH", data, 6))
    at = 13 + (3 << ((data[10] & 7) + 1) if data[10] & 128 else 0)
    shown_ms = 0.0
    while len(found.durations_ms) < MAX_COUNTED:
        mark = data[at]
        if mark == 0x3B:  # the trailer
            return
        if mark == 0x21:  # an extension; the graphic control one precedes the frame that it times
            if data[at + 1] == 0xF9 and data[at + 2] >= 4:
                shown_ms = 10.0 * struct.unpack_from("<H", data, at + 4)[0]
            at = _after_blocks(data, at + 2)
        elif mark == 0x2C:
            left, top, width, height, flags = struct.unpack_from("<HHHHB", data, at + 1)
            found.grow(left + width, top + height)
            palette = 3 << ((flags & 7) + 1) if flags & 128 else 0
            at = _after_blocks(data, at + 10 + palette + 1)
            found.durations_ms.append(shown_ms)
            shown_ms = 0.0
        else:
            at += 1
    found.is_whole = False


def _after_blocks(data: mmap.mmap, at: int) -> int:
    while n := data[at]:
        at += n + 1
    return at + 1


def _png(data: mmap.mmap, found: Timeline) -> None:
    at = 8
    while len(found.durations_ms) < MAX_COUNTED:
        n, name = struct.unpack_from(">I4s", data, at)
        if name == b"IHDR":
            found.grow(*struct.unpack_from(">II", data, at + 8))
        elif name == b"fcTL":
            width, height, left, top, over, under = struct.unpack_from(">IIIIHH", data, at + 12)
            found.grow(left + width, top + height)
            found.durations_ms.append(1000.0 * over / (under or 100))
        elif name == b"IEND":
            return
        at += n + 12
    found.is_whole = False


def _webp(data: mmap.mmap, found: Timeline) -> None:
    at = 12
    while len(found.durations_ms) < MAX_COUNTED:
        if at >= len(data):
            return
        name, n = struct.unpack_from("<4sI", data, at)
        if name == b"VP8X":
            found.grow(1 + _int24(data, at + 12), 1 + _int24(data, at + 15))
        elif name == b"ANMF":
            found.durations_ms.append(float(_int24(data, at + 20)))
        at += 8 + n + n % 2
    found.is_whole = False


def _int24(data: mmap.mmap, at: int) -> int:
    return data[at] | data[at + 1] << 8 | data[at + 2] << 16


_READERS: dict[str, Callable[[mmap.mmap, Timeline], None]] = {"GIF": _gif, "PNG": _png, "WEBP": _webp}
