"""The server under the page: where it listens, who reaches it, and its thread.

start(host)       the page from a thread: `with start(host) as served: served.url`
start_api(host)   the OpenAI-compatible API alone
serve(host)       what the command calls; comes back when the server ends
"""

from __future__ import annotations

import os
import socket
import threading
import time
import webbrowser
from collections.abc import Callable, Collection, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypedDict, Unpack

import uvicorn
from starlette.types import ASGIApp

from engines import Host, Offer, Settings, describe, open_host
from engines.home import data_folder
from engines.hosts.api_server import standalone
from studio import stream, uploads
from studio.app import mount, open_state
from studio.gate import Entrance, Gate
from studio.http_limits import Harden, HeadTimer
from studio.sharing import Lock, is_loopback, new_password, open_tunnel, stay_offline

MAX_CONNECTIONS = 512
"""Connections at once; more are answered 503. A browser holds about six."""

KEEP_ALIVE_S = 5


@dataclass
class Served:
    """A server that runs in a background thread.

    url: where the page is. password: None where none is needed. tunnel_port: the port for a tunnel, 0 where there is
    none.
    """

    url: str
    password: str | None
    tunnel_port: int
    _server: uvicorn.Server
    _thread: threading.Thread
    _ended: threading.Event
    _close: Callable[[], object]

    def wait(self) -> None:
        """Come back when the server has ended.

        A Ctrl-C during `Thread.join` makes Python 3.11 take the thread for ended, and `close` would wait for nothing
        (https://github.com/python/cpython/issues/90882).
        """
        while not self._ended.wait(0.5):
            pass

    def close(self) -> None:
        """End the server."""
        self._server.should_exit = True
        self._thread.join(10)
        self._close()

    def __enter__(self) -> Served:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Reach(TypedDict, total=False):
    """Where a server listens and who reaches it.

    port: 0 for any free one. root_path: the path, or the whole address, under which a reverse proxy serves the page
    (left out, GRADIO_ROOT_PATH). allow_hosts: the host names that a proxy passes on. With either of these, with `share`
    and with an address of the network, others can reach the page, and it asks for a password.
    """

    bind: str
    port: int
    share: bool
    root_path: str | None
    allow_hosts: Collection[str]


def start(
    host: Host,
    *,
    mcp: bool = True,
    home: Path | None = None,
    devices: Sequence[str] | None = None,
    settings: Settings | None = None,
    opener: Callable[..., Host] = open_host,
    looker: Callable[[str, Settings], Offer] = describe,
    **reach: Unpack[Reach],
) -> Served:
    """Serve the page from a thread. mcp: also serve the tasks as tools. Raises OSError when the port cannot be had."""
    stay_offline()
    access = _open_access(**reach)
    home = home if home is not None else data_folder()
    gradio_uploads = uploads.claim_for_gradio()
    shared = access.lock is not None
    state = open_state(host, shared=shared, home=home, devices=devices, settings=settings, opener=opener, looker=looker)
    app = mount(state, lock=access.lock, entrance=access.entrance, mcp=mcp)
    from engines.device import return_freed_memory

    sweeper = uploads.Sweeper(
        [partial(uploads.delete_old, gradio_uploads), state.collections.delete_old_uploads, return_freed_memory]
    )

    def close() -> None:
        state.watches.close()
        sweeper.close()

    return _run(app, access, close)


def start_api(host: Host, **reach: Unpack[Reach]) -> Served:
    """Serve only the OpenAI-compatible API at /v1, behind the same gate as the page. Raises OSError as `start` does."""
    stay_offline()
    access = _open_access(**reach)
    app = Harden(Gate(standalone(host), access.lock, access.entrance), stream.as_user_error)
    return _run(app, access, host.close)


@dataclass
class _Access:
    """Where a server listens, how it is reached, and the lock where others can reach it."""

    listeners: list[socket.socket]
    url: str
    entrance: Entrance
    lock: Lock | None


def _open_access(
    bind: str = "127.0.0.1",
    port: int = 0,
    share: bool = False,
    root_path: str | None = None,
    allow_hosts: Collection[str] = (),
) -> _Access:
    root_path = os.environ.get("GRADIO_ROOT_PATH", "") if root_path is None else root_path
    on_network = not is_loopback(bind)
    listeners = [_listen(bind, port)]
    if share:  # a port for the tunnel alone: what comes through it is known by it
        listeners.append(_listen("127.0.0.1", 0))
    name = "127.0.0.1" if bind in ("0.0.0.0", "::", "") else bind  # noqa: S104
    shown = f"[{name}]" if ":" in name else name
    entrance = Entrance(
        names=frozenset(name.lower() for name in allow_hosts),
        root_path=root_path,
        any_host=on_network,
        tunnel_port=listeners[1].getsockname()[1] if share else 0,
    )
    is_shared = share or on_network or entrance.is_proxied
    url = f"http://{shown}:{listeners[0].getsockname()[1]}"
    return _Access(listeners, url, entrance, Lock(new_password()) if is_shared else None)


def _run(app: ASGIApp, access: _Access, close: Callable[[], object]) -> Served:
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            http=HeadTimer,
            ws="none",
            log_level="warning",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            limit_concurrency=MAX_CONNECTIONS,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=1,
        )
    )
    ended = threading.Event()

    def run() -> None:
        try:
            server.run(sockets=access.listeners)
        finally:
            ended.set()

    thread = threading.Thread(target=run, name="studio", daemon=True)
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.02)
    password = None if access.lock is None else access.lock.password
    return Served(access.url, password, access.entrance.tunnel_port, server, thread, ended, close)


def _listen(bind: str, port: int) -> socket.socket:
    return socket.create_server((bind, port), family=socket.AF_INET6 if ":" in bind else socket.AF_INET)


def serve(
    host: Host,
    *,
    api_only: bool = False,
    mcp: bool = True,
    open_browser: bool = True,
    settings: Settings | None = None,
    **reach: Unpack[Reach],
) -> None:
    """Serve the page until it is stopped (Ctrl+C), and say in the terminal where it is. api_only: only its API."""
    begin = start_api if api_only else partial(start, mcp=mcp, settings=settings)
    with closing(host), begin(host, **reach) as served:  # a worker at work would abort the interpreter at its end
        print(f"Fusion Studio is at {served.url}{'/v1' if api_only else ''}", flush=True)
        if served.tunnel_port:
            print(open_tunnel(served.tunnel_port), flush=True)
        if served.password is not None:
            print(f"The password, shown this once: {served.password}", flush=True)
        if open_browser and not api_only:
            webbrowser.open(served.url)
        try:
            served.wait()
        except KeyboardInterrupt:
            print("\nFusion Studio has stopped.", flush=True)
