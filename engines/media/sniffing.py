"""Whether a file is worth opening as a photo, sound or clip, by its first bytes.

Says no more than what a file begins like; what it is and whether it can be read, `probe` says.
"""

from __future__ import annotations

import re

_MARKS = re.compile(
    rb"""
    \xff\xd8\xff | \x89PNG\r\n | GIF8[79]a | BM.{4}\x00{4} | II\*\x00 | MM\x00\* | 8BPS\x00\x01 | P[56]\s  # pictures
    | \xff\x0a | \x00\x00\x00\x0cJXL\ | \x00\x00\x00\x0cjP\ \  | \xff\x4f\xff\x51
    | .{4}ftyp | \x1a\x45\xdf\xa3 | RIFF.{4}(WAVE|AVI\ |WEBP|RMID) | RF64.{4}WAVE | riff.{12}  # containers
    | OggS | fLaC | ID3 | FORM.{4}AIF[FC] | caff\x00 | \.snd | \#!AMR | wvpk | MAC\  | TTA[12]
    | \x30\x26\xb2\x75\x8e\x66 | FLV\x01 | \.RMF\x00 | nut/multimedia | DKIF | \x06\x0e\x2b\x34\x02\x05\x01\x01
    | \x00\x00\x01[\xba\xb3] | .{4}(moov|mdat|wide|free|skip)
    | \x0b\x77.{3} | \x7f\xfe\x80\x01 | \xfe\x7f\x01\x80 | \x1f\x07\x00\x00 | \x1f\x07\x00[\x3f\xbf]  # raw streams
    | \xff[\xe2-\xe7\xf2-\xf7\xfa-\xfd] | \xff[\xf0\xf1\xf8\xf9]
    """,
    re.VERBOSE | re.DOTALL,
)
_TS_BYTES = (188, 192)
"""Packets of an MPEG transport stream, on Blu-ray with four bytes before each."""


def looks_like_media(first: bytes) -> bool:
    """Whether a file that begins so may be a photo, sound or clip. first: at least 600 bytes, or the whole file."""
    if _MARKS.match(first):
        return True
    return any(len(first) > 2 * n + 4 and all(first[n - 188 + n * i] == 0x47 for i in range(3)) for n in _TS_BYTES)
