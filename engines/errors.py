"""Everything that can go wrong, as one tree, and sentences for people in two languages.

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
from collections.abc import Mapping
from functools import cache
from typing import Any

from engines.paths import ASSETS

__all__ = [
    "AbilityError", "Cancelled", "CheckpointError", "CollectionError", "DeviceError", "MediaError", "Message",
    "RequestError", "StudioError", "UserError",
]  # fmt: skip


CHINESE = ASSETS / "locales" / "zh.json"


class Message:
    """A sentence for a person: English where it is written, Chinese by its key in `assets/locales/zh.json`.

        Message("reason.remote", "{name} runs on a server.", name=info.name)

    key: stands in zh.json with the same {names}; without an entry there the sentence stays English. values: text,
    numbers, another message, or a list of these, which is enumerated with each language's comma; anything else goes in
    as `str` of it. Neither text may hold a path outside the person's own file name, a traceback or a secret: the page
    shows them as they are.
    """

    def __init__(self, key: str, english: str, /, **values: object) -> None:
        self.key, self.english = key, english
        self.values = {name: _plain(value) for name, value in values.items()}

    @property
    def en(self) -> str:
        return _filled(self.english, self.values, "en")

    @property
    def zh(self) -> str:
        return _filled(_chinese().get(self.key, self.english), self.values, "zh")

    def text(self, language: str) -> str:
        """The sentence in `language` ("zh..." or anything else for English)."""
        return self.zh if language.startswith("zh") else self.en

    def printable(self) -> Message:
        """The same with names that any output takes."""
        values = {name: printable(value) if isinstance(value, str) else value for name, value in self.values.items()}
        return Message(self.key, self.english, **values)

    def __str__(self) -> str:
        return self.en

    def __repr__(self) -> str:
        return f"Message({self.key!r}, {self.en!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Message) and (self.key, self.en) == (other.key, other.en)

    def __hash__(self) -> int:
        return hash((self.key, self.en))


class StudioError(Exception):
    """The root of the tree; never raised itself."""


class UserError(StudioError):
    """A sentence for a person, as a message whose key is "error.<key>".

    raise MediaError("damaged", "{name} is damaged or not a photo.", name=path.name)
    """

    def __init__(self, key: str, english: str, /, **values: object) -> None:
        self.message = Message(f"error.{key}", english, **values)
        super().__init__(self.message.en)

    def __reduce__(self) -> tuple[Any, ...]:  # an exception is pickled by its `args`, which hold the filled sentence
        return _again, (type(self), *self.parts())

    def parts(self) -> tuple[str, str, dict[str, Any]]:
        """What makes the error again in another process: key, English and values."""
        return self.message.key.removeprefix("error."), self.message.english, self.message.values

    @property
    def en(self) -> str:
        return self.message.en

    @property
    def zh(self) -> str:
        return self.message.zh

    def text(self, language: str) -> str:
        """The sentence in `language` ("zh..." or anything else for English)."""
        return self.message.text(language)


def _again(kind: type[UserError], key: str, english: str, values: dict[str, Any]) -> UserError:
    return kind(key, english, **values)


def printable(text: str) -> str:
    """A name or sentence as text that any output takes: file names may hold bytes that are no text."""
    return text.encode("utf-8", "replace").decode()


@cache
def _chinese() -> dict[str, str]:
    loaded: dict[str, str] = json.loads(CHINESE.read_text(encoding="utf-8"))
    return loaded


def _plain(value: object) -> object:
    if isinstance(value, UserError):
        return value.message
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value if isinstance(value, str | int | float | Message) else str(value)


def _filled(sentence: str, values: Mapping[str, object], language: str) -> str:
    if not values:
        return sentence
    return sentence.format(**{name: _shown(value, language) for name, value in values.items()})


def _shown(value: object, language: str) -> object:
    if isinstance(value, Message):
        return value.text(language)
    if isinstance(value, list):
        return ("、" if language == "zh" else ", ").join(str(_shown(item, language)) for item in value)
    return value


class MediaError(UserError):
    """A file that cannot be read, is empty, too large or of the wrong kind."""


class RequestError(UserError):
    """A request that is invalid: empty text, unknown language, missing folder."""


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
