"""Building blocks of the tabs: media input, samples, fields, run and stop buttons, result card."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
from gradio import processing_utils

from engines import LANGUAGES, MediaError, RequestError, UserError
from engines.media import probe
from engines.paths import ASSETS
from studio import file_tiles, model_routing, views
from studio.file_queue import N_FILES
from studio.i18n import both, label, page_language
from studio.state import AppState, Sample
from studio.stream import PRIVATE, QUICK, UNPROCESSED, widget_value

TEXT = "text"
PHOTO = "photo"
SOUND = "sound"
CLIP = "clip"
FILES = "files"
"""Several files of any of the other kinds, one after the other."""


@dataclass(frozen=True)
class MediaInput:
    """A choice of kind, and one input per kind, one of which is visible.

    parts: the inputs by kind. `inputs` is what an event takes; `chosen` turns its values into one path or text. That
    of FILES is HTML; which files it holds `AppState.dropped` knows.
    """

    tab: str
    kinds: tuple[str, ...]
    kind: gr.Radio
    parts: dict[str, gr.Component]

    @property
    def inputs(self) -> list[gr.Component]:
        return [self.kind, *self.parts.values()]

    def show(self, kind: str, value: str | None = None) -> dict[gr.Component, Any]:
        """Updates that switch to one kind and, with a value, fill its input."""
        updates: dict[gr.Component, Any] = {self.kind: gr.update(value=kind)}
        for name, part in self.parts.items():
            given = {"value": value} if name == kind and value is not None else {}
            updates[part] = gr.update(visible=name == kind, **given)
        return updates

    def lend(self, path: Path) -> tuple[str, str]:
        """The input that takes a file, and gradio's copy of it, for `show`; a file of another kind, as the sound of a
        clip, goes into the first input. Raises MediaError."""
        kind = kind_of(path)
        kind = kind if kind in self.kinds else self.kinds[0]
        return kind, lend(path, self.parts[kind])

    def show_sample(self, sample: Sample) -> dict[gr.Component, Any]:
        """Updates that put a sample into its input."""
        return self.show(sample.input_kind, lend(sample.path, self.parts[sample.input_kind]))

    def chosen(self, kind: str, *values: str | None) -> Path | str:
        """The value of the chosen input, of those that take one file or a text. Raises RequestError if it is empty."""
        single = [name for name in self.parts if name != FILES]
        value = dict(zip(single, values, strict=True)).get(kind) or ""
        if not value and kind != TEXT:
            raise MISSING[kind]
        return value if kind == TEXT else Path(value)

    def file(self, kind: str, *values: str | None) -> Path:
        """The file in the chosen input. Raises RequestError if there is none."""
        return Path(self.chosen(kind, *values))

    def wire(self) -> None:
        """Switch inputs with the kind, and to the right one for a file that was dropped on another."""
        self.kind.input(self.show, self.kind, self.inputs, **QUICK)
        for name, part in self.parts.items():
            if name in (PHOTO, SOUND, CLIP):
                part.upload(self._sorter(name), part, self.inputs, concurrency_limit=None, **UNPROCESSED, **PRIVATE)

    def _sorter(self, name: str) -> Callable[..., dict[gr.Component, Any]]:
        """What happens when a file is dropped on the input of one kind: a file of another kind moves to its own, and
        one that cannot be read raises a warning at once."""

        def sort(value: Any, request: gr.Request) -> dict[gr.Component, Any]:
            path, unchanged = widget_value(value), {self.kind: gr.update()}
            if not path:
                return unchanged
            try:
                own = kind_of(Path(path))
            except UserError as error:
                gr.Warning(error.text(page_language(request)))
                return unchanged
            if own != name and own in self.parts:
                emptied = {self.parts[name]: gr.update(value=None, visible=False)}
                return self.show(own, lend(Path(path), self.parts[own])) | emptied
            return unchanged

        return sort


MISSING = {
    FILES: RequestError("drop_files", "Drop the files first."),
    PHOTO: RequestError("drop_photo", "Drop a photo first, or click a sample."),
    SOUND: RequestError("drop_sound", "Drop or record a sound first, or click a sample."),
    CLIP: RequestError("drop_clip", "Drop a clip first, or click a sample."),
}


def media_input(
    tab: str, kinds: Sequence[str], *, text_key: str = "", text_kind: str = "ui.kind.text", n_lines: int = 3
) -> MediaInput:
    """Inputs for some kinds of media, the first one visible. text_key: placeholder of the text input; text_kind: what
    it is called; n_lines: its height; with one line Enter runs, with more it begins a line."""
    choices = [(label(text_kind if name == TEXT else f"ui.kind.{name}"), name) for name in kinds]
    kind = segments(f"{tab}-kind", "ui.kind", choices, kinds[0], visible=len(kinds) > 1)
    parts = {name: _part(tab, name, name == kinds[0], text_key, n_lines) for name in kinds}
    return MediaInput(tab, tuple(kinds), kind, parts)


def _part(tab: str, kind: str, visible: bool, text_key: str, n_lines: int) -> gr.Component:
    common: dict[str, Any] = {"visible": visible, "show_label": False}
    if kind == TEXT:
        common |= {"container": False, "lines": n_lines, "max_lines": 12, "placeholder": label(text_key)}
        return textbox(f"{tab}-{kind}", "ui.kind.text", **common)
    if kind == FILES:
        return files(f"{tab}-{kind}", file_tiles.places(), most=N_FILES, visible=visible)
    common = _field(f"{tab}-{kind}", f"ui.kind.{kind}", f"drop drop-{kind}", common)
    if kind == PHOTO:
        return gr.Image(type="filepath", sources=["upload", "webcam", "clipboard"], height=216, buttons=[], **common)
    if kind == SOUND:
        return gr.Audio(type="filepath", sources=["upload", "microphone"], buttons=[], **common)
    return gr.Video(sources=["upload", "webcam"], height=216, buttons=[], **common)


# --- fields ----------------------------------------------------------------------------------------------------------


def choices(prefix: str, names: Iterable[str]) -> list[tuple[Any, str]]:
    """Values to choose from, each shown by the text whose key begins with the prefix and ends with the value."""
    return [(label(prefix + name), name) for name in names]


def languages() -> list[tuple[Any, str]]:
    return choices("ui.language.", LANGUAGES)


def radio(elem_id: str, key: str, choices: Sequence[tuple[Any, Any]], value: Any, **more: Any) -> gr.Radio:
    """One of several choices, all of them visible. key: of the label."""
    return gr.Radio(list(choices), value=value, **_field(elem_id, key, "choice", more))


def segments(elem_id: str, key: str, choices: Sequence[tuple[Any, Any]], value: Any, **more: Any) -> gr.Radio:
    """One of several choices as a row of buttons without a label. key: of the label that is read out."""
    bare = {"show_label": False, "container": False, "elem_classes": "segments-choice"}
    return radio(elem_id, key, choices, value, **bare, **more)


def checkboxes(elem_id: str, key: str, choices: Sequence[tuple[Any, Any]], **more: Any) -> gr.CheckboxGroup:
    """Any of several choices. key: of the label."""
    return gr.CheckboxGroup(list(choices), **_field(elem_id, key, "choice", more))


def dropdown(elem_id: str, key: str, choices: Sequence[tuple[Any, Any]], value: Any, **more: Any) -> gr.Dropdown:
    """One of several choices in a menu. key: of the label."""
    return gr.Dropdown(list(choices), value=value, **_field(elem_id, key, "field", {"filterable": False} | more))


def textbox(elem_id: str, key: str, **more: Any) -> gr.Textbox:
    """A text field. key: of the label."""
    return gr.Textbox(**_field(elem_id, key, "field", more))


def bare_textbox(elem_id: str, key: str, **more: Any) -> gr.Textbox:
    """A text field whose label is shown only while it is empty. key: of the label."""
    return textbox(elem_id, key, placeholder=label(key), show_label=False, container=False, **more)


def slider(elem_id: str, key: str, low: float, high: float, value: float, **more: Any) -> gr.Slider:
    """A number in a range. key: of the label."""
    return gr.Slider(low, high, value, **_field(elem_id, key, "dial", more))


def number(elem_id: str, key: str, value: float, **more: Any) -> gr.Number:
    """A number to type. key: of the label."""
    return gr.Number(value, **_field(elem_id, key, "field", more))


def _field(elem_id: str, key: str, style: str, more: dict[str, Any]) -> dict[str, Any]:
    return {"label": label(key), "elem_id": elem_id, "elem_classes": style, "interactive": True} | more


def button(elem_id: str, key: str, **more: Any) -> gr.Button:
    """A small button. key: of the text on it."""
    return gr.Button(label(key), elem_id=elem_id, size="sm", **more)


# --- HTML ------------------------------------------------------------------------------------------------------------


def html(
    elem_id: str, value: str = "", *, clicks: Mapping[str, str] | None = None, script: str = "", **more: Any
) -> gr.HTML:
    """Our own HTML.

    clicks: for a data attribute, the event that a click on what has it is; the event carries the data of what was
    clicked and its `text`. script: JavaScript that runs for the element and may trigger further events.
    """
    if clicks:
        script += javascript("clicks.js").replace("CLICKS", json.dumps(clicks))
    return gr.HTML(value, elem_id=elem_id or None, apply_default_css=False, js_on_load=script or None, **more)


def javascript(file: str) -> str:
    """A script of `assets`."""
    return (ASSETS / file).read_text(encoding="utf-8")


def question_of(elem_id: str, key: str) -> gr.HTML:
    """The question an experiment asks, above its settings."""
    return html(f"{elem_id}-ask", f'<p class="question-of">{both(key)}</p>')


def samples(tab: str, samples: Sequence[Sample]) -> gr.HTML:
    """Thumbnails of samples. A click is a `pick` event with the id of the sample."""
    cards = views.sample_cards(samples)
    value = f'<div class="samples">{cards}</div>' if cards else ""
    return html(f"{tab}-samples", value, clicks={"sample": "pick"}, visible=bool(cards))


def wire_samples(
    state: AppState, samples: gr.HTML, fill: Callable[[Sample, str], dict[Any, Any]], outputs: Sequence[gr.Component]
) -> Any:
    """Fill widgets when a sample is clicked: `fill(sample, language of the page)` gives their updates. Returns the
    event."""

    def pick(event: gr.EventData, request: gr.Request) -> dict[Any, Any]:
        return fill(state.sample(event.sample), page_language(request))

    return samples.pick(pick, None, list(outputs), **QUICK)


def queries(elem_id: str, keys: Sequence[str]) -> gr.HTML:
    """Suggested texts as buttons. A click is a `query` event with the text in the page's language."""
    buttons = "".join(f'<button type="button" class="chip" data-query>{both(key)}</button>' for key in keys)
    value = f'<p class="queries"><span class="quiet">{both("ui.search.try")}</span>{buttons}</p>'
    return html(elem_id, value, clicks={"query": "query"})


def files(elem_id: str, value: str, *, most: int, visible: bool = True) -> gr.HTML:
    """HTML with a file input on which several files can be dropped at once.

    Events: `bring` with the paths of the uploaded files, at most `most`, and the number of files given; `take` with the
    id of a clicked [data-out]; `away` for a clicked [data-away], `turn` for a [data-page], `empty` for a [data-clear].
    """
    clicks = {"out": "take", "away": "away", "page": "turn", "clear": "empty"}
    script = javascript("files.js").replace("MOST", str(most))
    return html(elem_id, value, clicks=clicks, script=script, elem_classes="files", visible=visible)


def result_card(tab: str, value: str) -> gr.HTML:
    """The result card. Events: `send` for a click on "send to", `pick` for one on a sample, `wall` for the way back to
    the samples, `choose` and `like` for points of a map."""
    clicks = {"send": "send", "sample": "pick", "wall": "wall"}
    return html(f"{tab}-result", value, clicks=clicks, script=javascript("result.js"))


def run_stop(tab: str, *, key: str = "") -> tuple[gr.Button, gr.Button]:
    """The main button of a tab, and Stop, which is visible while something runs. key: of the text on the button."""
    run = gr.Button(label(key or f"ui.{tab}.run"), variant="primary", elem_id=f"{tab}-run", scale=3, min_width=140)
    stop = gr.Button(
        label("ui.stop"), variant="secondary", elem_id=f"{tab}-stop", elem_classes="stop", visible=False, min_width=90
    )
    return run, stop


def subtitle(state: AppState, tab: str) -> gr.HTML:
    """What a tab is for, and which models serve it."""
    return html(f"{tab}-subtitle", model_routing.subtitle(state, tab))


def lend(path: Path, component: gr.Component) -> str:
    """Copy a file to where gradio may serve it, for a component to show."""
    return processing_utils.save_file_to_cache(str(path), cache_dir=component.GRADIO_CACHE)


def kind_of(path: Path) -> str:
    """The kind of a file by its content. Raises MediaError."""
    return probe(path).kind


def sound_track(tab: str) -> gr.Dropdown:
    """The choice of the sound track that is heard, hidden until `wire_tracks` finds that a file has several."""
    return dropdown(f"{tab}-track", "ui.track", [(label("ui.track.own"), 0)], 0, visible=False)


def wire_tracks(media: MediaInput, choice: gr.Component) -> None:
    """Show a choice of the sound track while the file that is seen has several."""
    heard = [kind for kind in (SOUND, CLIP) if kind in media.parts]
    seen = [media.kind, *(media.parts[kind] for kind in heard)]

    def offer(kind: str, *files: str | None) -> dict[str, Any]:
        return track_choice(dict(zip(heard, files, strict=True)).get(kind))

    for widget in seen:
        widget.change(offer, seen, choice, **QUICK)


def track_choice(file: str | None) -> dict[str, Any]:
    """What the choice of a sound track becomes for a file. One that cannot be read has none; the run reports why."""
    try:
        tracks = probe(Path(file)).tracks if file else ()
    except MediaError:
        tracks = ()
    named = [f"{n} {language}".removesuffix(" und") for n, language in enumerate(tracks, 1)]
    choices = [(label("ui.track.own"), 0), *((name, n) for n, name in enumerate(named, 1))]
    update: dict[str, Any] = gr.update(choices=choices, value=0, visible=len(tracks) > 1)
    return update
