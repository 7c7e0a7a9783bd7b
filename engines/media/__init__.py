"""Files into arrays: photos by Pillow, sounds and clips by PyAV.

Whatever comes out is upright, without alpha, mono and at 16 kHz, and within the limits of `refusals`. Files are judged
by what is inside them, never by their suffix. A damaged stretch in the middle of a sound or clip is left out and the
rest kept; a file of which nothing can be read raises MediaError.

Only the file itself is opened: formats that point at other files or at the network (playlists, scripts, streams) are
not on the lists of `photos` and `tracks`, so a dropped file cannot make this program read or fetch another one. It is
decoded in a process of its own (`child`): a file that crashes or chokes a decoder costs one sentence, not the studio.

Shapes: photos and frames (H, W, 3) uint8, sounds (n,) float32 in [-1, 1] at RATE_HZ. Times are seconds.
"""

from __future__ import annotations

import hashlib
import math
import threading
from collections import OrderedDict
from concurrent.futures import Future
from functools import lru_cache
from pathlib import Path
from typing import TypeAlias

import av
import numpy as np

from engines.errors import Cancelled, MediaError
from engines.media import reading, texts, tracks
from engines.media.ahead import ahead, waited
from engines.media.child import apart, apart_in_turn
from engines.media.opening import is_ordinary, may_hold_media, open_file, visible
from engines.media.reading import MAX_FRAMES, MediaInfo, Thumbnail, Words
from engines.media.refusals import MAX_PIXELS, MAX_SECONDS, refusal
from engines.protocol import RATE_HZ

__all__ = [
    "CLIP_SUFFIXES",
    "MAX_FRAMES",
    "MAX_PIXELS",
    "MAX_SECONDS",
    "PHOTO_SUFFIXES",
    "SOUND_SUFFIXES",
    "TEXT_SUFFIXES",
    "MediaInfo",
    "Words",
    "ahead",
    "content_digest",
    "is_ordinary",
    "load_clip",
    "load_metadata",
    "load_photo",
    "load_sound",
    "load_text",
    "may_hold_media",
    "probe",
    "probe_sound",
    "resample",
    "stream_sound",
    "stream_words",
    "thumbnail",
    "visible",
    "waited",
]

# fmt: off
PHOTO_SUFFIXES = frozenset((
    ".avif", ".bmp", ".heic", ".heif", ".hif", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".jxl", ".mpo", ".pgm", ".png",
    ".ppm", ".psd", ".tga", ".tif", ".tiff", ".webp",
))
SOUND_SUFFIXES = frozenset((
    ".aac", ".ac3", ".aif", ".aiff", ".amr", ".ape", ".au", ".caf", ".dts", ".eac3", ".flac", ".g722", ".m4a", ".m4b",
    ".mka", ".mp2", ".mp3", ".oga", ".ogg", ".opus", ".ra", ".tta", ".w64", ".wav", ".weba", ".wma", ".wv",
))
CLIP_SUFFIXES = frozenset((
    ".3g2", ".3gp", ".apng", ".avi", ".dv", ".f4v", ".flv", ".gif", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg",
    ".mpg", ".mts", ".mxf", ".nut", ".ogv", ".qt", ".rm", ".rmvb", ".ts", ".vob", ".webm", ".wmv",
))
# fmt: on
TEXT_SUFFIXES = texts.SUFFIXES
"""What to look for in a folder and to offer in a file dialog; what a file is, `probe` says."""

_MAX_PHASES = 640
"""torchaudio keeps one filter for each phase: 640 at 11,025 Hz, but 16,000 filters (3 GB) at 47,999 Hz."""

probe = apart(reading.probe)
probe_sound = apart(reading.probe_sound)
load_photo = apart(reading.load_photo)
load_sound = apart(reading.load_sound)
load_clip = apart(reading.load_clip)
load_metadata = apart(reading.load_metadata)
load_text = apart(texts.load_text)
stream_sound = apart_in_turn(reading.stream_sound)
stream_words = apart_in_turn(reading.stream_words)


def resample(samples: np.ndarray, rate_hz: int) -> np.ndarray:
    """(n,) float at `rate_hz` -> (ceil(n * RATE_HZ / rate_hz),) float32 at RATE_HZ, by torchaudio where it can."""
    samples = np.ascontiguousarray(samples, np.float32)
    n_out = -(-len(samples) * RATE_HZ // rate_hz)
    if rate_hz == RATE_HZ or n_out == 0:
        return samples
    if RATE_HZ // math.gcd(rate_hz, RATE_HZ) > _MAX_PHASES:
        return _resample_by_av(samples, rate_hz, n_out)
    try:
        import torch
        from torchaudio.functional import resample as by_torchaudio
    except (ImportError, OSError):  # absent, or its native library does not fit this torch
        return _resample_by_av(samples, rate_hz, n_out)
    return np.asarray(by_torchaudio(torch.from_numpy(samples), rate_hz, RATE_HZ).numpy())


def _resample_by_av(samples: np.ndarray, rate_hz: int, n_out: int) -> np.ndarray:
    frame = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
    frame.sample_rate = rate_hz
    mono = tracks.Mono()
    silence = np.zeros(n_out, np.float32)  # for the last sample or two, which the filter may keep to itself
    return np.concatenate([*mono.push(frame), *mono.flush(), silence])[:n_out]


def content_digest(path: Path) -> str:
    """SHA-256 of a file's bytes, as hex. Raises MediaError."""
    try:
        with open_file(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise refusal("damaged", path) from error


# --- thumbnails ------------------------------------------------------------------------------------------------------

_N_THUMBNAILS = 1_000
"""Thumbnails kept in memory, of about 20 kB each."""
MOST_TIMES = 400
"""Thumbnails of one file, however many times are asked for."""
_LEAST_STEP_S = 0.1
"""Seconds from one time of a thumbnail to the next, more for a long file."""

_STILL_SUFFIXES = PHOTO_SUFFIXES - {".avif", ".heic", ".heif", ".hif", ".jxl", ".png", ".webp"}
"""Files that look the same at any time; the others may be animated."""
_PASSING = ("media_too_slow", "media_took_too_long", "media_too_much_memory")
"""Keys of refusals that a busy machine may be the reason for, so the next who asks has the file read again."""

_Key: TypeAlias = tuple[str, int, int, float]

_thumbnails: OrderedDict[_Key, Future[Thumbnail]] = OrderedDict()
_thumbnails_lock = threading.Lock()
_read_thumbnail = apart(reading.thumbnail)


def thumbnail(path: Path, *, at_s: float = 0.0) -> Thumbnail:
    """A small picture of a file, of a sound or clip at `at_s`. Raises MediaError.

    A file is decoded once, however many ask for it at a time, a photo also if they ask for different times; of what
    moves or sounds at most MOST_TIMES times are shown, the nearest to `at_s`. A file that cannot be read is tried once,
    unless a busy machine may be the reason.
    """
    try:
        status = path.stat()
    except (OSError, ValueError) as error:
        raise refusal("missing", path) from error
    name = str(path.absolute())
    if at_s and path.suffix.lower() not in _STILL_SUFFIXES:
        at_s = _shown_s(_duration_s(name, status.st_mtime_ns, status.st_size), at_s)
    else:
        at_s = 0.0
    key = (name, status.st_mtime_ns, status.st_size, at_s)
    with _thumbnails_lock:
        made = _thumbnails.get(key)
        is_first = made is None
        if made is None:
            made = _thumbnails[key] = Future()
        _thumbnails.move_to_end(key)
        while len(_thumbnails) > _N_THUMBNAILS:
            _thumbnails.popitem(last=False)
    if is_first:
        try:
            made.set_result(_read_thumbnail(path, at_s=at_s))
        except MediaError as error:
            if error.parts()[0] in _PASSING:
                with _thumbnails_lock:
                    _thumbnails.pop(key, None)
            made.set_exception(error)
        except BaseException as error:  # a defect, or an interruption: waiting threads get it, later ones try again
            with _thumbnails_lock:
                _thumbnails.pop(key, None)
            made.set_exception(error)
            raise
    try:
        return made.result()
    except Cancelled:
        if is_first:
            raise
        return thumbnail(path, at_s=at_s)  # the one who gave up was another


@lru_cache(maxsize=_N_THUMBNAILS)
def _duration_s(name: str, _changed_ns: int, _n_bytes: int) -> float:
    """How long a file is; 0 for a photo, and for what cannot be read, which is then asked for at one time only."""
    try:
        return probe(Path(name)).duration_s
    except MediaError as error:
        if error.parts()[0] in _PASSING:
            raise
        return 0.0


def _shown_s(duration_s: float, at_s: float) -> float:
    """The time that is shown for one that is asked for."""
    step_s = max(_LEAST_STEP_S, duration_s / MOST_TIMES)
    last = max(0, math.ceil(duration_s / step_s) - 1)
    return max(0, min(last, math.floor(at_s / step_s + 0.5))) * step_s
