"""Files to save: results as text, tables, subtitles and zips; a run of the Lab as tables, as JSON or whole.

`result_as`, `results_as` and `run_as` give the content of a file, or None where there is no such format.
"""

from __future__ import annotations

import csv
import io
import json
import math
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from itertools import chain, product
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import numpy as np

from engines import (
    AskResult,
    CaptionResult,
    MapResult,
    Result,
    SearchResult,
    TranscribeResult,
    TranslateResult,
    subtitles,
    to_json,
)
from engines.lab import Findings, name_of

RUN_SUFFIXES = {"csv": "csv", "json": "json", "run": "run.safetensors"}
"""The formats of a Lab run, and how the names of their files end."""
TOO_LARGE = ("weights", "pictures")
"""What the JSON of a Lab run leaves out."""
XMP = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/">
<dc:description><rdf:Alt><rdf:li xml:lang="{language}">{text}</rdf:li></rdf:Alt></dc:description>
<dc:subject><rdf:Bag>{names}</rdf:Bag></dc:subject>
</rdf:Description></rdf:RDF></x:xmpmeta>
<?xpacket end="w"?>
"""
"""A sidecar as photo programs read it: Dublin Core in XMP (ISO 16684-1)."""


# --- one result ------------------------------------------------------------------------------------------------------


def result_as(result: Result, form: str, texts: subtitles.Text | None = None) -> str | bytes | None:
    """A result as a file. texts: of a translated transcript the original, its translation or both (also if None)."""
    match result:
        case _ if form == "json":
            return json.dumps(to_json(result), ensure_ascii=False, indent=2)
        case TranscribeResult():
            return _transcript(result, form, texts)
        case CaptionResult() | TranslateResult() | AskResult() if form == "txt":
            return as_text(result)
        case SearchResult() if form == "csv":
            return table(_hit_rows(result))
        case MapResult() if form == "csv":
            return table(_point_rows(result))
    return None


def result_name(result: Result) -> str:
    """A file name for a result, in ASCII letters that every system takes."""
    task = type(result).__name__.removesuffix("Result").lower()
    media = getattr(result.request, "media", None)
    stem = media.stem if isinstance(media, Path) else ""
    plain = "".join(sign for sign in stem if sign.isascii() and (sign.isalnum() or sign in "-_"))[:40]
    return f"{plain}-{task}" if plain else task


def as_text(result: CaptionResult | TranslateResult | AskResult) -> str:
    """The text of a result; after an empty line the words that were read in the picture."""
    written = () if isinstance(result, TranslateResult) else result.written
    return "\n".join((result.text, *(("", *written) if written else ()), ""))


def _transcript(result: TranscribeResult, form: str, texts: subtitles.Text | None) -> str | bytes | None:
    is_translated = any(segment.translation for segment in result.segments)
    if form == "zip":
        return zipped(_every_format(result, subtitles.TEXTS if is_translated else ("original",)))
    if form not in subtitles.FORMATS:
        return None
    return subtitles.write(result.segments, form, text=(texts or "both") if is_translated else "original")


def _every_format(result: TranscribeResult, texts: Sequence[subtitles.Text]) -> Iterator[tuple[str, str]]:
    """(Name, content) of a transcript in every format and text; with word times in the formats that have them."""
    for form, text in product((form for form in subtitles.FORMATS if form != "json"), texts):
        name = f"{result_name(result)}{'' if text == 'original' else f'-{text}'}.{form}"
        yield name, subtitles.write(result.segments, form, text=text, words=True)
    yield f"{result_name(result)}.json", json.dumps(to_json(result), ensure_ascii=False, indent=2)


def _hit_rows(result: SearchResult) -> Iterator[Sequence[object]]:
    yield "file", "kind", "start_s", "end_s", "fit", "score", "why", "text"
    for hit in result.hits:
        numbers = (hit.start_s, hit.end_s, round(hit.fit, 4), round(hit.score, 4))
        yield hit.path.name, hit.kind, *numbers, " ".join(hit.why), hit.text


def _point_rows(result: MapResult) -> Iterator[Sequence[object]]:
    yield "file", "kind", "x", "y", "cluster", "taken"
    for point in result.points:
        place = round(point.x, 4), round(point.y, 4), result.clusters[point.cluster].en
        yield point.path.name, point.kind, *place, point.taken


# --- the results of several files ------------------------------------------------------------------------------------


def results_as(results: Sequence[Result], form: str) -> bytes | None:
    """Several results as a table; or as a zip with the table and, for each file, what its result is usually saved as:
    the subtitles of a transcript; of a caption or an answer a text and an XMP sidecar."""
    rows = table(_result_rows(results)).encode("utf-8-sig")
    if form == "csv":
        return rows
    return zipped(_result_files(results, rows)) if form == "zip" else None


def _result_rows(results: Sequence[Result]) -> Iterator[Sequence[object]]:
    yield "file", "text", "translation", "confidence", "unsure", "names", "written"
    for result in results:
        confidence = getattr(result, "confidence", None)
        yield (
            *(_media_name(result), getattr(result, "text", ""), getattr(result, "translation", "")),
            *("" if confidence is None else round(confidence, 4), bool(getattr(result, "unsure", False))),
            "; ".join(name for name, _ in getattr(result, "names", ())),
            "\n".join(getattr(result, "written", ())),
        )


def _result_files(results: Sequence[Result], rows: bytes) -> Iterator[tuple[str, str | bytes]]:
    yield "results.csv", rows
    yield "results.json", json.dumps([to_json(result) for result in results], ensure_ascii=False)
    taken: set[str] = set()
    for result in results:
        name = _free(_media_name(result), taken)
        for suffix, content in _sidecars(result):
            yield f"{name}.{suffix}", content


def _sidecars(result: Result) -> Iterator[tuple[str, str]]:
    """(Suffix, content) of the files beside a result's media."""
    if isinstance(result, TranscribeResult):
        texts: Sequence[subtitles.Text] = subtitles.TEXTS if result.translation else ("original",)
        forms: tuple[subtitles.Format, ...] = ("srt", "vtt", "txt")
        for form, text in product(forms, texts):
            yield f"{'' if text == 'original' else f'{text}.'}{form}", subtitles.write(result.segments, form, text=text)
    if isinstance(result, CaptionResult | AskResult):
        answer = as_text(result)
        yield "txt", answer
        names = "".join(f"<rdf:li>{escape(name)}</rdf:li>" for name, _ in result.names)
        language = getattr(result.request, "language", "") or "x-default"
        yield "xmp", XMP.format(language=language, text=escape(answer.strip()), names=names)


def _media_name(result: Result) -> str:
    media = getattr(result.request, "media", None)
    return media.name if isinstance(media, Path) else "result"


def _free(name: str, taken: set[str]) -> str:
    """A name that no other file of the zip has."""
    stem, suffix = Path(name).stem, Path(name).suffix
    tries = chain([name], (f"{stem} ({n}){suffix}" for n in range(2, len(taken) + 3)))
    free = next(one for one in tries if one not in taken)
    taken.add(free)
    return free


# --- a run of the Lab ------------------------------------------------------------------------------------------------


def run_as(found: Findings, form: str) -> bytes | None:
    """A finished run as a file. Raises RequestError."""
    if form == "csv":
        return table(_run_rows(found)).encode("utf-8-sig")  # the mark tells spreadsheets that Chinese is UTF-8
    if form == "json":
        kept = {each.name: getattr(found, each.name) for each in fields(found) if each.name not in TOO_LARGE}
        return json.dumps(_json_value({"experiment": name_of(found.request), **kept}), ensure_ascii=False).encode()
    if form == "run":
        from engines.lab import runs

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / run_name(found, form)
            runs.save(path, found)
            return path.read_bytes()
    return None


def run_name(found: Findings, form: str) -> str:
    """What the file of a run is called."""
    return f"{name_of(found.request)}-seed{found.request.seed}.{RUN_SUFFIXES[form]}"


def _run_rows(found: Findings) -> Iterator[Sequence[object]]:
    """Every table, then every chart as rows of curve, x, y; an empty line between them."""
    parts: list[Sequence[Sequence[object]]] = [[each.columns, *each.rows] for each in found.tables]
    for chart in found.charts:
        points = [(c.name, x, y) for c in chart.curves for x, y in zip(c.x, c.y, strict=True)]
        parts.append([(chart.key, chart.x, chart.y), *points])
    for n, part in enumerate(parts):
        yield from [()] * (n > 0)
        yield from part


def _json_value(value: Any) -> Any:
    """A value as JSON has it; null for a number that JSON does not have."""
    if is_dataclass(value):
        return {each.name: _json_value(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, np.ndarray):
        return _json_value(value.tolist())
    if isinstance(value, Mapping):
        return {name: _json_value(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_json_value(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


# --- tables and zips -------------------------------------------------------------------------------------------------


def table(rows: Iterable[Sequence[object]]) -> str:
    """Rows as CSV. A spreadsheet takes text that begins like a formula for one; an apostrophe keeps it text."""
    held = io.StringIO()
    csv.writer(held).writerows(
        [f"'{cell}" if isinstance(cell, str) and cell[:1] in ("=", "+", "-", "@") else cell for cell in row]
        for row in rows
    )
    return held.getvalue()


def zipped(files: Iterable[tuple[str, str | bytes]]) -> bytes:
    """A zip of (name, content) pairs."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as folder:
        for name, content in files:
            folder.writestr(name, content)
    return held.getvalue()
