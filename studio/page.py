"""ASGI: what gradio's page needs before it starts, put into it on the way out.

Gradio reads the language from the browser as its first script runs, so ours has to stand before it; and the browser is
told, by a policy, to fetch nothing from any other host.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from studio import theme
from studio.sharing import App, Receive, Scope, Send


class Page:
    """Passes everything on, and changes one answer: the page itself."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
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
