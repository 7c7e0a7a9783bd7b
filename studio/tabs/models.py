"""Models & device: what answers here, what it can do, how well it was measured, and where it runs."""

from __future__ import annotations

import html
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from engines import (
    LANGUAGES,
    AskRequest,
    CaptionRequest,
    EmbedRequest,
    HostInfo,
    IndexRequest,
    SearchRequest,
    TranscribeRequest,
    TranslateRequest,
)
from studio import components, events, views
from studio.desk import Desk
from studio.i18n import LANGUAGES as LOCALES
from studio.i18n import both, label, page_language, spans, text

TAB = "models"
EVALUATION = Path(__file__).resolve().parents[2] / "assets" / "models" / "builtin" / "evaluation.json"

SPOKEN = (("transcribe", TranscribeRequest), ("caption", CaptionRequest), ("ask", AskRequest))
PLAIN = (("search", SearchRequest), ("index", IndexRequest), ("embed", EmbedRequest))


@dataclass(frozen=True)
class Models:
    """The widgets of the tab. switch: None where devices may not be switched."""

    card: gr.HTML
    switch: gr.Radio


def create_ui(desk: Desk) -> Models:
    """Lay the tab out."""
    components.lead(TAB)
    with gr.Row(elem_classes="bench"):
        with gr.Column(scale=5, elem_classes="bench-in"):
            card = gr.HTML(card_view(desk.host.info), elem_id="models-card", apply_default_css=False)
            switch = gr.Radio(
                choices(desk),
                value=where(desk),
                label=label("ui.models.device"),
                info=label("ui.models.device.hint"),
                elem_id="models-device",
                elem_classes="choice",
                visible=desk.rules.devices,
                interactive=True,
            )
        with gr.Column(scale=7, elem_classes="bench-out"):
            gr.HTML(abilities_view(desk.host.info), elem_id="models-abilities", apply_default_css=False)
            gr.HTML(measured_view(), elem_id="models-measured", apply_default_css=False)
    return Models(card, switch)


def choices(desk: Desk) -> list[tuple[Any, str]]:
    """The devices as a choice: "auto" in words, the rest by their names."""
    return [(label("ui.models.auto") if name == "auto" else name, name) for name in desk.devices]


def where(desk: Desk) -> str:
    """The choice that stands for where the host is now: the switches always show what is so."""
    return desk.host.info.device if desk.host.info.device in desk.devices else desk.devices[0]


def move(desk: Desk, device: str, language: str) -> tuple[HostInfo, str | None]:
    """Move the host; what it is now, and a sentence when it could not move."""
    try:
        desk.host.move(device)
    except Exception as error:  # the edge of the house, as in events.play
        return desk.host.info, events.calm(error).text(language)
    return desk.host.info, None


def wire(desk: Desk, models: Models, header: gr.Dropdown) -> None:
    """Make both switches work: the one here and the one in the header."""

    def switch(device: str, request: gr.Request) -> tuple[Any, Any, str]:
        language = page_language(request)
        if not desk.rules.devices or device not in desk.devices:
            raise gr.Error(text("ui.models.forbidden", language), print_exception=False)
        info, sentence = move(desk, device, language)
        if sentence is not None:
            gr.Warning(sentence, title=text("ui.models.stays", language, device=info.device))
        else:
            reason = info.device_reason_zh if language == "zh" else info.device_reason
            gr.Info(
                text("ui.models.moved", language, device=info.device, reason=reason),
                title=text("ui.models.device", language),
            )
        return gr.update(value=where(desk)), gr.update(value=where(desk)), card_view(info)

    for source, chosen in ((models.switch, models.switch.select), (header, header.select)):
        chosen(
            switch,
            source,
            [models.switch, header, models.card],
            show_progress="hidden",
            concurrency_id="device",
            concurrency_limit=1,
            **events.PRIVATE,
        )


# --- as HTML ---------------------------------------------------------------------------------------------------------


def card_view(info: HostInfo) -> str:
    """What the host is and where it runs."""
    rows = (
        ("name", html.escape(info.name)),
        ("parameters", f"{info.n_parameters / 1e6:.1f} M"),
        ("memory", f"{info.memory_bytes / 2**20:.0f} MiB"),
        ("device", f"{html.escape(info.device)} · {html.escape(info.dtype)}"),
        ("reason", spans(info.device_reason, info.device_reason_zh)),
        ("licence", html.escape(info.licence)),
        ("digest", f"<code>{html.escape(info.model_digest[:16])}</code>"),
    )
    listed = "".join(f"<dt>{both('ui.models.' + key)}</dt><dd>{value}</dd>" for key, value in rows)
    return views.sheet("done", f'<dl class="facts-list">{listed}</dl>')


def abilities_view(info: HostInfo) -> str:
    """Tasks by languages, a mark where one is served."""
    head = "".join(f"<th>{both('ui.language.' + name)}</th>" for name in LANGUAGES)
    rows = "".join(
        f"<tr><th>{both('ui.ability.' + name)}</th>"
        + "".join(_yes(info.serves(request, language)) for language in LANGUAGES)
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
    table = f'<table class="grid"><thead><tr><th></th>{head}</tr></thead><tbody>{rows}</tbody></table>'
    return views.sheet("done", f'<h2>{both("ui.models.abilities")}</h2><div class="wide">{table}</div>')


def _from(source: str) -> str:
    names = (text("ui.language." + source, language) for language in LOCALES)
    return spans(*(text("ui.ability.translate", at, source=name) for at, name in zip(LOCALES, names, strict=True)))


def _yes(served: bool) -> str:
    return f"<td>{_sign(served)}</td>"


def _sign(served: bool) -> str:
    return f'<span class="{"yes" if served else "no"}">{"●" if served else "–"}</span>'


def measured_view(file: Path = EVALUATION) -> str:
    """The figures of `evaluation.json` as one table; a sentence where there is none."""
    rows = figures(file)
    title = f"<h2>{both('ui.models.measured')}</h2>"
    if not rows:
        return views.sheet("done", f'{title}<p class="nothing">{both("ui.models.unmeasured")}</p>')
    lines = "".join(
        f'<tr><td><code>{html.escape(key)}</code></td><td class="number">{html.escape(figure)}</td></tr>'
        for key, figure in rows
    )
    command = f'<p class="quiet">{both("ui.models.command")} <code>python -m engines.evaluation</code></p>'
    table = f'<div class="wide tall"><table class="grid figures"><tbody>{lines}</tbody></table></div>'
    return views.sheet("done", title + command + table)


def figures(file: Path) -> list[tuple[str, str]]:
    """(key, figure with its unit) pairs of an evaluation file; none when it is absent or damaged."""
    try:
        read = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    rows = []
    for key, row in read.items() if isinstance(read, dict) else ():
        figure = row.get("value") if isinstance(row, dict) else None
        if isinstance(figure, int | float) and not isinstance(figure, bool):
            rows.append((str(key), f"{figure:,.2f} {row.get('unit') or ''}".strip()))
    return rows
