"""Who may come in, and what a visitor may do.

The page listens on this machine only, and then only answers names of this machine: another site in the same browser
can neither read it nor make it work (DNS rebinding, forged posts). As soon as it is reachable from elsewhere, through a
tunnel or the local network, a password stands before everything: made here, shown once in the terminal, slow to try
and locked after five wrong ones.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import parse_qs, urlsplit

from studio import i18n, theme

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

log = logging.getLogger("studio")

COOKIE = "fusion_key"
ENTER = "/enter"
N_TRIES = 5
LOCK_S = 900.0
SLOW_S = 1.0
MAX_FORM_BYTES = 4096
LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]", "testserver"})


@dataclass(frozen=True)
class Rules:
    """What those who open the page may do. shared: others than the owner can reach it."""

    shared: bool = False

    @property
    def folders(self) -> bool:
        """Whether folders of this machine may be named."""
        return not self.shared

    @property
    def devices(self) -> bool:
        """Whether the device may be switched."""
        return not self.shared

    @property
    def max_file_size(self) -> str | None:
        """The largest upload, as gradio writes it."""
        return "64mb" if self.shared else None

    @property
    def keep_s(self) -> int:
        """How long uploads are kept: an hour for visitors, a day for the owner."""
        return 3600 if self.shared else 86_400


def is_loopback(bind: str) -> bool:
    """Whether an address to listen on is reachable from this machine only."""
    try:
        return bind == "localhost" or ipaddress.ip_address(bind).is_loopback
    except ValueError:
        return False


def new_password() -> str:
    """Four groups of four letters and digits, none of which look alike: 79 bits."""
    letters = "abcdefghjkmnpqrstuvwxyz23456789"
    return "-".join("".join(secrets.choice(letters) for _ in range(4)) for _ in range(4))


@dataclass
class Lock:
    """Checks a password, and closes for a while after five wrong tries from the same address.

    Through a tunnel all visitors have one address: the lock then holds for all who are not in yet, which a guesser can
    bring about; those inside are not disturbed.
    """

    password: str
    clock: Callable[[], float] = time.monotonic
    wrong: dict[str, tuple[int, float]] = field(default_factory=dict)

    def locked_s(self, address: str) -> float:
        """How many seconds an address has to wait, 0 when it may try."""
        n_wrong, last_s = self.wrong.get(address, (0, 0.0))
        return max(0.0, last_s + LOCK_S - self.clock()) if n_wrong >= N_TRIES else 0.0

    def opens(self, address: str, tried: str) -> bool:
        """Whether this is the password; a wrong one is counted, and so is any while the lock is closed."""
        if self.locked_s(address) > 0:
            return False
        if secrets.compare_digest(tried.strip().encode(), self.password.encode()):
            self.wrong.pop(address, None)
            return True
        n_wrong, last_s = self.wrong.get(address, (0, 0.0))
        if n_wrong >= N_TRIES or self.clock() - last_s > LOCK_S:  # the last lock has run out: count anew
            n_wrong = 0
        self.wrong[address] = (n_wrong + 1, self.clock())
        return False


class Gate:
    """ASGI: lets through who may come in. lock: None on this machine, where only the names are checked."""

    def __init__(self, app: App, lock: Lock | None = None, *, slow_s: float = SLOW_S) -> None:
        self._app = app
        self._lock = lock
        self._slow_s = slow_s
        self._keys: set[str] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
        elif self._lock is None:
            if _asked_locally(_headers(scope)):
                await self._app(scope, receive, send)
            else:
                await _answer(send, 403, "text/plain", b"This page answers only on the machine it runs on.")
        elif scope["type"] == "http" and scope["path"] == ENTER and scope["method"] == "POST":
            await self._enter(scope, receive, send, self._lock)
        elif await self._may_pass(scope, self._lock):
            await self._app(scope, receive, send)
        elif scope["path"] == "/":
            await _answer(send, 200, "text/html; charset=utf-8", _door("enter").encode())
        else:
            await _answer(send, 401, "text/plain", b"A password is needed.")

    async def _may_pass(self, scope: Scope, lock: Lock) -> bool:
        headers = _headers(scope)
        cookies = SimpleCookie(headers.get("cookie", ""))
        if COOKIE in cookies and cookies[COOKIE].value in self._keys:
            return True
        scheme, _, tried = headers.get("authorization", "").partition(" ")  # for programs: one header, no form
        return scheme.lower() == "bearer" and await self._try(scope, tried, lock)

    async def _try(self, scope: Scope, tried: str, lock: Lock) -> bool:
        if lock.opens(_address(scope), tried):
            return True
        await asyncio.sleep(self._slow_s)
        return False

    async def _enter(self, scope: Scope, receive: Receive, send: Send, lock: Lock) -> None:
        form = parse_qs((await _body(receive)).decode("utf-8", "replace"))
        if await self._try(scope, form.get("password", [""])[0], lock):
            key = secrets.token_urlsafe(32)
            self._keys.add(key)
            cookie = f"{COOKIE}={key}; Path=/; HttpOnly; SameSite=Lax"
            await _answer(send, 303, "text/plain", b"", (("location", "/"), ("set-cookie", cookie)))
        elif lock.locked_s(_address(scope)) > 0:
            await _answer(send, 429, "text/html; charset=utf-8", _door("locked").encode())
        else:
            await _answer(send, 401, "text/html; charset=utf-8", _door("wrong").encode())


def _headers(scope: Scope) -> dict[str, str]:
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}


def _address(scope: Scope) -> str:
    client = scope.get("client")
    return str(client[0]) if client else ""


def _asked_locally(headers: dict[str, str]) -> bool:
    """Whether host and, where a browser sends one, origin are names of this machine."""
    origin = headers.get("origin")
    hosts = [headers.get("host", "localhost")] + ([] if origin is None else [urlsplit(origin).netloc])
    return all(host.rsplit(":", 1)[0].lower() in LOCAL_NAMES or host.lower() in LOCAL_NAMES for host in hosts)


async def _body(receive: Receive) -> bytes:
    body, more = b"", True
    while more and len(body) <= MAX_FORM_BYTES:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body[:MAX_FORM_BYTES]


async def _answer(send: Send, status: int, kind: str, body: bytes, headers: tuple[tuple[str, str], ...] = ()) -> None:
    listed = (("content-type", kind), ("content-length", str(len(body))), ("cache-control", "no-store"), *headers)
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in listed]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})


def _door(state: str) -> str:
    """The page with the password field. state: "enter", "wrong" or "locked"."""
    said = "" if state == "enter" else f'<p class="door-said" role="alert">{i18n.both("ui.door." + state)}</p>'
    return theme.plain_page(
        f'<main class="door">{theme.brand()}<h1>{i18n.both("ui.door.title")}</h1>{said}'
        f'<form method="post" action="{ENTER}"><label for="password">{i18n.both("ui.door.password")}</label>'
        '<input id="password" name="password" type="password" autocomplete="current-password" autofocus required>'
        f"<button>{i18n.both('ui.door.go')}</button></form></main>"
    )


def open_tunnel(url: str) -> str:
    """Ask gradio's service for a public address that subtitles here; one sentence with it, or why there is none."""
    from gradio import networking
    from gradio.exceptions import ChecksumMismatchError

    split = urlsplit(url)
    try:
        public = networking.setup_tunnel(
            local_host=split.hostname or "127.0.0.1",
            local_port=split.port or 80,
            share_token=secrets.token_urlsafe(32),
            share_server_address=None,
            share_server_tls_certificate=None,
        )
    except ChecksumMismatchError:
        return "No public link: the tunnel program on this computer is not the one expected. The studio stays local."
    except Exception as error:
        log.info("no tunnel", exc_info=error)
        return "No public link: the tunnel service or its program cannot be reached from here. The studio stays local."
    return f"Others reach it for up to a week at {public.replace('http:', 'https:', 1)}"
