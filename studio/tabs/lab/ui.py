"""The lab: every idea of multimodal learning as an experiment that runs here, with its curve, its table, its lesson.

Each experiment has a panel laid out from the fields of its request (`form`). One runs at a time, later ones are queued
and show their position. Masking and "Teach it" (`OTHERS`) have panels too, though they are not experiments.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias, TypeVar

import gradio as gr

from engines import Cancel, UserError
from engines.lab import EXPERIMENTS, Findings, LabRequest, Table, experiment, name_of
from studio import components, stream, views
from studio.background import BackgroundStream, FairQueue, Queued
from studio.i18n import LANGUAGES, both, label, page_language
from studio.lessons import lesson
from studio.state import AppState
from studio.tabs.lab import form, view
from studio.tabs.lab.form import FOLDER
from studio.tabs.masking import ui as masking
from studio.tabs.teach import ui as teach
from studio.tabs.teach.logic import TAB as TEACH

TAB = "lab"
FIRST = "fusion"
OTHERS: dict[str, ModuleType] = {masking.TAB: masking, TEACH: teach}
"""Panels that are no experiments: by name, modules with `create_ui(state)` and `wire(state, widgets)`."""
TRAINING: dict[str, Any] = {"concurrency_id": "lab", "concurrency_limit": 8}
"""Runs wait in a line of the lab's own, where they can be seen and stopped; gradio's would show nothing."""
WHERE = "where"
FORMULAS = [{"left": "$$", "right": "$$", "display": True}, {"left": "$", "right": "$", "display": False}]

GAP_JS = """element.addEventListener('input', (event) => {
  if (!('gap' in event.target.dataset)) return;
  event.target.closest('.maps').style.setProperty('--gap', event.target.value);
});"""

SEE_JS = """() => {
  if (window.innerWidth <= 760) document.getElementById('RESULT').scrollIntoView({ behavior: 'smooth' });
}"""
"""On a phone the result lies below the dials."""

Frames: TypeAlias = Iterator[tuple[str, bool]]
"""HTML, and whether it goes on."""
Found = TypeVar("Found")


@dataclass(frozen=True)
class Panel:
    """The widgets of one experiment. parts: what is asked with, by the names of the request's fields; also `WHERE` its
    material is from, if there is a choice, and the `FOLDER` of it, for the owner.
    """

    name: str
    kind: type[LabRequest]
    parts: dict[str, gr.Component]
    run: gr.Button
    stop: gr.Button
    result: gr.HTML

    @property
    def tab(self) -> str:
        """What its run is known by, to whoever stops it."""
        return f"{TAB}-{self.name}"

    def asked(self, values: Sequence[Any]) -> tuple[LabRequest, Path | None]:
        """The request of the widgets' values, and the folder to learn from. Raises RequestError."""
        given = dict(zip(self.parts, values, strict=True))
        place = given.get(WHERE, form.DIGITS)
        folder = form.folder_of(given[FOLDER]) if place == FOLDER else None
        return form.request_of(self.kind, given, place), folder

    def show(self, found: Findings) -> dict[Any, Any]:
        """Updates that turn its dials to what a run was asked."""
        updates: dict[Any, Any] = {
            self.parts[each.name]: gr.update(value=form.value_of(each, found.request))
            for each in form.dials_of(self.kind)
        }
        if WHERE in self.parts:
            is_own = comes_from_folder(found)
            updates[self.parts[WHERE]] = FOLDER if is_own or found.data is None else found.data.name
            if FOLDER in self.parts:
                updates[self.parts[FOLDER]] = gr.update(visible=is_own)
        return updates


@dataclass(frozen=True)
class Lab:
    """The widgets of the tab. which: whose frame is seen. others: what the panels of `OTHERS` have made."""

    which: gr.Radio
    opened: gr.UploadButton
    frames: dict[str, gr.Column]
    panels: dict[str, Panel]
    others: dict[str, Any]

    def turn(self, name: str) -> dict[Any, Any]:
        """Updates that show one panel."""
        return {frame: gr.update(visible=each == name) for each, frame in self.frames.items()}


# --- what happens ----------------------------------------------------------------------------------------------------


def follow(
    state: AppState,
    line: FairQueue,
    panel: Panel,
    session: str,
    begin: Callable[[Cancel], Iterator[Found]],
    render: Callable[[Found | Queued | None], tuple[str, bool]],
) -> Frames:
    """Let something run in its turn and show it. A newer run in the same panel ends this one in silence.

    render: what is known, None at first, as HTML, and whether it goes on.
    """
    cancel = state.running.start(session, panel.tab)
    try:
        goes_on = True
        yield render(None)
        try:
            for latest in BackgroundStream(begin, cancel, line).frames():
                if not state.running.is_latest(session, panel.tab, cancel):
                    return
                shown, goes_on = render(latest)
                yield shown, goes_on
            if goes_on:
                yield view.stopped(), False
        except Exception as error:  # the edge of the house, as in stream.play
            if state.running.is_latest(session, panel.tab, cancel):
                yield views.problem(stream.calm(error)), False
    finally:  # also when the page was closed: gradio ends this generator at a yield
        state.running.end(session, panel.tab, cancel)


def play(state: AppState, line: FairQueue, panel: Panel, session: str, values: Sequence[Any]) -> Frames:
    """Run what the widgets ask for."""
    try:
        request, folder = panel.asked(values)
    except Exception as error:  # the edge of the house, as in stream.play
        yield views.problem(stream.calm(error)), False
        return

    def begin(cancel: Cancel) -> Iterator[Findings]:
        material = None
        if folder is not None:
            from engines.lab.data.datasets import from_folder

            material = from_folder(folder, cancel=cancel)
        yield from experiment(request, material, cancel)

    def render(latest: Findings | Queued | None) -> tuple[str, bool]:
        if not isinstance(latest, Findings):
            return view.waiting(latest), True
        return view.result(latest, name=state.downloads.put_run(latest) if latest.done else ""), not latest.done

    yield from follow(state, line, panel, session, begin, render)


def reopen(state: AppState, line: FairQueue, panel: Panel, session: str, found: Findings, typed: str) -> Frames:
    """Show a run that was kept, and measure it again. typed: the folder it may have learnt from."""
    name = state.downloads.put_run(found)

    def begin(cancel: Cancel) -> Iterator[tuple[Table, ...] | UserError]:
        from engines.lab import runs
        from engines.lab.data.datasets import from_folder

        try:
            is_given = typed and comes_from_folder(found)
            yield runs.measure_again(found, from_folder(form.folder_of(typed), cancel=cancel) if is_given else None)
        except UserError as error:  # what was kept is still to be seen
            yield error

    def render(latest: tuple[Table, ...] | UserError | Queued | None) -> tuple[str, bool]:
        is_over = isinstance(latest, tuple | UserError)
        return view.result(found, name=name, note=view.again(found, latest)), not is_over

    yield from follow(state, line, panel, session, begin, render)


def comes_from_folder(found: Findings) -> bool:
    """Whether a run learnt from a folder of somebody's own."""
    return found.data is not None and found.data.name not in form.materials_of(type(found.request))


# --- the tab ---------------------------------------------------------------------------------------------------------


def create_ui(state: AppState) -> Lab:
    """Lay the tab out."""
    components.subtitle(state, TAB)
    with gr.Row(elem_id="lab-which-row"):
        which = gr.Radio(
            [(label(f"ui.lab.name.{name}"), name) for name in (*EXPERIMENTS, *OTHERS)],
            value=FIRST,
            label=label("ui.lab.which"),
            show_label=False,
            container=False,
            elem_id="lab-which",
            elem_classes="segments-choice",
            interactive=True,
            scale=6,
        )
        opened = gr.UploadButton(
            label("ui.lab.open"),
            file_types=[".safetensors"],
            elem_id="lab-open",
            size="sm",
            scale=0,
            min_width=110,
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
    return Lab(which, opened, frames, panels, others)


def _panel(state: AppState, name: str, kind: type[LabRequest]) -> Panel:
    parts: dict[str, gr.Component] = {}
    with gr.Row(elem_classes="split"):
        with gr.Column(scale=4, elem_classes="split-input"):
            ask = f'<p class="question-of">{both(f"ui.lab.ask.{name}")}</p>'
            gr.HTML(ask, elem_id=f"lab-{name}-ask", apply_default_css=False)
            fields = form.dials_of(kind)
            choices = [each for each in fields if "known" in each.metadata]
            parts |= {each.name: form.widget(name, each) for each in choices}
            with gr.Row(elem_classes="pair dials"):
                parts |= {each.name: form.widget(name, each) for each in fields if each not in choices}
                parts |= _places(state, name, form.materials_of(kind))
            with gr.Row(elem_classes="actions"):
                run, stop = components.run_stop(f"lab-{name}", said="ui.lab.run")
        with gr.Column(scale=8, elem_classes="split-result"):
            result = gr.HTML(
                view.empty(name, kind),
                elem_id=f"lab-{name}-result",
                js_on_load=GAP_JS,
                apply_default_css=False,
            )
            _lesson(name)
    return Panel(name, kind, parts, run, stop, result)


def _places(state: AppState, name: str, bundled: Sequence[str]) -> dict[str, gr.Component]:
    """Where the material is from: nothing to choose for a visitor of an experiment that has one."""
    places = (*bundled, *((FOLDER,) if state.rules.folders else ()))
    if len(places) == 1:
        return {}
    where = gr.Radio(
        [(label(f"ui.lab.material.{place}"), place) for place in places],
        value=places[0],
        label=label("ui.lab.material"),
        elem_id=f"lab-{name}-where",
        elem_classes="choice",
        interactive=True,
    )
    if FOLDER not in places:
        return {WHERE: where}
    folder = gr.Textbox(
        label=label("ui.lab.folder"),
        info=label("ui.lab.folder.hint"),
        elem_id=f"lab-{name}-folder",
        elem_classes="field",
        max_lines=1,
        visible=False,
        interactive=True,
    )
    return {WHERE: where, FOLDER: folder}


def _lesson(name: str) -> None:
    """The lesson of a panel in both languages, of which the style sheet shows one."""
    texts = {language: lesson(name, language) for language in LANGUAGES}
    if not all(texts.values()):
        return
    with gr.Accordion(label("ui.lab.lesson"), open=True, elem_id=f"lab-{name}-lesson", elem_classes="options lesson"):
        for language, text in texts.items():
            gr.Markdown(text, latex_delimiters=FORMULAS, elem_classes=f"lesson-text in-{language}", container=False)


# --- its events ------------------------------------------------------------------------------------------------------

QUICK: dict[str, Any] = {"show_progress": "hidden", "queue": False, **stream.PRIVATE}
SLOW: dict[str, Any] = {"show_progress": "hidden", "preprocess": False, **TRAINING, **stream.PRIVATE}


def wire(state: AppState, lab: Lab) -> None:
    """Make it work."""
    line = FairQueue()
    lab.which.input(lab.turn, lab.which, list(lab.frames.values()), **QUICK)
    for panel in lab.panels.values():
        outputs = [panel.result, panel.run, panel.stop]
        panel.run.click(None, None, None, js=SEE_JS.replace("RESULT", str(panel.result.elem_id)), **QUICK)
        panel.run.click(_acting(state, line, panel), list(panel.parts.values()), outputs, **SLOW)
        stream.wire_stop(state, panel.tab, panel.stop)
        if FOLDER in panel.parts:
            panel.parts[WHERE].input(_seen, panel.parts[WHERE], panel.parts[FOLDER], **QUICK)
    for name, widgets in lab.others.items():
        OTHERS[name].wire(state, widgets)
    _wire_open(state, line, lab)


def _seen(place: str) -> Any:
    return gr.update(visible=place == FOLDER)


def _acting(state: AppState, line: FairQueue, panel: Panel) -> Callable[..., Iterator[dict[Any, Any]]]:
    def act_lab(request: gr.Request, *values: Any) -> Iterator[dict[Any, Any]]:
        yield from _shown(panel, play(state, line, panel, stream.session_of(request), values))

    return act_lab


def _shown(panel: Panel, frames: Frames) -> Iterator[dict[Any, Any]]:
    """Updates that show what happens in a panel, with its stop meanwhile."""
    for shown, goes_on in frames:
        buttons = {panel.run: gr.update(interactive=not goes_on), panel.stop: gr.update(visible=goes_on)}
        yield {panel.result: shown, **buttons}


def _wire_open(state: AppState, line: FairQueue, lab: Lab) -> None:
    """Show a run that was kept: its experiment, its dials, what it found, and whether it still finds it."""
    folders = {name: panel.parts[FOLDER] for name, panel in lab.panels.items() if FOLDER in panel.parts}

    def act_open(request: gr.Request, given: Any, *typed: str) -> Iterator[dict[Any, Any]]:
        from engines.lab import runs

        try:
            found = runs.load(Path(stream.plain(given)))
        except Exception as error:  # the edge of the house, as in stream.play
            sentence = stream.calm(error).text(page_language(request))
            raise gr.Error(sentence, print_exception=False) from None
        name = name_of(found.request)
        panel = lab.panels[name]
        updates = {lab.which: name, **lab.turn(name), **panel.show(found)}
        folder = dict(zip(folders, typed, strict=True)).get(name, "")
        for more in _shown(panel, reopen(state, line, panel, stream.session_of(request), found, folder)):
            yield {**updates, **more}
            updates = {}

    outputs: list[Any] = [lab.which, *lab.frames.values()]
    for panel in lab.panels.values():
        outputs += [*panel.parts.values(), panel.run, panel.stop, panel.result]
    lab.opened.upload(act_open, [lab.opened, *folders.values()], outputs, **SLOW)
