"""The size of a JPEG XL picture, by its first bits: the plugin for Pillow decodes a picture in order to open it.

ISO/IEC 18181-1 (the codestream: SizeHeader) and 18181-2 (the container: boxes as in MP4).
"""

from __future__ import annotations

from typing import BinaryIO

CODESTREAM = b"\xff\x0a"
CONTAINER = b"\0\0\0\x0cJXL \r\n\x87\n"
_HEADER_BYTES = 12
"""The mark and the longest SizeHeader: 1 + 2 + 30 + 3 + 2 + 30 bits."""
_MOST_BOXES = 1000
_RATIOS = {1: (1, 1), 2: (12, 10), 3: (4, 3), 4: (3, 2), 5: (16, 9), 6: (5, 4), 7: (2, 1)}
"""Width to height, by the three bits that stand for it."""
_LENGTHS = (9, 13, 18, 30)
"""Bits of a length, by the two bits before it."""


def size(file: BinaryIO) -> tuple[int, int] | None:
    """(width, height) as the codestream says it; None where there is none. Reads the file from its beginning."""
    file.seek(0)
    start = file.read(len(CONTAINER))
    if start == CONTAINER and not _to_codestream(file):
        return None
    if start != CONTAINER:
        file.seek(0)
    header = file.read(_HEADER_BYTES)
    return _size_header(header[2:]) if header.startswith(CODESTREAM) else None


def _to_codestream(file: BinaryIO) -> bool:
    """Go to the codestream in a container, or to its first part; false where there is none."""
    for _ in range(_MOST_BOXES):
        start, head = file.tell(), file.read(8)
        if len(head) < 8:
            return False
        length, kind = int.from_bytes(head[:4], "big"), head[4:]
        if length == 1:
            length = int.from_bytes(file.read(8), "big")
        if kind == b"jxlc":
            return True
        if kind == b"jxlp":
            file.read(4)  # which part it is
            return True
        if length < 8:  # the last box, or no box at all
            return False
        file.seek(start + length)
    return False


def _size_header(data: bytes) -> tuple[int, int] | None:
    bits, at = int.from_bytes(data, "little"), 0

    def take(n: int) -> int:
        nonlocal at
        at += n
        return bits >> (at - n) & ((1 << n) - 1)

    def length(in_eights: int) -> int:
        return 8 * (take(5) + 1) if in_eights else take(_LENGTHS[take(2)]) + 1

    in_eights = take(1)
    height = length(in_eights)
    ratio = take(3)
    width = height * _RATIOS[ratio][0] // _RATIOS[ratio][1] if ratio else length(in_eights)
    return (width, height) if at <= 8 * len(data) else None
