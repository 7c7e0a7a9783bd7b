"""A map of a collection and its timeline as HTML; `assets/map.js` draws the map from `as_json` and listens on it."""

from __future__ import annotations

import html
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

from engines import Hit, HostInfo, MapResult, SearchResult
from studio import theme, views
from studio.i18n import LANGUAGES, both, spans, text
from studio.registry import DownloadRegistry

N_CARDS = 60
"""Chosen files that are shown as cards; the saved files hold all."""
N_DAYS = 62
"""The longest timeline with a bar for each day; a longer one has a bar for each month."""
N_MONTHS = 72
"""The longest timeline with a bar for each month; a longer one has a bar for each year."""


def as_json(result: MapResult) -> dict[str, Any]:
    """What the page's script draws: [x, y, modality, name, date, cluster] of each point, and the clusters."""
    points = [
        [
            round(point.x, 4),
            round(point.y, 4),
            theme.MODALITY_OF_KIND[point.kind],
            point.path.name,
            point.taken[:10],
            point.cluster,
        ]
        for point in result.points
    ]
    clusters = [
        {"en": cluster.en, "zh": cluster.zh, "x": round(cluster.x, 4), "y": round(cluster.y, 4), "n": cluster.n_files}
        for cluster in result.clusters
    ]
    return {"points": points, "clusters": clusters}


def map_card(result: MapResult, hits: SearchResult | None, downloads: DownloadRegistry, info: HostInfo) -> str:
    """The map. hits: what was found last, which is marked on it."""
    if not result.done or not result.points:
        return _unfinished(result, downloads, info)
    name = downloads.add_result(result)
    found = {hit.path for hit in hits.hits if hit.fit >= views.FITS} if hits is not None else set()
    lit = [n for n, point in enumerate(result.points) if point.path in found]
    tools = _button("in", "tool", "+") + _button("out", "tool", "−") + _button("whole", "tool", "⤢")
    lasso = _button("lasso", "tool", pressed=' aria-pressed="false"')
    item = (
        '<div class="map-item" hidden><img alt=""><p class="map-name"></p><p class="quiet number map-date"></p>'
        f'<p class="map-item-tools">{_button("like", "tool")}{_button("open", "tool")}</p>'
        f"{_button('close', 'map-close', '×')}</div>"
    )
    body = (
        f'<div class="map" data-map="{name}" data-lit="{json.dumps(lit)}"><div class="map-tools">{_legend(result)}'
        f'{tools}{lasso}</div><div class="map-frame"><canvas tabindex="0" role="application"></canvas>'
        f'<div class="map-tip" hidden></div>{item}</div><p class="unseen" aria-live="polite"></p>'
        f"{_clusters(result)}</div>{_about(result, 'ui.map.about')}"
    )
    return views.card_of(result, body, _foot(result, downloads, info))


def _button(do: str, style: str, sign: str = "", pressed: str = "") -> str:
    """A button of the map. sign: shown in place of its words, which are read out."""
    words = both(f"ui.map.{do}")
    shown = f'<span aria-hidden="true">{sign}</span><span class="unseen">{words}</span>' if sign else words
    return f'<button type="button" class="{style}" data-map-do="{do}"{pressed}>{shown}</button>'


def timeline(result: MapResult, downloads: DownloadRegistry, info: HostInfo) -> str:
    """The files by their dates: a bar for each day, month or year, and under it the files of each."""
    if not result.done or not result.points:
        return _unfinished(result, downloads, info)
    name = downloads.add_result(result)
    days = [_day(point.taken) for point in result.points]
    groups: dict[str, list[int]] = {key: [] for key in _periods(min(days), max(days))}
    length = len(next(iter(groups)))
    for n in sorted(range(len(days)), key=lambda n: result.points[n].taken):
        groups[days[n].isoformat()[:length]].append(n)
    most = max(map(len, groups.values()))
    bars = "".join(_bar(key, len(group), most) for key, group in groups.items())
    first, last = (_period(key) for key in (next(iter(groups)), next(reversed(groups))))
    ends = f'<p class="bar-ends quiet"><span>{first}</span>{f"<span>{last}</span>" if len(groups) > 1 else ""}</p>'
    sections = "".join(_section(result, name, key, group) for key, group in groups.items() if group)
    body = (
        f'<div class="timeline" data-map="{name}"><div class="bars-of">{bars}</div>{ends}'
        f'<div class="periods" tabindex="0" role="group">{sections}</div></div>{_about(result, "ui.map.dates")}'
    )
    return views.card_of(result, body, _foot(result, downloads, info))


def chosen(result: MapResult, numbers: Sequence[int], downloads: DownloadRegistry, info: HostInfo) -> str:
    """Some points of a map as cards, as the hits of a search are."""
    points = [result.points[n] for n in numbers]
    hits = [Hit(point.path, point.kind, 0.0, 1.0) for point in points[:N_CARDS]]
    more = f'<p class="quiet">{both("ui.map.more", n=len(points) - N_CARDS)}</p>' if len(points) > N_CARDS else ""
    body = f'<p class="hint">{both("ui.map.chosen", n=len(points))}</p>'
    body += f'<div class="cards">{views.cards(hits, downloads, (), with_fit=False)}</div>{more}'
    return views.card_of(result, body, _foot(replace(result, points=tuple(points)), downloads, info))


def _unfinished(result: MapResult, downloads: DownloadRegistry, info: HostInfo) -> str:
    if not result.done:
        return views.card_of(result, views.stage(result.progress), "")
    key = "ui.stopped.early" if result.end == "cancelled" else "ui.search.nothing"
    return views.card_of(result, views.nothing(key), views.foot(result, downloads, info))


def _foot(result: MapResult, downloads: DownloadRegistry, info: HostInfo) -> str:
    return views.foot(result, downloads, info, saves=("json", "csv"))


def _legend(result: MapResult) -> str:
    kinds = dict.fromkeys(theme.MODALITY_OF_KIND[point.kind] for point in result.points)
    shown = "".join(f"<span>{theme.mark(modality)} {both(f'ui.map.of.{modality}')}</span>" for modality in kinds)
    return f'<span class="map-legend quiet">{shown}</span>'


def _clusters(result: MapResult) -> str:
    members: dict[int, list[int]] = {}
    for n, point in enumerate(result.points):
        members.setdefault(point.cluster, []).append(n)
    buttons = "".join(
        f'<button type="button" class="chip" data-map-choose="{json.dumps(members[i])}">'
        f"{spans(cluster.en, cluster.zh) if cluster.en else both('ui.map.unnamed')} "
        f'<span class="number quiet">{cluster.n_files}</span></button>'
        for i, cluster in sorted(enumerate(result.clusters), key=lambda item: -item[1].n_files)
        if i in members
    )
    return f'<p class="map-clusters">{buttons}</p>'


def _about(result: MapResult, key: str) -> str:
    left_out = ""
    if result.n_files > len(result.points):
        left_out = " " + both("ui.map.drawn", n=len(result.points), all=result.n_files)
    return f'<p class="quiet map-about">{both(key)}{left_out}</p>'


def _bar(key: str, n: int, most: int) -> str:
    if not n:
        return '<span class="bar-of"></span>'
    said = f'<span class="unseen">{_period(key)}: {n}</span>'
    height = f'<i style="height:{100 * n / most:.0f}%"></i>'
    return f'<button type="button" class="bar-of" data-map-jump="{key}">{height}{said}</button>'


def _section(result: MapResult, name: str, key: str, numbers: Sequence[int]) -> str:
    pictures = "".join(
        f'<button type="button" class="sample" data-map-choose="[{n}]"><span class="sample-picture">'
        f'<img src="./studio/map/{name}/{n}" alt="" loading="lazy">{theme.kind_mark(result.points[n].kind)}</span>'
        f'<span class="sample-title">{html.escape(result.points[n].path.name)}</span></button>'
        for n in numbers
    )
    head = f'<h2>{_period(key)} <span class="number quiet">{len(numbers)}</span></h2>'
    return f'<section class="period" data-period="{key}">{head}<div class="wall">{pictures}</div></section>'


def _day(taken: str) -> date:
    """The day of a date and time; a camera may have written what is no date, which counts as the first of all."""
    try:
        return date.fromisoformat(taken[:10])
    except ValueError:
        return date(1970, 1, 1)


def _periods(begin: date, end: date) -> list[str]:
    """Every day, month or year from one date to another, as the first letters of a date."""
    n_months = 12 * (end.year - begin.year) + end.month - begin.month + 1
    if (end - begin).days < N_DAYS:
        return [(begin + timedelta(days=n)).isoformat() for n in range((end - begin).days + 1)]
    if n_months <= N_MONTHS:
        return list(_months(begin, n_months))
    return [f"{year:04}" for year in range(begin.year, end.year + 1)]


def _months(begin: date, n: int) -> Iterator[str]:
    for month in range(begin.month - 1, begin.month - 1 + n):
        yield f"{begin.year + month // 12:04}-{month % 12 + 1:02}"


def _period(key: str) -> str:
    """A day, month or year as people write it, in both languages."""
    form = ("year", "month", "day")[key.count("-")]
    year, month, day = map(int, f"{key}-1-1".split("-")[:3])
    names = (text("ui.date.months", language).split()[month - 1] for language in LANGUAGES)
    written = zip(LANGUAGES, names, strict=True)
    return spans(*(text(f"ui.date.{form}", at, year=year, month=name, day=day) for at, name in written))
