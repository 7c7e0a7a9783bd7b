"""The same tasks for programs: named endpoints of gradio's API, with the JSON of the command line.

    from gradio_client import Client, handle_file
    Client("http://127.0.0.1:7860").predict(handle_file("photo.jpg"), "en", api_name="/caption")["text"]

Files come through gradio's own upload, which refuses paths of this machine; folders cannot be named. A stream of
partial results, of which `predict` gives the last and `submit` all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from engines import (
    AskRequest,
    Cancel,
    CaptionRequest,
    IndexRequest,
    Request,
    RequestError,
    SearchRequest,
    TranscribeRequest,
    TranslateRequest,
    to_json,
)
from studio import stream
from studio.i18n import page_language
from studio.page import uploaded
from studio.state import AppState

Build = Callable[..., Sequence[Request]]


def caption(file: str | None, language: str) -> Sequence[Request]:
    """A photo, clip or sound in one sentence. language: en, de, fr or zh."""
    return (CaptionRequest(media=_file(file), language=language or "en"),)


def transcribe(file: str | None, language: str, translate_to: str) -> Sequence[Request]:
    """What is said in a sound or clip. language: what is spoken, empty to find out. translate_to: empty for none."""
    return (TranscribeRequest(media=_file(file), language=language or None, translate_to=translate_to or None),)


def translate(words: str, source: str, target: str) -> Sequence[Request]:
    """A text in another language."""
    return (TranslateRequest(text=words or "", source=source, target=target),)


def answer(file: str | None, question: str, language: str, hide: str) -> Sequence[Request]:
    """A question about a clip, photo or sound. hide: "picture", "sound", or both with a comma between."""
    hidden: Any = frozenset(sense.strip() for sense in (hide or "").split(",") if sense.strip())
    return (AskRequest(media=_file(file), question=question or "", language=language or "en", hide=hidden),)


def add_endpoints(state: AppState) -> None:
    """Put /caption, /transcribe, /translate, /answer and /search beside the page; nothing of them is seen."""

    def search(query: str, file: str | None, n_hits: float) -> Sequence[Request]:
        """What fits words, or a file, in the samples."""
        collection = state.collections.samples()
        find = SearchRequest(
            query=query or _file(file),
            collection=collection.file,
            kinds=frozenset(collection.kinds),
            k=int(n_hits or 12),
        )
        return (IndexRequest(folder=collection.folder, collection=collection.file), find)

    with gr.Column(visible=False):
        _endpoint(state, "caption", caption, [_upload(), _text("language", "en")])
        _endpoint(state, "transcribe", transcribe, [_upload(), _text("language"), _text("translate_to")])
        _endpoint(state, "translate", translate, [_text("text"), _text("source", "en"), _text("target", "de")])
        _endpoint(state, "answer", answer, [_upload(), _text("question"), _text("language", "en"), _text("hide")])
        _endpoint(state, "search", search, [_text("query"), _upload(), gr.Number(12, label="n_hits")])


def _endpoint(state: AppState, name: str, build: Build, inputs: list[Any]) -> None:
    def act(request: gr.Request, *values: Any) -> Iterator[dict[str, Any]]:
        cancel = Cancel()
        try:
            for result in stream.steadily(stream.requests_of(state, build(*values), cancel)):
                yield to_json(result)
        except Exception as error:  # the edge of the house, as in stream.play
            raise gr.Error(stream.calm(error).text(page_language(request)), print_exception=False) from None
        finally:
            cancel.set()

    gr.Button().click(
        act, inputs, gr.JSON(label="result"), api_name=name, api_description=build.__doc__, **stream.MODEL
    )


def _upload() -> gr.File:
    return gr.File(label="file", type="filepath")


def _text(name: str, value: str = "") -> gr.Textbox:
    return gr.Textbox(value, label=name)


def _file(file: str | None) -> Path:
    if not file:
        raise RequestError("file_needed", "Send a file with the request.")
    return uploaded(file)
