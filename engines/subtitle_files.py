"""Subtitle files (srt, vtt, ass, lrc) put into another language: what is read changes, times and styles do not.

A file is cut into what stays as it is, byte for byte, and the texts of its cues. A sentence that goes on over several
cues is translated as a whole, and the translation shared out over them by length, at words and rather at commas.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

SUFFIXES = (".srt", ".vtt", ".ass", ".lrc")
Translate = Callable[[str], Iterator[str]]
"""A text into its translation as it grows; the last one is whole."""

LINE_WIDTH = 42
"""Letters of a line, as broadcasters rule; a Chinese sign counts two. A longer translation is broken into two lines."""
MAX_JOINED = 600
"""Letters of cues that are taken for one text at most."""

_TIMES = re.compile(r"[\d:.,]+[ \t]+-->[ \t]+[\d:.,]+.*")
_LYRIC = re.compile(r"((?:\[\d+:\d+(?:[.:]\d+)?\])+)(.*)")
_WORD_TIMES = re.compile(r"<\d+:[\d:.]+>|\{\\[kK][of]?\d+\}")
"""Marks of when each word is said; those words do not stand in a translation."""
_ENDS = re.compile(r"[.!?…。！？♪\])][\"'»“”’)\]」』]*$")
_SENTENCE = re.compile(r".+?(?:[.!?…]+[\"'»“”’)\]]*(?=\s|$)|[。！？]+[”’」』）]*|$)", re.DOTALL)


@dataclass(frozen=True)
class Part:
    """A piece of a file. cue: whether it is the text of a cue, to be translated."""

    text: str
    cue: bool


def form(text: str) -> str | None:
    """The suffix of the subtitle format a text is in, None for any other text."""
    start = text.lstrip("\ufeff \r\n")
    if start.startswith("WEBVTT"):
        return ".vtt"
    if start.startswith("[Script Info]"):
        return ".ass"
    if re.match(r"\d+[ \t]*\r?\n[ \t]*\d+:\d+:\d+[,.]\d+[ \t]+-->", start):
        return ".srt"
    lines = [line for line in start.splitlines() if line.strip()]
    return ".lrc" if any(map(_LYRIC.fullmatch, lines)) and all(line.startswith("[") for line in lines) else None


def parts(text: str, suffix: str) -> list[Part]:
    """A subtitle file cut into the texts of its cues and everything else; joined they are the file."""
    found: list[Part] = []
    cue: list[str] = []
    in_cue = False

    def end_cue() -> None:
        if cue:
            whole = "".join(cue)
            words = whole.rstrip("\r\n")
            found.extend((Part(words, cue=True), Part(whole[len(words) :], cue=False)))
            cue.clear()

    for line in text.splitlines(keepends=True):
        bare = line.rstrip("\r\n")
        if suffix == ".ass":
            n_before = 9 if bare.startswith("Dialogue:") else len(bare)
            head, *words = bare.split(",", n_before) if n_before == 9 else (bare,)
            if len(words) == 9:
                found.append(Part(",".join([head, *words[:8], ""]), cue=False))
                found.extend((Part(words[8], cue=True), Part(line[len(bare) :], cue=False)))
                continue
        elif suffix == ".lrc":
            lyric = _LYRIC.fullmatch(bare)
            if lyric is not None:
                found.extend((Part(lyric[1], cue=False), Part(lyric[2], cue=True), Part(line[len(bare) :], cue=False)))
                continue
        elif in_cue and bare.strip():
            cue.append(line)
            continue
        end_cue()
        in_cue = _TIMES.fullmatch(bare.strip()) is not None
        found.append(Part(line, cue=False))
    end_cue()
    return [part for part in found if part.text]


def translated(text: str, suffix: str, source: str, target: str, translate: Translate) -> Iterator[tuple[str, float]]:
    """A subtitle file in another language as far as it is done, and which part of it that is, 0 to 1."""
    found = parts(text, suffix)
    places = [n for n, part in enumerate(found) if part.cue and part.text.strip()]
    written = [part.text for part in found]
    n_done = 0
    for group in _groups([_words(found[n].text, suffix) for n in places], source):
        own = places[n_done : n_done + len(group)]
        for texts in _together(group, source, target, translate):
            for n, translation in zip(own, texts, strict=True):
                written[n] = _lines(translation, found[n].text, suffix, target)
            yield "".join(written), n_done / len(places)
        n_done += len(group)
    yield "".join(written), 1.0


def _words(cue: str, suffix: str) -> str:
    """What is read of a cue, in one line; what different people say, each after a dash, in one line each."""
    text = _WORD_TIMES.sub("", cue)
    lines = re.split(r"\\[Nn]" if suffix == ".ass" else r"\r?\n", text)
    talk = all(re.match(r"\s*[-–]", line) for line in lines) and len(lines) > 1
    return ("\n" if talk else " ").join(" ".join(line.split()) for line in lines)


def _groups(texts: Sequence[str], source: str) -> Iterator[list[str]]:
    """Texts of cues, those together over which a sentence goes on."""
    group: list[str] = []
    for text in texts:
        if group and not (_goes_on(group[-1], text, source) and sum(map(len, [*group, text])) <= MAX_JOINED):
            yield group
            group = []
        group.append(text)
    if group:
        yield group


def _goes_on(before: str, after: str, source: str) -> bool:
    if "\n" in before + after or _ENDS.search(before):
        return False
    first = next((c for c in re.sub(r"<[^>]*>|\{[^}]*\}", "", after) if not c.isspace()), "")
    return before.rstrip().endswith((",", "，", "、", ";", "；")) or (source != "zh" and first.islower())


def _together(group: Sequence[str], source: str, target: str, translate: Translate) -> Iterator[list[str]]:
    """The translations of the cues of a group as they grow, sentence by sentence."""
    joint = "" if source == "zh" else " "
    gap = "" if target == "zh" else " "
    whole = joint.join(group)
    ends = list(accumulate(len(text) + len(joint) for text in group))  # of each cue in the whole
    texts = [""] * len(group)
    for match in _SENTENCE.finditer(whole) if len(group) > 1 else (re.match(r"(?s).*", whole),):
        if match is None or not match[0].strip():
            continue
        before = list(texts)
        cues = [n for n, end in enumerate(ends) if end > match.start() and (ends[n - 1] if n else 0) < match.end()]
        edges = [min(ends[n], match.end()) - match.start() for n in cues]
        for translation in translate(match[0].strip()):
            shares = split(translation, [edge / edges[-1] for edge in edges[:-1]], target)
            for n, share in zip(cues, shares, strict=True):
                texts[n] = before[n] + (gap if before[n] and share else "") + share
            yield list(texts)


def split(text: str, edges: Sequence[float], language: str) -> list[str]:
    """A text cut at these shares of its length, 0 to 1, but between words, and rather after a comma or the like."""
    ends = [match.end() for match in re.finditer(r"." if language == "zh" else r"\S+\s*", text, re.DOTALL)]
    cuts = [0]
    for edge in edges:
        left = [end for end in ends if cuts[-1] < end < len(text)]
        aim = edge * len(text)

        def cost(end: int, aim: float = aim) -> float:
            return abs(end - aim) - (8 if re.search(r"[,;:.!?，；：。！？、]\s*$", text[:end]) else 0)

        cuts.append(min(left, key=cost) if left else len(text))
    return [text[start:end].strip() for start, end in zip(cuts, [*cuts[1:], len(text)], strict=True)]


def _lines(translation: str, cue: str, suffix: str, target: str) -> str:
    """A translation as the text of a cue: in two lines where it is long, none that would end the cue."""
    text = translation.replace("-->", "→")
    width = len(re.sub(r"<[^>]*>|\{[^}]*\}", "", text)) * (2 if target == "zh" else 1)
    if suffix == ".lrc":
        return " ".join(text.split())
    if "\n" not in text and width > LINE_WIDTH:
        text = "\n".join(line for line in split(text, [0.5], target) if line)
    new_line = "\\N" if suffix == ".ass" else "\r\n" if "\r\n" in cue else "\n"
    return new_line.join(line for line in text.splitlines() if line.strip())
