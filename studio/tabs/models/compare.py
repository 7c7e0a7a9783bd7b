"""Compare: one input, two models, one after the other; what each says, how long it takes and what it needs."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gradio as gr

from engines import (
    LANGUAGES,
    AskRequest,
    Cancel,
    CaptionRequest,
    Host,
    HostInfo,
    Request,
    RequestError,
    Result,
    Route,
    TranscribeRequest,
    TranslateRequest,
    UserError,
)
from studio import components, model_routing, stream, views
from studio.components import CLIP, PHOTO, SOUND, MediaInput
from studio.i18n import both, label, page_language, spans
from studio.model_routing import BUILT_IN
from studio.state import AppState

TAB = "compare"
TASKS = ("caption", "transcribe", "translate", "ask")


@dataclass(frozen=True)
class Compare:
    """The widgets of the block."""

    left: gr.Dropdown
    right: gr.Dropdown
    task: gr.Radio
    media: MediaInput
    samples: gr.HTML
    words: gr.Textbox
    source: gr.Dropdown
    language: gr.Dropdown
    run: gr.Button
    stop: gr.Button
    result: gr.HTML

    @property
    def inputs(self) -> list[gr.Component]:
        return [self.left, self.right, self.task, self.words, self.source, self.language, *self.media.inputs]


@dataclass(frozen=True)
class Side:
    """One half of a comparison, as far as it is. info: None until the model is there."""

    source: str
    info: HostInfo | None = None
    result: Result | None = None
    error: UserError | None = None


# --- what happens ----------------------------------------------------------------------------------------------------


def build(task: str, words: str, source: str, language: str, media: MediaInput, kind: str, *files: Any) -> Request:
    """The request both models are given. Raises RequestError."""
    if task == "translate":
        return TranslateRequest(text=words or "", source=source, target=language)
    given = media.chosen(kind, *files)
    assert isinstance(given, Path)
    if task == "transcribe":
        return TranscribeRequest(media=given)
    if task == "ask":
        return AskRequest(media=given, question=words or "", language=language)
    return CaptionRequest(media=given, language=language)


def play(state: AppState, session: str, sources: Sequence[str], request: Request) -> Iterator[tuple[str, bool]]:
    """Ask one model after the other: (HTML, whether it goes on) again and again. One may fail, the other still runs."""
    cancel = state.running.start(session, TAB)
    sides = [Side(source) for source in sources]
    try:
        yield view(state, sides), True
        for n, source in enumerate(sources):
            for side in _answers(state, source, request, cancel):
                if not state.running.is_latest(session, TAB, cancel):
                    return
                sides[n] = side
                yield view(state, sides), True
            if cancel.is_set:
                break
        yield view(state, sides, is_over=True), False
    finally:  # also when the page was closed: gradio ends this generator at a yield
        state.running.end(session, TAB, cancel)


def _answers(state: AppState, source: str, request: Request, cancel: Cancel) -> Iterator[Side]:
    side = Side(source)
    try:
        with _open(state, source) as host:
            side = replace(side, info=host.info)
            yield side
            for result in stream.steadily(host.stream(request, cancel)):
                side = replace(side, result=result)
                yield side
    except Exception as error:  # the edge of the house, as in stream.play
        yield replace(side, error=stream.calm(error))


@contextmanager
def _open(state: AppState, source: str) -> Iterator[Host]:
    """A model that is open, or the built-in one for as long as it is needed."""
    host = state.host.opened(source)
    if host is not None:
        yield host
        return
    if source != BUILT_IN:  # closed since the page was shown
        raise RequestError("host_closed", "This model was closed; open it again.")
    host = state.host.open(Route(BUILT_IN))
    try:
        yield host
    finally:
        host.close()


def choices(state: AppState) -> list[tuple[str, str]]:
    """(name, what it was opened with) of every open model, and of the built-in one."""
    infos = [host.info for host in state.host.hosts()]
    known = [(info.name, info.source) for info in infos]
    return known if any(info.source == BUILT_IN for info in infos) else [*known, (BUILT_IN, BUILT_IN)]


def picked(state: AppState, left: str | None, right: str | None) -> tuple[str, str]:
    """What the two choices show: what they showed, where that is still there, and two models where there are two."""
    names = [source for _, source in choices(state)]
    left = left if left in names else names[0]
    others = [name for name in names if name != left] or names
    return left, right if right in others else others[-1]


# --- the block -------------------------------------------------------------------------------------------------------


def create_ui(state: AppState) -> Compare:
    """Lay the block out."""
    languages = [(label(f"ui.language.{name}"), name) for name in LANGUAGES]
    shown: dict[str, Any] = {"elem_classes": "field", "filterable": False, "interactive": True, "min_width": 130}
    with gr.Row(elem_classes="split", elem_id="compare"):
        with gr.Column(scale=5, elem_classes="split-input"):
            gr.HTML(f'<h2 class="block-title">{both("ui.compare.title")}</h2>', apply_default_css=False)
            with gr.Row(elem_classes="pair"):
                models, (one, other) = choices(state), picked(state, None, None)
                left = gr.Dropdown(models, value=one, label=label("ui.compare.left"), elem_id="compare-left", **shown)
                right = gr.Dropdown(
                    models, value=other, label=label("ui.compare.right"), elem_id="compare-right", **shown
                )
            task = gr.Radio(
                [(label(f"ui.task.{name}"), name) for name in TASKS],
                value=TASKS[0],
                label=label("ui.compare.task"),
                elem_id="compare-task",
                elem_classes="choice",
                interactive=True,
            )
            with gr.Column(elem_id="compare-media", elem_classes="bare") as _:
                media = components.media_input(TAB, (PHOTO, SOUND, CLIP))
                samples = components.samples(TAB, _samples(state))
            words = gr.Textbox(
                label=label("ui.compare.words"),
                lines=2,
                max_lines=8,
                elem_id="compare-words",
                elem_classes="field",
                visible=False,
                interactive=True,
            )
            with gr.Row(elem_classes="pair"):
                source = gr.Dropdown(
                    languages,
                    value="en",
                    label=label("ui.speech.source"),
                    elem_id="compare-source",
                    visible=False,
                    **shown,
                )
                language = gr.Dropdown(
                    languages, value="en", label=label("ui.caption.language"), elem_id="compare-language", **shown
                )
            with gr.Row(elem_classes="actions"):
                run, stop = components.run_stop(TAB)
        with gr.Column(scale=7, elem_classes="split-result"):
            result = components.result_card(TAB, views.empty(TAB))
    return Compare(left, right, task, media, samples, words, source, language, run, stop, result)


def _samples(state: AppState) -> list[Any]:
    """A sample of each sort that can be compared on; those of the search stay there."""
    return [sample for sample in state.samples if set(sample.tabs) & {"caption", "speech", "video"}]


def wire(state: AppState, block: Compare) -> None:
    """Make it work."""
    block.media.wire()

    def act(request: gr.Request, *values: Any) -> Iterator[tuple[Any, ...]]:
        for shown, goes_on in _run(state, block, stream.session_of(request), values):
            yield shown, gr.update(interactive=not goes_on), gr.update(visible=goes_on)

    # Without preprocessing: gradio would open photos itself, and fail on a damaged one in its own words.
    block.run.click(
        act,
        block.inputs,
        [block.result, block.run, block.stop],
        show_progress="hidden",
        preprocess=False,
        **stream.MODEL,
        **stream.PRIVATE,
    )
    stream.wire_stop(state, TAB, block.stop)

    def show(task: str, kind: str, source: str, language: str) -> dict[Any, Any]:
        has_media = task != "translate"
        updates = block.media.show(kind)
        for part in (block.media.kind, block.samples):
            updates[part] = gr.update(visible=has_media)
        if not has_media:
            updates |= {part: gr.update(visible=False) for part in block.media.parts.values()}
        words = "ui.compare.text" if task == "translate" else "ui.video.question"
        updates[block.words] = gr.update(visible=task in ("translate", "ask"), label=label(words))
        updates[block.source] = gr.update(visible=task == "translate")
        target = "ui.speech.target" if task == "translate" else "ui.caption.language"
        updates[block.language] = gr.update(visible=task != "transcribe", label=label(target))
        if task == "translate" and source == language:
            updates[block.language]["value"] = next(name for name in LANGUAGES if name != source)
        return updates

    changed = [*block.media.inputs, block.samples, block.words, block.source, block.language]
    block.task.input(
        show,
        [block.task, block.media.kind, block.source, block.language],
        changed,
        show_progress="hidden",
        queue=False,
        **stream.PRIVATE,
    )

    by_id = {sample.file_id: sample for sample in _samples(state)}

    def pick(event: gr.EventData, request: gr.Request) -> dict[Any, Any]:
        sample = by_id[event.sample]
        kind = sample.input_kind
        updates = block.media.show(kind, components.lend(sample.path, block.media.parts[kind]))
        question = sample.question(page_language(request))
        return updates | ({block.words: gr.update(value=question)} if question else {})

    block.samples.pick(
        pick, None, [*block.media.inputs, block.words], show_progress="hidden", queue=False, **stream.PRIVATE
    )


def _run(state: AppState, block: Compare, session: str, values: Sequence[Any]) -> Iterator[tuple[str, bool]]:
    try:
        left, right, task, words, source, language, kind, *files = map(stream.plain, values)
        if not state.rules.devices:
            raise RequestError("compare_owner_only", "Models are compared by the owner of this studio only.")
        if left == right:
            raise RequestError("compare_same_model", "Choose two different models to compare.")
        request = build(task, words, source, language, block.media, kind, *files)
    except UserError as error:
        yield views.problem(error), False
        return
    yield from play(state, session, (left, right), request)


# --- as HTML ---------------------------------------------------------------------------------------------------------


def view(state: AppState, sides: Sequence[Side], *, is_over: bool = False) -> str:
    """Both halves side by side. is_over: nothing more comes, so what is not there was stopped."""
    halves = "".join(_half(state, side, is_over) for side in sides)
    is_stopped = any(side.error is None and (side.result is None or side.result.end == "cancelled") for side in sides)
    status = "busy" if not is_over else "stopped" if is_stopped else "done"
    return views.result_card(status, f'<div class="sides">{halves}</div>')


def _half(state: AppState, side: Side, is_over: bool) -> str:
    names = {source: name for name, source in choices(state)}
    info, result = side.info, side.result
    name = info.name if info is not None else names.get(side.source, side.source)
    title = f'<h3 title="{html.escape(name)}">{html.escape(name)}</h3>'
    text = str(getattr(result, "text", "")) if result is not None else ""
    said = f'<p class="sentence small">{html.escape(text)}</p>' if text else ""
    if side.error is not None:
        said += f'<p class="problem">{spans(side.error.en, side.error.zh)}</p>'
    elif not text and result is not None and result.done:
        said = f'<p class="nothing">{both(_why(result))}</p>'
    elif not text and is_over:
        said = f'<p class="nothing">{both("ui.stopped.early")}</p>'
    elif not text and info is None:
        said = f'<p class="quiet">{both("ui.compare.next")}</p>'
    elif result is None or not result.done:
        said += views.stage(result.progress if result is not None else None) if not text else ""
    facts = []
    if result is not None:
        facts.append(f"{result.seconds:.1f} s")
        facts += [both("ui.cut")] if result.end == "cut" else []
    if info is not None:
        facts.append(model_routing.place(info))
    foot = f'<p class="quiet number">{" · ".join(facts)}</p>'
    return f'<article class="side">{title}<div class="side-said">{said}</div>{foot}</article>'


def _why(result: Result) -> str:
    if result.end == "cancelled":
        return "ui.stopped.early"
    if isinstance(result.request, TranscribeRequest):
        return "ui.speech.nothing"
    return "ui.silent" if result.end == "empty" else "ui.caption.nothing"
