"""Files as tiles, and the places where they are dropped or chosen, as HTML."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path

from studio.i18n import both
from studio.registry import DownloadRegistry
from studio.views import tool

N_TILES = 60
"""Uploaded files that are shown."""


def own_files(files: Sequence[Path], downloads: DownloadRegistry, n_lost: int = 0, first: int = 0) -> str:
    """Uploaded files as tiles that can be taken out, a page of them, the one of the `first`, and places to drop or
    choose more. n_lost: files that could not be taken."""
    first = max(0, min(first, len(files) - 1)) // N_TILES * N_TILES
    shown = [(file, downloads.add_file(file)) for file in files[first : first + N_TILES]]
    tiles = "".join(
        tile(file, key, out="ui.files.out", first=first, under=html.escape(file.name)) for file, key in shown
    )
    count = ""
    if files:
        which, pages = "", ""
        if len(files) > N_TILES:
            which = f" {both('ui.files.shown', first=first + 1, last=first + len(shown))}"
            pages += tool(both("ui.files.before"), page=first - N_TILES) if first else ""
            pages += tool(both("ui.files.after"), page=first + N_TILES) if first + N_TILES < len(files) else ""
        sure = f"<p>{both('ui.files.sure')} {tool(both('ui.files.clear.go'), clear='')}</p>"
        sure = f'<details class="sure"><summary class="tool">{both("ui.files.clear")}</summary>{sure}</details>'
        count = f'<p class="over number">{both("ui.files.count", n=len(files))}{which}</p>'
        count += f'<div class="own-tools">{pages}{sure}</div>'
    lost = f'<p class="row-note">{both("ui.files.lost", n=n_lost)}</p>' if n_lost > 0 else ""
    return f'{count}<div class="tiles">{tiles}</div>{places()}{lost}'


def places() -> str:
    """Where files are dropped or chosen, and where a folder is."""
    both_ways = (("ui.files.add", ""), ("ui.files.folder", " webkitdirectory"))
    shown = "".join(place(f"<span>{both(key)}</span>", attribute) for key, attribute in both_ways)
    return f'<div class="places">{shown}<span class="quiet number" data-taking aria-live="polite"></span></div>'


def tile(
    file: Path, file_id: str, *, alt: str = "", inside: str = "", out: str = "", first: int = 0, under: str = ""
) -> str:
    """A thumbnail of a registered file. inside: HTML upon it; out: the key of the text on a button that takes the file
    out; first: the number of the first file shown, which a click on that tells; under: HTML below it."""
    name = html.escape(file.name)
    away = ""
    if out:
        words = f'×<span class="unseen">{both(out)} {name}</span>'
        away = f'<button type="button" class="tile-out" data-out="{file_id}" data-first="{first}">{words}</button>'
    picture = f'<img src="./studio/thumb/{file_id}" alt="{html.escape(alt)}" loading="lazy">'
    below = f"<figcaption>{under}</figcaption>" if under else ""
    shown = f'<div class="tile-picture">{picture}{inside}{away}</div>{below}'
    return f'<figure class="tile" title="{name}">{shown}</figure>'


def place(words: str, attributes: str = "") -> str:
    """An area to drop files on, or to click. words: HTML; attributes: further ones of its file input."""
    return f'<label class="place"><input type="file" multiple{attributes}><i aria-hidden="true">+</i>{words}</label>'
