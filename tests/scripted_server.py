"""A server on the loopback that speaks OpenAI's protocol from a script: any model, any fault, no waiting.

    with ScriptedServer() as server:                       # a model that sees, hears and writes transcripts
        server.script("/v1/chat/completions", status(500), status(500), chat())    # fails twice, then answers
    with ScriptedServer(modalities=(), ignores_media=True):    # takes pictures and drops them before the model reads

A reply is a function of the handler; the last of a script is used again and again. `server.requests` holds what came,
`server.waits` is set when a reply begins to wait for whoever asked to close the connection, `server.hung_up` when that
is done.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

WAIT_S = 20.0
WORDS = ("Guten", " Morgen", ",", " Welt", ".")
TEXT = "".join(WORDS)
CHAT = "/v1/chat/completions"
SPEECH = "/v1/audio/transcriptions"
MODELS = "/v1/models"


@dataclass(frozen=True)
class Asked:
    """A request as it came. body: the JSON of a chat, the raw form of a transcription."""

    path: str
    headers: Mapping[str, str]
    body: Any

    @property
    def modalities(self) -> set[str]:
        """What its messages hold besides text."""
        kinds = {"image_url": "picture", "input_audio": "sound"}
        parts = [p for m in self.body["messages"] for p in m["content"] if isinstance(p, dict)]
        return {kinds[part["type"]] for part in parts if part["type"] in kinds}


class Handler(BaseHTTPRequestHandler):
    """One request. HTTP/1.0: a body without a length ends with the connection, as an event stream's does."""

    server: _Loopback
    asked: Asked

    def do_GET(self) -> None:
        self._answer(None)

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        is_json = "json" in self.headers["Content-Type"]
        self._answer(json.loads(raw) if is_json else raw)

    def _answer(self, body: Any) -> None:
        script = self.server.script
        self.asked = Asked(self.path, {k.lower(): v for k, v in self.headers.items()}, body)
        script.requests.append(self.asked)
        if script.key and self.headers.get("Authorization") != f"Bearer {script.key}":
            status(401, f"Incorrect API key provided: {self.headers.get('Authorization')}")(self)
            return
        with suppress(BrokenPipeError, ConnectionResetError):  # whoever asked hung up, which is their right
            script.reply_for(self.path)(self)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: a test's output is its own."""

    # --- what replies are made of ---

    def head(self, code: int, headers: Mapping[str, str]) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def tell(self, code: int, record: Any, **headers: str) -> None:
        data = record if isinstance(record, bytes) else json.dumps(record).encode()
        self.head(code, {"Content-Type": "application/json", "Content-Length": str(len(data)), **headers})
        self.wfile.write(data)

    def events(self, lines: Iterable[str]) -> None:
        self.head(200, {"Content-Type": "text/event-stream"})
        for line in lines:
            self.wfile.write(f"data: {line}\n\n".encode())
            self.wfile.flush()

    def wait_for_hanging_up(self) -> None:
        self.server.script.waits.set()
        self.connection.settimeout(WAIT_S)
        with suppress(ConnectionResetError):
            if self.connection.recv(1) != b"":
                return
        self.server.script.hung_up.set()


Reply = Callable[[Handler], None]


def chunk(piece: str = "", *, end: str | None = None) -> str:
    """An event of a streamed answer."""
    choice = {"index": 0, "delta": {"content": piece}, "finish_reason": end}
    return json.dumps({"id": "1", "object": "chat.completion.chunk", "model": "tiny", "choices": [choice]})


def chat(*words: str, n_tokens: int = 10, end: str = "stop") -> Reply:
    """An answer, streamed or whole as it was asked for. A picture or a sound is read as 20 tokens."""

    def reply(handler: Handler) -> None:
        said, asked = words or WORDS, handler.asked
        if asked.body.get("stream"):
            handler.events([*(chunk(word) for word in said), chunk(end=end), "[DONE]"])
            return
        n_read = n_tokens + (0 if handler.server.script.ignores_media else 20 * len(asked.modalities))
        choice = {"index": 0, "message": {"role": "assistant", "content": said[0]}, "finish_reason": "length"}
        usage = {"prompt_tokens": n_read, "completion_tokens": 1, "total_tokens": n_read + 1}
        handler.tell(200, {"id": "1", "object": "chat.completion", "choices": [choice], "usage": usage})

    return reply


def status(code: int, message: str = "", **headers: str) -> Reply:
    """A refusal in OpenAI's form."""
    return lambda handler: handler.tell(code, {"error": {"message": message or f"status {code}"}}, **headers)


def record(body: Any, code: int = 200) -> Reply:
    return lambda handler: handler.tell(code, body)


def events(*lines: str) -> Reply:
    """A stream of exactly these events, whatever was asked."""
    return lambda handler: handler.events(lines)


def silent(handler: Handler) -> None:
    """Nothing, for ever."""
    handler.wait_for_hanging_up()


def silent_after(*words: str) -> Reply:
    """The beginning of an answer, then nothing, for ever."""

    def reply(handler: Handler) -> None:
        handler.events(chunk(word) for word in words)
        handler.wait_for_hanging_up()

    return reply


def cut_after(*words: str) -> Reply:
    """The beginning of an answer, then the connection is gone although more was announced."""

    def reply(handler: Handler) -> None:
        handler.head(200, {"Content-Type": "text/event-stream", "Content-Length": "100000"})
        handler.wfile.write("".join(f"data: {chunk(word)}\n\n" for word in words).encode())

    return reply


def hang_up(handler: Handler) -> None:
    """No answer at all: the connection is closed."""


class _Loopback(ThreadingHTTPServer):
    daemon_threads = True
    script: ScriptedServer


class ScriptedServer:
    """The server; `url` is what `open_host` is given."""

    def __init__(
        self,
        *,
        modalities: Iterable[str] = ("picture", "sound"),
        ignores_media: bool = False,
        forms: Iterable[str] = ("verbose_json", "json"),
        models: Iterable[str] = ("tiny",),
        key: str = "",
    ) -> None:
        """modalities: what its model takes. ignores_media: it drops what its model does not take instead of refusing.
        forms: of transcripts, none = it writes none.
        """
        self.modalities, self.ignores_media, self.forms, self.key = set(modalities), ignores_media, set(forms), key
        self.requests: list[Asked] = []
        self.waits, self.hung_up = threading.Event(), threading.Event()
        self._scripts: dict[str, list[Reply]] = {
            MODELS: [record({"object": "list", "data": [{"id": name, "object": "model"} for name in models]})],
            CHAT: [self._chat],
            SPEECH: [self._speech],
        }
        self._lock = threading.Lock()
        self._http = _Loopback(("127.0.0.1", 0), Handler)
        self._http.script = self

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self._http.server_address[1]}"

    @property
    def url(self) -> str:
        return f"http://{self.place}/v1"

    def script(self, path: str, *replies: Reply) -> None:
        """What comes next at a path; the last reply is used from then on."""
        with self._lock:
            self._scripts[path] = list(replies)

    def reply_for(self, path: str) -> Reply:
        with self._lock:
            replies = self._scripts.get(path, [status(404, "Not Found")])
            return replies.pop(0) if len(replies) > 1 else replies[0]

    def asked(self, path: str) -> list[Asked]:
        return [asked for asked in self.requests if asked.path == path]

    def _chat(self, handler: Handler) -> None:
        if handler.asked.modalities <= self.modalities or self.ignores_media:
            chat()(handler)
        else:
            status(400, "this is not a multimodal model")(handler)

    def _speech(self, handler: Handler) -> None:
        form = next(
            (form for form in ("verbose_json", "json") if f'"response_format"\r\n\r\n{form}' in self._text(handler)), ""
        )
        if form not in self.forms:
            status(404 if not self.forms else 400, "no such form")(handler)
        elif form == "json":
            record({"text": TEXT})(handler)
        else:
            segments = [
                {"id": 0, "start": 0.1, "end": 0.6, "text": " Guten Morgen,"},
                {"id": 1, "start": 0.6, "end": 1.2, "text": " Welt."},
            ]
            record({"text": TEXT, "language": "german", "duration": 2.0, "segments": segments})(handler)

    @staticmethod
    def _text(handler: Handler) -> str:
        return bytes(handler.asked.body).decode("latin-1")

    def __enter__(self) -> ScriptedServer:
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()


def served() -> Iterator[ScriptedServer]:
    """The body of a fixture: a server that does everything."""
    with ScriptedServer() as server:
        yield server
