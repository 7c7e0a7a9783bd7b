"""Text from one language into another, sentence by sentence, as it is written.

Numbers, addresses, markup, emoji and names are carried over (`engines.tasks.protect`); ALL CAPS are translated as small
letters and given back as capitals; text in another script than the source language's is left as it is.

The model is trained between English and each other language. Any other pair goes by way of English.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

import torch

from engines.decoding import DecodeOptions, generate
from engines.encoder import MediaEncoder
from engines.model.fusion import Stream
from engines.protocol import LANGUAGES, Progress, TranslateRequest, TranslateResult
from engines.tasks.protect import FIRST_MARK, MARK, Span, mask, restore, unmask
from engines.text import fold, is_capitals, is_written_in, sentence_case

PIVOT = "en"
PAIRS = tuple(f"{source}-{target}" for source in LANGUAGES for target in LANGUAGES if source != target)
"""Every pair served, those by way of English among them."""
MAX_PIECES = 100
"""A longer sentence is cut at a comma or a space first: training saw few longer ones."""
BEAM = 4

NAMES = {"Tom": "汤姆", "Mary": "玛丽", "John": "约翰", "Nancy": "南希", "Bill": "比尔", "Jack": "杰克"}
"""Names the model copies, and how it writes them in Chinese; they stand for what it would not copy."""
NUMBERS = ("15", "17", "18", "19", "14", "16", "25", "35")

_SENTENCE = re.compile(r".+?(?:[.!?…]+[\"'»“”’)\]]*(?=\s+[^\sa-zà-ÿ])|[。！？]+[”’」』）]*|$)", re.DOTALL)
_ABBREVIATION = re.compile(r"(?:^|[\s(])(?:[A-Za-z]|Mr|Mrs|Ms|Dr|Prof|St|Nr|No|bzw|ca|vs|Mme|Mlle)\.$")


def stream(encoder: MediaEncoder, request: TranslateRequest) -> Iterator[TranslateResult]:
    """The translation as it grows; line breaks stay where they are."""
    text = ""
    for text, share in _growing(encoder, request.text, request.source, request.target):
        yield TranslateResult(request=request, text=text, progress=Progress("translating", share, 1.0))
    yield TranslateResult(request=request, text=text, end="finished")


def growing(encoder: MediaEncoder, text: str, source: str, target: str) -> Iterator[str]:
    """The translation of a text as it grows; the last one is whole. The same language is a copy."""
    if source == target:
        yield text
        return
    for translation, _ in _growing(encoder, text, source, target):
        yield translation


def _growing(encoder: MediaEncoder, text: str, source: str, target: str) -> Iterator[tuple[str, float]]:
    """The translation so far, and which part of the text it covers, 0 to 1."""
    joint = "" if target == "zh" else " "
    done, n_read = "", 0
    for n, line in enumerate(text.splitlines()):
        done += "\n" if n else ""
        masked, spans = mask(fold(line), source, target)
        if not is_written_in(MARK.sub("", masked), source):  # nothing to translate, or another language than said
            done, n_read = done + line, n_read + len(line)
            continue
        finished: list[str] = []
        for sentence in sentences(masked):
            for part in _parts(encoder, sentence):
                translation = ""
                for translation in _carried(encoder, part, source, target, spans):
                    yield done + joint.join([*finished, translation]), min(n_read / len(text), 1.0)
                finished.append(translation)
                n_read += len(part)
        done += joint.join(finished)
    yield done, 1.0


# --- what is carried over ----------------------------------------------------------------------------------------


def _carried(encoder: MediaEncoder, part: str, source: str, target: str, spans: Sequence[Span]) -> Iterator[str]:
    """The translation of a part of a text whose protected spans are marks, with the spans in their places.

    Marks at either end are set aside. Those between words are translated as names and numbers that the model copies;
    where it does not copy each of them once, the text between them is translated piece by piece.
    """
    before, core, after = _set_aside(part, spans)
    head, tail = restore(before, spans), restore(after, spans)
    if not is_written_in(MARK.sub("", core), source):
        yield head + unmask(core, spans) + tail
        return
    shouts = is_capitals(MARK.sub("", core))
    plain = sentence_case(core) if shouts else core

    def shown(translation: str) -> str:
        return head + restore(translation.upper() if shouts else translation, spans) + tail

    stand_ins = _stand_ins(plain, spans)
    if stand_ins is not None:
        translation = ""
        for translation in _part(encoder, MARK.sub(lambda mark: stand_ins[mark[0]], plain), source, target):
            yield shown(_put_back(translation, stand_ins, target))
        if all(len(_rendered(name, target).findall(translation)) == 1 for name in stand_ins.values()):
            return
    pieces = ""
    for piece in re.split(f"({MARK.pattern})", plain):
        translation = piece
        if is_written_in(MARK.sub("", piece), source):
            for translation in _piece(encoder, piece, source, target):
                yield shown(pieces + translation)
        pieces += translation
    yield shown(pieces)


def _set_aside(part: str, spans: Sequence[Span]) -> tuple[str, str, str]:
    """Markup, emoji and the like at the beginning and the end of a part, and what is between them."""
    marks = {mark for mark in MARK.findall(part) if spans[ord(mark) - FIRST_MARK].kind == "verbatim"}
    aside = re.compile(f"(?:[{''.join(marks)}]|\\s)*") if marks else re.compile(r"\s*")
    before = aside.match(part)
    start = before.end() if before is not None else 0
    end = len(part)
    while end > start and (part[end - 1] in marks or part[end - 1].isspace()):
        end -= 1
    return part[:start], part[start:end], part[end:]


def _stand_ins(text: str, spans: Sequence[Span]) -> dict[str, str] | None:
    """Mark -> a name or number that stands for it, none of them in the text already; None if there are too many."""
    found: dict[str, str] = {}
    free = {
        kind: [word for word in words if not re.search(rf"\b{word}\b", text)]
        for kind, words in (("number", NUMBERS), ("name", list(NAMES)))
    }
    for mark in MARK.findall(text):
        kind = "number" if spans[ord(mark) - FIRST_MARK].kind == "number" else "name"
        if not free[kind]:
            return None
        found[mark] = free[kind].pop(0)
    return found


def _rendered(name: str, target: str) -> re.Pattern[str]:
    """How a stand-in appears in a translation."""
    if target != "zh":
        return re.compile(rf"(?<!\w){name}(?!\w)")
    return re.compile(rf"(?<![A-Za-z\d]){name}(?![A-Za-z\d])|{NAMES.get(name, name)}")


def _put_back(translation: str, stand_ins: Mapping[str, str], target: str) -> str:
    """A translation with marks in place of its stand-ins."""
    for mark, name in stand_ins.items():
        translation = _rendered(name, target).sub(mark, translation)
    return translation


def _piece(encoder: MediaEncoder, piece: str, source: str, target: str) -> Iterator[str]:
    """A piece of a sentence as it grows: with its own blanks at both ends, no stop where it has none."""
    core = piece.strip()
    start = piece.index(core)
    ends = core[-1] in ".!?。！？"
    for translation in _part(encoder, core, source, target):
        text = translation if ends else translation.rstrip(" .!?。！？")
        if core[0].islower() and target != "de":
            text = text[:1].lower() + text[1:]
        yield piece[:start] + text + piece[start + len(core) :]


# --- sentences and parts -----------------------------------------------------------------------------------------


def sentences(line: str) -> list[str]:
    """A line cut after full stops, exclamation and question marks, but not after "Dr." or an initial."""
    found: list[str] = []
    for match in _SENTENCE.finditer(line):
        if found and _ABBREVIATION.search(found[-1]):
            found[-1] += match[0]
        else:
            found.append(match[0])
    return [sentence.strip() for sentence in found if sentence.strip()]


def _parts(encoder: MediaEncoder, sentence: str) -> list[str]:
    """A sentence in parts of at most `MAX_PIECES`, cut at the comma, else the space, nearest to the middle."""
    if len(encoder.tokenizer.encode(sentence)) <= MAX_PIECES:
        return [sentence]
    middle = len(sentence) // 2
    for mark in ("[,;:，；：、]", r"\s", "(?=.)"):
        ends = [match.end() for match in re.finditer(mark, sentence) if 0 < match.end() < len(sentence)]
        if ends:
            cut = min(ends, key=lambda end: abs(end - middle))
            return _parts(encoder, sentence[:cut].strip()) + _parts(encoder, sentence[cut:].strip())
    return [sentence]


def _part(encoder: MediaEncoder, text: str, source: str, target: str) -> Iterator[str]:
    """One sentence, by way of English where the pair was not trained; nothing of the English is shown."""
    if PIVOT not in (source, target):
        english = ""
        for growing_english in _direct(encoder, text, PIVOT):
            english = growing_english
            yield ""
        text = english
    yield from _direct(encoder, text, target)


def _direct(encoder: MediaEncoder, text: str, target: str) -> Iterator[str]:
    model, tokenizer = encoder.model, encoder.tokenizer
    ids = tokenizer.encode(text)
    memory = model.fuse([Stream("text", *encoder.read(ids))])
    prefix = torch.tensor([tokenizer.prefix("translate", target)])
    for (hypothesis,) in generate(model, memory, prefix, tokenizer, options(len(ids))):
        yield tokenizer.decode(hypothesis.ids)


def options(n_pieces: int) -> DecodeOptions:
    """How the translation of a sentence of so many pieces is written.

    Twice as many pieces and a few is more than any fair translation takes; a rare Chinese character is three pieces, so
    runs of three may come twice.
    """
    return DecodeOptions(task="translate", beam=BEAM, max_new=2 * n_pieces + 24, length_penalty=1.0, no_repeat=4)
