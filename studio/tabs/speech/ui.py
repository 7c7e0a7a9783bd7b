"""Speech: transcribe a sound or a clip, with times, and translate the transcript; or translate a text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr

from engines import Request, RequestError, Result, TranscribeRequest, TranscribeResult, TranslateRequest
from engines.text import language_of
from studio import components, views
from studio.components import CLIP, FILES, SOUND, TEXT, MediaInput
from studio.i18n import label
from studio.state import AppState
from studio.stream import Job
from studio.tabs.panel import Panel, wire_panel
from studio.tabs.speech.view import body

TAB = "speech"
AUTO = "auto"
NONE = "none"


def build(
    media: MediaInput,
    kind: str,
    sound: str | None,
    clip: str | None,
    text: str | None,
    source: str,
    target: str,
    track: int = 0,
) -> tuple[Request, ...]:
    """The request for the current inputs: a transcript, or for text a translation. track: the sound track that is
    heard, 0 for the file's own choice. Raises RequestError."""
    given = media.chosen(kind, sound, clip, text)
    if isinstance(given, str):
        return (_translation(given, source, target),)
    translate_to = None if target in (NONE, source) else target
    language = None if source == AUTO else source
    return (TranscribeRequest(media=given, language=language, translate_to=translate_to, track=track),)


def _translation(text: str, source: str, target: str) -> TranslateRequest:
    """A translation. Unless named, the source is the language the text is found to be in, and the target English, or
    German for an English text."""
    if source == AUTO:
        found = language_of(text)
        if found is None and text.strip():
            raise RequestError("source_language_needed", "Choose the language the text is written in.")
        source = found or "en"  # an empty text is refused by the request itself
    if target == NONE:
        target = "de" if source == "en" else "en"
    return TranslateRequest(text=text, source=source, target=target)


def create_ui(state: AppState) -> Panel:
    """Lay out the tab."""
    subtitle = components.subtitle(state, TAB)
    languages = components.languages()
    with gr.Row(elem_classes="split"):
        with gr.Column(scale=5, elem_classes="split-input"):
            media = components.media_input(
                TAB, (SOUND, CLIP, TEXT, FILES), text_key="ui.speech.text", text_kind="ui.kind.translate"
            )
            samples = components.samples(TAB, state.samples_for(TAB))
            with gr.Row(elem_classes="pair"):
                sources = [(label("ui.speech.auto"), AUTO), *languages]
                source = components.dropdown("speech-source", "ui.speech.source", sources, AUTO, min_width=120)
                targets = [(label("ui.speech.none"), NONE), *languages]
                target = components.dropdown("speech-target", "ui.speech.target", targets, NONE, min_width=120)
            track = components.sound_track(TAB)
            with gr.Row(elem_classes="actions"):
                run, stop = components.run_stop(TAB)
        with gr.Column(scale=7, elem_classes="split-result"):
            result = components.result_card(TAB, views.empty(TAB, views.example_segments()))
    return Panel(TAB, media, (source, target, track), samples, run, stop, result, subtitle)


def wire(state: AppState, panel: Panel) -> None:
    """Attach the events."""
    components.wire_tracks(panel.media, panel.extras[-1])

    def requests(_session: str, _language: str, *values: Any) -> Sequence[Request]:
        return build(panel.media, *values)

    def whole(name: str, result: Result) -> str:
        assert isinstance(result, TranscribeResult)
        return body(name, result, state.downloads)

    wire_panel(state, panel, Job(TAB, requests, body=whole))
