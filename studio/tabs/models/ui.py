"""Models & device: which models serve, what they can do, how well they were measured, and where they run."""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from engines import (
    LANGUAGES,
    TASKS,
    AskRequest,
    CaptionRequest,
    EmbedRequest,
    HostInfo,
    IndexRequest,
    RequestError,
    SearchRequest,
    TranscribeRequest,
    TranslateRequest,
)
from engines.paths import ASSETS
from studio import components, model_routing, stream, views
from studio.i18n import LANGUAGES as LOCALES
from studio.i18n import both, label, page_language, sentence, spans, text, texts
from studio.model_routing import BUILT_IN
from studio.state import AppState
from studio.tabs.models import compare, load, ocr

TAB = "models"
EVALUATION = ASSETS / "models" / "builtin" / "evaluation.json"

MEASURED = "ui.measured."
"""Before the key of a figure: its name in words."""

SPOKEN = (("transcribe", TranscribeRequest), ("caption", CaptionRequest), ("ask", AskRequest))
PLAIN = (("search", SearchRequest), ("index", IndexRequest), ("embed", EmbedRequest))


@dataclass(frozen=True)
class Models:
    """The widgets of the tab. load, compare, words: None for visitors, who only see which models serve."""

    who: gr.HTML
    cards: gr.HTML
    abilities: gr.HTML
    switch: gr.Radio
    load: load.LoadForm | None
    compare: compare.Compare | None
    words: ocr.OcrForm | None

    @property
    def shown(self) -> list[gr.Component]:
        """What has to be redrawn when the routes change."""
        chosen = [] if self.compare is None else [self.compare.left, self.compare.right]
        return [self.who, self.cards, self.abilities, self.switch, *chosen]


def create_ui(state: AppState) -> Models:
    """Lay out the tab."""
    components.subtitle(state, TAB)
    with gr.Row(elem_classes="split"):
        with gr.Column(scale=5, elem_classes="split-input"):
            who = components.html("models-who", routing_view(state), clicks={"back": "back"})
            switch = components.radio(
                "models-device",
                "ui.models.device",
                choices(state),
                where(state),
                info=label("ui.models.device.hint"),
                visible=not state.shared,
            )
            cards = components.html("models-card", cards_view(state))
        with gr.Column(scale=7, elem_classes="split-result"):
            abilities = components.html("models-abilities", abilities_view(state.host.info))
    is_owner = not state.shared
    load_form = load.create_ui() if is_owner else None
    compare_form = compare.create_ui(state) if is_owner else None
    words = ocr.create_ui() if is_owner else None
    components.html("models-measured", measured_view())
    return Models(who, cards, abilities, switch, load_form, compare_form, words)


def show(state: AppState, left: str | None = None, right: str | None = None) -> list[Any]:
    """New values of `Models.shown`. left, right: what the comparison's two choices show."""
    parts: list[Any] = [
        routing_view(state),
        cards_view(state),
        abilities_view(state.host.info),
        gr.update(value=where(state)),
    ]
    if not state.shared:
        models = compare.choices(state)
        parts += [gr.update(choices=models, value=value) for value in compare.still_offered(state, left, right)]
    return parts


def choices(state: AppState) -> list[tuple[Any, str]]:
    return [
        (label("ui.models.auto") if name == "auto" else model_routing.device_name(name), name) for name in state.devices
    ]


def where(state: AppState) -> str:
    """The choice of the device in use."""
    here = (host.info.device for host in state.host.hosts())
    return next((device for device in here if device in state.devices), state.devices[0])


def move(state: AppState, device: str, language: str) -> tuple[HostInfo, str | None]:
    """Move the hosts that can be moved. Returns the host's info afterwards, and a sentence if it failed."""
    with stream.failures() as failed:
        state.host.move(device)
    infos = [host.info for host in state.host.hosts()]
    info = next((info for info in infos if info.device in state.devices), infos[0])
    return info, failed[0].text(language) if failed else None


def wire(
    state: AppState,
    models: Models,
    header: gr.Dropdown,
    subtitles: Mapping[str, gr.HTML],
    *,
    moments: Sequence[Callable[..., Any]] = (),
) -> None:
    """Attach the events. subtitles: tab -> the line under it, which names the model. moments: further events that
    redraw whatever names a model, since another open page may have changed it."""
    chosen = [] if models.compare is None else [models.compare.left, models.compare.right]

    def refresh(*values: str) -> list[Any]:
        return [
            *show(state, *values),
            gr.update(value=where(state)),
            *(model_routing.subtitle(state, tab) for tab in subtitles),
        ]

    changes = list(moments)
    if models.load is not None and models.compare is not None:
        changes += [event.then for event in load.wire(state, models.load, models.switch, models.who.back)]
        compare.wire(state, models.compare)
    if models.words is not None:
        ocr.wire(state, models.words)
    for change in changes:
        outputs = [*models.shown, header, *subtitles.values()]
        change(refresh, chosen, outputs, **stream.QUICK)
    _wire_switches(state, models, header)


def _wire_switches(state: AppState, models: Models, header: gr.Dropdown) -> None:
    """Attach both device switches: the one of the tab and the one in the header."""

    def switch(device: str, request: gr.Request) -> tuple[Any, ...]:
        language = page_language(request)
        with stream.toast(request):
            if state.shared or device not in state.devices:
                raise RequestError("device_forbidden", "This device cannot be chosen here.")
        info, failure = move(state, device, language)
        if failure is not None:
            gr.Warning(failure, title=text("ui.models.stays", language, device=model_routing.device_name(info.device)))
        else:
            reason = info.device_reason.text(language)
            gr.Info(
                text("ui.models.moved", language, device=model_routing.device_name(info.device), reason=reason),
                title=text("ui.models.device", language),
            )
        return gr.update(value=where(state)), gr.update(value=where(state)), routing_view(state), cards_view(state)

    for source, chosen in ((models.switch, models.switch.select), (header, header.select)):
        chosen(
            switch,
            source,
            [models.switch, header, models.who, models.cards],
            concurrency_id="device",
            concurrency_limit=1,
            **stream.PRIVATE,
        )


# --- as HTML ---------------------------------------------------------------------------------------------------------


def routing_view(state: AppState) -> str:
    """Each task, its model, where that runs and at what cost; for the owner a way back to the built-in model."""
    head = "".join(f"<th>{both('ui.models.' + name)}</th>" for name in ("task", "name", "place"))
    rows = "".join(_who(task, model_routing.serving(state, task), not state.shared) for task in TASKS)
    others = any(model_routing.serving(state, task).source != BUILT_IN for task in TASKS)
    everything = f'<p class="all-back">{views.tool(both("ui.models.back.all"), back="")}</p>'
    table = f'<table class="grid who"><thead><tr>{head}<td></td></tr></thead><tbody>{rows}</tbody></table>'
    below = everything if others and not state.shared else ""
    return views.result_card("done", f'<h2>{both("ui.models.who")}</h2><div class="wide">{table}</div>{below}')


def _who(task: str, info: HostInfo, is_owner: bool) -> str:
    name = f'<span class="name" title="{html.escape(info.name)}">{html.escape(info.name)}</span>'
    unable = "" if model_routing.supports(info, task) else f' <span class="unable">{both("ui.models.unable")}</span>'
    back = views.tool(both("ui.models.back"), back=task)
    return (
        f"<tr><th>{both('ui.task.' + task)}</th><td>{name}{unable}</td>"
        f'<td class="number">{model_routing.place(info)}</td><td>{back if is_owner and info.source != BUILT_IN else ""}'
        "</td></tr>"
    )


def cards_view(state: AppState) -> str:
    """A card per open model, the first one unfolded."""
    first, *others = (host.info for host in state.host.hosts())
    folded = (f"<details><summary>{html.escape(info.name)}</summary>{facts_list(info)}</details>" for info in others)
    return card_view(first) + "".join(views.result_card("done", card) for card in folded)


def card_view(info: HostInfo) -> str:
    """What a model is and where it runs, as a card."""
    return views.result_card("done", facts_list(info))


def facts_list(info: HostInfo) -> str:
    """What a model is, where it runs, and of the built-in one what it is good and bad at."""
    about = f'<p class="about-model">{both("ui.models.good")}</p>' if info.source == BUILT_IN else ""
    return about + load.facts_list(
        (
            ("name", html.escape(info.name)),
            ("parameters", model_routing.parameters(info)),
            ("memory", model_routing.memory(info)),
            ("device", " · ".join(part for part in (model_routing.where(info), html.escape(info.dtype)) if part)),
            ("reason", sentence(info.device_reason)),
            ("licence", html.escape(info.licence)),
            ("digest", f"<code>{html.escape(info.model_digest[:16])}</code>"),
        )
    )


def abilities_view(info: HostInfo) -> str:
    """Which task is supported in which language."""
    head = "".join(f"<th>{both('ui.language.' + name)}</th>" for name in LANGUAGES)
    rows = "".join(
        f"<tr><th>{both('ui.ability.' + name)}</th>"
        + "".join(_yes(info.serves(request, language) or info.serves(request, "")) for language in LANGUAGES)
        + "</tr>"
        for name, request in SPOKEN
    )
    rows += "".join(
        f"<tr><th>{_from(language)}</th>"
        + "".join(_yes(info.serves(TranslateRequest, f"{language}-{target}")) for target in LANGUAGES)
        + "</tr>"
        for language in LANGUAGES
    )
    rows += "".join(
        f'<tr><th>{both("ui.ability." + name)}</th><td colspan="{len(LANGUAGES)}" class="number">'
        f"{_sign(info.serves(request))}</td></tr>"
        for name, request in PLAIN
    )
    table = f'<table class="grid"><thead><tr><td></td>{head}</tr></thead><tbody>{rows}</tbody></table>'
    return views.result_card("done", f'<h2>{both("ui.models.abilities")}</h2><div class="wide">{table}</div>')


def _from(source: str) -> str:
    names = (text("ui.language." + source, language) for language in LOCALES)
    return spans(*(text("ui.ability.translate", at, source=name) for at, name in zip(LOCALES, names, strict=True)))


def _yes(served: bool) -> str:
    return f"<td>{_sign(served)}</td>"


def _sign(served: bool) -> str:
    return f'<span class="{"yes" if served else "no"}">{"●" if served else "–"}</span>'


def measured_view(file: Path = EVALUATION) -> str:
    """The figures of `evaluation.json`: those a person asks for in words, all of them folded; a sentence if there are
    none."""
    rows = figures(file)
    title = f"<h2>{both('ui.models.measured')}</h2>"
    if not rows:
        return views.result_card("done", f'{title}<p class="nothing">{both("ui.models.unmeasured")}</p>')
    measured = dict(rows)
    asked = [key for key in texts("en") if key.startswith(MEASURED)]
    lines = "".join(
        f'<tr><td>{both(key)}</td><td class="number">{html.escape(measured[metric])}</td></tr>'
        for key in asked
        if (metric := key.removeprefix(MEASURED)) in measured
    )
    words = f'<div class="wide"><table class="grid figures"><tbody>{lines}</tbody></table></div>' if lines else ""
    words += f'<p class="quiet">{both("ui.models.measures")}</p>' if lines else ""
    named = "".join(
        f'<tr><td><code>{html.escape(key)}</code></td><td class="number">{html.escape(figure)}</td></tr>'
        for key, figure in rows
    )
    command = f'<p class="quiet">{both("ui.models.command")} <code>python -m engines.evaluation</code></p>'
    table = f'<div class="wide tall" tabindex="0"><table class="grid figures"><tbody>{named}</tbody></table></div>'
    summary = f"<summary>{both('ui.models.figures', n=len(rows))}</summary>"
    return views.result_card("done", f'{title}{words}<details class="all-figures">{summary}{command}{table}</details>')


def figures(file: Path) -> list[tuple[str, str]]:
    """(key, figure with its unit) pairs of an evaluation file; none if it is missing or damaged."""
    try:
        read = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    rows = []
    for key, row in read.items() if isinstance(read, dict) else ():
        figure = row.get("value") if isinstance(row, dict) else None
        if isinstance(figure, int | float) and not isinstance(figure, bool):
            unit = row.get("unit") or ""
            rows.append((str(key), f"{figure:,.1f} {'' if unit == 'points' else unit}".strip()))
    return rows
