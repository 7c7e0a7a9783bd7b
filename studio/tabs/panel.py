"""The frame of the working tabs: input left, result right, samples under the input."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gradio as gr

from engines import Request, RequestError
from studio import file_tiles, stream
from studio.components import FILES, MISSING, MediaInput, kind_of, wire_samples
from studio.file_queue import N_FILES, FileQueue
from studio.state import AppState, Sample
from studio.uploads import uploaded


@dataclass(frozen=True)
class Panel:
    """The widgets of one tab. extras: its own inputs, in the order its request builder takes them; queries: suggested
    texts."""

    tab: str
    media: MediaInput
    extras: tuple[gr.Component, ...]
    samples: gr.HTML
    run: gr.Button
    stop: gr.Button
    result: gr.HTML
    subtitle: gr.HTML
    queries: gr.HTML | None = None

    @property
    def inputs(self) -> list[gr.Component]:
        return [*self.media.inputs, *self.extras]


def wire_panel(
    state: AppState,
    panel: Panel,
    job: stream.Job,
    *,
    submit: Sequence[gr.Textbox] = (),
    on_pick: Callable[[Sample, str], dict[gr.Component, Any]] | None = None,
    suggest: Callable[[str], dict[gr.Component, Any]] | None = None,
) -> None:
    """Attach Run, Stop, Enter in the text inputs, and samples that load and run at one click.

    on_pick: (sample, language of the page) → further updates that go with a sample. suggest: the updates for a
    suggested text of the panel that is tapped, before it runs.
    """
    panel.media.wire()
    files, own = panel.media.parts.get(FILES), _dropped(state, panel.tab)
    if isinstance(files, gr.HTML):
        wire_own_files(state, files, own)
    job = replace(job, build=_each_file(panel.media, job.build, own.files))

    def fill(sample: Sample, language: str) -> dict[gr.Component, Any]:
        return panel.media.show_sample(sample) | (on_pick(sample, language) if on_pick is not None else {})

    picked = wire_samples(state, panel.samples, fill, panel.inputs)
    triggers = [panel.run.click, *(box.submit for box in submit), picked.success]
    if panel.queries is not None and suggest is not None:

        def fill_in(event: gr.EventData) -> dict[gr.Component, Any]:
            return suggest(str(event.text))

        triggers.append(panel.queries.query(fill_in, None, panel.inputs, **stream.QUICK).success)
    for trigger in triggers:
        stream.wire_run(state, job, trigger, panel.inputs, panel)
    stream.wire_stop(state, panel.tab, panel.stop)


@dataclass(frozen=True)
class OwnFiles:
    """The files that a person brought to an input that takes many, by session.

    files: all of them. add: some more; how many of these there was no room for. remove: one of them, None all.
    """

    files: Callable[[str], Sequence[Path]]
    add: Callable[[str, Sequence[Path]], int]
    remove: Callable[[str, Path | None], None]


def _dropped(state: AppState, tab: str) -> OwnFiles:
    """The files in a tab's input that takes many."""

    def place(session: str) -> str:
        return f"{state.browsers.owner(session)} {tab}"

    def files(session: str) -> tuple[Path, ...]:
        return state.dropped.get(place(session)) or ()

    def add(session: str, given: Sequence[Path]) -> int:
        found = tuple(dict.fromkeys((*files(session), *given)))
        state.dropped.put(place(session), found[:N_FILES])
        return max(0, len(found) - N_FILES)

    def remove(session: str, out: Path | None) -> None:
        state.dropped.put(place(session), tuple(file for file in files(session) if out is not None and file != out))

    return OwnFiles(files, add, remove)


def found_again(state: AppState, panel: Panel, session: str) -> dict[Any, Any]:
    """Updates that show a page just opened the files dropped in a tab before it was loaded anew."""
    place, own = panel.media.parts.get(FILES), _dropped(state, panel.tab)
    files = [file for file in own.files(session) if file.is_file()]
    return {place: gr.update(value=file_tiles.own_files(files, state.downloads))} if files else {}


def wire_own_files(state: AppState, place: gr.HTML, own: OwnFiles) -> None:
    """Let a person add files and folders, take out one or all, and page through many."""

    def shown(session: str, n_lost: int = 0, first: Any = 0) -> str:
        first = int(first) if str(first).isdecimal() else 0
        return file_tiles.own_files(own.files(session), state.downloads, n_lost, first)

    def bring(event: gr.EventData, request: gr.Request) -> str:
        session = stream.session_of(request)
        with stream.toast(request):
            given = [uploaded(path) for path in event.files]
            n_lost = own.add(session, given) if given else 0
        return shown(session, int(event.given) - len(given) + n_lost)

    def take(event: gr.EventData, request: gr.Request) -> str:
        session, file = stream.session_of(request), state.downloads.file(str(event.out))
        if file is not None:
            own.remove(session, file)
        return shown(session, first=event.first)

    def turn(event: gr.EventData, request: gr.Request) -> str:
        return shown(stream.session_of(request), first=event.page)

    def empty(request: gr.Request) -> str:
        session = stream.session_of(request)
        own.remove(session, None)
        return shown(session)

    for trigger, act in ((place.bring, bring), (place.take, take), (place.turn, turn), (place.empty, empty)):
        trigger(act, None, place, **stream.QUICK)


def _each_file(
    media: MediaInput,
    build: Callable[..., Sequence[Request] | FileQueue],
    files_of: Callable[[str], Sequence[Path]],
) -> Callable[..., Sequence[Request] | FileQueue]:
    """A builder that also takes several files: a queue of what `build` makes of each in the input of its kind.
    files_of: the files that a session dropped."""

    def built(session: str, language: str, kind: str, *values: Any) -> Sequence[Request] | FileQueue:
        given = dict(zip(media.parts, values, strict=False))
        files, extras = files_of(session), values[len(media.parts) :]
        given.pop(FILES, None)
        if kind != FILES:
            return build(session, language, kind, *given.values(), *extras)
        if not files:
            raise MISSING[FILES]

        def requests(path: Path) -> Sequence[Request]:
            own = kind_of(path)
            if own not in given:
                name = path.name
                raise RequestError("wrong_kind", "{name} is of a kind that this tab does not take.", name=name)
            asked = build(session, language, own, *(str(path) if name == own else None for name in given), *extras)
            assert not isinstance(asked, FileQueue)
            return asked

        return FileQueue(tuple(files), requests)

    return built
