"""Segments as SubRip (srt), WebVTT (vtt), plain text (txt) or JSON.

The cues follow the WebVTT specification (W3C, 2019); SubRip has none, players take what is written here.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Literal, TypeAlias, get_args

from engines.errors import RequestError
from engines.protocol import Segment

Format: TypeAlias = Literal["srt", "vtt", "txt", "json"]
FORMATS: tuple[Format, ...] = get_args(Format)

_SHORTEST_S = 0.1
"""A cue is shown at least so long; one without length would never be seen, and some players reject the file."""


def write(segments: Sequence[Segment], format: Format, *, translation: bool = False) -> str:
    """The segments as one file's text; `translation` writes what was translated in place of what was said.

    Segments without text are left out. JSON keeps everything: both texts, and each word with its times in seconds.
    """
    if format == "json":
        return _json(segments)
    cues = [(segment, _text(segment, translation)) for segment in segments]
    cues = [(segment, text) for segment, text in cues if text]
    if format == "txt":
        return "".join(f"{text}\n" for _, text in cues)
    if format == "srt":
        blocks = [f"{n}\n{_span(segment, ',')}\n{text}\n" for n, (segment, text) in enumerate(cues, 1)]
        return "\n".join(blocks)
    if format == "vtt":
        return "\n".join(["WEBVTT\n", *(f"{_span(segment, '.')}\n{_escaped(text)}\n" for segment, text in cues)])
    known = ", ".join(FORMATS)
    raise RequestError(
        f"{format!r} is no subtitle format; choose one of {known}.", f"没有 {format!r} 字幕格式，可选：{known}。"
    )


def _text(segment: Segment, translation: bool) -> str:
    """One line: an empty line or an arrow inside a cue would end it."""
    text = segment.translation if translation else segment.text
    return " ".join(text.split()).replace("-->", "→")


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _span(segment: Segment, point: str) -> str:
    start_s = max(0.0, segment.start_s)
    return f"{_time(start_s, point)} --> {_time(max(segment.end_s, start_s + _SHORTEST_S), point)}"


def _time(time_s: float, point: str) -> str:
    ms = round(time_s * 1000)
    return f"{ms // 3_600_000:02}:{ms // 60_000 % 60:02}:{ms // 1000 % 60:02}{point}{ms % 1000:03}"


def _json(segments: Sequence[Segment]) -> str:
    rows = []
    for segment in segments:
        row = {"start_s": round(segment.start_s, 3), "end_s": round(segment.end_s, 3), "text": segment.text}
        if segment.translation:
            row["translation"] = segment.translation
        if segment.words:
            row["words"] = [
                {"start_s": round(word.start_s, 3), "end_s": round(word.end_s, 3), "text": word.text}
                for word in segment.words
            ]
        rows.append(row)
    return json.dumps({"segments": rows}, ensure_ascii=False, indent=2) + "\n"
