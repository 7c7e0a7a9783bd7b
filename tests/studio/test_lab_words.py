"""Whatever an experiment of the lab puts out, the page has words for it in both languages."""

from __future__ import annotations

import re
import string
from collections.abc import Iterator
from dataclasses import fields

import pytest

from engines.lab import (
    AlignmentRequest,
    ExtractorsRequest,
    Findings,
    FusionRequest,
    LabRequest,
    MamlRequest,
    MultitaskRequest,
    experiment,
    trainer,
)
from engines.lab.data.datasets import digits
from engines.lab.requests import METHODS
from studio import i18n
from studio.tabs.lab.terms import APART, key_of

QUICK: dict[str, LabRequest] = {
    "pictures": ExtractorsRequest(n_steps=10),
    "sounds": ExtractorsRequest(n_steps=10, modality="sound"),
    "words": ExtractorsRequest(n_steps=10, modality="text"),
    "fusion": FusionRequest(n_steps=10, operator=("picture", "average", "concat")),
    "alignment": AlignmentRequest(n_steps=10, objective=("none", "both")),
    "multitask": MultitaskRequest(n_steps=10, task=("digit", "family")),
    "maml": MamlRequest(n_steps=10, method=METHODS, n_tasks=1),
}
SAID = {
    "extractor_best": {"extractor", "percent", "quickest"},
    "fusion_gain": {"operator", "modality", "points"},
    "fusion_even": {"operator", "modality"},
    "fusion_loss": {"operator", "modality", "points"},
    "fusion_missing": {"operator", "percent"},
    "alignment_best": {"objective", "percent", "without"},
    "alignment_game": {"gap", "before", "percent"},
    "multitask_gain": {"task", "points"},
    "multitask_no_gain": set(),
    "multitask_loss": {"task", "points"},
    "multitask_no_loss": set(),
    "multitask_size": {"percent"},
    "maml_ahead": {"method", "n", "points"},
    "maml_behind": {"method", "n", "points"},
    "maml_second": {"points"},
    "maml_first": {"points"},
    "maml_even": {"points", "chance"},
}
"""Sentence -> what it tells."""


def told(found: Findings) -> Iterator[str]:
    """Every word of the field in findings, as the page is to show it."""
    yield found.stage
    for chart in found.charts:
        yield from (chart.x, chart.y, *(curve.name for curve in chart.curves))
    for table in found.tables:
        yield from (column.removesuffix("%").strip() for column in table.columns)
        yield from (cell for row in table.rows for cell in row if isinstance(cell, str))
    for each in found.maps:
        yield from (each.key, each.name, *(group.name for group in each.groups))
    for picture in found.pictures:
        yield from (picture.key, picture.name)
    for _, values in found.said:
        yield from (value for value in values.values() if isinstance(value, str))


def is_known(word: str) -> bool:
    """Whether a word has a text of its own, or is put together of such as have."""
    return all(i18n.knows(key_of(part)) for part in ([word] if i18n.knows(key_of(word)) else APART.split(word)[::2]))


@pytest.mark.parametrize("name", QUICK)
def test_every_word_heading_and_sentence_of_an_experiment_is_known(name):
    with pytest.MonkeyPatch.context() as patch:  # a run that learns next to nothing
        for what, n in (("N_VALID", 20), ("N_TEST", 20), ("N_MAP", 20), ("BATCH", 4)):
            patch.setattr(trainer, what, n)
        patch.setattr(trainer, "measured_at", lambda n_steps: {1})
        *_, end = run = list(experiment(QUICK[name]))
    words = {word for found in run for word in told(found)} - {"", *digits().classes}
    words |= {word for each in fields(QUICK[name]) for word in each.metadata.get("known", ())}
    assert {word for word in words if not is_known(word)} == set()
    headings = {key_of(chart.key, "chart") for chart in end.charts}
    headings |= {key_of(table.key, "table") for table in end.tables[1:] if table.key != "time"}
    assert {heading for heading in headings if not i18n.knows(heading)} == set()
    for key, values in end.said:
        assert SAID[key] <= values.keys()


@pytest.mark.parametrize("key", SAID)
def test_a_sentence_tells_the_same_in_both_languages(key):
    for language in i18n.LANGUAGES:
        text = i18n.texts(language)[key_of(key, "said")]
        assert {name for _, name, _, _ in string.Formatter().parse(text) if name} == SAID[key]
        assert re.search(r"[.。]$", text)
