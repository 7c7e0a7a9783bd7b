"""Text from one language into another, sentence by sentence, as it is written.

Numbers, addresses, placeholders, markup, emoji and names are carried over (`engines.tasks.carry`); ALL CAPS are
translated as small letters and given back as capitals; text in another script than the source language's is left as it
is.

The model is trained between English and each other language. Any other pair goes by way of English.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from engines import subtitle_files
from engines.encoder import MediaEncoder
from engines.protocol import LANGUAGES, Progress, TranslateRequest, TranslateResult
from engines.tasks import carry, doubt
from engines.tasks.carry import Draft
from engines.tasks.protect import FIRST_MARK, MARK, Span, mask, restore, unmask
from engines.text import fold, is_capitals, is_written_in, sentence_case

PIVOT = "en"
PAIRS = tuple(f"{source}-{target}" for source in LANGUAGES for target in LANGUAGES if source != target)
"""Every pair served, those by way of English among them."""
MAX_PIECES = 100
"""A longer sentence is cut at a comma or a space first: training saw few longer ones."""

_SENTENCE = re.compile(
    r".+?(?:[.!?…]+[\"'»“”’)\]]*(?=\s+[^\sa-zà-ÿ])|[。！？]+[”’」』）]*" + f"{MARK.pattern}*|$)", re.DOTALL
)
_ABBREVIATION = re.compile(r"(?:^|[\s(])(?:[A-Za-z]|Mr|Mrs|Ms|Dr|Prof|St|Nr|No|bzw|ca|vs|Mme|Mlle)\.$")


@dataclass(frozen=True)
class Translation:
    """A text as far as it is translated. share: which part of its source it covers, 0 to 1. drafts: of its sentences,
    those that are whole."""

    text: str
    share: float = 1.0
    drafts: tuple[Draft, ...] = ()


def stream(encoder: MediaEncoder, request: TranslateRequest) -> Iterator[TranslateResult]:
    """The translation as it grows; line breaks stay where they are. Subtitles are translated cue by cue."""
    found = Translation("")
    for found in of_text(encoder, request.text, request.source, request.target):
        progress = Progress("translating", found.share, 1.0)
        yield TranslateResult(request=request, text=found.text, progress=progress)
    judgement = doubt.translation(encoder, found.drafts)
    yield TranslateResult(
        request=request, text=found.text, confidence=judgement.confidence, unsure=judgement.unsure, end="finished"
    )


def growing(encoder: MediaEncoder, text: str, source: str, target: str) -> Iterator[Translation]:
    """The translation of a text as it grows; the last one is whole. The same language is a copy."""
    if source == target:
        yield Translation(text)
    else:
        yield from _of_lines(encoder, text, source, target)


def of_text(encoder: MediaEncoder, text: str, source: str, target: str) -> Iterator[Translation]:
    """A text, or the text of a subtitle file."""
    suffix = subtitle_files.form(text)
    if suffix is None:
        yield from _of_lines(encoder, text, source, target)
        return
    drafts: list[Draft] = []

    def of_cue(words: str) -> Iterator[str]:
        for found in _of_lines(encoder, words, source, target):
            yield found.text
        drafts.extend(found.drafts)

    for whole, share in subtitle_files.translated(text, suffix, source, target, of_cue):
        yield Translation(whole, share, tuple(drafts))


def _of_lines(encoder: MediaEncoder, text: str, source: str, target: str) -> Iterator[Translation]:
    joint = "" if target == "zh" else " "
    done, n_read, drafts = "", 0, list[Draft]()
    for n, line in enumerate(text.splitlines()):
        done += "\n" if n else ""
        masked, spans = mask(fold(line), source, target)
        if not is_written_in(MARK.sub("", masked), source):  # nothing to translate, or another language than said
            done, n_read = done + line, n_read + len(line)
            continue
        finished: list[str] = []
        for sentence in sentences(masked):
            for part in _parts(encoder, sentence):
                draft = Draft("")
                for draft in _carried(encoder, part, source, target, spans):
                    yield Translation(done + joint.join([*finished, draft.text]), min(n_read / len(text), 1.0))
                finished.append(draft.text)
                drafts.append(draft)
                n_read += len(part)
        done += joint.join(finished)
    yield Translation(done, 1.0, tuple(drafts))


# --- what is carried over ----------------------------------------------------------------------------------------


def _carried(encoder: MediaEncoder, part: str, source: str, target: str, spans: Sequence[Span]) -> Iterator[Draft]:
    """The translation of a part of a text whose protected spans are marks, with the spans in their places.

    Markup and emoji at either end are set aside.
    """
    before, core, after = _set_aside(part, spans)
    head, tail = restore(before, spans), restore(after, spans)
    if not is_written_in(MARK.sub("", core), source):
        yield Draft(head + unmask(core, spans) + tail)
        return
    shouts = is_capitals(MARK.sub("", core))
    for draft in _part(encoder, sentence_case(core) if shouts else core, spans, source, target):
        text = draft.text.upper() if shouts else draft.text
        yield replace(draft, text=head + restore(text, spans) + tail)


def _set_aside(part: str, spans: Sequence[Span]) -> tuple[str, str, str]:
    """Markup and emoji at the beginning and the end of a part, and what is between them."""
    marks = "".join({mark for mark in MARK.findall(part) if spans[ord(mark) - FIRST_MARK].kind == "aside"})
    core = part.strip(f" {marks}")
    start = part.index(core)
    return part[:start], core, part[start + len(core) :]


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


def _part(encoder: MediaEncoder, text: str, spans: Sequence[Span], source: str, target: str) -> Iterator[Draft]:
    """One sentence, by way of English where the pair was not trained; nothing of the English is shown."""
    if PIVOT not in (source, target):
        english = Draft("")
        for growing_english in carry.translated(encoder, text, spans, source, PIVOT):
            english = growing_english
            yield Draft("")
        text, source = english.text, PIVOT
    yield from carry.translated(encoder, text, spans, source, target)
