"""The words of the lab's findings in the page's languages: "attention", "accuracy %", "picture missing".

Findings hold plain English words of the field. Each has a text under `ui.lab.word`; what has none is taken apart into
words that have one; what is left (a label, a folder's name) stays as it is.
"""

from __future__ import annotations

import html
import re
from functools import lru_cache

from studio import i18n

APART = re.compile(r"(\s*[–/→,:+×]\s*|\s+)")


def key_of(word: str, kind: str = "word") -> str:
    """The key of a word's text: "second_order" → ui.lab.word.secondorder."""
    return f"ui.lab.{kind}.{re.sub('[^a-z0-9]', '', word.lower()) or 'none'}"


@lru_cache(maxsize=2048)
def said(word: str, language: str) -> str:
    """A word in one language."""
    key = key_of(word)
    if i18n.knows(key):
        return i18n.texts(language)[key]
    parts = APART.split(word)
    if len(parts) == 1 or not any(i18n.knows(key_of(part)) for part in parts[::2]):
        return word
    put = [i18n.texts(language).get(key_of(part), part) if n % 2 == 0 else part for n, part in enumerate(parts)]
    return "".join(put) if language == "en" else "".join(p for p in put if not p.isspace()).replace(": ", "：")


def shown(word: str, *, tag: str = "span") -> str:
    """HTML (or, with tspan, SVG) of a word in both languages, of which the style sheet shows one."""
    en, zh = (html.escape(said(word, language)) for language in i18n.LANGUAGES)
    if en == zh:
        return en
    return f'<{tag} class="t" lang="en">{en}</{tag}><{tag} class="t" lang="zh-CN">{zh}</{tag}>'


def plain(word: str) -> str:
    """A word in both languages at once, for titles and labels that the style sheet cannot choose from."""
    return " / ".join(dict.fromkeys(said(word, language) for language in i18n.LANGUAGES))
