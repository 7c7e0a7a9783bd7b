"""The tasks for programs, each described once: as endpoints of gradio's API, as tools of MCP, and on the page /api.

    from gradio_client import Client, handle_file
    Client("http://127.0.0.1:7860").predict(handle_file("photo.jpg"), api_name="/caption")["text"]

Results are the JSON of the command line (`engines.report.to_json`). An endpoint streams partial results, of which
`predict` gives the last and `submit` all; a tool gives the last. Files are uploaded first; a path of this machine is
taken by no endpoint.
"""

from __future__ import annotations

import html
import inspect
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
from anyio import to_thread
from gradio.data_classes import FileData
from starlette.requests import ClientDisconnect
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from engines import (
    KINDS,
    AskRequest,
    Cancel,
    CaptionRequest,
    EmbedRequest,
    IndexRequest,
    Request,
    RequestError,
    SearchRequest,
    TranscribeRequest,
    TranslateRequest,
    UserError,
    to_json,
)
from studio import i18n, stream, theme
from studio.collections import CollectionRef
from studio.i18n import page_language
from studio.state import AppState
from studio.uploads import uploaded

Values = Mapping[str, Any]


@dataclass(frozen=True)
class Parameter:
    """A value that a task takes. type: Path for a file, str or int. default: None where it must be given."""

    name: str
    type: type
    description: str
    default: str | int | None = None
    optional: bool = False

    @property
    def is_required(self) -> bool:
        return self.default is None and not self.optional

    @property
    def json_type(self) -> str:
        return "integer" if self.type is int else "string"


@dataclass(frozen=True)
class Task:
    """A task as programs call it. build: values by name, files as paths → the requests, of which the last answers."""

    name: str
    description: str
    parameters: tuple[Parameter, ...]
    build: Callable[[Values], Sequence[Request]]


LANGUAGE = "en, de, fr or zh"
MOST = 2**31
"""No number that a task takes is as large."""
FILE = Parameter("file", Path, "the photo, clip or sound")
TRACK = Parameter("track", int, "which of several sound tracks is heard, from 1; 0 for the file's own choice", 0)


def tasks_of(state: AppState) -> tuple[Task, ...]:
    """The tasks that are served. Only the owner's studio indexes, and searches, folders of this machine."""

    def search(values: Values) -> Sequence[Request]:
        query = values["query"] or values["file"]
        if query is None:
            raise RequestError("api.query", "Send words or a file to search for.")
        of_samples = not values["folder"]
        model = state.host.serving(SearchRequest).info.model_digest
        found = state.collections.samples(model) if of_samples else _folder(state, values["folder"])
        read = [IndexRequest(folder=found.folder, collection=found.file)] if of_samples else []
        find = SearchRequest(query=query, collection=found.file, kinds=frozenset(found.kinds), k=values["n_hits"])
        return (*read, find)

    def index(values: Values) -> Sequence[Request]:
        collection = _folder(state, values["folder"])
        return (IndexRequest(folder=collection.folder, collection=collection.file),)

    folder = Parameter("folder", str, "a folder of this machine that /index has read; empty for the samples", "")
    tasks = (
        Task(
            "caption",
            "Describe a photo, a clip or a sound in one sentence.",
            (FILE, Parameter("language", str, f"the sentence's language: {LANGUAGE}", "en"), TRACK),
            lambda values: (CaptionRequest(media=values["file"], language=values["language"], track=values["track"]),),
        ),
        Task(
            "transcribe",
            "Write down what is said in a sound or a clip, with times, and translate it if asked.",
            (
                Parameter("file", Path, "the sound or clip, of any length"),
                Parameter("language", str, f"what is spoken: {LANGUAGE}; empty to find out", ""),
                Parameter("translate_to", str, f"also translate to: {LANGUAGE}; empty for no translation", ""),
                TRACK,
            ),
            lambda values: (
                TranscribeRequest(
                    media=values["file"],
                    language=values["language"] or None,
                    translate_to=values["translate_to"] or None,
                    track=values["track"],
                ),
            ),
        ),
        Task(
            "translate",
            "Translate a text.",
            (
                Parameter("text", str, "the text, at most 20,000 characters"),
                Parameter("source", str, f"the text's language: {LANGUAGE}", "en"),
                Parameter("target", str, f"the language to translate to: {LANGUAGE}", "de"),
            ),
            lambda values: (TranslateRequest(**values),),
        ),
        Task(
            "ask",
            "Answer a question about a clip, a photo or a sound.",
            (
                FILE,
                Parameter("question", str, "the question, at most 500 characters"),
                Parameter("language", str, f"the language of question and answer: {LANGUAGE}", "en"),
                Parameter("hide", str, "what not to look at or listen to: picture, sound, or both with a comma", ""),
                TRACK,
            ),
            _ask,
        ),
        Task(
            "embed",
            "Give the vector of a text or a file in the space that all kinds share: 256 numbers of length 1.",
            (
                Parameter("text", str, "the text; empty where a file is sent", ""),
                Parameter("file", Path, "the photo, clip or sound", optional=True),
                Parameter("against", str, f"what a text is compared with: {', '.join(KINDS)}", "photo"),
            ),
            _embed,
        ),
        Task(
            "search",
            "Find photos, sounds, clips and texts that fit words or a file.",
            (
                Parameter("query", str, "what to look for; empty where a file is sent", ""),
                Parameter("file", Path, "a photo, clip or sound to find similar ones of", optional=True),
                Parameter("n_hits", int, "the largest number of hits, 1 to 1000", 12),
                folder,
            ),
            search,
        ),
        Task(
            "index",
            "Read a folder of this machine, so that /search finds what is in it; again to bring it up to date.",
            (Parameter("folder", str, "the folder's whole path"),),
            index,
        ),
    )
    return tasks[:-1] if state.shared else tasks


def _folder(state: AppState, typed: str) -> CollectionRef:
    if state.shared:
        raise RequestError("api.folder", "Only the owner of this studio can name folders; leave the folder empty.")
    return state.collections.folder(typed)


def _ask(values: Values) -> Sequence[Request]:
    hide: Any = frozenset(part.strip() for part in values["hide"].split(",") if part.strip())
    told = {name: values[name] for name in ("question", "language", "track")}
    return (AskRequest(media=values["file"], hide=hide, **told),)


def _embed(values: Values) -> Sequence[Request]:
    media = values["text"] or values["file"]
    if media is None:
        raise RequestError("api.embed", "Send a text or a file to embed.")
    return (EmbedRequest(media=media, against=values["against"]),)


def parsed(task: Task, values: Values, file_of: Callable[[Any], Path]) -> dict[str, Any]:
    """The values for a task: defaults filled in, types checked, files as paths. Raises RequestError."""
    unknown = sorted(set(values) - {parameter.name for parameter in task.parameters})
    if unknown:
        raise RequestError("api.unknown", "{task} has no {name}.", task=task.name, name=unknown[0])
    return {parameter.name: _value(parameter, values.get(parameter.name), file_of) for parameter in task.parameters}


def _value(parameter: Parameter, value: Any, file_of: Callable[[Any], Path]) -> Any:
    name = parameter.name
    if value is None or (parameter.type is Path and value == ""):
        if parameter.is_required:
            if parameter.type is Path:
                raise RequestError("file_needed", "Send a file with the request.")
            raise RequestError("api.missing", "{name} is missing.", name=name)
        return parameter.default
    if parameter.type is Path:
        return file_of(value)
    if parameter.type is int and isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, parameter.type) and not isinstance(value, bool):
        if isinstance(value, int) and abs(value) > MOST:
            raise RequestError("api.number", "{name} is too large a number.", name=name)
        return value
    if parameter.type is int:
        raise RequestError("api.int", "{name} has to be a whole number.", name=name)
    raise RequestError("api.str", "{name} has to be a text.", name=name)


# --- endpoints of gradio ---------------------------------------------------------------------------------------------


def add_endpoints(tasks: Sequence[Task], state: AppState) -> None:
    """Serve each task under its name beside the page; call it inside the page's Blocks."""
    for task in tasks:
        _add_endpoint(state, task)


def _add_endpoint(state: AppState, task: Task) -> None:
    def act(request: gr.Request, *values: Any) -> Iterator[dict[str, Any]]:
        cancel = Cancel(stream.session_of(request))
        try:
            named = dict(zip((parameter.name for parameter in task.parameters), values, strict=True))
            with stream.toast(request):
                requests = task.build(parsed(task, named, _uploaded))
                for result in stream.with_heartbeat(stream.results_of(state, requests, cancel)):
                    yield to_json(result)
        finally:
            cancel.set()

    # Gradio reads names, defaults and types from the signature.
    act.__name__ = task.name
    act.__annotations__ = {"request": gr.Request, **{p.name: _hint(p) for p in task.parameters}, "return": dict}
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    taken = [inspect.Parameter(p.name, kind, default=_default(p), annotation=_hint(p)) for p in task.parameters]
    request = inspect.Parameter("request", kind, annotation=gr.Request)
    act.__signature__ = inspect.Signature([request, *taken], return_annotation=dict)  # type: ignore[attr-defined]
    blocks = gr.context.Context.root_block
    served = gr.api(act, api_name=task.name, api_description=task.description, **stream.MODEL)
    endpoint = blocks.fns[served["id"]]
    for component, parameter in zip(endpoint.inputs, task.parameters, strict=True):
        component.label = parameter.name
        component._api_info = _schema(parameter)
        component.example_payload = component.example_value = _example(parameter)
    endpoint.outputs[0].label = "result"


def _hint(parameter: Parameter) -> Any:
    return dict | None if parameter.type is Path else parameter.type


def _default(parameter: Parameter) -> Any:
    return inspect.Parameter.empty if parameter.is_required else parameter.default


def _schema(parameter: Parameter) -> dict[str, Any]:
    words = {"description": parameter.description, "additional_description": parameter.description}
    if parameter.type is Path:
        return {**FileData.model_json_schema(), **words}
    return {"type": parameter.json_type, **words}


def _example(parameter: Parameter) -> Callable[[], Any]:
    example: Any = parameter.default
    if parameter.type is Path:
        example = {"path": "the path that /gradio_api/upload gave", "meta": {"_type": "gradio.FileData"}}
    elif parameter.is_required:
        example = {"text": "Good morning.", "question": "What is heard?"}.get(parameter.name, "/home/me/Pictures")
    return lambda: example


def _uploaded(value: Any) -> Path:
    """The file that gradio's client or page sent. Raises RequestError for one that was not uploaded here."""
    return uploaded(value.get("path", "") if isinstance(value, dict) else value)


class CheckCalls:
    """ASGI middleware: a call whose values are wrong is answered at once, 400 with the sentence.

    Gradio would queue it, answer 200, and report the error with the result.
    """

    def __init__(self, app: ASGIApp, tasks: Sequence[Task]) -> None:
        self._app = app
        self._tasks = {task.name: task for task in tasks}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_post = scope["type"] == "http" and scope["method"] == "POST"
        called = _CALL.fullmatch(scope["path"]) if is_post else None
        task = self._tasks.get(called[1]) if called is not None else None
        if task is None:
            await self._app(scope, receive, send)
            return
        request = HttpRequest(scope, receive)
        try:
            body = await request.body()
        except ClientDisconnect:
            return
        try:
            await to_thread.run_sync(_check, task, body)
        except UserError as error:
            refused = JSONResponse({"error": error.text(page_language(request))}, 400)
            await refused(scope, receive, send)
            return
        whole: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def again() -> Message:
            return whole.pop() if whole else await receive()

        await self._app(scope, again, send)


_CALL = re.compile(r"/gradio_api/call/(?:v2/)?(\w+)/?")


def _check(task: Task, body: bytes) -> None:
    """Make the requests that a call asks for, and drop them. Raises UserError; what is no call is left to gradio."""
    try:
        sent = json.loads(body)
    except (ValueError, RecursionError):
        return
    if not isinstance(sent, dict):
        return
    if isinstance(values := sent.get("data"), list):  # by position
        sent = dict(zip((parameter.name for parameter in task.parameters), values, strict=False))
    task.build(parsed(task, sent, _uploaded))


# --- the page that describes them ------------------------------------------------------------------------------------


def api_page(tasks: Sequence[Task], url: str, *, mcp: bool) -> str:
    """The page /api as HTML. url: where the studio is, for the examples."""
    tools = f"<h2>MCP</h2><pre>{html.escape(url)}/gradio_api/mcp</pre>" if mcp else ""
    return theme.plain_page(
        f'<main class="login api-page">{theme.brand()}<h1>{i18n.both("ui.api.title")}</h1>'
        f"<p>{i18n.both('ui.api.about')}</p><pre>{html.escape(_python(url))}</pre>"
        f'<p><a href="./gradio_api/openapi.json">openapi.json</a></p>{tools}'
        f"{''.join(_section(task, url) for task in tasks)}</main>"
    )


def _section(task: Task, url: str) -> str:
    rows = "".join(
        f"<tr><td><code>{p.name}</code></td><td>{'file' if p.type is Path else p.json_type}</td>"
        f"<td>{'' if p.is_required else html.escape(json.dumps(p.default))}</td>"
        f"<td>{html.escape(p.description)}</td></tr>"
        for p in task.parameters
    )
    head = "".join(f"<th>{i18n.both('ui.api.' + name)}</th>" for name in ("parameter", "type", "default", "meaning"))
    body = json.dumps({p.name: _example(p)() for p in task.parameters if p.is_required})
    curl = f"curl -X POST {url}/gradio_api/call/v2/{task.name} -H 'content-type: application/json' -d '{body}'"
    lines = [curl, f"curl -N {url}/gradio_api/call/{task.name}/EVENT_ID"]
    if any(p.is_required and p.type is Path for p in task.parameters):
        lines.insert(0, f"curl -F files=@FILE {url}/gradio_api/upload")
    shown = html.escape("\n".join(lines))
    return (
        f'<section id="{task.name}"><h2>/{task.name}</h2><p>{html.escape(task.description)}</p>'
        f"<table><tr>{head}</tr>{rows}</table><pre>{shown}</pre></section>"
    )


def _python(url: str) -> str:
    return (
        "from gradio_client import Client, handle_file\n\n"
        f'studio = Client("{url}")\n'
        'studio.predict(file=handle_file("photo.jpg"), language="en", api_name="/caption")["text"]'
    )
