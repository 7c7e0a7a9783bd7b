"""The gate in front of the page: whom it answers, and the password that visitors show.

On this machine the page answers only under names of this machine and those of `--allow-host`, and only to itself:
another site in the same browser, or another program on another port, can neither read it nor make it work (DNS
rebinding, forged posts). Where others can reach it, a key in a cookie or the password in a header lets a request in.
"""

from __future__ import annotations

import asyncio
import html
import secrets
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import FormData
from starlette.formparsers import MultiPartException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from engines import RequestError, current_client
from studio import i18n, theme
from studio.sharing import Lock

COOKIE = "fusion_key"
ENTER = "/enter"
LEAVE = "/leave"
PAGES = ("/", "/api")
"""What a link from another site may open."""

SLOW_S = 1.0
KEY_S = 12 * 3600.0
"""How long a browser stays in after the password."""

LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
FORWARDED = frozenset({b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto", b"x-gradio-server"})
"""Headers of a proxy about the client. Gradio builds addresses from them, so only a trusted proxy may set them."""


@dataclass(frozen=True)
class Entrance:
    """How the page is reached.

    names: host names that a reverse proxy passes on (`--allow-host`). root_path: the path, or the whole address, under
    which a proxy serves the page. any_host: the page listens on the network, where this machine has names that it does
    not know. tunnel_port: the port that only the tunnel opened here connects to.
    """

    names: frozenset[str] = frozenset()
    root_path: str = ""
    any_host: bool = False
    tunnel_port: int = 0

    @property
    def path(self) -> str:
        """The path of the page, without a slash at its end."""
        return "/" + path if (path := urlsplit(self.root_path).path.strip("/")) else ""

    @property
    def is_proxied(self) -> bool:
        """Whether the owner declared a reverse proxy."""
        return bool(self.names or self.root_path)

    @property
    def hosts(self) -> frozenset[str]:
        """The host names that the page answers to."""
        public = urlsplit(self.root_path).hostname
        return LOCAL_NAMES | self.names | (frozenset() if public is None else {public})

    def is_tunnelled(self, scope: Scope) -> bool:
        """Whether a request came through the tunnel."""
        return self.tunnel_port > 0 and (scope.get("server") or ("", 0))[1] == self.tunnel_port


class Gate:
    """ASGI middleware that lets through who may come in. lock: None on this machine, where names are checked only."""

    def __init__(
        self, app: ASGIApp, lock: Lock | None = None, entrance: Entrance | None = None, *, slow_s: float = SLOW_S
    ) -> None:
        self._app = app
        self._lock = lock
        self._entrance = entrance if entrance is not None else Entrance()
        self._slow_s = slow_s
        self._keys: dict[str, float] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope = _clean(scope, self._entrance)
        request = Request(scope, receive)
        current_client.set(_address(request))
        known = is_known_host(request, self._entrance) and is_own_site(request, self._entrance)
        answer = await self._answer(request) if known else _foreign(request)
        await (answer if answer is not None else self._app)(scope, receive, send)

    async def _answer(self, request: Request) -> Response | None:
        """What the gate itself says to a request; None lets it through."""
        lock, path, posted = self._lock, request.scope["path"], request.method == "POST"
        if lock is None:
            return None
        if path == ENTER and posted:
            return await self._enter(request, lock)
        if path == LEAVE:
            return await self._leave(request, lock) if posted else self._login("leave")
        if await self._may_pass(request, lock):
            return None
        if path == "/":
            return self._login("enter")
        error = RequestError("gate.password", "A password is needed.")
        return JSONResponse({"error": error.text(i18n.page_language(request))}, 401)

    async def _may_pass(self, request: Request, lock: Lock) -> bool:
        key = request.cookies.get(COOKIE, "")
        if key in self._keys:
            if lock.clock() < self._keys[key]:
                return True
            del self._keys[key]
        scheme, _, tried = request.headers.get("authorization", "").partition(" ")  # for programs: a header, no form
        return scheme.lower() == "bearer" and await self._try(request, tried, lock)

    async def _try(self, request: Request, tried: object, lock: Lock) -> bool:
        if lock.opens(_address(request), tried if isinstance(tried, str) else ""):
            return True
        await asyncio.sleep(self._slow_s)
        return False

    async def _enter(self, request: Request, lock: Lock) -> Response:
        if await self._try(request, (await _form(request)).get("password"), lock):
            key = secrets.token_urlsafe(32)
            self._keys[key] = lock.clock() + KEY_S
            answer = RedirectResponse(self._entrance.path + "/", 303, {"cache-control": "no-store"})
            answer.set_cookie(COOKIE, key, int(KEY_S), httponly=True, samesite="lax", **self._cookie(request))
            return answer
        return self._refused(request, lock)

    async def _leave(self, request: Request, lock: Lock) -> Response:
        form = await _form(request)
        if "everyone" in form:  # revoking every key needs the password again
            if not await self._try(request, form.get("password"), lock):
                return self._refused(request, lock)
            self._keys.clear()
        self._keys.pop(request.cookies.get(COOKIE, ""), None)
        answer = self._login("left")
        answer.delete_cookie(COOKIE, httponly=True, samesite="lax", **self._cookie(request))
        return answer

    def _cookie(self, request: Request) -> dict[str, Any]:
        return {"path": self._entrance.path + "/", "secure": request.headers.get("x-forwarded-proto") == "https"}

    def _refused(self, request: Request, lock: Lock) -> Response:
        return self._login("locked", 429) if lock.locked_s(_address(request)) > 0 else self._login("wrong", 401)

    def _login(self, state: str, status: int = 200) -> Response:
        page = leave_page(self._entrance.path) if state == "leave" else login_page(state, self._entrance.path)
        return HTMLResponse(page, status, {"cache-control": "no-store"})


def _clean(scope: Scope, entrance: Entrance) -> Scope:
    """The scope with the path below the root path, the true address of the client, and no forged proxy headers.

    Only the tunnel's word counts for the address, and its last one: those before it are the client's own.
    """
    changed, path = dict(scope), scope["path"]
    if entrance.path and (path == entrance.path or path.startswith(entrance.path + "/")):  # a proxy that leaves it on
        changed["path"] = path.removeprefix(entrance.path) or "/"
    if entrance.is_tunnelled(scope):
        chain = ",".join(Request(scope).headers.getlist("x-forwarded-for"))
        changed["client"] = (chain.rpartition(",")[2].strip() or "tunnel", 0)
    elif not entrance.is_proxied:
        changed["headers"] = [(name, value) for name, value in scope["headers"] if name.lower() not in FORWARDED]
    return changed


def is_known_host(request: Request, entrance: Entrance) -> bool:
    """Whether the request names a host that is served here: another name that leads here is another site's."""
    free = entrance.any_host or entrance.is_tunnelled(request.scope)
    return free or _hostname(request.headers.get("host", "localhost")) in entrance.hosts


def is_own_site(request: Request, entrance: Entrance) -> bool:
    """Whether a request comes from this page itself, from a typed address or from a program.

    A browser tells where a script's request comes from (Origin, Sec-Fetch-Site); another port of localhost is another
    site. Only the page itself may be opened by a link from elsewhere, and not in a frame.
    """
    headers = request.headers
    if "origin" in headers:
        origin = _netloc(headers["origin"])
        own = {headers.get("host"), headers.get("x-forwarded-host")}
        return origin in own or _hostname(origin) in entrance.hosts - LOCAL_NAMES
    if headers.get("sec-fetch-site", "none") in ("none", "same-origin"):
        return True
    opened = (headers.get("sec-fetch-mode"), headers.get("sec-fetch-dest")) == ("navigate", "document")
    return opened and request.method == "GET" and request.scope["path"] in PAGES


def _netloc(address: str) -> str:
    try:
        return urlsplit(address).netloc.lower()
    except ValueError:
        return ""


def _hostname(netloc: str) -> str:
    try:
        return urlsplit(f"//{netloc}").hostname or ""
    except ValueError:
        return ""


def _address(request: Request) -> str:
    return request.client.host if request.client is not None else ""


async def _form(request: Request) -> FormData:
    """The fields of a posted form; empty for anything else."""
    if not request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        return FormData()
    try:
        return await request.form(max_fields=4, max_part_size=4096)
    except (MultiPartException, ClientDisconnect):
        return FormData()


def _foreign(request: Request) -> Response:
    error = RequestError("gate.foreign", "This page answers only under its own address; see --allow-host.")
    return JSONResponse({"error": error.text(i18n.page_language(request))}, 403)


def login_page(state: str, root: str) -> str:
    """The page with the password field. state: "enter", "wrong", "locked" or "left". root: the path of the page."""
    told = "" if state == "enter" else f'<p class="login-message" role="alert">{i18n.both("ui.login." + state)}</p>'
    return theme.plain_page(
        f'<main class="login">{theme.brand()}<h1>{i18n.both("ui.login.title")}</h1>{told}'
        f'<form method="post" action="{html.escape(root + ENTER)}">{_password()}'
        f"<button>{i18n.both('ui.login.go')}</button></form></main>"
    )


def leave_page(root: str) -> str:
    """The page to log out from: this browser, or everybody with the password once more."""
    form = f'<form method="post" action="{html.escape(root + LEAVE)}">'
    return theme.plain_page(
        f'<main class="login">{theme.brand()}<h1>{i18n.both("ui.login.leave")}</h1>'
        f"{form}<button>{i18n.both('ui.login.leave')}</button></form>"
        f'{form}<input type="hidden" name="everyone" value="1">{_password()}'
        f"<button>{i18n.both('ui.login.leave_all')}</button></form></main>"
    )


def _password() -> str:
    return (
        f'<label for="password">{i18n.both("ui.login.password")}</label>'
        '<input id="password" name="password" type="password" autocomplete="current-password" autofocus required>'
    )
