"""Transcriptions and translations of speech, in the forms of OpenAI's API."""

from __future__ import annotations

import math
import re
from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from anyio import to_thread
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, PlainTextResponse, Response

from engines import subtitles
from engines.hosts.api_server.exchange import events, last_result, results, wrong
from engines.hosts.prompts import NAMES
from engines.protocol import Host, Segment, TranscribeRequest, TranscribeResult

FORMS = ("json", "text", "srt", "verbose_json", "vtt")
CODES = {name.lower(): code for code, name in NAMES.items()}


async def transcriptions(host: Host, request: HttpRequest) -> Response:
    return await _speech(host, request, to=None)


async def translations(host: Host, request: HttpRequest) -> Response:
    return await _speech(host, request, to="en")


async def _speech(host: Host, request: HttpRequest, *, to: str | None) -> Response:
    async with request.form(max_files=1, max_fields=64) as form:
        file = form.get("file")
        if file is None or isinstance(file, str):
            raise wrong('Send the sound as the form field "file".')
        shape = str(form.get("response_format") or "json").lower()
        if shape not in FORMS:
            raise wrong(f"response_format {shape!r} is not known; choose one of {', '.join(FORMS)}.")
        language = str(form.get("language") or "").strip().lower()
        language = CODES.get(language, language.partition("-")[0])
        granularities = [
            str(g) for g in (*form.getlist("timestamp_granularities[]"), *form.getlist("timestamp_granularities"))
        ]
        streams = to is None and str(form.get("stream") or "").lower() in ("true", "1")
        folder = TemporaryDirectory(prefix="fusion-studio-api-")
        path = Path(folder.name) / (
            re.sub(r"[^\w.-]+", "_", Path(file.filename or "sound").name)[-80:].lstrip(".") or "sound"
        )
        try:
            with path.open("wb") as opened:
                while piece := await file.read(2**20):
                    await to_thread.run_sync(opened.write, piece)
            asked = TranscribeRequest(media=path, language=language or None, translate_to=to)
            if not streams:
                result = await last_result(host, asked, request)
        except BaseException:
            folder.cleanup()
            raise
    if streams:
        return events(_spoken(host, asked, folder), request, done=False)
    folder.cleanup()
    return _transcript(result, shape, granularities)


async def _spoken(
    host: Host, asked: TranscribeRequest, folder: TemporaryDirectory[str]
) -> AsyncIterator[dict[str, Any]]:
    """OpenAI's events of a transcript: the text of each segment once it is whole, then all of it."""
    sent = ""
    with folder:
        async for result in results(host, asked):
            assert isinstance(result, TranscribeResult)
            whole = result.segments if result.done else result.segments[:-1]
            text = joined(whole, result.language)
            if len(text) > len(sent) and text.startswith(sent):
                yield {"type": "transcript.text.delta", "delta": text[len(sent) :]}
                sent = text
            if result.done:
                yield {"type": "transcript.text.done", "text": text}


def joined(segments: tuple[Segment, ...], language: str) -> str:
    return ("" if language == "zh" else " ").join(segment.text for segment in segments if segment.text)


def _transcript(result: TranscribeResult, shape: str, granularities: list[str]) -> Response:
    """A transcript in the form asked for. For translations the translated text stands in each segment."""
    assert isinstance(result.request, TranscribeRequest)
    translates = result.request.translate_to is not None
    segments = result.segments
    if translates:  # what was said in English already has no translation
        segments = tuple(Segment(s.start_s, s.end_s, s.translation or s.text) for s in segments)
    language = "en" if translates else result.language
    text = joined(segments, language)
    if shape == "text":
        return PlainTextResponse(text + "\n")
    if shape in ("srt", "vtt"):
        return PlainTextResponse(subtitles.write(segments, "srt" if shape == "srt" else "vtt"))
    if shape == "json":
        return JSONResponse({"text": text, "usage": {"type": "duration", "seconds": math.ceil(result.duration_s)}})
    answer: dict[str, Any] = {
        "task": "translate" if translates else "transcribe",
        "language": NAMES.get(language, language).lower(),
        "duration": round(result.duration_s, 3),
        "text": text,
    }
    if not granularities or "segment" in granularities:
        answer["segments"] = [_segment(n, segment) for n, segment in enumerate(segments)]
    if "word" in granularities:
        words = [word for segment in segments for word in segment.words]
        answer["words"] = [{"word": w.text, "start": round(w.start_s, 3), "end": round(w.end_s, 3)} for w in words]
    return JSONResponse(answer)


def _segment(n: int, segment: Segment) -> dict[str, Any]:
    """A segment with all fields that OpenAI's has, for readers that insist; those after "text" are not measured."""
    unmeasured = {"tokens": [], "temperature": 0.0, "avg_logprob": 0.0, "compression_ratio": 0.0, "no_speech_prob": 0.0}
    times = {"start": round(segment.start_s, 3), "end": round(segment.end_s, 3)}
    return {"id": n, "seek": 0, **times, "text": segment.text, **unmeasured}
