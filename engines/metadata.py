"""What a file says about itself, and which files are searched by it."""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass

from engines.errors import RequestError


@dataclass(frozen=True)
class Metadata:
    """What a photo or clip says about itself.

    taken: local date and time, "2024-06-01T12:30:00", "" where the file does not say. latitude, longitude: degrees,
    both or neither. camera: make and model.
    """

    taken: str = ""
    latitude: float | None = None
    longitude: float | None = None
    camera: str = ""


@dataclass(frozen=True, kw_only=True)
class Filter:
    """Which files are searched, by what they say about themselves.

    since, until: dates as "2024", "2024-06" or "2024-06-01", both included; a file without a date of its own has that
    of its last change. near: latitude and longitude in degrees, within_km around them. camera: a part of make or model.
    """

    since: str = ""
    until: str = ""
    near: tuple[float, float] | None = None
    within_km: float = 10.0
    camera: str = ""

    def __post_init__(self) -> None:
        for date in (self.since, self.until):
            if date and not _is_date(date):
                raise RequestError("date_unknown", "{date!r} is no date; write 2024, 2024-06 or 2024-06-01.", date=date)
        if self.near is not None and not (abs(self.near[0]) <= 90.0 and abs(self.near[1]) <= 180.0):
            raise RequestError("place_unknown", "A latitude is -90 to 90 degrees, a longitude -180 to 180.")
        if not 0.0 < self.within_km <= 20_100.0:
            raise RequestError("distance_unknown", "{km:g} km is no distance on Earth.", km=self.within_km)


_DATE = re.compile(r"\d{4}(-\d{2}(-\d{2})?)?")


def _is_date(text: str) -> bool:
    """Whether this is a year, month or day of the calendar."""
    if not _DATE.fullmatch(text):
        return False
    try:
        datetime.date.fromisoformat(text + "-01-01"[len(text) - 4 :])
    except ValueError:
        return False
    return True
