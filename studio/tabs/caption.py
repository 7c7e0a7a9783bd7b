"""Caption: describe a photo, a clip or a sound in one sentence, in four languages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr

from engines import CaptionRequest, Request
from studio import components, views
from studio.components import CLIP, FILES, PHOTO, SOUND, MediaInput
from studio.state import AppState
from studio.stream import Job
from studio.tabs.panel import Panel, wire_panel

TAB = "caption"


def build(
    media: MediaInput,
    kind: str,
    photo: str | None,
    clip: str | None,
    sound: str | None,
    language: str,
    track: int = 0,
) -> tuple[Request, ...]:
    """The request for the current inputs. Raises RequestError if there is no media."""
    given = media.file(kind, photo, clip, sound)
    return (CaptionRequest(media=given, language=language, track=track),)


def create_ui(state: AppState) -> Panel:
    """Lay out the tab."""
    subtitle = components.subtitle(state, TAB)
    with gr.Row(elem_classes="split"):
        with gr.Column(scale=5, elem_classes="split-input"):
            media = components.media_input(TAB, (PHOTO, CLIP, SOUND, FILES))
            samples = components.samples(TAB, state.samples_for(TAB))
            language = components.radio("caption-language", "ui.caption.language", components.languages(), "en")
            track = components.sound_track(TAB)
            with gr.Row(elem_classes="actions"):
                run, stop = components.run_stop(TAB)
        with gr.Column(scale=7, elem_classes="split-result"):
            result = components.result_card(TAB, views.empty(TAB, views.example_sentence("ui.caption.example")))
    return Panel(TAB, media, (language, track), samples, run, stop, result, subtitle)


def wire(state: AppState, panel: Panel) -> None:
    """Attach the events."""
    components.wire_tracks(panel.media, panel.extras[-1])

    def requests(_session: str, _language: str, *values: Any) -> Sequence[Request]:
        return build(panel.media, *values)

    wire_panel(state, panel, Job(TAB, requests))
