"""The card of a model that training exports: how it was made, what from, on what, and under which terms."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from engines.model import checkpoint
from engines.training.recipes import Recipe

WRITTEN = "Written by `engines.training.train`."
"""Ends a card of ours; any other one is somebody's work and stays."""
OWN_LICENCE = "terms of its data (see CARD.md)"
"""Of a model that started from no finished one."""


def licence(starts: Iterable[Path]) -> str:
    """The licences of the model folders among these, which carry over to what is trained on from them."""
    carried = dict.fromkeys(_about(path)["licence"] for path in starts if path.is_dir())
    return "; ".join(text for text in carried if text) or OWN_LICENCE


def card(recipe: Recipe, n_steps: int, starts: Sequence[Path], public: Sequence[str], data: Path, folder: Path) -> str:
    """The card's text; that of `folder` where somebody else wrote one. public: public weights it started from."""
    path = folder / checkpoint.CARD_FILE
    if path.is_file() and WRITTEN not in (held := path.read_text(encoding="utf-8")):
        return held
    began = [_start(path) for path in starts] + [f"* {name}" for name in public]
    lists = [f"* `{part}/`: {', '.join(names)}" for part, names in _lists(data).items()]
    return "\n".join(
        [
            f"# {folder.name}",
            "",
            f"Trained by the recipe `{recipe.name}`, {n_steps:,} steps; the running mean of its weights.",
            "",
            "## What it started from",
            "",
            *(began or ["* nothing"]),
            "",
            "## What it was trained on",
            "",
            f"Tasks: {', '.join(recipe.tasks)}. The lists of the folder of data:",
            "",
            *lists,
            "",
            f"Licence: {licence(starts)}. The terms of the data carry over to the weights; `docs/data.md` has them.",
            "",
            "## What it measures",
            "",
            "Run `python -m engines.evaluation`.",
            "",
            WRITTEN,
            "",
        ]
    )


def _about(folder: Path) -> dict[str, str]:
    """Name, licence and digest of a model folder, whose weights have been read."""
    try:
        config = json.loads((folder / checkpoint.CONFIG_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        config = {}
    return {key: str(config.get(key, "")) for key in ("name", "licence", "weights_sha256")}


def _start(path: Path) -> str:
    if not path.is_dir():
        return f"* an earlier stage, `{path.parent.name}/{path.name}`"
    about = _about(path)
    return f"* the model {about['name'] or path.name}, weights {about['weights_sha256'][:12]}: {about['licence']}"


def _lists(data: Path) -> dict[str, list[str]]:
    """The names of the lists in each part of the data."""
    found = {part.name: part for part in sorted(data.iterdir()) if part.is_dir()}
    suffixes = (".jsonl.gz", ".jsonl", ".tsv.gz", ".tsv")
    names = {
        name: [p.name for p in sorted(part.iterdir()) if p.name.endswith(suffixes)] for name, part in found.items()
    }
    return {name: lists for name, lists in names.items() if lists}
