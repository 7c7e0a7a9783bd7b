"""The frame of the working tabs: input left, result right, samples under the input."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gradio as gr

from engines import Request, RequestError
from studio import stream, views
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
    files = panel.media.parts.get(FILES)
    if isinstance(files, gr.HTML):
        _wire_files(state, panel.tab, files)

    def files_of(session: str) -> Sequence[Path]:
        return state.dropped.get(_place(session, panel.tab)) or ()

    job = replace(job, build=_each_file(panel.media, job.build, files_of))

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


def _place(session: str, tab: str) -> str:
    """The key of the files that were dropped in a tab of a page."""
    return f"{session} {tab}"


def _wire_files(state: AppState, tab: str, place: gr.HTML) -> None:
    """Let a person add files and folders to the input that takes many, and take them out, one by one or all."""

    def shown(request: gr.Request, change: Callable[[tuple[Path, ...]], Sequence[Path]], n_lost: int = 0) -> str:
        key = _place(stream.session_of(request), tab)
        files = tuple(dict.fromkeys(change(state.dropped.get(key) or ())))
        kept = state.dropped.put(key, files[:N_FILES])
        return views.own_files(kept, state.downloads, n_lost + len(files) - len(kept), clear=True)

    def bring(event: gr.EventData, request: gr.Request) -> str:
        with stream.toast(request):
            given = [uploaded(path) for path in event.files]
        return shown(request, lambda files: (*files, *given), int(event.given) - len(given))

    def take(event: gr.EventData, request: gr.Request) -> str:
        out = state.downloads.file(str(event.out))
        return shown(request, lambda files: [file for file in files if file != out])

    def away(request: gr.Request) -> str:
        return shown(request, lambda _files: ())

    for event, act in ((place.bring, bring), (place.take, take), (place.away, away)):
        event(act, None, place, **stream.QUICK)


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
