"""Run requests from the page: the one place that starts, streams, throttles, supersedes, reports and finishes.

    widget values ──build──▶ requests ──host.stream──▶ results ──view──▶ HTML

`run` drives whatever a tab streams; `answer` is `run` for a `Job`, the usual case of requests to a host.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol, TypeAlias

import gradio as gr

from engines import Cancel, Cancelled, Request, Result, UserError
from engines.media import ahead
from studio import cards, file_queue, views
from studio.file_queue import FileQueue
from studio.followed import BEAT_S, FollowedRun
from studio.i18n import page_language
from studio.state import AppState
from studio.uploads import uploaded

PRIVATE: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
"""Events of the page that are not part of the API."""

QUICK: dict[str, Any] = {**PRIVATE, "queue": False}
"""Events that only change the page."""

MODEL: dict[str, Any] = {"concurrency_id": "model", "concurrency_limit": 8}
"""All model work shares one queue. Eight requests may be under way: the host takes turns between them, so that a short
request does not wait for a two-hour file."""

UNPROCESSED: dict[str, Any] = {"preprocess": False}
"""Gradio would open photos itself, and fail on a damaged one in its own words."""

PAUSE_S = 0.08
"""Shortest time between two partial results; the last one is always shown."""

TYPED_WAIT_S = 3.0
"""How long a search that a person did not ask for waits for one that was asked for."""

Frames: TypeAlias = Iterator[tuple[str, bool]]
"""(HTML of the result card, whether the request is still running), again and again."""

log = logging.getLogger("studio")


@dataclass(frozen=True)
class Job:
    """What a tab does when it runs.

    build: (session, language, values...) → the requests, in order; only the last one's result stays on the page; or a
    queue of files, each with a row of its own. view: (session, result) → HTML, where it is not the result's usual card.
    finish: called with the session and the last result. body: a result of a queue, under its id, as HTML.
    """

    tab: str
    build: Callable[..., Sequence[Request] | FileQueue]
    view: Callable[[str, Result], str] | None = None
    finish: Callable[[str, Result], None] | None = None
    body: file_queue.View = lambda _name, _result: ""


# --- the runner ------------------------------------------------------------------------------------------------------


def run(
    state: AppState,
    session: str,
    key: str,
    steps: Callable[[Cancel], Frames],
    *,
    first: str | None = None,
    stopped: str | None = None,
) -> Frames:
    """Show what `steps(cancel)` yields. A newer run under the same key ends this one silently.

    first: the card before anything is there. stopped: the card of a run that raised Cancelled.
    """
    cancel = state.running.start(session, key)
    try:
        yield views.waiting() if first is None else first, True
        try:
            with failures() as failed:
                for shown, is_running in steps(cancel):
                    if not state.running.is_latest(session, key, cancel):
                        return
                    yield shown, is_running
            ended = [views.problem(error) for error in failed]
        except Cancelled:
            ended = [views.stopped() if stopped is None else stopped]
        for card in ended:
            if state.running.is_latest(session, key, cancel):
                yield card, False
    finally:  # also when the page was closed: gradio ends this generator at a yield
        state.running.end(session, key, cancel)


@contextmanager
def failures() -> Iterator[list[UserError]]:
    """Collect the failure of a block as a sentence for a person: the only blanket except of the page."""
    failed: list[UserError] = []
    try:
        yield failed
    except Cancelled:
        raise
    except Exception as error:
        failed.append(as_user_error(error))


@contextmanager
def toast(request: gr.Request) -> Iterator[None]:
    """Show the failure of a block as a toast, in the page's language."""
    with failures() as failed:
        yield
    for error in failed:
        raise gr.Error(error.text(page_language(request)), print_exception=False)


def as_user_error(error: BaseException) -> UserError:
    """The error as one sentence for the page: a UserError itself, else an apology with the id of the log entry."""
    if isinstance(error, UserError):
        return error
    log_id = secrets.token_hex(3)
    log.error("failure %s", log_id, exc_info=error)
    return UserError(
        "defect",
        "Something went wrong here that is not your fault; try again, and if it stays, report log {log}.",
        log=log_id,
    )


def answer(
    state: AppState, job: Job, session: str, language: str, values: Sequence[Any], *, is_typed: bool = False
) -> Frames:
    """Run a job on the values of its widgets. The last result's seconds are those the person waited for all of it; it
    is kept in the history, and its card names the entry. is_typed: the search box searches while a person types; such a
    run waits for one that was asked for, and never takes its place: that one's first card could come last and stay."""
    started_s = time.monotonic()
    if is_typed:
        while state.running.is_busy(session, job.tab):
            if time.monotonic() - started_s > TYPED_WAIT_S:
                return
            time.sleep(PAUSE_S)
    else:
        state.running.supersede(session, typing_key(job.tab))

    def view(result: Result) -> str:
        return cards.card(state, result) if job.view is None else job.view(session, result)

    def steps(cancel: Cancel) -> Frames:
        asked = job.build(session, language, *map(widget_value, values))
        if isinstance(asked, FileQueue):
            keep = partial(state.recorder.record, session)
            yield from file_queue.frames(asked, state.host, state.downloads, job.body, cancel, keep)
            return
        for step in results_of(state, asked, cancel):
            result = replace(step, seconds=time.monotonic() - started_s)
            if not result.done:
                yield view(result), True
                continue
            if job.finish is not None:
                job.finish(session, result)
            entry = state.recorder.record(session, result, is_typed=is_typed)
            yield views.with_mark(view(result), "entry", entry), False

    yield from run(state, session, typing_key(job.tab) if is_typed else job.tab, steps)


def typing_key(tab: str) -> str:
    """The key under which a tab runs while a person types."""
    return f"{tab} typed"


def results_of(state: AppState, requests: Sequence[Request], cancel: Cancel) -> Iterator[Result]:
    """The results of several requests as one stream. It ends with the last request, or the first one cancelled."""
    for request in requests:
        is_last = request is requests[-1]
        for result in throttled(state.host.stream(request, cancel)):
            if not result.done or is_last:
                yield result
            elif result.end == "cancelled":
                yield result
                return


def with_heartbeat(results: Iterator[Result]) -> Iterator[Result]:
    """Results as they come, the last one again each BEAT_S in which none does: gradio closes a generator at a yield
    only, so that one that waits would never hear that its client has gone."""
    last: Result | None = None
    for result in ahead(results, look_s=BEAT_S):
        last = last if result is None else result
        if last is not None:
            yield last


def throttled(results: Iterator[Result]) -> Iterator[Result]:
    """Skip partial results that come within PAUSE_S of the last one shown."""
    shown_s = 0.0
    for result in results:
        now_s = time.monotonic()
        if result.done or now_s - shown_s >= PAUSE_S:
            shown_s = now_s
            yield result


# --- events of the page ----------------------------------------------------------------------------------------------


def session_of(request: gr.Request) -> str:
    """The open page a request comes from."""
    return request.session_hash or "api"


def widget_value(value: Any) -> Any:
    """A widget's value as the browser sends it, with files as their paths. Raises RequestError for a forged one."""
    if isinstance(value, list):
        return [widget_value(item) for item in value]
    if isinstance(value, dict):
        return str(uploaded(value["path"])) if value.get("path") else None
    return value


class RunWidgets(Protocol):
    """What shows a run: the button that starts it, Stop, and the card of its result."""

    @property
    def run(self) -> gr.Button: ...
    @property
    def stop(self) -> gr.Button: ...
    @property
    def result(self) -> gr.HTML: ...


def updates(frames: Iterable[tuple[str, bool]], page: RunWidgets, *buttons: gr.Button) -> Iterator[dict[Any, Any]]:
    """Widget updates that show a run: its card, Stop while it runs, and the buttons that wait for it.

    Of a run that shows nothing there is one that changes nothing: an event that yields nothing empties its outputs,
    labels of buttons too, in gradio 6.31.
    """
    is_empty = True
    for shown, is_running in frames:
        is_empty = False
        idle = {button: gr.update(interactive=not is_running) for button in (page.run, *buttons)}
        yield {page.result: shown, page.stop: gr.update(visible=is_running), **idle}
    if is_empty:
        yield {page.result: gr.skip()}


@dataclass(frozen=True)
class RunPlace:
    """Where a run is shown again after a reload of its page. tab: the one that opens; outputs: what `show` updates;
    show: (frames, run, session of the page) → updates."""

    tab: str
    outputs: Sequence[Any]
    show: Callable[[Frames, FollowedRun, str], Iterator[dict[Any, Any]]]


def place_of(tab: str, page: RunWidgets) -> RunPlace:
    """Where the runs of a tab are shown again."""
    return RunPlace(tab, [page.result, page.run, page.stop], lambda frames, _run, _session: updates(frames, page))


def begin(state: AppState, session: str, key: str, frames: Frames, about: str = "") -> Frames:
    """Begin a run that survives a reload of its page, and show it. about: see `FollowedRun`."""
    run = FollowedRun(session, key, frames, stop=lambda: state.running.stop(session, key), about=about)
    return followed(run, state.followed.add(run))


def followed(run: FollowedRun, run_id: str) -> Frames:
    """The frames of a run; each card names the run, so that the page finds it after a reload."""
    for shown, is_running in run.follow():
        yield views.with_mark(shown, "run", run_id), is_running


def wire_run(state: AppState, job: Job, trigger: Callable[..., Any], inputs: Sequence[Any], page: RunWidgets) -> None:
    """Run a job on an event (`button.click`, `event.then`, ...); the run survives a reload of its page."""

    def act(session: str, language: str, *values: Any) -> Frames:
        return begin(state, session, job.tab, answer(state, job, session, language, values))

    wire_frames([trigger], act, inputs, page)


def wire_frames(
    triggers: Iterable[Callable[..., Any]],
    frames: Callable[..., Frames],
    inputs: Sequence[Any],
    page: RunWidgets,
    *buttons: gr.Button,
    **options: Any,
) -> list[Any]:
    """Show what `frames(session, language, *values)` yields when an event comes; returns the events.

    buttons: further ones that wait for the run. options: of the event, in place of those of model work.
    """

    def act(request: gr.Request, *values: Any) -> Iterator[dict[Any, Any]]:
        yield from updates(frames(session_of(request), page_language(request), *values), page, *buttons)

    act.__name__ = frames.__name__
    outputs = [page.result, page.run, page.stop, *buttons]
    options = {**UNPROCESSED, **MODEL, **PRIVATE} | options
    return [trigger(act, list(inputs), outputs, **options) for trigger in triggers]


def wire_stop(state: AppState, key: str, stop: gr.Button) -> None:
    """Let a Stop button cancel what runs under a key on its page."""

    def cancel(request: gr.Request) -> None:
        state.running.stop(session_of(request), key)

    stop.click(cancel, None, None, **QUICK)
