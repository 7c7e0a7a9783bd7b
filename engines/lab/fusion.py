"""Fusion: a written and a spoken digit together, by each operator of the product, against one sense alone.

The operators are `engines.model.fusion.OPERATORS`: element-wise sum, gated product (after Kiela et al. 2018), tokens
side by side, and attention between them. "average" is late fusion: the mean of what two models of one sense each say.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from engines.errors import RequestError
from engines.lab import trainer
from engines.lab.data.datasets import Material, Part, digits
from engines.lab.findings import Cell, Chart, Curve, Findings, Picture, Table
from engines.lab.requests import FusionRequest
from engines.lab.runs import Watch
from engines.lab.trainer import Draw, Noise
from engines.model.fusion import FusionModel, Stream
from engines.protocol import Cancel

ALONE = ("picture", "sound")
NOISES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Where the curve of accuracy over noise is measured, both senses alike."""

Answers: TypeAlias = Mapping[str, FusionModel]
"""The models trained, by operator; one sense alone under its name."""


@dataclass(frozen=True)
class Condition:
    """What a test does to the senses. hidden: one of them taken away."""

    noise: Noise
    hidden: str = ""


def run(request: FusionRequest, material: Material | None, cancel: Cancel) -> Iterator[Findings]:
    """Train one model per operator (and per single sense where needed), then measure all of them alike."""
    own = digits() if material is None else material
    if not (own.has_pictures and own.has_sounds):
        raise RequestError("fusion_needs_both", "Fusion needs both photos and sounds in every class.")
    kinds = trained(request)
    watch = Watch(request, len(kinds) * request.n_steps, own.data)
    valid = trainer.draw(own.valid, ALONE, trainer.N_VALID, np.random.default_rng(request.seed + 1))
    noise = Noise(request.picture_noise, request.sound_noise)
    models: dict[str, FusionModel] = {}
    for kind in kinds:
        models[kind] = model = build(request, own, kind)

        def score(model: FusionModel = model, kind: str = kind) -> dict[str, float]:
            found = trainer.chances(model, own.valid, _only(valid, kind), noise, request.seed)
            return {kind: trainer.accuracy(found, valid.labels)}

        loss = _loss(request, own.train, kind, model)
        yield from trainer.train(watch, kind, model.parameters(), request.n_steps, loss, score, cancel)
        if cancel.is_set:
            yield watch.stopped()
            return
    yield watch.findings(stage="measuring")
    tables, noisy = measure_all(request, own, models)
    watch.draw(noisy)
    yield watch.finished(
        tables=(*tables, watch.times("operator")),
        pictures=shown(request, own),
        said=conclusions(tables),
        weights=trainer.weights_of(models),
    )


def measure(request: FusionRequest, material: Material | None, weights: Mapping[str, np.ndarray]) -> tuple[Table, ...]:
    """The tables of a finished run again, from its weights."""
    own = digits() if material is None else material
    models = {}
    for kind in trained(request):
        models[kind] = build(request, own, kind)
        trainer.put_weights(kind, models[kind], weights)
    return measure_all(request, own, models)[0]


def trained(request: FusionRequest) -> tuple[str, ...]:
    """Which models are trained for what was asked: an average needs both senses' own."""
    asked = request.operator
    singles = [sense for sense in ALONE if sense in asked or "average" in asked]
    return (*singles, *(kind for kind in asked if kind not in (*ALONE, "average")))


def build(request: FusionRequest, material: Material, kind: str) -> FusionModel:
    """A model from nothing for one operator; for a sense alone the operator is never asked."""
    fusion = "attention" if kind in ALONE else kind
    return trainer.new_model(trainer.lab_config(material, fusion=fusion), request.seed)


def _only(drawn: Draw, kind: str) -> Draw:
    """The senses that a model of this kind takes."""
    return Draw(drawn.labels, None if kind == "sound" else drawn.picture, None if kind == "picture" else drawn.sound)


def _loss(request: FusionRequest, part: Part, kind: str, model: FusionModel) -> trainer.Loss:
    """Of training with one sense dropped from a share of the examples: its mean over every drop, rather than one drawn
    drop, since the towers cost far more than fusing what they give.
    """
    rng = np.random.default_rng(request.seed)
    noise = Noise(request.picture_noise, request.sound_noise)

    def loss(step: int) -> Tensor:
        drawn = trainer.draw(part, ALONE, trainer.BATCH, rng)
        found = trainer.streams(model, part, _only(drawn, kind), noise.drawn(rng), rng)
        if kind in ALONE:
            return trainer.cross_entropy(trainer.answer(model, found), drawn.labels)
        total = torch.zeros(())
        for hidden, share in (("", 1.0 - request.dropped), *((sense, request.dropped / 2) for sense in ALONE)):
            if share > 0:
                seen = [without(stream) if stream.sense == hidden else stream for stream in found]
                total = total + share * trainer.cross_entropy(trainer.answer(model, seen), drawn.labels)
        return total

    return loss


def without(stream: Stream) -> Stream:
    """The same stream with nothing in it."""
    return Stream(stream.sense, stream.tokens, torch.zeros_like(stream.mask), stream.times_s)


# --- measuring -----------------------------------------------------------------------------------------------------


def measure_all(request: FusionRequest, material: Material, models: Answers) -> tuple[tuple[Table, ...], Chart]:
    """(accuracy as asked and with a sense missing, what one example rests on), and the curve over noise."""
    drawn = trainer.draw(material.test, ALONE, trainer.N_TEST, np.random.default_rng(request.seed + 2))
    asked = Noise(request.picture_noise, request.sound_noise)
    conditions = [Condition(asked), *(Condition(asked, sense) for sense in ALONE)]
    curves = {kind: Curve(kind) for kind in request.operator}
    rows: dict[str, list[Cell]] = {kind: [] for kind in request.operator}
    for condition in conditions:
        for kind, found in answers(request, material, models, drawn, condition).items():
            rows[kind].append(None if kind == condition.hidden else trainer.accuracy(found, drawn.labels))
    some = drawn.cut(0, trainer.N_VALID)
    for level in NOISES:
        for kind, found in answers(request, material, models, some, Condition(Noise(level, level))).items():
            curves[kind] = curves[kind].then(level, trainer.accuracy(found, some.labels))
    sizes = {kind: trainer.used_parameters(model, used(kind)) for kind, model in models.items()}
    sizes["average"] = sum(sizes.get(sense, 0) for sense in ALONE)
    table = Table(
        "fusion",
        ("operator", "accuracy %", "picture missing %", "sound missing %", "parameters"),
        tuple((kind, *cells, sizes[kind]) for kind, cells in rows.items()),
    )
    noisy = Chart("noise", "noise", "accuracy", tuple(curves.values()), percent=True)
    return (table, trust(request, material, models, drawn.cut(0, 1), asked)), noisy


def used(kind: str) -> tuple[str, ...]:
    """The parts of the model that a kind of fusion uses, by how the names of their weights begin."""
    senses = (kind,) if kind in ALONE else ALONE
    return (*(f"{sense}." for sense in senses), "sense_embedding.", "operator.", "event_head.")


def answers(
    request: FusionRequest, material: Material, models: Answers, drawn: Draw, condition: Condition
) -> dict[str, Tensor]:
    """Probabilities (n, C) by each operator asked for. A model of one sense does not notice that the other is gone."""
    gone = torch.tensor([sense == condition.hidden for sense in ALONE]).expand(len(drawn), -1)
    found: dict[str, Tensor] = {}
    for kind, model in models.items():
        missing = None if kind in ALONE else gone
        found[kind] = trainer.chances(
            model, material.test, _only(drawn, kind), condition.noise, request.seed + 3, missing
        )
    if "average" in request.operator:
        heard = [found[sense] for sense in ALONE if sense != condition.hidden]
        found["average"] = torch.stack(heard).mean(0)
    return {kind: found[kind] for kind in request.operator}


def trust(request: FusionRequest, material: Material, models: Answers, one: Draw, noise: Noise) -> Table:
    """Which sense an operator trusted for one example: how far the right answer's probability falls without it."""
    whole = answers(request, material, models, one, Condition(noise))
    without = {sense: answers(request, material, models, one, Condition(noise, sense)) for sense in ALONE}
    right = int(one.labels[0])
    rows: list[tuple[Cell, ...]] = []
    for kind, found in whole.items():
        chance = float(found[0, right])
        falls = [None if kind in ALONE else chance - float(without[sense][kind][0, right]) for sense in ALONE]
        said = material.classes[int(found[0].argmax())]
        rows.append((kind, said, chance, *falls))
    return Table("trust", ("operator", "says", "right answer %", "picture's part %", "sound's part %"), tuple(rows))


def shown(request: FusionRequest, material: Material) -> tuple[Picture, ...]:
    """The example of the trust table as it is seen and heard, and without its noise."""
    one = trainer.draw(material.test, ALONE, trainer.N_TEST, np.random.default_rng(request.seed + 2)).cut(0, 1)
    found = []
    for name, noise in (("noisy", Noise(request.picture_noise, request.sound_noise)), ("clean", Noise())):
        found += trainer.pictures_of(material.test, one, noise, request.seed + 3, name)
    return tuple(found)


def conclusions(tables: tuple[Table, ...]) -> tuple[tuple[str, dict[str, Cell]], ...]:
    """What the table says, as sentences to fill: the best fusion against the better sense, and what survives."""
    scores = {str(row[0]): row for row in tables[0].rows}
    said: list[tuple[str, dict[str, Cell]]] = []
    fused = [kind for kind in scores if kind not in ALONE]
    if fused and all(sense in scores for sense in ALONE):
        best = max(fused, key=lambda kind: _number(scores[kind][1]))
        sense = max(ALONE, key=lambda kind: _number(scores[kind][1]))
        points = 100.0 * (_number(scores[best][1]) - _number(scores[sense][1]))
        key = "fusion_gain" if points > 0 else "fusion_loss" if points < 0 else "fusion_even"
        said.append((key, {"operator": best, "sense": sense, "points": abs(points)}))
    whole = [kind for kind in fused if None not in scores[kind][2:4]]
    if len(whole) > 1:
        last = max(whole, key=lambda kind: _number(scores[kind][2]) + _number(scores[kind][3]))
        kept = (_number(scores[last][2]) + _number(scores[last][3])) / 2
        said.append(("fusion_missing", {"operator": last, "percent": 100.0 * kept}))
    return tuple(said)


def _number(cell: Cell) -> float:
    return float(cell) if isinstance(cell, int | float) else 0.0
