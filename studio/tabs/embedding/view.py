"""Embeddings as HTML: points on a plane, and for each thing what lies nearest to it."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engines import HostInfo
from engines.lab.embedding import cosines, nearest, plane
from studio import theme, views
from studio.i18n import both, spans, text

N_NEAREST = 3


@dataclass(frozen=True)
class Thing:
    """What is embedded: its name in English and Chinese, its kind, and its vector (D,)."""

    names: tuple[str, str]
    kind: str
    vector: np.ndarray


def shown(things: Sequence[Thing], info: HostInfo, seconds: float) -> str:
    """The points, each joined to the nearest other, and the list of what is nearest to each."""
    likeness = cosines(np.stack([thing.vector for thing in things]))
    near = nearest(likeness, min(N_NEAREST, len(things) - 1))
    places, share = plane(likeness)
    n_numbers = len(things[0].vector)
    head = f'<p class="over number">{both("ui.embedding.head", n=len(things), numbers=n_numbers)}</p>'
    kept = f'<p class="quiet number">{both("ui.embedding.share", percent=views.percent(share))}</p>'
    rows = "".join(_row(things, likeness, near, n) for n in range(len(things)))
    table = (
        f'<table class="numbers embedding-list"><thead><tr><th>{both("ui.embedding.thing")}</th>'
        f"<th>{both('ui.embedding.nearest')}</th></tr></thead><tbody>{rows}</tbody></table>"
    )
    body = f'{head}{_map(things, places, near)}{kept}<div class="wide">{table}</div>'
    return views.result_card("done", body, views.status_line(views.facts(seconds, info)))


def _map(things: Sequence[Thing], places: np.ndarray, near: np.ndarray) -> str:
    span = max(float(np.ptp(places, axis=0).max()), 1e-6)
    at = 8.0 + 84.0 * (places - places.min(axis=0) + (span - np.ptp(places, axis=0)) / 2) / span  # percent
    lines = "".join(
        f'<line x1="{at[n, 0]:.1f}" y1="{at[n, 1]:.1f}" x2="{at[m, 0]:.1f}" y2="{at[m, 1]:.1f}"/>'
        for n, (m, *_) in enumerate(near)
    )
    points = "".join(
        f'<span class="embedding-point" style="--x:{x:.1f}%;top:{y:.1f}%">{theme.kind_mark(thing.kind)} '
        f"{spans(*thing.names)}</span>"
        for thing, (x, y) in zip(things, at, strict=True)
    )
    said = html.escape(" / ".join(text("ui.embedding.map", language) for language in ("en", "zh")))
    return (
        f'<div class="embedding-map" role="img" aria-label="{said}"><svg viewBox="0 0 100 100" '
        f'preserveAspectRatio="none" aria-hidden="true">{lines}</svg>{points}</div>'
    )


def _row(things: Sequence[Thing], likeness: np.ndarray, near: np.ndarray, n: int) -> str:
    found = ", ".join(f'{_named(things[m])} <span class="quiet">{likeness[n, m]:.2f}</span>' for m in map(int, near[n]))
    return f"<tr><td>{_named(things[n])}</td><td>{found}</td></tr>"


def _named(thing: Thing) -> str:
    return f"{theme.kind_mark(thing.kind)} {spans(*thing.names)}"
