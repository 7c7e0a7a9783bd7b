"""A client for servers that speak OpenAI's protocol: requests, retries, aborting, and the sentence for a failure.

Every request is read in a thread, so that a stop takes effect while the server is silent: the caller stops waiting and
the connection is shut down, which tells the server that nobody reads any more. The `openai` package writes requests and
reads answers. Retries, headers and the target are decided here, since the package retries on every failure (a timeout
would be waited for three times) and adds headers from OPENAI_... in the environment. Redirects are not followed: the
key goes to the address that the owner gave, and nowhere else.
"""

from __future__ import annotations

import json
import random
import re
import socket
import ssl
import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from engines.errors import Cancelled, RequestError, UserError
from engines.hosts.results import Written
from engines.protocol import Cancel

if TYPE_CHECKING:
    import openai

Item = TypeVar("Item")
ChatMessage = dict[str, Any]
"""One turn as OpenAI's chat protocol writes it."""

CONNECT_S = 5.0
POLL_S = 0.05
TRIES = 3
BACK_OFF_S = 0.5
"""Seconds before the second try, doubled for each further one, with jitter of up to half, so that clients that were
refused together do not return together."""
LONGEST_WAIT_S = 20.0
"""A longer Retry-After is not waited for."""
LOOPBACK = ("localhost", "127.0.0.1", "::1")
HEADERS = frozenset(("accept", "accept-encoding", "connection", "content-length", "content-type", "host", "user-agent"))
"""What travels, besides our key. The package would add what OPENAI_... in the environment says, meant for another."""

_THOUGHT = re.compile(r"^\s*<think>.*?(</think>\s*|$)", re.DOTALL)
_AT_MOST = re.compile(r"at most (\d+) image", re.IGNORECASE)
_TOO_LONG = re.compile(r"context|too long|too many tokens|maximum.{0,40}tokens|exceed", re.IGNORECASE)


class _Malformed(Exception):
    """The server's answer is not of the protocol."""


class _Cut(Exception):
    """The answer ended before the server said that it was whole."""


class _Connection:
    """One request's connection, so that another thread can cut it."""

    def __init__(self, *, secure: bool) -> None:
        self.gone = threading.Event()
        self.connected = False
        self._secure = secure
        self._socket: socket.socket | None = None

    def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Called by the HTTP library at every step of the request; a socket wrapped for TLS is another one."""
        if event.endswith(("connect_tcp.complete", "start_tls.complete")):
            self._socket = info["return_value"].get_extra_info("socket")
            self.connected = not self._secure or event.endswith("start_tls.complete")
            if self.gone.is_set():
                self._cut()

    def abort(self) -> None:
        self.gone.set()
        self._cut()

    def _cut(self) -> None:
        if self._socket is not None:
            with suppress(OSError):  # closed already
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)  # a close alone would not wake who reads


class Server:
    """A server at an address, http or https. Safe to use from any thread."""

    def __init__(self, address: str, *, key: str = "", timeout_s: float = 60.0) -> None:
        """key: "" = none is sent. timeout_s: how long the server may be silent."""
        import openai

        parts = urlsplit(address)
        self.place = parts.netloc
        self._secure = parts.scheme == "https"
        self._key, self._timeout_s = key, timeout_s
        self._connections: set[_Connection] = set()
        self._reading = threading.local()
        http = openai.DefaultHttpxClient(
            follow_redirects=False,
            event_hooks={"request": [self._prepare]},
            # A proxy that the environment names does not lead back to this machine.
            mounts={"http://": None, "https://": None} if parts.hostname in LOOPBACK else None,
        )
        # One connection for each request: it can be aborted without harm to another.
        self._client = openai.OpenAI(
            base_url=address,
            api_key="none",
            max_retries=0,
            default_headers={"Connection": "close"},
            http_client=http,
        )

    def get(self, address: str) -> object:
        """GET an address of the server; returns its JSON."""
        return _first(self._asked(lambda client: iter([client.get(address, cast_to=object)]), Cancel(), tries=1))

    def models(self) -> list[str]:
        """The names of the models it serves."""

        def names(client: openai.OpenAI) -> Iterator[list[str]]:
            listed = client.get("/models", cast_to=object)
            rows = listed.get("data") if isinstance(listed, dict) else None
            if not isinstance(rows, list):
                raise _Malformed("no list of models")
            yield [str(row["id"]) for row in rows if isinstance(row, dict) and "id" in row]

        return _first(self._asked(names, Cancel()))

    def n_read(self, model: str, messages: Sequence[ChatMessage], *, tries: int = TRIES, limit_s: float) -> int | None:
        """How many tokens the server read of a conversation; None where it does not count them."""

        def count(client: openai.OpenAI) -> Iterator[int | None]:
            answer = client.chat.completions.create(
                model=model,
                messages=messages,  # type: ignore[arg-type]
                max_tokens=1,
                temperature=0.0,
            )
            if not getattr(answer, "choices", None):
                raise _Malformed("no choices")
            n_tokens = getattr(getattr(answer, "usage", None), "prompt_tokens", None)
            yield n_tokens if isinstance(n_tokens, int) else None

        return _first(self._asked(count, Cancel(), model=model, tries=tries, limit_s=limit_s))

    def chat(
        self, model: str, messages: Sequence[ChatMessage], *, max_tokens: int, cancel: Cancel
    ) -> Generator[Written]:
        """The answer to a conversation as it grows, without the text between <think> tags."""

        def texts(client: openai.OpenAI) -> Iterator[Written]:
            chunks = client.chat.completions.create(
                model=model,
                messages=messages,  # type: ignore[arg-type]
                max_tokens=max_tokens,
                temperature=0.0,
                stream=True,
            )
            text, reason, n_chunks = "", "", 0
            for n_chunks, chunk in enumerate(chunks, 1):  # noqa: B007  # told apart below: none came, or too few
                piece, told = _piece(chunk)
                text, reason = text + piece, told or reason
                if piece or told == "length":
                    yield Written(_THOUGHT.sub("", text), is_cut=reason == "length")
            if n_chunks == 0:
                raise _Malformed("no event came")
            if not reason:
                raise _Cut("the answer was not finished")

        return self._asked(texts, cancel, model=model)

    def transcription(
        self, model: str, wav: bytes, *, language: str | None, form: str, cancel: Cancel, limit_s: float | None = None
    ) -> dict[str, Any]:
        """The transcript of a sound: a record with at least "text". form: "verbose_json" or "json"."""
        import openai

        def written(client: openai.OpenAI) -> Iterator[dict[str, Any]]:
            answer: Any = client.audio.transcriptions.create(
                model=model,
                file=("speech.wav", wav, "audio/wav"),
                response_format=form,  # type: ignore[call-overload]
                temperature=0.0,
                language=openai.omit if language is None else language,
            )
            record = answer.to_dict() if hasattr(answer, "to_dict") else None
            if not isinstance(record, dict) or not isinstance(record.get("text"), str):
                raise _Malformed("no text")
            yield record

        tries = TRIES if limit_s is None else 1
        return _first(self._asked(written, cancel, model=model, tries=tries, limit_s=limit_s))

    def close(self) -> None:
        """Abort all running requests. Closing twice is fine."""
        for connection in tuple(self._connections):
            connection.abort()
        self._client.close()

    # --- how a request goes ---

    def _prepare(self, request: Any) -> None:
        """Called by the HTTP library, in the reading thread, before a request leaves."""
        for name in [*request.headers]:
            if name.lower() not in HEADERS:
                del request.headers[name]
        if self._key:
            request.headers["Authorization"] = f"Bearer {self._key}"
        request.extensions["trace"] = self._reading.connection.trace

    def _asked(
        self,
        call: Callable[[openai.OpenAI], Iterator[Item]],
        cancel: Cancel,
        *,
        model: str = "",
        tries: int = TRIES,
        limit_s: float | None = None,
    ) -> Generator[Item]:
        """Yield the items of a call. Raises UserError, and Cancelled soon after a stop."""
        import openai

        from engines.media import ahead

        connection = _Connection(secure=self._secure)
        limit_s = self._timeout_s if limit_s is None else limit_s
        limits = openai.Timeout(limit_s, connect=min(CONNECT_S, limit_s))
        client = self._client.with_options(timeout=limits)

        def read() -> Iterator[tuple[Item]]:
            self._reading.connection = connection
            for n_failed in range(1, tries + 1):
                connection.connected = False
                try:
                    for item in call(client):
                        yield (item,)
                    return
                except Exception as error:
                    wait_s = _worth_waiting_s(error, n_failed) if n_failed < tries else None
                    if wait_s is None:
                        raise
                if connection.gone.wait(wait_s):
                    raise Cancelled

        if cancel.is_set:
            raise Cancelled
        self._connections.add(connection)
        try:
            with closing(ahead(read(), look_s=POLL_S)) as items:
                for item in items:
                    if cancel.is_set or connection.gone.is_set():
                        raise Cancelled
                    if item is not None:
                        yield item[0]
        except Cancelled:
            raise
        except Exception as error:
            if connection.gone.is_set():
                raise Cancelled from error
            told = explained(error, self.place, model, limit_s, connected=connection.connected)
            if told is None:
                raise
            raise told from error
        finally:
            connection.abort()
            self._connections.discard(connection)


def _first(items: Generator[Item]) -> Item:
    with closing(items):
        return next(items)


def _piece(chunk: Any) -> tuple[str, str]:
    """(text added by an event, finish reason or "")."""
    choices = getattr(chunk, "choices", None)
    if not isinstance(choices, list):
        raise _Malformed("an event without choices")
    if not choices:  # a count of tokens alone
        return "", ""
    piece = getattr(getattr(choices[0], "delta", None), "content", None)
    return piece if isinstance(piece, str) else "", str(getattr(choices[0], "finish_reason", None) or "")


def _worth_waiting_s(error: BaseException, n_failed: int) -> float | None:
    """Seconds to wait before a retry; None where that would not help. Only failures before any output are retried."""
    import openai

    back_off_s = BACK_OFF_S * 2 ** (n_failed - 1) * random.uniform(0.5, 1.0)  # noqa: S311 (spreads retries)
    if isinstance(error, openai.APIStatusError):
        if error.status_code != 429 and error.status_code < 500:
            return None
        asked = error.response.headers.get("retry-after", "").strip()
        if not asked.isdecimal():  # absent, or a date
            return back_off_s
        return max(back_off_s, float(asked)) if float(asked) <= LONGEST_WAIT_S else None
    return back_off_s if any(isinstance(cause, ConnectionRefusedError) for cause in _causes(error)) else None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


SENTENCES = {
    "silent": "The server at {place} was silent for {limit_s:g} seconds; ask again, or give it more time.",
    "unreachable": "{place} could not be reached in time; check the address and the network.",
    "strange": "{place} does not answer as an OpenAI-compatible server does; check the address, most end in /v1.",
    "name_unknown": "The network knows no {place}; check the name in the address.",
    "tls": "No secure connection to {place} came about; check its certificate, or whether it speaks https.",
    "absent": "No server answers at {place}; start it, or check the address.",
    "broke_off": "The server at {place} broke off in the middle of its answer; ask again.",
    "refuses_key": "The server at {place} refuses the key; set FUSION_STUDIO_API_KEY to one it knows.",
    "without_models": "The server at {place} knows no models; check the address, and the model's name after #.",
    "model_unknown": "The server at {place} knows no model {model!r}; check the address, and the model's name after #.",
    "picture_limit": "The server at {place} takes {n} pictures at a time, fewer than a clip has; choose a photo.",
    "too_long": "This is too long for the model at {place}; shorten it.",
    "overloaded": "The server at {place} has too many requests; wait a little and ask again.",
    "failed": "The server at {place} failed (HTTP {status}); its own log says why.",
    "redirects": "{place} points to another address, which is not followed; give that address.",
    "refuses_request": "The server at {place} refuses this request (HTTP {status}); its own log says why.",
}
"""What can go wrong, each with the key "server_<fault>". The server's own words stay in the log: they may repeat the
key."""


def explained(error: BaseException, place: str, model: str, limit_s: float, *, connected: bool) -> UserError | None:
    """The error sentence for a failed request; None for a defect of this program."""
    import openai

    status, message = getattr(error, "status_code", 500), ""
    if isinstance(error, openai.APIError):
        message = f"{error.message} {error.body}"
    if isinstance(error, openai.APIStatusError):
        fault = _refusal(status, message, model)
    else:
        fault = _broken(error, message, model, connected)
    if not fault:
        return None
    at_most = _AT_MOST.search(message)
    values = {"model": short(model), "status": status, "limit_s": limit_s, "n": at_most[1] if at_most else 0}
    return RequestError(f"server_{fault}", SENTENCES[fault], place=place, **values)


def _broken(error: BaseException, message: str, model: str, connected: bool) -> str:
    """The fault behind a failure without an HTTP status; "" for a defect of this program."""
    import openai

    if isinstance(error, openai.APITimeoutError):
        return "silent" if connected else "unreachable"
    if isinstance(error, openai.APIResponseValidationError | json.JSONDecodeError | UnicodeDecodeError | _Malformed):
        return "strange"
    causes = tuple(_causes(error))
    if any(isinstance(cause, socket.gaierror) for cause in causes):
        return "name_unknown"
    if any(isinstance(cause, ssl.SSLError) for cause in causes) and not connected:
        return "tls"
    if isinstance(error, openai.APIConnectionError | _Cut):
        return "broke_off" if connected or isinstance(error, _Cut) else "absent"
    if isinstance(error, openai.APIError):  # told inside the stream
        return _refusal(400 if _TOO_LONG.search(message) else 500, message, model)
    return ""


def _refusal(status: int, message: str, model: str) -> str:
    """The fault behind an HTTP status and the server's message."""
    if status in (401, 403):
        return "refuses_key"
    if status == 404:
        return "model_unknown" if model else "without_models"
    if status == 400 and _AT_MOST.search(message):  # vLLM, as it was told to
        return "picture_limit"
    if status == 413 or (status in (400, 422) and _TOO_LONG.search(message)):
        return "too_long"
    if status == 429:
        return "overloaded"
    if status >= 500:
        return "failed"
    return "redirects" if status < 400 else "refuses_request"


def short(model: str) -> str:
    """A model's name without the folders it lies in."""
    return re.split(r"[/\\]", model.rstrip("/\\"))[-1] if re.match(r"[/\\.~]|\w:[/\\]", model) else model
