"""The CPU limit of a request for a file, by the size of the file.

A decoder that can stop early (`is_half_spent`) returns what it has at half of the limit; the system ends the process at
the limit.
"""

from __future__ import annotations

import math
import time
from pathlib import Path

BASE_S = 6.0
PER_MIB_S = 1.0
MOST_S = 240.0
"""A four-hour sound in one piece is the slowest honest request."""

EXTRA_S = {"stream_words": 40.0}
"""Seconds that a function may take beyond that: a picture of 200 lines is read in 15 s, the models are loaded in 2."""

_half_s = math.inf


def seconds(path: Path, function: str = "") -> float:
    """The CPU limit in seconds of a function of `reading` on this file."""
    try:
        n_bytes = path.stat().st_size
    except (OSError, ValueError):  # it is gone, or has a name no file can have; opening it raises the error
        n_bytes = 0
    return min(BASE_S + PER_MIB_S * n_bytes / 2**20, MOST_S) + EXTRA_S.get(function, 0.0)


def begin(path: Path, function: str = "") -> None:
    """Start a request's CPU limit; where the system can, it ends this process at the limit."""
    global _half_s
    spent_s, allowed_s = time.process_time(), seconds(path, function)
    _half_s = spent_s + allowed_s / 2
    try:
        import resource
    except ImportError:  # Windows: only the parent's clock ends it
        return
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    soft = math.ceil(spent_s + allowed_s) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))


def is_half_spent() -> bool:
    """Whether a decoder that can stop early has to."""
    return time.process_time() > _half_s
