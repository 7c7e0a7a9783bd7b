"""Search as a map and a timeline: the collection is drawn, points are chosen, and what is like one is searched for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import gradio as gr

from engines import (
    IndexRequest,
    IndexResult,
    MapRequest,
    MapResult,
    Request,
    RequestError,
    Result,
    SearchResult,
    UserError,
)
from engines.media import load_text
from studio import cards, stream, views
from studio.collections import CollectionRef
from studio.components import TEXT
from studio.registry import Registry
from studio.state import AppState
from studio.stream import Job
from studio.tabs.panel import Panel
from studio.tabs.search import map_view

N_LETTERS = 500
"""Of a text that is searched for as a file."""
WAYS = LIST, MAP, TIME = "list", "map", "time"
"""Ways to show a collection."""


@dataclass(frozen=True)
class Shown:
    """What a page shows: the hits found last, and the map drawn last."""

    hits: SearchResult | None = None
    map: MapResult | None = None


class ShownBy(Registry[Shown]):
    """What each open page shows, by its session."""

    def of(self, session: str) -> Shown:
        return self.get(session) or Shown()

    def note(self, session: str, result: Result) -> None:
        """Remember a finished result. A collection that changed has no map any more."""
        if isinstance(result, SearchResult):
            self.put(session, replace(self.of(session), hits=result))
        elif isinstance(result, MapResult) and result.end == "finished":
            self.put(session, replace(self.of(session), map=result))
        elif isinstance(result, IndexResult) and isinstance(result.request, IndexRequest):
            of = result.request.collection
            for page, shown in self.items():
                if shown.map is not None and getattr(shown.map.request, "collection", None) == of:
                    self.replace(page, replace(shown, map=None))


@dataclass(frozen=True)
class MapWiring:
    """What a map needs of the tab. how: list, map or timeline; shown_by: what each page shows; collection_for:
    (session, place, folder) → the collection; is_read: whether it can be drawn at once; search: the
    search of the tab."""

    state: AppState
    panel: Panel
    how: gr.Radio
    shown_by: ShownBy
    collection_for: Callable[..., CollectionRef]
    is_read: Callable[[CollectionRef], bool]
    search: Job

    def requests(self, session: str, values: Sequence[Any]) -> tuple[Request, ...]:
        """Bring the collection up to date if that is needed, and draw it."""
        kinds, _n_hits, place, folder = values[-4:]
        collection = self.collection_for(session, place, folder)
        draw = MapRequest(collection=collection.file, kinds=collection.kinds_among(kinds))
        if self.is_read(collection):
            return (draw,)
        return IndexRequest(folder=collection.folder, collection=collection.file), draw

    def card(self, session: str, how: str, result: Result) -> str:
        if not isinstance(result, MapResult):
            return cards.card(self.state, result)
        info = self.state.info_of(result)
        if how == TIME:
            return map_view.timeline(result, self.state.downloads, info)
        return map_view.map_card(result, self.shown_by.of(session).hits, self.state.downloads, info)

    def frames(self, session: str, language: str, how: str, *values: Any) -> stream.Frames:
        """The hits, or a map of the collection: the one drawn last if it is still of the same files."""
        shown = self.shown_by.of(session)
        if how == LIST:
            self.state.running.supersede(session, self.search.tab)
            hits = shown.hits
            return iter([(views.wall(self.state.samples) if hits is None else cards.card(self.state, hits), False)])
        if shown.map is not None and self._is_current(session, shown.map, values):
            return iter([(self.card(session, how, shown.map), False)])
        job = replace(
            self.search,
            build=lambda session, _language, *given: self.requests(session, given),
            view=lambda session, result: self.card(session, how, result),
        )
        frames = stream.answer(self.state, job, session, language, values)
        return stream.begin(self.state, session, job.tab, frames, about=how)

    def _is_current(self, session: str, drawn: MapResult, values: Sequence[Any]) -> bool:
        try:
            return self.requests(session, [stream.widget_value(value) for value in values]) == (drawn.request,)
        except UserError:  # which the run says
            return False

    def touched(self, event: gr.EventData, numbers: Sequence[Any]) -> tuple[MapResult, list[int]]:
        """The map that a person touched, and the points of it. Raises RequestError."""
        result = self.state.downloads.result(str(event.map))
        if not isinstance(result, MapResult):
            raise RequestError("map_gone", "This map is gone; draw it again.")
        return result, [n for n in numbers if isinstance(n, int) and 0 <= n < len(result.points)]

    def input_of(self, result: MapResult, n: int) -> dict[gr.Component, Any]:
        """Updates that put a file of the map into its input. Raises UserError where it cannot be read any longer."""
        path, media = result.points[n].path, self.panel.media
        if result.points[n].kind == TEXT:
            return media.show(TEXT, load_text(path)[:N_LETTERS])
        return media.show(*media.lend(path))


def wire_map(map_: MapWiring) -> None:
    """Attach the events."""
    state, panel, how = map_.state, map_.panel, map_.how

    stream.wire_frames([how.input], map_.frames, [how, *panel.inputs], panel)

    def choose(event: gr.EventData, request: gr.Request) -> tuple[str, str]:
        with stream.toast(request):
            result, numbers = map_.touched(event, event.points)
            return map_view.chosen(result, numbers, state.downloads, state.info_of(result)), LIST

    panel.result.choose(choose, None, [panel.result, how], **stream.QUICK)

    def ask_for_like(event: gr.EventData, request: gr.Request) -> dict[Any, Any]:
        updates: dict[Any, Any] = {how: LIST}
        with stream.toast(request):
            result, numbers = map_.touched(event, [event.point])
            for n in numbers:
                updates |= map_.input_of(result, n)
        return updates

    asked = panel.result.like(ask_for_like, None, [*panel.media.inputs, how], **stream.QUICK)
    stream.wire_run(state, map_.search, asked.success, panel.inputs, panel)
