"""Masking: what a second modality is worth to the built-in model, seen by taking it away.

In the upper half, words of a sentence are hidden, and it is translated from the text alone and with its photo. In the
lower half, a question about a clip is answered from everything, without its picture and without its sound.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from engines import AskRequest, Cancel, CaptionRequest, Result
from engines.lab import masked_translation
from engines.lab.masked_translation import PAIRS, WEIGHT, MaskedRequest, words
from studio import components, stream, views
from studio.components import CLIP, PHOTO, MediaInput
from studio.i18n import label
from studio.model_routing import built_in
from studio.state import AppState, Sample
from studio.stream import MODEL, PRIVATE, QUICK, UNPROCESSED
from studio.tabs.masking import view

TAB = "masking"
WORDS, MODALITIES = "masking", "muting"
"""The two halves: prefix of their element ids, and key of their runs."""
EXAMPLES = {
    "dog.jpg": ("A dog is running through the grass.", "1"),
    "astronaut.jpg": ("A woman is standing in front of a flag.", "1"),
    "horses.jpg": ("Three horses stand in the grass.", "5"),
    "cow.jpg": ("A cow stands in the grass.", "5"),
}
"""Sample: a sentence about it, and the position of the word that is hidden first."""


@dataclass(frozen=True)
class WordMasking:
    """The widgets of the upper half. chosen: a box per word, ticked if the word is hidden."""

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
class ModalityMasking:
    """The widgets of the lower half."""

    media: MediaInput
    samples: gr.HTML
    question: gr.Textbox
    run: gr.Button
    stop: gr.Button
    result: gr.HTML

    @property
    def inputs(self) -> list[gr.Component]:
        return [self.media.parts[CLIP], self.question]


# --- requests --------------------------------------------------------------------------------------------------------


def translation_requests(
    media: MediaInput, photo: str | None, pair: str, sentence: str | None, chosen: Sequence[str], weight: float
) -> tuple[MaskedRequest, MaskedRequest]:
    """The same translation from the text alone, and with the photo. Raises RequestError."""
    given = media.file(PHOTO, photo)
    source, target = pair.split("-")
    hidden = frozenset(int(place) for place in chosen)
    asked: dict[str, Any] = {"text": sentence or "", "source": source, "target": target, "hidden": hidden}
    return MaskedRequest(**asked), MaskedRequest(photo=given, weight=float(weight), **asked)


def ask_requests(media: MediaInput, language: str, clip: str | None, question: str | None) -> tuple[AskRequest, ...]:
    """The same question with everything, without the picture, and without the sound. Raises RequestError."""
    given = media.file(CLIP, clip)
    asked: dict[str, Any] = {"media": given, "question": question or "", "language": language}
    hidden: tuple[Any, ...] = (frozenset(), frozenset({"picture"}), frozenset({"sound"}))
    return tuple(AskRequest(hide=hide, **asked) for hide in hidden)


def word_boxes(sentence: str | None, pair: str, ticked: Sequence[str]) -> Any:
    """An update with a box per word of a sentence, ticked at the same positions as before."""
    found = words(sentence or "", pair.split("-")[0])
    kept = [place for place in ticked if int(place) < len(found)]
    return gr.update(choices=[(each, str(n)) for n, each in enumerate(found)], value=kept, visible=bool(found))


def one_by_one(streams: Sequence[Iterator[Result]], cancel: Cancel) -> Iterator[tuple[list[Result | None], bool]]:
    """(Newest result of each stream, whether all are over), one stream after the other."""
    found: list[Result | None] = [None] * len(streams)
    for n, results in enumerate(streams):
        for result in stream.throttled(results):
            found[n] = result
            yield found, False
        if cancel.is_set:
            break
    yield found, True


# --- the page --------------------------------------------------------------------------------------------------------


def create_ui(state: AppState) -> tuple[WordMasking, ModalityMasking]:
    """Lay out both halves."""
    return _word_masking(state), _modality_masking(state)


def _word_masking(state: AppState) -> WordMasking:
    with gr.Row(elem_classes="split", elem_id=WORDS):
        with gr.Column(scale=5, elem_classes="split-input"):
            components.question_of(WORDS, "ui.masking.ask")
            media = components.media_input(WORDS, (PHOTO,))
            samples = components.samples(WORDS, _photos(state))
            with gr.Row(elem_classes="pair beside"):
                pairs = [(label(f"ui.masking.pair.{name.replace('-', '.')}"), name) for name in PAIRS]
                pair = components.dropdown("masking-pair", "ui.masking.pair", pairs, PAIRS[0], scale=3, min_width=170)
                describe = components.button("masking-describe", "ui.masking.describe", scale=2, min_width=140)
            sentence = components.textbox("masking-sentence", "ui.masking.sentence", lines=2, max_lines=5)
            chosen = components.checkboxes(
                "masking-chosen", "ui.masking.chosen", [], elem_classes="choice masked-words", visible=False
            )
            weight = components.slider("masking-weight", "ui.masking.weight", 0.0, 1.0, WEIGHT, step=0.05)
            with gr.Row(elem_classes="actions"):
                run, stop = components.run_stop(WORDS)
        with gr.Column(scale=7, elem_classes="split-result"):
            result = components.result_card(WORDS, views.empty(WORDS, view.example()))
    return WordMasking(media, samples, pair, describe, sentence, chosen, weight, run, stop, result)


def _modality_masking(state: AppState) -> ModalityMasking:
    with gr.Row(elem_classes="split", elem_id=MODALITIES):
        with gr.Column(scale=5, elem_classes="split-input"):
            components.question_of(MODALITIES, "ui.muting.ask")
            media = components.media_input(MODALITIES, (CLIP,))
            samples = components.samples(MODALITIES, _clips(state))
            question = components.textbox("muting-question", "ui.video.question", lines=1, max_lines=4)
            with gr.Row(elem_classes="actions"):
                run, stop = components.run_stop(MODALITIES)
        with gr.Column(scale=7, elem_classes="split-result"):
            result = components.result_card(MODALITIES, views.empty(MODALITIES))
    return ModalityMasking(media, samples, question, run, stop, result)


def _photos(state: AppState) -> list[Sample]:
    return [sample for sample in state.samples if sample.path.name in EXAMPLES]


def _clips(state: AppState) -> list[Sample]:
    return [sample for sample in state.samples if sample.kind == CLIP and all(sample.questions)]


# --- events ----------------------------------------------------------------------------------------------------------

TYPED: dict[str, Any] = {**QUICK, **UNPROCESSED, "trigger_mode": "always_last"}
"""Text typed meanwhile is handled too. Gradio's preprocessing would refuse ticks of boxes that it has not seen yet."""


def wire(state: AppState, widgets: tuple[WordMasking, ModalityMasking]) -> None:
    """Attach the events."""
    _wire_words(state, widgets[0])
    _wire_modalities(state, widgets[1])


def _wire_words(state: AppState, page: WordMasking) -> None:
    def act_translate(session: str, _language: str, *values: Any) -> stream.Frames:
        def steps(cancel: Cancel) -> stream.Frames:
            host, asked = built_in(state), translation_requests(page.media, *map(stream.widget_value, values))
            streams = [masked_translation.stream(host, each, cancel) for each in asked]
            for found, is_over in one_by_one(streams, cancel):
                yield view.translations(found, host.info, is_over), not is_over

        return stream.run(state, session, WORDS, steps)

    def act_describe(request: gr.Request, given: Any, pair: str) -> Iterator[dict[Any, Any]]:
        caption = ""

        def steps(cancel: Cancel) -> stream.Frames:
            nonlocal caption
            photo = page.media.file(PHOTO, stream.widget_value(given))
            for result in stream.results_of(state, [CaptionRequest(media=photo, language=pair.split("-")[0])], cancel):
                caption = getattr(result, "text", "")
                yield views.waiting(result.progress), True
            yield views.empty(WORDS), False

        frames = stream.run(state, stream.session_of(request), WORDS, steps)
        for updates in stream.updates(frames, page, page.describe):
            filled = {page.sentence: caption, page.chosen: word_boxes(caption, pair, ())} if caption else {}
            yield {**updates, **filled}

    def fill(sample: Sample, language: str) -> dict[Any, Any]:
        pair, photo = "en-zh" if language == "zh" else "en-de", page.media.parts[PHOTO]
        sentence, place = EXAMPLES[sample.path.name]
        filled = {page.pair: pair, page.sentence: sentence, page.chosen: word_boxes(sentence, pair, (place,))}
        return {**filled, photo: components.lend(sample.path, photo)}

    picked = components.wire_samples(state, page.samples, fill, page.inputs[:4])
    triggers = (page.run.click, page.sentence.submit, picked.success)
    stream.wire_frames(triggers, act_translate, page.inputs, page, page.describe)
    described = [page.result, page.run, page.stop, page.describe, page.sentence, page.chosen]
    page.describe.click(act_describe, page.inputs[:2], described, **UNPROCESSED, **MODEL, **PRIVATE)
    for changed in (page.sentence.change, page.pair.input):
        changed(word_boxes, [page.sentence, page.pair, page.chosen], page.chosen, **TYPED)
    stream.wire_stop(state, WORDS, page.stop)


def _wire_modalities(state: AppState, page: ModalityMasking) -> None:
    def act_ask(session: str, language: str, *values: Any) -> stream.Frames:
        def steps(cancel: Cancel) -> stream.Frames:
            asked = ask_requests(page.media, language, *map(stream.widget_value, values))
            info = state.host.serving(AskRequest).info
            for found, is_over in one_by_one([state.host.stream(each, cancel) for each in asked], cancel):
                yield view.answers(found, info, is_over), not is_over

        return stream.run(state, session, MODALITIES, steps)

    def fill(sample: Sample, language: str) -> dict[Any, Any]:
        clip = page.media.parts[CLIP]
        return {clip: components.lend(sample.path, clip), page.question: sample.question(language)}

    picked = components.wire_samples(state, page.samples, fill, page.inputs)
    stream.wire_frames((page.run.click, page.question.submit, picked.success), act_ask, page.inputs, page)
    stream.wire_stop(state, MODALITIES, page.stop)
