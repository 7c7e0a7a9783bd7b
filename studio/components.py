"""Building blocks of the tabs: media input, samples, fields, run and stop buttons, result card."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
from gradio import processing_utils

from engines import LANGUAGES, RequestError, UserError
from studio import model_routing, views
from studio.i18n import both, label, page_language
from studio.state import AppState, Sample
from studio.stream import PRIVATE, QUICK, UNPROCESSED, plain

TEXT = "text"
PHOTO = "photo"
SOUND = "sound"
CLIP = "clip"
FILES = "files"
"""Several files of any of the other kinds, one after the other."""

PICK_JS = """element.addEventListener('click', (event) => {
  const chosen = event.target.closest('[data-sample]');
  if (chosen) trigger('pick', { sample: chosen.dataset.sample });
});"""

RESULT_JS = """element.addEventListener('click', (event) => {
  const button = event.target.closest('[data-send]');
  if (button) trigger('send', { tab: button.dataset.send, file: button.dataset.file });
  const sample = event.target.closest('[data-sample]');
  if (sample) trigger('pick', { sample: sample.dataset.sample });
  if (event.target.closest('[data-wall]')) trigger('wall', {});
});
element.addEventListener('fusion-map', ({ detail }) => trigger(detail.name === 'like' ? 'like' : 'choose', detail));
// gradio's text box says nothing when its last letter is deleted.
if (element.closest('#search-result')) document.addEventListener('input', ({ target }) => {
  if (target.matches('#search-text textarea') && !target.value.trim()) trigger('wall', {});
});"""

QUERIES_JS = """element.addEventListener('click', (event) => {
  const chosen = event.target.closest('[data-query]');
  if (chosen) trigger('query', { text: chosen.innerText.trim() });
});"""

FILES_JS = """const bring = async (files) => {
  const taken = [];
  element.classList.add('is-taking');
  for (const file of files.slice(0, MOST)) {
    const told = element.querySelector('[data-taking]');
    if (told) told.textContent = `${taken.length + 1} / ${files.length}`;
    try { taken.push((await upload(file)).path); } catch { /* too large: `given` counts it */ }
  }
  element.classList.remove('is-taking');
  if (files.length) trigger('bring', { files: taken, given: files.length });
};
const shown = (file) => !file.name.startsWith('.');
// The files of dropped files and folders, and of the folders in them; hidden ones are left out.
const within = async (entry) => {
  if (entry.isFile) return [await new Promise((done, failed) => entry.file(done, failed))];
  const [reader, found] = [entry.createReader(), []];
  for (;;) {
    const some = await new Promise((done, failed) => reader.readEntries(done, failed));
    if (!some.length) return found;
    for (const each of some.filter(shown)) found.push(...await within(each));
  }
};
element.addEventListener('change', (event) => {
  if (event.target.type !== 'file') return;
  bring([...event.target.files].filter(shown));
  event.target.value = '';
});
for (const name of ['dragenter', 'dragover']) {
  element.addEventListener(name, (event) => { event.preventDefault(); element.classList.add('is-over'); });
}
element.addEventListener('dragleave', (event) => {
  if (!element.contains(event.relatedTarget)) element.classList.remove('is-over');
});
element.addEventListener('drop', async (event) => {
  event.preventDefault();
  element.classList.remove('is-over');
  const files = [...event.dataTransfer.files];
  const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.some((entry) => entry.isDirectory)) bring(files);
  else bring((await Promise.all(entries.filter(shown).map(within))).flat());
});
element.addEventListener('click', (event) => {
  const button = event.target.closest('button');
  if (button?.dataset.out) trigger('take', { id: button.dataset.out });
  else if (button && 'away' in button.dataset) trigger('away', {});
});"""


@dataclass(frozen=True)
class MediaInput:
    """A choice of kind, and one input per kind, one of which is visible.

    parts: the inputs by kind. `inputs` is what an event takes; `chosen` turns its values into one path or text.
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

    def show_sample(self, sample: Sample) -> dict[gr.Component, Any]:
        """Updates that put a sample into its input."""
        return self.show(sample.input_kind, lend(sample.path, self.parts[sample.input_kind]))

    def chosen(self, kind: str, *values: str | None) -> Path | str:
        """The value of the chosen input, of those that take one file or a text. Raises RequestError if it is empty."""
        single = [name for name in self.parts if name != FILES]
        value = dict(zip(single, values, strict=True)).get(kind)
        if kind == TEXT:
            return value or ""
        if not value:
            raise MISSING[kind]
        return Path(value)

    def wire(self) -> None:
        """Switch inputs with the kind, and to the right one for a file that was dropped on another."""
        self.kind.input(self.show, self.kind, self.inputs, **QUICK)
        for name, part in self.parts.items():
            if name in (PHOTO, SOUND, CLIP):
                part.upload(self._sorter(name), part, self.inputs, concurrency_limit=None, **UNPROCESSED, **PRIVATE)

    def _sorter(self, name: str) -> Callable[..., dict[gr.Component, Any]]:
        """What happens when a file is dropped on the input of one kind: a file of another kind moves to its own, and
        one that cannot be read is said at once."""

        def sort(value: Any, request: gr.Request) -> dict[gr.Component, Any]:
            path, unchanged = plain(value), {self.kind: gr.update()}
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
    kind = gr.Radio(
        [(label(text_kind if name == TEXT else f"ui.kind.{name}"), name) for name in kinds],
        value=kinds[0],
        show_label=False,
        container=False,
        label=label("ui.kind"),
        elem_id=f"{tab}-kind",
        elem_classes="segments-choice",
        visible=len(kinds) > 1,
        interactive=True,
    )
    parts = {name: _part(tab, name, name == kinds[0], text_key, n_lines) for name in kinds}
    return MediaInput(tab, tuple(kinds), kind, parts)


def _part(tab: str, kind: str, visible: bool, text_key: str, n_lines: int) -> gr.Component:
    common: dict[str, Any] = {"elem_id": f"{tab}-{kind}", "visible": visible, "interactive": True}
    if kind == TEXT:
        return gr.Textbox(
            placeholder=label(text_key),
            label=label("ui.kind.text"),
            show_label=False,
            container=False,
            lines=n_lines,
            max_lines=12,
            elem_classes="field",
            **common,
        )
    common |= {"label": label(f"ui.kind.{kind}"), "show_label": False, "elem_classes": f"drop drop-{kind}"}
    if kind == FILES:
        return gr.File(file_count="multiple", height=216, **common)
    if kind == PHOTO:
        return gr.Image(type="filepath", sources=["upload", "webcam", "clipboard"], height=216, buttons=[], **common)
    if kind == SOUND:
        return gr.Audio(type="filepath", sources=["upload", "microphone"], buttons=[], **common)
    return gr.Video(sources=["upload", "webcam"], height=216, buttons=[], **common)


# --- fields ----------------------------------------------------------------------------------------------------------


def languages() -> list[tuple[Any, str]]:
    return [(label(f"ui.language.{name}"), name) for name in LANGUAGES]


def radio(elem_id: str, key: str, choices: Sequence[tuple[Any, str]], value: str, **more: Any) -> gr.Radio:
    """One of several choices, all of them visible. key: of the label."""
    common: dict[str, Any] = {"elem_classes": "choice", "interactive": True} | more
    return gr.Radio(list(choices), value=value, label=label(key), elem_id=elem_id, **common)


def dropdown(elem_id: str, key: str, choices: Sequence[tuple[Any, Any]], value: Any, **more: Any) -> gr.Dropdown:
    """One of several choices in a menu. key: of the label."""
    common: dict[str, Any] = {"elem_classes": "field", "filterable": False, "interactive": True} | more
    return gr.Dropdown(list(choices), value=value, label=label(key), elem_id=elem_id, **common)


def textbox(elem_id: str, key: str, **more: Any) -> gr.Textbox:
    """A text field. key: of the label."""
    return gr.Textbox(label=label(key), elem_id=elem_id, **({"elem_classes": "field", "interactive": True} | more))


def question_of(elem_id: str, key: str) -> gr.HTML:
    """The question an experiment asks, above its settings."""
    return gr.HTML(f'<p class="question-of">{both(key)}</p>', elem_id=f"{elem_id}-ask", apply_default_css=False)


# --- samples, files, result ------------------------------------------------------------------------------------------


def samples(tab: str, samples: Sequence[Sample]) -> gr.HTML:
    """Thumbnails of samples. A click is a `pick` event with the id of the sample."""
    cards = views.sample_cards(samples)
    value = f'<div class="samples">{cards}</div>' if cards else ""
    return gr.HTML(value, elem_id=f"{tab}-samples", js_on_load=PICK_JS, visible=bool(cards), apply_default_css=False)


def queries(elem_id: str, keys: Sequence[str]) -> gr.HTML:
    """Suggested texts as buttons. A click is a `query` event with the text in the page's language."""
    buttons = "".join(f'<button type="button" class="chip" data-query>{both(key)}</button>' for key in keys)
    value = f'<p class="queries"><span class="quiet">{both("ui.search.try")}</span>{buttons}</p>'
    return gr.HTML(value, elem_id=elem_id, js_on_load=QUERIES_JS, apply_default_css=False)


def files(elem_id: str, value: str, *, most: int, visible: bool = True) -> gr.HTML:
    """HTML with a file input on which several files can be dropped at once.

    Events: `bring` with the paths of the uploaded files, at most `most`, and the number of files given; `take` with the
    id of a clicked [data-out]; `away` for a clicked [data-away].
    """
    js = FILES_JS.replace("MOST", str(most))
    return gr.HTML(
        value, elem_id=elem_id, elem_classes="files", js_on_load=js, apply_default_css=False, visible=visible
    )


def result_card(tab: str, value: str) -> gr.HTML:
    """The result card. Events: `send` for a click on "send to", `pick` for one on a sample, `wall` for the way back to
    the samples, `choose` and `like` for points of a map."""
    return gr.HTML(value, elem_id=f"{tab}-result", js_on_load=RESULT_JS, apply_default_css=False)


def run_stop(tab: str, *, key: str = "") -> tuple[gr.Button, gr.Button]:
    """The main button of a tab, and Stop, which is visible while something runs. key: of the text on the button."""
    run = gr.Button(label(key or f"ui.{tab}.run"), variant="primary", elem_id=f"{tab}-run", scale=3, min_width=140)
    stop = gr.Button(
        label("ui.stop"), variant="secondary", elem_id=f"{tab}-stop", elem_classes="stop", visible=False, min_width=90
    )
    return run, stop


def subtitle(state: AppState, tab: str) -> gr.HTML:
    """What a tab is for, and which models serve it."""
    return gr.HTML(model_routing.subtitle(state, tab), elem_id=f"{tab}-subtitle", apply_default_css=False)


def lend(path: Path, component: gr.Component) -> str:
    """Copy a file to where gradio may serve it, for a component to show."""
    return processing_utils.save_file_to_cache(str(path), cache_dir=component.GRADIO_CACHE)


def kind_of(path: Path) -> str:
    """The kind of a file by its content. Raises MediaError."""
    from engines.media import probe

    return probe(path).kind


def n_tracks(path: Path) -> int:
    """How many sound tracks a file has; 0 for what cannot be read, which is said when it is to be read."""
    from engines import MediaError
    from engines.media import probe

    try:
        return probe(path).n_tracks
    except MediaError:
        return 0
