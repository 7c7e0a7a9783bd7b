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
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from anyio import to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from engines.hosts.api_server import chat, exchange, speech
from engines.protocol import KINDS, EmbedRequest, EmbedResult, Host

MAX_FILE_BYTES = 512 * 2**20
MAX_JSON_BYTES = 96 * 2**20
"""Media in JSON are a third larger than their files."""


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
            try:
                scheme, _, key = request.headers.get("authorization", "").partition(" ")
                if opens is not None and not (scheme.lower() == "bearer" and opens(key.strip())):
                    raise HTTPException(401, "Give the key as a bearer token: the studio's password.")
                return await work(host, request)
            except Exception as error:  # the edge of the API: whatever it is, a sentence reaches the client
                return exchange.explained(request, error)

        return endpoint

    app = Starlette(
        routes=[
            Route("/models", served(_models)),
            Route("/models/{name:path}", served(_model)),
            Route("/audio/transcriptions", served(speech.transcriptions), methods=["POST"]),
            Route("/audio/translations", served(speech.translations), methods=["POST"]),
            Route("/chat/completions", served(chat.completions), methods=["POST"]),
            Route("/embeddings", served(embeddings), methods=["POST"]),
        ],
        exception_handlers={HTTPException: exchange.explain_unserved},
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
    """Whether a key is this password, in constant time. The key of a header is Latin-1 for what may be UTF-8."""
    import hmac

    def opens(key: str) -> bool:
        return any(
            hmac.compare_digest(key.encode(coding, "replace"), password.encode()) for coding in ("utf-8", "latin-1")
        )

    return opens


class _Limit:
    """Refuses a body that is too large for its endpoint, by its Content-Length where given, else by counting."""

    def __init__(self, app: ASGIApp, max_file_bytes: int, max_json_bytes: int) -> None:
        self._app, self._file, self._json = app, max_file_bytes, max_json_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = self._file if "/audio/" in scope["path"] else self._json
        told = dict(scope["headers"]).get(b"content-length", b"0")
        if told.isdigit() and int(told) > limit:
            await exchange.explained(HttpRequest(scope), _too_large(limit))(scope, receive, send)
            return
        n_bytes = 0

        async def counted() -> Message:
            nonlocal n_bytes
            message = await receive()
            n_bytes += len(message.get("body", b""))
            if n_bytes > limit:
                raise _too_large(limit)
            return message

        await self._app(scope, counted, send)


def _too_large(limit: int) -> HTTPException:
    return HTTPException(413, f"The request is too large; send at most {limit // 2**20} MB.")


def _card(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "fusion-studio"}


async def _models(host: Host, _: HttpRequest) -> Response:
    return JSONResponse({"object": "list", "data": [_card(host.info.name)]})


async def _model(host: Host, request: HttpRequest) -> Response:
    if request.path_params["name"] != host.info.name:
        raise HTTPException(404, f"There is no model {request.path_params['name']!r}; this is {host.info.name}.")
    return JSONResponse(_card(host.info.name))


# --- embeddings ------------------------------------------------------------------------------------------------------

MAX_INPUTS = 256
"""Texts or media of one request."""


async def embeddings(host: Host, http: HttpRequest) -> Response:
    """Vectors of texts, and of media as data URLs or as the parts a chat has."""
    body = await exchange.json_body(http)
    given = body.get("input")
    is_list = isinstance(given, list) and not (given and all(isinstance(item, int) for item in given))
    inputs: list[Any] = list(given or ()) if is_list else [given]
    if not inputs or len(inputs) > MAX_INPUTS:
        raise exchange.wrong(f'"input" is one text or medium, or a list of 1 to {MAX_INPUTS}.')
    form = body.get("encoding_format") or "float"
    if form not in ("float", "base64"):
        raise exchange.wrong("encoding_format is float or base64.")
    against = body.get("against") or "photo"
    if against not in KINDS:
        raise exchange.wrong(f'"against" is one of {", ".join(KINDS)}: what the vector of a text is compared with.')
    rows: list[dict[str, Any]] = []
    n_read = 0
    with TemporaryDirectory(prefix="fusion-studio-api-") as folder:
        for n, item in enumerate(inputs):
            media = await to_thread.run_sync(_embeddable, item, Path(folder) / f"input-{n}")
            n_read += len(media) // 4 + 1 if isinstance(media, str) else 64
            result = await exchange.last_result(host, EmbedRequest(media=media, against=against), http)
            assert isinstance(result, EmbedResult)
            vector = np.asarray(result.vector, "<f4")
            shown = base64.b64encode(vector.tobytes()).decode() if form == "base64" else [float(v) for v in vector]
            rows.append({"object": "embedding", "index": n, "embedding": shown})
    size = body.get("dimensions")
    if size is not None and size != len(vector):
        raise exchange.wrong(f"The vectors have {len(vector)} dimensions; leave dimensions out.")
    usage = {"prompt_tokens": n_read, "total_tokens": n_read}
    return JSONResponse({"object": "list", "data": rows, "model": host.info.name, "usage": usage})


def _embeddable(item: object, path: Path) -> Path | str:
    """A text as it is, or a medium written to a file."""
    if isinstance(item, str) and not item.startswith("data:"):
        return item
    match item:
        case str():
            data = exchange.data_url(item)
        case {"type": "text", "text": str(text)}:
            return text
        case {"type": "input_audio"}:
            data = exchange.decoded(exchange.inner(item, "input_audio", "data"))
        case {"type": "image_url" | "video_url" | "audio_url" as kind}:
            data = exchange.data_url(exchange.inner(item, str(kind), "url"))
        case _:
            raise exchange.wrong(
                "An input is a text, a data URL, or a part as a chat has them; token ids are not read."
            )
    path.write_bytes(data)
    return path
