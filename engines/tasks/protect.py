"""What a translation must carry over unchanged: markup, placeholders, addresses, numbers, dates, emoji, names.

`mask` replaces each such span of a text by one private-use character and keeps the span in the form it has in the
target language; `restore` puts it back. So a span is never cut, and the model never sees what it would not copy.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

SpanKind: TypeAlias = Literal["aside", "name", "place", "number", "price", "percent", "date", "time"]
"""What a span is in its sentence. aside: nothing, it stands beside the words (markup, emoji). name: any other text that
is copied. place: an address of the web."""
FIRST_MARK = 0xE000
"""The first character of Unicode's private-use area; the text's own ones are protected like anything else."""
MAX_SPANS = 6000
MARK = re.compile(rf"[{chr(FIRST_MARK)}-{chr(FIRST_MARK + MAX_SPANS - 1)}]")


@dataclass(frozen=True)
class Span:
    """Part of a text. source: as it stands there. written: as it stands in the translation."""

    kind: SpanKind
    source: str
    written: str


def _words(text: str) -> list[str]:
    return text.split()


_MONTHS = {
    "en": _words("January February March April May June July August September October November December"),
    "de": _words("Januar Februar März April Mai Juni Juli August September Oktober November Dezember"),
    "fr": _words("janvier février mars avril mai juin juillet août septembre octobre novembre décembre"),
}
_MONTH = {name.lower(): n for names in _MONTHS.values() for n, name in enumerate(names, 1)}
_ANY_MONTH = "|".join(sorted(map(re.escape, _MONTH), key=len, reverse=True))

_EMOJI = r"[\U0001F000-\U0001FAFF\u2600-\u27BF\u2B00-\u2BFF\u231A-\u23FF]"
_NUMBER = r"\d+(?:[.,'\u202f\u00a0]\d{3})+(?:[.,]\d+)?|\d{1,3}(?: \d{3})+(?!\d)(?:,\d+)?|\d+(?:[.,:]\d+)*"
_CURRENCY = "[$€£¥]"

_ASIDE = "|".join(
    (
        rf"[{chr(FIRST_MARK)}-\uf8ff]+",
        r"</?[A-Za-z][^<>\n]*>|<!--.*?-->|&(?:[A-Za-z]+|\#\d+|\#x[0-9A-Fa-f]+);",  # markup
        r"\\N|\{\\[^{}\n]*\}",  # of subtitles
        rf"(?:{_EMOJI}|[\U0001F1E6-\U0001F1FF])(?:[\uFE0F\u20E3\u200D\U0001F3FB-\U0001F3FF]|{_EMOJI})*",
    )
)
_COUNT = "|".join(
    (
        r"%[-+#0]*\d*(?:\.\d+)?[difgx](?![A-Za-z])",
        r"(?<![\w/])\d{1,4}/\d{1,4}(?![\w/])|(?<![\w.,-])\d+(?:-\d+)+(?![\w-]|[.,]\d)",  # 3/4, 24/7, 5-10, an ISBN
        r"(?<![\w.])\d+(?:\.\d+)?e[-+]?\d+(?!\w)|(?<!\w)0x[0-9a-f]+(?!\w)",
    )
)
"""Numbers that are copied as they are written."""
_PLACE = (
    r"(?:https?://|ftp://|www\.)[^\s<>\"'，。！？）\u4e00-\u9fff]*[^\s<>\"'.,;:!?)，。！？）\u4e00-\u9fff]"
    r"|(?<![\w.@-])[A-Za-z0-9-]+(?:\.[\w-]+)*\.(?:com|org|net|de|fr|cn|eu|io|edu|gov|uk)(?![\w@])(?:/[^\s<>\"']*[\w/])?"
)
_VERBATIM = "|".join(
    (
        r"\{\{[^{}\n]*\}\}|\$\{[^{}\n]*\}|\{[\w.:!,]*\}|%\(\w+\)[sdif]|%[-+#0]*\d*[sc@](?![A-Za-z])|%%",
        r"[A-Za-z0-9_.+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+",
        r"(?<![A-Za-z0-9_.-])[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*\."
        r"(?:txt|pdf|docx?|xlsx?|csv|json|py|zip|jpe?g|png|mp[34]|wav|html?|srt|vtt)(?![A-Za-z0-9_])",  # file
        r"(?<!\w)[@#][A-Za-z_]\w+",
        r"`[^`\n]+`",
        r"\bv?\d+\.\d+\.\d+(?:\.\d+)*(?::\d+)?\b",  # version, address
        r"(?<![A-Za-z\d+])(?:\+\d{1,3} |\(0\d+\) |0\d+[ /-])\d[\d -]{3,}\d|(?<![A-Za-z\d-])\d{3}-\d{4}(?![A-Za-z\d-])",
    )
)
_DATE = (
    r"(?P<y>\d{4})-(?P<m>\d{2})-(?P<d>\d{2})(?![\d-])|(?P<digits>\d{1,4}/\d{1,2}/\d{2,4})(?![\d/])"
    rf"|(?P<d2>\d{{1,2}})(?:st|nd|rd|th|er)?\.? (?:of )?(?P<n2>{_ANY_MONTH}),? (?P<y2>\d{{4}})"
    rf"|(?P<n3>{_ANY_MONTH}) (?P<d3>\d{{1,2}})(?:st|nd|rd|th)?,? (?P<y3>\d{{4}})"
    r"|(?P<y4>\d{4})年(?P<m4>\d{1,2})月(?P<d4>\d{1,2})日"
)
_CLOCK = (
    r"(?P<hour>\d{1,2})(?::|(?P<h> ?h ?)|\.(?=\d{2} ?(?:[ap]\.m\.|[ap]m\b|Uhr)))(?P<minute>\d{2})(?!\d)"
    r"(?: ?(?P<half>[ap])(?:\.m\.|m\b)|(?P<uhr> Uhr))?"
    r"|(?P<hour2>\d{1,2}) ?(?P<half2>[ap])(?:\.m\.|m\b)"
)
_AMOUNT = (
    rf"(?P<before>{_CURRENCY})\s?(?P<n5>{_NUMBER})"
    rf"|(?P<n6>{_NUMBER})\s?(?P<after>{_CURRENCY}|%(?!%))"
    rf"|(?<![A-Za-zÀ-ÿ\d])[+-]?(?P<n7>{_NUMBER})(?!\d|(?:st|nd|rd|th)\b)"
)
_SPAN = re.compile(
    rf"(?P<aside>{_ASIDE})|(?P<place>{_PLACE})|(?P<name>{_VERBATIM})"
    rf"|(?P<date>(?<!\d)(?:{_DATE}))|(?P<count>{_COUNT})|(?P<time>(?<![\d.:])(?:{_CLOCK}))|(?P<amount>{_AMOUNT})",
    re.IGNORECASE,
)

_LATIN = re.compile(r"[A-Za-zÀ-ÿ][A-Za-zÀ-ÿ'’-]*(?: [A-Za-zÀ-ÿ][A-Za-zÀ-ÿ'’-]*)*")
"""Words in Latin letters, which are copied where they stand in a Chinese text."""
_NAME = re.compile(r"(?<![\w'’])[A-ZÀ-Þ][a-zà-ÿ]+(?:[-'’][A-ZÀ-Þ][a-zà-ÿ]+)*(?: [A-ZÀ-Þ][a-zà-ÿ]+)*")
_BEGINS = re.compile(rf"(?:^|[.!?:;\"“«(\[])(?:\s|{MARK.pattern})*$")
"""What is before the first word of a sentence."""
_NO_NAMES = frozenset(_MONTH) | frozenset(
    _words("""
    i monday tuesday wednesday thursday friday saturday sunday lundi mardi mercredi jeudi vendredi samedi dimanche
    english german french chinese american british european spanish italian russian japanese indian african asian
    anglais allemand français chinois américain britannique europe asia africa america germany france china england
    britain italy spain russia japan india switzerland austria belgium netherlands greece turkey poland sweden norway
    denmark canada brazil mexico egypt allemagne chine angleterre italie espagne russie japon suisse autriche belgique
    grèce turquie pologne suède munich cologne vienna geneva zurich rome moscow beijing shanghai london brussels
    prague athens venice florence naples milan londres pékin vienne genève bruxelles christmas easter noël internet
    god mr mrs ms dr sir madam mom dad mother father uncle aunt the a an this that these those he she it we you they
    my your his her its our their there here when where what who why how if and but or so then yes no please le la les
    un une il yesterday today tomorrow tonight now often sometimes never always perhaps maybe however also only once
    after before because although while since during until hier demain elle nous vous ils elles je tu ce cette mon ma
    mes ton ta son sa notre votre et mais ou donc oui non
    """)
)
"""Capitalised words that are translated or begin a sentence, not names to carry over."""


_GERMAN_NAME = re.compile(
    r"(?:(?P<begins>^|[.!?:;\"„(\[]\s*)|(?<![\w'’])(?:mit|von|bei|namens|an|für|und|oder|zu|gegen|neben|hinter|ohne|als|heißt"
    r"|heiße|sah|traf|kennt|kenne|ist|war|dass|weil|wenn|ob|Herr|Frau|Herrn|Dr\.|Prof\.) )"
    r"(?P<name>[A-ZÄÖÜÀ-Þ][a-zßà-ÿ]+(?:-[A-ZÄÖÜÀ-Þ][a-zßà-ÿ]+)*(?: [A-ZÄÖÜÀ-Þ][a-zßà-ÿ]+(?:-[A-ZÄÖÜÀ-Þ][a-zßà-ÿ]+)*)+)"
)
"""Two capitalised words or more where German, which capitalises all nouns, seldom has two: at the beginning of a
sentence and after words that have no article between them and a name."""
_GERMAN_NO_NAMES = frozenset(
    _words("""
    der die das den dem des ein kein mein dein sein ihr unser euer am im in auf bei mit vor zum zur an aus nach unter
    über neben hinter zwischen während wenn als ob zwei drei vier fünf sechs sieben acht neun zehn dieser dieses jeder
    jedes
    gestern morgen und aber oder was wer wo wie ist hat hast hatte kann kannst hier da dort dann es er ich wir du guten
    vielen herzlichen alles lieber schönen kleiner kleines großer großes junger junges alter altes schwarzer schwarzes
    weißer weißes brauner braunes roter rotes blauer blaues grüner grünes gelber gelbes anderer mehrerer herr frau
    """)
)


def mask(text: str, source: str, target: str) -> tuple[str, list[Span]]:
    """A text with a mark, one private-use character, in place of each protected span; the spans by their marks."""
    spans: list[Span] = []

    def replaced(kind: SpanKind, before: str, written: str) -> str:
        if len(spans) == MAX_SPANS:
            return before
        spans.append(Span(kind, before, written))
        return chr(FIRST_MARK + len(spans) - 1)

    def found(match: re.Match[str]) -> str:
        if match["date"] is not None:
            return replaced("date", match[0], _date(match, target))
        if match["half2"] is not None and source != "en":  # "Gleis 5 am Montag": a number and a word
            return replaced("number", match["hour2"], match["hour2"]) + match[0].removeprefix(match["hour2"])
        if match["time"] is not None:
            return replaced("time", match[0], _clock(match, target))
        if match["amount"] is not None:
            sign = match["before"] or match["after"]
            kind: SpanKind = "number" if sign is None else "percent" if sign == "%" else "price"
            return replaced(kind, match[0], _amount(match, source, target))
        verbatim: tuple[SpanKind, ...] = ("aside", "place", "name")
        return replaced(next((kind for kind in verbatim if match[kind] is not None), "number"), match[0], match[0])

    masked = _SPAN.sub(found, text)
    if source in ("en", "fr"):
        masked = _NAME.sub(lambda match: _name(match, replaced), masked)
    if source == "de":
        masked = _GERMAN_NAME.sub(lambda match: _german_name(match, replaced), masked)
    if source == "zh":
        masked = _LATIN.sub(lambda match: replaced("name", match[0], match[0]), masked)
    return masked, spans


def restore(text: str, spans: Sequence[Span]) -> str:
    """Every mark as its span stands in the target language."""
    return MARK.sub(lambda match: spans[ord(match[0]) - FIRST_MARK].written, text)


def unmask(text: str, spans: Sequence[Span]) -> str:
    """Every mark as its span stood in the source."""
    return MARK.sub(lambda match: spans[ord(match[0]) - FIRST_MARK].source, text)


def _name(match: re.Match[str], replaced: Callable[[SpanKind, str, str], str]) -> str:
    """Capitalised words in the middle of a sentence, or several at its beginning, but no word that has a form of its
    own in other languages."""
    words, kept = match[0].split(" "), ""
    begins = _BEGINS.search(match.string[: match.start()]) is not None
    while words and (words[0].lower() in _NO_NAMES or (begins and len(words) == 1)):
        kept, begins = kept + words.pop(0) + " ", False
    tail = ""
    while words and words[-1].lower() in _NO_NAMES:
        tail = " " + words.pop() + tail
    if not words:
        return match[0]
    return kept + replaced("name", " ".join(words), " ".join(words)) + tail


def _german_name(match: re.Match[str], replaced: Callable[[SpanKind, str, str], str]) -> str:
    """At the beginning of a sentence neither an article nor an adjective ("Kleine Kinder") begins a name."""
    first = match["name"].split(" ")[0].lower()
    if first in _GERMAN_NO_NAMES or (match["begins"] is not None and first.endswith("e")):
        return match[0]
    before = match[0].removesuffix(match["name"])
    return before + replaced("name", match["name"], match["name"])


# --- the target's form -------------------------------------------------------------------------------------------


def _date(match: re.Match[str], target: str) -> str:
    """ "21 March 2024" as 21. März 2024, 21 mars 2024 or 2024年3月21日; what is written in numbers alone stays."""
    if match["y"] is not None or match["digits"] is not None:
        return match[0]
    year = next(int(match[name]) for name in ("y2", "y3", "y4") if match[name] is not None)
    day = next(int(match[name]) for name in ("d2", "d3", "d4") if match[name] is not None)
    month = int(match["m4"]) if match["m4"] is not None else _MONTH[(match["n2"] or match["n3"]).lower()]
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return match[0]
    if target == "zh":
        return f"{year}年{month}月{day}日"
    name = _MONTHS[target][month - 1]
    return f"{day}. {name} {year}" if target == "de" else f"{day} {name} {year}"


def _clock(match: re.Match[str], target: str) -> str:
    """ "3:45 pm" as 15:45 Uhr, 15 h 45 or 15:45, "3 pm" as 15 Uhr; what may be no time of day stays."""
    half = (match["half"] or match["half2"] or "").lower()
    hour, minute = int(match["hour"] or match["hour2"]), int(match["minute"] or 0)
    is_time = half or match["uhr"] or match["h"]
    if hour > 23 or minute > 59 or not is_time or (half and not 1 <= hour <= 12):
        return match[0]
    if half:
        hour = hour % 12 + (12 if half == "p" else 0)
    if target in ("en", "zh"):
        return f"{hour}:{minute:02}"
    minutes = f"{minute:02}" if minute or match["minute"] else ""
    if target == "fr":
        return f"{hour} h {minutes}".rstrip()
    return f"{hour}:{minutes} Uhr" if minutes else f"{hour} Uhr"


def _amount(match: re.Match[str], source: str, target: str) -> str:
    """A number with the target's points and commas, its currency or percent sign where the target has it."""
    written = next(match[name] for name in ("n5", "n6", "n7") if match[name] is not None)
    number = _number(written, source, target)
    sign = match["before"] or match["after"]
    if sign is None:
        return match[0].replace(written, number)
    if sign != "%" and target in ("en", "zh"):
        return sign + number
    return number + ("" if target in ("en", "zh") else "\u00a0") + sign


def _number(written: str, source: str, target: str) -> str:
    """ "1,250.50" as 1.250,50 or 1 250,50. A number whose points say nothing (a clock, a list) stays."""
    point, comma = (".", ",") if source in ("en", "zh") else (",", "." if source == "de" else "\u202f")
    plain = re.sub("[\u00a0 ]", comma, written) if source == "fr" else written
    grouped = re.fullmatch(rf"(\d{{1,3}}(?:{re.escape(comma)}\d{{3}})+|\d+)(?:{re.escape(point)}(\d+))?", plain)
    if grouped is None:
        return written
    to_point, to_comma = (".", ",") if target in ("en", "zh") else (",", "." if target == "de" else "\u202f")
    whole = grouped[1].replace(comma, to_comma)
    return whole + (to_point + grouped[2] if grouped[2] else "")
