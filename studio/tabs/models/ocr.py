"""Words in pictures: whether they are read here, and for the owner one button that installs the packages for it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import gradio as gr

from engines import Cancel, Cancelled, Progress, RequestError
from engines.background import follow
from engines.media import ocr
from studio import bootstrap, components, stream, views
from studio.i18n import both
from studio.state import AppState
from studio.stream import Frames
from studio.tabs.models.load import OPENING, OWNER_ONLY

TAB = "words"


@dataclass(frozen=True)
class OcrForm:
    """The widgets of the block."""

    run: gr.Button
    stop: gr.Button
    result: gr.HTML


def view() -> str:
    """Whether words in pictures are read here."""
    key = "ui.words.there" if ocr.is_installed() else "ui.words.absent"
    return views.result_card("done", f'<h2>{both("ui.words.title")}</h2><p class="quiet">{both(key)}</p>')


def install(state: AppState, session: str) -> Frames:
    """Install the packages that read words in pictures, and say how that ended."""

    def steps(cancel: Cancel) -> Frames:
        if state.shared:
            raise OWNER_ONLY

        def work(_emit: Callable[[Any], None]) -> None:
            install_packages(cancel)

        with closing(follow(work, cancel, discard=lambda _: None)) as news:
            for _ in news:
                pass
        yield view(), False

    first = views.waiting(Progress("fetching"))
    return stream.run(state, session, TAB, steps, first=first, stopped=views.stopped("ui.words.stopped"))


def install_packages(cancel: Cancel) -> None:
    """Install the extra `ocr` into the running environment, in its tested versions where those are known.

    A cancel ends pip at its next line. Raises Cancelled, RequestError.
    """
    known = ["--constraint", str(bootstrap.CONSTRAINTS)] if bootstrap.CONSTRAINTS.is_file() else []

    def hear(_line: str) -> None:
        if cancel.is_set:
            raise Cancelled

    failed, said = bootstrap.run_installer([*bootstrap.pip(sys.executable), *known, *ocr.PACKAGES], hear=hear)
    if not failed and ocr.is_installed():
        return
    text = "\n".join(said).lower()
    if any(sign in text for sign in bootstrap.SIGNS_OF_NO_SPACE):
        raise RequestError(
            "extra_no_space", "There is not enough disk space for the packages; make room, then try again."
        )
    if any(sign in text for sign in bootstrap.SIGNS_OF_NO_NETWORK):
        raise RequestError(
            "extra_no_network", "The packages cannot be fetched, for no package index answers; connect and try again."
        )
    raise RequestError(
        "extra_failed",
        "The packages could not be installed; `python -m pip install {packages}` in the studio's environment says why.",
        packages=" ".join(ocr.PACKAGES),
    )


def create_ui() -> OcrForm:
    """Lay out the block; its button is there only as long as there is something to install."""
    result = components.result_card(TAB, view())
    with gr.Row(elem_classes="actions"):
        run, stop = components.run_stop(TAB)
    run.visible = not ocr.is_installed()
    return OcrForm(run, stop, result)


def wire(state: AppState, form: OcrForm) -> None:
    """Attach the events."""

    def act_install(session: str, _language: str) -> Frames:
        return install(state, session)

    (installed,) = stream.wire_frames([form.run.click], act_install, [], form, **OPENING)
    installed.then(lambda: gr.update(visible=not ocr.is_installed()), None, form.run, **stream.QUICK)
    stream.wire_stop(state, TAB, form.stop)
