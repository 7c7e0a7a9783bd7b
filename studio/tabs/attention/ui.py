"""What is attention: a photo is captioned, and each word shows where the decoder looked while it wrote it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from engines import Cancel, media
from engines.lab import attention
from engines.lab.attention import AttentionRequest
from studio import components, stream, views
from studio.components import PHOTO, MediaInput
from studio.i18n import page_language
from studio.model_routing import built_in
from studio.state import AppState, Sample
from studio.stream import QUICK
from studio.tabs.attention import view

TAB = "attention"
SAMPLES = ("dog.jpg", "horses.jpg", "cat.jpg", "cow.jpg", "astronaut.jpg")
"""The first one is shown as soon as the panel is looked at."""
MOST_PX = 720
"""Longer side of the photo as the page shows it."""


@dataclass(frozen=True)
class Attention:
    """The widgets of the panel. language: of the caption."""

    media: MediaInput
    samples: gr.HTML
    language: gr.Radio
    run: gr.Button
    stop: gr.Button
    result: gr.HTML

    @property
    def inputs(self) -> list[gr.Component]:
        return [self.media.parts[PHOTO], self.language]


def create_ui(state: AppState) -> Attention:
    """Lay out the panel."""
    with gr.Row(elem_classes="split", elem_id=TAB):
        with gr.Column(scale=5, elem_classes="split-input"):
            components.question_of(TAB, "ui.attention.ask")
            photo = components.media_input(TAB, (PHOTO,))
            samples = components.samples(TAB, offered_samples(state))
            languages = components.choices("ui.language.", attention.LANGUAGES)
            language = components.radio("attention-language", "ui.attention.language", languages, "en")
            with gr.Row(elem_classes="actions"):
                run, stop = components.run_stop(TAB)
        with gr.Column(scale=7, elem_classes="split-result"):
            script = components.javascript("attention.js")
            result = components.html(f"{TAB}-result", views.empty(TAB), script=script)
    return Attention(photo, samples, language, run, stop, result)


def offered_samples(state: AppState) -> list[Sample]:
    """Photos of things that a caption names, in their order."""
    found = {sample.path.name: sample for sample in state.samples}
    return [found[name] for name in SAMPLES if name in found]


def frames_of(state: AppState, asked: AttentionRequest, cancel: Cancel) -> stream.Frames:
    """The caption as it is written, then what its words looked at."""
    host = built_in(state)
    results: Iterator[Any] = stream.throttled(attention.stream(host, asked, cancel))
    for result in results:
        if result.end != "finished":
            yield view.growing(result), not result.done
            continue
        assert isinstance(asked.photo, Path)
        yield view.shown(result, picture(asked.photo), host.info), False


def picture(path: Path) -> bytes:
    """A photo as a JPEG that any browser shows, turned as the model sees it. Raises MediaError."""
    from PIL import Image

    image, held = Image.fromarray(media.load_photo(path).pixels), io.BytesIO()
    image.thumbnail((MOST_PX, MOST_PX))
    image.save(held, "JPEG", quality=82)
    return held.getvalue()


def wire(state: AppState, page: Attention) -> None:
    """Attach the events."""
    photo = page.media.parts[PHOTO]

    def act_first(session: str, page_language: str, *values: Any) -> stream.Frames:
        return act_look(session, page_language, *values) if values[0] else iter(())

    def act_look(session: str, _language: str, *values: Any) -> stream.Frames:
        def steps(cancel: Cancel) -> stream.Frames:
            given, language = map(stream.widget_value, values)
            yield from frames_of(
                state, AttentionRequest(photo=page.media.file(PHOTO, given), language=language), cancel
            )

        return stream.run(state, session, TAB, steps)

    def begin(request: gr.Request) -> dict[Any, Any]:
        """Show the first sample, in the page's language, where the built-in model is there to look at it."""
        samples = offered_samples(state)
        if not samples or not attention.is_served(built_in(state)):
            return gr.skip()
        return {photo: components.lend(samples[0].path, photo), page.language: page_language(request)}

    picked = components.wire_samples(
        state, page.samples, lambda sample, _: {photo: components.lend(sample.path, photo)}, [photo]
    )
    begun = page.result.begin(begin, None, page.inputs, **QUICK)
    stream.wire_frames([begun.success], act_first, page.inputs, page)
    stream.wire_frames((page.run.click, picked.success), act_look, page.inputs, page)
    stream.wire_stop(state, TAB, page.stop)
