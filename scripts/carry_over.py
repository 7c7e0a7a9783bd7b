"""Measure what a translation must not change: is it carried over, and does the rest still make sense?

    python -m scripts.carry_over [--pairs en-de,de-en] [--n 500] [--seed 0] [--show 5]

Makes sentences with numbers, dates, times, prices, percentages, telephone numbers, URLs, e-mail addresses,
placeholders, markup, file names, emoji and names, each known in four languages, and translates them. Prints for each
pair:

* carried: the share of sentences in which each item stands exactly as often as it should, in the form of the target
  language, and which hold no other digit;
* chrF: of the translation to the one written by hand, both without their items;
* chrF without: of the translation of the same sentence that has no items ("many" for a number, "he" for a name), to
  the one written by hand: what the model can do with such a sentence.
"""

from __future__ import annotations

import argparse
import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import sacrebleu

from engines.hosts import open_host
from engines.protocol import LANGUAGES, Host, TranslateRequest, TranslateResult, run

PAIRS = ("en-de", "en-fr", "en-zh", "de-en", "fr-en", "zh-en", "de-fr")

Texts = Mapping[str, str]
"""Language -> text."""


@dataclass(frozen=True)
class Template:
    """A sentence in four languages. with_items: its {slots} are filled. without: the same without items."""

    with_items: Texts
    without: Texts


DATA: dict[str, Any] = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))
"""Sentences, each language's with and without items; items to fill in; the names of months."""
TEMPLATES = [
    Template({lang: both[0] for lang, both in row.items()}, {lang: both[1] for lang, both in row.items()})
    for row in DATA["sentences"]
]


def _alike(text: str) -> Texts:
    return dict.fromkeys(LANGUAGES, text)


def _number(whole: int, hundredths: int | None = None) -> Texts:
    """12345.50 as 12,345.50 or 12.345,50 or 12 345,50."""
    found = {}
    for language, comma, point in (("en", ",", "."), ("de", ".", ","), ("fr", "\u202f", ","), ("zh", ",", ".")):
        text = f"{whole:,}".replace(",", comma)
        found[language] = text if hundredths is None else f"{text}{point}{hundredths:02}"
    return found


def _price(rng: np.random.Generator) -> Texts:
    number, sign = _number(int(rng.integers(2, 9000)), int(rng.integers(0, 100))), str(rng.choice(["$", "€", "£"]))
    hard = "\u00a0"
    return {
        "en": sign + number["en"],
        "de": number["de"] + hard + sign,
        "fr": number["fr"] + hard + sign,
        "zh": sign + number["zh"],
    }


def _percent(rng: np.random.Generator) -> Texts:
    n = int(rng.integers(2, 99))
    return {"en": f"{n}%", "de": f"{n}\u00a0%", "fr": f"{n}\u00a0%", "zh": f"{n}%"}


def _date(rng: np.random.Generator) -> Texts:
    day, month, year = int(rng.integers(2, 29)), int(rng.integers(12)), int(rng.integers(1950, 2031))
    months = DATA["months"]
    if rng.random() < 0.2:
        return _alike(f"{year}-{month + 1:02}-{day:02}")
    return {
        "en": f"{day} {months['en'][month]} {year}",
        "de": f"{day}. {months['de'][month]} {year}",
        "fr": f"{day} {months['fr'][month]} {year}",
        "zh": f"{year}年{month + 1}月{day}日",
    }


def _time(rng: np.random.Generator) -> Texts:
    hour, minute = int(rng.integers(0, 24)), int(rng.integers(0, 12)) * 5
    return _alike(f"{hour}:{minute:02}")


def items(rng: np.random.Generator) -> dict[str, Texts]:
    """One item for every slot."""

    choices: dict[str, list[Any]] = DATA["items"]

    def one(kind: str) -> Texts:
        return _alike(str(rng.choice(choices[kind])))

    name, other = (str(name) for name in rng.choice(choices["names"], 2, replace=False))
    count, more = (int(n) for n in rng.choice(np.arange(2, 100), 2, replace=False))
    opening, closing = choices["tags"][int(rng.integers(len(choices["tags"])))]
    whole = int(10 ** rng.uniform(0.5, 5))
    return {
        "name": _alike(name),
        "other": _alike(other),
        "place": one("places"),
        "number": _number(whole, int(rng.integers(1, 100)) if whole < 1000 and rng.random() < 0.3 else None),
        "count": _number(count),
        "more": _number(more),
        "price": _price(rng),
        "percent": _percent(rng),
        "date": _date(rng),
        "time": _time(rng),
        "url": one("urls"),
        "mail": one("mails"),
        "file": one("files"),
        "phone": one("phones"),
        "placeholder": one("placeholders"),
        "emoji": one("emoji"),
        "open": _alike(opening),
        "close": _alike(closing),
    }


@dataclass(frozen=True)
class Sentence:
    """text: with its items, in the source language. without: the same without. reference, reference_without: in the
    target language. wanted: the items in their target form, as often as each must stand in the translation."""

    text: str
    without: str
    reference: str
    reference_without: str
    wanted: tuple[str, ...]


def sentences(rng: np.random.Generator, n: int, source: str, target: str) -> list[Sentence]:
    found = []
    for i in range(n):
        template, filling = TEMPLATES[i % len(TEMPLATES)], items(rng)
        text, reference = (_filled(template.with_items[lang], filling, lang) for lang in (source, target))
        slots = re.findall(r"\{(\w+)\}", template.with_items[source])
        wanted = tuple(filling[slot][target] for slot in slots)
        found.append(Sentence(text, template.without[source], reference, template.without[target], wanted))
    return found


def _filled(text: str, filling: Mapping[str, Texts], language: str) -> str:
    return re.sub(r"\{(\w+)\}", lambda slot: filling[slot[1]][language], text)


def rest(text: str, wanted: tuple[str, ...]) -> tuple[bool, str]:
    """Whether each item stands in a text exactly once and no digit does beside them, and the text without them."""
    right = True
    for item in sorted(wanted, key=len, reverse=True):
        right &= text.count(item) >= 1
        text = text.replace(item, " ", 1)
    right &= not any(item in text for item in wanted) and not any(c.isdigit() for c in text)
    return right, re.sub(r"\s+([.,!?;])", r"\1", " ".join(text.split()))


def measure(translate: Callable[[str], str], made: list[Sentence], target: str, show: int) -> tuple[float, ...]:
    """(carried %, chrF, chrF without) of one pair; prints some sentences and all that lost something."""
    own, own_without, right, carried = [], [], [], 0
    known: dict[str, str] = {}  # there are only as many sentences without items as templates
    for n, sentence in enumerate(made):
        written = translate(sentence.text)
        fine, text = rest(written, sentence.wanted)
        carried += fine
        own.append(text)
        right.append(rest(sentence.reference, sentence.wanted)[1])
        if sentence.without not in known:
            known[sentence.without] = translate(sentence.without)
        own_without.append(known[sentence.without])
        if n < show or not fine:
            print(f"{'  ' if fine else '! '}{sentence.text} -> {written}", flush=True)
    order = 0 if target == "zh" else 2  # chrF++ where words have blanks between them

    def chrf(texts: list[str], references: list[str]) -> float:
        return float(sacrebleu.corpus_chrf(texts, [references], word_order=order).score)

    without = [sentence.reference_without for sentence in made]
    return 100.0 * carried / len(made), chrf(own, right), chrf(own_without, without)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", default=",".join(PAIRS))
    parser.add_argument("--n", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--show", type=int, default=0, help="sentences of each pair that are printed")
    parser.add_argument("--model", default="builtin")
    args = parser.parse_args()
    host = open_host(args.model)
    try:
        print(
            "| pair | sentences | carried | chrF | chrF without items | seconds a sentence |\n|---|---|---|---|---|---|"
        )
        for pair in args.pairs.split(","):
            source, target = pair.split("-")
            made = sentences(np.random.default_rng(args.seed), args.n, source, target)
            started = time.process_time()
            figures = measure(partial(_translated, host, source, target), made, target, args.show)
            seconds = (time.process_time() - started) / len(made)
            columns = " | ".join(f"{figure:.1f}" for figure in figures)
            print(f"| {pair} | {len(made)} | {columns} | {seconds:.2f} |", flush=True)
    finally:
        host.close()


def _translated(host: Host, source: str, target: str, text: str) -> str:
    result = run(host, TranslateRequest(text=text, source=source, target=target))
    assert isinstance(result, TranslateResult)
    return result.text


if __name__ == "__main__":
    main()
