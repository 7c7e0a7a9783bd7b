"""OpenAI's HTTP API over a host, so that tools made for it (and `engines.hosts.remote`) can use this program.

    POST audio/transcriptions, audio/translations   speech to text: json, verbose_json, text, srt, vtt; streaming
    POST chat/completions                           a question about photos, a sound or a clip; a translation; streaming
    POST embeddings                                 text and media
    GET  models, models/{name}

    openai_app(host)      the application, to be mounted at /v1
    standalone(host)      the same at /v1 of an application of its own, which closes the host when it ends
    create()              for servers that start from a factory: uvicorn --factory engines.hosts.api_server:create

Every model name is taken, since tools often have one built in; sampling options are read and have no effect. Media come
inside the request, as data URLs or base64: no address is fetched. Errors are sentences in OpenAI's JSON form.
"""

from __future__ import annotations

import base64
import binascii
import json
import logging
import math
import os
import re
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from anyio import CancelScope, to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from engines import media as files
from engines import subtitles
from engines.device import explain
from engines.errors import AbilityError, Cancelled, DeviceError, MediaError, RequestError, UserError
from engines.protocol import (
    AskRequest,
    AskResult,
    Cancel,
    CaptionRequest,
    CaptionResult,
    Clip,
    EmbedRequest,
    EmbedResult,
    Host,
    Media,
    Request,
    Result,
    Segment,
    TranscribeRequest,
    TranscribeResult,
    TranslateRequest,
    TranslateResult,
)

MAX_FILE_BYTES = 512 * 2**20
MAX_JSON_BYTES = 96 * 2**20
"""Media in JSON are a third larger than their files."""
MAX_INPUTS = 256
"""Texts or media of one request for embeddings."""
FORMS = ("json", "text", "srt", "verbose_json", "vtt")
NAMES = {"en": "english", "de": "german", "fr": "french", "zh": "chinese"}
"""The languages as OpenAI's transcripts name them."""
CODES = {name: code for code, name in NAMES.items()}
FRAME_S = 1.0
"""Seconds between pictures of which nobody says when they were taken."""

_LANGUAGE = rf"({'|'.join(CODES)})"
_TRANSLATE = re.compile(
    rf"\s*translate\b(?:.*?\bfrom {_LANGUAGE})?.*?\b(?:in)?to {_LANGUAGE}\b[^\n]*?[:.\n]\s*(\S.*)", re.I | re.S
)
_CAPTION = re.compile(r"\s*(please\s+)?(describe|caption)\b", re.I)
_DICTATION = re.compile(r"\s*(please\s+)?(transcribe\b|write down word for word)", re.I)
_IN_LANGUAGE = re.compile(rf"\b(?:in|is) {_LANGUAGE}\b", re.I)
_INSTRUCTION = re.compile(rf"\s*answer briefly, in {_LANGUAGE}\.?\s*$", re.I)
_TIMES = re.compile(r"taken at ([\d., ]+?) seconds\.\s*")
_SENTENCE_END = re.compile(r"[.!?]\s+|[。！？]\s*|\n")

log = logging.getLogger("engines.api")
HELP = (
    "This model answers questions about photos, sounds and clips, and translates: send a picture, a sound or a clip "
    'with the question, or write "Translate from English to German:" and the text.'
)


# --- the application -----------------------------------------------------------------------------------------------


def openai_app(
    host: Host,
    *,
    opens: Callable[[str], bool] | None = None,
    max_file_bytes: int = MAX_FILE_BYTES,
    max_json_bytes: int = MAX_JSON_BYTES,
) -> ASGIApp:
    """The API over a host, without a prefix. opens: whether a bearer key is good; None: no key is asked for."""

    def served(
        work: Callable[[Host, HttpRequest], Awaitable[Response]],
    ) -> Callable[[HttpRequest], Awaitable[Response]]:
        async def endpoint(request: HttpRequest) -> Response:
            scheme, _, key = request.headers.get("authorization", "").partition(" ")
            if opens is not None and not (scheme.lower() == "bearer" and opens(key.strip())):
                raise HTTPException(401, "Give the key as a bearer token: the studio's password.")
            return await work(host, request)

        return endpoint

    app = Starlette(
        routes=[
            Route("/models", served(_models)),
            Route("/models/{name:path}", served(_model)),
            Route("/audio/transcriptions", served(_transcriptions), methods=["POST"]),
            Route("/audio/translations", served(_translations), methods=["POST"]),
            Route("/chat/completions", served(_chat), methods=["POST"]),
            Route("/embeddings", served(_embeddings), methods=["POST"]),
        ],
        exception_handlers={
            UserError: _user_error,
            HTTPException: _http_error,
            Cancelled: _gone,
            Exception: _defect,
        },
    )
    return _Limit(app, max_file_bytes, max_json_bytes)


def standalone(host: Host, **options: Any) -> Starlette:
    """The API at /v1, with a health check. The host is closed with the application."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        host.close()

    async def health(_: HttpRequest) -> Response:
        return PlainTextResponse("ok")

    return Starlette(routes=[Mount("/v1", openai_app(host, **options)), Route("/health", health)], lifespan=lifespan)


def create() -> Starlette:
    """The API over the model in FUSION_STUDIO_MODEL (the built-in one) on FUSION_STUDIO_DEVICE (auto); the key that
    FUSION_STUDIO_PASSWORD holds is asked for, if it holds one."""
    from engines.hosts import open_host
    from engines.settings import Settings

    settings = Settings(device=os.environ.get("FUSION_STUDIO_DEVICE", "auto"))
    password = os.environ.get("FUSION_STUDIO_PASSWORD", "")
    return standalone(
        open_host(os.environ.get("FUSION_STUDIO_MODEL", "builtin"), settings),
        opens=same(password) if password else None,
    )


def same(password: str) -> Callable[[str], bool]:
    """Whether a key is this password, in constant time."""
    import hmac

    return lambda key: hmac.compare_digest(key.encode(), password.encode())


class _Limit:
    """Refuses a body that is larger than its endpoint takes, by its length where that is told, else by counting."""

    def __init__(self, app: ASGIApp, max_file_bytes: int, max_json_bytes: int) -> None:
        self._app, self._file, self._json = app, max_file_bytes, max_json_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = self._file if "/audio/" in scope["path"] else self._json
        told = dict(scope["headers"]).get(b"content-length", b"0")
        if told.isdigit() and int(told) > limit:
            await _too_large(limit)(scope, receive, send)
            return
        n_bytes = 0

        async def counted() -> Message:
            nonlocal n_bytes
            message = await receive()
            n_bytes += len(message.get("body", b""))
            if n_bytes > limit:
                raise HTTPException(413, _too_large_said(limit))
            return message

        await self._app(scope, counted, send)


def _too_large_said(limit: int) -> str:
    return f"The request is too large; send at most {limit // 2**20} MB."


def _too_large(limit: int) -> Response:
    return _error(413, _too_large_said(limit), "too_large")


# --- errors --------------------------------------------------------------------------------------------------------


def _error(status: int, message: str, code: str) -> JSONResponse:
    return JSONResponse(_error_body(status, message, code), status)


def _error_body(status: int, message: str, code: str) -> dict[str, Any]:
    kind = "server_error" if status >= 500 else "authentication_error" if status == 401 else "invalid_request_error"
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def _said(error: UserError, request: HttpRequest) -> tuple[int, str, str]:
    """(HTTP status, sentence in the language of the request, code)."""
    status = 400 if isinstance(error, MediaError | RequestError | AbilityError) else 500
    if isinstance(error, DeviceError):
        status = 503
    return status, error.text(request.headers.get("accept-language", "en")), error.parts()[0]


async def _user_error(request: HttpRequest, error: Exception) -> Response:
    assert isinstance(error, UserError)
    return _error(*_said(error, request))


async def _http_error(_: HttpRequest, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _error(
        error.status_code, error.detail, {401: "invalid_api_key", 404: "not_found"}.get(error.status_code, "")
    )


async def _gone(_: HttpRequest, __: Exception) -> Response:
    return Response(status_code=499)  # nobody reads it: the client hung up


async def _defect(_: HttpRequest, error: Exception) -> Response:
    log.error("a request failed", exc_info=error)
    return _error(500, "Something went wrong in the server; its log says what.", "defect")


def _wrong(sentence: str) -> HTTPException:
    return HTTPException(400, sentence)


# --- running a request ---------------------------------------------------------------------------------------------


async def _results(host: Host, asked: Request, http: HttpRequest | None = None) -> AsyncIterator[Result]:
    """Results as the host makes them, each waited for in a thread; a client that hangs up stops the work. http:
    None where the response is a stream, which is cancelled by itself then. Raises UserError."""
    cancel = Cancel()
    results = host.stream(asked, cancel)
    end = object()

    def following() -> object:
        try:
            return next(results, end)
        except (RuntimeError, MemoryError) as error:
            raise explain(error) or error from error

    try:
        while (result := await to_thread.run_sync(following)) is not end:
            assert isinstance(result, Result)
            if http is not None and await http.is_disconnected():
                raise Cancelled
            yield result
    finally:
        cancel.set()
        with CancelScope(shield=True):
            await to_thread.run_sync(getattr(results, "close", bool))


async def _last(host: Host, asked: Request, http: HttpRequest) -> Any:
    last: Result | None = None
    async for last in _results(host, asked, http):  # noqa: B007  # only the last is wanted
        pass
    return last


def _events(chunks: AsyncIterator[dict[str, Any]], http: HttpRequest, *, done: bool) -> StreamingResponse:
    """Server-sent events. An error after the start comes as an event, as OpenAI's clients expect. done: end with the
    mark that ends a chat."""

    async def lines() -> AsyncIterator[str]:
        try:
            async for chunk in chunks:
                yield f"data: {json.dumps(chunk, ensure_ascii=False)}\n\n"
        except UserError as error:
            yield f"data: {json.dumps(_error_body(*_said(error, http)), ensure_ascii=False)}\n\n"
            return
        except Cancelled:
            return
        if done:
            yield "data: [DONE]\n\n"

    return StreamingResponse(lines(), media_type="text/event-stream", headers={"Cache-Control": "no-store"})


async def _json(request: HttpRequest) -> dict[str, Any]:
    try:
        body = json.loads(await request.body())
    except (ValueError, RecursionError) as error:
        raise _wrong("The body is not JSON.") from error
    if not isinstance(body, dict):
        raise _wrong("The body is not a JSON object.")
    return body


def _decoded(data: object) -> bytes:
    try:
        return base64.b64decode(str(data), validate=True)
    except (binascii.Error, ValueError) as error:
        raise _wrong("The base64 data of a part are damaged.") from error


def _data_url(url: object) -> bytes:
    """The bytes of "data:image/png;base64,..."; nothing is fetched."""
    head, comma, data = str(url).partition(",")
    if not head.startswith("data:") or not head.endswith(";base64") or not comma:
        raise _wrong("Media are given as data URLs with base64 (data:image/png;base64,...); no address is fetched.")
    return _decoded(data)


# --- models --------------------------------------------------------------------------------------------------------


def _card(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "fusion-studio"}


async def _models(host: Host, _: HttpRequest) -> Response:
    return JSONResponse({"object": "list", "data": [_card(host.info.name)]})


async def _model(host: Host, request: HttpRequest) -> Response:
    if request.path_params["name"] != host.info.name:
        raise HTTPException(404, f"There is no model {request.path_params['name']!r}; this is {host.info.name}.")
    return JSONResponse(_card(host.info.name))


# --- speech --------------------------------------------------------------------------------------------------------


async def _transcriptions(host: Host, request: HttpRequest) -> Response:
    return await _speech(host, request, to=None)


async def _translations(host: Host, request: HttpRequest) -> Response:
    return await _speech(host, request, to="en")


async def _speech(host: Host, request: HttpRequest, *, to: str | None) -> Response:
    async with request.form(max_files=1, max_fields=64) as form:
        file = form.get("file")
        if file is None or isinstance(file, str):
            raise _wrong('Send the sound as the form field "file".')
        shape = str(form.get("response_format") or "json")
        if shape not in FORMS:
            raise _wrong(f"response_format {shape!r} is not known; choose one of {', '.join(FORMS)}.")
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
                result = await _last(host, asked, request)
        except BaseException:
            folder.cleanup()
            raise
    if streams:
        return _events(_spoken(host, asked, folder), request, done=False)
    folder.cleanup()
    return _transcript(result, shape, granularities)


async def _spoken(
    host: Host, asked: TranscribeRequest, folder: TemporaryDirectory[str]
) -> AsyncIterator[dict[str, Any]]:
    """OpenAI's events of a transcript: the text of each segment once it is whole, then all of it."""
    sent = ""
    with folder:
        async for result in _results(host, asked):
            assert isinstance(result, TranscribeResult)
            whole = result.segments if result.done else result.segments[:-1]
            text = _joined(whole, result.language)
            if len(text) > len(sent) and text.startswith(sent):
                yield {"type": "transcript.text.delta", "delta": text[len(sent) :]}
                sent = text
            if result.done:
                yield {"type": "transcript.text.done", "text": text}


def _joined(segments: tuple[Segment, ...], language: str) -> str:
    return ("" if language == "zh" else " ").join(segment.text for segment in segments if segment.text)


def _transcript(result: TranscribeResult, shape: str, granularities: list[str]) -> Response:
    """A transcript in the form asked for. For translations the translated text stands in each segment."""
    assert isinstance(result.request, TranscribeRequest)
    translates = result.request.translate_to is not None
    segments = result.segments
    if translates:  # what was said in English already has no translation
        segments = tuple(Segment(s.start_s, s.end_s, s.translation or s.text) for s in segments)
    language = "en" if translates else result.language
    text = _joined(segments, language)
    if shape == "text":
        return PlainTextResponse(text + "\n")
    if shape in ("srt", "vtt"):
        return PlainTextResponse(subtitles.write(segments, "srt" if shape == "srt" else "vtt"))
    if shape == "json":
        return JSONResponse({"text": text, "usage": {"type": "duration", "seconds": math.ceil(result.duration_s)}})
    answer: dict[str, Any] = {
        "task": "translate" if translates else "transcribe",
        "language": NAMES.get(language, language),
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


# --- chat ----------------------------------------------------------------------------------------------------------


class _Turns:
    """The messages of a chat: texts as they alternate, and the media of the last message that has any."""

    def __init__(self, messages: object, folder: Path) -> None:
        if not isinstance(messages, list) or not messages:
            raise _wrong('"messages" is a list of at least one message.')
        self._folder = folder
        self.texts: list[tuple[str, str]] = []
        self.pictures: list[Path] = []
        self.sound: Path | None = None
        self.clip: Path | None = None
        for message in messages:
            role, content = (message.get("role"), message.get("content")) if isinstance(message, dict) else (None, None)
            if role in ("system", "developer"):
                continue
            parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
            if role not in ("user", "assistant") or not isinstance(parts, list):
                raise _wrong('A message has the role "user", "assistant" or "system" and a content.')
            self._add(role, [part if isinstance(part, dict) else {} for part in parts])
        if not self.texts or self.texts[-1][0] != "user":
            raise _wrong("The last message is the user's.")

    def _add(self, role: str, parts: list[dict[str, Any]]) -> None:
        if any(part.get("type") != "text" for part in parts):
            self.pictures, self.sound, self.clip = [], None, None
        for part in parts:
            match part.get("type"):
                case "text":
                    pass
                case "image_url":
                    self.pictures.append(self._kept("picture", _data_url(_inner(part, "image_url", "url"))))
                case "input_audio":
                    self.sound = self._kept("sound", _decoded(_inner(part, "input_audio", "data")))
                case "audio_url":
                    self.sound = self._kept("sound", _data_url(_inner(part, "audio_url", "url")))
                case "video_url":
                    self.clip = self._kept("clip", _data_url(_inner(part, "video_url", "url")))
                case kind:
                    raise _wrong(
                        f"A part of the type {kind!r} is not read; send text, image_url, input_audio or video_url."
                    )
        self.texts.append((role, "\n".join(str(part.get("text", "")) for part in parts if part.get("type") == "text")))

    def _kept(self, kind: str, data: bytes) -> Path:
        path = self._folder / f"{kind}-{uuid.uuid4().hex[:8]}"
        path.write_bytes(data)
        return path

    @property
    def question(self) -> str:
        return self.texts[-1][1]

    def history(self) -> tuple[tuple[str, str], ...]:
        """Earlier questions with their answers."""
        earlier = self.texts[:-1]
        return tuple(
            (q[1], a[1]) for q, a in pairwise(earlier) if q[0] == "user" and a[0] == "assistant" and q[1] and a[1]
        )

    def media(self) -> Media | None:
        """The medium the chat is about; several pictures, or a picture with a sound, are a clip. Raises MediaError."""
        if self.clip is not None:
            return self.clip
        if not self.pictures:
            return self.sound
        if len(self.pictures) == 1 and self.sound is None:
            return self.pictures[0]
        frames = tuple(files.load_photo(path).pixels for path in self.pictures)
        height, width = frames[0].shape[:2]
        if any(frame.shape[:2] != (height, width) for frame in frames):
            raise _wrong("Several pictures in one question are frames of one clip and have one size.")
        stated = _TIMES.search("\n".join(text for _, text in self.texts))
        times_s = tuple(float(time_s) for time_s in stated[1].split(",")) if stated else ()
        if len(times_s) != len(frames):
            times_s = tuple(FRAME_S * n for n in range(len(frames)))
        sound = None if self.sound is None else files.load_sound(self.sound)
        duration_s = max(times_s[-1] + FRAME_S, 0.0 if sound is None else sound.duration_s)
        return Clip(frames, times_s, duration_s, sound)

    def n_tokens(self) -> int:
        """An estimate, as usage is counted elsewhere: four characters a token, 64 a picture, 25 a 16 kB of sound."""
        size = sum(path.stat().st_size // 2**14 for path in (self.sound, self.clip) if path is not None)
        heard = (25 if self.sound or self.clip else 0) + 25 * size
        return 1 + sum(len(text) for _, text in self.texts) // 4 + 64 * len(self.pictures) + heard


def _inner(part: Any, name: str, field: str) -> object:
    inner = part.get(name)
    return inner.get(field) if isinstance(inner, dict) else inner


def _request(turns: _Turns) -> Request | None:
    """What a chat asks of a host; None for text that no task here is for."""
    question = _TIMES.sub("", turns.question.replace("These are pictures of a clip, ", "")).strip()
    media = turns.media()
    if media is None:
        found = _TRANSLATE.match(question)
        if found is None:
            return None
        source, target = (CODES.get((name or "").lower(), "") for name in (found[1], found[2]))
        return TranslateRequest(
            text=found[3], source=source or ("zh" if _is_chinese(found[3]) else "en"), target=target
        )
    stated = _IN_LANGUAGE.findall(question)
    language = CODES[stated[-1].lower()] if stated else "zh" if _is_chinese(question) else "en"
    if _DICTATION.match(question):
        return TranscribeRequest(media=media, language=language if stated else None)
    if not question or _CAPTION.match(question):
        return CaptionRequest(media=media, language=language)
    asked = _INSTRUCTION.sub("", question) or question
    history = tuple((_INSTRUCTION.sub("", q) or q, a) for q, a in turns.history())
    return AskRequest(media=media, question=asked, language=language, history=history)


def _is_chinese(text: str) -> bool:
    return re.search(r"[\u4e00-\u9fff]", text) is not None


def _text(result: Result | None) -> str:
    match result:
        case CaptionResult() | AskResult() | TranslateResult() | TranscribeResult():
            return result.text
    return ""


async def _chat(host: Host, http: HttpRequest) -> Response:
    body = await _json(http)
    if body.get("n") not in (None, 1):
        raise _wrong("One answer is given at a time; leave n out.")
    folder = TemporaryDirectory(prefix="fusion-studio-api-")
    try:
        turns = await to_thread.run_sync(_Turns, body.get("messages"), Path(folder.name))
        n_read = turns.n_tokens()
        asked = await to_thread.run_sync(_request, turns)
        head = {"id": f"chatcmpl-{uuid.uuid4().hex}", "created": int(time.time()), "model": host.info.name}
        if body.get("stream"):
            usage = isinstance(body.get("stream_options"), dict) and bool(body["stream_options"].get("include_usage"))
            return _events(_chunks(host, asked, folder, head, n_read if usage else None), http, done=True)
        result = None if asked is None else await _last(host, asked, http)
    except BaseException:
        folder.cleanup()
        raise
    folder.cleanup()
    text = HELP if asked is None else _text(result)
    message = {"role": "assistant", "content": text, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _finish(result)}
    return JSONResponse({**head, "object": "chat.completion", "choices": [choice], "usage": _usage(n_read, text)})


async def _chunks(
    host: Host,
    asked: Request | None,
    folder: TemporaryDirectory[str],
    head: dict[str, Any],
    n_read: int | None,
) -> AsyncIterator[dict[str, Any]]:
    """The events of a chat. Beams revise what they are writing, so a sentence is sent once the next one has begun."""

    def chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        choices = [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]
        return {**head, "object": "chat.completion.chunk", "choices": choices}

    sent, finish = "", "stop"
    with folder:
        yield chunk({"role": "assistant", "content": ""})
        if asked is None:
            sent = HELP
            yield chunk({"content": HELP})
        else:
            async for result in _results(host, asked):
                text = _text(result)
                ready = text if result.done else _settled(text)
                if len(ready) > len(sent) and ready.startswith(sent):
                    yield chunk({"content": ready[len(sent) :]})
                    sent = ready
                finish = _finish(result)
        yield chunk({}, finish)
        if n_read is not None:
            yield {**head, "object": "chat.completion.chunk", "choices": [], "usage": _usage(n_read, sent)}


def _settled(text: str) -> str:
    """A growing text up to the last sentence that another one follows."""
    ends = [found.end() for found in _SENTENCE_END.finditer(text) if found.end() < len(text)]
    return text[: ends[-1]] if ends else ""


def _finish(result: Result | None) -> str:
    return "length" if result is not None and result.end == "cut" else "stop"


def _usage(n_read: int, text: str) -> dict[str, int]:
    n_written = len(text) // 4 + 1
    return {"prompt_tokens": n_read, "completion_tokens": n_written, "total_tokens": n_read + n_written}


# --- embeddings ----------------------------------------------------------------------------------------------------


async def _embeddings(host: Host, http: HttpRequest) -> Response:
    """Vectors of texts, and of media as data URLs or as the parts a chat has."""
    body = await _json(http)
    given = body.get("input")
    is_list = isinstance(given, list) and not (given and all(isinstance(item, int) for item in given))
    inputs: list[Any] = list(given or ()) if is_list else [given]
    if not inputs or len(inputs) > MAX_INPUTS:
        raise _wrong(f'"input" is one text or medium, or a list of 1 to {MAX_INPUTS}.')
    form = body.get("encoding_format") or "float"
    if form not in ("float", "base64"):
        raise _wrong("encoding_format is float or base64.")
    rows: list[dict[str, Any]] = []
    n_read = 0
    with TemporaryDirectory(prefix="fusion-studio-api-") as folder:
        for n, item in enumerate(inputs):
            media = await to_thread.run_sync(_embeddable, item, Path(folder) / f"input-{n}")
            n_read += len(media) // 4 + 1 if isinstance(media, str) else 64
            result = await _last(host, EmbedRequest(media=media), http)
            assert isinstance(result, EmbedResult)
            vector = np.asarray(result.vector, "<f4")
            shown = base64.b64encode(vector.tobytes()).decode() if form == "base64" else [float(v) for v in vector]
            rows.append({"object": "embedding", "index": n, "embedding": shown})
    size = body.get("dimensions")
    if size is not None and size != len(vector):
        raise _wrong(f"The vectors have {len(vector)} dimensions; leave dimensions out.")
    usage = {"prompt_tokens": n_read, "total_tokens": n_read}
    return JSONResponse({"object": "list", "data": rows, "model": host.info.name, "usage": usage})


def _embeddable(item: object, path: Path) -> Path | str:
    """A text as it is, or a medium written to a file."""
    if isinstance(item, str) and not item.startswith("data:"):
        return item
    match item:
        case str():
            data = _data_url(item)
        case {"type": "text", "text": str(text)}:
            return text
        case {"type": "input_audio"}:
            data = _decoded(_inner(item, "input_audio", "data"))
        case {"type": "image_url" | "video_url" | "audio_url" as kind}:
            data = _data_url(_inner(item, str(kind), "url"))
        case _:
            raise _wrong("An input is a text, a data URL, or a part as a chat has them; token ids are not read.")
    path.write_bytes(data)
    return path
