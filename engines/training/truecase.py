"""Transcripts as people write them: capitals and punctuation for speech corpora whose references have none.

`scripts.truecase` writes FILE, the spellings that Whisper chose for the words of a reference.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from engines.archives import SpeechRecord

FILE = "cased.json"
"""In the run folder: {clip id: cased text}."""


def is_cased(text: str) -> bool:
    """Whether a text has both small and capital letters, or a script without them."""
    return text != text.upper() and text != text.lower()


def as_sentence(text: str) -> str:
    """A capital first, "I" and single letters in capitals, a full stop: "x i sixty one" -> "X I sixty one."."""
    words = [word.upper() if re.fullmatch(r"[b-z]", word) else word for word in text.lower().split()]
    words = [f"I{word[1:]}" if re.fullmatch(r"i('\w+)?", word) else word for word in words]
    line = " ".join(words)
    return f"{line[:1].upper()}{line[1:]}."


def transcript(record: SpeechRecord, cased: dict[str, str]) -> str:
    """A clip's transcript as a person would write it. cased: from `read`."""
    if record.language != "en" or is_cased(record.raw):
        return record.raw
    return cased.get(record.id) or as_sentence(record.text)


def read(run: Path) -> dict[str, str]:
    """The cased transcripts in a run folder by clip id; empty where there are none."""
    path = run / FILE
    cased: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    return cased
