"""Caption: one sentence on what a photo, a clip or a sound shows, in four languages."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import gradio as gr

from engines import LANGUAGES, CaptionRequest, CaptionResult, Request, Result
from studio import components, views
from studio.components import CLIP, PHOTO, SOUND, MediaInput
from studio.i18n import label
from studio.state import AppState
from studio.stream import Job
from studio.tabs.panel import Panel, wire_panel

TAB = "caption"


def build(
    media: MediaInput, kind: str, photo: str | None, clip: str | None, sound: str | None, language: str
) -> tuple[Request, ...]:
    """The request for what is in the inputs. Raises RequestError when nothing is."""
    given = media.chosen(kind, photo, clip, sound)
    assert isinstance(given, Path)
    return (CaptionRequest(media=given, language=language),)


def create_ui(state: AppState) -> Panel:
    """Lay the tab out."""
    subtitle = components.subtitle(state, TAB)
    with gr.Row(elem_classes="split"):
        with gr.Column(scale=5, elem_classes="split-input"):
            media = components.media_input(TAB, (PHOTO, CLIP, SOUND))
            samples = components.samples(TAB, state.samples_for(TAB))
            language = gr.Radio(
                [(label(f"ui.language.{name}"), name) for name in LANGUAGES],
                value="en",
                label=label("ui.caption.language"),
                elem_id="caption-language",
                elem_classes="choice",
                interactive=True,
            )
            with gr.Row(elem_classes="actions"):
                run, stop = components.run_stop(TAB)
        with gr.Column(scale=7, elem_classes="split-result"):
            result = components.result_card(TAB, views.empty(TAB, views.example_sentence("ui.caption.example")))
    return Panel(TAB, media, (language,), samples, run, stop, result, subtitle)


def wire(state: AppState, panel: Panel) -> None:
    """Make it work."""

    def requests(_session: str, _language: str, *values: str) -> Sequence[Request]:
        return build(panel.media, *values)

    def view(_session: str, result: Result) -> str:
        assert isinstance(result, CaptionResult)
        return views.caption(result, state.downloads, state.info_of(result))

    wire_panel(state, panel, Job(TAB, requests, view))
