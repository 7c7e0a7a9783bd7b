"""Routes beside gradio's own: media, thumbnails and files to save, addressed by registry id only."""

from __future__ import annotations

import csv
import io
import itertools
import json
import mimetypes
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import Body, FastAPI, HTTPException, Query
from fastapi.responses import FileResponse, Response

from engines import (
    AskResult,
    CaptionResult,
    MapResult,
    Result,
    SearchResult,
    TranscribeResult,
    TranslateResult,
    UserError,
    subtitles,
    to_json,
)
from engines.index.history import History
from engines.lab.label_export import exported
from engines.lab.label_store import slug
from studio import exports, file_queue, map_view
from studio.keeper import Keeper
from studio.registry import DownloadRegistry, RunRegistry
from studio.tabs.speech import edits, view
from studio.thumbnails import MOST_WAVE_S, N_BARS, thumbnail, wave_svg, whole_wave

DAY = {"cache-control": "private, max-age=86400"}


def add_routes(app: FastAPI, downloads: DownloadRegistry, runs: RunRegistry, keeper: Keeper) -> None:
    """Add the routes to the page's server. keeper: keeps corrections too."""

    @app.get("/studio/file/{name}")
    def media(name: str) -> FileResponse:
        path = _path(downloads, name)
        kind = mimetypes.guess_type(path.name)[0] or ""
        if kind.split("/")[0] not in ("image", "audio", "video") or "svg" in kind:
            kind = "application/octet-stream"  # never as a page, which would run with our origin
        return FileResponse(path, media_type=kind, headers=DAY | {"x-content-type-options": "nosniff"})

    @app.get("/studio/thumb/{name}")
    def thumb(name: str, at: float = 0.0) -> Response:
        path = downloads.file(name)
        if path is None:
            raise HTTPException(404, "This file is gone.")
        return _thumb(path, at)

    @app.get("/studio/wave/{name}")
    def wave(name: str, duration: Annotated[float, Query(gt=0.0, le=MOST_WAVE_S)]) -> Response:
        try:
            drawn = whole_wave(_path(downloads, name), duration)
        except UserError as error:
            raise HTTPException(404, error.en) from None
        return Response(drawn, media_type="image/svg+xml", headers=DAY)

    @app.get("/studio/map/{name}.json")
    def map_of(name: str) -> dict[str, Any]:
        return map_view.as_json(_map(downloads, name))

    @app.get("/studio/map/{name}/{n}")
    def thumb_on_map(name: str, n: int) -> Response:
        points = _map(downloads, name).points
        if not 0 <= n < len(points):
            raise HTTPException(404, "There is no such file on the map.")
        return _thumb(points[n].path)

    @app.post("/studio/edit/{name}")
    def edit(name: str, asked: Annotated[dict[str, Any], Body()]) -> dict[str, str]:
        """Correct a result, and its entry in the history, which `asked` names; answers with the lines of a transcript
        as HTML."""
        result = downloads.result(name)
        if result is None:
            raise HTTPException(404, "This result is gone; run it again.")
        if asked.get("edit") == "undo":
            downloads.undo(name)
        else:
            try:
                corrected = edits.corrected(result, asked)
            except UserError as error:
                raise HTTPException(422, {"en": error.en, "zh": error.zh}) from None
            if corrected != result:
                downloads.correct(name, corrected)
        now = downloads.result(name)
        if now is not None and now != result:
            keeper.correct(asked.get("entry"), now)
        return {"html": view.rows(now.segments) if isinstance(now, TranscribeResult) else ""}

    _add_saves(app, downloads, runs)


def _add_saves(app: FastAPI, downloads: DownloadRegistry, runs: RunRegistry) -> None:
    """Files to take along: results, queues, label sets and Lab runs."""

    @app.get("/studio/save/{name}.{kind}")
    def save(name: str, kind: str, texts: subtitles.Text | None = None) -> Response:
        result = downloads.result(name)
        if result is None:
            raise HTTPException(404, "This result is gone; run it again.")
        written = written_as(result, kind, texts)
        if written is None:
            raise HTTPException(404, "There is no such format.")
        headers = {"content-disposition": f'attachment; filename="{saved_name(result)}.{kind}"'}
        media_type = "application/zip" if kind == "zip" else "text/plain; charset=utf-8"
        return Response(written, media_type=media_type, headers=headers)

    @app.get("/studio/files/{name}.{kind}")
    def files(name: str, kind: Literal["csv", "zip"]) -> Response:
        results = downloads.sheet(name)
        if results is None:
            raise HTTPException(404, "These results are gone; run them again.")
        written = file_queue.as_zip(results) if kind == "zip" else file_queue.as_csv(results).encode("utf-8-sig")
        media_type = "application/zip" if kind == "zip" else "text/csv; charset=utf-8"
        headers = {"content-disposition": f'attachment; filename="results.{kind}"'}
        return Response(written, media_type=media_type, headers=headers)

    @app.get("/studio/labels/{name}.zip")
    def labels(name: str) -> Response:
        found = downloads.labels(name)
        if found is None:
            raise HTTPException(404, "This label set is gone; open it again.")
        headers = {"content-disposition": f'attachment; filename="{slug(found.name)}.zip"'}
        return Response(exported(found), media_type="application/zip", headers=headers)

    @app.get("/studio/run/{name}.{form}")
    def run(name: str, form: str) -> Response:
        found = runs.get(name)
        if found is None:
            raise HTTPException(404, "This run is gone; run it again.")
        written = exports.written_as(found, form)
        if written is None:
            raise HTTPException(404, "There is no such format.")
        headers = {"content-disposition": f'attachment; filename="{exports.file_name(found, form)}"'}
        return Response(written, media_type="application/octet-stream", headers=headers)


def add_history(app: FastAPI, history: History) -> None:
    """Add the routes to what is kept: the thumbnail of an entry, and all results as one JSON object a line."""

    @app.get("/studio/history/{entry_id}/thumb")
    def thumb_of(entry_id: int) -> Response:
        kept = history.thumbnail(entry_id)
        if kept is None:
            raise HTTPException(404, "This result is no longer in the history.")
        picture, kind = kept
        return Response(picture, media_type=kind, headers=DAY | {"x-content-type-options": "nosniff"})

    @app.get("/studio/history.jsonl")
    def everything() -> Response:
        lines = [
            json.dumps(
                {"id": entry.id, "at": entry.at, "about": entry.about, **to_json(history.result(entry.id))},
                ensure_ascii=False,
            )
            for entry in reversed(history.find(n=-1))
        ]
        headers = {"content-disposition": 'attachment; filename="fusion-studio-history.jsonl"'}
        return Response("".join(f"{line}\n" for line in lines), media_type="application/x-ndjson", headers=headers)


def _path(downloads: DownloadRegistry, name: str) -> Path:
    path = downloads.file(name)
    if path is None or not path.is_file():
        raise HTTPException(404, "This file is gone.")
    return path


def _thumb(path: Path, at_s: float = 0.0) -> Response:
    try:
        picture, kind = thumbnail(path, at_s=at_s)
    except UserError:  # text, damaged, or deleted since: a flat line
        picture, kind = wave_svg([0.05] * N_BARS), "image/svg+xml"
    return Response(picture, media_type=kind, headers=DAY)


def _map(downloads: DownloadRegistry, name: str) -> MapResult:
    result = downloads.result(name)
    if not isinstance(result, MapResult):
        raise HTTPException(404, "This map is gone; draw it again.")
    return result


# --- files to save ---------------------------------------------------------------------------------------------------


def written_as(result: Result, kind: str, texts: subtitles.Text | None = None) -> str | bytes | None:
    """A result as the content of a file; None if it has no such format. texts: of a translated transcript, what was
    said, its translation or both; both unless given."""
    if kind == "json":
        return json.dumps(to_json(result), ensure_ascii=False, indent=2)
    if isinstance(result, TranscribeResult):
        return _transcript(result, kind, texts)
    if isinstance(result, CaptionResult | TranslateResult | AskResult) and kind == "txt":
        return exports.as_text(result)
    if isinstance(result, SearchResult) and kind == "csv":
        return _csv(result)
    if isinstance(result, MapResult) and kind == "csv":
        return _map_csv(result)
    return None


def _transcript(result: TranscribeResult, kind: str, texts: subtitles.Text | None) -> str | bytes | None:
    is_translated = any(segment.translation for segment in result.segments)
    if kind == "zip":
        return _every_format(result, subtitles.TEXTS if is_translated else ("original",))
    if kind not in subtitles.FORMATS:
        return None
    chosen = (texts or "both") if is_translated else "original"
    return subtitles.write(result.segments, kind, text=chosen)


def _every_format(result: TranscribeResult, texts: Sequence[subtitles.Text]) -> bytes:
    """A zip of all formats, one file for each of the texts; those that can light up words do."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as folder:
        for form, text in itertools.product((form for form in subtitles.FORMATS if form != "json"), texts):
            name = f"{saved_name(result)}{'' if text == 'original' else f'-{text}'}.{form}"
            folder.writestr(name, subtitles.write(result.segments, form, text=text, words=True))
        folder.writestr(f"{saved_name(result)}.json", json.dumps(to_json(result), ensure_ascii=False, indent=2))
    return packed.getvalue()


def _csv(result: SearchResult) -> str:
    table = io.StringIO()
    rows = csv.writer(table)
    rows.writerow(("file", "kind", "start_s", "end_s", "fit", "score", "why", "text"))
    for hit in result.hits:
        numbers = (hit.start_s, hit.end_s, round(hit.fit, 4), round(hit.score, 4))
        row = (hit.path.name, hit.kind, *numbers, " ".join(hit.why), hit.text)
        rows.writerow([exports.harmless(cell) for cell in row])
    return table.getvalue()


def _map_csv(result: MapResult) -> str:
    table = io.StringIO()
    rows = csv.writer(table)
    rows.writerow(("file", "kind", "x", "y", "cluster", "taken"))
    for point in result.points:
        place = round(point.x, 4), round(point.y, 4), result.clusters[point.cluster].en
        rows.writerow([exports.harmless(cell) for cell in (point.path.name, point.kind, *place, point.taken)])
    return table.getvalue()


def saved_name(result: Result) -> str:
    """A file name for a result, in ASCII letters that every system takes."""
    task = type(result).__name__.removesuffix("Result").lower()
    media = getattr(result.request, "media", None)
    stem = media.stem if isinstance(media, Path) else ""
    plain = "".join(sign for sign in stem if sign.isascii() and (sign.isalnum() or sign in "-_"))[:40]
    return f"{plain}-{task}" if plain else task
