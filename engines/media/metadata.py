"""When, where and with what a photo or clip was taken: EXIF of photos, container tags of clips.

EXIF 2.32 for photos: DateTimeOriginal, the GPS block, Make and Model. QuickTime and Matroska tags for clips:
creation time, ISO 6709 location, make and model. Whatever is missing or makes no sense is left out.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from engines.errors import MediaError
from engines.media import photos, tracks
from engines.protocol import Metadata

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
