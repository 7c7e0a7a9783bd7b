"""Corrections of a finished result: the text of a caption or an answer; of a transcript a line's text, a line cut in
two, two made one, times moved, find and replace.

Those of a transcript are functions from segments to segments. Words that stay keep their times and what is known of
them; words that a person writes in their place share the time between the neighbours evenly.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from difflib import SequenceMatcher
from typing import Any, TypeAlias

from engines import AskResult, CaptionResult, RequestError, Result, Segment, TranscribeResult, Word

Segments: TypeAlias = tuple[Segment, ...]

UNJUDGED: dict[str, Any] = {"translation_confidence": None, "translation_unsure": False}
"""Of a translation that the model did not write."""
MAX_CHARACTERS = 5_000
"""Longest text of one line."""
_TOKEN = re.compile(r"[\u3400-\u9fff]|[^\s\u3400-\u9fff]+")
"""A Chinese character, or letters between blanks."""


def corrected(result: Result, asked: Mapping[str, Any]) -> Result:
    """The result after one correction, as the page sends it. What a person wrote is not judged. Raises RequestError."""
    match result:
        case TranscribeResult():
            return replace(result, segments=edited(result.segments, asked))
        case CaptionResult() | AskResult() if asked.get("edit") == "text":
            text = _written(asked, "text")
            if not text:
                raise RequestError("correction_empty", "Type a text; an empty one is not kept.")
            if text == result.text:
                return result
            unjudged: dict[str, Any] = {"unsure": False, "guesses": ()}
            unjudged["confidence"] = None if isinstance(result, CaptionResult) else 0.0
            return replace(result, text=text, **unjudged)
    raise _wrong()


def edited(segments: Segments, asked: Mapping[str, Any]) -> Segments:
    """The segments after one correction, as the page sends it: {"edit": name of it, ...}. Raises RequestError."""
    known: dict[object, Callable[[Segments, Mapping[str, Any]], Segments]] = {
        "text": _with_text,
        "translation": _with_translation,
        "split": _split,
        "join": _joined,
        "shift": _shifted,
        "replace": _replaced,
    }
    edit = known.get(asked.get("edit"))
    if edit is None:
        raise _wrong()
    return edit(segments, asked)


def _wrong() -> RequestError:
    return RequestError("transcript.edit", "This correction does not fit the result; load the page again.")


def _line(segments: Segments, asked: Mapping[str, Any]) -> int:
    n = asked.get("line")
    if type(n) is not int or not 0 <= n < len(segments):
        raise _wrong()
    return n


def _written(asked: Mapping[str, Any], name: str) -> str:
    text = asked.get(name)
    if not isinstance(text, str) or len(text) > MAX_CHARACTERS:
        raise _wrong()
    return " ".join(text.split())


def _with_text(segments: Segments, asked: Mapping[str, Any]) -> Segments:
    n, text = _line(segments, asked), _written(asked, "text")
    return (*segments[:n], _rewritten(segments[n], text), *segments[n + 1 :])


def _with_translation(segments: Segments, asked: Mapping[str, Any]) -> Segments:
    n, text = _line(segments, asked), _written(asked, "text")
    return (*segments[:n], replace(segments[n], translation=text, **UNJUDGED), *segments[n + 1 :])


def _rewritten(segment: Segment, text: str) -> Segment:
    if text == segment.text:
        return segment
    words = retimed(segment.words, text, segment.start_s, segment.end_s) if segment.words else ()
    return replace(segment, text=text, words=words, confidence=_mean_confidence(words))


def _split(segments: Segments, asked: Mapping[str, Any]) -> Segments:
    """Cut a line before character `at` of its text. The translation stays with the first part."""
    n, at = _line(segments, asked), asked.get("at")
    whole = segments[n]
    if type(at) is not int or not whole.text[:at].strip() or not whole.text[at:].strip():
        raise _wrong()
    texts = whole.text[:at].strip(), whole.text[at:].strip()
    words = whole.words and retimed(whole.words, " ".join(texts), whole.start_s, whole.end_s)
    n_first = len(_TOKEN.findall(texts[0]))
    first, second = words[:n_first], words[n_first:]
    share = whole.start_s + (whole.end_s - whole.start_s) * at / len(whole.text)
    ends_s, starts_s = (first[-1].end_s, second[0].start_s) if words else (share, share)
    parts = (
        replace(whole, end_s=ends_s, text=texts[0], words=first, confidence=_mean_confidence(first)),
        replace(
            whole,
            start_s=starts_s,
            text=texts[1],
            words=second,
            translation="",
            confidence=_mean_confidence(second),
            **UNJUDGED,
        ),
    )
    return (*segments[:n], *parts, *segments[n + 1 :])


def _joined(segments: Segments, asked: Mapping[str, Any]) -> Segments:
    """Make one line of a line and the one before it."""
    n = _line(segments, asked)
    if n == 0:
        raise _wrong()
    first, second = segments[n - 1 : n + 1]
    words = first.words + second.words if first.words and second.words else ()
    one = replace(
        first,
        end_s=max(first.end_s, second.end_s),
        text=_together(first.text, second.text),
        words=words,
        translation=_together(first.translation, second.translation),
        confidence=_mean_confidence(words),
    )
    return (*segments[: n - 1], one, *segments[n + 1 :])


def _together(first: str, second: str) -> str:
    chinese = bool(re.search(r"[\u3000-\u9fff\uff00-\uffef]$", first))
    return first + ("" if chinese or not first or not second else " ") + second


def _shifted(segments: Segments, asked: Mapping[str, Any]) -> Segments:
    """Move the times of one line, or of all where no line is named, by `seconds`; none becomes negative."""
    seconds = asked.get("seconds")
    if not isinstance(seconds, int | float) or not abs(seconds) < 86_400:
        raise _wrong()
    chosen = [_line(segments, asked)] if asked.get("line") is not None else range(len(segments))
    by_s = max(float(seconds), -min((segments[n].start_s for n in chosen), default=0.0))

    def moved(segment: Segment) -> Segment:
        words = tuple(replace(word, start_s=word.start_s + by_s, end_s=word.end_s + by_s) for word in segment.words)
        return replace(segment, start_s=segment.start_s + by_s, end_s=segment.end_s + by_s, words=words)

    return tuple(moved(segment) if n in chosen else segment for n, segment in enumerate(segments))


def _replaced(segments: Segments, asked: Mapping[str, Any]) -> Segments:
    """Put one text in place of another everywhere, in translations too; large and small letters are told apart."""
    find, new = asked.get("find"), asked.get("with")
    if not isinstance(find, str) or not isinstance(new, str) or max(len(find), len(new)) > MAX_CHARACTERS:
        raise _wrong()
    if not find:
        raise RequestError("transcript.find", "Type what to find first.")

    def mended(text: str) -> str:
        return " ".join(text.replace(find, new).split())

    if not any(find in text for segment in segments for text in (segment.text, segment.translation)):
        raise RequestError(
            "transcript.absent",
            "{find!r} does not occur here; large and small letters are told apart.",
            find=find,
        )
    return tuple(
        replace(_rewritten(segment, mended(segment.text)), translation=mended(segment.translation))
        for segment in segments
    )


# --- times of words ----------------------------------------------------------------------------------------------


def retimed(words: Sequence[Word], text: str, start_s: float, end_s: float) -> tuple[Word, ...]:
    """The words of a changed text with times: those that were there before keep theirs, those between two kept ones
    share the time between them."""
    old = [part for word in words for part in _tokens(word)]
    new = _TOKEN.findall(text)
    timed: list[Word | None] = [None] * len(new)
    matcher = SequenceMatcher(None, [_plain(word.text) for word in old], [_plain(token) for token in new], False)
    for a, b, size in matcher.get_matching_blocks():
        for i in range(size):
            timed[b + i] = replace(old[a + i], text=new[b + i])
    out: list[Word] = []
    while len(out) < len(new):
        kept = timed[len(out)]
        if kept is not None:
            out.append(kept)
            continue
        n = len(out)
        until = next((i for i in range(n, len(new)) if timed[i] is not None), len(new))
        after = timed[until] if until < len(new) else None
        begins = out[-1].end_s if out else start_s
        ends = max(begins, end_s if after is None else after.start_s)
        step = (ends - begins) / (until - n)
        out += [Word(begins + i * step, begins + (i + 1) * step, new[n + i]) for i in range(until - n)]
    return tuple(out)


def _tokens(word: Word) -> list[Word]:
    """A word as its tokens, which share its time evenly: one, but for Chinese words of several characters."""
    tokens = _TOKEN.findall(word.text)
    step = (word.end_s - word.start_s) / max(1, len(tokens))
    times = (word.start_s + i * step for i in range(len(tokens)))
    return [replace(word, start_s=at, end_s=at + step, text=token) for at, token in zip(times, tokens, strict=True)]


def _plain(token: str) -> str:
    return re.sub(r"\W", "", token).lower() or token


def _mean_confidence(words: Sequence[Word]) -> float | None:
    known = [word.confidence for word in words if word.confidence is not None]
    return sum(known) / len(known) if known else None
