"""Tables as text for a terminal and as Markdown; the same table of several seeds merged into one."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

import numpy as np

from engines.lab.findings import Cell, Table


def cell(value: Cell, column: str, spread: float | None = None) -> str:
    """A cell as text: shares in percent, counts as whole numbers, others with three digits; "-" for None.

    spread: in the same unit, shown after ±.
    """
    if value is None:
        return "-"
    if isinstance(value, str):
        return value
    if column.endswith(" %"):
        shown, spread = f"{100.0 * value:.1f}", None if spread is None else 100.0 * spread
    elif isinstance(value, int):
        shown, spread = f"{value:,}", spread or None
    else:
        shown = f"{value:.1f}" if abs(value) >= 10.0 else f"{value:.2f}"
    if spread is None:
        return shown
    return (
        f"{shown} ± {spread:.1f}" if "." in shown and len(shown.partition(".")[2]) == 1 else f"{shown} ± {spread:.2f}"
    )


def over_seeds(tables: Sequence[Table]) -> Table:
    """Merge the same table of several seeds: each number becomes "mean ± standard deviation" (n - 1).

    Rows are matched by their first cell, in the order of the first table.
    """
    first = tables[0]
    held = [{row[0]: row for row in table.rows} for table in tables]
    rows: list[tuple[Cell, ...]] = []
    for row in first.rows:
        whole = [by_name[row[0]] for by_name in held if row[0] in by_name]
        cells = [_joined([other[n] for other in whole], first.columns[n]) for n in range(1, len(row))]
        rows.append((row[0], *cells))
    return Table(first.key, first.columns, tuple(rows))


def _joined(values: Sequence[Cell], column: str) -> Cell:
    numbers = [value for value in values if isinstance(value, int | float)]
    if len(numbers) < len(values):  # words, or nothing: the same for every seed, or not to be averaged
        return values[0] if len(set(values)) == 1 else None
    mean = float(np.mean(numbers))
    if all(isinstance(value, int) for value in numbers) and len(set(numbers)) == 1:
        return cell(int(mean), column)
    return cell(mean, column, float(np.std(numbers, ddof=1)) if len(numbers) > 1 else None)


def text(table: Table) -> str:
    """A table in aligned columns for a terminal."""
    rows = [_named(table), *([cell(v, c) for v, c in zip(row, table.columns, strict=True)] for row in table.rows)]
    widths = [max(map(_width, column)) for column in zip_longest(*rows, fillvalue="")]
    lines = []
    for row in rows:
        head = row[0] + " " * (widths[0] - _width(row[0]))
        rest = [" " * (width - _width(part)) + part for part, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join([head, *rest]).rstrip())
    return "\n".join([table.key.upper(), *lines])


def markdown(table: Table) -> str:
    """A table in Markdown."""
    rows = [[cell(v, c).replace("|", "\\|") for v, c in zip(row, table.columns, strict=True)] for row in table.rows]
    rule = ["---", *["---:"] * (len(table.columns) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (_named(table), rule, *rows))


def _named(table: Table) -> list[str]:
    """The column headers; shares say that they are in percent."""
    return [column.replace(" %", ", %") for column in table.columns]


def _width(part: str) -> int:
    """Columns on a terminal: a Chinese character takes two."""
    return sum(2 if ord(sign) > 0x2E7F else 1 for sign in part)
