"""What gradio 6.31 lacks, set right from outside: each function or middleware says what it is for.

restrict_uploads  only uploads are taken as media
shrink_sessions   a session keeps no configuration of the page
explain_errors    a wrong call gets a sentence
keep_open         no event is lost while a page's stream closes, and no long run among many short ones
EarlyScript       our script stands before gradio's
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable
from functools import cache
from itertools import dropwhile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
from gradio import utils
from gradio.server_messages import ProcessCompletedMessage
from gradio.state_holder import SessionState
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from engines import RequestError, UserError
from studio import theme
from studio.i18n import page_language

GRADIO = Path(gr.__file__).parent
OURS = (Path(__file__).parent, Path(__file__).parents[1] / "engines")
WRONG_INPUT = (LookupError, ValueError, TypeError, AttributeError, AssertionError, RecursionError)
"""What gradio's routes raise for a body that they did not expect."""

IDLE_S = 5.0
"""Seconds without an event after which a stream closes: a browser has six connections for all its pages of a server."""

CLOSING_S = 0.5
"""Seconds in which "close_stream" reaches the page. An event that comes in them is accepted after them."""

OPEN = "stream-open"
"""Stands among a page's unfinished events while its stream stays open. Completing it is what closes the stream."""


def restrict_uploads(blocks: gr.Blocks) -> None:
    """Take as media only what was uploaded: no path of this machine, no address for the server to fetch.

    Gradio checks paths only in a page it launched itself, and fetches what a request gives as an address. A mounted
    page (gradio 6.31) counts as not launched: without this any caller could have any file of this machine described.
    """
    blocks.has_launched = True
    blocks.is_running = True
    for block in blocks.blocks.values():
        block.async_move_resource_to_block_cache = _local_only(block.async_move_resource_to_block_cache)


def _local_only(move: Callable[[Any], Awaitable[str | None]]) -> Callable[[Any], Awaitable[str | None]]:
    async def moved(source: Any) -> str | None:
        if "://" in str(source):
            raise gr.Error("Files are uploaded here, not fetched.", print_exception=False)
        return await move(source)

    return moved


@cache
def shrink_sessions() -> None:
    """Keep no configuration of the components in a session.

    Gradio computes it for deep links, which this page does not have: 60 ms of CPU and 0.6 MB for each page that is
    opened and each call of the API, and the last 10,000 sessions are kept.
    """
    create = SessionState.__init__

    def created(self: SessionState, blocks: gr.Blocks) -> None:
        create(self, SimpleNamespace(default_config=blocks.default_config, blocks={}))

    def pass_over(self: SessionState, *_: Any) -> None: ...

    SessionState.__init__ = created
    SessionState._update_config = pass_over
    SessionState._update_value_in_config = pass_over


def explain_errors(blocks: gr.Blocks, failure: Callable[[BaseException], UserError]) -> None:
    """Turn what gradio raises for a call that it cannot process into an error with a sentence.

    Without this gradio 6.31 prints a traceback and answers `{"error": null}`. failure: logs a defect, gives a sentence.
    """
    process = blocks.process_api

    async def processed(*args: Any, **values: Any) -> Any:
        try:
            return await process(*args, **values)
        except gr.Error:
            raise
        except Exception as error:  # the edge of the page, as in Harden
            told = wrong_call() if is_wrong_call(error) else failure(error)
            request = values.get("request")
            language = page_language(request) if isinstance(request, gr.Request) else "en"
            raise gr.Error(told.text(language), print_exception=False) from None

    blocks.process_api = processed


def wrong_call() -> UserError:
    """The sentence for a call that does not fit its endpoint."""
    return RequestError("http.wrong", "This call is not one that the studio takes; its API page lists them: /api.")


def is_wrong_call(error: BaseException) -> bool:
    """Whether gradio raised this because of its input; an error raised in our code is a defect."""
    if not isinstance(error, WRONG_INPUT) and not type(error).__module__.startswith("gradio."):
        return False
    files = [Path(frame.filename) for frame in traceback.extract_tb(error.__traceback__)]
    behind = dropwhile(lambda file: not file.is_relative_to(GRADIO), files)
    return not any(file.is_relative_to(root) for file in behind for root in OURS if file != Path(__file__))


class Streams(utils.LRUCache[str, Any]):
    """The unread messages of sessions, of which the least recently used goes first. dropped: told which one goes.

    Gradio's drops the oldest of 2,000, also a long run that is still read: two thousand short calls beside it ended it.
    """

    def __init__(self, max_size: int, dropped: Callable[[str], object]) -> None:
        super().__init__(max_size)
        self._dropped = dropped

    def popitem(self, last: bool = True) -> tuple[str, Any]:
        session, messages = super().popitem(last)
        self._dropped(session)
        return session, messages

    def __getitem__(self, session: str) -> Any:
        self.move_to_end(session)
        return super().__getitem__(session)


def keep_open(page: gr.Blocks) -> None:
    """Keep the streams of browsers open between events, and nothing of a call that has ended. Called once, after
    `page.queue()`.

    Gradio closes a page's stream of results when its last event is done, and the page opens another for its next event.
    An event that is sent while "close_stream" is on its way finds the stream open in the page but closed in the server:
    nobody reads its results, and what was clicked has no answer until something else is clicked. Here the stream stays
    open for a while after the last event, and an event that comes just as it closes is accepted only when the page must
    know. Calls of the API keep gradio's way: their clients wait for one event each, and end with it.
    """
    queue = page._queue
    push, reset = queue.push, queue.reset_iterators
    events_of = queue.pending_event_ids_session
    queue.pending_messages_per_session = Streams(
        queue.pending_messages_per_session.max_size, lambda session: events_of.pop(session, None)
    )
    queue.ANALYTICS_MAX_EVENTS = 100  # pandas summarises all that are kept at each event, for a page that is not shown
    last_event: dict[str, float] = {}
    closing: set[str] = set()
    watches: set[asyncio.Task[None]] = set()

    async def pushed(*, body: Any, request: Any, username: str | None) -> Any:
        session = body.session_hash
        if session and request.headers.get("x-gradio-user") == "app":
            if session in closing:
                await asyncio.sleep(CLOSING_S)
            events_of.setdefault(session, set()).add(OPEN)
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
        return any(event in queue.event_ids_to_events for event in events_of.get(session, ()))

    async def ended(event: str) -> None:
        """Forget the session of a call of the API, which gradio names after its one event and keeps for good."""
        await reset(event)
        sessions = page.state_holder
        sessions.session_data.pop(event, None)
        sessions.time_last_used.pop(event, None)

    queue.push, queue.reset_iterators = pushed, ended


class EarlyScript:
    """ASGI middleware: inserts `assets/early.js` before gradio's scripts in the page, and passes everything else on.

    Gradio reads the language as it starts.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != "/" or scope["method"] != "GET":
            await self._app(scope, receive, send)
            return
        start: Message = {}
        body = b""

        async def hold(message: Message) -> None:
            nonlocal body, start
            if message["type"] == "http.response.start":
                start = message
                return
            body += message.get("body", b"")
            if not message.get("more_body", False):
                await _send_page(send, start, body)

        plain = [(name, value) for name, value in scope["headers"] if name.lower() != b"accept-encoding"]
        await self._app({**scope, "headers": plain}, receive, hold)


async def _send_page(send: Send, start: Message, body: bytes) -> None:
    headers = MutableHeaders(raw=list(start["headers"]))
    if "text/html" in headers.get("content-type", ""):
        body = body.replace(b"<head>", b"<head>" + theme.early_script().encode(), 1)
    headers["content-length"] = str(len(body))
    await send({**start, "headers": headers.raw})
    await send({"type": "http.response.body", "body": body})
