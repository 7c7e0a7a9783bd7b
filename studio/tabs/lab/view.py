"""Findings of an experiment as one result card: curves and maps, tables, conclusions, then pictures.

Pure functions from findings to HTML. Names in findings may come from a person's own folder: all of them are escaped.
"""

from __future__ import annotations

import base64
import html
import io
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields

import numpy as np
from PIL import Image

from engines import UserError
from engines.background import Queued
from engines.lab import Cell, Findings, FusionRequest, LabRequest, Map, Picture, Table, name_of
from studio import i18n, views
from studio.i18n import both, sentence, spans
from studio.tabs.lab import charts
from studio.tabs.lab.charts import Look, number
from studio.tabs.lab.terms import as_html, as_text, key_of, translated

LEAST_IS_BEST = frozenset({"loss", "seconds", "ms per step", "time"})
"""Columns in which the smallest number is best. In columns of shares the largest is; other columns have no best."""
UNJUDGED = ("±", "part", "right answer", "together", "alone", "difference", "chance")
"""Columns of shares with these words have no best."""
N_COLUMNS = 10
"""A table with this many columns has no room for another."""
N_DIFFERENCES = 8
"""Differences listed when an opened run measures differently."""
DECISIONS = "decisions"
"""Pictures of this kind are maps of the share of right decisions over both noises."""
DIVERGING = ("filter", "weight")
"""Pictures of these kinds have a neutral middle: blue below it, orange above."""
BLUE, ORANGE, NEUTRAL = (0, 114, 178), (230, 130, 0), (245, 243, 238)


# --- tables ----------------------------------------------------------------------------------------------------------


def is_share(column: str) -> bool:
    """Whether the numbers of a column are shares, 0 to 1."""
    return column.endswith("%")


def best_rows(table: Table, n: int) -> frozenset[int]:
    """The rows with the best value of the n-th column; none if the column has no best, or all are equal."""
    column = table.columns[n]
    values = {i: float(row[n]) for i, row in enumerate(table.rows) if _is_number(row[n])}  # type: ignore[arg-type]
    judged = is_share(column) and not any(word in column for word in UNJUDGED)
    least = column.lower() in LEAST_IS_BEST
    if not (judged or least) or len(values) < 2:
        return frozenset()
    best = min(values.values()) if least else max(values.values())
    rows = frozenset(i for i, value in values.items() if abs(value - best) < 5e-4)
    return rows if len(rows) < len(values) else frozenset()


def joined(tables: Sequence[Table]) -> list[Table]:
    """The tables, with the times as one more column of the first table if both have the same rows."""
    times = next((each for each in tables[1:] if each.key == "time"), None)
    if times is None or times.columns[0] != tables[0].columns[0] or len(tables[0].columns) >= N_COLUMNS:
        return list(tables)
    first, spent = tables[0], {row[0]: row[1] for row in times.rows}
    rows = tuple((*row, spent.get(row[0])) for row in first.rows)
    whole = Table(first.key, (*first.columns, times.columns[1]), rows)
    return [whole, *(each for each in tables[1:] if each is not times)]


def table(drawn: Table, looks: Mapping[str, Look]) -> str:
    """A table: numbers right-aligned, the best of each column marked, row names beside the style of their curve."""
    is_figure = [any(_is_number(row[n]) for row in drawn.rows) for n in range(len(drawn.columns))]
    best = [best_rows(drawn, n) for n in range(len(drawn.columns))]
    head = "".join(
        f'<th scope="col"{" class=figure" if is_figure[n] else ""}>{_head(column)}</th>'
        for n, column in enumerate(drawn.columns)
    )
    rows = ""
    for i, row in enumerate(drawn.rows):
        name = str(row[0]) if row else ""
        mark = charts.swatch(looks[name]) if name in looks else ""
        cells = "".join(
            f"<td{' class=figure' if is_figure[n] else ''}>{_cell(cell, drawn.columns[n], i in best[n])}</td>"
            for n, cell in enumerate(row)
            if n > 0
        )
        rows += f'<tr><th scope="row"><span class="row-name">{mark}<span>{as_html(name)}</span></span></th>{cells}</tr>'
    key = key_of(drawn.key, "table")
    caption = f"<caption>{both(key)}</caption>" if i18n.knows(key) else ""
    return (
        f'<div class="wide"><table class="grid found">{caption}<thead><tr>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _head(column: str) -> str:
    """HTML of a column's name, with the unit of its numbers."""
    return f"{as_html(column.removesuffix('%').strip())}{' (%)' if is_share(column) else ''}"


def _cell(cell: Cell, column: str, is_best: bool) -> str:
    value = _value(cell, column).removesuffix("%")
    return f'<span class="best" title="{html.escape(as_text("best"))}">★</span><b>{value}</b>' if is_best else value


def _value(cell: Cell, column: str) -> str:
    """HTML of a cell."""
    if isinstance(cell, int | float):
        return number(float(cell), percent=is_share(column))
    return "–" if cell is None else as_html(cell)


def _is_number(cell: Cell) -> bool:
    return isinstance(cell, int | float) and not isinstance(cell, bool)


# --- pictures --------------------------------------------------------------------------------------------------------


def pictures(drawn: Sequence[Picture]) -> str:
    """Small pictures, grouped by key."""
    groups = ""
    for key in dict.fromkeys(picture.key for picture in drawn if picture.key != DECISIONS):
        figures = "".join(
            f'<figure><img src="{data_uri(each)}" alt="{html.escape(f"{as_text(each.key)}: {as_text(each.name)}")}">'
            f"<figcaption>{as_html(each.name)}</figcaption></figure>"
            for each in drawn
            if each.key == key
        )
        groups += f'<div><p class="over">{as_html(key)}</p><div class="shot-row">{figures}</div></div>'
    return f'<div class="shots">{groups}</div>' if groups else ""


def data_uri(picture: Picture) -> str:
    """A picture as an inline PNG, one dot per pixel."""
    pixels = np.nan_to_num(np.asarray(picture.pixels, np.float32)).clip(0.0, 1.0)
    if pixels.ndim == 2 and picture.key.lower().startswith(DIVERGING):
        side = np.where(pixels[..., None] < 0.5, np.array(BLUE), np.array(ORANGE))
        pixels = (np.array(NEUTRAL) + (side - np.array(NEUTRAL)) * np.abs(2 * pixels[..., None] - 1)) / 255.0
    held = io.BytesIO()
    Image.fromarray((pixels * 255).round().astype(np.uint8)).save(held, "PNG")
    return "data:image/png;base64," + base64.b64encode(held.getvalue()).decode()


def decisions(found: Findings) -> str:
    """The decision maps of a fusion run side by side; the cell nearest to the noise that was asked for is outlined."""
    drawn = [picture for picture in found.pictures if picture.key == DECISIONS]
    if not drawn or not isinstance(found.request, FusionRequest):
        return ""
    asked = found.request.picture_noise, found.request.sound_noise
    maps = "".join(charts.decision_map(each, asked) for each in drawn)
    return (
        f'<div class="decisions"><p class="over">{both("ui.lab.decisions")}</p><div class="map-grid">{maps}</div></div>'
    )


# --- words -----------------------------------------------------------------------------------------------------------


def sentences(found: Findings) -> str:
    """The measured conclusions in words."""
    lines = ""
    for name, values in found.said:
        key = key_of(name, "said")
        if i18n.knows(key):
            lines += f"<p>{spans(*(i18n.text(key, at, **_filled(values, at)) for at in i18n.LANGUAGES))}</p>"
    return f'<div class="said">{lines}</div>' if lines else ""


def _filled(values: Mapping[str, Cell], language: str) -> dict[str, str]:
    filled = {}
    for name, value in values.items():
        if isinstance(value, float):
            filled[name] = f"{value:.1f}" if abs(value) >= 1 else f"{value:.2f}"
        else:
            filled[name] = translated(str(value), language)
    return filled


def command(request: LabRequest) -> str:
    """The command line that runs the same experiment, without options at their default, but always with the seed."""
    words = ["python", "-m", "engines.lab", name_of(request)]
    for each in sorted(fields(request), key=lambda one: one.name == "seed"):
        value = getattr(request, each.name)
        if value == each.default and each.name != "seed":
            continue
        words.append(f"--{each.name.replace('_', '-')}")
        words += [str(part) for part in value] if isinstance(value, tuple) else [_plain(value)]
    return shlex.join(words)


def _plain(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


# --- the result -------------------------------------------------------------------------------------------------------


def empty(experiment: str, kind: type[LabRequest]) -> str:
    """The card before the first run: what will be shown."""
    asked = kind()
    names = next((value for value in vars(asked).values() if isinstance(value, tuple)), getattr(asked, "kinds", ()))
    example = views.example(charts.sketch(names, charts.looks_of(asked, names)))
    return views.result_card("empty", f'<p class="hint">{both(f"ui.lab.empty.{experiment}")}</p>{example}')


def waiting(queued: Queued | None = None) -> str:
    """The card before the first finding: preparing, or the position in the queue."""
    said_now = both("ui.lab.starting") if queued is None else both("ui.lab.line", n=queued.n_ahead)
    return views.result_card("busy", f'<p class="stage"><i class="pulse"></i>{said_now}</p>')


def findings(found: Findings, *, name: str = "", note: str = "") -> str:
    """All findings so far. name: id of a finished run among `AppState.runs`. note: HTML above them."""
    state = "busy" if not found.done else "stopped" if found.end == "cancelled" else "done"
    names = [curve.name for chart in found.charts for curve in chart.curves]
    names += [group.name for each in found.maps for group in each.groups]
    looks = charts.looks_of(found.request, names)
    n_steps = float(getattr(found.request, "n_steps", 0))
    tables = [table(each, looks) for each in joined(found.tables)]
    body = _maps(found, looks) + charts.charts(found.charts, looks, n_steps=n_steps) + decisions(found)
    body += "".join([*tables[:1], sentences(found), *tables[1:]]) + pictures(found.pictures)
    if not body and found.done:
        body = views.nothing("ui.lab.nothing")
    return views.result_card(state, note + _stage(found) + body, _foot(found, name) if found.done else "")


def again(found: Findings, measured: Sequence[Table] | UserError | object) -> str:
    """The outcome of measuring an opened run again. measured: its tables, or why it failed; anything else: not yet."""
    if isinstance(measured, UserError):
        return f'<p class="again">{both("ui.lab.opened")} {sentence(measured)}</p>'
    if not isinstance(measured, Sequence):
        return f'<p class="again stage"><i class="pulse"></i>{both("ui.lab.again")}</p>'
    other = differences(found.tables, measured)
    if not other:
        return f'<p class="again is-same">{both("ui.lab.again.same")}</p>'
    listed = "".join(f"<li>{each}</li>" for each in other[:N_DIFFERENCES])
    return f'<div class="again is-other"><p>{both("ui.lab.again.other", n=len(other))}</p><ul>{listed}</ul></div>'


def differences(kept: Sequence[Table], measured: Sequence[Table]) -> list[str]:
    """HTML of every cell that differs from the saved one, to the last digit."""
    before = {(key, row, column): cell for key, row, column, cell in _cells(kept)}
    return [
        f"{as_html(row)}, {_head(column).removesuffix(' (%)')}: "
        f"{_value(before.get((key, row, column)), column)} → {_value(cell, column)}"
        for key, row, column, cell in _cells(measured)
        if before.get((key, row, column)) != cell
    ]


def _cells(tables: Sequence[Table]) -> Iterator[tuple[str, str, str, Cell]]:
    """(key of the table, name of the row, column, value) of every cell."""
    for each in tables:
        for row in each.rows:
            for column, cell in zip(each.columns, row, strict=True):
                yield each.key, str(row[0]), column, cell


def _stage(found: Findings) -> str:
    if found.done:
        return ""
    share = found.n_done / found.n_steps if found.n_steps else 0.0
    what = f"{as_html(found.stage)} · " if found.stage else ""
    steps = both("ui.lab.steps", done=f"{found.n_done:,}", total=f"{found.n_steps:,}")
    return (
        f'<div class="under-way"><p class="stage"><i class="pulse"></i><span>{what}<span class="number">'
        f"{steps}{_left(found)}</span>"
        f"</span></p>{views.bar(share)}</div>"
    )


def _left(found: Findings) -> str:
    """The time left at the pace so far, waiting for others included; "" while too little is done to tell."""
    if found.n_done < 5 or found.n_done >= found.n_steps:
        return ""
    left_s = found.seconds / found.n_done * (found.n_steps - found.n_done)
    return f" · {both('ui.lab.left', time=views.clock(left_s))}"


def _maps(found: Findings, looks: Mapping[str, Look]) -> str:
    """Maps side by side: during a run the first and the latest; afterwards all, with a slider that closes the gap."""
    seen = found.maps if found.done else dict.fromkeys((*found.maps[:1], *found.maps[-1:]))
    if not seen:
        return ""
    can_close = found.done and any(map(_closes, seen))
    figures = "".join(charts.scatter(each, looks, can_close=can_close and _closes(each)) for each in seen)
    names = dict.fromkeys(group.name for each in seen for group in each.groups)
    slider = (
        f'<label class="close-gap"><span>{both("ui.lab.gap")}</span>'
        '<input type="range" min="0" max="1" step="0.01" value="0" data-gap></label>'
    )
    return (
        f'<div class="maps">{charts.legend(list(names), looks, is_line=False)}<div class="map-row">{figures}</div>'
        f'{slider if can_close else ""}<p class="quiet note">{both("ui.lab.map")}</p></div>'
    )


def _closes(drawn: Map) -> bool:
    """Whether the modality gap of a map can be closed: it has several modalities, after training."""
    return len(drawn.groups) > 1 and drawn.name == "after"


def _foot(found: Findings, name: str) -> str:
    facts = f"{found.seconds:.1f} s · {both('ui.lab.seed', seed=found.request.seed)} · CPU"
    forms = [("csv", "CSV"), ("json", "JSON")]
    if found.weights or found.end != "finished":  # the history keeps no weights
        forms.append(("run", both("ui.lab.save")))
    tools = "".join(views.save_link(f"run/{name}.{form}", title) for form, title in forms) if name else ""
    return views.status_line(facts, end=found.end, tools=tools, below=views.command(command(found.request)))
