"""Words that are looked for as they stand: how much of a query a text holds, letter by letter.

A vector says what a text is about, which finds "a train ticket" for "Fahrkarte", but not the number on it. Latin words
are compared whole, Chinese by pairs of characters, which needs no dictionary.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from engines.text import FUNCTION_WORDS, fold

_WORD = re.compile(r"[\u3400-\u9fff]+|[^\W_\u3400-\u9fff]+")
_LONG = 5
"""Letters from which on a word also counts where it stands inside another, as signs run words together."""
MOST_PARTS = 16
"""Parts of a query that are compared."""
LEAST, MOST, ENOUGH = 0.6, 0.9, 10
"""How well a text fits a query of no letters, and of 10 or more, that it holds: a photo that surely shows a dog comes
before a page that has the word on it. A Chinese character counts as three letters."""


def parts_of(text: str) -> tuple[str, ...]:
    """The words of a text in small letters, Chinese as pairs of characters, each once, in order."""
    found: list[str] = []
    for run in _WORD.findall(fold(text).casefold()):
        if "\u3400" <= run[0] <= "\u9fff" and len(run) > 2:
            found += [run[i : i + 2] for i in range(len(run) - 1)]
        else:
            found.append(run)
    return tuple(dict.fromkeys(found))


def query_parts(text: str) -> tuple[str, ...]:
    """The parts of a query that say something; all of them where it has only words like "the"."""
    found = parts_of(text)
    return (tuple(part for part in found if part not in FUNCTION_WORDS) or found)[:MOST_PARTS]


def fit(query: Sequence[str], text: str) -> float:
    """How well a text fits a query by its letters, 0 to MOST: the share of the query's parts that stand in it, less for
    a short query, which may stand in any text."""
    n_letters = sum(len(part) * (1 if part.isascii() else 3) for part in query)
    return share(query, text) * (LEAST + (MOST - LEAST) * min(1.0, n_letters / ENOUGH))


def share(query: Sequence[str], text: str) -> float:
    """The share of a query's parts that stand in a text, 0 to 1, by their letters."""
    there = set(parts_of(text))
    joined = "".join(_WORD.findall(fold(text).casefold()))
    found = sum(
        len(part) for part in query if part in there or (part in joined and (len(part) >= _LONG or not part.isascii()))
    )
    return found / max(sum(map(len, query)), 1)


def excerpt(text: str, query: Sequence[str], n_letters: int) -> str:
    """About `n_letters` of a text at most, around the first part of the query that stands in it."""
    text = " ".join(text.split())
    if len(text) <= n_letters:
        return text
    small = text.casefold()
    places = [place for part in query if (place := small.find(part)) >= 0]
    start = max(0, min([*places, len(text)]) - n_letters // 4) if places else 0
    start = text.rfind(" ", 0, start) + 1 if start else 0
    end = start + n_letters
    return ("…" if start else "") + text[start:end].rstrip() + ("…" if end < len(text) else "")
