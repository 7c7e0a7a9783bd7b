"""What gradio's page needs around it: our script in front of its own, and a fence around the files of this machine.

Gradio reads the language from the browser as its first script runs, so ours has to stand before it; and the browser is
told, by a policy, to fetch nothing from any other host.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

import gradio as gr
from gradio import utils

from engines import RequestError
from studio import theme
from studio.sharing import App, Receive, Scope, Send

FETCHES = re.compile(r"/proxy=|/file=\w+:/|/file/\w+:/")
"""Routes of gradio that would fetch an address for whoever asks."""


def fence(blocks: gr.Blocks) -> None:
    """Take as media only what was uploaded: no path of this machine, no address for the server to fetch.

    Gradio checks paths only in a page it launched itself, and fetches what a request gives as an address. A mounted
    page (gradio 6.31) counts as not launched: without this any caller could have any file of this machine described.
    """
    blocks.has_launched = True
    blocks.is_running = True
    for block in blocks.blocks.values():
        block.async_move_resource_to_block_cache = _local_only(block.async_move_resource_to_block_cache)


def uploaded(path: str) -> Path:
    """The same path, once it is sure that it was uploaded, recorded or lent here. Raises RequestError.

    Gradio's own check passes over a photo that comes without its "meta".
    """
    real = Path(path).resolve()
    if not real.is_relative_to(Path(utils.get_upload_folder()).resolve()):
        raise RequestError("not_uploaded_here", "This file was not uploaded here; drop it again.")
    return real


def _local_only(move: Callable[[Any], Awaitable[str | None]]) -> Callable[[Any], Awaitable[str | None]]:
    async def moved(source: Any) -> str | None:
        if "://" in str(source):
            raise gr.Error("Files are uploaded here, not fetched.", print_exception=False)
        return await move(source)

    return moved


class Page:
    """ASGI: passes everything on, and changes one answer: the page itself."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and FETCHES.search(scope["path"]):
            await send({"type": "http.response.start", "status": 404, "headers": [(b"content-length", b"0")]})
            await send({"type": "http.response.body", "body": b""})
            return
        if scope["type"] != "http" or scope["path"] != "/" or scope["method"] != "GET":
            await self._app(scope, receive, send)
            return
        start: MutableMapping[str, Any] = {}
        body = b""

        async def hold(message: MutableMapping[str, Any]) -> None:
            nonlocal body
            if message["type"] == "http.response.start":
                start.update(message)
                return
            body += message.get("body", b"")
            if not message.get("more_body", False):
                await self._send(send, start, body)

        plain = [(name, value) for name, value in scope["headers"] if name.lower() != b"accept-encoding"]
        await self._app({**scope, "headers": plain}, receive, hold)

    async def _send(self, send: Send, start: MutableMapping[str, Any], body: bytes) -> None:
        headers = [(name, value) for name, value in start["headers"] if name.lower() != b"content-length"]
        if b"text/html" in dict(headers).get(b"content-type", b""):
            body = body.replace(b"<head>", b"<head>" + theme.early_script().encode(), 1)
            headers.append((b"content-security-policy", theme.POLICY.encode()))
            headers.append((b"referrer-policy", b"no-referrer"))
        headers.append((b"content-length", str(len(body)).encode()))
        await send({**start, "headers": headers})
        await send({"type": "http.response.body", "body": body})
