"""Search in a folder of this computer: its path is typed, or found by walking through the folders, one level at a time;
a switch has what changes in it indexed while the studio runs.

For the owner alone: where others can reach the page none of this is built.
"""

from __future__ import annotations

import html
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import gradio as gr

from engines import Result, UserError
from studio import components, folders, stream, views
from studio.collections import FOLDER, CollectionRef
from studio.folders import Level
from studio.i18n import both, label, sentence
from studio.state import AppState
from studio.tabs.search.watches import FolderWatch, Seen

SEEN_JS = "element.setAttribute('role', 'status');"
"""A screen reader reads out what a watch has seen when it changes."""
UPDATE_JS = "(on) => { if (on) document.querySelector('#search-update').click(); }"
"""A folder that one begins to watch is indexed at once, where one sees it and can stop it."""
TICK_S = 2.0

Note: TypeAlias = Callable[[Result], None]


@dataclass(frozen=True)
class FolderChoice:
    """The widgets. field: the folder's path; levels: the folders in it, with the event `go`; watch: whether it is
    watched; seen: what the watch has seen; tick: asks for that while it is watched; group: holds them."""

    field: gr.Dropdown
    levels: gr.HTML
    watch: gr.Checkbox
    seen: gr.HTML
    tick: gr.Timer
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
        watch = gr.Checkbox(
            False,
            label=label("ui.search.watch"),
            info=label("ui.search.watch.hint"),
            elem_id="search-watch",
            elem_classes="choice",
            interactive=True,
        )
        seen = components.html("search-watched", script=SEEN_JS)
        tick = gr.Timer(TICK_S, active=False)
    return FolderChoice(field, levels, watch, seen, tick, group)


def wire(
    state: AppState, choice: FolderChoice, place: gr.Radio, holds: Callable[[CollectionRef], bool], note: Note
) -> None:
    """Attach the events: the list shows what lies in the folder of the field, a click on a folder fills the field, the
    switch begins and ends watching it. place: where is searched; holds: whether a collection was indexed as a whole by
    the model that searches; note: is told of each finished indexing."""

    def watched(typed: str | None) -> dict[Any, Any]:
        watch = watch_of(state, typed)
        return {
            choice.watch: watch is not None,
            choice.seen: "" if watch is None else seen_html(watch.seen),
            choice.tick: gr.update(active=watch is not None),
        }

    def show(place: str, typed: str | None) -> dict[Any, Any]:
        if place != FOLDER:
            return {choice.group: gr.update(visible=False), choice.tick: gr.update(active=False)}
        known = gr.update(choices=_known(state))
        return {
            choice.group: gr.update(visible=True),
            choice.field: known,
            choice.levels: level_of(typed),
            **watched(typed),
        }

    def follow(typed: str | None) -> dict[Any, Any]:
        return {choice.levels: level_of(typed), **watched(typed)}

    def go(typed: str | None, event: gr.EventData) -> dict[Any, Any]:
        try:
            found = folders.level(folders.existing_folder(str(event.folder)))
        except UserError as error:  # one stays where one is
            return {choice.levels: level_of(typed, error)}
        chosen = str(found.folder)
        return {choice.field: chosen, choice.levels: level_html(found), **watched(chosen)}

    def turn(on: bool, typed: str | None) -> dict[Any, Any]:
        try:
            collection = state.collections.folder(typed or "")
        except UserError as error:
            return {**watched(None), choice.seen: _problem(error)}
        folder = collection.folder
        if on:
            begin = partial(FolderWatch, collection, state.host, partial(holds, collection), note, stream.as_user_error)
            state.watches.add(folder, begin)
        else:
            state.watches.remove(folder)
        return watched(typed)

    def look(typed: str | None) -> str:
        watch = watch_of(state, typed)
        return "" if watch is None else seen_html(watch.seen)

    seen = [choice.watch, choice.seen, choice.tick]
    place.input(show, [place, choice.field], [choice.group, choice.field, choice.levels, *seen], **stream.QUICK)
    choice.field.input(follow, choice.field, [choice.levels, *seen], **stream.QUICK)
    choice.levels.go(go, choice.field, [choice.field, choice.levels, *seen], **stream.QUICK)
    turned = choice.watch.input(turn, [choice.watch, choice.field], seen, **stream.QUICK)
    turned.success(None, choice.watch, None, js=UPDATE_JS)
    choice.tick.tick(look, choice.field, choice.seen, **stream.QUICK)


def watch_of(state: AppState, typed: str | None) -> FolderWatch | None:
    """The watch of the folder in the field, None if it is not watched."""
    try:
        return state.watches.of(folders.existing_folder(typed).resolve())
    except UserError:
        return None


def seen_html(seen: Seen) -> str:
    """What the watch of a folder has seen, in a sentence or two."""
    if seen.problem is not None:
        return _problem(seen.problem)
    if not seen.is_there:
        return f'<p class="row-note">{both("ui.watch.gone")}</p>'
    if seen.is_reading:
        return f'<p class="quiet">{both("ui.watch.reading")}</p>'
    if seen.last is None or seen.at is None:
        return f'<p class="quiet">{both("ui.watch.nothing")}</p>'
    found = seen.last
    said = both("ui.watch.last", at=f"{seen.at:%H:%M}", added=found.n_added, gone=found.n_removed, rows=found.n_rows)
    return f'<p class="quiet">{said}</p>{views.failures(found.failures, 20)}'


def _known(state: AppState) -> list[tuple[str, str]]:
    """Folders searched before, as choices; none for visitors."""
    return [(name, name) for name in ([] if state.shared else state.collections.folders())]


def _problem(error: UserError) -> str:
    return f'<p class="problem" role="alert">{sentence(error)}</p>'


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
    told = "" if problem is None else _problem(problem)
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
