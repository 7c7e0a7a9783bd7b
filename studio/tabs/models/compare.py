"""Compare: the same request to two models, one after the other; the result, time and memory of each."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
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
from studio.i18n import both, label, sentence
from studio.model_routing import BUILT_IN
from studio.state import AppState, Sample

TAB = "compare"
TASKS = ("caption", "transcribe", "translate", "ask")


@dataclass(frozen=True)
class Compare:
    """The widgets of the form."""

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
    """One half of a comparison so far. info: None until the model is open."""

    source: str
    info: HostInfo | None = None
    result: Result | None = None
    error: UserError | None = None


# --- what happens ----------------------------------------------------------------------------------------------------


def build(task: str, words: str, source: str, language: str, media: MediaInput, kind: str, *files: Any) -> Request:
    """The request for both models. Raises RequestError."""
    if task == "translate":
        return TranslateRequest(text=words or "", source=source, target=language)
    given = media.file(kind, *files)
    if task == "transcribe":
        return TranscribeRequest(media=given)
    if task == "ask":
        return AskRequest(media=given, question=words or "", language=language)
    return CaptionRequest(media=given, language=language)


def compare(state: AppState, session: str, block: Compare, values: Sequence[Any]) -> stream.Frames:
    """Give both models the same request, one after the other. One may fail and the other still runs."""

    def steps(cancel: Cancel) -> stream.Frames:
        left, right, task, words, source, language, kind, *files = map(stream.widget_value, values)
        if state.shared:
            raise RequestError("compare_owner_only", "Models are compared by the owner of this studio only.")
        if left == right:
            raise RequestError("compare_same_model", "Choose two different models to compare.")
        request = build(task, words, source, language, block.media, kind, *files)
        yield from both_sides(state, (left, right), request, cancel)

    return stream.run(state, session, TAB, steps)


def both_sides(state: AppState, sources: Sequence[str], request: Request, cancel: Cancel) -> stream.Frames:
    """Both sides of a comparison, as they come."""
    sides = [Side(source) for source in sources]
    yield view(state, sides), True
    for n, source in enumerate(sources):
        for side in _side(state, source, request, cancel):
            sides[n] = side
            yield view(state, sides), True
        if cancel.is_set:
            break
    yield view(state, sides, is_over=True), False


def _side(state: AppState, source: str, request: Request, cancel: Cancel) -> Iterator[Side]:
    side = Side(source)
    with stream.failures() as failed, _open(state, source) as host:
        side = replace(side, info=host.info)
        yield side
        for result in stream.throttled(host.stream(request, cancel)):
            side = replace(side, result=result)
            yield side
    for error in failed:
        yield replace(side, error=error)


@contextmanager
def _open(state: AppState, source: str) -> Iterator[Host]:
    """A model that is open already, or the built-in one, opened for the comparison only."""
    host = state.host.opened(source)
    if host is not None:
        yield host
        return
    if source != BUILT_IN:  # closed by another page meanwhile
        raise RequestError("host_closed", "This model was closed; open it again.")
    host = state.host.open(Route(BUILT_IN))
    try:
        yield host
    finally:
        host.close()


def choices(state: AppState) -> list[tuple[str, str]]:
    """(name, source) of every open model, and of the built-in one."""
    infos = [host.info for host in state.host.hosts()]
    known = [(info.name, info.source) for info in infos]
    return known if any(info.source == BUILT_IN for info in infos) else [*known, (BUILT_IN, BUILT_IN)]


def still_offered(state: AppState, left: str | None, right: str | None) -> tuple[str, str]:
    """The values of the two choices: as they were if still possible, and two different models if there are two."""
    names = [source for _, source in choices(state)]
    left = left if left in names else names[0]
    others = [name for name in names if name != left] or names
    return left, right if right in others else others[-1]


# --- the form --------------------------------------------------------------------------------------------------------


def create_ui(state: AppState) -> Compare:
    """Lay out the form."""
    languages = components.languages()
    with gr.Row(elem_classes="split", elem_id="compare"):
        with gr.Column(scale=5, elem_classes="split-input"):
            components.html("", f'<h2 class="block-title">{both("ui.compare.title")}</h2>')
            with gr.Row(elem_classes="pair"):
                models, (one, other) = choices(state), still_offered(state, None, None)
                left = components.dropdown("compare-left", "ui.compare.left", models, one, min_width=130)
                right = components.dropdown("compare-right", "ui.compare.right", models, other, min_width=130)
            tasks = components.choices("ui.task.", TASKS)
            task = components.radio("compare-task", "ui.compare.task", tasks, TASKS[0])
            with gr.Column(elem_id="compare-media", elem_classes="bare") as _:
                media = components.media_input(TAB, (PHOTO, SOUND, CLIP))
                samples = components.samples(TAB, _samples(state))
            words = components.textbox("compare-words", "ui.compare.words", lines=2, max_lines=8, visible=False)
            with gr.Row(elem_classes="pair"):
                source = components.dropdown(
                    "compare-source", "ui.speech.source", languages, "en", visible=False, min_width=130
                )
                language = components.dropdown(
                    "compare-language", "ui.caption.language", languages, "en", min_width=130
                )
            with gr.Row(elem_classes="actions"):
                run, stop = components.run_stop(TAB)
        with gr.Column(scale=7, elem_classes="split-result"):
            result = components.result_card(TAB, views.empty(TAB))
    return Compare(left, right, task, media, samples, words, source, language, run, stop, result)


def _samples(state: AppState) -> list[Sample]:
    """The samples of the tasks that can be compared."""
    return [sample for sample in state.samples if set(sample.tabs) & {"caption", "speech", "video"}]


def wire(state: AppState, block: Compare) -> None:
    """Attach the events."""
    block.media.wire()

    def act_compare(session: str, _language: str, *values: Any) -> stream.Frames:
        return compare(state, session, block, values)

    stream.wire_frames([block.run.click], act_compare, block.inputs, block)
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
    block.task.input(show, [block.task, block.media.kind, block.source, block.language], changed, **stream.QUICK)

    def fill(sample: Sample, language: str) -> dict[Any, Any]:
        question = sample.question(language)
        return block.media.show_sample(sample) | ({block.words: question} if question else {})

    components.wire_samples(state, block.samples, fill, [*block.media.inputs, block.words])


# --- as HTML ---------------------------------------------------------------------------------------------------------


def view(state: AppState, sides: Sequence[Side], *, is_over: bool = False) -> str:
    """Both sides. is_over: no more will come, so what is missing was stopped."""
    halves = "".join(_half(state, side, is_over) for side in sides)
    is_stopped = any(side.error is None and (side.result is None or side.result.end == "cancelled") for side in sides)
    status = "busy" if not is_over else "stopped" if is_stopped else "done"
    return views.result_card(status, f'<div class="sides">{halves}</div>')


def _half(state: AppState, side: Side, is_over: bool) -> str:
    names = {source: name for name, source in choices(state)}
    info, result = side.info, side.result
    name = html.escape(info.name if info is not None else names.get(side.source, side.source))
    text = html.escape(getattr(result, "text", ""))
    said = f'<p class="sentence small">{text}</p>' if text else ""
    if side.error is not None:
        said += f'<p class="problem">{sentence(side.error)}</p>'
    elif result is None and info is not None and not is_over:
        said = views.stage(None)
    facts = []
    if result is not None:
        facts.append(f"{result.seconds:.1f} s")
        facts += [both("ui.cut")] if result.end == "cut" else []
    if info is not None:
        facts.append(model_routing.place(info))
    foot = f'<p class="quiet number">{" · ".join(facts)}</p>'
    return views.side(f'<h3 title="{name}">{name}</h3>', said, result, is_over=is_over, foot=foot)
