"""Files to take along: an answer as text; a run of the lab as its tables and curves for a spreadsheet, as JSON but for
its weights, or all of it, to be opened again.
"""

from __future__ import annotations

import csv
import io
import json
import math
import tempfile
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engines import AskResult, CaptionResult, TranslateResult
from engines.lab import Cell, Findings, name_of

SUFFIXES = {"csv": "csv", "json": "json", "run": "run.safetensors"}
"""The forms a run can take, and how the names of their files end."""
TOO_LARGE = ("weights", "pictures")
"""What JSON leaves out."""


def file_name(found: Findings, form: str) -> str:
    """What the file is called."""
    return f"{name_of(found.request)}-seed{found.request.seed}.{SUFFIXES[form]}"


def written_as(found: Findings, form: str) -> bytes | None:
    """A run that is over as the bytes of a file; None when it has no such form. Raises RequestError."""
    if form == "csv":
        return _csv(found).encode("utf-8-sig")  # the mark tells spreadsheets that Chinese is UTF-8
    if form == "json":
        kept = {each.name: getattr(found, each.name) for each in fields(found) if each.name not in TOO_LARGE}
        return json.dumps(plain({"experiment": name_of(found.request), **kept}), ensure_ascii=False).encode()
    if form == "run":
        from engines.lab import runs

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / file_name(found, form)
            runs.save(path, found)
            return path.read_bytes()
    return None


def plain(value: Any) -> Any:
    """A value in the words of JSON; null for what it has no number for."""
    if is_dataclass(value):
        return {each.name: plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, Mapping):
        return {name: plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _csv(found: Findings) -> str:
    """Every table, then every chart as rows of curve, x, y; an empty line between them."""
    parts: list[list[tuple[Cell, ...]]] = [[each.columns, *each.rows] for each in found.tables]
    for chart in found.charts:
        points = [(c.name, x, y) for c in chart.curves for x, y in zip(c.x, c.y, strict=True)]
        parts.append([(chart.key, chart.x, chart.y), *points])
    held = io.StringIO()
    rows = csv.writer(held)
    for n, part in enumerate(parts):
        rows.writerows([[]] * (n > 0))
        rows.writerows([harmless(cell) for cell in row] for row in part)
    return held.getvalue()


def as_text(result: CaptionResult | TranslateResult | AskResult) -> str:
    """What was answered; after an empty line the words that were read in the picture."""
    written = () if isinstance(result, TranslateResult) else result.written
    return "\n".join((result.text, *(("", *written) if written else ()), ""))


def harmless(cell: object) -> object:
    """A spreadsheet takes text that begins like this for a formula; an apostrophe keeps it text."""
    return f"'{cell}" if isinstance(cell, str) and cell[:1] in ("=", "+", "-", "@") else cell
