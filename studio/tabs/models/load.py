"""Load another model: look up what a name would open, then open it for a task, with progress and Stop.

Only the owner may do this. Whatever fails is reported in one sentence, and the current models go on serving.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gradio as gr

from engines import (
    LANGUAGES,
    TASKS,
    Cancel,
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
from engines.background import Queued, follow
from studio import components, model_routing, stream, theme, views
from studio.i18n import both, label, page_language, sentence, spans, text
from studio.model_routing import BUILT_IN
from studio.state import EVERYTHING, AppState
from studio.stream import Frames

TAB = "load"
FORMATS = ("auto", "float32", "bfloat16", "int8", "int4")
EVERY = "everything"
"""The page's name for the task EVERYTHING."""
LOADING = Progress("loading")
OPENING: dict[str, Any] = {"concurrency_id": "load", "concurrency_limit": 2, "preprocess": True}
"""Models are opened apart from the queue of model work: a download of an hour holds up nobody's request."""
OWNER_ONLY = RequestError("open_owner_only", "Models are opened by the owner of this studio only.")


@dataclass(frozen=True)
class LoadForm:
    """The widgets of the form."""

    name: gr.Textbox
    look: gr.Button
    task: gr.Radio
    format: gr.Dropdown
    idle_min: gr.Number
    key: gr.Textbox
    run: gr.Button
    stop: gr.Button
    result: gr.HTML


# --- what happens ----------------------------------------------------------------------------------------------------


def settings_of(state: AppState, device: str, dtype: str, idle_min: float | None, key: str | None) -> Settings:
    """How the next model is opened. Raises RequestError."""
    idle_s = 60.0 * (idle_min if idle_min is not None else 0.0)
    return replace(state.settings, device=device, dtype=dtype, idle_s=idle_s, api_key=(key or "").strip())


def look_up(state: AppState, session: str, name: str, settings: Settings) -> Frames:
    """Show what a name would open."""

    def steps(cancel: Cancel) -> Frames:
        wanted = full_name(state, name)

        def describe(emit: Callable[[Offer | Queued], None]) -> None:
            emit(state.looker(wanted, settings))

        with closing(follow(describe, cancel, discard=_close)) as offers:
            for offer in offers:
                if not isinstance(offer, Queued):
                    yield offer_view(offer), False

    return _run(state, session, Progress("looking"), steps)


def load(state: AppState, session: str, name: str, task: str, settings: Settings) -> Frames:
    """Open a model and route a task to it."""

    def steps(cancel: Cancel) -> Frames:
        wanted = full_name(state, name)
        current = state.host.opened(wanted)
        if current is not None and _fits(current.info, settings):
            yield assign(state, task, current), False
            return

        def open_model(emit: Callable[[Progress | Host | Queued], None]) -> None:
            emit(state.opener(wanted, settings, tell=emit, cancel=cancel))

        with closing(follow(open_model, cancel, discard=_close)) as news:
            for step in news:
                if isinstance(step, Progress):
                    is_fetched = 0 < step.total <= step.done  # now the weights are read
                    yield views.waiting(LOADING if is_fetched else step), True
                elif isinstance(step, Host):
                    state.host.note(Route(wanted, settings.dtype, settings.idle_s))
                    yield assign(state, task, step, instead_of=current), False

    return _run(state, session, LOADING, steps)


def _run(state: AppState, session: str, first: Progress, steps: Callable[[Cancel], Frames]) -> Frames:
    stopped = views.stopped("ui.load.stopped")
    return stream.run(state, session, TAB, steps, first=views.waiting(first), stopped=stopped)


def _close(value: object) -> None:
    """Close a model that nobody waits for any more."""
    if isinstance(value, Host):
        value.close()


def assign(state: AppState, task: str, host: Host, *, instead_of: Host | None = None) -> str:
    """Route a task to an open model, save that for the next start, and say so. instead_of: the same model as it was
    opened before; its other tasks move too."""
    others = [each for each, kinds in TASKS.items() if state.host.serving(kinds[0]) is instead_of]
    for each in (task, *others):
        model_routing.assign(state.host, each, host)
    try:
        model_routing.save(state)
    except UserError as error:
        return loaded_view(host.info, task, warning=error)
    return loaded_view(host.info, task)


def full_name(state: AppState, typed: str) -> str:
    """A typed name as it is saved, a folder by its whole path. Raises RequestError; visitors may open nothing."""
    if state.shared:
        raise OWNER_ONLY
    name = typed.strip().strip("\"'")
    if not name:
        raise RequestError("model_name_needed", "Type the name of a model, a folder or an address first.")
    folder = Path(name).expanduser()
    return str(folder.resolve()) if folder.is_dir() else name


def _fits(info: HostInfo, settings: Settings) -> bool:
    """Whether an open model was opened as these settings ask."""
    return settings.dtype in ("auto", info.dtype) and settings.idle_s == 0 and not settings.api_key


# --- the form --------------------------------------------------------------------------------------------------------


def create_ui() -> LoadForm:
    """Lay out the form."""
    with gr.Row(elem_classes="split", elem_id=TAB):
        with gr.Column(scale=5, elem_classes="split-input"):
            components.html("", f'<h2 class="block-title">{both("ui.load.title")}</h2>')
            with gr.Row(elem_classes="actions beside"):
                sizes = {"lines": 1, "max_lines": 1, "scale": 5, "min_width": 180}
                name = components.textbox("load-name", "ui.load.name", placeholder="openai/whisper-base", **sizes)
                look = gr.Button(label("ui.load.look"), elem_id="load-look", scale=1, min_width=84)
            tasks = components.choices("ui.task.", (EVERY, *TASKS))
            task = components.radio("load-task", "ui.load.task", tasks, EVERY)
            with gr.Accordion(label("ui.options"), open=False, elem_classes="options"):
                with gr.Row(elem_classes="pair"):
                    formats = [(label("ui.models.auto") if each == "auto" else each, each) for each in FORMATS]
                    dtype = components.dropdown("load-format", "ui.load.format", formats, "auto", min_width=140)
                    idle_min = components.number("load-idle", "ui.load.idle", 0, minimum=0, precision=0, min_width=140)
                hint = label("ui.load.key.hint")
                key = components.textbox("load-key", "ui.load.key", info=hint, type="password", lines=1, max_lines=1)
            with gr.Row(elem_classes="actions"):
                run, stop = components.run_stop(TAB)
        with gr.Column(scale=7, elem_classes="split-result"):
            result = components.result_card(TAB, views.empty(TAB))
    return LoadForm(name, look, task, dtype, idle_min, key, run, stop, result)


def wire(state: AppState, form: LoadForm, device: gr.Radio, back: Any) -> Sequence[Any]:
    """Attach the events. back: the event that carries a task to route back to the built-in model.

    Returns the events after which the routes may have changed.
    """
    options = [device, form.format, form.idle_min, form.key]

    def started(session: str, language: str, job: Any, options: Sequence[Any], *given: str) -> Frames:
        if state.running.is_busy(session, TAB):  # pressing Enter in the name must not end a long download
            gr.Warning(text("ui.load.busy", language))
            return
        with stream.failures() as failed:
            yield from job(state, session, *given, settings_of(state, *options))
        for error in failed:
            yield views.problem(error), False

    def act_look(session: str, language: str, name: str, *options: Any) -> Frames:
        return started(session, language, look_up, options, name)

    def act_load(session: str, language: str, name: str, task: str, *options: Any) -> Frames:
        return started(session, language, load, options, name, EVERYTHING if task == EVERY else task)

    def act_back(event: gr.EventData, request: gr.Request, device: str) -> Iterator[dict[Any, Any]]:
        task, options = event.back if event.back in TASKS else EVERYTHING, (device, "auto", 0, "")
        frames = started(stream.session_of(request), page_language(request), load, options, BUILT_IN, task)
        yield from stream.updates(frames, form, form.look)

    stream.wire_frames([form.look.click, form.name.submit], act_look, [form.name, *options], form, form.look, **OPENING)
    inputs = [form.name, form.task, *options]
    (loaded,) = stream.wire_frames([form.run.click], act_load, inputs, form, form.look, **OPENING)
    returned = back(act_back, device, [form.result, form.look, form.run, form.stop], **OPENING, **stream.PRIVATE)
    loaded.then(lambda: "", None, form.key, **stream.QUICK)
    stream.wire_stop(state, TAB, form.stop)
    return loaded, returned


# --- as HTML ---------------------------------------------------------------------------------------------------------


def loaded_view(info: HostInfo, task: str, *, warning: UserError | None = None) -> str:
    """Which model serves the task from now on."""
    body = f'<p class="sentence small">{model_routing.about("ui.load.loaded", task, info)}</p>'
    body += f'<p class="quiet number">{model_routing.place(info)}</p>'
    if task != EVERYTHING and not model_routing.supports(info, task):
        body += f'<p class="warning">{model_routing.about("ui.answers.unable", task, info)}</p>'
    if warning is not None:
        body += f'<p class="warning">{sentence(warning)}</p>'
    return views.result_card("done", body)


def offer_view(offer: Offer) -> str:
    """What a name would open."""
    info = offer.info
    rows = (
        ("name", html.escape(info.name)),
        ("kind", both(f"ui.load.kind.{kind(info)}")),
        ("download", model_routing.size(offer.download_bytes) if offer.download_bytes > 0 else ""),
        ("parameters", model_routing.parameters(info) if info.n_parameters > 0 else ""),
        ("memory", model_routing.memory(info) if info.memory_bytes > 0 or info.device == "remote" else ""),
        ("device", " · ".join(part for part in (model_routing.where(info), html.escape(info.dtype)) if part)),
        ("licence", html.escape(info.licence)),
        ("does", _tasks(info)),
        ("modalities", _modalities(info)),
    )
    later = "" if info.abilities else f'<p class="quiet">{both("ui.load.later")}</p>'
    return views.result_card("done", facts_list(rows) + later)


def facts_list(rows: Sequence[tuple[str, str]]) -> str:
    """(name of a fact, HTML of its value) pairs as a list; empty values are left out."""
    listed = "".join(f"<dt>{both('ui.models.' + key)}</dt><dd>{value}</dd>" for key, value in rows if value)
    return f'<dl class="facts-list">{listed}</dl>'


def kind(info: HostInfo) -> str:
    """What kind of host it is: the built-in model, a transformers checkpoint, or a server."""
    return "server" if info.device == "remote" else "builtin" if info.source == BUILT_IN else "transformers"


def _tasks(info: HostInfo) -> str:
    """Each task with its languages, one per line."""
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
    """Texts as one enumeration, with the comma of each language."""
    en, zh = (comma.join(text(key, language) for key in keys) for comma, language in ((", ", "en"), ("、", "zh")))
    return spans(en, zh)


def _pairs(pairs: set[str]) -> str:
    n_all = len(LANGUAGES) * (len(LANGUAGES) - 1)
    if len(pairs & {f"{a}-{b}" for a in LANGUAGES for b in LANGUAGES}) == n_all:
        return both("ui.load.pairs")
    return ", ".join(html.escape(pair.replace("-", " → ")) for pair in sorted(pairs))


def _modalities(info: HostInfo) -> str:
    known = [each for each in ("picture", "sound") if each in info.takes]
    marks = (f'<span class="modality">{theme.mark(each)} {both(f"ui.modality.{each}")}</span>' for each in known)
    return " ".join(marks) if info.abilities else ""
