"""Which model serves which task: reassigned here, kept for the next start, and named in one line per tab."""

from __future__ import annotations

import html
import logging

from engines import TASKS, Host, HostInfo, Router, UserError, write_routes
from studio.i18n import LANGUAGES, both, spans, text
from studio.state import EVERYTHING, AppState

BUILT_IN = "builtin"
"""The source of the model that comes with the program."""

TASKS_OF_TAB = {
    "search": ("search",),
    "speech": ("transcribe", "translate"),
    "video": ("ask",),
    "caption": ("caption",),
}

log = logging.getLogger("studio")


def serving(state: AppState, task: str) -> HostInfo:
    """The model that serves a task now."""
    return state.host.serving(TASKS[task][0]).info


def built_in(state: AppState) -> Host:
    """The built-in model if it is open, else the default host, which may support the same."""
    return state.host.opened(BUILT_IN) or state.host.hosts()[0]


def supports(info: HostInfo, task: str) -> bool:
    """Whether a model can serve a task, in any language."""
    return info.serves(TASKS[task][0])


def assign(router: Router, task: str, host: Host) -> None:
    """Route one task, or EVERYTHING, to a host. The router closes a host that serves nothing any more.

    Raises RequestError for an unknown task.
    """
    router.missing.pop(task, None)
    if task == EVERYTHING:
        router.missing.clear()
        router.route(EVERYTHING, host)
        for each in TASKS:
            router.route(each, None)
        return
    # A host that is the default needs no route, unless it only stands in for a default that could not be opened.
    is_default = host is router.hosts()[0] and EVERYTHING not in router.missing
    router.route(task, None if is_default else host)
    if TASKS.keys() <= router.routes.keys():  # every task has its own route: the default is idle, so replace it
        router.route(EVERYTHING, host)
        for each, kinds in TASKS.items():
            if router.serving(kinds[0]) is host:
                router.route(each, None)


def save(state: AppState) -> None:
    """Save the routes for the next start. Raises UserError if they cannot be written."""
    try:
        write_routes(state.collections.routes, state.host.kept)
    except OSError as error:
        log.info("routes not kept", exc_info=error)
        raise UserError(
            "routes_not_kept",
            "It answers from now on, but not after the next start: the settings cannot be written; check the disk.",
        ) from error


# --- as HTML ---------------------------------------------------------------------------------------------------------


def subtitle(state: AppState, tab: str) -> str:
    """One line on what a tab is for, and a second one naming its models unless they are the built-in one."""
    return f'<p class="tab-subtitle">{both(f"ui.{tab}.subtitle")}</p>{models_of(state, tab)}'


def models_of(state: AppState, tab: str) -> str:
    """The models that serve a tab, "" for the built-in one; a warning where a model does not support the task."""
    parts = []
    for task in TASKS_OF_TAB.get(tab, ()):
        info = serving(state, task)
        if not supports(info, task):
            parts.append(f'<span class="unable">{about("ui.answers.unable", task, info)}</span>')
        elif info.source != BUILT_IN:
            parts.append(f"<span>{both(f'ui.answers.{task}', name=info.name)}</span>")
    return f'<p class="answers">{" · ".join(parts)}</p>' if parts else ""


def about(key: str, task: str, info: HostInfo) -> str:
    """A sentence about a task and a model, in both languages."""
    return spans(*(text(key, at, task=text(f"ui.task.{task or 'everything'}", at), name=info.name) for at in LANGUAGES))


def size(n_bytes: int) -> str:
    """Bytes as a person reads them: 291 MiB, 1.4 GiB."""
    return f"{n_bytes / 2**30:.1f} GiB" if n_bytes >= 2**30 else f"{n_bytes / 2**20:.0f} MiB"


def memory(info: HostInfo) -> str:
    """Memory a model takes on this machine."""
    return size(info.memory_bytes) if info.memory_bytes > 0 else both("ui.models.elsewhere")


def where(info: HostInfo) -> str:
    """The device a model runs on: CPU, cuda:0, or a server."""
    if info.device == "remote":
        return both("ui.models.server")
    return device_name(info.device)


def device_name(device: str) -> str:
    """A device as a person reads it."""
    return "CPU" if device == "cpu" else html.escape(device)


def place(info: HostInfo) -> str:
    """Device and memory of a model, in short."""
    return where(info) if info.device == "remote" else f"{where(info)} · {memory(info)}"


def parameters(info: HostInfo) -> str:
    """Number of parameters: 39.7 M, 7.6 B."""
    n = info.n_parameters
    return "–" if n <= 0 else f"{n / 1e9:.1f} B" if n >= 1e9 else f"{n / 1e6:.1f} M"
