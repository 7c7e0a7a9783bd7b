"""Limits that uvicorn and gradio lack: slow clients, odd methods, large bodies, framing; every error as a sentence.

HeadTimer  uvicorn's HTTP protocol, with a time limit for the head of a request
Harden     ASGI middleware, outermost: methods, size and time of bodies, errors as sentences, security headers
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from engines import RequestError, UserError
from engines.hosts.api_server import MAX_FILE_BYTES
from studio.gradio_fixes import is_wrong_call, wrong_call
from studio.i18n import page_language

HEAD_S = 10.0
"""How long a connection may take for the head of a request; uvicorn itself only limits the pause after an answer."""

BODY_S = 30.0
BODY_BYTES_PER_S = 8192
"""A request's body has `BODY_S` seconds, and one more for each `BODY_BYTES_PER_S` bytes that have arrived: a slow line
may upload a large file, a client that sends a byte now and then is dropped. Only the seconds that the server waits for
the client count."""

MAX_BODY_BYTES = 2 * 2**20
MAX_MEDIA_BYTES = 96 * 2**20
"""The largest body of an ordinary request, and of one that carries media in its JSON (64 MB in base64)."""

MEDIA_PATHS = ("/gradio_api/mcp", "/v1/")
SPEECH_PATH = "/v1/audio/"
"""A recording of hours is sent as a file, which the API writes to the disk as it comes."""
UPLOAD_PATH = "/gradio_api/upload"
"""Uploads have gradio's own limit (`app.SHARED_UPLOADS`)."""

METHODS = ("GET", "HEAD", "POST", "DELETE", "OPTIONS")

FETCHES = re.compile(r"/proxy=|/file=\w+:/|/file/\w+:/")
"""Routes of gradio by which any client could have the server fetch an address."""

POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self' data:; "
    "connect-src 'self' data: blob:; worker-src 'self' blob:; object-src 'none'; base-uri 'self'; form-action 'self'; "
    "frame-ancestors 'none'"
)
"""Content-Security-Policy of pages: the browser itself refuses what is not on this server. Gradio evaluates its
templates, hence 'unsafe-eval'."""

HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(self), microphone=(self), geolocation=(), payment=(), usb=()",
}


class HeadTimer(H11Protocol):
    """Drop a connection that has not sent a whole request head within `head_s` seconds of its first moment or byte."""

    head_s = HEAD_S
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._unwatch()
        super().connection_lost(exc)

    def _is_waiting(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _watch(self) -> None:
        if not self._is_waiting():
            self._unwatch()
        elif self._timer is None:
            self._timer = self.loop.call_later(self.head_s, self._expire)

    def _unwatch(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _expire(self) -> None:
        self._timer = None
        if self._is_waiting():
            self.transport.abort()


class Harden:
    """ASGI middleware, the outermost. failure: logs a defect and gives the sentence for it."""

    def __init__(self, app: ASGIApp, failure: Callable[[BaseException], UserError], *, body_s: float = BODY_S) -> None:
        self._app = app
        self._failure = failure
        self._body_s = body_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(scope, receive, send, self._body_s)
        refused = _refuse(exchange.request)
        if refused is not None:
            await exchange.refuse(*refused)
            return
        try:
            await self._app(scope, exchange.receive, exchange.send)
        except Exception as error:  # the edge of the server: whatever it is, a sentence reaches the client
            if exchange.stopped is None and not exchange.is_gone:
                wrong = is_wrong_call(error) and not exchange.is_started
                exchange.stopped = (400, wrong_call()) if wrong else (500, self._failure(error))
        await exchange.finish()


class _Exchange:
    """One request and its response. stopped: the status and sentence to answer with instead of what the app says."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, body_s: float) -> None:
        self.request = Request(scope)
        self.stopped: tuple[int, UserError] | None = None
        self.is_gone = False
        self.is_started = False
        self._receive, self._send = receive, send
        self._waited_s = 0.0  # for the client; what the server itself takes in between is not the client's
        self._body_s = body_s
        self._limit = _body_limit(scope["path"])
        self._n_bytes = 0
        self._is_read = False
        self._held: Message | None = None  # the start of a response with status 422 or 500, whose body is replaced
        self._body = b""

    async def receive(self) -> Message:
        if self._is_read:
            message = await self._receive()
            self.is_gone = message["type"] == "http.disconnect"
            return message
        if self.stopped is not None:
            return {"type": "http.disconnect"}
        loop = asyncio.get_running_loop()
        begun_s = loop.time()
        try:
            message = await asyncio.wait_for(
                self._receive(), max(body_time_s(self._n_bytes, self._body_s) - self._waited_s, 0.0)
            )
        except TimeoutError:
            self.stopped = 408, RequestError("http.slow", "The request was not sent completely in time; send it again.")
            return {"type": "http.disconnect"}
        self._waited_s += loop.time() - begun_s
        self.is_gone = message["type"] == "http.disconnect"
        self._n_bytes += len(message.get("body", b""))
        self._is_read = not message.get("more_body", False)
        if self._limit is not None and self._n_bytes > self._limit:
            self._is_read, self.stopped = False, (413, _too_large(self._limit))
            return {"type": "http.disconnect"}
        return message

    async def send(self, message: Message) -> None:
        if self.stopped is not None and not self.is_started:
            return
        if message["type"] == "http.response.start":
            if message["status"] in (422, 500):
                self._held = message
                return
            self.is_started = True
            _add_headers(message)
        elif self._held is not None:
            self._body += message.get("body", b"")
            return
        await self._send(message)

    async def finish(self) -> None:
        """Send the response in place of one that was held back or never came."""
        if self.is_started or self.is_gone:
            return
        if self.stopped is not None:
            await self.refuse(*self.stopped)
        elif self._held is not None:
            content = _json_object(self._body)
            if isinstance(content.get("error"), dict):  # the OpenAI-compatible API says by itself what is wrong
                await self._answer(self._held["status"], content)
            elif isinstance(content.get("error"), str):  # gradio answers 500 to what a function refused with a sentence
                await self._answer(400, content)
            else:
                sentence = wrong_call().text(page_language(self.request))
                await self._answer(self._held["status"], content | {"error": sentence})

    async def refuse(self, status: int, error: UserError) -> None:
        """Answer with a sentence, and close the connection: the rest of the body is not waited for."""
        await self._answer(status, {"error": error.text(page_language(self.request))}, close=True)

    async def _answer(self, status: int, content: dict[str, Any], *, close: bool = False) -> None:
        headers = {"connection": "close"} if close else {}
        if status == 405:
            headers["allow"] = ", ".join(METHODS)
        response = JSONResponse(content, status, headers)
        start = {"type": "http.response.start", "status": status, "headers": response.raw_headers}
        _add_headers(start)
        await self._send(start)
        await self._send({"type": "http.response.body", "body": response.body})


def body_time_s(n_bytes: int, body_s: float) -> float:
    """How long a body may take of which `n_bytes` have arrived."""
    return body_s + n_bytes / BODY_BYTES_PER_S


def _refuse(request: Request) -> tuple[int, UserError] | None:
    """The status and sentence for a request that is refused by its head alone."""
    path = request.scope["path"]
    if request.method not in METHODS:
        return 405, RequestError("http.method", "This method is not known here.")
    if not path.startswith("/") or "\0" in path:
        return 400, RequestError("http.path", "This is not a path of this server.")
    if FETCHES.search(path):
        return 404, RequestError("http.fetch", "Files are uploaded here, not fetched.")
    limit, announced = _body_limit(path), request.headers.get("content-length", "")
    if limit is not None and announced.isdecimal() and int(announced) > limit:
        return 413, _too_large(limit)
    return None


def _body_limit(path: str) -> int | None:
    if UPLOAD_PATH in path:  # below the root path, where a proxy leaves that on
        return None
    if SPEECH_PATH in path:
        return MAX_FILE_BYTES
    return MAX_MEDIA_BYTES if any(part in path for part in MEDIA_PATHS) else MAX_BODY_BYTES


def _too_large(limit: int) -> UserError:
    return RequestError(
        "http.large", "The request is too large; at most {megabytes} MB are taken.", megabytes=limit >> 20
    )


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        content = json.loads(body)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def _add_headers(start: Message) -> None:
    headers = MutableHeaders(raw=start.setdefault("headers", []))
    for name, value in HEADERS.items():
        headers.setdefault(name, value)
    is_page = headers.get("content-type", "").startswith("text/html")
    headers.setdefault("content-security-policy", POLICY if is_page else "frame-ancestors 'none'")
    start["headers"] = headers.raw
