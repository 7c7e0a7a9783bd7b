"""Translate a sentence some words of which are masked, with a photo as context.

    for result in stream(host, MaskedRequest(text="A dog on a beach.", hidden=frozenset({1}), photo=Path("dog.jpg"))):
        print(result.text)

The decoder is `engines.lab.product_of_experts`; importing this module loads no torch. What a photo is worth is measured
on photos that were not trained on:

    python -m engines.lab.masked_translation --data DATA
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from engines.archives import MissingPart, photos
from engines.errors import AbilityError, RequestError, UserError
from engines.hosts import open_host
from engines.lab.findings import Cell, Table
from engines.lab.report import text as table_text
from engines.protocol import Cancel, Host, Media, Result
from engines.settings import Settings

PAIRS = ("en-de", "en-zh", "de-en", "zh-en")
"""What is translated in one step, into a language that photos are captioned in."""
BLANK = "..."
"""Stands for hidden words, however many."""
WEIGHT = 0.8
MAX_CHARACTERS = 300


@dataclass(frozen=True, kw_only=True)
class MaskedRequest:
    """Translate a sentence some words of which are hidden. Raises RequestError.

    hidden: places among `words(text, source)`. photo: what may help, None for the text alone. weight: its say, 0 to 1.
    """

    text: str
    source: str = "en"
    target: str = "de"
    hidden: frozenset[int] = frozenset()
    photo: Media | None = None
    weight: float = WEIGHT
    blank: str = BLANK

    def __post_init__(self) -> None:
        n_words = len(words(self.text, self.source))
        if n_words == 0:
            raise RequestError("masking_no_sentence", "Type a sentence first, or let the photo be described.")
        if len(self.text) > MAX_CHARACTERS:
            raise RequestError(
                "masking_too_long",
                "The sentence has {n} characters; at most {at_most} are taken here.",
                n=len(self.text),
                at_most=MAX_CHARACTERS,
            )
        if f"{self.source}-{self.target}" not in PAIRS:
            known = ", ".join(PAIRS)
            raise RequestError(
                "masking_pair_unknown",
                "{source}-{target} is not translated here; choose one of {known}.",
                source=self.source,
                target=self.target,
                known=known,
            )
        if not self.hidden <= set(range(n_words)):
            raise RequestError("masking_no_such_word", "There are {n} words; hide some of those.", n=n_words)
        if len(self.hidden) == n_words:
            raise RequestError("masking_all_hidden", "Leave at least one word to translate.")
        if not 0.0 <= self.weight <= 1.0:
            raise RequestError("weight_out_of_range", "The weight is {weight}; it is 0 to 1.", weight=self.weight)

    @property
    def shown(self) -> str:
        """What is left of the sentence."""
        found = [
            re.sub(r"\w(.*\w)?", self.blank, word) if n in self.hidden else word
            for n, word in enumerate(words(self.text, self.source))
        ]
        joined = ("" if self.source == "zh" else " ").join(found)
        blank = re.escape(self.blank)
        return re.sub(rf"{blank}( ?{blank})+", self.blank, joined) if blank else " ".join(joined.split())


def words(text: str, language: str) -> tuple[str, ...]:
    """What can be hidden one by one: words with the marks that follow them, in Chinese characters."""
    if language == "zh":
        return tuple(re.findall(r"[a-zA-Z0-9]+|\S", text))
    return tuple(re.sub(r"\s+([.,!?;:])", r"\1", text).split())


@dataclass(frozen=True)
class Part:
    """A word of a translation, in Chinese a piece; with the space before it.

    share: the part of its probability that would be gone without the photo, 0 to 1.
    """

    text: str
    share: float = 0.0


@dataclass(frozen=True, kw_only=True)
class MaskedResult(Result):
    """text: the translation as far as it is written. parts: the same with what is owed to the photo, at the end."""

    request: Any
    text: str = ""
    parts: tuple[Part, ...] = ()


def stream(host: Host, request: MaskedRequest, cancel: Cancel | None = None) -> Iterator[MaskedResult]:
    """The translation as it grows. Raises AbilityError for any but the built-in model."""
    from engines.hosts.builtin import BuiltinHost
    from engines.lab.product_of_experts import write

    if not isinstance(host, BuiltinHost):
        raise AbilityError(
            "masking_unable",
            "{name} cannot write by text and photo at once; give the built-in model a task under Models.",
            name=host.info.name,
        )
    return host.perform(write, MaskedResult, request, cancel)


# --- what a photo is worth -------------------------------------------------------------------------------------------

NOUNS = {
    "ball": ("ball", "球"), "beach": ("strand", "海滩|沙滩"), "boat": ("boot", "船"), "boy": ("junge", "男孩"),
    "car": ("auto", "车"), "child": ("kind", "孩"), "children": ("kinder", "孩"), "dog": ("hund", "狗"),
    "dogs": ("hunde", "狗"), "field": ("feld|wiese", "田|场|草地"), "girl": ("mädchen", "女孩"),
    "grass": ("gras|wiese|rasen", "草"), "horse": ("pferd", "马"), "man": ("mann", "男人|男子"),
    "men": ("männer", "男人|男子"), "mountain": ("berg", "山"), "people": ("leute|menschen|personen", "人"),
    "pool": ("pool|becken", "池"), "rock": ("fels|stein", "岩|石"), "sand": ("sand", "沙"), "snow": ("schnee", "雪"),
    "street": ("straße", "街"), "water": ("wasser", "水"), "woman": ("frau", "女人|女子"),
}  # fmt: skip
"""English noun: what of its German, and of its Chinese, shows that it came back."""
MAX_WORDS = 20
HIDDEN_BY = ("...", "[?]", "something", "")


@dataclass(frozen=True)
class Case:
    """A caption of a photo, a noun of it hidden. whole: its translation by the model when nothing is."""

    noun: str
    request: MaskedRequest
    whole: str

    def scores(self, translation: str) -> tuple[float, float]:
        """Whether the noun came back, 0 or 1, and which share of the other words of `whole` did."""
        language = self.request.target
        noun = NOUNS[self.noun][language == "zh"]
        around = "" if language == "zh" else r"\w*"
        rest = Counter(_counted(re.sub(f"{around}(?:{noun}){around}", " ", self.whole.lower()), language))
        kept = rest & Counter(_counted(translation.lower(), language))
        return float(bool(re.search(noun, translation.lower()))), kept.total() / max(1, rest.total())


def _counted(text: str, language: str) -> list[str]:
    return [word.strip(".,") for word in words(text, language) if word[0].isalnum()]


def cases(host: Host, data: Path, target: str, n_cases: int) -> list[Case]:
    """One of each dev photo, as far as the model translates the noun when it is there. Raises MissingPart."""
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
        whole = MaskedRequest(text=caption, target=target)
        translated = _asked(host, whole)
        at = frozenset(n for n, word in enumerate(words(caption.lower(), "en")) if word.rstrip(".,") == noun)
        case = Case(noun, replace(whole, hidden=at, photo=record.load()), translated)
        if case.scores(translated)[0]:
            found.append(case)
    return found


def measure(host: Host, found: Sequence[Case], weights: Sequence[float]) -> Iterator[Table]:
    """How often a hidden noun comes back by the text alone, with the photo, and with another sentence's photo; the
    table so far after each case, and which share of the other words stays as it was."""
    others = [_other(found, n) for n in range(len(found))]
    sums: dict[tuple[str, ...], list[tuple[float, float]]] = {}
    for case, other in zip(found, others, strict=True):
        asked = case.request
        rows = {("text alone", blank): replace(asked, photo=None, blank=blank) for blank in HIDDEN_BY}
        for weight in weights:
            rows["its photo", f"{weight:g}"] = replace(asked, weight=weight)
            rows["another's photo", f"{weight:g}"] = replace(asked, weight=weight, photo=other.request.photo)
        for name, request in rows.items():
            sums.setdefault(name, []).append(case.scores(_asked(host, request)))
        yield _table(found[0].request.target, sums)


def _other(found: Sequence[Case], n: int) -> Case:
    """The next case that lost another noun."""
    turned = [*found[n + 1 :], *found[:n]]
    return next((case for case in turned if case.noun != found[n].noun), found[n])


def _table(target: str, sums: dict[tuple[str, ...], list[tuple[float, float]]]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for (what, how), scores in sums.items():
        back, kept = (sum(values) / len(scores) for values in zip(*scores, strict=True))
        rows.append((f"{what}, {how!r}" if what == "text alone" else f"{what}, weight {how}", back, kept, len(scores)))
    return Table(f"english to {target}", ("hidden noun", "came back %", "other words kept %", "sentences"), tuple(rows))


def _asked(host: Host, request: MaskedRequest) -> str:
    *_, last = stream(host, request)
    return last.text


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure on the dev photos of a folder; gives the exit code."""
    parser = argparse.ArgumentParser(
        "engines.lab.masked_translation", description="What a photo is worth to a masked sentence."
    )
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
    except (UserError, MissingPart) as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        host.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
