"""The tasks as tools of the Model Context Protocol, at /gradio_api/mcp (streamable HTTP).

The tools are those of `studio/api.py`, with the same JSON. Gradio's own MCP server is not used: it calls the page over
HTTP, which a password stops, gives results as Python's text, and fetches files from any address.
"""

from __future__ import annotations

import base64
import binascii
import json
import mimetypes
import secrets
from collections import deque
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

from anyio import CapacityLimiter, create_task_group, sleep, to_thread
from fastapi import FastAPI
from gradio import utils
from mcp import types
from mcp.server.lowlevel import Server
from mcp.server.transport_security import TransportSecuritySettings
from starlette.routing import Route

from engines import Cancel, RequestError, to_json
from studio import api, stream
from studio.http_limits import MAX_MEDIA_BYTES
from studio.state import AppState
from studio.uploads import uploaded

PATH = "/gradio_api/mcp"

N_AT_ONCE = 8
"""Calls under way at once, as on the page; more wait."""
LOOK_S = 0.1
"""Seconds between two looks at whether the client is still connected."""

ABOUT = """Search, transcription, translation, questions and captions from one model on this machine. A file is given
as a data: address (data:image/jpeg;base64,...) or as the path that a POST to /gradio_api/upload gave."""


def add_tools(app: FastAPI, state: AppState, tasks: Sequence[api.Task]) -> AbstractAsyncContextManager[None]:
    """Serve the tasks as tools; gives what has to be entered while the server runs."""
    by_name = {task.name: task for task in tasks}
    limiter = CapacityLimiter(N_AT_ONCE)

    async def list_tools(_: Any, __: Any) -> types.ListToolsResult:
        return types.ListToolsResult(tools=[_tool(task, local=not state.shared) for task in tasks])

    def called(params: types.CallToolRequestParams, cancel: Cancel) -> types.CallToolResult:
        try:
            task = by_name.get(params.name)
            if task is None:
                raise RequestError("api.tool", "There is no such tool; there are {known}.", known=", ".join(by_name))
            values = api.parsed(task, params.arguments or {}, lambda value: _file(value, local=not state.shared))
            result = to_json(deque(stream.results_of(state, task.build(values), cancel), maxlen=1)[0])
        except Exception as error:  # the edge of the API: whatever it is, a sentence reaches the client
            sentence = stream.as_user_error(error).en
            return types.CallToolResult(content=[types.TextContent(text=sentence)], is_error=True)
        text = json.dumps(result, ensure_ascii=False)
        return types.CallToolResult(content=[types.TextContent(text=text)], structured_content=result)

    async def call_tool(context: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
        cancel = Cancel()

        async def watch() -> None:
            """The SDK notices a client that hangs up only where it answers with a stream."""
            while not await context.request.is_disconnected():
                await sleep(LOOK_S)
            cancel.set()

        async with create_task_group() as group:
            group.start_soon(watch)
            try:
                return await to_thread.run_sync(called, params, cancel, abandon_on_cancel=True, limiter=limiter)
            finally:
                cancel.set()
                group.cancel_scope.cancel()

    server: Server[Any] = Server("fusion-studio", instructions=ABOUT, on_list_tools=list_tools, on_call_tool=call_tool)
    served = server.streamable_http_app(
        streamable_http_path=PATH,
        json_response=True,
        stateless_http=True,
        max_request_body_size=MAX_MEDIA_BYTES,
        # Hosts and origins are checked by the gate, which knows the names of proxies.
        transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),
    )
    for route in served.routes:
        if isinstance(route, Route):
            app.router.routes += [route, Route(PATH + "/", route.endpoint, methods=route.methods)]
    return server.session_manager.run()


def _tool(task: api.Task, *, local: bool) -> types.Tool:
    properties = {parameter.name: _schema(parameter, local=local) for parameter in task.parameters}
    required = [parameter.name for parameter in task.parameters if parameter.is_required]
    schema = {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
    return types.Tool(name=task.name, description=task.description, input_schema=schema)


def _schema(parameter: api.Parameter, *, local: bool) -> dict[str, Any]:
    words = parameter.description
    if parameter.type is Path:
        words += ": a data: address, or the path that a POST to /gradio_api/upload gave"
        words += ", or the whole path of a file on this machine" if local else ""
    schema = {"type": parameter.json_type, "description": words}
    return schema if parameter.default is None else {**schema, "default": parameter.default}


def _file(value: Any, *, local: bool) -> Path:
    """The file that a tool's argument names. local: whether files of this machine may be named. Raises UserError."""
    if not isinstance(value, str):
        raise RequestError("api.str", "{name} has to be a text.", name="file")
    if value.startswith("data:"):
        return _decoded(value)
    if "://" in value:
        raise RequestError("http.fetch", "Files are uploaded here, not fetched.")
    path = Path(value).expanduser()
    return path if local and "\0" not in value and path.is_absolute() and path.exists() else uploaded(value)


def _decoded(address: str) -> Path:
    """The bytes of a data: address as a file among the uploads, deleted with them."""
    head, _, data = address.partition(",")
    kind = head.removeprefix("data:").split(";")[0]
    try:
        content = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise RequestError("api.data", "This data: address is not base64; send the file again.") from None
    folder = Path(utils.get_upload_folder()) / secrets.token_hex(16)
    folder.mkdir(parents=True)
    path = folder / f"file{mimetypes.guess_extension(kind) or ''}"
    path.write_bytes(content)
    return path
