"""What is an embedding: one's own words and the samples are put into the shared space of the model that searches."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import gradio as gr

from engines import Cancel, EmbedRequest, EmbedResult, Progress, RequestError
from studio import components, stream, views
from studio.state import AppState, Sample
from studio.tabs.embedding import view
from studio.tabs.embedding.view import Thing

TAB = "embedding"
WORDS = ("a dog", "ein Hund", "un chien", "一只狗", "a cat", "rain", "horses running")
"""What stands in the box at first: the same in four languages, and other things."""
FIRST = ("dog.jpg", "cat.jpg", "horses.jpg", "barking.mp3", "rain.opus", "dog.mp4")
N_LINES, N_LETTERS = 20, 200
LEAST = 3
"""Of fewer things there is nothing to compare."""


@dataclass(frozen=True)
class Embedding:
    """The widgets of the panel. samples: which of them are embedded too, by their file ids."""

    words: gr.Textbox
    samples: gr.CheckboxGroup
    run: gr.Button
    stop: gr.Button
    result: gr.HTML


def create_ui(state: AppState) -> Embedding:
    """Lay out the panel."""
    with gr.Row(elem_classes="split", elem_id=TAB):
        with gr.Column(scale=5, elem_classes="split-input"):
            components.question_of(TAB, "ui.embedding.ask")
            words = components.textbox(
                "embedding-words", "ui.embedding.words", value="\n".join(WORDS), lines=7, max_lines=N_LINES
            )
            offered = offered_samples(state)
            samples = components.checkboxes(
                "embedding-samples",
                "ui.embedding.samples",
                [(_title(sample), sample.file_id) for sample in offered],
                value=[sample.file_id for sample in offered if sample.path.name in FIRST],
            )
            with gr.Row(elem_classes="actions"):
                run, stop = components.run_stop(TAB)
        with gr.Column(scale=7, elem_classes="split-result"):
            result = components.result_card(TAB, views.empty(TAB))
    return Embedding(words, samples, run, stop, result)


def offered_samples(state: AppState) -> list[Sample]:
    """Samples that show or sound like something; speech is left to its own tab."""
    return [sample for sample in state.samples if sample.kind != "speech"]


def _title(sample: Sample) -> str:
    return " / ".join(dict.fromkeys(sample.titles))


def asked(state: AppState, words: str | None, chosen: Sequence[str]) -> list[tuple[tuple[str, str], EmbedRequest]]:
    """The name of each thing in English and Chinese, and the request that embeds it. Words are compared with words, so
    that they get no codes of what pictures show. Raises RequestError."""
    lines = list(dict.fromkeys(line.strip() for line in (words or "").splitlines() if line.strip()))
    if len(lines) > N_LINES or any(len(line) > N_LETTERS for line in lines):
        raise RequestError(
            "embedding_long", "At most {lines} lines of {letters} letters are taken.", lines=N_LINES, letters=N_LETTERS
        )
    found = [((line, line), EmbedRequest(media=line, against="text")) for line in lines]
    taken = [sample for sample in offered_samples(state) if sample.file_id in chosen]
    found += [(sample.titles, EmbedRequest(media=sample.path)) for sample in taken]
    if len(found) < LEAST:
        raise RequestError("embedding_few", "Write or choose {n} things or more to compare.", n=LEAST)
    return found


def wire(state: AppState, page: Embedding) -> None:
    """Attach the events."""

    def act_embed(session: str, _language: str, words: str | None, chosen: Sequence[str]) -> stream.Frames:
        def steps(cancel: Cancel) -> stream.Frames:
            began_s, things = time.monotonic(), list[Thing]()
            wanted = asked(state, words, chosen)
            for names, each in wanted:
                yield views.waiting(Progress("looking", len(things), len(wanted), "")), True
                for result in stream.results_of(state, [each], cancel):
                    if result.end == "cancelled":
                        yield views.stopped(), False
                        return
                    if isinstance(result, EmbedResult) and result.done:
                        things.append(Thing(names, result.kind, result.vector))
            info = state.host.serving(EmbedRequest).info
            yield view.shown(things, info, time.monotonic() - began_s), False

        return stream.run(state, session, TAB, steps)

    stream.wire_frames([page.run.click], act_embed, [page.words, page.samples], page)
    stream.wire_stop(state, TAB, page.stop)
