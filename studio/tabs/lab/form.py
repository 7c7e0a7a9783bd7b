"""Settings form of an experiment: the fields of its request as widgets, and the widgets' values as a request.

The metadata of a field decides its widget: known words are a choice, a range is a slider, the seed is a number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field, fields
from typing import Any, cast

import gradio as gr

from engines import Message, RequestError
from engines.lab import LabRequest
from studio.i18n import label, text
from studio.tabs.lab.terms import key_of

MATERIAL = "material"
"""The field of the training data, in experiments with several bundled sets; every experiment takes a folder."""
DIGITS = "digits"
FOLDER = "folder"


def fields_of(kind: type[LabRequest]) -> list[Field[Any]]:
    """The fields with a widget, in the order of the form: choices, then numbers, the seed last."""
    turned = [each for each in fields(kind) if each.name != MATERIAL and each.metadata]
    return sorted(turned, key=lambda each: (each.name == "seed", "low" in each.metadata))


def materials_of(kind: type[LabRequest]) -> tuple[str, ...]:
    """The bundled data sets of an experiment, the default first."""
    for each in fields(kind):
        if each.name == MATERIAL:
            return tuple(each.metadata["known"])
    return (DIGITS,)


def widget(experiment: str, each: Field[Any]) -> gr.Component:
    """The widget of one field."""
    key, default = key_of(each.name, "field"), cast(Any, each.metadata["first"])
    common: dict[str, Any] = {
        "label": label(key),
        "elem_id": f"lab-{experiment}-{each.name.replace('_', '')}",
        "interactive": True,
    }
    known = each.metadata.get("known")
    if known is not None:
        choices = [(label(key_of(word)), word) for word in known]
        many = isinstance(default, tuple)
        value = list(default) if many else default
        return (gr.CheckboxGroup if many else gr.Radio)(choices, value=value, elem_classes="choice", **common)
    low, high = each.metadata["low"], each.metadata["high"]
    common |= {"minimum": low, "maximum": high, "value": default, "min_width": 150}
    if each.name == "seed":
        return gr.Number(precision=0, step=1, elem_classes="field number", **common)
    return gr.Slider(step=step_of(low, high, default), elem_classes="dial", **common)


def step_of(low: float, high: float, default: float) -> float:
    """The step of a slider."""
    if isinstance(default, int):
        return 1 if high - low <= 100 else max(1, int(low))
    return low if low > 0 else 0.05


def request_of(kind: type[LabRequest], values: Mapping[str, Any], material: str = DIGITS) -> LabRequest:
    """The request for the values of the widgets, by field name. Raises RequestError."""
    given = {each.name: _given(each, values[each.name]) for each in fields_of(kind)}
    if len(materials_of(kind)) > 1 and material != FOLDER:
        given[MATERIAL] = material
    return kind(**given)


def _given(each: Field[Any], value: Any) -> Any:
    if isinstance(each.default, tuple):
        value = tuple(word for word in each.metadata["known"] if word in (value or ()))
    elif isinstance(each.default, int) and isinstance(value, float) and value.is_integer():
        value = int(value)
    if value in (None, ()):
        field = Message(key_of(each.name, "field"), text(key_of(each.name, "field"), "en"))
        raise RequestError("lab_field_empty", "{field}: choose or type something.", field=field)
    return value


def value_of(each: Field[Any], request: LabRequest) -> Any:
    """The value of a field's widget for a request."""
    value = getattr(request, each.name)
    return list(value) if isinstance(value, tuple) else value
