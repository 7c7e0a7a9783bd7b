"""A sentence with marks (`engines.tasks.protect`) into another language, each mark carried over exactly once.

What stands for a noun, a number or a time is translated as a word that the model copies or knows ("Tom", "15",
"Monday"), and taken back after. Of the texts the beam ends with, the best that holds each of these words once is
taken; where none does, the sentence is written again with the words required. What stands beside the words, such as
markup and emoji, is left out and put where the words next to it are said (`engines.tasks.carry`); so is a word that
could not be required. `scripts/carry_over.py` measures all this.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from engines.decoding import DecodeOptions, generate
from engines.encoder import MediaEncoder
from engines.model.fusion import Stream, Translator
from engines.protocol import LANGUAGES
from engines.tasks.protect import FIRST_MARK, MARK, Span, SpanKind
from engines.text import tidy

BEAM = 4
N_REMEMBERED = 1000
"""Maximum sentences whose translations are cached; texts of programs and subtitles repeat themselves."""


@dataclass(frozen=True)
class StandIn:
    """A word that stands for a span. written: as it stands in each language. pattern: how it may appear in a
    translation."""

    written: dict[str, str]
    pattern: re.Pattern[str]


def _stand_in(texts: Sequence[str], pattern: str) -> StandIn:
    return StandIn(dict(zip(LANGUAGES, texts, strict=True)), re.compile(rf"(?<![^\W\u4e00-\u9fff])(?:{pattern})"))


_END = r"(?![^\W\u4e00-\u9fff])"
_NAMES = [("Tom", "汤姆"), ("Mary", "玛丽"), ("John", "约翰"), ("Nancy", "南希"), ("Bill", "比尔"), ("Jack", "杰克")]
_PLACES = [("Boston", "波士顿"), ("Paris", "巴黎"), ("London", "伦敦")]
_WEEKDAYS = [
    ("Monday", "Montag", "lundi", "星期一"),
    ("Sunday", "Sonntag", "dimanche", "星期天"),
    ("Friday", "Freitag", "vendredi", "星期五"),
]
_UNIT = r"(?:[.,]00)?(?:\s?(?:[Dd]ollars?|[Ee]uros?|美元|欧元|元|[$€]))?"
_PERCENT = r"\s?(?:%|percent|per cent|Prozent|pour cent)?"
_CLOCK = r"(?:\s?Uhr|\s?o'clock|\s?heures?)?"


def _numbers(numbers: Sequence[int]) -> list[StandIn]:
    return [_stand_in([str(n)] * 4, rf"{n}(?![\d:])") for n in numbers]


_NAMED = [_stand_in((name, name, name, chinese), f"(?:{name}{_END}|{chinese})") for name, chinese in _NAMES]
STAND_INS: dict[SpanKind, list[StandIn]] = {
    "name": _NAMED,
    "place": [_stand_in((name, name, name, zh), f"(?:{name}{_END}|{zh})") for name, zh in _PLACES] + _NAMED,
    "number": _numbers((15, 17, 18, 19, 14, 16, 25, 35)),
    "price": [
        _stand_in((f"{n} dollars", f"{n} Dollar", f"{n} dollars", f"{n}美元"), rf"[$€]?{n}{_UNIT}(?!\d)")
        for n in (12, 30, 40)
    ],
    "percent": [_stand_in([f"{n}%"] * 4, rf"{n}{_PERCENT}") for n in (20, 60, 90)],
    "time": [_stand_in([f"{n}:30"] * 4, rf"{n}\s?[:.h]\s?30{_CLOCK}") for n in (5, 7, 9)],
    "date": [_stand_in(day, "|".join(day) + ("|周" + day[3][2])) for day in _WEEKDAYS],
}
"""Words that the model copies or translates reliably, per kind of span."""


@dataclass(frozen=True)
class Draft:
    """A translation as far as it is written. mean_logprob: of its n_tokens, the end among them; None where nothing was
    translated. plain, of_plain: the translation with words in place of its marks, and its source likewise."""

    text: str
    mean_logprob: float | None = None
    n_tokens: int = 0
    plain: str = ""
    of_plain: str = ""


def translated(encoder: MediaEncoder, text: str, spans: Sequence[Span], source: str, target: str) -> Iterator[Draft]:
    """A sentence with marks, translated, as it grows; the last draft is whole and holds each mark once."""
    own = {mark: spans[ord(mark) - FIRST_MARK] for mark in MARK.findall(text)}
    stand_ins = _chosen(text, own)
    for chosen in (stand_ins, {}) if stand_ins else ({},):  # at last all marks are put beside the words
        filled, asides = _filled(text, own, chosen, source)
        for draft, right in _attempts(encoder, filled, list(chosen.values()), target):
            yield replace(draft, text=_with_marks(draft.plain, chosen))
            if right:
                whole = _insert(encoder, filled, draft.plain, asides, target) if asides else draft.plain
                yield replace(draft, text=_with_marks(whole, chosen))
                return


def _chosen(text: str, own: Mapping[str, Span]) -> dict[str, StandIn]:
    """Mark -> the word that stands for it, none of them in the text; marks that get none are put beside the words."""
    found: dict[str, StandIn] = {}
    for mark, span in own.items():
        for stand_in in STAND_INS.get(span.kind, []):
            if stand_in not in found.values() and not stand_in.pattern.search(text):
                found[mark] = stand_in
                break
    return found


def _with_marks(translation: str, stand_ins: Mapping[str, StandIn]) -> str:
    for mark, stand_in in stand_ins.items():
        translation = stand_in.pattern.sub(mark, translation)
    return translation


def _attempts(encoder: MediaEncoder, text: str, wanted: Sequence[StandIn], target: str) -> Iterator[tuple[Draft, bool]]:
    """Drafts of a sentence, and whether one is whole and holds each wanted word once; the second attempt requires them.

    A number beside those that were wanted is an invention.
    """
    key = target, text, *(word.written[target] for word in wanted)
    if key in encoder.sentences:
        yield encoder.sentences[key], True
        return
    tokenizer, model = encoder.tokenizer, encoder.model
    ids = tokenizer.encode(text)
    memory = model.fuse([Stream("text", *encoder.read(ids, translating=True))])
    prefix = torch.tensor([tokenizer.prefix("translate", target)])

    def draft(ids: Sequence[int], mean_logprob: float) -> Draft:
        return Draft("", mean_logprob, len(ids) + 1, tidy(tokenizer.decode(ids), target), text)

    for required in ((), tuple(_ids(encoder, word.written[target], target) for word in wanted)):
        opts = replace(options(len(ids)), beam=BEAM + sum(map(len, required)), required=required)
        for (hypothesis,) in generate(Translator(model), memory, prefix, tokenizer, opts):
            yield draft(hypothesis.ids, hypothesis.mean_logprob), False
        for found in (draft(*text) for text in hypothesis.alternatives):
            if _holds(found.plain, wanted):
                if len(encoder.sentences) >= N_REMEMBERED:
                    encoder.sentences.clear()
                encoder.sentences[key] = found
                yield found, True
                return


def _holds(text: str, wanted: Sequence[StandIn]) -> bool:
    if any(len(word.pattern.findall(text)) != 1 for word in wanted):
        return False
    for word in wanted:
        text = word.pattern.sub("", text)
    return not wanted or not any(c.isdigit() for c in text)


def _ids(encoder: MediaEncoder, word: str, target: str) -> tuple[int, ...]:
    """The tokens of a word inside a sentence: after a blank, but in Chinese."""
    tokenizer = encoder.tokenizer
    return tuple(
        tokenizer.encode("一" + word)[len(tokenizer.encode("一")) :] if target == "zh" else tokenizer.encode(word)
    )


def options(n_tokens: int) -> DecodeOptions:
    """How the translation of a sentence of n tokens is written.

    Twice as many tokens and a few is more than any fair translation takes; a rare Chinese character is three tokens, so
    runs of three may come twice.
    """
    return DecodeOptions(task="translate", beam=BEAM, max_new=2 * n_tokens + 24, length_penalty=1.0, no_repeat=4)


# --- marks beside the words --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Aside:
    """A mark that was left out of a sentence. anchor: the words it belongs to, in the sentence without it. before:
    whether it stands before them. spaced: whether a blank is between."""

    mark: str
    anchor: Place
    before: bool
    spaced: bool


def _filled(
    text: str, own: Mapping[str, Span], stand_ins: Mapping[str, StandIn], source: str
) -> tuple[str, list[_Aside]]:
    """A sentence with its stand-ins and without its other marks, and those marks with their anchors."""
    filled, found = "", list[tuple[str, int, str, str]]()
    for piece in re.split(f"({MARK.pattern})", text):
        if piece in stand_ins:
            filled += stand_ins[piece].written[source]
        elif piece in own:
            found.append((piece, len(filled), filled[-1:], ""))
        else:
            found = [(m, at, left, right or piece[:1]) for m, at, left, right in found]
            filled += piece.lstrip() if found and filled.endswith(" ") else piece
    return filled, [_aside(filled, n, found, own) for n in range(len(found))]


def _aside(filled: str, n: int, found: Sequence[tuple[str, int, str, str]], own: Mapping[str, Span]) -> _Aside:
    """The n-th of the marks left out: a pair of tags holds what is between them, an opening tag and what is written
    together with the next word belongs to that, everything else to the word before."""
    mark, at, left, right = found[n]
    tag = re.match(r"<(/?)(\w+)", own[mark].source)
    if tag is not None:
        other = f"<{tag[2]}" if tag[1] else f"</{tag[2]}"
        pairs = [(own[m].source.startswith(other), place) for m, place, *_ in (found[:n] if tag[1] else found[n + 1 :])]
        partners = [place for fits, place in pairs if fits]
        if partners:
            start, end = (partners[-1], at) if tag[1] else (at, partners[0])
            return _Aside(mark, (start, end), not tag[1], False)
    before = (
        (tag is not None and not tag[1]) or (left in ("", " ") and right not in ("", " ")) or not filled[:at].strip()
    )
    words = re.finditer(r"[\u4e00-\u9fff]{1,2}|[^\W\u4e00-\u9fff]+", filled)
    spans = [word.span() for word in words]
    near = [span for span in spans if (span[0] >= at if before else span[1] <= at)] or spans or [(0, len(filled))]
    return _Aside(mark, near[0] if before else near[-1], before, " " in ((right,) if before else (left,)))


def _insert(encoder: MediaEncoder, filled: str, translation: str, asides: Sequence[_Aside], target: str) -> str:
    """A translation with the marks that were left out of its source, where the words they belong to are said."""
    found = places(encoder, filled, translation, target, [aside.anchor for aside in asides])
    inserts = []
    for n, (aside, (start, end)) in enumerate(zip(asides, found, strict=True)):
        blank = " " if aside.spaced and target != "zh" else ""
        end = start + len(translation[start:end].rstrip(".,!?;:…。，！？；："))
        inserts.append((start, n, aside.mark + blank) if aside.before else (end, n, blank + aside.mark))
    for at, _, text in sorted(inserts, reverse=True):
        translation = translation[:at] + text + translation[at:]
    return translation


# --- which words say a part ------------------------------------------------------------------------------------------

# Occlusion (Zeiler and Fergus 2014) of the source's tokens: the words of a translation that become less likely when a
# part of its source is hidden say that part. The tokens are hidden from the text tower and the decoder alike, since a
# token's neighbours in context tell most of what it said. Axes: R parts, L tokens of the source, L' of the translation.

LEAST_DROP = 0.5
"""Log-probability that a word must lose. Of words that do not say the hidden part most lose less than a third."""
SHARE = 0.5
"""Words that lose this share of what the most affected word loses say the part too."""

Place = tuple[int, int]
"""Start and end of a part of a text, in characters."""


@torch.inference_mode()
def places(encoder: MediaEncoder, source: str, translation: str, target: str, parts: Sequence[Place]) -> list[Place]:
    """Where a translation says each of these parts of its source; in proportion where no word of it clearly does."""
    words = [match.span() for match in re.finditer(r"\S" if target == "zh" else r"\S+", translation)]
    tokenizer = encoder.tokenizer
    ids, written = tokenizer.encode(source), tokenizer.encode(translation)
    if not parts or not words or not ids:
        return [(0, len(translation))] * len(parts)
    ends, written_ends = ([len(tokenizer.decode(x[: n + 1])) for n in range(len(x))] for x in (ids, written))
    device = encoder.model.device
    masks = torch.ones(len(parts) + 1, len(ids), dtype=torch.bool, device=device)  # (R + 1, L); the last hides nothing
    for row, (start, end) in zip(masks, parts, strict=False):
        hidden = [s < end and e > start for s, e in zip([0, *ends[:-1]], ends, strict=True)]
        if not all(hidden):
            row &= ~torch.tensor(hidden, device=device)
    tokens = encoder.model.read(torch.tensor([ids], device=device).expand(len(masks), -1), masks, translating=True)
    memory = encoder.model.fuse([Stream("text", tokens, masks)])
    prefix = tokenizer.prefix("translate", target)
    sequence = torch.tensor([prefix + written], device=device).expand(len(masks), -1)
    logits = encoder.model.decode(sequence, memory, translating=True).float()
    log_probs = logits.log_softmax(-1)[:, len(prefix) - 1 : -1]
    said = log_probs.gather(2, sequence[:, len(prefix) :, None])[..., 0]
    drops = (said[-1] - said[:-1]).tolist()  # (R, L')
    found = []
    for (start, end), drop in zip(parts, drops, strict=True):
        lost = [
            sum(
                d
                for d, e, s in zip(drop, written_ends, [0, *written_ends], strict=False)
                if s < word[1] and e > word[0]
            )
            for word in words
        ]
        most = max(lost)
        if most >= LEAST_DROP:
            chosen = [word for word, d in zip(words, lost, strict=True) if d >= SHARE * most]
        else:
            middle = (start + end) / 2 / max(len(source), 1) * len(translation)
            chosen = [min(words, key=lambda word: abs(sum(word) / 2 - middle))]
        found.append((chosen[0][0], chosen[-1][1]))
    return found
