"""The stream that carries a page's results, kept open between events: gradio 6.31 loses events as it closes it.

Gradio closes a page's stream of results when its last event is done, and the page opens another for its next event.
An event that is sent while "close_stream" is on its way finds the stream open in the page but closed in the server:
nobody reads its results, and what was clicked has no answer until something else is clicked. Here the stream
stays open for a while after the last event, and an event that comes just as it closes is accepted only when the page
must know.
"""

from __future__ import annotations

import asyncio
from typing import Any

import gradio as gr
from gradio.server_messages import ProcessCompletedMessage

IDLE_S = 5.0
"""Seconds without an event after which a stream closes: a browser has six connections for all its pages of a server."""

CLOSING_S = 0.5
"""Seconds in which "close_stream" reaches the page. An event that comes in them is accepted after them."""

OPEN = "stream-open"
"""Stands among a page's unfinished events while its stream stays open. Completing it is what closes the stream."""


def keep_open(page: gr.Blocks) -> None:
    """Keep the streams of browsers open between events. Called once, after `page.queue()`.

    Calls of the API keep gradio's way: their clients wait for one event each, and end with it.
    """
    queue = page._queue
    push = queue.push
    last_event: dict[str, float] = {}
    closing: set[str] = set()
    watches: set[asyncio.Task[None]] = set()

    async def pushed(*, body: Any, request: Any, username: str | None) -> Any:
        session = body.session_hash
        if session and request.headers.get("x-gradio-user") == "app":
            if session in closing:
                await asyncio.sleep(CLOSING_S)
            queue.pending_event_ids_session.setdefault(session, set()).add(OPEN)
            if session not in last_event:
                watch = asyncio.create_task(close_when_idle(session))
                watches.add(watch)
                watch.add_done_callback(watches.discard)
            last_event[session] = asyncio.get_running_loop().time()
        return await push(body=body, request=request, username=username)

    async def close_when_idle(session: str) -> None:
        loop = asyncio.get_running_loop()
        while (left := last_event[session] + IDLE_S - loop.time()) > 0 or runs(session):
            await asyncio.sleep(max(left, IDLE_S / 5))
        del last_event[session]
        if session in queue.pending_messages_per_session:
            closing.add(session)
            loop.call_later(CLOSING_S, closing.discard, session)
            end = ProcessCompletedMessage(output={}, success=True, event_id=OPEN)
            queue.pending_messages_per_session[session].put_nowait(end)

    def runs(session: str) -> bool:
        return any(event in queue.event_ids_to_events for event in queue.pending_event_ids_session.get(session, ()))

    queue.push = pushed
