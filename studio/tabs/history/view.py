"""The kept results as HTML: one row each, under the day they were made."""

from __future__ import annotations

import html
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from itertools import groupby

from engines.index.history import Entry
from studio import theme, views
from studio.i18n import both, title

N_CHARACTERS = 240
"""Of the text of a result so much is shown."""
MODALITY_OF_TASK = {"caption": "picture", "transcribe": "sound", "translate": "text", "ask": "all", "search": "all"}


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
    text = html.escape(" ".join(entry.text.split())[:N_CHARACTERS])
    return (
        f'<article class="entry"><button type="button" class="entry-open" data-open="{entry.id}">'
        f'<span class="entry-picture">{picture}</span><span class="entry-text">'
        f'<span class="entry-head"><b>{about}</b><span class="quiet number">{both(f"ui.history.{entry.task}")} · '
        f'{entry.at[11:16]}</span></span><span class="entry-said">{text}</span></span></button>'
        f'<button type="button" class="row-away" data-delete="{entry.id}" title="{title("ui.history.delete")}" '
        f'aria-label="{title("ui.history.delete")}: {about}">×</button></article>'
    )


def _day(day: str, today: date) -> str:
    when = datetime.fromisoformat(day).date()
    if when == today:
        return both("ui.history.today")
    return both("ui.history.yesterday") if when == today - timedelta(days=1) else html.escape(day)
