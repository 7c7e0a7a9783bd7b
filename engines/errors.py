"""Everything that can go wrong, as one tree.

    StudioError
    ├── UserError            shown to the person as written: one sentence that says what to do next
    │   ├── MediaError       a file that cannot be read, is empty, too large or of the wrong kind
    │   ├── RequestError     a question that cannot be asked: empty text, unknown language, missing folder
    │   ├── AbilityError     the host at hand does not serve this request
    │   ├── DeviceError      the device is absent, out of memory, or was lost
    │   ├── CheckpointError  weights, config or tokenizer do not fit or are damaged
    │   └── CollectionError  a search collection is missing, damaged, or was made by another model
    └── Cancelled            a stop was asked for; not a failure

Any other exception is a defect of ours: the page shows one calm sentence with a log id, the log holds the rest.
"""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path

__all__ = [
    "AbilityError",
    "Cancelled",
    "CheckpointError",
    "CollectionError",
    "DeviceError",
    "MediaError",
    "RequestError",
    "StudioError",
    "UserError",
]


CHINESE = Path(__file__).resolve().parents[1] / "assets" / "locales" / "zh.json"
KEY = re.compile(r"[a-z0-9_]+(\.[a-z0-9_]+)*")


class StudioError(Exception):
    """The root of the tree; never raised itself."""


class UserError(StudioError):
    """A sentence for a person: English where it is raised, Chinese by its key in `assets/locales/zh.json`.

        raise MediaError("damaged", "{name} is damaged or not a photo.", name=path.name)

    key: stands as "error.<key>" in zh.json, with the same {names}. english: the sentence, its {names} filled in from
    `values`. Neither text may hold a path outside the person's own file name, a traceback or a secret: the page shows
    them as they are.
    """

    def __init__(self, key: str, english: str | None = None, /, **values: object) -> None:
        if english is not None and KEY.fullmatch(key):
            self.key, self.en = key, english.format(**values) if values else english
            self.zh = _chinese(key, values) or self.en
        else:  # two sentences, the older form; goes when every raise has a key
            self.key, self.en, self.zh = "", key, key if english is None else english
        super().__init__(self.en)

    def text(self, language: str) -> str:
        """The sentence in `language` ("zh" or anything else for English)."""
        return self.zh if language.startswith("zh") else self.en


@cache
def _catalogue() -> dict[str, str]:
    loaded: dict[str, str] = json.loads(CHINESE.read_text(encoding="utf-8"))
    return loaded


def _chinese(key: str, values: dict[str, object]) -> str | None:
    sentence = _catalogue().get(f"error.{key}")
    return None if sentence is None else sentence.format(**values)


class MediaError(UserError):
    """A file that cannot be read, is empty, too large or of the wrong kind."""


class RequestError(UserError):
    """A request that makes no sense as asked."""


class AbilityError(UserError):
    """The host does not serve this request."""


class DeviceError(UserError):
    """The device is absent, out of memory, or was lost."""


class CheckpointError(UserError):
    """Weights, config or tokenizer do not fit or are damaged."""


class CollectionError(UserError):
    """A search collection is missing, damaged, or was made by another model."""


class Cancelled(StudioError):
    """A stop was asked for. Raised inside long work; a stream turns it into a result whose end is "cancelled"."""
