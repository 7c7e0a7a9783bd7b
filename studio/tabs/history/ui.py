"""History: list and search the kept results, open one in its tab, export and delete them, keep none."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import gradio as gr

from engines.index.history import History
from studio import components, stream, views
from studio.i18n import both, label
from studio.tabs.history.view import entries

TAB = "history"
N_ROWS = 100


@dataclass(frozen=True)
class HistoryPage:
    """The widgets of the tab. rows: the list, with the events `pick`, `seek`, `remove` and `empty`."""

    words: gr.Textbox
    keep: gr.Checkbox
    rows: gr.HTML


def create_ui(history: History) -> HistoryPage:
    """Lay out the tab."""
    gr.HTML(f'<p class="tab-subtitle">{both("ui.history.subtitle")}</p>', apply_default_css=False)
    with gr.Row(elem_id="history-bar", equal_height=True):
        words = components.bare_textbox(
            "history-words", "ui.history.words", lines=1, max_lines=2, scale=6, min_width=200
        )
        keep = gr.Checkbox(
            history.is_on, label=label("ui.history.keep"), elem_id="history-keep", container=False, scale=0,
            min_width=150, interactive=True,
        )  # fmt: skip
    clicks = {"open": "pick", "delete": "remove", "clear": "empty"}
    rows = components.html("history-result", views.waiting(), clicks=clicks, script=components.javascript("history.js"))
    return HistoryPage(words, keep, rows)


def shown(history: History, words: str) -> str:
    """The list of the results in which all the words occur."""
    found = history.find(words, N_ROWS)
    return entries(found, words=words, is_on=history.is_on, at_most=N_ROWS, today=datetime.now().date())


def wire(history: History, page: HistoryPage, tab: gr.Tab) -> None:
    """Attach the events; opening a row is wired by `studio.addresses`."""

    def show(words: str, request: gr.Request) -> str:
        with stream.toast(request):
            return shown(history, words)

    def seek(event: gr.EventData, request: gr.Request) -> str:
        with stream.toast(request):
            return shown(history, str(event.words))

    def remove(words: str, event: gr.EventData, request: gr.Request) -> str:
        with stream.toast(request):
            history.delete([int(event.delete)])
            return shown(history, words)

    def empty(request: gr.Request) -> tuple[str, str]:
        with stream.toast(request):
            history.clear()
            return "", shown(history, "")

    def turn(keep: bool, words: str, request: gr.Request) -> str:
        with stream.toast(request):
            history.turn(on=keep)
            return shown(history, words)

    quick: dict[str, Any] = stream.QUICK
    tab.select(show, page.words, page.rows, **quick)
    page.rows.seek(seek, None, page.rows, **quick)
    page.rows.remove(remove, page.words, page.rows, **quick)
    page.rows.empty(empty, None, [page.words, page.rows], **quick)
    page.keep.input(turn, [page.keep, page.words], page.rows, **quick)
