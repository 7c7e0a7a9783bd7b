"""The page put together.

open_state(host)   what the tabs work with
build(host)        the page as gradio Blocks
mount(state)       the page, its files, the gate and the limits as one ASGI app, which `studio/server.py` serves
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gradio as gr
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.types import ASGIApp

from engines import Host, Offer, RequestError, Router, Settings, describe, open_host
from engines.home import data_folder
from engines.hosts.api_server import openai_app
from engines.index.history import History, history_file
from studio import addresses, api, components, gradio_fixes, i18n, routes, stream, theme
from studio.addresses import KeptRuns, Reloaded
from studio.browsers import Browsers
from studio.collections import CollectionStore
from studio.components import FILES
from studio.followed import GRACE_S
from studio.gate import Entrance, Gate
from studio.history_recorder import HistoryRecorder
from studio.http_limits import Harden
from studio.i18n import both, label
from studio.registry import DownloadRegistry
from studio.sharing import Lock
from studio.state import EVERYTHING, SAMPLES, AppState, read_samples
from studio.stream import RunPlace
from studio.tabs import caption, history, video
from studio.tabs.lab import ui as lab
from studio.tabs.models import ui as models
from studio.tabs.panel import Panel, found_again
from studio.tabs.search import ui as search
from studio.tabs.speech import ui as speech
from studio.tabs.teach import ui as teach
from studio.tabs.teach.label_store import LabelStore
from studio.tabs.teach.logic import TAB as TEACH

SHARED_UPLOADS = "64mb"
"""The largest upload of a page that others can reach."""


def open_state(
    host: Host,
    *,
    shared: bool = False,
    home: Path | None = None,
    devices: Sequence[str] | None = None,
    settings: Settings | None = None,
    opener: Callable[..., Host] = open_host,
    looker: Callable[[str, Settings], Offer] = describe,
) -> AppState:
    """What the tabs work with. devices: what may be switched to; left out, this machine is asked."""
    downloads = DownloadRegistry()
    how = settings if settings is not None else Settings()
    if not isinstance(host, Router):
        host = Router({EVERYTHING: host}, lambda route: opener(route.model, route.settings(how)))
    home, browsers = home if home is not None else data_folder(), Browsers()
    return AppState(
        host=host,
        browsers=browsers,
        shared=shared,
        collections=CollectionStore(home, SAMPLES, browsers),
        label_store=LabelStore(None if shared else home / "labels", browsers),
        recorder=HistoryRecorder(None if shared else History(history_file(home))),
        downloads=downloads,
        samples=read_samples(SAMPLES, downloads),
        devices=("auto", *(devices if devices is not None else _devices())),
        settings=how,
        opener=opener,
        looker=looker,
    )


def _devices() -> Sequence[str]:
    from engines.device import available

    return available()


def build(host: Host, *, state: AppState | None = None) -> gr.Blocks:
    """The page over a host."""
    state = state if state is not None else open_state(host)
    with gr.Blocks(title="Fusion Studio", analytics_enabled=False, fill_width=True) as page:
        switch = _header(state)
        with gr.Tabs(elem_id="tabs") as tabs:
            with gr.Tab(label("ui.tab.search"), id=search.TAB, elem_id="tab-search"):
                searching = search.create_ui(state)
            with gr.Tab(label("ui.tab.speech"), id=speech.TAB, elem_id="tab-speech"):
                listening = speech.create_ui(state)
            with gr.Tab(label("ui.tab.video"), id=video.TAB, elem_id="tab-video"):
                asking = video.create_ui(state)
            with gr.Tab(label("ui.tab.caption"), id=caption.TAB, elem_id="tab-caption"):
                captioning = caption.create_ui(state)
            past = _history_tab(state)
            with gr.Tab(label("ui.tab.lab"), id=lab.TAB, elem_id="tab-lab"):
                trying = lab.create_ui(state)
            with gr.Tab(label("ui.tab.models"), id=models.TAB, elem_id="tab-models"):
                about = models.create_ui(state)
        _foot(shared=state.shared)
        place = addresses.address()
        search.wire(state, searching)
        speech.wire(state, listening)
        video.wire(state, asking)
        caption.wire(state, captioning)
        places = lab.wire(state, trying)
        panels = (searching.panel, listening, asking, captioning)
        subtitles = {panel.tab: panel.subtitle for panel in panels}
        models.wire(state, about, switch, subtitles, moments=(page.load, tabs.change))
        _wire_sends(state, tabs, panels)
        names = [str(tab.id) for tab in tabs.children if isinstance(tab, gr.Tab)]
        places |= {panel.tab: stream.place_of(panel.tab, panel) for panel in panels}
        places |= {search.TAB: search.run_place(searching)}
        addresses.wire(state, place, tabs, names, panels, past, _reloaded(state, searching, panels, trying, places))
        api.add_endpoints(api.tasks_of(state), state)
        page.load(i18n.page_language, None, captioning.extras[0], **stream.PRIVATE)
        page.unload(_leave(state))
    page.queue(api_open=True, max_size=64)
    gradio_fixes.keep_open(page)
    return page


def _header(state: AppState) -> gr.Dropdown:
    with gr.Row(elem_id="header", equal_height=True):
        components.html("brand", f"<h1>{theme.brand()}</h1>", scale=6, min_width=160)
        bare: dict[str, Any] = {"show_label": False, "container": False, "elem_classes": []}
        switch = components.dropdown(
            "device", "ui.models.device", models.choices(state), models.where(state), visible=not state.shared,
            scale=0, min_width=110, **bare,
        )  # fmt: skip
        buttons = (
            f'<div class="switches"><button type="button" data-speak="other">{both("ui.switch.language")}</button>'
            f'<button type="button" data-light aria-label="light / dark">{theme.MOON}</button></div>'
        )
        components.html("switches", buttons, scale=0, min_width=96)
    return switch


def _history_tab(state: AppState) -> gr.HTML | None:
    """The tab with the kept results, and its list; None on a page that others can reach."""
    if state.recorder.history is None:
        return None
    with gr.Tab(label("ui.tab.history"), id=history.TAB, elem_id="tab-history") as tab:
        page = history.create_ui(state.recorder.history)
        history.wire(state.recorder.history, page, tab)
    return page.rows


def _reloaded(
    state: AppState,
    searching: search.Search,
    panels: Sequence[Panel],
    trying: lab.Lab,
    places: dict[str, RunPlace],
) -> Reloaded:
    """What is found again when the page was loaded anew."""
    taught = trying.others[TEACH]

    def given(session: str, place: str) -> dict[Any, Any]:
        found = search.found_again(state, searching, session, place) | teach.found_again(state, taught, session)
        for panel in panels:
            found |= found_again(state, panel, session)
        return found

    outputs = [searching.files, searching.place, searching.update, taught.name, taught.sets, taught.asking]
    outputs += [panel.media.parts[FILES] for panel in panels if FILES in panel.media.parts]
    kept = KeptRuns(lab.TAB, trying.opening, lambda entry, all_: lab.open_kept(state, trying, entry, is_filled=all_))
    return Reloaded(places, [*outputs, *taught.draft_parts], given, kept)


def _wire_sends(state: AppState, tabs: gr.Tabs, panels: Sequence[Panel]) -> None:
    """Let every result send a file to another tab: the tab opens with the file in it."""
    by_tab = {panel.tab: panel for panel in panels}

    def send(event: gr.EventData, request: gr.Request) -> dict[Any, Any]:
        with stream.toast(request):
            panel, path = by_tab.get(event.send), state.downloads.file(event.file)
            if panel is None or path is None or not path.is_file():
                raise RequestError("send_gone", "This file is gone; run it again first.")
            return {tabs: gr.update(selected=panel.tab), **panel.media.show(*panel.media.lend(path))}

    outputs = [tabs, *(part for panel in panels for part in panel.media.inputs)]
    for panel in panels:
        panel.result.send(send, None, outputs, **stream.QUICK)


def _foot(*, shared: bool) -> None:
    links = [("./api", "ui.foot.api"), *([("./leave", "ui.foot.leave")] if shared else [])]
    shown = " · ".join(f'<a href="{address}">{both(words)}</a>' for address, words in links)
    notify = f'<button type="button" role="switch" aria-checked="false" data-notify>{both("ui.notify")}</button>'
    problems = "".join(
        f'<p class="problem" role="alert" data-notify-problem="{why}" hidden>{both(f"ui.notify.{why}")}</p>'
        for why in ("denied", "impossible")
    )
    components.html("foot", f"<nav>{notify} · {shown}</nav>{problems}")


def _leave(state: AppState) -> Any:
    def leave(request: gr.Request) -> None:
        session = stream.session_of(request)
        state.running.leave(session, but={run.tab for _, run in state.followed.items()})
        state.chats.remove(session)
        later = threading.Timer(GRACE_S, forget, [session])
        later.daemon = True
        later.start()

    def forget(session: str) -> None:
        if state.browsers.is_newest(session):  # the page was not loaded anew
            state.label_store.forget(session)

    return leave


def mount(state: AppState, *, lock: Lock | None = None, entrance: Entrance | None = None, mcp: bool = True) -> ASGIApp:
    """The page, its files, the gate and the limits as one ASGI app. mcp: also serve the tasks as tools."""
    entrance = entrance if entrance is not None else Entrance()
    server = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    routes.add_routes(server, state.downloads, state.runs, state.recorder)
    below = entrance.path

    @server.get("/api")
    def api_page(request: Request) -> HTMLResponse:
        url = str(request.base_url).rstrip("/") + below
        return HTMLResponse(api.api_page(api.tasks_of(state), url, mcp=mcp))

    if mcp:
        from studio import mcp_server

        running = mcp_server.add_tools(server, state, api.tasks_of(state))
        server.router.lifespan_context = lambda _: running
    server.mount("/v1", openai_app(state.host))
    blocks = build(state.host, state=state)
    gradio_fixes.restrict_uploads(blocks)
    gradio_fixes.shrink_sessions()
    gradio_fixes.explain_errors(blocks, stream.as_user_error)
    gr.mount_gradio_app(
        server,
        blocks,
        path="/",
        root_path=entrance.root_path.rstrip("/") or None,
        app_kwargs={"docs_url": None, "redoc_url": None, "openapi_url": None},
        footer_links=[],
        run_history=False,
        enable_monitoring=False,
        show_error=False,
        ssr_mode=False,
        mcp_server=False,
        pwa=False,
        max_file_size=SHARED_UPLOADS if state.shared else None,
        i18n=i18n.translations(),
        theme=theme.theme(),
        css=theme.style(),
        head=theme.head(),
    )
    checked = api.CheckCalls(gradio_fixes.EarlyScript(server), api.tasks_of(state))
    return Harden(Gate(checked, lock, entrance), stream.as_user_error)
