"""Find files and open them: ordinary files only, never a pipe, device, socket or /proc."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterator
from io import BufferedReader
from pathlib import Path

from engines.errors import MediaError
from engines.media.refusals import refusal

HEAD_BYTES = 4096
_SYSTEM_FOLDERS = ("/proc/", "/sys/", "/dev/")
"""Their files look ordinary, but reading one may block for ever or reveal something about the machine."""
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


def is_ordinary(path: Path) -> bool:
    """Whether a path leads to an ordinary file; nothing is opened."""
    try:
        return stat.S_ISREG(path.stat().st_mode) and not os.path.realpath(path).startswith(_SYSTEM_FOLDERS)
    except (OSError, ValueError):  # a name no file can have is a ValueError
        return False


def open_file(path: Path) -> BufferedReader:
    """An ordinary, readable, non-empty file. Raises MediaError."""
    try:
        if not path.exists():
            raise refusal("missing", path)
        if not is_ordinary(path):
            raise refusal("folder", path)
        # without waiting: should a pipe have taken the file's place, opening it must not hang
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        file = open(os.open(path, flags), "rb")  # noqa: PTH123, SIM115  (a descriptor, which the caller closes)
    except PermissionError as error:
        raise refusal("forbidden", path) from error
    except (OSError, ValueError) as error:
        raise refusal("missing", path) from error
    status = os.fstat(file.fileno())
    if not stat.S_ISREG(status.st_mode) or status.st_size == 0:
        file.close()
        raise refusal("empty" if stat.S_ISREG(status.st_mode) else "folder", path)
    return file


def head(path: Path) -> bytes:
    """The first bytes of a file. Raises MediaError."""
    with open_file(path) as file:
        try:
            return file.read(HEAD_BYTES)
        except OSError as error:
            raise refusal("damaged", path) from error


def visible(folder: Path, on_error: Callable[[OSError], object] | None = None) -> Iterator[Path]:
    """Everything but folders in a folder and below, by name. Hidden names are left out, a link back up is not
    followed twice. on_error: is told of each folder that cannot be listed, its name with it."""
    seen: set[str] = set()
    for root, folders, names in os.walk(folder, onerror=on_error, followlinks=True):
        real = os.path.realpath(root)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(root, name) for name in sorted(names) if not name.startswith("."))


def may_hold_media(path: Path) -> bool:
    """Whether a file begins as a photo, sound or clip does, whatever its name; what it is, `probe` says."""
    try:
        first = head(path)
    except MediaError:  # empty, or not to be read
        return False
    if _MARKS.match(first):
        return True
    return any(len(first) > 2 * n + 4 and all(first[n - 188 + n * i] == 0x47 for i in range(3)) for n in _TS_BYTES)
