"""Segments as subtitles and transcripts: txt, srt, vtt, tsv, json, lrc, ass.

WebVTT follows the W3C specification (2019), with cue timestamps for words. SubRip has no specification; players take
what is written here. tsv has the columns of openai/whisper (start and end in milliseconds). lrc is the lyrics format of
music players, with the <mm:ss.xx> marks of "enhanced" LRC for words. ass is Advanced SubStation Alpha v4.00+, with \\k
karaoke tags for words.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, TypeAlias, get_args

from engines.errors import RequestError
from engines.protocol import Segment, Word

Format: TypeAlias = Literal["srt", "vtt", "txt", "json", "tsv", "lrc", "ass"]
FORMATS: tuple[Format, ...] = get_args(Format)
Text: TypeAlias = Literal["original", "translation", "both"]
TEXTS: tuple[Text, ...] = get_args(Text)
TIMED_WORDS: tuple[Format, ...] = ("vtt", "lrc", "ass")
"""The formats that can light up each word as it is said."""

_SHORTEST_S = 0.1
"""A cue is shown at least this long; players skip or reject one without length."""
_ASS_HEAD = """[Script Info]
ScriptType: v4.00+
WrapStyle: 0
ScaledBorderAndShadow: yes
PlayResX: 1280
PlayResY: 720

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, Italic, Underline, \
StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, Alignment, MarginL, MarginR, MarginV, Encoding
Style: Default,Arial,44,&H00FFFFFF,&H0000C8FF,&H00000000,&H80000000,0,0,0,0,100,100,0,0,1,2.5,0,2,40,40,36,1

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
"""


@dataclass(frozen=True)
class Cue:
    """What is shown from start_s to end_s: one line, or the original above its translation. words: of the original,
    empty where the original is not shown or its words have no times."""

    start_s: float
    end_s: float
    lines: tuple[str, ...]
    words: tuple[Word, ...] = ()


def write(segments: Sequence[Segment], format: Format, *, text: Text = "original", words: bool = False) -> str:
    """The segments as the text of one file. text: what was said, its translation, or both, one above the other.
    words: mark when each word is said, in the formats that can (`TIMED_WORDS`).

    A segment without the text asked for is left out. JSON keeps everything: both texts, and each word with its times
    in seconds.
    """
    if format not in FORMATS:
        known = ", ".join(FORMATS)
        raise RequestError(
            "subtitle_format",
            "{format!r} is no subtitle format; choose one of {known}.",
            format=format,
            known=known,
        )
    if format == "json":
        return _json(segments)
    cues = [cue for cue in (_cue(segment, text) for segment in segments) if cue.lines]
    if not words:
        cues = [Cue(cue.start_s, cue.end_s, cue.lines) for cue in cues]
    if format == "txt":
        return _txt(cues, text)
    if format == "tsv":
        return _tsv(cues, text)
    writers: dict[Format, Callable[[Sequence[Cue]], str]] = {"srt": _srt, "vtt": _vtt, "lrc": _lrc, "ass": _ass}
    return writers[format](cues)


def _cue(segment: Segment, text: Text) -> Cue:
    lines = {"original": (segment.text,), "translation": (segment.translation,)}.get(
        text, (segment.text, segment.translation)
    )
    start_s = max(0.0, segment.start_s)
    kept = tuple(line for line in map(_one_line, lines) if line)
    words = segment.words if text != "translation" and segment.text.strip() else ()
    return Cue(start_s, max(segment.end_s, start_s + _SHORTEST_S), kept, words)


def _one_line(text: str) -> str:
    """An empty line or an arrow inside a cue would end it."""
    return " ".join(text.split()).replace("-->", "→")


# --- the formats -------------------------------------------------------------------------------------------------


def _txt(cues: Sequence[Cue], text: Text) -> str:
    between = "\n" if text == "both" else ""
    return between.join("".join(f"{line}\n" for line in cue.lines) for cue in cues)


def _srt(cues: Sequence[Cue]) -> str:
    blocks = []
    for n, cue in enumerate(cues, 1):
        times = f"{_time(cue.start_s, ',')} --> {_time(cue.end_s, ',')}"
        blocks.append("\n".join([str(n), times, *cue.lines]) + "\n")
    return "\n".join(blocks)


def _vtt(cues: Sequence[Cue]) -> str:
    blocks = ["WEBVTT\n"]
    for cue in cues:
        spoken = _marked(cue, lambda word: f"<{_time(word.start_s, '.')}>", _html, first=False)
        lines = [spoken, *map(_html, cue.lines[1:])]
        blocks.append("\n".join([f"{_time(cue.start_s, '.')} --> {_time(cue.end_s, '.')}", *lines]) + "\n")
    return "\n".join(blocks)


def _tsv(cues: Sequence[Cue], text: Text) -> str:
    columns = ["start", "end", "text", "translation"][: 4 if text == "both" else 3]
    rows = [[str(round(cue.start_s * 1000)), str(round(cue.end_s * 1000)), *cue.lines] for cue in cues]
    return "".join("\t".join([*row, *[""] * (len(columns) - len(row))]) + "\n" for row in [columns, *rows])


def _lrc(cues: Sequence[Cue]) -> str:
    lines = []
    for cue in cues:
        spoken = _marked(cue, lambda word: f"<{_lrc_time(word.start_s)}>", str, first=True)
        lines += [f"[{_lrc_time(cue.start_s)}]{line}\n" for line in (spoken, *cue.lines[1:])]
    return "".join(lines)


def _ass(cues: Sequence[Cue]) -> str:
    rows = []
    for cue in cues:
        line = "\\N".join([_karaoke(cue), *map(_ass_text, cue.lines[1:])])
        times = f"{_ass_time(cue.start_s)},{_ass_time(cue.end_s)}"
        rows.append(f"Dialogue: 0,{times},Default,,0,0,0,,{line}\n")
    return _ASS_HEAD + "".join(rows)


def _json(segments: Sequence[Segment]) -> str:
    rows = []
    for segment in segments:
        row = _json_part(segment)
        if segment.language:
            row["language"] = segment.language
        if segment.translation:
            row["translation"] = segment.translation
        if segment.translation_confidence is not None:
            row["translation_confidence"] = round(segment.translation_confidence, 3)
        if segment.words:
            row["words"] = [_json_part(word) for word in segment.words]
        rows.append(row)
    return json.dumps({"segments": rows}, ensure_ascii=False, indent=2) + "\n"


def _json_part(part: Segment | Word) -> dict[str, object]:
    row: dict[str, object] = {"start_s": round(part.start_s, 3), "end_s": round(part.end_s, 3), "text": part.text}
    if part.confidence is not None:
        row["confidence"] = round(part.confidence, 3)
    return row


# --- words and their times ---------------------------------------------------------------------------------------


def _marked(cue: Cue, mark: Callable[[Word], str], escape: Callable[[str], str], *, first: bool) -> str:
    """The first line with a mark before each word, before the first one too if `first`."""
    parts = _split(cue)
    marks = [mark(word) if n or first else "" for n, (word, _) in enumerate(parts)]
    return "".join(m + escape(part) for m, (_, part) in zip(marks, parts, strict=True)) or escape(cue.lines[0])


def _karaoke(cue: Cue) -> str:
    """The first line with a \\k tag before each word: how long it takes to be said, in hundredths of a second."""
    parts = _split(cue)
    if not parts:
        return _ass_text(cue.lines[0])
    starts_s = [cue.start_s, *(word.start_s for word, _ in parts[1:]), cue.end_s]
    tags = [f"{{\\k{max(0, round(100 * end_s) - round(100 * start_s))}}}" for start_s, end_s in pairwise(starts_s)]
    return "".join(tag + _ass_text(part) for tag, (_, part) in zip(tags, parts, strict=True))


def _split(cue: Cue) -> list[tuple[Word, str]]:
    """Each word with the part of the line that begins with it and ends before the next; nothing where the words are
    not those of the line."""
    line, starts = cue.lines[0], list[int]()
    for word in cue.words:
        at = line.find(_one_line(word.text), starts[-1] + 1 if starts else 0)
        if at < 0:
            return []
        starts.append(at)
    if not starts:
        return []
    starts[0] = 0  # a mark in front of the first word belongs to it
    ends = [*starts[1:], len(line)]
    return [(word, line[start:end]) for word, start, end in zip(cue.words, starts, ends, strict=True)]


# --- times and signs ---------------------------------------------------------------------------------------------


def _time(time_s: float, point: str) -> str:
    ms = round(time_s * 1000)
    return f"{ms // 3_600_000:02}:{ms // 60_000 % 60:02}:{ms // 1000 % 60:02}{point}{ms % 1000:03}"


def _ass_time(time_s: float) -> str:
    cs = round(time_s * 100)
    return f"{cs // 360_000}:{cs // 6000 % 60:02}:{cs // 100 % 60:02}.{cs % 100:02}"


def _lrc_time(time_s: float) -> str:
    cs = round(time_s * 100)
    return f"{cs // 6000:02}:{cs // 100 % 60:02}.{cs % 100:02}"


def _html(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _ass_text(text: str) -> str:
    """Braces would begin a tag and a backslash an escape: a word joiner after it keeps players from reading one."""
    return text.replace("\\", "\\\u2060").replace("{", "\\{").replace("}", "\\}")
