"""Teach it: define labels by a few photos or sounds each, and recognise new files by them.

Left, a row per label with its examples; right, the files to recognise and the results. Dropped files stay in place
whatever fails; a label set that was taught is saved in the `LabelStore`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from engines.lab.fewshot import MAX_EXAMPLES, MAX_LABELS, MIN_LABELS, tidy
from studio import components, stream
from studio.followed import FollowedRun
from studio.i18n import label, page_language, text
from studio.state import AppState
from studio.stream import RunPlace
from studio.tabs.teach import view
from studio.tabs.teach.label_store import Draft, UploadedFile
from studio.tabs.teach.logic import TAB, inspect, open_set, recognise_files, spread_lines, teach_rows
from studio.uploads import uploaded

NEW = "new"
"""The recording is to be recognised; it is not an example."""
SAMPLE_KINDS = ("clip", "photo", "sound")
EXAMPLE = ("dog.jpg", "horses.jpg", "coffee.jpg")
"""Samples that fill the rows of the built-in example; some sample clips show the same things."""

N_BURST = 8
"""Photos that are taken at one press, in two seconds, so that what is held up can be turned meanwhile."""


@dataclass(frozen=True)
class Row:
    """The widgets of one label: its name and its examples."""

    frame: gr.Column
    label: gr.Textbox
    tiles: gr.HTML


@dataclass(frozen=True)
class Teach:
    """The widgets of the panel. burst: takes several photos at one press. asking: visible once a set is active. halt:
    stops the recognition."""

    sets: gr.HTML
    name: gr.Textbox
    rows: tuple[Row, ...]
    more: gr.Button
    example: gr.Button
    target: gr.Radio
    camera: gr.Image
    burst: gr.HTML
    microphone: gr.Audio
    run: gr.Button
    stop: gr.Button
    asking: gr.Column
    drop: gr.HTML
    samples: gr.HTML
    halt: gr.Button
    result: gr.HTML

    @property
    def labels(self) -> list[gr.Textbox]:
        return [row.label for row in self.rows]

    @property
    def draft_parts(self) -> list[Any]:
        """What shows the draft."""
        return [*(part for row in self.rows for part in (row.frame, row.label, row.tiles)), self.more, self.target]

    @property
    def running(self) -> list[Any]:
        """What a run updates."""
        return [self.result, self.run, self.stop, self.halt, self.sets, self.asking]

    def show_draft(self, draft: Draft, typed: Sequence[str | None]) -> dict[Any, Any]:
        """Updates that show the draft. typed: the labels."""
        draft.labels = tuple(each or "" for each in typed)
        updates: dict[Any, Any] = {
            self.more: gr.update(interactive=draft.n_rows < MAX_LABELS),
            self.target: gr.update(choices=_targets(draft.n_rows)),
        }
        for n, row in enumerate(self.rows):
            updates |= {row.frame: gr.update(visible=n < draft.n_rows), row.tiles: view.tiles(draft.row(n))}
            updates[row.label] = typed[n] if n < len(typed) else ""
        return updates

    def show_sets(self, state: AppState, session: str) -> dict[Any, Any]:
        """Updates that show the saved sets, and the recognition side if one is active."""
        used = state.label_store.draft(session).active
        shown = view.sets(state.label_store.sets(session).entries(), used)
        return {self.sets: shown, self.asking: gr.update(visible=bool(used))}

    def begin(self, frames: stream.Frames, state: AppState, session: str, stop: gr.Button) -> Iterator[dict[Any, Any]]:
        """Begin a run that survives a reload of its page, and show it. stop: its Stop button, visible meanwhile."""
        about = NEW if stop is self.halt else ""
        yield from self.show_frames(stream.begin(state, session, TAB, frames, about), state, session, stop)

    def show_frames(
        self, frames: stream.Frames, state: AppState, session: str, stop: gr.Button
    ) -> Iterator[dict[Any, Any]]:
        """Updates that show a run. stop: its Stop button, visible meanwhile."""
        for shown, goes_on in frames:
            stops = {each: gr.update(visible=goes_on and each is stop) for each in (self.stop, self.halt)}
            run = gr.update(interactive=not goes_on or stop is not self.stop)
            yield {self.result: shown, self.run: run, **stops, **({} if goes_on else self.show_sets(state, session))}


# --- the page --------------------------------------------------------------------------------------------------------


def create_ui(state: AppState) -> Teach:
    """Lay out the panel."""
    with gr.Row(elem_classes="split", elem_id="teach"):
        with gr.Column(scale=5, elem_classes="split-input"):
            components.question_of(TAB, "ui.teach.ask")
            sets = components.html("teach-sets", script=components.javascript("label_sets.js"))
            name = components.textbox(
                "teach-name", "ui.teach.name", placeholder=label("ui.teach.name.hint"), max_lines=1
            )
            rows = tuple(_row(n) for n in range(MAX_LABELS))
            with gr.Row(elem_classes="more-row"):
                more = components.button("teach-more", "ui.teach.more", min_width=120)
                there = bool(_examples(state))
                example = components.button("teach-example", "ui.teach.example", min_width=120, visible=there)
            target, camera, burst, microphone = _recorder()
            with gr.Row(elem_classes="actions"):
                run, stop = components.run_stop(TAB)
        with gr.Column(scale=7, elem_classes="split-result"):
            with gr.Column(visible=False, elem_id="teach-asking") as seen:
                drop = components.files("teach-drop", view.drop_area("ui.teach.drop.new"), most=MAX_EXAMPLES)
                shown = [each for kind in SAMPLE_KINDS for each in state.samples if each.kind == kind]
                samples = components.samples(TAB, shown)
                halt = components.button("teach-halt", "ui.stop", elem_classes="stop", visible=False, scale=0)
            result = components.result_card(TAB, view.empty())
    return Teach(
        sets, name, rows, more, example, target, camera, burst, microphone, run, stop, seen, drop, samples, halt, result
    )


def _row(n: int) -> Row:
    with gr.Column(visible=n < MIN_LABELS, elem_id=f"teach-row-{n + 1}", elem_classes="label-row") as frame:
        sizes = {"lines": 1, "max_lines": 2}  # a field of one line would join the lines that are pasted into it
        box = components.bare_textbox(
            f"teach-label-{n + 1}", "ui.teach.label", elem_classes="field label-name", **sizes
        )
        tiles = components.files(f"teach-tiles-{n + 1}", view.tiles(()), most=MAX_EXAMPLES)
    return Row(frame, box, tiles)


def _recorder() -> tuple[gr.Radio, gr.Image, gr.HTML, gr.Audio]:
    with gr.Accordion(label("ui.teach.record"), open=False, elem_id="teach-record", elem_classes="options"):
        target = components.radio("teach-target", "ui.teach.target", _targets(MIN_LABELS), "1")
        with gr.Row(elem_classes="pair"):
            common: dict[str, Any] = {"type": "filepath", "buttons": [], "min_width": 180, "interactive": True}
            camera = gr.Image(
                sources=["webcam"], label=label("ui.teach.camera"), height=200, elem_id="teach-camera", **common
            )
            microphone = gr.Audio(
                sources=["microphone"], label=label("ui.teach.microphone"), elem_id="teach-microphone", **common
            )
        burst = components.html(
            "teach-burst", view.burst(N_BURST), script=components.javascript("burst.js").replace("MOST", str(N_BURST))
        )
    return target, camera, burst, microphone


def _targets(n_rows: int) -> list[tuple[Any, str]]:
    """Where a recording goes: to a label, by its number, or to recognition."""
    return [*((str(n + 1), str(n + 1)) for n in range(n_rows)), (label("ui.teach.target.new"), NEW)]


def _examples(state: AppState) -> list[Path]:
    """The files of the built-in example, one per label; none without the samples."""
    known = {sample.path.name: sample.path for sample in state.samples}
    return [known[name] for name in EXAMPLE] if known.keys() >= set(EXAMPLE) else []


# --- what happens ----------------------------------------------------------------------------------------------------

SLOW: dict[str, Any] = {**stream.MODEL, **stream.PRIVATE}
EACH: dict[str, Any] = {"trigger_mode": "multiple"}
"""Files dropped while others are handled must not be lost."""


def wire(state: AppState, page: Teach) -> None:
    """Attach the events."""
    _wire_rows(state, page)
    _wire_sets(state, page)
    _wire_recorder(state, page)

    def act_teach(request: gr.Request, name: str, *typed: str) -> Iterator[dict[Any, Any]]:
        session, draft = stream.session_of(request), draft_of(state, request)
        draft.name, draft.labels = name or "", tuple(each or "" for each in typed)
        yield from page.begin(teach_rows(state, session, name, typed), state, session, page.stop)

    def act_name(event: gr.EventData, request: gr.Request) -> Iterator[dict[Any, Any]]:
        session = stream.session_of(request)
        with stream.toast(request):
            frames = recognise_files(state, session, *uploaded_files(state, event))
        yield from page.begin(frames, state, session, page.halt)

    def act_sample(event: gr.EventData, request: gr.Request) -> Iterator[dict[Any, Any]]:
        session = stream.session_of(request)
        path = state.sample(event.sample).path
        yield from page.begin(recognise_files(state, session, [inspect(state, path)]), state, session, page.halt)

    page.run.click(act_teach, [page.name, *page.labels], page.running, **SLOW)
    page.drop.bring(act_name, None, page.running, **EACH, **SLOW)
    page.samples.pick(act_sample, None, page.running, **EACH, **SLOW)
    stream.wire_stop(state, TAB, page.stop)
    stream.wire_stop(state, TAB, page.halt)


def run_place(state: AppState, page: Teach) -> RunPlace:
    """Where a run is shown again after a reload."""

    def show(frames: stream.Frames, run: FollowedRun, session: str) -> Iterator[dict[Any, Any]]:
        yield from page.show_frames(frames, state, session, page.halt if run.about == NEW else page.stop)

    return RunPlace(TAB, page.running, show)


def found_again(state: AppState, page: Teach, session: str) -> dict[Any, Any]:
    """Updates that show a page just opened the saved sets, and what was being collected before it was loaded anew."""
    draft = state.label_store.draft(session)
    shown = {page.name: draft.name, **page.show_draft(draft, draft.labels)} if draft.is_begun else {}
    return {**shown, **page.show_sets(state, session)}


def _wire_rows(state: AppState, page: Teach) -> None:
    """Rows: adding and removing them, pasting several lines, adding and removing files."""

    def add(request: gr.Request, *typed: str) -> dict[Any, Any]:
        draft = draft_of(state, request)
        draft.show_rows(draft.n_rows + 1)
        return page.show_draft(draft, typed)

    def part(request: gr.Request, *typed: str) -> dict[Any, Any]:
        draft = draft_of(state, request)
        if not any("\n" in (each or "") for each in typed):
            draft.labels = tuple(each or "" for each in typed)
            return {page.more: gr.skip()}
        return page.show_draft(draft, spread_lines(draft, typed))

    def fill(request: gr.Request, name: str, *typed: str) -> dict[Any, Any]:
        language, draft, put = page_language(request), draft_of(state, request), list(typed)
        free = [n for n in range(MAX_LABELS) if not typed[n] and not draft.row(n)]
        for n, (i, path) in zip(free, enumerate(_examples(state), 1), strict=False):
            draft.add(n, [inspect(state, Path(components.lend(path, page.drop)))])
            draft.show_rows(n + 1)
            put[n] = text(f"ui.teach.example.{i}", language)
        return {**page.show_draft(draft, put), page.name: name or text("ui.teach.example.name", language)}

    page.more.click(add, page.labels, page.draft_parts, **stream.QUICK)
    page.example.click(fill, [page.name, *page.labels], [page.name, *page.draft_parts], **stream.QUICK)
    for n, row in enumerate(page.rows):
        row.label.blur(part, page.labels, page.draft_parts, **stream.QUICK)
        _wire_row(state, page, n)


def _wire_row(state: AppState, page: Teach, n: int) -> None:
    """The n-th row: files are added and taken out, and the row is removed."""

    def bring(event: gr.EventData, request: gr.Request) -> str:
        draft = draft_of(state, request)
        with stream.toast(request):
            files, n_lost = uploaded_files(state, event)
            n_lost += draft.add(n, files)
        return view.tiles(draft.row(n), n_lost)

    def take(event: gr.EventData, request: gr.Request) -> str:
        draft = draft_of(state, request)
        draft.remove_file(n, str(event.out))
        return view.tiles(draft.row(n))

    def remove(request: gr.Request, *typed: str) -> dict[Any, Any]:
        draft = draft_of(state, request)
        draft.remove_row(n)
        return page.show_draft(draft, [*typed[:n], *typed[n + 1 :]])

    tiles = page.rows[n].tiles
    tiles.bring(bring, None, tiles, **EACH, **stream.QUICK)
    tiles.take(take, None, tiles, **EACH, **stream.QUICK)
    tiles.away(remove, page.labels, page.draft_parts, **stream.QUICK)


def _wire_sets(state: AppState, page: Teach) -> None:
    """Saved sets: open, rename, delete."""

    def act(event: gr.EventData, request: gr.Request) -> dict[Any, Any]:
        session, name, updates = stream.session_of(request), str(event.name), dict[Any, Any]()
        draft = state.label_store.draft(session)
        with stream.toast(request):
            if event.act == "open" and draft.is_unsaved:
                return {page.sets: view.sets(state.label_store.sets(session).entries(), draft.active, asked=name)}
            if event.act in ("open", "replace"):
                state.running.stop(session, TAB)
                shown, typed = open_set(state, session, name, lambda path: components.lend(path, page.drop))
                updates = {page.result: shown, page.name: name, **page.show_draft(draft, typed)}
            elif event.act == "rename":
                state.label_store.sets(session).rename(name, str(event.to))
                if name == draft.active:
                    draft.active = tidy(str(event.to))
                    updates = {page.name: draft.active}
            elif event.act == "delete":
                state.label_store.sets(session).delete(name)
                if name == draft.active:
                    draft.active = ""
        return {**updates, **page.show_sets(state, session)}

    page.sets.act(act, None, [page.result, page.name, page.sets, page.asking, *page.draft_parts], **stream.QUICK)


def _wire_recorder(state: AppState, page: Teach) -> None:
    """A recording becomes an example of the chosen label, or is recognised."""
    recorders: list[Any] = [page.camera, page.microphone]

    def act_record(request: gr.Request, target: str, *values: Any) -> Iterator[dict[Any, Any]]:
        session, ready = stream.session_of(request), dict.fromkeys(recorders)
        with stream.toast(request):
            files = [inspect(state, Path(path)) for path in map(stream.widget_value, values) if path is not None]
        if not files:
            yield {page.more: gr.skip()}
        for updates in taken(session, target, files) if files else ():
            yield {**updates, **ready}

    def act_burst(event: gr.EventData, request: gr.Request, target: str) -> Iterator[dict[Any, Any]]:
        with stream.toast(request):
            files, n_lost = uploaded_files(state, event)
        yield from taken(stream.session_of(request), target, files, n_lost)

    def taken(session: str, target: str, files: list[UploadedFile], n_lost: int = 0) -> Iterator[dict[Any, Any]]:
        if target == NEW:
            frames = recognise_files(state, session, files, n_lost)
            yield from page.begin(frames, state, session, page.halt)
        else:
            draft, n = state.label_store.draft(session), int(target) - 1
            n_over = draft.add(n, files)
            yield {page.rows[n].tiles: view.tiles(draft.row(n), n_lost + n_over)}

    outputs = [*recorders, *(row.tiles for row in page.rows), page.more, *page.running]
    for part in recorders:
        part.input(act_record, [page.target, *recorders], outputs, **stream.UNPROCESSED, **SLOW)
    seen = [*(row.tiles for row in page.rows), *page.running]
    page.burst.bring(act_burst, page.target, seen, **EACH, **SLOW)


def uploaded_files(state: AppState, event: gr.EventData) -> tuple[list[UploadedFile], int]:
    """The files of a `bring` event, and how many are missing. Raises RequestError for a forged path."""
    files = [inspect(state, uploaded(str(path))) for path in event.files]
    return files, max(0, int(event.given) - len(files))


def draft_of(state: AppState, request: gr.Request) -> Draft:
    """What the page that asks is working on."""
    return state.label_store.draft(stream.session_of(request))
