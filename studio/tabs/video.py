"""Video: ask questions about a clip, a photo or a sound, and see which modality each answer rests on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import gradio as gr

from engines import AskRequest, AskResult, Request, Result
from studio import components, stream, views
from studio.components import CLIP, FILES, PHOTO, SOUND, MediaInput
from studio.i18n import label
from studio.state import AppState, Sample
from studio.stream import Job
from studio.tabs.panel import Panel, wire_panel

TAB = "video"
PAGE = "page"
"""Answer in the language the page is shown in."""
MODALITIES: tuple[Literal["picture", "sound"], ...] = ("picture", "sound")
"""What can be hidden from the model."""
N_HISTORY = 6
"""How many earlier turns are sent with a question."""


def build(
    media: MediaInput,
    turns: Sequence[AskResult],
    page_language: str,
    kind: str,
    clip: str | None,
    photo: str | None,
    sound: str | None,
    question: str | None,
    hide: Sequence[str],
    language: str,
    track: int = 0,
) -> tuple[Request, ...]:
    """The request for a question, with the last turns about the same clip. Raises RequestError."""
    given = media.file(kind, clip, photo, sound)
    earlier = tuple((turn.request.question, turn.text) for turn in turns if isinstance(turn.request, AskRequest))
    return (
        AskRequest(
            media=given,
            question=question or "",
            language=page_language if language == PAGE else language,
            history=earlier[-N_HISTORY:],
            hide=frozenset(modality for modality in MODALITIES if modality in hide),
            track=track,
        ),
    )


def create_ui(state: AppState) -> Panel:
    """Lay out the tab."""
    subtitle = components.subtitle(state, TAB)
    with gr.Row(elem_classes="split"):
        with gr.Column(scale=5, elem_classes="split-input"):
            media = components.media_input(TAB, (CLIP, PHOTO, SOUND, FILES))
            samples = components.samples(TAB, state.samples_for(TAB))
            question = components.bare_textbox(
                "video-question", "ui.video.question", lines=1, max_lines=4, elem_classes="ask"
            )
            queries = components.queries("video-queries", [f"ui.video.try.{n}" for n in (1, 2, 3, 4)])
            with gr.Row(elem_classes="pair"):
                modalities = components.choices("ui.video.hide.", MODALITIES)
                hide = components.checkboxes("video-hide", "ui.video.hide", modalities, scale=3, min_width=200)
                languages = [(label("ui.video.page"), PAGE), *components.languages()]
                language = components.dropdown(
                    "video-language", "ui.video.language", languages, PAGE, scale=2, min_width=140
                )
            track = components.sound_track(TAB)
            with gr.Row(elem_classes="actions"):
                run, stop = components.run_stop(TAB)
        with gr.Column(scale=7, elem_classes="split-result"):
            result = components.result_card(TAB, _start())
    return Panel(TAB, media, (question, hide, language, track), samples, run, stop, result, subtitle, queries)


def _start() -> str:
    return views.empty(TAB, views.example_answer())


def wire(state: AppState, panel: Panel) -> None:
    """Attach the events."""
    question = panel.extras[0]
    assert isinstance(question, gr.Textbox)
    components.wire_tracks(panel.media, panel.extras[-1])

    def requests(session: str, language: str, kind: str, *values: Any) -> Sequence[Request]:
        given = dict(zip(panel.media.parts, values, strict=False)).get(kind)
        turns = state.chats.turns(session, Path(given), state.downloads) if given else {}
        return build(panel.media, tuple(turns.values()), language, kind, *values)

    def about(result: Result) -> Path:
        assert isinstance(result.request, AskRequest)
        assert isinstance(result.request.media, Path)
        return result.request.media

    def view(session: str, result: Result) -> str:
        assert isinstance(result, AskResult)
        turns = state.chats.turns(session, about(result), state.downloads)
        shown = turns if result in turns.values() else {**turns, "": result}
        return views.chat(shown, state.downloads, state.info_of(result))

    def remember(session: str, result: Result) -> None:
        turns = state.chats.turns(session, about(result), state.downloads)
        state.chats.put(session, (about(result), (*turns, state.downloads.add_result(result))))

    def on_pick(sample: Sample, language: str) -> dict[gr.Component, Any]:
        return {question: gr.update(value=sample.question(language))} if sample.question(language) else {}

    def forget(request: gr.Request) -> None:
        state.chats.remove(stream.session_of(request))

    for name, part in panel.media.parts.items():  # another clip starts another chat
        for changed in () if name == FILES else (part.upload, part.clear):
            # The card is emptied in the browser, before anything else that an upload starts: the reply of a server
            # could come after what the next click shows.
            changed(None, None, panel.result, js=f"() => {json.dumps(_start())}", **stream.QUICK)
            changed(forget, None, None, **stream.QUICK)
    job = Job(TAB, requests, view, remember)
    wire_panel(state, panel, job, submit=[question], on_pick=on_pick, suggest=lambda text: {question: text})
