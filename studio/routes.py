"""Routes beside gradio's own: media, thumbnails and files to save, addressed by registry id only."""

from __future__ import annotations

import asyncio
import json
import mimetypes
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import anyio
import anyio.to_thread
from fastapi import Body, FastAPI, HTTPException, Query, Request
from fastapi.responses import FileResponse, Response

from engines import Cancelled, MapResult, TranscribeResult, UserError, subtitles, to_json
from engines.index.history import LAB, Entry, History
from engines.lab import Findings
from engines.lab.label_store import exported, slug
from engines.media.child import Stop, current_stop
from studio import exports
from studio.history_recorder import HistoryRecorder
from studio.registry import DownloadRegistry, Registry
from studio.tabs.search import map_view
from studio.tabs.speech import edits, view
from studio.thumbnails import MOST_WAVE_S, N_BARS, thumbnail, wave_svg, whole_wave

DAY = {"cache-control": "private, max-age=86400"}
N_PICTURES = 4
"""Pictures of files made at a time, so slow ones leave the server's other threads to other routes."""
LOOK_S = 0.25
"""Seconds between two looks at whether whoever asked for a picture is still there."""
SAFE = DAY | {"x-content-type-options": "nosniff"}

Value = TypeVar("Value")


def add_routes(app: FastAPI, downloads: DownloadRegistry, runs: Registry[Findings], recorder: HistoryRecorder) -> None:
    """Add the routes to the page's server, those to the history where there is one. recorder: keeps corrections too."""
    if recorder.history is not None:
        _add_history(app, recorder.history)
    pictures = anyio.CapacityLimiter(N_PICTURES)

    @app.get("/studio/file/{name}")
    def media(name: str) -> FileResponse:
        path = _path(downloads, name)
        kind = mimetypes.guess_type(path.name)[0] or ""
        if kind.split("/")[0] not in ("image", "audio", "video") or "svg" in kind:
            kind = "application/octet-stream"  # never as a page, which would run with our origin
        return FileResponse(path, media_type=kind, headers=SAFE)

    @app.get("/studio/thumb/{name}")
    async def thumb(
        request: Request, name: str, at: Annotated[float, Query(ge=0.0, allow_inf_nan=False)] = 0.0
    ) -> Response:
        path = _found(downloads.file(name), "This file is gone.")
        return await _picture(request, pictures, partial(_thumb, path, at))

    @app.get("/studio/wave/{name}")
    async def wave(request: Request, name: str, duration: Annotated[float, Query(gt=0.0, le=MOST_WAVE_S)]) -> Response:
        path = _path(downloads, name)
        return await _picture(request, pictures, partial(_wave, path, duration))

    @app.get("/studio/map/{name}.json")
    def map_of(name: str) -> dict[str, Any]:
        return map_view.as_json(_map(downloads, name))

    @app.get("/studio/map/{name}/{n}")
    async def thumb_on_map(request: Request, name: str, n: int) -> Response:
        points = _map(downloads, name).points
        if not 0 <= n < len(points):
            raise HTTPException(404, "There is no such file on the map.")
        return await _picture(request, pictures, partial(_thumb, points[n].path))

    @app.post("/studio/edit/{name}")
    def edit(name: str, asked: Annotated[dict[str, Any], Body()]) -> dict[str, object]:
        """Correct a result, and its entry in the history, which `asked` names; answers with what a page that shows
        `asked["rows"]` rows of a transcript draws anew."""
        try:
            if asked.get("edit") == "undo":
                changed = downloads.undo(name)
            else:
                changed = downloads.correct(name, lambda result: edits.corrected(result, asked))
        except UserError as error:
            raise HTTPException(422, {"en": error.en, "zh": error.zh}) from None
        before, now = _found(changed, "This result is gone; run it again.")
        if now != before:
            recorder.correct(asked.get("entry"), now)
        if isinstance(before, TranscribeResult) and isinstance(now, TranscribeResult):
            return view.changed_rows(before, now, asked.get("rows"))
        return {}

    @app.get("/studio/save/{name}.{form}")
    def save(name: str, form: str, texts: subtitles.Text | None = None) -> Response:
        result = _found(downloads.result(name), "This result is gone; run it again.")
        media_type = "application/zip" if form == "zip" else "text/plain; charset=utf-8"
        return _saved(exports.result_as(result, form, texts), f"{exports.result_name(result)}.{form}", media_type)

    @app.get("/studio/files/{name}.{form}")
    def files(name: str, form: Literal["csv", "zip"]) -> Response:
        results = _found(downloads.batch(name), "These results are gone; run them again.")
        media_type = "application/zip" if form == "zip" else "text/csv; charset=utf-8"
        return _saved(exports.results_as(results, form), f"results.{form}", media_type)

    @app.get("/studio/labels/{name}.zip")
    def labels(name: str) -> Response:
        found = _found(downloads.labels(name), "This label set is gone; open it again.")
        return _saved(exported(found), f"{slug(found.name)}.zip", "application/zip")

    @app.get("/studio/run/{name}.{form}")
    def run(name: str, form: str) -> Response:
        found = _found(runs.get(name), "This run is gone; run it again.")
        content = exports.run_as(found, form)
        return _saved(content, exports.run_name(found, form) if content else "", "application/octet-stream")


def _add_history(app: FastAPI, history: History) -> None:
    """Add the routes to what is kept: the thumbnail of an entry, and all results as one JSON object a line."""

    @app.get("/studio/history/{entry_id}/thumb")
    def thumb_of(entry_id: int) -> Response:
        picture, kind = _found(history.thumbnail(entry_id), "This result is no longer in the history.")
        return Response(picture, media_type=kind, headers=SAFE)

    @app.get("/studio/history.jsonl")
    def everything() -> Response:
        def line(entry: Entry) -> dict[str, object]:
            told = {"id": entry.id, "at": entry.at, "about": entry.about}
            try:
                answered = history.run(entry.id)[0] if entry.task == LAB else to_json(history.result(entry.id))
                return {**told, **answered}
            except UserError as error:  # one that cannot be read must not cost the others
                return {**told, "text": entry.text, "error": error.en}

        entries = reversed(history.find(n=-1))
        content = "".join(f"{json.dumps(line(entry), ensure_ascii=False)}\n" for entry in entries)
        return _saved(content, "fusion-studio-history.jsonl", "application/x-ndjson")


def _found(value: Value | None, gone: str) -> Value:
    """The value; a 404 with a sentence if there is none."""
    if value is None:
        raise HTTPException(404, gone)
    return value


def _saved(content: str | bytes | None, name: str, media_type: str) -> Response:
    """A file for the browser to save."""
    headers = {"content-disposition": f'attachment; filename="{name}"'}
    return Response(_found(content, "There is no such format."), media_type=media_type, headers=headers)


def _path(downloads: DownloadRegistry, name: str) -> Path:
    path = downloads.file(name)
    if path is None or not path.is_file():
        raise HTTPException(404, "This file is gone.")
    return path


async def _picture(request: Request, pictures: anyio.CapacityLimiter, make: Callable[[], Response]) -> Response:
    """What a thread makes; its decoding ends where the connection is closed meanwhile."""
    stop = Stop()

    async def watch() -> None:
        while not await request.is_disconnected():
            await asyncio.sleep(LOOK_S)
        stop.set()

    current_stop.set(stop)  # of this request, and so of the thread
    watching = asyncio.create_task(watch())
    try:
        return await anyio.to_thread.run_sync(make, limiter=pictures)
    except Cancelled:
        return Response(status_code=204)  # nobody is there any more
    finally:
        watching.cancel()


def _wave(path: Path, duration_s: float) -> Response:
    try:
        return Response(whole_wave(path, duration_s), media_type="image/svg+xml", headers=DAY)
    except UserError as error:
        raise HTTPException(404, error.en) from None


def _thumb(path: Path, at_s: float = 0.0) -> Response:
    try:
        picture, kind = thumbnail(path, at_s=at_s)
    except UserError:  # text, damaged, deleted since, or given up under load: a flat line, for this once
        return Response(wave_svg([0.05] * N_BARS), media_type="image/svg+xml", headers={"cache-control": "no-store"})
    return Response(picture, media_type=kind, headers=DAY)


def _map(downloads: DownloadRegistry, name: str) -> MapResult:
    result = downloads.result(name)
    if not isinstance(result, MapResult):
        raise HTTPException(404, "This map is gone; draw it again.")
    return result
