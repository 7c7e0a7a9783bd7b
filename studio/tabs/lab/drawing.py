"""The drawing of a network: what the browser needs of it as JSON, and the frame with its controls.

`assets/network.js` draws it, keeps what came before for the training slider, and asks for another example or model with
the event `choose`.
"""

from __future__ import annotations

import base64
import html
import json
from typing import Any

import numpy as np

from engines.lab import Findings, Network, Part
from studio import i18n
from studio.i18n import both, title
from studio.tabs.lab.terms import key_of, translated

NETWORK_JS = """(window.fusion.networks ??= []).push([element, (wanted) => trigger('choose', wanted)]);
dispatchEvent(new Event('fusion-network'));"""


def data(network: Network, *, run: str = "", found: Findings | None = None, models: tuple[str, ...] = ()) -> str:
    """HTML that holds a network for the script. run: the key of its run; found: how far that is, None before it.

    models: those that can be chosen.
    """
    n_steps = int(getattr(found.request, "n_steps", 0)) if found is not None else 0
    step = 0 if found is None else n_steps if found.done else (found.n_done % n_steps or n_steps)
    held: dict[str, Any] = {
        "run": run,
        "step": step,
        "steps": n_steps,
        "is_over": found is not None and found.done,
        "model": network.model,
        "models": [[name, *_names(name)] for name in models],
        "label": network.label,
        "example": network.example,
        "classes": network.classes,
        "parts": [_part(part, network.parts) for part in network.parts],
    }
    return f'<i data-network="{html.escape(json.dumps(held, ensure_ascii=False, separators=(",", ":")))}"></i>'


def _part(part: Part, parts: tuple[Part, ...]) -> dict[str, Any]:
    keys = [other.key for other in parts]
    values = np.nan_to_num(part.values)
    top = float(np.abs(values).max(initial=0.0)) or 1.0
    held: dict[str, Any] = {
        "key": part.key,
        "name": _names(part.name),
        "about": _about(part.name),
        "lane": part.lane,
        "kind": part.kind,
        "after": [keys.index(key) for key in part.after],
        "shape": " × ".join(map(str, part.shape)),
        "formula": part.formula,
        "source": part.source,
        "size": list(values.shape),
        "gradient": float(f"{part.gradient:.2g}"),
    }
    if part.kind == "bars":
        held["bars"] = [round(float(value), 3) for value in values[:, 0]]
        held["right"] = part.right
    elif part.kind != "letters":
        held["values"] = _packed(values / top)
    if part.labels:
        held["labels"] = [_names(each) for each in part.labels]
    if part.links is not None:
        held["links"] = _packed(part.links)
    return held


def _packed(values: np.ndarray) -> str:
    """Numbers from -1 to 1 as signed bytes in base64."""
    return base64.b64encode((np.nan_to_num(values) * 127).round().clip(-127, 127).astype(np.int8).tobytes()).decode()


def _names(word: str) -> list[str]:
    return [translated(word, language) for language in i18n.LANGUAGES]


def _about(name: str) -> list[str]:
    """What a part does, in both languages; empty where there is no text for it."""
    key = key_of(name.rstrip(" 0123456789"), "part")
    return [i18n.text(key, language) for language in i18n.LANGUAGES] if i18n.knows(key) else ["", ""]


def frame(name: str) -> str:
    """The place of the drawing with its controls. name: of the experiment."""
    button = '<button type="button" class="tool" data-act="{}" aria-label="{}">{}</button>'
    controls = (
        button.format("back", title("ui.lab.net.back"), "◀")
        + f'<button type="button" class="tool play" data-act="play"><span class="when-still">▶ '
        f'{both("ui.lab.net.play")}</span><span class="when-playing">❚❚ {both("ui.lab.net.pause")}</span></button>'
        + button.format("next", title("ui.lab.net.next"), "▶")
        + f'<label class="pass"><span>{both("ui.lab.net.pass")}</span>'
        '<input type="range" min="0" max="1" value="1" step="1" data-pass></label>'
        f'<label class="slow"><input type="checkbox" data-slow checked> {both("ui.lab.net.slow")}</label>'
    )
    return (
        f'<section class="network is-empty" id="lab-{name}-drawing" aria-label="{title("ui.lab.net.title")}">'
        f'<div class="net-head"><h3>{both("ui.lab.net.title")}</h3><p class="net-state number" role="status">'
        f'<span class="if-new">{both("ui.lab.net.untrained")}</span>'
        f'<span class="if-step">{both("ui.lab.net.step")} <b data-step></b></span>'
        f'<span class="if-held">· {both("ui.lab.net.held")}</span></p>'
        f'<label class="net-model"><span class="unseen">{both("ui.lab.net.model")}</span><select data-model></select>'
        "</label></div>"
        f'<div class="net-examples" role="group" aria-label="{title("ui.lab.net.example")}">'
        f"<span>{both('ui.lab.net.example')}</span><span data-classes></span>"
        f'<button type="button" class="tool" data-act="other">'
        f"{both('ui.lab.net.other')}</button></div>"
        f'<div class="net-canvas"><p class="stage net-wait"><i class="pulse"></i>{both("ui.lab.net.wait")}</p></div>'
        f'<div class="net-controls">{controls}</div>'
        f'<label class="net-time"><span>{both("ui.lab.net.time")}</span>'
        '<input type="range" min="0" max="0" value="0" step="1" data-time></label>'
        f'<div class="net-info" aria-live="polite"><p class="quiet">{both("ui.lab.net.hint")}</p></div>'
        f"<template data-words>{html.escape(json.dumps(_words(), ensure_ascii=False))}</template></section>"
    )


def _words() -> dict[str, list[str]]:
    """The words that the script puts into the drawing."""
    words = ("shape", "formula", "code", "change", "hint")
    return {word: [i18n.text(f"ui.lab.net.{word}", language) for language in i18n.LANGUAGES] for word in words}
