"""History: list and search the kept results, open one in its tab, export and delete them, keep none."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import Any

import gradio as gr

from engines.index.history import LAB, Entry, History
from studio import components, stream, theme, views
from studio.i18n import both, label, title

TAB = "history"
N_ROWS = 100
N_CHARACTERS = 240
"""Of the text of a result so much is shown."""
MODALITY_OF_TASK = {"caption": "picture", "transcribe": "sound", "translate": "text", "ask": "all", "search": "all"}


@dataclass(frozen=True)
class HistoryPage:
    """The widgets of the tab. rows: the list, with the events `pick`, `seek`, `remove` and `empty`."""

    words: gr.Textbox
    keep: gr.Checkbox
    rows: gr.HTML


def create_ui(history: History) -> HistoryPage:
    """Lay out the tab."""
    components.html("", f'<p class="tab-subtitle">{both("ui.history.subtitle")}</p>')
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


# --- as HTML ---------------------------------------------------------------------------------------------------------


def entries(found: Sequence[Entry], *, words: str = "", is_on: bool = True, at_most: int, today: date) -> str:
    """The card with the rows, or what to do where there is none. at_most: how many rows are asked for."""
    off = "" if is_on else f'<p class="warning">{both("ui.history.off")}</p>'
    if not found:
        key = "ui.history.none" if words.strip() else "ui.history.empty"
        return views.result_card("empty", off + views.nothing(key))
    days = "".join(
        f'<h2 class="day">{_day(day, today)}</h2><div class="entries">{"".join(map(_row, rows))}</div>'
        for day, rows in groupby(found, key=lambda entry: entry.at[:10])
    )
    more = f'<p class="quiet">{both("ui.history.more", n=len(found))}</p>' if len(found) >= at_most else ""
    sure = (
        f'<details class="sure"><summary class="tool">{both("ui.history.clear")}</summary><p>{both("ui.history.sure")} '
        f"{views.tool(both('ui.history.clear.go'), clear='')}</p></details>"
    )
    save = views.save_link("history.jsonl", both("ui.history.export"))
    return views.result_card("done", f'{off}<div class="history-tools">{save}{sure}</div>{days}{more}')


def _row(entry: Entry) -> str:
    picture = theme.mark(MODALITY_OF_TASK.get(entry.task, "all"))
    if entry.has_thumbnail:
        picture = f'<img src="./studio/history/{entry.id}/thumb?{entry.at}" alt="" loading="lazy">'
    about = html.escape(" ".join(entry.about.split()))
    heading = about
    if entry.task == LAB:
        name, _, settings = about.partition(": ")
        heading = f"{both(f'ui.lab.name.{name}')} · {settings}"
    text = html.escape(" ".join(entry.text.split())[:N_CHARACTERS])
    return (
        f'<article class="entry"><button type="button" class="entry-open" data-open="{entry.id}">'
        f'<span class="entry-picture">{picture}</span><span class="entry-text">'
        f'<span class="entry-head"><b>{heading}</b><span class="quiet number">{both(f"ui.history.{entry.task}")} · '
        f'{entry.at[11:16]}</span></span><span class="entry-said">{text}</span></span></button>'
        f'<button type="button" class="row-away" data-delete="{entry.id}" title="{title("ui.history.delete")}" '
        f'aria-label="{title("ui.history.delete")}: {about}">×</button></article>'
    )


def _day(day: str, today: date) -> str:
    when = datetime.fromisoformat(day).date()
    if when == today:
        return both("ui.history.today")
    return both("ui.history.yesterday") if when == today - timedelta(days=1) else html.escape(day)
