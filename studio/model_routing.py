"""Which model answers which task: changed here, kept for the next start, and told in one quiet line per tab."""

from __future__ import annotations

import html
import logging

from engines import TASKS, Host, HostInfo, Router, UserError, write_routes
from studio.i18n import LANGUAGES, both, spans, text
from studio.state import EVERYTHING, AppState

BUILT_IN = "builtin"
"""What the model that comes with the program is opened as."""

TASKS_OF_TAB = {
    "search": ("search",),
    "speech": ("transcribe", "translate"),
    "video": ("ask",),
    "caption": ("caption",),
}

log = logging.getLogger("studio")


def serving(state: AppState, task: str) -> HostInfo:
    """The model that answers a task now."""
    return state.host.serving(TASKS[task][0]).info


def does(info: HostInfo, task: str) -> bool:
    """Whether a model serves a task at all, in whatever language."""
    return info.serves(TASKS[task][0])


def assign(router: Router, task: str, host: Host) -> None:
    """Let a host answer a task, or everything; whatever answers nothing any more is closed.

    Raises RequestError for an unknown task.
    """
    router.missing.pop(task, None)
    if task == EVERYTHING:
        router.missing.clear()
        router.route(EVERYTHING, host)
        for own in TASKS:
            router.route(own, None)
        return
    is_default = host is router.hosts()[0] and EVERYTHING not in router.missing  # else it stands in for another
    router.route(task, None if is_default else host)
    if TASKS.keys() <= router.routes.keys():  # the default answers nothing any more: this one takes its place
        router.route(EVERYTHING, host)
        for own, kinds in TASKS.items():
            if router.serving(kinds[0]) is host:
                router.route(own, None)


def keep(state: AppState) -> None:
    """Write down, for the next start, what answers what. Raises UserError where that cannot be written."""
    try:
        write_routes(state.collections.routes, state.host.kept)
    except OSError as error:
        log.info("routes not kept", exc_info=error)
        raise UserError(
            "routes_not_kept",
            "It answers from now on, but not after the next start: the settings cannot be written; check the disk.",
        ) from error


# --- in words --------------------------------------------------------------------------------------------------------


def subtitle(state: AppState, tab: str) -> str:
    """One quiet line on what a tab is for, and under it which model answers there unless it is the built-in one."""
    return f'<p class="tab-subtitle">{both(f"ui.{tab}.subtitle")}</p>{line(state, tab)}'


def line(state: AppState, tab: str) -> str:
    """Who answers in a tab, "" for the built-in model; a warning where whoever does cannot."""
    said = []
    for task in TASKS_OF_TAB.get(tab, ()):
        info = serving(state, task)
        if not does(info, task):
            said.append(f'<span class="unable">{named("ui.answers.unable", task, info)}</span>')
        elif info.source != BUILT_IN:
            said.append(f"<span>{both(f'ui.answers.{task}', name=info.name)}</span>")
    return f'<p class="answers">{" · ".join(said)}</p>' if said else ""


def named(key: str, task: str, info: HostInfo) -> str:
    """A sentence about a task and a model, in both languages."""
    return spans(*(text(key, at, task=text(f"ui.task.{task or 'everything'}", at), name=info.name) for at in LANGUAGES))


def size(n_bytes: int) -> str:
    """Bytes as a person reads them: 291 MiB, 1.4 GiB."""
    return f"{n_bytes / 2**30:.1f} GiB" if n_bytes >= 2**30 else f"{n_bytes / 2**20:.0f} MiB"


def memory(info: HostInfo) -> str:
    """What a model takes here; HTML, because of a server's it is told in words."""
    return size(info.memory_bytes) if info.memory_bytes > 0 else both("ui.models.elsewhere")


def where(info: HostInfo) -> str:
    """The device a model runs on; HTML."""
    return both("ui.models.server") if info.device == "remote" else html.escape(info.device)


def place(info: HostInfo) -> str:
    """Where a model runs and what it takes there, as short as can be; HTML."""
    return where(info) if info.device == "remote" else f"{where(info)} · {memory(info)}"


def parameters(info: HostInfo) -> str:
    """How many parameters a model has: 39.7 M, 7.6 B."""
    n = info.n_parameters
    return "–" if n <= 0 else f"{n / 1e9:.1f} B" if n >= 1e9 else f"{n / 1e6:.1f} M"
