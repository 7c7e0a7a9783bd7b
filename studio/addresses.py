"""Addresses of the page: `?tab=caption&result=12` opens a tab with a kept result, `?tab=speech&run=...` goes on showing
what runs. `assets/addresses.js` writes them and asks for what they name: Back, Forward, reload and a pasted link work.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gradio as gr

from engines import (
    AskRequest,
    AskResult,
    CaptionResult,
    Result,
    SearchResult,
    TranscribeResult,
    TranslateResult,
    UserError,
)
from studio import cards, components, stream, views
from studio.components import TEXT
from studio.i18n import page_language
from studio.state import AppState
from studio.stream import RunPlace
from studio.tabs.panel import Panel

TAB_OF: dict[type[Result], str] = {
    SearchResult: "search",
    TranscribeResult: "speech",
    TranslateResult: "speech",
    AskResult: "video",
    CaptionResult: "caption",
}
"""The tab that shows each kind of result."""
ADDRESS_JS = """window.fusion.come = (browser) => trigger('come', browser);
window.fusion.go = (where) => trigger('go', where);
window.fusion.follow = (where) => trigger('follow', where);
dispatchEvent(new Event('fusion-addresses'));"""

_replies = itertools.count()


def address() -> gr.HTML:
    """What the page's script asks through, with the events `come`, `go` and `follow`; nothing to see."""
    return components.html("address", script=ADDRESS_JS, elem_classes="unseen")


@dataclass(frozen=True)
class KeptRuns:
    """How the runs of the history are shown. open: (entry, whether the settings too) → updates of `outputs`. Raises
    UserError."""

    tab: str
    outputs: Sequence[Any]
    open: Callable[[str, bool], dict[Any, Any]]


@dataclass(frozen=True)
class Reloaded:
    """What is found again after a reload. places: where the runs under each key are shown; given: (session, where was
    searched) → updates of `outputs` that show what the person had given the page; kept: runs of the history."""

    places: Mapping[str, RunPlace]
    outputs: Sequence[Any]
    given: Callable[[str, str], dict[Any, Any]]
    kept: KeptRuns


def wire(
    state: AppState,
    place: gr.HTML,
    tabs: gr.Tabs,
    names: Sequence[str],
    panels: Sequence[Panel],
    past: gr.HTML | None,
    reloaded: Reloaded,
) -> None:
    """Attach the events of `address`. names: the ids of all tabs; past: the list of kept results, whose rows open."""
    by_tab = {panel.tab: panel for panel in panels}

    def come(event: gr.EventData, request: gr.Request) -> dict[Any, Any]:
        """The page was opened: show what was given to it before it was loaded anew."""
        session = stream.session_of(request)
        state.browsers.come(session, _named(event, "browser"))
        return reloaded.given(session, _named(event, "place"))

    def go(event: gr.EventData, request: gr.Request) -> dict[Any, Any]:
        """Open a tab, with a kept result or as it was at first."""
        tab, entry = _named(event, "tab"), _named(event, "entry")
        if tab not in names:
            return {place: _reply("", "")}
        panel = by_tab.get(tab)
        if panel is None:
            shown = {tabs: gr.update(selected=tab), place: _reply(tab, "")}
            if tab == reloaded.kept.tab and entry:
                try:
                    shown |= {**reloaded.kept.open(entry, False), place: _reply(tab, entry)}
                except UserError as error:
                    gr.Warning(error.text(page_language(request)))
            return shown
        if not entry:
            return {tabs: gr.update(selected=tab), place: _reply(tab, ""), panel.result: panel.result.value}
        try:
            updates = open_result(state, panel, stream.session_of(request), entry)
        except UserError as error:
            return {tabs: gr.update(selected=tab), place: _reply(tab, ""), panel.result: views.problem(error)}
        return {tabs: gr.update(selected=tab), place: _reply(tab, entry), **updates}

    def pick(event: gr.EventData, request: gr.Request) -> dict[Any, Any]:
        """Open a kept result in its tab."""
        assert state.recorder.history is not None
        with stream.toast(request):
            if state.recorder.history.entry(int(event.open)).task == reloaded.kept.tab:
                return {tabs: gr.update(selected=reloaded.kept.tab), **reloaded.kept.open(event.open, True)}
            result = state.recorder.history.result(int(event.open))
            panel = by_tab[TAB_OF[type(result)]]
            return {
                tabs: gr.update(selected=panel.tab),
                **open_result(state, panel, stream.session_of(request), event.open),
            }

    def follow(event: gr.EventData, request: gr.Request) -> Iterator[dict[Any, Any]]:
        """Go on showing a run that was begun before the page was reloaded."""
        session, run_id = stream.session_of(request), _named(event, "run")
        state.browsers.come(session, _named(event, "browser"))
        run = state.followed.get(run_id)
        shown = reloaded.places.get(run.tab) if run is not None else None
        if run is None or shown is None:
            tab = asked if (asked := _named(event, "tab")) in names else names[0]
            told = {by_tab[tab].result: views.stopped("ui.address.gone")} if tab in by_tab else {}
            yield {tabs: gr.update(selected=tab), place: _reply(tab, ""), **told}
            return
        cancel = state.running.hand_over(run.session, run.tab, session)
        yield {tabs: gr.update(selected=shown.tab), place: _reply(shown.tab, "")}
        for update in shown.show(stream.followed(run, run_id), run, session):
            if state.running.is_superseded(session, run.tab, cancel):
                return
            yield update

    inputs = [part for panel in panels for part in (*panel.media.inputs, *_texts(panel))]
    results = [panel.result for panel in panels]
    runs = list(dict.fromkeys(part for each in reloaded.places.values() for part in each.outputs))
    place.come(come, None, list(reloaded.outputs), **stream.QUICK)
    opened = [tabs, *inputs, *results, *reloaded.kept.outputs]
    place.go(go, None, [place, *opened], **stream.QUICK)
    if past is not None:
        past.pick(pick, None, opened, **stream.QUICK)
    place.follow(follow, None, [tabs, place, *runs], concurrency_limit=64, **stream.PRIVATE)


def open_result(state: AppState, panel: Panel, session: str, entry: str) -> dict[Any, Any]:
    """Updates that show a kept result in its tab, and what it was asked about in the inputs. Raises UserError."""
    history = state.recorder.history
    if history is None or not (entry.isascii() and entry.isdecimal()):
        raise UserError("history_gone", "This result is no longer in the history.")
    result = history.result(int(entry))
    if TAB_OF[type(result)] != panel.tab:
        raise UserError("history_gone", "This result is no longer in the history.")
    request = result.request
    given = getattr(request, "media", None) or getattr(request, "query", None) or getattr(request, "text", "")
    updates: dict[Any, Any] = {}
    name = ""
    if isinstance(given, str):
        updates = panel.media.show(TEXT, given)
    elif isinstance(given, Path) and given.is_file():
        kind, lent = panel.media.lend(given)
        updates = panel.media.show(kind, lent)
        if isinstance(result, AskResult) and isinstance(request, AskRequest):  # the conversation goes on from here
            result = replace(result, request=replace(request, media=Path(lent)))
            name = state.downloads.add_result(result)
            state.chats.put(session, (Path(lent), (name,)))
    for box in _texts(panel):
        updates[box] = gr.update(value=getattr(request, "question", ""))
    updates[panel.result] = views.with_mark(cards.card(state, result, name), "entry", entry)
    return updates


def _texts(panel: Panel) -> list[gr.Textbox]:
    """The text boxes of a tab besides its media: the question of the video tab."""
    return [extra for extra in panel.extras if isinstance(extra, gr.Textbox)]


def _named(event: gr.EventData, name: str) -> str:
    value = getattr(event, name, "")
    return value if isinstance(value, str) else ""


def _reply(tab: str, entry: str) -> str:
    """What tells the page's script that it is there: where, and a number, so that two replies are never the same."""
    return f'<i data-reply="{next(_replies)}" data-tab="{tab}" data-entry="{entry}"></i>'
