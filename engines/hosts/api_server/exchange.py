"""A request over HTTP as it is read, run and answered: JSON, media in it, events of a stream, errors as sentences."""

from __future__ import annotations

import base64
import binascii
import json
import logging
from collections.abc import AsyncIterator
from typing import Any

from anyio import CancelScope, sleep, to_thread
from starlette.exceptions import HTTPException
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response, StreamingResponse

from engines.device import explain
from engines.errors import AbilityError, Cancelled, DeviceError, MediaError, RequestError, UserError
from engines.media import ahead
from engines.protocol import Cancel, Host, Request, Result

log = logging.getLogger("engines.api")

LOOK_S = 0.05
"""How soon it is noticed that a result is there, or that its client has hung up."""


# --- errors --------------------------------------------------------------------------------------------------------


def error_response(status: int, message: str, code: str) -> JSONResponse:
    return JSONResponse(error_body(status, message, code), status)


def error_body(status: int, message: str, code: str) -> dict[str, Any]:
    kind = "server_error" if status >= 500 else "authentication_error" if status == 401 else "invalid_request_error"
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def sentence(error: UserError, request: HttpRequest) -> tuple[int, str, str]:
    """(HTTP status, sentence in the language of the request, code)."""
    status = 400 if isinstance(error, MediaError | RequestError | AbilityError) else 500
    if isinstance(error, DeviceError):
        status = 503
    return status, error.text(request.headers.get("accept-language", "en")), error.parts()[0]


def explained(request: HttpRequest, error: Exception) -> Response:
    """The response to a request that failed; what is no one's mistake is logged."""
    match error:
        case UserError():
            return error_response(*sentence(error, request))
        case HTTPException():
            code = {401: "invalid_api_key", 404: "not_found", 413: "too_large"}.get(error.status_code, "")
            return error_response(error.status_code, error.detail, code)
        case Cancelled():
            return Response(status_code=499)  # nobody reads it: the client hung up
    log.error("a request failed", exc_info=error)
    return error_response(500, "Something went wrong in the server; its log says what.", "defect")


async def explain_unserved(request: HttpRequest, error: Exception) -> Response:
    """The same for what no endpoint serves: an unknown path, or a method that it does not take."""
    assert isinstance(error, HTTPException)
    told = {
        404: "There is no such endpoint; /v1 is the address of the API.",
        405: "This endpoint takes another method.",
    }
    return explained(request, HTTPException(error.status_code, told.get(error.status_code, error.detail)))


def wrong(sentence: str) -> HTTPException:
    """A request that its sender can mend."""
    return HTTPException(400, sentence)


# --- running a request ---------------------------------------------------------------------------------------------


async def results(host: Host, asked: Request, http: HttpRequest | None = None) -> AsyncIterator[Result]:
    """Results as the host makes them, waited for in a thread; a client that hangs up stops the work, also while
    nothing comes.

    http: None where the response is a stream, which is cancelled by itself then. Raises UserError.
    """
    cancel = Cancel()
    stream = ahead(host.stream(asked, cancel))
    end = object()

    def following() -> object:
        try:
            return next(stream, end)
        except (RuntimeError, MemoryError) as error:
            raise explain(error) or error from error

    try:
        while (result := await to_thread.run_sync(following)) is not end:
            if http is not None and await http.is_disconnected():
                raise Cancelled
            if result is None:
                await sleep(LOOK_S)
                continue
            assert isinstance(result, Result)
            yield result
    finally:
        cancel.set()
        with CancelScope(shield=True):
            await to_thread.run_sync(getattr(stream, "close", bool))


async def last_result(host: Host, asked: Request, http: HttpRequest) -> Any:
    """The whole result. Raises UserError, and Cancelled when the client hangs up."""
    last: Result | None = None
    async for last in results(host, asked, http):  # noqa: B007  # only the last is wanted
        pass
    return last


def events(chunks: AsyncIterator[dict[str, Any]], http: HttpRequest, *, done: bool) -> StreamingResponse:
    """Server-sent events. An error after the start comes as an event, as OpenAI's clients expect.

    done: end with the mark that ends a chat.
    """

    async def lines() -> AsyncIterator[str]:
        try:
            async for chunk in chunks:
                yield f"data: {json.dumps(chunk, ensure_ascii=False)}\n\n"
        except UserError as error:
            yield f"data: {json.dumps(error_body(*sentence(error, http)), ensure_ascii=False)}\n\n"
            return
        except Cancelled:
            return
        if done:
            yield "data: [DONE]\n\n"

    return StreamingResponse(lines(), media_type="text/event-stream", headers={"Cache-Control": "no-store"})


async def json_body(request: HttpRequest) -> dict[str, Any]:
    """The body as a JSON object. Raises HTTPException."""
    try:
        body = json.loads(await request.body())
    except (ValueError, RecursionError) as error:
        raise wrong("The body is not JSON.") from error
    if not isinstance(body, dict):
        raise wrong("The body is not a JSON object.")
    return body


def decoded(data: object) -> bytes:
    """The bytes of base64. Raises HTTPException."""
    try:
        return base64.b64decode(data, validate=True)  # type: ignore[arg-type]  # what is no text is a TypeError
    except (binascii.Error, ValueError, TypeError) as error:
        raise wrong("The base64 data of a part are damaged.") from error


def data_url(url: object) -> bytes:
    """The bytes of "data:image/png;base64,..."; nothing is fetched."""
    head, comma, data = str(url).partition(",")
    if not head.startswith("data:") or not head.endswith(";base64") or not comma:
        raise wrong("Media are given as data URLs with base64 (data:image/png;base64,...); no address is fetched.")
    return decoded(data)


def inner(part: Any, name: str, field: str) -> object:
    """The medium of a chat's part: {"image_url": {"url": ...}}, or as some clients write it, {"image_url": ...}."""
    value = part.get(name)
    return value.get(field) if isinstance(value, dict) else value
