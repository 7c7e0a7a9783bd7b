"""Terms of the Lab's findings in the languages of the page: "attention", "accuracy %", "picture missing".

Findings hold English terms. Each has a text under `ui.lab.word`; a compound without one is translated word by word;
anything else (a label, the name of a folder) stays as it is.
"""

from __future__ import annotations

import re
from functools import lru_cache

from studio import i18n

APART = re.compile(r"(\s*[–/→,:+×]\s*|\s+)")


def key_of(word: str, kind: str = "word") -> str:
    """The key of a term: "second_order" → ui.lab.word.secondorder."""
    return f"ui.lab.{kind}.{re.sub('[^a-z0-9]', '', word.lower()) or 'none'}"


@lru_cache(maxsize=2048)
def translated(word: str, language: str) -> str:
    """A term in one language."""
    key = key_of(word)
    if i18n.knows(key):
        return i18n.texts(language)[key]
    parts = APART.split(word)
    if len(parts) == 1 or not any(i18n.knows(key_of(part)) for part in parts[::2]):
        return word
    put = [i18n.texts(language).get(key_of(part), part) if n % 2 == 0 else part for n, part in enumerate(parts)]
    return "".join(put) if language == "en" else "".join(p for p in put if not p.isspace()).replace(": ", "：")


def as_html(word: str, *, tag: str = "span") -> str:
    """A term in both languages as HTML (or, with tspan, SVG); the style sheet shows one."""
    return i18n.spans(*(translated(word, language) for language in i18n.LANGUAGES), tag=tag)


def as_text(word: str) -> str:
    """A term in both languages at once, for titles and labels, where the style sheet cannot choose."""
    return " / ".join(dict.fromkeys(translated(word, language) for language in i18n.LANGUAGES))
