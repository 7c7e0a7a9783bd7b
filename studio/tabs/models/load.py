"""Open another model: look at what a name would bring, then load it for a task, followed and stoppable.

Only the owner does this. Whatever goes wrong is one sentence, and what answered before goes on answering.
"""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gradio as gr

from engines import (
    LANGUAGES,
    TASKS,
    Cancel,
    Cancelled,
    Host,
    HostInfo,
    Offer,
    Progress,
    RequestError,
    Route,
    Settings,
    TranslateRequest,
    UserError,
)
from studio import components, model_routing, stream, theme, views
from studio.background import BackgroundCall
from studio.i18n import both, label, page_language, spans, text
from studio.model_routing import BUILT_IN
from studio.state import EVERYTHING, AppState

TAB = "opening"
FORMATS = ("auto", "float32", "bfloat16", "int8", "int4")
EVERY = "everything"
"""How the page calls the task that stands for all."""
LOADING = Progress("loading")
CLOSED = RequestError("open_owner_only", "Models are opened by the owner of this studio only.")


@dataclass(frozen=True)
class Opening:
    """The widgets of the block."""

    name: gr.Textbox
    look: gr.Button
    task: gr.Radio
    format: gr.Dropdown
    idle_min: gr.Number
    key: gr.Textbox
    load: gr.Button
    stop: gr.Button
    result: gr.HTML


# --- what happens ----------------------------------------------------------------------------------------------------


def settings_of(state: AppState, device: str, number_format: str, idle_min: float | None, key: str | None) -> Settings:
    """How the next model is opened. Raises RequestError."""
    idle_s = 60.0 * (idle_min if idle_min is not None else 0.0)
    return replace(state.settings, device=device, dtype=number_format, idle_s=idle_s, api_key=(key or "").strip())


def look(state: AppState, session: str, name: str, settings: Settings) -> Iterator[tuple[str, bool]]:
    """Say what a name would open: (HTML, whether it goes on) again and again."""
    cancel = state.running.start(session, TAB)
    try:
        yield views.result_card("busy", views.stage(Progress("looking"))), True
        try:
            _owner_only(state)
            name = named(name)
            with BackgroundCall(lambda _tell: state.looker(name, settings), cancel) as work:
                for _ in work.steps():
                    pass
                yield offer_view(work.value()), False
        except Cancelled:
            yield stopped_view(), False
        except Exception as error:  # the edge of the house, as in stream.play
            yield views.problem(stream.calm(error)), False
    finally:
        state.running.end(session, TAB, cancel)


def load(state: AppState, session: str, name: str, task: str, settings: Settings) -> Iterator[tuple[str, bool]]:
    """Open a model and let it answer a task: (HTML, whether it goes on) again and again."""
    cancel = state.running.start(session, TAB)
    try:
        yield views.result_card("busy", views.stage(LOADING)), True
        try:
            _owner_only(state)
            name = named(name)
            open_now = state.host.opened(name)
            if open_now is not None and _fits(open_now.info, settings):
                yield give(state, task, open_now), False
                return
            route = Route(name, settings.dtype, settings.idle_s)
            with BackgroundCall(_opener(state, name, settings, cancel), cancel, leave=Host.close) as work:
                for progress in work.steps():
                    is_there = 0 < progress.total <= progress.done  # all of it is here: now the weights are read
                    yield views.result_card("busy", views.stage(LOADING if is_there else progress)), True
                host = work.value()
            state.host.note(route)
            yield give(state, task, host, instead_of=open_now), False
        except Cancelled:
            yield stopped_view(), False
        except Exception as error:  # the edge of the house, as in stream.play
            yield views.problem(stream.calm(error)), False
    finally:
        state.running.end(session, TAB, cancel)


def _opener(state: AppState, name: str, settings: Settings, cancel: Cancel) -> Any:
    return lambda tell: state.opener(name, settings, tell=tell, cancel=cancel)


def give(state: AppState, task: str, host: Host, *, instead_of: Host | None = None) -> str:
    """Let an open model answer a task, keep that for the next start, and say so. instead_of: the same model as it was
    opened before; its other tasks go over too."""
    others = [own for own, kinds in TASKS.items() if state.host.serving(kinds[0]) is instead_of]
    for own in (task, *others):
        model_routing.assign(state.host, own, host)
    try:
        model_routing.keep(state)
    except UserError as error:
        return loaded_view(host.info, task, warning=error)
    return loaded_view(host.info, task)


def named(typed: str) -> str:
    """What was typed, as it is kept: a folder by its whole path. Raises RequestError."""
    name = typed.strip().strip("\"'")
    if not name:
        raise RequestError("model_name_needed", "Type the name of a model, a folder or an address first.")
    folder = Path(name).expanduser()
    return str(folder.resolve()) if folder.is_dir() else name


def _fits(info: HostInfo, settings: Settings) -> bool:
    """Whether an open model is what these settings ask for, so that it need not be opened again."""
    return settings.dtype in ("auto", info.dtype) and settings.idle_s == 0 and not settings.api_key


def _owner_only(state: AppState) -> None:
    if not state.rules.devices:
        raise CLOSED


# --- the block -------------------------------------------------------------------------------------------------------


def create_ui() -> Opening:
    """Lay the block out."""
    with gr.Row(elem_classes="split", elem_id="opening"):
        with gr.Column(scale=5, elem_classes="split-input"):
            gr.HTML(f'<h2 class="block-title">{both("ui.opening.title")}</h2>', apply_default_css=False)
            with gr.Row(elem_classes="actions beside"):
                name = gr.Textbox(
                    label=label("ui.opening.name"),
                    placeholder="openai/whisper-base",
                    elem_id="opening-name",
                    elem_classes="field",
                    lines=1,
                    max_lines=1,
                    interactive=True,
                    scale=5,
                    min_width=180,
                )
                look = gr.Button(label("ui.opening.look"), elem_id="opening-look", scale=1, min_width=84)
            task = gr.Radio(
                [(label(f"ui.task.{own}"), own) for own in (EVERY, *TASKS)],
                value=EVERY,
                label=label("ui.opening.task"),
                elem_id="opening-task",
                elem_classes="choice",
                interactive=True,
            )
            with gr.Accordion(label("ui.options"), open=False, elem_classes="options"):
                with gr.Row(elem_classes="pair"):
                    number_format = gr.Dropdown(
                        [(label("ui.models.auto") if own == "auto" else own, own) for own in FORMATS],
                        value="auto",
                        label=label("ui.opening.format"),
                        elem_id="opening-format",
                        elem_classes="field",
                        filterable=False,
                        interactive=True,
                        min_width=140,
                    )
                    idle_min = gr.Number(
                        0,
                        label=label("ui.opening.idle"),
                        elem_id="opening-idle",
                        elem_classes="field",
                        minimum=0,
                        precision=0,
                        interactive=True,
                        min_width=140,
                    )
                key = gr.Textbox(
                    label=label("ui.opening.key"),
                    info=label("ui.opening.key.hint"),
                    type="password",
                    lines=1,
                    max_lines=1,
                    elem_id="opening-key",
                    elem_classes="field",
                    interactive=True,
                )
            with gr.Row(elem_classes="actions"):
                load, stop = components.run_stop(TAB)
        with gr.Column(scale=7, elem_classes="split-result"):
            result = components.result_card(TAB, views.empty(TAB))
    return Opening(name, look, task, number_format, idle_min, key, load, stop, result)


def wire(state: AppState, block: Opening, device: gr.Radio, back: Any) -> Sequence[Any]:
    """Make it work. back: the event that carries a task to give back to the built-in model.

    What is returned are the events after which the answering models may be others.
    """
    how = [device, block.format, block.idle_min, block.key]
    busy = [block.result, block.look, block.load, block.stop]

    def act(steps: Iterator[tuple[str, bool]]) -> Iterator[tuple[Any, ...]]:
        for shown, goes_on in steps:
            idle = gr.update(interactive=not goes_on)
            yield shown, idle, idle, gr.update(visible=goes_on)

    def asked(request: gr.Request, steps: Any, name: str, how: Sequence[Any], *more: Any) -> Iterator[tuple[Any, ...]]:
        session = stream.session_of(request)
        if state.running.is_busy(session, TAB):  # Enter in the name, or a way back: a long download is not lost by that
            gr.Warning(text("ui.opening.busy", page_language(request)))
            yield (gr.skip(),) * len(busy)
            return
        try:
            settings = settings_of(state, *how)
        except UserError as error:
            yield from act(iter([(views.problem(error), False)]))
            return
        yield from act(steps(state, session, name, *more, settings))

    def act_look(request: gr.Request, name: str, *how: Any) -> Iterator[tuple[Any, ...]]:
        yield from asked(request, look, name, how)

    def act_load(request: gr.Request, name: str, task: str, *how: Any) -> Iterator[tuple[Any, ...]]:
        yield from asked(request, load, name, how, EVERYTHING if task == EVERY else task)

    def act_back(event: gr.EventData, request: gr.Request, device: str) -> Iterator[tuple[Any, ...]]:
        task = event.task if event.task in TASKS else EVERYTHING
        yield from asked(request, load, BUILT_IN, (device, "auto", 0, ""), task)

    common = {"show_progress": "hidden", "concurrency_id": "opening", "concurrency_limit": 2, **stream.PRIVATE}
    for trigger in (block.look.click, block.name.submit):
        trigger(act_look, [block.name, *how], busy, **common)
    loaded = block.load.click(act_load, [block.name, block.task, *how], busy, **common)
    returned = back(act_back, device, busy, **common)
    loaded.then(lambda: "", None, block.key, show_progress="hidden", queue=False, **stream.PRIVATE)
    stream.wire_stop(state, TAB, block.stop)
    return loaded, returned


# --- as HTML ---------------------------------------------------------------------------------------------------------


def stopped_view() -> str:
    """Nothing was opened, because it was stopped."""
    return views.result_card("stopped", f'<p class="nothing">{both("ui.opening.stopped")}</p>')


def loaded_view(info: HostInfo, task: str, *, warning: UserError | None = None) -> str:
    """Who answers from now on."""
    said = f'<p class="sentence small">{model_routing.named("ui.opening.loaded", task, info)}</p>'
    facts = f'<p class="quiet number">{model_routing.place(info)}</p>'
    unable = task != EVERYTHING and not model_routing.does(info, task)
    cannot = f'<p class="warning">{model_routing.named("ui.answers.unable", task, info)}</p>' if unable else ""
    if warning is not None:
        cannot += f'<p class="warning">{spans(warning.en, warning.zh)}</p>'
    return views.result_card("done", said + facts + cannot)


def offer_view(offer: Offer) -> str:
    """What a name would open."""
    info = offer.info
    rows = [
        ("name", html.escape(info.name)),
        ("kind", both(f"ui.opening.kind.{kind(info)}")),
        ("download", model_routing.size(offer.download_bytes) if offer.download_bytes > 0 else ""),
        ("parameters", model_routing.parameters(info) if info.n_parameters > 0 else ""),
        ("memory", model_routing.memory(info) if info.memory_bytes > 0 or info.device == "remote" else ""),
        ("device", " · ".join(part for part in (model_routing.where(info), html.escape(info.dtype)) if part)),
        ("licence", html.escape(info.licence)),
        ("does", _does(info)),
        ("senses", _senses(info)),
    ]
    listed = "".join(f"<dt>{both('ui.models.' + key)}</dt><dd>{value}</dd>" for key, value in rows if value)
    later = "" if info.abilities else f'<p class="quiet">{both("ui.opening.later")}</p>'
    return views.result_card("done", f'<dl class="facts-list">{listed}</dl>{later}')


def kind(info: HostInfo) -> str:
    """What sort of thing answers: the model of the program, a transformers checkpoint, or a server."""
    return "server" if info.device == "remote" else "builtin" if info.source == BUILT_IN else "transformers"


def _does(info: HostInfo) -> str:
    """Each task with its languages, one a line."""
    lines = []
    for task, (request, *_) in TASKS.items():
        if not info.serves(request):
            continue
        languages = {ability.language for ability in info.abilities if ability.request is request}
        if request is TranslateRequest:
            listed = _pairs(languages)
        else:
            listed = _listed([f"ui.language.{name}" for name in LANGUAGES if name in languages])
        lines.append(f"<div>{both(f'ui.task.{task}')}{f' <span class=quiet>{listed}</span>' if listed else ''}</div>")
    return "".join(lines)


def _listed(keys: Sequence[str]) -> str:
    """Some texts as one enumeration, with the comma of each language."""
    en, zh = (comma.join(text(key, language) for key in keys) for comma, language in ((", ", "en"), ("、", "zh")))
    return spans(en, zh)


def _pairs(pairs: set[str]) -> str:
    n_all = len(LANGUAGES) * (len(LANGUAGES) - 1)
    if len(pairs & {f"{a}-{b}" for a in LANGUAGES for b in LANGUAGES}) == n_all:
        return both("ui.opening.pairs")
    return ", ".join(html.escape(pair.replace("-", " → ")) for pair in sorted(pairs))


def _senses(info: HostInfo) -> str:
    known = [sense for sense in ("picture", "sound") if sense in info.takes]
    marks = (f'<span class="sense">{theme.mark(sense)} {both(f"ui.sense.{sense}")}</span>' for sense in known)
    return " ".join(marks) if info.abilities else ""
