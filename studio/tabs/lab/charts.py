"""Charts and maps of the Lab as SVG: pure functions from findings to markup.

Colours come from the style sheet, so that one drawing serves light and dark; curves differ in colour, dash and marker,
so that nothing depends on colour alone; text is in both languages, and the style sheet shows one. The colours besides
those of the modalities follow Okabe and Ito (2008), darkened for thin lines.
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from statistics import fmean

import numpy as np

from engines.lab import Chart, Curve, Dots, LabRequest, Map, Picture
from studio.i18n import LANGUAGES, both, knows
from studio.tabs.lab.terms import as_html, as_text, key_of, translated

VARIANT_DASHES = ("", "6 4", "2 3")
N_MARKED = 24
"""A curve with more points than this has a marker on every n-th."""
LABEL_GAP = 17.0
"""Distance between the names at the ends of curves."""
CROWDED = 200
"""A map with more dots than this has one label per class instead of one per dot."""
MAP_PX = 340.0
SHARES = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]


@dataclass(frozen=True)
class Look:
    """The style of a name wherever it is drawn. hue: a colour class of the style sheet; dash: stroke-dasharray."""

    hue: str
    marker: str
    dash: str = ""


MODALITY_LOOKS = {
    "picture": Look("picture", "circle"),
    "sound": Look("sound", "square", "7 3"),
    "text": Look("text", "triangle", "3 3"),
    "all": Look("all", "diamond", "9 3 2 3"),
}
MODALITY_LOOKS |= {
    "written": MODALITY_LOOKS["picture"],
    "spoken": MODALITY_LOOKS["sound"],
    "word": MODALITY_LOOKS["text"],
}
OTHER_LOOKS = (
    Look("slate", "ring", "2 3"),
    Look("orange", "fall"),
    Look("sky", "plus", "8 3"),
    Look("rose", "cross", "4 2"),
    Look("all", "diamond"),
    Look("ink", "box", "9 3 2 3"),
    Look("text", "triangle", "12 4"),
    Look("orange", "box", "2 3"),
    Look("sky", "ring"),
    Look("rose", "fall", "8 3"),
)


@dataclass(frozen=True)
class Size:
    """The size of a chart in SVG units. kind: its style class; right: room for the names of the curves."""

    kind: str
    width: float
    height: float
    right: float
    n_ticks: int

    @property
    def end(self) -> float:
        return self.width - self.right

    @property
    def foot(self) -> float:
        return self.height - BOTTOM


LEFT, TOP, BOTTOM = 44.0, 26.0, 42.0
"""Margins of a chart, for its axes."""
NARROW = Size("narrow", 360.0, 240.0, 14.0, 4)
LEAST_RIGHT, MOST_RIGHT = 90.0, 230.0


def wide(names: Iterable[str]) -> Size:
    """The size of a chart with a name at the end of each curve."""
    longest = max((text_width(translated(name, language)) for name in names for language in LANGUAGES), default=0.0)
    return Size("wide", 720.0, 250.0, min(MOST_RIGHT, max(LEAST_RIGHT, 44.0 + longest)), 6)


def text_width(text: str) -> float:
    """Approximate width of a name; Chinese characters are twice as wide as letters."""
    return sum(14.0 if ord(sign) > 0x2E7F else 7.3 for sign in text)


def looks_of(request: LabRequest, names: Iterable[str] = ()) -> dict[str, Look]:
    """The style of every name of a run: modalities as on the whole page, others by position among the request's words.

    So a curve keeps its style whatever else is drawn. names: further ones, in order; "digit: alone" has the colour and
    marker of "digit", and the dash of "alone".
    """
    known = [word for each in fields(request) for word in each.metadata.get("known", ())]
    found, others = dict(MODALITY_LOOKS), 0
    variants: dict[str, str] = {}
    for name in dict.fromkeys([*known, *names]):
        base, _, variant = name.partition(": ")
        if base not in found:
            found[base] = OTHER_LOOKS[others % len(OTHER_LOOKS)]
            others += 1
        if variant:
            dash = variants.setdefault(variant, VARIANT_DASHES[len(variants) % len(VARIANT_DASHES)])
            found[name] = replace(found[base], dash=dash)
    return found


# --- numbers ---------------------------------------------------------------------------------------------------------


def ticks(low: float, high: float, n: int = 5) -> list[float]:
    """About n round numbers from low to high; the last is not below high."""
    high = high if high > low else low + 1.0
    rough = (high - low) / n
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * size for size in (1.0, 2.0, 5.0, 10.0) if power * size >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(at * step, 10) for at in range(first, last + 1)]


def number(value: float, *, percent: bool = False) -> str:
    """A measured number as a person reads it: 93.2%, −0.027, 1,204."""
    if not math.isfinite(value):
        return "–"
    if percent:
        written = f"{round(100 * value, 1) + 0.0:.1f}%"  # + 0.0: no minus sign on zero
    elif float(value).is_integer():
        written = f"{value:,.0f}"
    else:
        written = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return written.replace("-", "−")


def _points(curve: Curve) -> list[tuple[float, float]]:
    return [(x, y) for x, y in zip(curve.x, curve.y, strict=False) if math.isfinite(x) and math.isfinite(y)]


# --- markers ---------------------------------------------------------------------------------------------------------


def marker(kind: str, x: float, y: float, r: float = 4.0) -> str:
    """One mark, in the colour of its group."""
    if kind in ("circle", "ring"):
        hollow = ' class="hollow"' if kind == "ring" else ""
        return f'<circle{hollow} cx="{x:.1f}" cy="{y:.1f}" r="{r:.1f}"/>'
    if kind in ("square", "box"):
        hollow, s = (' class="hollow"' if kind == "box" else ""), 0.9 * r
        return f'<rect{hollow} x="{x - s:.1f}" y="{y - s:.1f}" width="{2 * s:.1f}" height="{2 * s:.1f}"/>'
    if kind in ("plus", "cross"):
        arms = ((r, 0.0), (0.0, r)) if kind == "plus" else ((0.8 * r, 0.8 * r), (0.8 * r, -0.8 * r))
        path = "".join(f"M{x - dx:.1f} {y - dy:.1f}L{x + dx:.1f} {y + dy:.1f}" for dx, dy in arms)
        return f'<path class="stroke" d="{path}"/>'
    corners = {
        "triangle": ((0.0, -1.15), (1.1, 0.85), (-1.1, 0.85)),
        "fall": ((0.0, 1.15), (1.1, -0.85), (-1.1, -0.85)),
        "diamond": ((0.0, -1.3), (1.3, 0.0), (0.0, 1.3), (-1.3, 0.0)),
    }[kind]
    return f'<path d="M{"L".join(f"{x + r * dx:.1f} {y + r * dy:.1f}" for dx, dy in corners)}Z"/>'


def swatch(look: Look, *, is_line: bool = True) -> str:
    """A sample of a curve, or a mark of a map, for a legend or a row header."""
    line = f'<path class="curve" stroke-dasharray="{look.dash}" d="M1 8H31"/>' if is_line else ""
    kind, box = ("is-line", "0 0 32 16") if is_line else ("is-mark", "8 0 16 16")
    mark = line + marker(look.marker, 16, 8)
    return f'<svg class="swatch {kind} hue-{look.hue}" viewBox="{box}" aria-hidden="true">{mark}</svg>'


def legend(names: Sequence[str], looks: Mapping[str, Look], *, is_line: bool = True) -> str:
    """The names of what is drawn, each beside a sample of it."""
    items = "".join(f"<li>{swatch(looks[name], is_line=is_line)}{as_html(name)}</li>" for name in names)
    return f'<ul class="legend">{items}</ul>'


# --- charts ----------------------------------------------------------------------------------------------------------


def charts(drawn: Sequence[Chart], looks: Mapping[str, Look], *, n_steps: float = 0.0) -> str:
    """Charts below each other. n_steps: end of an axis of steps, so that it does not move while curves grow."""
    full = [each for each in drawn if any(_points(curve) for curve in each.curves)]
    size = wide(curve.name for each in full for curve in each.curves)
    return "".join(figure(each, looks, size, n_steps) for each in full)


def figure(drawn: Chart, looks: Mapping[str, Look], size: Size, n_steps: float = 0.0) -> str:
    """One chart in two sizes, with names or with a legend; the style sheet shows the one that fits."""
    key = key_of(drawn.key, "chart")
    title = f'<p class="over">{both(key)}</p>' if knows(key) else ""
    sizes = "".join(svg(drawn, looks, each, n_steps) for each in (size, NARROW))
    names = legend([curve.name for curve in drawn.curves], looks)
    return f'<figure class="plot">{title}{sizes}<figcaption>{names}</figcaption></figure>'


def sketch(names: Sequence[str], looks: Mapping[str, Look]) -> str:
    """A sketch of a chart before the first run: named curves without numbers."""
    size = wide(names)
    floor = f'<path class="rule is-zero" d="M{LEFT} {size.foot}H{size.end:g}"/>'
    curves, ends = "", []
    for n, name in enumerate(names):
        ys = [
            0.8 * (1.0 - math.exp(-step / (1.5 + 0.6 * n))) for step in range(13)
        ]  # made up, so no curve is above the others for long
        places = [(LEFT + (size.end - LEFT) * i / 12, size.foot - (size.foot - TOP) * y) for i, y in enumerate(ys)]
        curves += _line(looks[name], places, "".join(marker(looks[name].marker, x, y, 3.6) for x, y in places))
        ends.append((name, *places[-1]))
    body = floor + curves + _names(ends, looks, size)
    return f'<svg class="sketch" viewBox="0 0 {size.width:g} {size.height:g}" aria-hidden="true">{body}</svg>'


def svg(drawn: Chart, looks: Mapping[str, Look], size: Size, n_steps: float = 0.0) -> str:
    """Axes and curves of a chart."""
    points = [point for curve in drawn.curves for point in _points(curve)]
    xs, ys = [x for x, _ in points], [y for _, y in points]
    x_low, x_high = min(0.0, *xs), max(*xs, n_steps if drawn.x == "step" else 0.0, 1e-9)
    is_plain_share = drawn.percent and min(ys) >= 0.0
    y_ticks = SHARES if is_plain_share else ticks(min(0.0, *ys), max(*ys, 1.0 if drawn.percent else 0.0))
    y_low, y_high = y_ticks[0], max(y_ticks[-1], *ys)

    def across(x: float) -> float:
        return LEFT + (size.end - LEFT) * (x - x_low) / (x_high - x_low)

    def down(y: float) -> float:
        return TOP + (size.foot - TOP) * (1.0 - (y - y_low) / (y_high - y_low))

    x_ticks = [x for x in ticks(x_low, x_high, size.n_ticks) if x <= x_high * 1.001]
    body = _axes(drawn, size, [(across(x), x) for x in x_ticks], [(down(y), y) for y in y_ticks])
    ends = []
    for curve in drawn.curves:
        places = [(across(x), down(y)) for x, y in _points(curve)]
        if places:
            body += _curve(curve, looks[curve.name], places, percent=drawn.percent)
            ends.append((curve.name, *places[-1]))
    body += "" if size is NARROW else _names(ends, looks, size)
    return (
        f'<svg class="chart is-{size.kind}" viewBox="0 0 {size.width:g} {size.height:g}" role="img" '
        f'aria-label="{html.escape(description(drawn))}">{body}</svg>'
    )


def _axes(
    drawn: Chart, size: Size, x_ticks: Iterable[tuple[float, float]], y_ticks: Iterable[tuple[float, float]]
) -> str:
    """Grid lines and numbers at (position, value), and the names of the axes."""
    rules = "".join(
        f'<path class="rule{" is-zero" if value == 0 else ""}" d="M{LEFT} {y:.1f}H{size.end:g}"/>'
        f'<text class="tick" x="{LEFT - 7}" y="{y + 4:.1f}" text-anchor="end">'
        f"{number(100 * value if drawn.percent else value)}</text>"
        for y, value in y_ticks
    )
    rules += "".join(
        f'<path class="rule" d="M{x:.1f} {size.foot}v4"/>'
        f'<text class="tick" x="{x:.1f}" y="{size.foot + 18}" text-anchor="middle">{number(value)}</text>'
        for x, value in x_ticks
    )
    up, along = (as_html(name, tag="tspan") for name in (drawn.y, drawn.x))
    return (
        f'{rules}<text class="axis" x="0" y="13">{up}{" (%)" if drawn.percent else ""}</text>'
        f'<text class="axis" x="{size.end:g}" y="{size.foot + 36}" text-anchor="end">{along}</text>'
    )


def description(drawn: Chart) -> str:
    """A chart in words for screen readers: where each curve ends."""
    ends = ((curve, _points(curve)) for curve in drawn.curves)
    last = ", ".join(f"{as_text(c.name)} {number(p[-1][1], percent=drawn.percent)}" for c, p in ends if p)
    return f"{as_text(drawn.y)} ({as_text(drawn.x)}): {last}"


def _curve(curve: Curve, look: Look, places: Sequence[tuple[float, float]], *, percent: bool) -> str:
    every = max(1, math.ceil(len(places) / N_MARKED))
    marks = ""
    for n, ((x, y), (at, value)) in enumerate(zip(places, _points(curve), strict=True)):
        if n % every == 0 or n == len(places) - 1:
            title = f"{as_text(curve.name)}: {number(at)} → {number(value, percent=percent)}"
            marks += f"<g><title>{html.escape(title)}</title>{marker(look.marker, x, y, 3.6)}</g>"
    return _line(look, places, marks)


def _line(look: Look, places: Sequence[tuple[float, float]], marks: str) -> str:
    line = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
    return f'<g class="hue-{look.hue}"><path class="curve" stroke-dasharray="{look.dash}" d="M{line}"/>{marks}</g>'


def _names(ends: Sequence[tuple[str, float, float]], looks: Mapping[str, Look], size: Size) -> str:
    """Names at the ends of curves, moved apart where they would overlap."""
    rows = sorted(ends, key=lambda row: row[2])
    heights = spread([y for _, _, y in rows], LABEL_GAP, TOP, size.foot)
    x, drawn = size.end + 30, ""
    for (name, from_x, from_y), y in zip(rows, heights, strict=True):
        drawn += (
            f'<g class="hue-{looks[name].hue}">'
            f'<path class="leader" d="M{max(from_x, size.end) + 6:.1f} {from_y:.1f}L{x - 8:g} {y:.1f}"/>'
            f'{marker(looks[name].marker, x, y, 3.6)}<text class="end" x="{x + 9:g}" y="{y + 4:.1f}">'
            f"{as_html(name, tag='tspan')}</text></g>"
        )
    return drawn


def spread(places: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Move sorted positions apart to at least `gap`, each as little as possible, within low and high.

    Isotonic regression on the positions less the gaps before them: neighbours in the wrong order are averaged.
    """
    blocks: list[list[float]] = []  # positions less the gaps before them
    for n, place in enumerate(places):
        blocks.append([place - n * gap])
        while len(blocks) > 1 and fmean(blocks[-2]) > fmean(blocks[-1]):
            blocks[-2:] = [blocks[-2] + blocks[-1]]
    level = [fmean(block) for block in blocks for _ in block]
    room = max(low, high - gap * (len(places) - 1))
    return [min(max(low, place), room) + n * gap for n, place in enumerate(level)]


# --- maps ------------------------------------------------------------------------------------------------------------


def scatter(drawn: Map, looks: Mapping[str, Look], *, can_close: bool = False) -> str:
    """A map of an embedding space: a labelled mark per point, in the style of its group.

    can_close: each group carries its offset from the centre of all, so that the page can move it there.
    """
    groups = [group for group in drawn.groups if len(group.points)]
    if not groups:
        return ""
    places = np.concatenate([np.asarray(group.points, np.float64) for group in groups])
    places = places[np.isfinite(places).all(1)]
    if not len(places):
        return ""
    centre = (places.min(0) + places.max(0)) / 2
    reach = max(float((places.max(0) - places.min(0)).max()), 1e-9)
    scale = (MAP_PX - 44.0) / reach
    middle = (places.mean(0) - centre) * (scale, -scale)
    is_crowded = len(places) > CROWDED
    body = ""
    for group in groups:
        spots = (np.asarray(group.points, np.float64) - centre) * (scale, -scale) + MAP_PX / 2  # (n, 2) on the drawing
        dx, dy = middle + MAP_PX / 2 - spots[np.isfinite(spots).all(1)].mean(0)
        move = f' style="--dx:{dx:.1f}px;--dy:{dy:.1f}px"' if can_close else ""
        body += f'<g class="dots hue-{looks[group.name].hue}"{move}>{_dots(group, spots, looks, is_crowded)}</g>'
    kinds = ", ".join(f"{len(group.points)} {as_text(group.name)}" for group in groups)
    words = html.escape(f"{as_text(drawn.key)}: {kinds}")
    return (
        f'<figure class="plot map"><svg viewBox="0 0 {MAP_PX:g} {MAP_PX:g}" role="img" aria-label="{words}">{body}'
        f"</svg><figcaption>{as_html(drawn.key)}</figcaption></figure>"
    )


def _dots(group: Dots, spots: np.ndarray, looks: Mapping[str, Look], is_crowded: bool) -> str:
    kind = looks[group.name].marker
    places: dict[str, list[tuple[float, float]]] = {}  # of each label
    for (x, y), name in zip(spots, group.labels, strict=True):
        if math.isfinite(x) and math.isfinite(y):
            places.setdefault(name, []).append((x, y))
    if is_crowded:
        marks = "".join(marker(kind, x, y, 2.8) for own in places.values() for x, y in own)
        centres = {name: np.mean(own, 0) for name, own in places.items()}
        labels = "".join(_label("over-dots", name, x, y + 6) for name, (x, y) in centres.items())
        return f'<g class="faint">{marks}</g>{labels}'
    found = ""
    for name, own in places.items():
        title = f"<title>{html.escape(f'{as_text(group.name)}: {name}')}</title>"
        is_short = len(name) <= 2
        for x, y in own:
            label = _label("inside", name, x, y + 3.4) if is_short else _label("beside", name, x + 7, y + 3.4)
            found += f"<g>{title}{marker(kind, x, y, 7.5 if is_short else 4.5)}{label}</g>"
    return found


def _label(kind: str, name: str, x: float, y: float) -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}">{html.escape(name)}</text>'


# --- decision maps ---------------------------------------------------------------------------------------------------


def decision_map(drawn: Picture, asked: tuple[float, float]) -> str:
    """The share of right decisions over the noise in the picture (across) and in the sound (up), 0 to 1 on both axes.

    asked: the noise of the run, whose cell is outlined.
    """
    cells = np.nan_to_num(np.asarray(drawn.pixels, np.float32)).clip(0.0, 1.0)
    rows, columns = cells.shape
    side, left = 34.0, 30.0
    at = round((1.0 - asked[1]) * (rows - 1)), round(asked[0] * (columns - 1))
    body = ""
    for i, row in enumerate(cells):
        for j, share in enumerate(row):
            x, y = left + side * j, side * i
            kind = f"{' is-asked' if (i, j) == at else ''}{' is-dark' if share > 0.55 else ''}"
            body += (
                f'<g class="cell{kind}"><rect x="{x:g}" y="{y:g}" width="{side - 2:g}" height="{side - 2:g}" rx="3" '
                f'fill-opacity="{share:.2f}"/><text x="{x + side / 2 - 1:g}" y="{y + side / 2 + 3:g}">'
                f"{100 * share:.0f}</text></g>"
            )
    width, height = left + side * columns, side * rows
    for x, level in ((left + side / 2, 0), (width - side / 2, 1)):
        body += f'<text class="tick" x="{x:g}" y="{height + 14:g}">{level}</text>'
    for y, level in ((side / 2 + 4, 1), (height - side / 2 + 4, 0)):
        body += f'<text class="tick" x="{left - 9:g}" y="{y:g}">{level}</text>'
    body += (
        f'<text class="axis" x="{(left + width) / 2:g}" y="{height + 15:g}">{as_html("picture", tag="tspan")}</text>'
        f'<text class="axis" x="{-height / 2:g}" y="14" transform="rotate(-90)">{as_html("sound", tag="tspan")}</text>'
    )
    clean, noisiest = (number(float(share), percent=True) for share in (cells[-1, 0], cells[0, -1]))
    words = f"{as_text(drawn.name)}: {clean} → {noisiest}"
    return (
        f'<figure class="plot decision-map"><svg viewBox="0 0 {width:g} {height + 20:g}" role="img" '
        f'aria-label="{html.escape(words)}">{body}</svg><figcaption>{as_html(drawn.name)}</figcaption></figure>'
    )
