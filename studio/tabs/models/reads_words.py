"""Words in pictures: whether they are read here, and for the owner one button that installs what reads them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import gradio as gr

from engines import Cancel, Progress
from engines.background import follow
from engines.media import ocr
from studio import components, extras, stream, views
from studio.i18n import both
from studio.state import AppState
from studio.stream import Frames
from studio.tabs.models.load import OWNER_ONLY

TAB = "words"


@dataclass(frozen=True)
class ReadsWords:
    """The widgets of the block."""

    run: gr.Button
    stop: gr.Button
    result: gr.HTML


def view() -> str:
    """Whether words in pictures are read here."""
    key = "ui.words.there" if ocr.is_installed() else "ui.words.absent"
    return views.result_card("done", f'<h2>{both("ui.words.title")}</h2><p class="quiet">{both(key)}</p>')


def install(state: AppState, session: str) -> Frames:
    """Install what reads words in pictures, and say how that ended."""

    def steps(cancel: Cancel) -> Frames:
        if not state.rules.devices:
            raise OWNER_ONLY

        def work(_emit: Callable[[Any], None]) -> None:
            extras.install_ocr(lambda: cancel.is_set)

        with closing(follow(work, cancel, discard=lambda _: None)) as news:
            for _ in news:
                pass
        yield view(), False

    first = views.waiting(Progress("fetching"))
    return stream.run(state, session, TAB, steps, first=first, stopped=views.stopped("ui.words.stopped"))


def create_ui() -> ReadsWords:
    """Lay out the block; its button is there only as long as it has something to install."""
    result = components.result_card(TAB, view())
    with gr.Row(elem_classes="actions"):
        run, stop = components.run_stop(TAB)
    run.visible = not ocr.is_installed()
    return ReadsWords(run, stop, result)


def wire(state: AppState, block: ReadsWords) -> None:
    """Attach the events."""

    def act_install(request: gr.Request) -> Iterator[dict[Any, Any]]:
        frames = install(state, stream.session_of(request))
        for update in stream.updates(frames, block.result, block.stop, block.run):
            if ocr.is_installed():
                update[block.run] = gr.update(visible=False)
            yield update

    common: dict[str, Any] = {"concurrency_id": "load", "concurrency_limit": 2, **stream.PRIVATE}
    block.run.click(act_install, None, [block.result, block.stop, block.run], **common)
    stream.wire_stop(state, TAB, block.stop)
