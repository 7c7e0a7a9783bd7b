"""The same request for each of several files: a queue with its rate and time left, and a row for each result.

A file that cannot be read fails alone, in a sentence. A stop keeps what is finished, and of the file in work what is
there. While the queue runs, rows hold texts only: whole transcripts with their tools come with the last card.
"""

from __future__ import annotations

import html
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from engines import AskResult, Cancel, CaptionResult, Host, Request, Result, TranscribeResult, UserError
from studio import uploads, views
from studio.i18n import both, sentence
from studio.registry import DownloadRegistry

N_FILES = 500
"""Most files of one queue."""
PAUSE_S = 1.0
"""Shortest time between two cards that show how far one file is."""
TOUCH_S = 60.0
"""How often the files that wait are told to be needed still; uploads that nobody uses are deleted after an hour."""

View = Callable[[str, Result], str]


@dataclass(frozen=True)
class FileQueue:
    """Files, and the requests for one of them. `requests` may raise a UserError, which is that file's alone."""

    files: tuple[Path, ...]
    requests: Callable[[Path], Sequence[Request]]


@dataclass(frozen=True)
class Row:
    """A file of a queue. state: "waiting", "running", "done", "stopped", "failed"; file_id, result_id: in the
    `DownloadRegistry`; entry: in the history."""

    path: Path
    file_id: str
    state: str = "waiting"
    result: Result | None = None
    result_id: str = ""
    error: UserError | None = None
    entry: int | None = None


def frames(
    queue: FileQueue,
    host: Host,
    downloads: DownloadRegistry,
    body: View,
    cancel: Cancel,
    keep: Callable[[Result], int | None],
    *,
    pause_s: float = PAUSE_S,
    touch_s: float = TOUCH_S,
) -> Iterator[tuple[str, bool]]:
    """Run the queue; (card, whether it still runs) after each change. body: (id of a result, result) to HTML; keep: is
    given each finished result, and gives the id of its entry in the history."""
    rows = [Row(path, downloads.add_file(path)) for path in queue.files]
    batch = downloads.add_batch(())
    began_s = time.monotonic()
    for n, waiting in enumerate(rows):
        if cancel.is_set:
            break
        rows[n] = row = replace(waiting, state="running")
        uploads.touch(queue.files[n:])
        yield _card(rows, batch, began_s), True
        shown_s = touched_s = time.monotonic()
        try:
            for request in queue.requests(row.path):
                for result in host.stream(request, cancel):
                    rows[n] = row = replace(row, result=result)
                    if time.monotonic() - touched_s >= touch_s:
                        uploads.touch(queue.files[n:])
                        touched_s = time.monotonic()
                    if time.monotonic() - shown_s >= pause_s:
                        yield _card(rows, batch, began_s), True
                        shown_s = time.monotonic()
        except UserError as error:
            rows[n] = replace(row, state="failed", error=error)
            continue
        result_of_file = row.result
        if result_of_file is None or (result_of_file.end == "cancelled" and not text_of(result_of_file)):
            rows[n] = waiting
            continue
        state = "stopped" if result_of_file.end == "cancelled" else "done"
        result_id = downloads.add_result(result_of_file)
        downloads.extend_batch(batch, result_id)
        rows[n] = replace(row, state=state, result_id=result_id, entry=keep(result_of_file))
    yield _card(rows, batch, began_s, body), False


# --- the card ----------------------------------------------------------------------------------------------------


def _card(rows: Sequence[Row], batch: str, began_s: float, body: View | None = None) -> str:
    """The card of a queue that runs, or with `body` of one that has ended."""
    running = body is None
    ended = [row for row in rows if row.state in ("done", "failed")]
    spent_s = time.monotonic() - began_s
    rate = f'<p class="quiet number">{_rate(len(ended), len(rows) - len(ended), spent_s)}</p>' if ended else ""
    far = both("ui.files.far", done=len(ended), total=len(rows))
    head = f'<p class="stage">{far}</p>{views.bar(len(ended) / len(rows))}{rate if running else ""}'
    search = ""
    if not running and len(rows) > 1:
        search = f'<label class="queue-filter">{both("ui.files.filter")} <input type="search" data-filter></label>'
    listed = "".join(_row(row, body) for row in rows)
    tools = "".join(views.save_link(f"files/{batch}.{form}", form.upper()) for form in ("csv", "zip"))
    foot = views.status_line(f"{spent_s:.1f} s", tools=tools)
    status = "busy" if running else "done" if len(ended) == len(rows) else "stopped"
    there_is_any = any(row.result_id for row in rows)
    return views.result_card(status, f'{head}{search}<div class="queue">{listed}</div>', foot if there_is_any else "")


def _rate(n_done: int, n_left: int, spent_s: float) -> str:
    a_minute = 60 * n_done / max(spent_s, 1e-3)
    left_s = n_left * spent_s / n_done
    return both("ui.files.rate", rate=f"{a_minute:.1f}", left=views.clock(left_s))


def _row(row: Row, body: View | None) -> str:
    name = f'<span class="name">{html.escape(row.path.name)}</span>'
    thumb = f'<img src="./studio/thumb/{row.file_id}" alt="" loading="lazy">'
    if row.error is not None:
        problem = f'<p class="problem">{sentence(row.error)}</p>'
        return f'<div class="queue-row is-failed">{thumb}<div>{name}{problem}</div></div>'
    if row.result is None or not row.result_id:
        far = views.stage(row.result.progress) if row.result is not None else ""
        state = far or f'<p class="quiet">{both(f"ui.files.{row.state}")}</p>'
        return f'<div class="queue-row">{thumb}<div>{name}{state}</div></div>'
    text = html.escape(text_of(row.result)) or both("ui.speech.nothing")
    unsure = (
        f' <span class="warning-text judged">{both("ui.files.unsure")}</span>'
        if getattr(row.result, "unsure", False)
        else ""
    )
    if row.state == "stopped":
        unsure += f' <span class="warning-text">{both("ui.stopped")}</span>'
    shown = f'<p class="queue-text" data-copied>{text}</p>'
    if body is not None and isinstance(row.result, CaptionResult | AskResult) and row.result.text:
        shown = (
            f'<p class="queue-text" data-copied data-text-of="{row.result_id}">{text}</p>{views.correct_button()}'
            f"{views.words_read(row.result)}"
        )
    if body is not None and isinstance(row.result, TranscribeResult) and row.result.segments:
        whole = body(row.result_id, row.result)
        shown = f'<details><summary class="queue-text">{text}</summary>{whole}</details>'
    entry = "" if row.entry is None else f' data-entry="{row.entry}"'
    return f'<div class="queue-row"{entry}>{thumb}<div>{name}{unsure}{shown}</div></div>'


def text_of(result: Result) -> str:
    """What a result says, as one text."""
    return str(getattr(result, "text", ""))
