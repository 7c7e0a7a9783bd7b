"""One host for each task, as one host: "Whisper for speech, a server for questions, the built-in model for search".

A route names what `open_host` is given for a task, and how; the task "" stands for all that have none of their own.
Hosts are opened once and closed when no route leads to them any more, which gives their memory back.
"""

from __future__ import annotations

import difflib
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from engines.errors import RequestError
from engines.hosts.results import TASK_OF, TASKS, unable
from engines.paths import write_whole
from engines.protocol import (
    Cancel,
    Host,
    HostInfo,
    Request,
    Result,
    Segment,
    TranscribeRequest,
    TranscribeResult,
    TranslateRequest,
    TranslateResult,
    run,
)
from engines.settings import Settings

DEFAULT = ""
"""The task that stands for all others."""


@dataclass(frozen=True)
class Route:
    """What answers a task: a name for `open_host`, and how its weights are held. Raises RequestError.

    dtype, idle_s: as in `Settings`; "auto" and 0 leave what is usual here.
    """

    model: str
    dtype: str = "auto"
    idle_s: float = 0.0

    def __post_init__(self) -> None:
        self.settings(Settings())

    def settings(self, usual: Settings) -> Settings:
        """How the host is opened where others are opened as `usual`."""
        dtype = usual.dtype if self.dtype == "auto" else self.dtype
        idle_s = usual.idle_s if self.idle_s == 0 else self.idle_s
        return replace(usual, dtype=dtype, idle_s=idle_s)


def parse_routes(names: list[str]) -> dict[str, str]:
    """What a command line says, `NAME` or `TASK=NAME` again and again, as routes. Raises RequestError."""
    routes = {DEFAULT: "builtin"}
    for name in names:
        task, mark, rest = name.partition("=")
        if mark and task.isidentifier():
            check(task)
            routes[task] = rest
        else:
            routes[DEFAULT] = name
    return routes


def check(task: str) -> None:
    """Raise RequestError for a task there is not."""
    if task != DEFAULT and task not in TASKS:
        likely = difflib.get_close_matches(task, TASKS, n=1)
        if likely:
            raise RequestError(
                "task_misspelt",
                "No task is called {task!r}; known are {known}; did you mean {likely}?",
                task=task,
                known=list(TASKS),
                likely=likely[0],
            )
        raise RequestError(
            "task_unknown", "No task is called {task!r}; known are {known}.", task=task, known=list(TASKS)
        )


def read_routes(file: Path) -> dict[str, Route]:
    """The routes in a settings file; none where there is no file. A name stands for a route that is as usual:

        {"transcribe": "openai/whisper-base", "ask": {"model": "Qwen/Qwen2.5-Omni-3B", "dtype": "int8", "idle_s": 600}}

    Raises RequestError for a file that holds anything else.
    """
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        routes = {task: _route(written) for task, written in found.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, AttributeError, RequestError) as error:
        raise RequestError(
            "routes_damaged", "{name} is damaged; remove it, or write tasks and models into it as JSON.", name=file.name
        ) from error
    for task in routes:
        check(task)
    return routes


def _route(written: object) -> Route:
    """Raises TypeError and RequestError for what is no route."""
    route = Route(**written) if isinstance(written, dict) else Route(written)  # type: ignore[arg-type]
    if not isinstance(route.model, str):
        raise TypeError("no model is named")
    return route


def write_routes(file: Path, routes: Mapping[str, Route]) -> None:
    """Keep routes for the next start."""
    written = {task: r.model if r == Route(r.model) else asdict(r) for task, r in routes.items()}
    write_whole(file, (json.dumps(written, indent=2, ensure_ascii=False) + "\n").encode())


class Router:
    """Hosts behind routes, as one `engines.Host`. opener: route → an open host.

    missing: routes whose models could not be had at this start. Others answer for them; they are kept for the next one.
    """

    def __init__(self, hosts: Mapping[str, Host], opener: Callable[[Route], Host] | None = None) -> None:
        """hosts: task → its host; `DEFAULT` must be among them."""
        self.missing: dict[str, Route] = {}
        self._hosts = dict(hosts)
        self._opener = opener
        self._opened_as: dict[str, Route] = {}
        self._guard = threading.Lock()

    # --- routes ---

    @property
    def routes(self) -> dict[str, str]:
        """Task → what its host was opened with, of tasks that have one of their own, and `DEFAULT`."""
        return {task: host.info.source for task, host in self._hosts.items()}

    @property
    def kept(self) -> dict[str, Route]:
        """The routes as the next start should open them."""
        return {task: self._opened_as.get(name, Route(name)) for task, name in self.routes.items()} | self.missing

    def note(self, route: Route) -> None:
        """Remember how the host of a name was opened."""
        self._opened_as[route.model] = route

    def serving(self, request: type) -> Host:
        """The host that a type of request goes to."""
        return self._hosts.get(TASK_OF[request], self._hosts[DEFAULT])

    def hosts(self) -> tuple[Host, ...]:
        """All that are open, each once, the default first."""
        return tuple({id(host): host for host in (self._hosts[DEFAULT], *self._hosts.values())}.values())

    def opened(self, name: str) -> Host | None:
        """The open host of a name, None where it is not open."""
        return next((host for host in self.hosts() if host.info.source == name), None)

    def route(self, task: str, host: Host | None) -> None:
        """Send a task to a host from now on, None for the default; what no route leads to any more is closed.

        What is under way goes on where it is and ends "cancelled" or with a sentence if its host is closed.
        Raises RequestError for an unknown task.
        """
        check(task)
        with self._guard:
            before = self.hosts()
            if host is not None:
                self._hosts[task] = host
            elif task != DEFAULT:
                self._hosts.pop(task, None)
            left = [old for old in before if all(old is not kept for kept in self._hosts.values())]
        for old in left:
            old.close()

    def open(self, route: Route) -> Host:
        """The host of a route, opened unless it is. Raises UserError. It stays open once a route leads to it."""
        found = self.opened(route.model)
        if found is not None:
            return found
        if self._opener is None:
            raise RequestError("no_other_model", "No other model can be opened here.")
        host = self._opener(route)
        self.note(route)
        return host

    # --- as a host ---

    @property
    def info(self) -> HostInfo:
        """The default host's, with what all can do together."""
        abilities = frozenset(
            ability for kind in TASK_OF for ability in self.serving(kind).info.abilities if ability.request is kind
        )
        return replace(self._hosts[DEFAULT].info, abilities=abilities)

    def stream(self, request: Request, cancel: Cancel | None = None) -> Iterator[Result]:
        host = self.serving(type(request))
        if not host.info.serves(type(request)):
            raise unable(host.info.name, type(request))
        if isinstance(request, TranscribeRequest) and self._translates_apart(host, request):
            return self._two_steps(host, request, Cancel() if cancel is None else cancel)
        return host.stream(request, cancel)

    def _translates_apart(self, host: Host, request: TranscribeRequest) -> bool:
        """Whether speech is translated by another host than the one that writes it down."""
        to = request.translate_to
        if to is None or to == request.language:
            return False
        pairs = {ability.language for ability in host.info.abilities if ability.request is TranscribeRequest}
        return not any(pair.endswith(f"-{to}") for pair in pairs)

    def _two_steps(self, host: Host, request: TranscribeRequest, cancel: Cancel) -> Iterator[Result]:
        """One host writes down, another translates each finished segment."""
        plain = replace(request, translate_to=None)
        done: dict[tuple[float, str], TranslateResult] = {}
        translator = self.serving(TranslateRequest)
        for result in host.stream(plain, cancel):
            assert isinstance(result, TranscribeResult)
            finished = result.segments if result.done else result.segments[:-1]
            language = request.language or result.language
            if language and language != request.translate_to:
                for segment in finished:
                    key = segment.start_s, segment.text
                    if key not in done and not cancel.is_set:
                        wanted = TranslateRequest(
                            text=segment.text, source=language, target=request.translate_to or language
                        )
                        translated = run(translator, wanted, cancel)
                        assert isinstance(translated, TranslateResult)
                        done[key] = translated
            segments = tuple(_with_translation(s, done.get((s.start_s, s.text))) for s in result.segments)
            yield replace(result, request=request, segments=segments)

    def move(self, device: str) -> None:
        """Move all that can be moved: of several hosts, those behind a server stay where they are."""
        hosts = [host for host in self.hosts() if host.info.device != "remote"] or list(self.hosts())
        for host in hosts:
            host.move(device)

    def close(self) -> None:
        for host in self.hosts():
            with suppress(RequestError):
                host.close()


def _with_translation(segment: Segment, found: TranslateResult | None) -> Segment:
    if found is None:
        return segment
    return replace(
        segment,
        translation=found.text,
        translation_confidence=found.confidence,
        translation_unsure=found.unsure,
    )
