"""The Lab: the ideas of multimodal learning as experiments to run, each with its chart, its table and its lesson.

Each experiment has a panel laid out from the fields of its request (`form`). Runs take turns, a second each.
"Embeddings", "Attention", Masking and "Teach it" (`OTHERS`) have panels too, though they are not experiments.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import gradio as gr

from engines import Cancel, UserError
from engines.background import FairQueue, Queued, follow
from engines.lab import EXPERIMENTS, Findings, LabRequest, Table, Watch, experiment, name_of
from studio import components, stream, views
from studio.folders import existing_folder
from studio.followed import FollowedRun
from studio.i18n import LANGUAGES, both, label
from studio.registry import Registry
from studio.state import AppState
from studio.stream import Frames, RunPlace
from studio.tabs.attention import ui as attention
from studio.tabs.embedding import ui as embedding
from studio.tabs.lab import drawing, form, links, view, watching
from studio.tabs.lab.form import FOLDER
from studio.tabs.lab.lessons import lesson
from studio.tabs.lab.watching import N_WATCHED, WatchedRun
from studio.tabs.masking import ui as masking
from studio.tabs.teach import ui as teach
from studio.tabs.teach.logic import TAB as TEACH

TAB = "lab"
FIRST = "fusion"
OTHERS: dict[str, ModuleType] = {
    embedding.TAB: embedding,
    attention.TAB: attention,
    masking.TAB: masking,
    TEACH: teach,
}
"""Panels that are not experiments: modules with `create_ui(state)` and `wire(state, widgets)`, by name."""
TRAINING: dict[str, Any] = {"concurrency_id": "lab", "concurrency_limit": 32}
"""Runs take turns in a `FairQueue`, where they are seen and can be stopped; gradio's queue shows nothing. A class of
thirty fits; each run waits in one of gradio's 40 threads, so that the other tabs keep some."""
EVERY_S = 0.25
"""Shortest time between two updates of a running experiment."""
WHERE = "where"
FORMULAS = [{"left": "$$", "right": "$$", "display": True}, {"left": "$", "right": "$", "display": False}]

Value = TypeVar("Value")


@dataclass(frozen=True)
class Panel:
    """The widgets of one experiment. parts: its inputs by field of the request, and `WHERE` the data is from, if there
    is a choice, and which `FOLDER`, for the owner. network: holds what is drawn of the network, where it can be drawn.
    copies: buttons that copy the settings.
    """

    name: str
    kind: type[LabRequest]
    parts: dict[str, gr.Component]
    run: gr.Button
    stop: gr.Button
    result: gr.HTML
    network: gr.HTML | None
    copies: dict[str, gr.Button]

    @property
    def tab(self) -> str:
        """The key of its runs."""
        return f"{TAB}-{self.name}"

    @property
    def running(self) -> list[Any]:
        """What a run updates."""
        return [self.result, self.run, self.stop, *([] if self.network is None else [self.network])]

    def updates(self, frames: Frames, run: WatchedRun | None) -> Iterator[dict[Any, Any]]:
        """Updates that show a run, and what is drawn of its network."""
        for update in stream.updates(frames, self):
            drawn = {self.network: run.html} if run is not None and run.html else {}
            yield {**update, **drawn}

    def asked(self, values: Sequence[Any]) -> tuple[LabRequest, Path | None]:
        """The request for the widgets' values, and the folder of the data. Raises RequestError."""
        given = dict(zip(self.parts, values, strict=True))
        place = given.get(WHERE, form.DIGITS)
        folder = existing_folder(given[FOLDER]) if place == FOLDER else None
        return form.request_of(self.kind, given, place), folder

    def fill(self, request: LabRequest) -> dict[Any, Any]:
        """Updates that set the widgets to a request."""
        return {
            self.parts[each.name]: gr.update(value=form.value_of(each, request)) for each in form.fields_of(self.kind)
        }

    def show(self, found: Findings) -> dict[Any, Any]:
        """Updates that set the widgets to the request of a run."""
        updates = self.fill(found.request)
        if WHERE in self.parts:
            is_own = comes_from_folder(found)
            updates[self.parts[WHERE]] = FOLDER if is_own or found.data is None else found.data.name
            if FOLDER in self.parts:
                updates[self.parts[FOLDER]] = gr.update(visible=is_own)
        return updates


@dataclass(frozen=True)
class Lab:
    """The widgets of the tab. which: the visible panel. others: the widgets of `OTHERS`. link: see `links.holder`."""

    which: gr.Radio
    opened: gr.UploadButton
    frames: dict[str, gr.Column]
    panels: dict[str, Panel]
    others: dict[str, Any]
    link: gr.HTML

    @property
    def opening(self) -> list[Any]:
        """What a run of the history updates."""
        parts = [part for panel in self.panels.values() for part in (*panel.parts.values(), panel.result)]
        return [self.which, *self.frames.values(), *parts]

    def turn(self, name: str) -> dict[Any, Any]:
        """Updates that show one panel only."""
        return {frame: gr.update(visible=each == name) for each, frame in self.frames.items()}


# --- what happens ----------------------------------------------------------------------------------------------------


def run_queued(
    state: AppState,
    turns: FairQueue,
    panel: Panel,
    session: str,
    begin: Callable[[Cancel], Iterator[Value]],
    render: Callable[[Value | Queued | None], tuple[str, bool]],
) -> Frames:
    """Run something in its turn, in a thread, and show it.

    begin: called at once, so that a mistake in the form is reported at once; its iterator runs in the thread.
    render: (what there is: None at first) → HTML, and whether it is still running.
    """

    def steps(cancel: Cancel) -> Frames:
        values = begin(cancel)

        def work(emit: Callable[[Value | Queued], None]) -> None:
            for value in values:
                emit(value)

        is_running = True
        for newest in follow(work, cancel, queue=turns, every_s=EVERY_S):
            shown, is_running = render(newest)
            yield shown, is_running
        if is_running:
            yield views.stopped(), False

    return stream.run(state, session, panel.tab, steps, first=render(None)[0])


def run_experiment(
    state: AppState,
    turns: FairQueue,
    panel: Panel,
    session: str,
    values: Sequence[Any],
    watched: WatchedRun | None = None,
) -> Frames:
    """Run the experiment the widgets describe. watched: receives what is drawn of its network."""

    def begin(cancel: Cancel) -> Iterator[Findings]:
        request, folder = panel.asked(values)
        if watched is not None:
            watched.folder = folder
        return measure(request, folder, cancel)

    def measure(request: LabRequest, folder: Path | None, cancel: Cancel) -> Iterator[Findings]:
        data = None
        if folder is not None:
            from engines.lab.data.datasets import from_folder

            data = from_folder(folder, cancel=cancel)
        yield from experiment(request, data, cancel, None if watched is None else watched.watch)

    def render(newest: Findings | Queued | None) -> tuple[str, bool]:
        if not isinstance(newest, Findings):
            return view.waiting(newest), True
        if watched is not None:
            watched.follow(newest)
        if not newest.done:
            return view.findings(newest), True
        shown = view.findings(newest, name=state.runs.add(newest))
        return views.with_mark(shown, "entry", state.recorder.record_run(newest)), False

    try:
        yield from run_queued(state, turns, panel, session, begin, render)
    finally:
        if watched is not None:
            watched.is_over = True


def reopen(state: AppState, turns: FairQueue, panel: Panel, session: str, found: Findings, typed: str) -> Frames:
    """Show a saved run, and measure it again. typed: the folder its data may be from."""
    name = state.runs.add(found)

    def begin(cancel: Cancel) -> Iterator[tuple[Table, ...] | UserError]:
        from engines.lab import runs
        from engines.lab.data.datasets import from_folder

        try:
            is_given = typed and comes_from_folder(found)
            data = from_folder(existing_folder(typed), cancel=cancel) if is_given else None
            yield runs.measure_again(found, data)
        except UserError as error:  # what was saved is still shown
            yield error

    def render(newest: tuple[Table, ...] | UserError | Queued | None) -> tuple[str, bool]:
        is_over = isinstance(newest, tuple | UserError)
        return view.findings(found, name=name, note=view.again(found, newest)), not is_over

    return run_queued(state, turns, panel, session, begin, render)


def open_kept(state: AppState, lab: Lab, entry: str, *, is_filled: bool) -> dict[Any, Any]:
    """Updates that show a run of the history. is_filled: the widgets are set to its request. Raises UserError."""
    from engines.lab import runs

    history = state.recorder.history
    if history is None or not (entry.isascii() and entry.isdecimal()):
        raise UserError("history_gone", "This result is no longer in the history.")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "kept.run.safetensors"
        file.write_bytes(history.run(int(entry))[1])
        found = runs.load(file)
    panel = lab.panels[name_of(found.request)]
    card = view.findings(found, name=state.runs.add(found))
    updates = {lab.which: panel.name, **lab.turn(panel.name), panel.result: views.with_mark(card, "entry", entry)}
    return updates | (panel.show(found) if is_filled else {})


def comes_from_folder(found: Findings) -> bool:
    """Whether a run learnt from a folder of the person's own."""
    return found.data is not None and found.data.name not in form.materials_of(type(found.request))


# --- the tab ---------------------------------------------------------------------------------------------------------


def create_ui(state: AppState) -> Lab:
    """Lay out the tab."""
    components.subtitle(state, TAB)
    with gr.Row(elem_id="lab-which-row"):
        names = components.choices("ui.lab.name.", (*EXPERIMENTS, *OTHERS))
        which = components.segments("lab-which", "ui.lab.which", names, FIRST, scale=6)
        opened = gr.UploadButton(
            label("ui.lab.open"), file_types=[".safetensors"], elem_id="lab-open", size="sm", scale=0, min_width=110
        )
    frames: dict[str, gr.Column] = {}
    panels: dict[str, Panel] = {}
    others: dict[str, Any] = {}
    for name in (*EXPERIMENTS, *OTHERS):
        with gr.Column(visible=name == FIRST, elem_id=f"lab-{name}", elem_classes="lab-panel") as frames[name]:
            if name in OTHERS:
                others[name] = OTHERS[name].create_ui(state)
                _lesson(name)
            else:
                panels[name] = _panel(state, name, EXPERIMENTS[name].request)
    return Lab(which, opened, frames, panels, others, links.holder())


def _panel(state: AppState, name: str, kind: type[LabRequest]) -> Panel:
    parts: dict[str, gr.Component] = {}
    with gr.Row(elem_classes="split"):
        with gr.Column(scale=4, elem_classes="split-input"):
            components.question_of(f"lab-{name}", f"ui.lab.ask.{name}")
            fields = form.fields_of(kind)
            choices = [each for each in fields if "known" in each.metadata]
            parts |= {each.name: form.widget(name, each) for each in choices}
            with gr.Row(elem_classes="pair dials"):
                parts |= {each.name: form.widget(name, each) for each in fields if each not in choices}
                parts |= _places(state, name, form.materials_of(kind))
            with gr.Row(elem_classes="actions"):
                run, stop = components.run_stop(f"lab-{name}", key="ui.lab.run")
            copies = links.buttons(name)
        with gr.Column(scale=8, elem_classes="split-result"):
            network = None
            if watching.is_drawn(name):
                components.html("", drawing.frame(name))
                network = components.html(f"lab-{name}-network", script=drawing.NETWORK_JS, elem_classes="unseen")
            result = components.html(f"lab-{name}-result", view.empty(name, kind))
            _lesson(name)
    return Panel(name, kind, parts, run, stop, result, network, copies)


def _places(state: AppState, name: str, bundled: Sequence[str]) -> dict[str, gr.Component]:
    """Where the data is from; no choice for a visitor of an experiment with one bundled set."""
    places = (*bundled, *(() if state.shared else (FOLDER,)))
    if len(places) == 1:
        return {}
    offered = components.choices("ui.lab.material.", places)
    where = components.radio(f"lab-{name}-where", "ui.lab.material", offered, places[0])
    if FOLDER not in places:
        return {WHERE: where}
    hint = label("ui.lab.folder.hint")
    folder = components.textbox(f"lab-{name}-folder", "ui.lab.folder", info=hint, max_lines=1, visible=False)
    return {WHERE: where, FOLDER: folder}


def _lesson(name: str) -> None:
    """The lesson of a panel in both languages; the style sheet shows one."""
    texts = {language: lesson(name, language) for language in LANGUAGES}
    if not all(texts.values()):
        return
    with gr.Accordion(label("ui.lab.lesson"), open=True, elem_id=f"lab-{name}-lesson", elem_classes="options lesson"):
        components.html("", views.tool(both("ui.lab.slides"), slides=""))
        for language, text in texts.items():
            gr.Markdown(text, latex_delimiters=FORMULAS, elem_classes=f"lesson-text in-{language}", container=False)


# --- events ----------------------------------------------------------------------------------------------------------

SLOW: dict[str, Any] = {**stream.UNPROCESSED, **TRAINING, **stream.PRIVATE}
DRAWING: dict[str, Any] = {
    **stream.UNPROCESSED,
    **stream.PRIVATE,
    "concurrency_limit": 2,
    "trigger_mode": "always_last",
}
FIRST_CLASS = 3
"""The class whose example is drawn until another is chosen."""


def wire(state: AppState, lab: Lab) -> dict[str, RunPlace]:
    """Attach the events; returns where the runs under each key are shown again after a reload."""
    turns = FairQueue()
    watched = Registry[WatchedRun](N_WATCHED)
    lab.which.input(lab.turn, lab.which, list(lab.frames.values()), **stream.QUICK)
    for panel in lab.panels.values():
        _wire_panel(state, turns, lab, panel, watched)
    for name, widgets in lab.others.items():
        OTHERS[name].wire(state, widgets)
    _wire_open(state, turns, lab, watched)
    _wire_links(lab)
    places = {panel.tab: _place(panel, watched) for panel in lab.panels.values()}
    taught = teach.run_place(state, lab.others[TEACH])
    places |= {TEACH: taught}
    return {key: _turned(lab, key.removeprefix(f"{TAB}-"), place) for key, place in places.items()}


def _place(panel: Panel, watched: Registry[WatchedRun]) -> RunPlace:
    def show(frames: Frames, run: FollowedRun, _session: str) -> Iterator[dict[Any, Any]]:
        yield from panel.updates(frames, watched.get(run.about))

    return RunPlace(TAB, panel.running, show)


def _turned(lab: Lab, name: str, place: RunPlace) -> RunPlace:
    """The place, with the panel it is in shown."""

    def show(frames: Frames, run: FollowedRun, session: str) -> Iterator[dict[Any, Any]]:
        yield {lab.which: name, **lab.turn(name)}
        yield from place.show(frames, run, session)

    return RunPlace(TAB, [lab.which, *lab.frames.values(), *place.outputs], show)


def _wire_links(lab: Lab) -> None:
    """Settings in the address: written as they change, read when a page is opened with them."""

    def link(event: gr.EventData, request: gr.Request) -> dict[Any, Any]:
        with stream.toast(request):
            asked = links.read(event._data)
        name = str(event._data.get(links.EXPERIMENT)) if asked is None else name_of(asked)
        if name not in lab.frames:
            return gr.skip()
        filled = {} if asked is None else lab.panels[name].fill(asked)
        where = None if asked is None else lab.panels[name].parts.get(WHERE)
        material = getattr(asked, form.MATERIAL, None)
        if where is not None and material is not None:
            filled[where] = material
        return {lab.which: name, **lab.turn(name), **filled}

    outputs: list[Any] = [lab.which, *lab.frames.values()]
    lab.which.change(None, lab.which, None, js="(name) => window.fusion.settings(name)", **stream.QUICK)
    for panel in lab.panels.values():
        parts = {name: part for name, part in panel.parts.items() if name != FOLDER}
        outputs += parts.values()
        names = [form.MATERIAL if name == WHERE else name for name in parts]
        write = links.write_js(panel.name, panel.kind, names)
        gr.on([part.change for part in parts.values()], None, list(parts.values()), None, js=write, **stream.QUICK)
    lab.link.link(link, None, outputs, **stream.QUICK)


def _wire_panel(state: AppState, turns: FairQueue, lab: Lab, panel: Panel, watched: Registry[WatchedRun]) -> None:
    """Run and stop the experiment of a panel, draw its network, copy its settings."""

    def act_lab(request: gr.Request, *values: Any) -> Iterator[dict[Any, Any]]:
        run = None
        if panel.network is not None:
            run = WatchedRun(Watch(label=FIRST_CLASS))
            run.key = watched.add(run)
        session = stream.session_of(request)
        frames = run_experiment(state, turns, panel, session, values, run)
        followed = stream.begin(state, session, panel.tab, frames, about="" if run is None else run.key)
        yield from panel.updates(followed, run)

    def choose(event: gr.EventData, *values: Any) -> dict[Any, Any]:
        """Draw the network for another example, or another model: at once, or with the next drawing of a run."""
        run = watched.get(str(event.run))
        try:
            watch = Watch(max(0, int(event.label)), max(0, int(event.example)))
        except (TypeError, ValueError):
            return gr.skip()
        if run is not None and not run.is_over:
            run.watch.label, run.watch.example = watch.label, watch.example
            return gr.skip()
        try:
            request, folder = panel.asked(values)
            return {panel.network: watching.draw(request, folder, watch, str(event.model), run)}
        except UserError:  # reported when the experiment is run
            return gr.skip()

    def copier(what: str) -> Callable[..., str]:
        def copy_settings(request: gr.Request, *values: Any) -> str:
            with stream.toast(request):
                asked, _ = panel.asked(values)
            return links.copied(what, asked)

        return copy_settings

    inputs, network = list(panel.parts.values()), [] if panel.network is None else [panel.network]
    for drawing_ in network:
        drawing_.choose(choose, inputs, drawing_, **DRAWING)
    panel.run.click(act_lab, inputs, panel.running, **SLOW)
    stream.wire_stop(state, panel.tab, panel.stop)
    if FOLDER in panel.parts:
        panel.parts[WHERE].input(
            lambda place: gr.update(visible=place == FOLDER), panel.parts[WHERE], panel.parts[FOLDER], **stream.QUICK
        )
    panel.copies["link"].click(
        None, None, None, js="() => window.fusion.copyText(window.fusion.settingsLink())", **stream.QUICK
    )
    for what in ("command", "python"):
        copying = panel.copies[what].click(copier(what), inputs, lab.link, **stream.QUICK, preprocess=False)
        copying.success(None, lab.link, None, js=links.COPY_JS, **stream.QUICK)


def _wire_open(state: AppState, turns: FairQueue, lab: Lab, watched: Registry[WatchedRun]) -> None:
    """Open a saved run: show its experiment, its settings and findings, and whether it still measures the same."""
    folders = {name: panel.parts[FOLDER] for name, panel in lab.panels.items() if FOLDER in panel.parts}

    def act_open(request: gr.Request, given: Any, *typed: str) -> Iterator[dict[Any, Any]]:
        from engines.lab import runs

        with stream.toast(request):
            found = runs.load(Path(stream.widget_value(given)))
        name = name_of(found.request)
        panel = lab.panels[name]
        updates = {lab.which: name, **lab.turn(name), **panel.show(found)}
        folder = dict(zip(folders, typed, strict=True)).get(name, "")
        if panel.network is not None and found.weights and not comes_from_folder(found):
            run = WatchedRun(Watch(label=FIRST_CLASS), is_over=True, finished=found)
            run.key = watched.add(run)
            with stream.failures():  # reported when the run is measured again
                updates[panel.network] = watching.draw(found.request, None, run.watch, "", run)
        frames = reopen(state, turns, panel, stream.session_of(request), found, folder)
        for more in stream.updates(frames, panel):
            yield {**updates, **more}
            updates = {}

    outputs: list[Any] = [lab.which, *lab.frames.values()]
    for panel in lab.panels.values():
        outputs += [*panel.parts.values(), panel.run, panel.stop, panel.result]
        outputs += [] if panel.network is None else [panel.network]
    lab.opened.upload(act_open, [lab.opened, *folders.values()], outputs, **SLOW)
