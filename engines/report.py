"""Results as plain values, for `--json` and for the studio's API: the same shape in both places."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from engines.errors import Message
from engines.protocol import Clip, IndexResult, Photo, Result, Sound, TranscribeResult

Plain = str | int | float | bool | None | list[Any] | dict[str, Any]
"""What JSON can hold."""


def to_json(result: Result, *, whole_paths: bool = False) -> dict[str, Any]:
    """A result as a dict of strings, numbers, lists and dicts, ready for `json.dumps`.

    `result` names the kind of result ("caption", "transcribe", ...). Files appear by their bare name and media in
    memory by their kind, so nothing here tells where a person keeps things; on the person's own machine `whole_paths`
    keeps paths as they are. Numbers are rounded to 4 places, vectors to 6.
    """
    fields = {field.name: _plain(getattr(result, field.name), whole_paths) for field in dataclasses.fields(result)}
    answer: dict[str, Any] = {"result": type(result).__name__.removesuffix("Result").lower(), **fields}
    if isinstance(result, TranscribeResult):  # whole texts are properties, and what most readers want
        answer |= {"text": result.text, "translation": result.translation}
    if isinstance(result, IndexResult):  # as callers have always had them
        answer["failures"] = [[name, reason.en] for name, reason in result.failures]
    return answer


def _plain(value: object, whole_paths: bool) -> Plain:
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, Path):
        return str(value) if whole_paths else value.name
    if isinstance(value, Photo | Sound | Clip):
        return type(value).__name__.lower()
    if isinstance(value, Message):
        return {"key": value.key, "en": value.en, "zh": value.zh}
    if isinstance(value, np.ndarray):
        return [round(float(number), 6) for number in value]
    if isinstance(value, frozenset | set):
        return sorted(str(item) for item in value)
    if isinstance(value, tuple | list):
        return [_plain(item, whole_paths) for item in value]
    if dataclasses.is_dataclass(value):
        # A bare name is a file, not a path; and gradio's client would try to fetch whatever is called "path".
        names = {field.name: "file" if field.name == "path" else field.name for field in dataclasses.fields(value)}
        return {shown: _plain(getattr(value, name), whole_paths) for name, shown in names.items()}
    raise TypeError(f"{type(value).__name__} has no plain form; teach it to engines/report.py")
