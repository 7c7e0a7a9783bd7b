"""The one adapter: widget values → requests → a host's stream → what the page shows.

A tab gives a `Job`: how to make requests of its values, and how results look. Everything else is here, once: a token
per run so that a stop stops that run only, a calm sentence for every failure, an update at most every 80 ms.

    values ──build──▶ requests ──host.stream──▶ results ──view──▶ HTML
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from engines import Cancel, Request, Result, UserError
from studio import views
from studio.hardening import uploaded
from studio.i18n import page_language
from studio.state import AppState

MODEL: dict[str, Any] = {"concurrency_id": "model", "concurrency_limit": 8}
"""All model work waits in one queue. Eight may be under way: the host itself takes turns between them, so that a short
request is not stuck behind a two-hour file."""

PRIVATE: dict[str, Any] = {"api_visibility": "private"}
"""Events of the page that are no part of the API."""

PAUSE_S = 0.08
"""Shortest time between two updates of the page; the last one always comes."""

log = logging.getLogger("studio")


@dataclass(frozen=True)
class Job:
    """What a tab does when it runs.

    build: (session, language, values...) → the requests, in order; only the last one's result stays on the page.
    view: the result as HTML. finish: told the last result, once it is there.
    """

    tab: str
    build: Callable[..., Sequence[Request]]
    view: Callable[[str, Result], str]
    finish: Callable[[str, Result], None] | None = None


def play(state: AppState, job: Job, session: str, language: str, values: Sequence[Any]) -> Iterator[tuple[str, bool]]:
    """Run a job: (HTML, whether it goes on) again and again. A newer run in the same tab ends this one in silence."""
    cancel = state.running.start(session, job.tab)
    try:
        yield views.waiting(), True
        try:
            for result in steadily(requests_of(state, job.build(session, language, *map(plain, values)), cancel)):
                if not state.running.is_latest(session, job.tab, cancel):
                    return
                if result.done and job.finish is not None:
                    job.finish(session, result)
                yield job.view(session, result), not result.done
        except Exception as error:  # the edge of the house: whatever it is, a sentence reaches the page
            if state.running.is_latest(session, job.tab, cancel):
                yield views.problem(calm(error)), False
    finally:  # also when the page was closed: gradio ends this generator at a yield
        state.running.end(session, job.tab, cancel)


def requests_of(state: AppState, requests: Sequence[Request], cancel: Cancel) -> Iterator[Result]:
    """The results of several requests as one stream: it ends with the last, or with the first that was stopped."""
    for request in requests:
        is_last = request is requests[-1]
        for result in state.host.stream(request, cancel):
            if not result.done or is_last:
                yield result
            elif result.end == "cancelled":
                yield result
                return


def steadily(results: Iterator[Result]) -> Iterator[Result]:
    """Leave out partial results that come sooner than the eye, or the network, can follow."""
    shown_s = 0.0
    for result in results:
        now_s = time.monotonic()
        if result.done or now_s - shown_s >= PAUSE_S:
            shown_s = now_s
            yield result


def calm(error: BaseException) -> UserError:
    """What a person is told: their own sentence for a UserError, else one calm sentence with the id of the log."""
    if isinstance(error, UserError):
        return error
    name = secrets.token_hex(3)
    log.error("failure %s", name, exc_info=error)
    return UserError(
        "defect",
        "Something went wrong here that is not your fault; try again, and if it stays, report log {log}.",
        log=name,
    )


def session_of(request: gr.Request) -> str:
    """The open page a request comes from."""
    return request.session_hash or "api"


def wire_run(
    state: AppState,
    job: Job,
    trigger: Callable[..., Any],
    inputs: Sequence[Any],
    result: gr.HTML,
    run: gr.Button,
    stop: gr.Button,
) -> None:
    """Run a job on an event (`button.click`, `event.then`, ...), with its stop shown while it runs."""

    def act(request: gr.Request, *values: Any) -> Iterator[tuple[str, Any, Any]]:
        for shown, goes_on in play(state, job, session_of(request), page_language(request), values):
            yield shown, gr.update(interactive=not goes_on), gr.update(visible=goes_on)

    # Without preprocessing: gradio would open photos itself, and fail on a damaged one in its own words.
    trigger(act, list(inputs), [result, run, stop], show_progress="hidden", preprocess=False, **MODEL, **PRIVATE)


def plain(value: Any) -> Any:
    """A widget's value as the browser sends it, with files as their paths. Raises RequestError for a forged one."""
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return str(uploaded(value["path"])) if value.get("path") else None
    return value


def wire_stop(state: AppState, tab: str, stop: gr.Button) -> None:
    """Let the stop button stop what runs in its tab of its page."""

    def halt(request: gr.Request) -> None:
        state.running.stop(session_of(request), tab)

    stop.click(halt, None, None, show_progress="hidden", queue=False, **PRIVATE)
