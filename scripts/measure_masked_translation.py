"""Measure what a photo is worth to a translation with a masked noun, on photos that were not trained on.

    python -m scripts.measure_masked_translation --data DATA --limit 40 --targets de --weights 0.4 0.8 1.0

One noun of an English caption is masked. How often does it come back in the translation by the text alone, with its own
photo, and with another caption's photo; and how many of the other words stay as they were?
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from engines.archives import DatasetMissing, photos
from engines.errors import UserError
from engines.hosts import open_host
from engines.lab.findings import Cell, Table
from engines.lab.masked_translation import MaskedRequest, stream, words
from engines.lab.report import text as table_text
from engines.protocol import Host
from engines.settings import Settings

NOUNS = {
    "ball": ("ball", "球"), "beach": ("strand", "海滩|沙滩"), "boat": ("boot", "船"), "boy": ("junge", "男孩"),
    "car": ("auto", "车"), "child": ("kind", "孩"), "children": ("kinder", "孩"), "dog": ("hund", "狗"),
    "dogs": ("hunde", "狗"), "field": ("feld|wiese", "田|场|草地"), "girl": ("mädchen", "女孩"),
    "grass": ("gras|wiese|rasen", "草"), "horse": ("pferd", "马"), "man": ("mann", "男人|男子"),
    "men": ("männer", "男人|男子"), "mountain": ("berg", "山"), "people": ("leute|menschen|personen", "人"),
    "pool": ("pool|becken", "池"), "rock": ("fels|stein", "岩|石"), "sand": ("sand", "沙"), "snow": ("schnee", "雪"),
    "street": ("straße", "街"), "water": ("wasser", "水"), "woman": ("frau", "女人|女子"),
}  # fmt: skip
"""English noun -> patterns that match its German and its Chinese translation."""
MAX_WORDS = 20
BLANKS = ("...", "[?]", "something", "")


@dataclass(frozen=True)
class Case:
    """A photo's caption with a masked noun. reference: the model's translation of the caption with nothing masked."""

    noun: str
    request: MaskedRequest
    reference: str

    def scores(self, translation: str) -> tuple[float, float]:
        """Whether the noun came back, 0 or 1, and the share of the other words of `reference` that did."""
        language = self.request.target
        noun = NOUNS[self.noun][language == "zh"]
        around = "" if language == "zh" else r"\w*"
        rest = Counter(_counted(re.sub(f"{around}(?:{noun}){around}", " ", self.reference.lower()), language))
        kept = rest & Counter(_counted(translation.lower(), language))
        return float(bool(re.search(noun, translation.lower()))), kept.total() / max(1, rest.total())


def _counted(text: str, language: str) -> list[str]:
    return [word.strip(".,") for word in words(text, language) if word[0].isalnum()]


def cases(host: Host, data: Path, target: str, n_cases: int) -> list[Case]:
    """One case per dev photo, where the model translates the noun when it is not masked. Raises DatasetMissing."""
    found: list[Case] = []
    for record in photos(data, "dev"):
        if len(found) == n_cases:
            break
        known = [
            (caption, noun)
            for caption in record.captions.get("en", ())
            for noun in words(caption.lower(), "en")
            if noun in NOUNS and len(caption.split()) <= MAX_WORDS
        ]
        if not known:
            continue
        caption, noun = known[len(found) % len(known)]
        unmasked = MaskedRequest(text=caption, target=target)
        reference = _translation(host, unmasked)
        at = frozenset(n for n, word in enumerate(words(caption.lower(), "en")) if word.rstrip(".,") == noun)
        case = Case(noun, replace(unmasked, hidden=at, photo=record.load()), reference)
        if case.scores(reference)[0]:
            found.append(case)
    return found


def measure(host: Host, found: Sequence[Case], weights: Sequence[float]) -> Iterator[Table]:
    """Yield the table after each case: by the text alone, with its own photo, and with another caption's photo."""
    others = [_other(found, n) for n in range(len(found))]
    sums: dict[tuple[str, ...], list[tuple[float, float]]] = {}
    for case, other in zip(found, others, strict=True):
        asked = case.request
        rows = {("text alone", blank): replace(asked, photo=None, blank=blank) for blank in BLANKS}
        for weight in weights:
            rows["its photo", f"{weight:g}"] = replace(asked, weight=weight)
            rows["another's photo", f"{weight:g}"] = replace(asked, weight=weight, photo=other.request.photo)
        for name, request in rows.items():
            sums.setdefault(name, []).append(case.scores(_translation(host, request)))
        yield _table(found[0].request.target, sums)


def _other(found: Sequence[Case], n: int) -> Case:
    """The next case with another noun."""
    turned = [*found[n + 1 :], *found[:n]]
    return next((case for case in turned if case.noun != found[n].noun), found[n])


def _table(target: str, sums: dict[tuple[str, ...], list[tuple[float, float]]]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for (what, how), scores in sums.items():
        back, kept = (sum(values) / len(scores) for values in zip(*scores, strict=True))
        rows.append((f"{what}, {how!r}" if what == "text alone" else f"{what}, weight {how}", back, kept, len(scores)))
    return Table(f"english to {target}", ("hidden noun", "came back %", "other words kept %", "sentences"), tuple(rows))


def _translation(host: Host, request: MaskedRequest) -> str:
    *_, last = stream(host, request)
    return last.text


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure on the dev photos of a folder; returns the exit code."""
    parser = argparse.ArgumentParser(description="Measure what a photo is worth to a masked translation.")
    parser.add_argument("--data", type=Path, required=True, help="folder in the shared layout: photos/, ...")
    parser.add_argument("--limit", type=int, default=100, metavar="N", help="sentences per language (default 100)")
    parser.add_argument("--targets", nargs="+", default=["de", "zh"], choices=("de", "zh"))
    parser.add_argument("--weights", nargs="+", type=float, default=[0.3, 0.5, 0.7, 0.9, 1.0], metavar="W")
    asked = parser.parse_args(arguments)
    host = open_host("builtin", Settings(device="cpu"))
    try:
        for target in asked.targets:
            found = cases(host, asked.data, target, asked.limit)
            for table in measure(host, found, asked.weights):
                print(f"\r{target}: {table.rows[0][-1]} of {len(found)}", end="", file=sys.stderr, flush=True)
            print("\r\x1b[K", end="", file=sys.stderr)
            print(f"{table_text(table)}\n", flush=True)
    except (UserError, DatasetMissing) as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        host.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
