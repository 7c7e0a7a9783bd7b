"""Small pictures of files, each decoded once however many ask for it at a time, the last ones kept."""

from __future__ import annotations

import threading
from collections import OrderedDict
from concurrent.futures import Future
from pathlib import Path
from typing import TypeAlias

from engines.errors import MediaError
from engines.media import reading
from engines.media.child import apart
from engines.media.reading import Thumbnail
from engines.media.refusals import refusal

MAX_SIDE = 360
N_PEAKS = 72
SOUND_S = 30.0
"""Of a sound so much is shown."""
N_KEPT = 1_000
"""Thumbnails in memory, of about 20 kB each."""

Key: TypeAlias = tuple[str, int, int, float]

_made: OrderedDict[Key, Future[Thumbnail]] = OrderedDict()
_lock = threading.Lock()
_read = apart(reading.thumbnail)


def thumbnail(path: Path, *, at_s: float = 0.0) -> Thumbnail:
    """A small picture of a file, of a sound or clip at `at_s`. What cannot be read is tried once. Raises MediaError."""
    try:
        status = path.stat()
    except (OSError, ValueError) as error:
        raise refusal("missing", path) from error
    key = (str(path.absolute()), status.st_mtime_ns, status.st_size, round(at_s, 1))
    with _lock:
        made = _made.get(key)
        is_first = made is None
        if made is None:
            made = _made[key] = Future()
        _made.move_to_end(key)
        while len(_made) > N_KEPT:
            _made.popitem(last=False)
    if is_first:
        try:
            made.set_result(_read(path, at_s=at_s, max_side=MAX_SIDE, n_peaks=N_PEAKS, sound_s=SOUND_S))
        except MediaError as error:
            made.set_exception(error)
        except BaseException as error:  # a defect, or an interruption: who waits is told, who comes later tries again
            with _lock:
                _made.pop(key, None)
            made.set_exception(error)
            raise
    return made.result()
