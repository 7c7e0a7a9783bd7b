"""The one place where files are opened to be read: ordinary files only, never a pipe, device, socket or /proc."""

from __future__ import annotations

import os
import stat
from io import BufferedReader
from pathlib import Path

from engines.media.refusals import refusal

HEAD_BYTES = 4096
_SYSTEM_FOLDERS = ("/proc/", "/sys/", "/dev/")
"""Their files look ordinary, but reading one may wait for ever, or tell what is no business of a visitor."""


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
