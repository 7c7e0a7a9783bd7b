"""Hide it: what a second sense is worth to the built-in model, seen by taking one away.

Above, words of a sentence are hidden, and it is translated by the text alone and with its photo; below, a clip is asked
about whole, without its picture and without its sound. The results are shown side by side (`view`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import gradio as gr

from engines import AskRequest, Cancel, CaptionRequest, Host, Result
from engines.lab import masked_translation
from engines.lab.masked_translation import PAIRS, WEIGHT, MaskedRequest, words
from studio import components, stream, views
from studio.components import CLIP, PHOTO, MediaInput
from studio.i18n import both, label, page_language
from studio.model_routing import BUILT_IN
from studio.state import AppState, Sample
from studio.tabs.masking import view

TAB = "masking"
WORDS, SENSES = "masking", "muting"
"""The two halves, by the names of their widgets and of their stops."""
EXAMPLES = {
    "dog.jpg": ("A dog is running through the grass.", "1"),
    "astronaut.jpg": ("A woman is standing in front of a flag.", "1"),
    "horses.jpg": ("Three horses stand in the grass.", "5"),
    "cow.jpg": ("A cow stands in the grass.", "5"),
}
"""Sample: a sentence about it, and the place of the word that is hidden first."""

Begin: TypeAlias = Callable[[Cancel], Sequence[Iterator[Result]]]
View: TypeAlias = Callable[[Sequence[Result | None], bool], str]
"""What there is of each stream, and whether no more comes → HTML."""
Frames: TypeAlias = Iterator[tuple[str, bool]]
"""HTML, and whether it goes on."""


@dataclass(frozen=True)
class Words:
    """The widgets of the first half. chosen: a box for each word, ticked where it is hidden."""

    media: MediaInput
    samples: gr.HTML
    pair: gr.Dropdown
    describe: gr.Button
    sentence: gr.Textbox
    chosen: gr.CheckboxGroup
    weight: gr.Slider
    run: gr.Button
    stop: gr.Button
    result: gr.HTML

    @property
    def inputs(self) -> list[gr.Component]:
        return [self.media.parts[PHOTO], self.pair, self.sentence, self.chosen, self.weight]


@dataclass(frozen=True)
class Senses:
    """The widgets of the second half."""

    media: MediaInput
    samples: gr.HTML
    question: gr.Textbox
    run: gr.Button
    stop: gr.Button
    result: gr.HTML

    @property
    def inputs(self) -> list[gr.Component]:
        return [self.media.parts[CLIP], self.question]


# --- what is asked ---------------------------------------------------------------------------------------------------


def masked(
    media: MediaInput, photo: str | None, pair: str, sentence: str | None, chosen: Sequence[str], weight: float
) -> tuple[MaskedRequest, MaskedRequest]:
    """The same translation by the text alone, and with the photo. Raises RequestError."""
    given = media.chosen(PHOTO, photo)
    assert isinstance(given, Path)
    source, target = pair.split("-")
    asked: dict[str, Any] = {"text": sentence or "", "source": source, "target": target}
    asked["hidden"] = frozenset(int(place) for place in chosen)
    return MaskedRequest(**asked), MaskedRequest(photo=given, weight=float(weight), **asked)


def muted(media: MediaInput, language: str, clip: str | None, question: str | None) -> tuple[AskRequest, ...]:
    """The same question with all there is, without the picture, and without the sound. Raises RequestError."""
    given = media.chosen(CLIP, clip)
    assert isinstance(given, Path)
    asked: dict[str, Any] = {"media": given, "question": question or "", "language": language}
    no_picture, no_sound = (
        AskRequest(hide=frozenset({"picture"}), **asked),
        AskRequest(hide=frozenset({"sound"}), **asked),
    )
    return AskRequest(**asked), no_picture, no_sound


def boxes(sentence: str | None, pair: str, ticked: Sequence[str]) -> Any:
    """An update with a box for each word of a sentence, ticked where one was at its place."""
    found = words(sentence or "", pair.split("-")[0])
    kept = [place for place in ticked if int(place) < len(found)]
    return gr.update(choices=[(each, str(n)) for n, each in enumerate(found)], value=kept, visible=bool(found))


def play(state: AppState, half: str, session: str, begin: Begin, render: View) -> Frames:
    """One stream after the other, all in one view. A newer run of the same half ends this one in silence."""
    cancel = state.running.start(session, half)
    try:
        yield views.waiting(), True
        try:
            streams = begin(cancel)
            found: list[Result | None] = [None] * len(streams)
            for n, results in enumerate(streams):
                for result in stream.steadily(results):
                    if not state.running.is_latest(session, half, cancel):
                        return
                    found[n] = result
                    yield render(found, False), True
                if cancel.is_set:
                    break
            yield render(found, True), False
        except Exception as error:  # the edge of the house, as in stream.play
            if state.running.is_latest(session, half, cancel):
                yield views.problem(stream.calm(error)), False
    finally:  # also when the page was closed: gradio ends this generator at a yield
        state.running.end(session, half, cancel)


def builtin(state: AppState) -> Host:
    """The built-in model where it is open, else whatever answers by default, which may be one like it."""
    return state.host.opened(BUILT_IN) or state.host.hosts()[0]


# --- the page --------------------------------------------------------------------------------------------------------


def create_ui(state: AppState) -> tuple[Words, Senses]:
    """Lay both halves out."""
    with gr.Row(elem_classes="split", elem_id=WORDS):
        with gr.Column(scale=5, elem_classes="split-input"):
            _ask(WORDS)
            media = components.media_input(WORDS, (PHOTO,))
            samples = components.samples(WORDS, _photos(state))
            with gr.Row(elem_classes="pair beside"):
                pair = gr.Dropdown(
                    [(label(f"ui.masking.pair.{name.replace('-', '.')}"), name) for name in PAIRS],
                    value=PAIRS[0],
                    label=label("ui.masking.pair"),
                    elem_id="masking-pair",
                    elem_classes="field",
                    filterable=False,
                    interactive=True,
                    scale=3,
                    min_width=170,
                )
                describe = gr.Button(
                    label("ui.masking.describe"), elem_id="masking-describe", size="sm", scale=2, min_width=140
                )
            sentence = gr.Textbox(
                label=label("ui.masking.sentence"),
                lines=2,
                max_lines=5,
                elem_id="masking-sentence",
                elem_classes="field",
                interactive=True,
            )
            chosen = gr.CheckboxGroup(
                [],
                label=label("ui.masking.chosen"),
                elem_id="masking-chosen",
                elem_classes="choice masked-words",
                visible=False,
                interactive=True,
            )
            weight = gr.Slider(
                0.0,
                1.0,
                value=WEIGHT,
                step=0.05,
                label=label("ui.masking.weight"),
                elem_id="masking-weight",
                elem_classes="dial",
                interactive=True,
            )
            with gr.Row(elem_classes="actions"):
                run, stop = components.run_stop(WORDS)
        with gr.Column(scale=7, elem_classes="split-result"):
            result = components.result_card(WORDS, views.empty(WORDS, view.example()))
    return Words(media, samples, pair, describe, sentence, chosen, weight, run, stop, result), _senses(state)


def _senses(state: AppState) -> Senses:
    with gr.Row(elem_classes="split", elem_id=SENSES):
        with gr.Column(scale=5, elem_classes="split-input"):
            _ask(SENSES)
            media = components.media_input(SENSES, (CLIP,))
            samples = components.samples(SENSES, _clips(state))
            question = gr.Textbox(
                label=label("ui.video.question"),
                lines=1,
                max_lines=4,
                elem_id="muting-question",
                elem_classes="field",
                interactive=True,
            )
            with gr.Row(elem_classes="actions"):
                run, stop = components.run_stop(SENSES)
        with gr.Column(scale=7, elem_classes="split-result"):
            result = components.result_card(SENSES, views.empty(SENSES))
    return Senses(media, samples, question, run, stop, result)


def _ask(half: str) -> None:
    gr.HTML(f'<p class="question-of">{both(f"ui.{half}.ask")}</p>', elem_id=f"{half}-ask", apply_default_css=False)


def _photos(state: AppState) -> list[Sample]:
    return [sample for sample in state.samples if sample.path.name in EXAMPLES]


def _clips(state: AppState) -> list[Sample]:
    return [sample for sample in state.samples if sample.kind == CLIP and all(sample.questions)]


# --- what happens ----------------------------------------------------------------------------------------------------

QUICK: dict[str, Any] = {"show_progress": "hidden", "queue": False, **stream.PRIVATE}
TYPED: dict[str, Any] = {**QUICK, "trigger_mode": "always_last", "preprocess": False}
"""Whatever was typed meanwhile is looked at too; gradio itself would refuse ticks of boxes that it has not seen yet."""
SLOW: dict[str, Any] = {"show_progress": "hidden", "preprocess": False, **stream.MODEL, **stream.PRIVATE}


def wire(state: AppState, widgets: tuple[Words, Senses]) -> None:
    """Make it work."""
    _wire_words(state, widgets[0])
    _wire_senses(state, widgets[1])


def _wire_words(state: AppState, page: Words) -> None:
    def act_translate(request: gr.Request, *values: Any) -> Iterator[dict[Any, Any]]:
        def begin(cancel: Cancel) -> Sequence[Iterator[Result]]:
            return [
                masked_translation.stream(host, each, cancel) for each in masked(page.media, *map(stream.plain, values))
            ]

        host = builtin(state)
        render: View = lambda found, is_over: view.translations(found, host.info, is_over)  # noqa: E731
        yield from _shown(page, play(state, WORDS, stream.session_of(request), begin, render))

    def act_describe(request: gr.Request, given: Any, pair: str) -> Iterator[dict[Any, Any]]:
        said = ""

        def begin(cancel: Cancel) -> Sequence[Iterator[Result]]:
            photo = page.media.chosen(PHOTO, stream.plain(given))
            assert isinstance(photo, Path)
            return [state.host.stream(CaptionRequest(media=photo, language=pair.split("-")[0]), cancel)]

        def render(found: Sequence[Result | None], is_over: bool) -> str:
            nonlocal said
            said = getattr(found[0], "text", "")
            return (
                views.empty(WORDS)
                if is_over
                else views.result_card("busy", views.stage(getattr(found[0], "progress", None)))
            )

        for updates in _shown(page, play(state, WORDS, stream.session_of(request), begin, render)):
            yield {**updates, page.sentence: said, page.chosen: boxes(said, pair, ())} if said else updates

    def pick(event: gr.EventData, request: gr.Request) -> dict[Any, Any]:
        (sample,) = (each for each in _photos(state) if each.file_id == event.sample)
        pair = "en-zh" if page_language(request) == "zh" else "en-de"
        sentence, place = EXAMPLES[sample.path.name]
        filled = {page.pair: pair, page.sentence: sentence, page.chosen: boxes(sentence, pair, (place,))}
        photo = page.media.parts[PHOTO]
        return {**filled, photo: components.lend(sample.path, photo)}

    running = [page.result, page.run, page.stop, page.describe]
    picked = page.samples.pick(pick, None, page.inputs[:4], **QUICK)
    for trigger in (page.run.click, page.sentence.submit, picked.success):
        trigger(act_translate, page.inputs, running, **SLOW)
    page.describe.click(act_describe, page.inputs[:2], [*running, page.sentence, page.chosen], **SLOW)
    for changed in (page.sentence.change, page.pair.input):
        changed(boxes, [page.sentence, page.pair, page.chosen], page.chosen, **TYPED)
    stream.wire_stop(state, WORDS, page.stop)


def _wire_senses(state: AppState, page: Senses) -> None:
    def act_ask(request: gr.Request, *values: Any) -> Iterator[dict[Any, Any]]:
        def begin(cancel: Cancel) -> Sequence[Iterator[Result]]:
            asked = muted(page.media, page_language(request), *map(stream.plain, values))
            return [state.host.stream(each, cancel) for each in asked]

        render: View = lambda found, is_over: view.answers(found, state.host.serving(AskRequest).info, is_over)  # noqa: E731
        yield from _shown(page, play(state, SENSES, stream.session_of(request), begin, render))

    def pick(event: gr.EventData, request: gr.Request) -> dict[Any, Any]:
        (sample,) = (each for each in _clips(state) if each.file_id == event.sample)
        clip = page.media.parts[CLIP]
        return {clip: components.lend(sample.path, clip), page.question: sample.question(page_language(request))}

    picked = page.samples.pick(pick, None, page.inputs, **QUICK)
    for trigger in (page.run.click, page.question.submit, picked.success):
        trigger(act_ask, page.inputs, [page.result, page.run, page.stop], **SLOW)
    stream.wire_stop(state, SENSES, page.stop)


def _shown(page: Words | Senses, frames: Frames) -> Iterator[dict[Any, Any]]:
    """Updates that show a run, with its stop meanwhile."""
    for shown, goes_on in frames:
        updates: dict[Any, Any] = {page.result: shown, page.stop: gr.update(visible=goes_on)}
        for button in (page.run, page.describe) if isinstance(page, Words) else (page.run,):
            updates[button] = gr.update(interactive=not goes_on)
        yield updates
