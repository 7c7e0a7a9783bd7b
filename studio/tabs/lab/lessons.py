"""The lessons of the lab: texts from `assets/lessons`, with the source that runs put where they ask for it.

A line `{{engines.model.fusion.SumFusion}}` becomes that class as it stands in its file now, folded, so that a lesson
cannot show code that no longer exists. Files are read, not imported: the page needs no torch for its lessons.
"""

from __future__ import annotations

import ast
import re
import textwrap
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from engines.paths import ASSETS

ROOT = Path(__file__).resolve().parents[3]
LESSONS = ASSETS / "lessons"
PLACE = re.compile(r"^\{\{([A-Za-z_][\w.]*)\}\}$", re.M)


@dataclass(frozen=True)
class Source:
    """A piece of this program. file: from its root; line: where the piece begins there."""

    name: str
    text: str
    file: str
    line: int


@cache
def lesson(experiment: str, language: str, folder: Path = LESSONS) -> str:
    """A lesson as Markdown, its code filled in; "" where there is none. Raises LookupError for a wrong placeholder."""
    file = folder / language / f"{experiment}.md"
    if not file.is_file():
        return ""
    return PLACE.sub(lambda found: _folded(source(found[1])), file.read_text(encoding="utf-8"))


def source(name: str) -> Source:
    """A class, function, method or constant by its full name. Raises LookupError where there is none."""
    parts = name.split(".")
    for n in range(len(parts) - 1, 0, -1):
        path = ROOT.joinpath(*parts[:n])
        file = next((each for each in (path.with_suffix(".py"), path / "__init__.py") if each.is_file()), None)
        if file is not None:
            return _within(name, parts[n:], file)
    raise LookupError(f"{name}: there is no such module")


def _within(name: str, inner: list[str], file: Path) -> Source:
    text, body = _parsed(file)
    found: ast.stmt | None = None
    for part in inner:
        found = next((node for node in body if part in _names(node)), None)
        if found is None:
            raise LookupError(f"{name}: {file.name} has no {part}")
        body = getattr(found, "body", [])
    assert found is not None, "a module alone is no piece"
    first = min(node.lineno for node in (found, *getattr(found, "decorator_list", ())))
    lines = text.splitlines()[first - 1 : found.end_lineno]
    return Source(".".join(inner), textwrap.dedent("\n".join(lines)), file.relative_to(ROOT).as_posix(), first)


@cache
def _parsed(file: Path) -> tuple[str, list[ast.stmt]]:
    """A module's text and statements; a lesson quotes several pieces of one."""
    text = file.read_text(encoding="utf-8")
    return text, ast.parse(text).body


def _names(node: ast.stmt) -> set[str]:
    if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        return {node.name}
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return {target.id for target in targets if isinstance(target, ast.Name)}


def _folded(piece: Source) -> str:
    return (
        f"<details><summary><code>{piece.name}</code> · {piece.file}:{piece.line}</summary>\n\n"
        f"```python\n{piece.text}\n```\n\n</details>"
    )
