"""Whole files read in this process: what a file is, and what is in it.

Others read through `engines.media`, which runs these functions in a process of their own.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from engines.errors import MediaError, Message
from engines.media import ocr, photos, tracks
from engines.media.refusals import note, refusal
from engines.media.texts import load_text
from engines.protocol import RATE_HZ, Clip, Metadata, Photo, Sound

__all__ = [
    "load_clip",
    "load_metadata",
    "load_photo",
    "load_sound",
    "load_text",
    "probe",
    "probe_sound",
    "stream_sound",
    "stream_words",
    "thumbnail",
]

MAX_FRAMES = 256
"""Frames that can be asked of one clip."""


@dataclass(frozen=True)
class MediaInfo:
    """What a file is. duration_s is 0 for a photo; width and height are upright pixels, 0 for a sound."""

    kind: Literal["photo", "sound", "clip"]
    duration_s: float
    has_sound: bool
    width: int
    height: int
    tracks: tuple[str, ...] = ()
    """The languages of the sound tracks, as the file names them; one track is heard at a time."""


@dataclass(frozen=True)
class SoundInfo:
    """How the sound of a file is heard. track: its number, counted from 1."""

    duration_s: float
    track: int
    notes: tuple[Message, ...] = ()


@dataclass(frozen=True)
class Words:
    """What is written in a picture, line by line, or in a clip's frame that stands for some seconds of it."""

    lines: tuple[str, ...]
    start_s: float = 0.0
    end_s: float = 0.0


@dataclass(frozen=True, eq=False)
class Thumbnail:
    """A small picture of a file: the photo or a frame of the clip as (n,) uint8 of JPEG, or the peaks of a sound.

    peaks: (n,) float32, 0 to 1, one for each of equal spans.
    """

    jpeg: np.ndarray | None = None
    peaks: np.ndarray | None = None


def probe(path: Path) -> MediaInfo:
    """Look inside a file: a sound with cover art is a sound, an animated picture is a clip without sound.

    Decodes at most one frame. Raises MediaError.
    """
    with photos.opened(path) as picture:
        if picture is not None:
            if picture.moves:
                return MediaInfo("clip", photos.Animation(picture).duration_s, False, *picture.image.size)
            return MediaInfo("photo", 0.0, False, *picture.upright_size)
    with tracks.opened(path) as container:
        duration_s = tracks.duration_s(path, container)
        languages = tracks.languages(container)
        if tracks.video(container) is None:
            return MediaInfo("sound", duration_s, bool(languages), 0, 0, languages)
        film = tracks.Film(path, container)
        return MediaInfo("clip", duration_s, bool(languages), *film.upright_size(film.at(0.0)), languages)


def probe_sound(path: Path, *, track: int = 0) -> SoundInfo:
    """How the sound of a sound file or clip will be heard. track: 0 for the file's own choice. Raises MediaError."""
    _check_sounds(path)
    with tracks.opened(path) as container:
        duration_s = tracks.duration_s(path, container)
    heard = _heard(path, track)
    return SoundInfo(duration_s, heard.number, _sound_notes(heard))


def _check_sounds(path: Path) -> None:
    with photos.opened(path) as picture:
        if picture is not None:
            raise refusal("no_sound" if picture.moves else "not_moving", path)


def _heard(path: Path, track: int) -> tracks.Heard:
    status = path.stat()
    return _chosen(path, track, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=8)
def _chosen(path: Path, track: int, _changed_ns: int, _n_bytes: int) -> tracks.Heard:
    """What `tracks.choose` found, kept for the windows of a clip, which are read one by one."""
    return tracks.choose(path, track)


def _sound_notes(heard: tracks.Heard) -> tuple[Message, ...]:
    notes = []
    if len(heard.languages) > 1:
        listed = ", ".join(f"{i + 1} {language}" for i, language in enumerate(heard.languages))
        notes.append(note("other_tracks", number=heard.number, n_tracks=len(heard.languages), languages=listed))
    if heard.gain > 1.0:
        notes.append(note("very_quiet"))
    return tuple(notes)


def load_photo(path: Path, *, max_side: int = 1024) -> Photo:
    """A photo, upright and on white, its longer side at most `max_side` pixels; the first frame if it moves.

    Raises MediaError.
    """
    with photos.opened(path) as picture:
        if picture is not None:
            return photos.photo(picture, max_side)
    with tracks.opened(path):
        raise refusal("not_a_photo", path)


def load_sound(path: Path, *, start_s: float = 0.0, max_s: float | None = None, track: int = 0) -> Sound:
    """The sound of a sound file or clip from `start_s` on, at most `max_s` seconds of it.

    Its level is kept, but for a very quiet one. track: which sound track, counted from 1; 0 for the file's own choice.
    Raises MediaError, also where the sound ends before `start_s`.
    """
    _check_sounds(path)
    heard = _heard(path, track)
    n_max = None if max_s is None else max(1, round(max_s * RATE_HZ))
    blocks, n = [], 0
    for block in _blocks(path, start_s, heard):
        blocks.append(block)
        n += len(block)
        if n_max is not None and n >= n_max:
            break
    return Sound(np.concatenate(blocks)[:n_max], notes=_sound_notes(heard))


def stream_sound(path: Path, *, chunk_s: float = 30.0, track: int = 0) -> Iterator[np.ndarray]:
    """The same in consecutive chunks of `chunk_s` seconds, the last one shorter; memory does not grow with length.

    Raises MediaError, at the first chunk or where the length passes MAX_SECONDS.
    """
    _check_sounds(path)
    heard = _heard(path, track)
    n_chunk = max(1, round(chunk_s * RATE_HZ))
    chunk, n = np.empty(n_chunk, np.float32), 0
    for block in _blocks(path, 0.0, heard):
        while len(block) > 0:
            part, block = block[: n_chunk - n], block[n_chunk - n :]
            chunk[n : n + len(part)] = part
            n += len(part)
            if n == n_chunk:
                yield chunk
                chunk, n = np.empty(n_chunk, np.float32), 0
    if n > 0:
        yield chunk[:n]


def _blocks(path: Path, start_s: float, heard: tracks.Heard) -> Iterator[np.ndarray]:
    with tracks.opened(path) as container:
        yield from tracks.sound_blocks(path, container, start_s, heard)


def load_clip(
    path: Path,
    *,
    n_frames: int = 16,
    max_side: int = 512,
    start_s: float = 0.0,
    max_s: float | None = None,
    sound_s: float | None = None,
    track: int = 0,
) -> Clip:
    """Exactly `n_frames` frames at the mid-points of equal spans, and the sound track if there is one.

    The clip is what lies from `start_s` on, at most `max_s` seconds of it; times and sound count from `start_s`. A
    frame is the one on screen at its time, its longer side at most `max_side` pixels. sound_s: keep only so much
    of the sound, where all of it would be too much to hold. track: as for `load_sound`. Raises MediaError.
    """
    if not 1 <= n_frames <= MAX_FRAMES:
        raise ValueError(f"n_frames is {n_frames}, not 1 to {MAX_FRAMES}")
    with photos.opened(path) as picture:
        if picture is not None:
            if not picture.moves:
                raise refusal("not_moving", path)
            animation = photos.Animation(picture)
            length_s, times_s = _span(path, animation.duration_s, start_s, max_s, n_frames)
            frames, is_whole = animation.at([start_s + t for t in times_s], max_side)
            why = "cut_short" if picture.filled else "" if is_whole else "only_beginning"
            return Clip(frames, times_s, length_s, notes=(note(why),) if why else ())
    with tracks.opened(path) as container:
        length_s, times_s = _span(path, tracks.duration_s(path, container), start_s, max_s, n_frames)
        film = tracks.Film(path, container)
        frames = tuple(film.pixels(film.at(start_s + t), max_side) for t in times_s)
        notes = () if film.is_whole else (note("only_beginning"),)
        has_sound = bool(tracks.sound_tracks(container))
    kept_s = length_s if sound_s is None else min(length_s, sound_s)
    try:
        sound = load_sound(path, start_s=start_s, max_s=kept_s, track=track) if has_sound and kept_s > 0 else None
    except MediaError:  # a sound track that ends earlier or cannot be read leaves a silent clip, not a failure
        if track:
            raise
        sound = None
    return Clip(frames, times_s, length_s, sound, notes if sound is None else (*notes, *sound.notes))


def stream_words(path: Path, *, step_s: float = 10.0, most: int = 16) -> Iterator[Words]:
    """What is written in a photo; in a clip, in a frame of every `step_s` seconds, at most `most` frames.

    Nothing for a sound, and where the extra `ocr` is not installed. Raises MediaError.
    """
    if not ocr.is_installed():
        return
    with photos.opened(path) as picture:
        if picture is not None:
            if not picture.moves:
                yield Words(_lines(path, photos.photo(picture, ocr.MAX_SIDE).pixels))
                return
            animation = photos.Animation(picture)
            for start_s, end_s in _stretches(animation.duration_s, step_s, most):
                frames, _ = animation.at([(start_s + end_s) / 2], ocr.MAX_SIDE)
                yield Words(_lines(path, frames[0]), start_s, end_s)
            return
    with tracks.opened(path) as container:
        if tracks.video(container) is None:
            return
        film = tracks.Film(path, container)
        for start_s, end_s in _stretches(tracks.duration_s(path, container), step_s, most):
            pixels = film.pixels(film.at((start_s + end_s) / 2), ocr.MAX_SIDE)
            yield Words(_lines(path, pixels), start_s, end_s)


def _lines(path: Path, pixels: np.ndarray) -> tuple[str, ...]:
    try:
        return ocr.lines_of(pixels)
    except Exception as error:  # the packages are damaged, or choke on this picture
        raise refusal("words_unread", path) from error


def _stretches(duration_s: float, step_s: float, most: int) -> list[tuple[float, float]]:
    """A duration in equal spans of about `step_s` seconds, at most `most` of them."""
    n = max(1, min(most, math.ceil(duration_s / step_s)))
    return [(i * duration_s / n, (i + 1) * duration_s / n) for i in range(n)]


def _span(
    path: Path, duration_s: float, start_s: float, max_s: float | None, n_frames: int
) -> tuple[float, tuple[float, ...]]:
    if start_s > 0 and start_s >= duration_s:
        raise refusal("past_the_end", path, start_s=start_s)
    length_s = duration_s - start_s if max_s is None else min(max_s, duration_s - start_s)
    return length_s, tuple((i + 0.5) * length_s / n_frames for i in range(n_frames))


THUMBNAIL_PX = 360
"""Longer side of a thumbnail."""
N_PEAKS, PEAKS_S = 72, 30.0
"""A sound is shown as this many peaks, of its first seconds."""


def thumbnail(path: Path, *, at_s: float = 0.0) -> Thumbnail:
    """A small picture of a photo, or of a clip at `at_s`; of a sound the peaks from there on. Raises MediaError.

    Decodes no more than is shown.
    """
    with photos.opened(path) as picture:
        if picture is not None:
            if picture.moves:
                return Thumbnail(_jpeg(photos.Animation(picture).at([at_s], THUMBNAIL_PX)[0][0]))
            return Thumbnail(_jpeg(photos.photo(picture, THUMBNAIL_PX).pixels))
    with tracks.opened(path) as container:
        if tracks.video(container) is not None:
            film = tracks.Film(path, container)
            return Thumbnail(_jpeg(film.pixels(film.at(at_s), THUMBNAIL_PX)))
    samples = load_sound(path, start_s=at_s, max_s=PEAKS_S).samples
    size = max(1, len(samples) // N_PEAKS)
    samples = np.abs(np.pad(samples, (0, max(0, size * N_PEAKS - len(samples))))[: size * N_PEAKS])
    return Thumbnail(peaks=samples.reshape(N_PEAKS, size).max(axis=1))


def _jpeg(pixels: np.ndarray) -> np.ndarray:
    image = Image.fromarray(pixels)
    image.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX))
    held = io.BytesIO()
    image.save(held, "JPEG", quality=82)
    return np.frombuffer(held.getvalue(), np.uint8)


# --- what files say about themselves ---------------------------------------------------------------------------------

# EXIF 2.32 for photos: DateTimeOriginal, the GPS block, Make and Model. QuickTime and Matroska tags for clips: creation
# time, ISO 6709 location, make and model. Whatever is missing or invalid is left out.

_DATE_TIME_ORIGINAL, _DATE_TIME, _EXIF, _GPS, _MAKE, _MODEL = 0x9003, 0x0132, 0x8769, 0x8825, 0x010F, 0x0110
_ISO_6709 = re.compile(r"^([+-]\d{2}(?:\.\d+)?)([+-]\d{3}(?:\.\d+)?)")


def load_metadata(path: Path) -> Metadata:
    """What a file says about itself; empty for a file that says nothing or cannot be read."""
    try:
        with photos.opened(path) as picture:
            if picture is not None:
                exif = picture.image.getexif()
                return _of_photo(exif, exif.get_ifd(_EXIF), exif.get_ifd(_GPS))
        with tracks.opened(path) as container:
            return _of_clip({str(key).lower(): str(value) for key, value in container.metadata.items()})
    except MediaError:
        return Metadata()


def _of_photo(exif: Mapping[int, Any], details: Mapping[int, Any], gps: Mapping[int, Any]) -> Metadata:
    taken = _date(str(details.get(_DATE_TIME_ORIGINAL) or exif.get(_DATE_TIME) or ""), "%Y:%m:%d %H:%M:%S")
    latitude, longitude = _degrees(gps.get(2), gps.get(1), "S"), _degrees(gps.get(4), gps.get(3), "W")
    return _checked(taken, latitude, longitude, _camera(exif.get(_MAKE), exif.get(_MODEL)))


def _of_clip(tags: Mapping[str, str]) -> Metadata:
    local = _date(tags.get("com.apple.quicktime.creationdate", "")[:19], "%Y-%m-%dT%H:%M:%S")
    taken = local or _date(tags.get("creation_time", "")[:19], "%Y-%m-%dT%H:%M:%S", utc=True)
    place = _ISO_6709.match(tags.get("com.apple.quicktime.location.iso6709") or tags.get("location") or "")
    latitude, longitude = (float(place[1]), float(place[2])) if place else (None, None)
    make = tags.get("com.apple.quicktime.make") or tags.get("make")
    model = tags.get("com.apple.quicktime.model") or tags.get("model")
    return _checked(taken, latitude, longitude, _camera(make, model))


def _checked(taken: str, latitude: float | None, longitude: float | None, camera: str) -> Metadata:
    if latitude is None or longitude is None or not (abs(latitude) <= 90.0 and abs(longitude) <= 180.0):
        return Metadata(taken, None, None, camera)
    return Metadata(taken, latitude, longitude, camera)


def _date(text: str, form: str, *, utc: bool = False) -> str:
    """A date as ISO 8601; one in UTC is put into the time zone of this machine."""
    try:
        moment = datetime.strptime(text.strip("\0 "), form)
        if utc:
            moment = moment.replace(tzinfo=UTC).astimezone().replace(tzinfo=None)
    except (ValueError, OverflowError, OSError):
        return ""
    return "" if moment.year < 1980 else moment.isoformat(timespec="seconds")  # a clock that was never set


def _degrees(parts: Any, side: Any, negative: str) -> float | None:
    try:
        degrees, minutes, seconds = (float(part) for part in parts)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    value = degrees + minutes / 60 + seconds / 3600
    if not math.isfinite(value):
        return None
    return -value if str(side).strip("\0 ").upper() == negative else value


def _camera(make: Any, model: Any) -> str:
    """ "Apple iPhone 15", the make left out where the model begins with it."""
    first, second = (" ".join(str(part or "").strip("\0 ").split())[:80] for part in (make, model))
    return second if second.lower().startswith(first.lower()) else f"{first} {second}".strip()
