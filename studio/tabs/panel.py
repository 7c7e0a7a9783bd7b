"""The frame of the working tabs: input left, result right, samples under the input."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from studio import stream
from studio.components import MediaInput
from studio.i18n import page_language
from studio.state import AppState, Sample


@dataclass(frozen=True)
class Panel:
    """The widgets of one tab. extras: its own inputs, in the order its request builder takes them."""

    tab: str
    media: MediaInput
    extras: tuple[gr.Component, ...]
    samples: gr.HTML
    run: gr.Button
    stop: gr.Button
    result: gr.HTML
    subtitle: gr.HTML

    @property
    def inputs(self) -> list[gr.Component]:
        return [*self.media.inputs, *self.extras]


def wire_panel(
    state: AppState,
    panel: Panel,
    job: stream.Job,
    *,
    submit: Sequence[gr.Textbox] = (),
    on_pick: Callable[[Sample, str], dict[gr.Component, Any]] | None = None,
) -> None:
    """Attach Run, Stop, Enter in the text inputs, and samples that load and run at one click.

    on_pick: (sample, language of the page) → further updates that go with a sample.
    """
    panel.media.wire()

    def pick(event: gr.EventData, request: gr.Request) -> dict[gr.Component, Any]:
        sample = state.sample(event.sample)
        updates = panel.media.show_sample(sample)
        return updates | (on_pick(sample, page_language(request)) if on_pick is not None else {})

    picked = panel.samples.pick(pick, None, panel.inputs, **stream.QUICK)
    for trigger in (panel.run.click, *(box.submit for box in submit), picked.success):
        stream.wire_run(state, job, trigger, panel.inputs, panel.result, panel.run, panel.stop)
    stream.wire_stop(state, panel.tab, panel.stop)
