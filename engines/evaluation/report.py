"""The table of all rows, and `evaluation.json`: `about` the run, then a row a key."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from engines.evaluation.harness import Harness, Row, Rows
from engines.paths import write_whole

LIBRARIES = ("torch", "numpy", "av", "pillow", "sentencepiece", "sacrebleu", "transformers")


def table(rows: Rows) -> str:
    """The rows, aligned, by key; skipped ones with their reasons."""
    lines = [("key", "value", "", "n", "95 %", "note")]
    for key, row in sorted(rows.items()):
        lines.append((key, *_cells(row)))
    widths = [max(len(line[i]) for line in lines) for i in range(5)]
    return "\n".join(_line(line, widths) for line in lines)


def _cells(row: Row) -> tuple[str, str, str, str, str]:
    if row.value is None:
        return "skipped", "", "", "", row.skipped
    digits = 3 if row.unit in ("s", "") else 1
    interval = "" if row.interval is None else f"{row.interval[0]:.1f} to {row.interval[1]:.1f}"
    return f"{row.value:.{digits}f}", row.unit, str(row.n), interval, row.note


def _line(cells: Iterable[str], widths: list[int]) -> str:
    key, value, unit, n, interval, note = cells
    k, v, u, c, i = widths
    return f"{key:<{k}}  {value:>{v}} {unit:<{u}}  {n:>{c}}  {interval:<{i}}  {note}".rstrip()


def about(harness: Harness, seconds: dict[str, float]) -> dict[str, Any]:
    """What was measured, with what, where and when. seconds: what each suite took."""
    info = harness.host.info
    return {
        "host": info.name,
        "model_digest": info.model_digest,
        "n_parameters": info.n_parameters,
        "device": info.device,
        "dtype": info.dtype,
        "arithmetic": info.arithmetic,
        "split": harness.split,
        "limit": harness.limit,
        "seed": harness.seed,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": _cpu(),
        "versions": {"python": platform.python_version(), **_versions()},
        "seconds": {name: round(value, 1) for name, value in seconds.items()},
    }


def _versions() -> dict[str, str]:
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue  # an extra that is not installed
    return found


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def write(file: Path, description: dict[str, Any], rows: Rows) -> None:
    """Writes evaluation.json, keys sorted; an interrupted write leaves the old file."""
    content = {"about": description} | {key: row.plain() for key, row in rows.items()}
    write_whole(file, (json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode())


def earlier(file: Path | None, harness: Harness) -> tuple[Rows, dict[str, float]]:
    """Rows and seconds of an earlier run of the same model on the same split and limit; nothing for any other."""
    if file is None:
        return {}, {}
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        description = content.pop("about")
        known = (description["model_digest"], description["split"], description["limit"])
        rows = {key: _row(plain) for key, plain in content.items()}
        seconds = dict(description["seconds"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}, {}  # no such file, or not one of ours: it will be overwritten
    if known != (harness.host.info.model_digest, harness.split, harness.limit):
        return {}, {}
    return rows, seconds


def _row(plain: dict[str, Any]) -> Row:
    if plain["value"] is None:
        return Row(None, skipped=plain["skipped"])
    interval = tuple(plain["interval"]) if "interval" in plain else None
    return Row(plain["value"], plain["n"], plain["unit"], interval, plain.get("note", ""))
