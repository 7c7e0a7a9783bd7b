"""Search: find media by words, photo, sound or clip, in the samples, uploaded files, or a folder of this computer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from engines import KINDS, HostInfo, IndexRequest, Request, Result, SearchRequest, UserError
from studio import components, file_tiles, stream, views
from studio.collections import FOLDER, SAMPLES, UPLOADS, CollectionRef
from studio.components import CLIP, PHOTO, SOUND, TEXT, MediaInput
from studio.followed import FollowedRun
from studio.i18n import both, label, page_language
from studio.registry import N_SESSIONS
from studio.state import AppState
from studio.stream import Job, RunPlace
from studio.tabs.panel import OwnFiles, Panel, wire_own_files, wire_panel
from studio.tabs.search import folder as search_folder
from studio.tabs.search.folder import FolderChoice
from studio.tabs.search.map import LIST, WAYS, MapWiring, ShownBy, wire_map

TAB = "search"
N_HITS = 12
N_UPLOADS = 500
"""Files taken at once."""


def build(
    media: MediaInput,
    collection: CollectionRef,
    kind: str,
    text: str | None,
    photo: str | None,
    sound: str | None,
    clip: str | None,
    kinds: Sequence[str],
    n_hits: float,
    *,
    is_fresh: bool,
) -> tuple[Request, ...]:
    """Update the collection's index unless that was just done, then search it. Raises RequestError."""
    search = SearchRequest(
        query=media.chosen(kind, text, photo, sound, clip),
        collection=collection.file,
        kinds=collection.kinds_among(kinds),
        k=int(n_hits),
    )
    return (search,) if is_fresh else (IndexRequest(folder=collection.folder, collection=collection.file), search)


class IndexedBy:
    """Collections indexed since the start, and by which model: files rarely change between two searches.

    Vectors of one model mean nothing to another, so a change of model needs a new index.
    """

    def __init__(self) -> None:
        self._digests: dict[Path | str, str] = {}

    def holds(self, collection: CollectionRef, info: HostInfo) -> bool:
        """Whether a collection was indexed by this model already."""
        return self._digests.get(collection.file) == info.model_digest

    def note(self, result: Result) -> None:
        """Remember what was just indexed."""
        if result.end != "cancelled" and isinstance(result.request, SearchRequest | IndexRequest):
            self._digests[result.request.collection] = result.model_digest


@dataclass(frozen=True)
class Search:
    """The widgets of the tab. place: where is searched; update: updates a collection's index without a search; how:
    list, map or timeline; files: uploaded ones; folder: which folder of this computer."""

    panel: Panel
    place: gr.Radio
    update: gr.Button
    how: gr.Radio
    files: gr.HTML
    folder: FolderChoice


def create_ui(state: AppState) -> Search:
    """Lay out the tab: at first the result side is a wall of what the samples' collection holds."""
    components.html("lead", f'<p class="lead">{both("ui.lead")}</p>')
    subtitle = components.subtitle(state, TAB)
    with gr.Row(elem_classes="split"):
        with gr.Column(scale=5, elem_classes="split-input"):
            media = components.media_input(TAB, (TEXT, PHOTO, SOUND, CLIP), text_key="ui.search.text", n_lines=1)
            queries = components.queries("search-queries", [f"ui.search.try.{n}" for n in (1, 2, 3)])
            with gr.Row(elem_classes="actions"):
                run, stop = components.run_stop(TAB)
            places = (SAMPLES, UPLOADS) if state.shared else (SAMPLES, UPLOADS, FOLDER)
            offered = components.choices("ui.search.place.", places)
            place = components.radio("search-place", "ui.search.place", offered, SAMPLES)
            none = file_tiles.own_files([], state.downloads)
            files = components.files("search-files", none, most=N_UPLOADS, visible=False)
            folder = search_folder.create_ui(state)
            update = components.button("search-update", "ui.search.update", visible=False)
            with gr.Accordion(label("ui.options"), open=False, elem_classes="options"):
                every = components.choices("ui.kind.", KINDS)
                kinds = components.checkboxes("search-kinds", "ui.search.kinds", every, value=list(KINDS))
                n_hits = components.slider("search-hits", "ui.search.hits", 4, 60, N_HITS, step=4, elem_classes=[])
        with gr.Column(scale=7, elem_classes="split-result"):
            how = components.segments("search-how", "ui.map.view", components.choices("ui.map.view.", WAYS), LIST)
            result = components.result_card(TAB, views.wall(state.samples))
    extras = (kinds, n_hits, place, folder.field)
    panel = Panel(TAB, media, extras, result, run, stop, result, subtitle, queries)
    return Search(panel, place, update, how, files, folder)


def wire(state: AppState, page: Search) -> None:
    """Attach the events."""
    panel = page.panel
    box, queries = panel.media.parts[TEXT], panel.queries
    assert isinstance(box, gr.Textbox) and queries is not None
    *_, place, folder = panel.extras
    indexed, shown_by, how = IndexedBy(), ShownBy(N_SESSIONS), page.how

    def collection_for(session: str, place: str, folder: str | None) -> CollectionRef:
        if place == FOLDER and not state.shared:
            return state.collections.folder(folder or "")
        if place == UPLOADS:
            return state.collections.uploads(session, [])
        return state.collections.samples(state.host.serving(SearchRequest).info.model_digest)

    def requests(session: str, _language: str, *values: Any) -> Sequence[Request]:
        *query, place, folder = values
        collection = collection_for(session, place, folder)
        return build(panel.media, collection, *query, is_fresh=is_read(collection))

    def refresh(session: str, _language: str, place: str, folder: str | None) -> Any:
        collection = collection_for(session, place, folder)
        return (IndexRequest(folder=collection.folder, collection=collection.file),)

    def note(session: str, result: Result) -> None:
        indexed.note(result)
        shown_by.note(session, result)

    job = Job(TAB, requests, finish=note)
    wire_panel(state, panel, job, submit=[box], suggest=lambda text: panel.media.show(TEXT, text))
    stream.wire_run(state, Job(TAB, refresh, finish=note), page.update.click, (place, folder), panel)

    def back() -> tuple[str, str]:
        return views.wall(state.samples), LIST

    panel.result.wall(back, None, [panel.result, how], **stream.QUICK)
    for trigger in (panel.run.click, box.submit, queries.query, panel.result.pick, page.update.click):
        trigger(lambda: LIST, None, how, **stream.QUICK)

    def is_ready(session: str, place: str, folder: str | None) -> bool:
        """Whether a search needs no indexing that one would have to wait for."""
        if place == UPLOADS or (place == FOLDER and not folder):
            return False
        try:
            collection = collection_for(session, place, folder)
        except UserError:
            return False
        is_shipped = place == SAMPLES and collection.file.exists()
        return is_shipped or holds(collection)

    def search_typed(request: gr.Request, *values: Any) -> Iterator[dict[Any, Any]]:
        """Search while a person types, without a card that says so; the samples come back with an empty box."""
        kind, text, (place, folder) = values[0], values[1], values[-2:]
        session, language = stream.session_of(request), page_language(request)
        if kind == TEXT and not (text or "").strip():
            for key in (TAB, stream.typing_key(TAB)):
                state.running.supersede(session, key)
            yield from stream.updates([(views.wall(state.samples), False)], panel)
        elif kind == TEXT and is_ready(session, place, folder):
            frames = stream.answer(state, job, session, language, values, is_typed=True)
            finished = (frame for frame in frames if not frame[1])
            for update in stream.updates(finished, panel):
                yield {**update, how: LIST} if panel.run in update else update
        else:
            yield from stream.updates([], panel)

    box.input(
        search_typed,
        panel.inputs,
        [panel.result, panel.run, panel.stop, how],
        trigger_mode="always_last",
        **stream.UNPROCESSED,
        **stream.MODEL,
        **stream.PRIVATE,
    )

    def holds(collection: CollectionRef) -> bool:
        """Whether the model that searches has indexed a collection since the start."""
        return indexed.holds(collection, state.host.serving(SearchRequest).info)

    def is_read(collection: CollectionRef) -> bool:
        """Whether a collection need not be brought up to date before it is shown."""
        return holds(collection) and collection.name != UPLOADS

    wire_map(MapWiring(state, panel, how, shown_by, collection_for, is_read, job))

    def show(place: str) -> tuple[Any, ...]:
        return tuple(gr.update(visible=seen) for seen in _seen(place))

    place.input(show, place, [page.files, page.update], **stream.QUICK)
    if not state.shared:
        search_folder.wire(state, page.folder, place, holds, lambda result: note("", result))
    wire_own_files(state, page.files, _own_files(state))


def run_place(page: Search) -> RunPlace:
    """Where a run is shown again after a reload."""

    def show(frames: stream.Frames, run: FollowedRun, _session: str) -> Iterator[dict[Any, Any]]:
        yield {page.how: run.about or LIST}
        yield from stream.updates(frames, page.panel)

    return RunPlace(TAB, [page.how, page.panel.result, page.panel.run, page.panel.stop], show)


def found_again(state: AppState, page: Search, session: str, chosen: str) -> dict[Any, Any]:
    """Updates that show a page just opened the files uploaded before it was loaded anew. chosen: where was searched."""
    files = state.collections.uploaded(session)
    if not files:
        return {}
    shown: dict[Any, Any] = {page.files: gr.update(value=file_tiles.own_files(files, state.downloads))}
    if chosen == UPLOADS:
        are_seen, is_updated = _seen(UPLOADS)
        shown[page.files]["visible"] = are_seen
        shown |= {page.place: UPLOADS, page.update: gr.update(visible=is_updated)}
    return shown


def _seen(place: str) -> tuple[bool, bool]:
    """Whether a place to search in shows the uploaded files, and the button that brings it up to date."""
    return place == UPLOADS, place != SAMPLES


def _own_files(state: AppState) -> OwnFiles:
    """The uploaded files that are searched in."""

    def add(session: str, given: Sequence[Path]) -> int:
        state.collections.uploads(session, given[:N_UPLOADS])
        return max(0, len(given) - N_UPLOADS)

    def remove(session: str, file: Path | None) -> None:
        if file is None:
            state.collections.remove_uploads(session)
        else:
            state.collections.remove_upload(session, file)

    return OwnFiles(state.collections.uploaded, add, remove)
