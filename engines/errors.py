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


class StudioError(Exception):
    """The root of the tree; never raised itself."""


class UserError(StudioError):
    """A sentence for a person, in English and in Chinese.

    Neither text may hold a path outside the person's own file name, a traceback or a secret: the page shows
    them as they are.
    """

    def __init__(self, en: str, zh: str | None = None) -> None:
        super().__init__(en)
        self.en = en
        self.zh = en if zh is None else zh

    def text(self, language: str) -> str:
        """The sentence in `language` ("zh" or anything else for English)."""
        return self.zh if language.startswith("zh") else self.en


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
