"""Search in a folder of this computer: its path is typed, or found by walking through the folders, one level at a time.

For the owner alone: where others can reach the page none of this is built.
"""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import Any

import gradio as gr

from engines import UserError
from studio import components, folders, stream
from studio.collections import FOLDER
from studio.folders import Level
from studio.i18n import both, label, sentence
from studio.state import AppState


@dataclass(frozen=True)
class FolderChoice:
    """The widgets. field: the folder's path; levels: the folders in it, with the event `go`; group: holds them."""

    field: gr.Dropdown
    levels: gr.HTML
    group: gr.Column


def create_ui(state: AppState) -> FolderChoice:
    """Lay out the choice of a folder, hidden at first."""
    with gr.Column(visible=False, elem_id="search-folder-choice") as group:
        field = components.dropdown(
            "search-folder",
            "ui.search.folder",
            _known(state),
            None,
            filterable=True,
            allow_custom_value=True,
            info=label("ui.search.folder.hint"),
        )
        levels = components.html("search-folders", script=components.javascript("folders.js"))
    return FolderChoice(field, levels, group)


def wire(state: AppState, choice: FolderChoice, place: gr.Radio) -> None:
    """Attach the events: the list shows what lies in the folder of the field, a click on a folder fills the field.
    place: where is searched."""

    def show(place: str, typed: str | None) -> tuple[Any, Any, Any]:
        if place != FOLDER:
            return gr.update(visible=False), gr.skip(), gr.skip()
        return gr.update(visible=True), gr.update(choices=_known(state)), level_of(typed)

    def go(typed: str | None, event: gr.EventData) -> tuple[Any, str]:
        try:
            found = folders.level(folders.existing_folder(str(event.folder)))
        except UserError as error:  # one stays where one is
            return gr.skip(), level_of(typed, error)
        return str(found.folder), level_html(found)

    place.input(show, [place, choice.field], [choice.group, choice.field, choice.levels], **stream.QUICK)
    choice.field.input(level_of, choice.field, choice.levels, **stream.QUICK)
    choice.levels.go(go, choice.field, [choice.field, choice.levels], **stream.QUICK)


def _known(state: AppState) -> list[tuple[str, str]]:
    """Folders searched before, as choices; none for visitors."""
    return [(name, name) for name in ([] if state.shared else state.collections.folders())]


def level_of(typed: str | None, problem: UserError | None = None) -> str:
    """The folders in a folder as HTML, in the owner's home where none is typed or it cannot be shown. problem: what to
    say above them."""
    home = folders.home()
    try:
        level = folders.level(folders.existing_folder(typed) if (typed or "").strip() else home)
    except UserError as error:
        problem = problem or error
        try:
            level = folders.level(home)
        except UserError:
            level = Level(home)
    return level_html(level, problem)


def level_html(level: Level, problem: UserError | None = None) -> str:
    """A folder as HTML: where it is, the way up and home, the folders in it; a click on a [data-go] leads there."""
    told = "" if problem is None else f'<p class="problem" role="alert">{sentence(problem)}</p>'
    counted = both("ui.folders.count", folders=len(level.folders) + level.n_more + level.n_unnamed, files=level.n_files)
    up = [] if level.parent is None else [(level.parent, both("ui.folders.up"), "folder folder-up")]
    rows = up + [(path, html.escape(path.name), "folder") for path in level.folders]
    listed = "".join(
        f'<li><button type="button" class="{kind}" tabindex="{0 if n == 0 else -1}" data-go="{html.escape(str(path))}">'
        f"{name}</button></li>"
        for n, (path, name, kind) in enumerate(rows)
    )
    notes = [both("ui.folders.more", n=level.n_more)] if level.n_more else []
    notes += [both("ui.folders.unnamed", n=level.n_unnamed)] if level.n_unnamed else []
    starts = [(folders.home(), both("ui.folders.home")), *((path, str(path)) for path in folders.drives())]
    buttons = "".join(
        f'<button type="button" class="chip" data-go="{html.escape(str(path))}">{name}</button>'
        for path, name in starts
        if path != level.folder
    )
    return (
        f'{told}<div class="folder-head"><p class="folder-at" tabindex="-1"><b>{html.escape(str(level.folder))}</b> '
        f'<span class="quiet number">{counted}</span></p><p>{buttons}</p></div><ul class="folder-list">{listed}</ul>'
        + "".join(f'<p class="row-note">{note}</p>' for note in notes)
    )
