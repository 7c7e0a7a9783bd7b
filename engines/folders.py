"""Which files of a folder have changed since one last looked.

Looking again and again finds changes on network drives too, where the system reports none.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

LOOK_S = 2.0
"""Seconds between two looks, at least."""
SHARE = 0.05
"""The largest share of the time that looking takes: a folder of very many files is looked at less often."""

Stamp: TypeAlias = tuple[int, int]
"""Size in bytes and time of the last change in nanoseconds."""


@dataclass(frozen=True)
class Look:
    """What lies in a folder. settled: the files, empty ones aside, whose stamp is that of the look before: nobody is
    writing them."""

    files: Mapping[Path, Stamp]
    settled: Mapping[Path, Stamp]


def looks(find: Callable[[], Iterable[Path]], wait: Callable[[float], object]) -> Iterator[Look]:
    """Look at the files that `find` gives, again and again. wait: sleeps for some seconds; true ends it."""
    before: dict[Path, Stamp] = {}
    while True:
        began_s = time.monotonic()
        now = stamps(find())
        settled = {path: stamp for path, stamp in now.items() if stamp[0] and before.get(path) == stamp}
        spent_s = time.monotonic() - began_s
        yield Look(now, settled)
        before = now
        if wait(max(LOOK_S, spent_s / SHARE)):
            return


def stamps(paths: Iterable[Path]) -> dict[Path, Stamp]:
    """The stamps of files; those that have gone meanwhile are left out."""
    found: dict[Path, Stamp] = {}
    for path in paths:
        try:
            status = path.stat()
        except OSError:
            continue
        found[path] = status.st_size, status.st_mtime_ns
    return found
