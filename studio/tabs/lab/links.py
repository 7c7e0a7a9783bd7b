"""Settings of an experiment outside the page: in its address, as a command and as Python."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import gradio as gr

from engines import RequestError
from engines.lab import EXPERIMENTS, LabRequest
from studio import components
from studio.tabs.lab import form
from studio.tabs.lab.view import command

LINK_JS = """window.fusion.openLab = (query) => trigger('link', query);
dispatchEvent(new Event('fusion-lab'));"""
COPY_JS = "(held) => window.fusion.copyText(new DOMParser().parseFromString(held, 'text/html').body.textContent)"
EXPERIMENT = "experiment"


def read(query: Mapping[str, Any]) -> LabRequest | None:
    """The request that an address names: None where it names no experiment. Raises RequestError for a wrong value."""
    name = str(query.get(EXPERIMENT))
    if name not in EXPERIMENTS:
        return None
    kind = EXPERIMENTS[name].request
    given: dict[str, Any] = {}
    for each in fields(kind):
        value = query.get(each.name)
        if not isinstance(value, str):
            given[each.name] = each.metadata["first"]
        elif isinstance(each.default, tuple):
            given[each.name] = tuple(value.split(","))
        elif isinstance(each.default, str):
            given[each.name] = value
        else:
            given[each.name] = _number(each.name, value)
    return kind(**given)


def _number(name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise RequestError(
            "lab_link_number", "{name} is {value} in this link; it should be a number.", name=name, value=text
        ) from None
    return int(value) if value.is_integer() else value


def write_js(name: str, kind: type[LabRequest], names: list[str]) -> str:
    """The script that puts the widgets' values into the address. names: of the widgets' fields, in their order."""
    firsts = {each.name: each.metadata["first"] for each in fields(kind)}
    known = [[each, _text(firsts.get(each, form.materials_of(kind)[0]))] for each in names]
    return f"(...values) => window.fusion.settings({name!r}, {known!r}, values)"


def _text(value: object) -> str:
    return (
        ",".join(map(str, value))
        if isinstance(value, tuple)
        else f"{value:g}"
        if isinstance(value, float)
        else str(value)
    )


def python(request: LabRequest) -> str:
    """A program that runs the same experiment."""
    kind = type(request)
    given = ", ".join(
        f"{each.name}={getattr(request, each.name)!r}"
        for each in fields(kind)
        if getattr(request, each.name) != each.default or each.name == "seed"
    )
    return (
        f"from engines.lab import {kind.__name__}, experiment\nfrom engines.lab.report import text\n\n"
        f"for found in experiment({kind.__name__}({given})):\n"
        "    print(found.stage, found.n_done, found.n_steps)\n"
        'print(*map(text, found.tables), sep="\\n\\n")\n'
    )


def buttons(name: str) -> dict[str, gr.Button]:
    """Copy the link, the command and the program of the settings, by what is copied."""
    with gr.Row(elem_classes="lab-copies"):
        return {
            what: components.button(
                f"lab-{name}-copy-{what}", f"ui.lab.copy.{what}", min_width=60, elem_classes="copies"
            )
            for what in ("link", "command", "python")
        }


def copied(what: str, request: LabRequest) -> str:
    """HTML of what a button copies."""
    return html.escape(python(request) if what == "python" else command(request))


def holder() -> gr.HTML:
    """What holds a text that is being copied, and asks for the settings of an address; nothing to see."""
    return components.html("lab-link", script=LINK_JS, elem_classes="unseen")
