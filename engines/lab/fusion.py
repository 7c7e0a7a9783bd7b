"""Fusion: a written and a spoken digit together, by several fusion operators, against one modality alone.

The operators are those of the product, `engines.model.fusion.OPERATORS` (element-wise sum, gated product after Kiela et
al. 2018, concatenated tokens, attention between them), and those of `engines.lab.operators` (gated multimodal unit,
tensor fusion). "average" is late fusion: the mean of two unimodal models' predictions.

Axes: B batch, n examples, C classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from engines.errors import RequestError
from engines.lab import network, operators, trainer
from engines.lab.data.datasets import Dataset, DatasetSplit, digits
from engines.lab.findings import Cell, Chart, Curve, Findings, Network, Picture, Table, Watch
from engines.lab.requests import FusionRequest
from engines.lab.trainer import Examples, Noise, Recorder
from engines.model.fusion import OPERATORS, FusionModel, Stream
from engines.protocol import Cancel

MODALITIES = ("picture", "sound")
"""Also the names of the unimodal models."""
NOISE_LEVELS = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Where the curve of accuracy over noise is measured, with the same noise in both modalities."""

N_DECIDED = 24
"""Examples behind each cell of a decision map."""
DECISIONS = "decisions"
"""The key of decision maps among the pictures."""

Models: TypeAlias = Mapping[str, FusionModel]
"""Trained models by operator; unimodal ones by their modality."""


@dataclass(frozen=True)
class Condition:
    """What a test does to the input. missing: a modality that is masked."""

    noise: Noise
    missing: str = ""


def run(request: FusionRequest, dataset: Dataset | None, cancel: Cancel, watch: Watch | None) -> Iterator[Findings]:
    """Train one model per operator (and per modality where needed), then test all of them under the same conditions."""
    data = digits() if dataset is None else dataset
    if not (data.has_pictures and data.has_sounds):
        raise RequestError("fusion_needs_both", "Fusion needs both photos and sounds in every class.")
    names = networks(request)
    recorder = Recorder(request, len(names) * request.n_steps, data.record)
    valid = trainer.sample(data.valid, MODALITIES, trainer.N_VALID, np.random.default_rng(request.seed + 1))
    noise = Noise(request.picture_noise, request.sound_noise)
    models: dict[str, FusionModel] = {}
    for name in names:
        models[name] = model = build(request, data, name)

        def score(model: FusionModel = model, name: str = name) -> dict[str, float]:
            recorder.pictures[name] = decision_map(request, data.valid, model, name, valid[:N_DECIDED])
            found = trainer.probabilities(model, data.valid, _inputs(valid, name), noise, request.seed)
            return {name: trainer.accuracy(found, valid.labels)}

        loss = modality_dropout_loss(request, data.train, name, model)
        drawn = None if watch is None else partial(draw_network, request, data, model, name, watch)
        yield from trainer.train(recorder, name, model.parameters(), request.n_steps, loss, score, cancel, draw=drawn)
        if cancel.is_set:
            yield recorder.stopped()
            return
    yield recorder.findings(stage="measuring")
    tables, noise_chart = evaluate(request, data, models)
    recorder.draw(noise_chart)
    yield recorder.finished(
        tables=(*tables, recorder.times("operator")),
        pictures=example_pictures(request, data),
        said=conclusions(tables),
        weights=trainer.weights_of(models),
    )


def measure(request: FusionRequest, dataset: Dataset | None, weights: Mapping[str, np.ndarray]) -> tuple[Table, ...]:
    """The tables of a finished run again, from its weights."""
    data = digits() if dataset is None else dataset
    models = {name: trainer.loaded(build(request, data, name), name, weights) for name in networks(request)}
    return evaluate(request, data, models)[0]


def draw(
    request: FusionRequest, dataset: Dataset | None, weights: Mapping[str, np.ndarray], name: str, watch: Watch
) -> Network:
    """One model as it reads the watched example, trained if there are weights."""
    data = digits() if dataset is None else dataset
    return draw_network(request, data, trainer.loaded(build(request, data, name), name, weights), name, watch)


def draw_network(request: FusionRequest, dataset: Dataset, model: FusionModel, name: str, watch: Watch) -> Network:
    """The forward pass of the watched example, at the noise asked for."""
    noise = Noise(request.picture_noise, request.sound_noise)
    modalities = (name,) if name in MODALITIES else MODALITIES
    return network.draw(name, model, dataset, modalities, noise, watch, request.seed)


def networks(request: FusionRequest) -> tuple[str, ...]:
    """The models that a request needs: "average" needs both unimodal ones."""
    asked = request.operator
    unimodal = [modality for modality in MODALITIES if modality in asked or "average" in asked]
    return (*unimodal, *(name for name in asked if name not in (*MODALITIES, "average")))


def build(request: FusionRequest, dataset: Dataset, name: str) -> FusionModel:
    """A new model with an operator; in a unimodal model the operator is never called."""
    operator = name if name in OPERATORS else "attention"
    built = trainer.new_model(trainer.lab_config(dataset, fusion=operator), request.seed)
    if name in operators.OPERATORS:
        built.operator = trainer.seeded(request.seed, lambda: operators.OPERATORS[name](built.config))
    return built


def _inputs(examples: Examples, name: str) -> Examples:
    """The modalities that a model takes."""
    return Examples(
        examples.labels,
        None if name == "sound" else examples.picture,
        None if name == "picture" else examples.sound,
    )


def modality_dropout_loss(request: FusionRequest, split: DatasetSplit, name: str, model: FusionModel) -> trainer.Loss:
    """Cross-entropy where a share of the examples lacks one modality.

    It is the expectation over which modality is dropped, not a sample of it: the towers, which cost most, run once.
    """
    rng = np.random.default_rng(request.seed)
    noise = Noise(request.picture_noise, request.sound_noise)
    dropout = request.modality_dropout

    def loss(step: int) -> Tensor:
        examples = trainer.sample(split, MODALITIES, trainer.BATCH, rng)
        streams = trainer.streams(model, split, _inputs(examples, name), noise.sample(rng), rng)
        if name in MODALITIES:
            return trainer.cross_entropy(trainer.class_logits(model, streams), examples.labels)
        total = torch.zeros(())
        for missing, share in (("", 1.0 - dropout), *((modality, dropout / 2) for modality in MODALITIES)):
            if share > 0:
                kept = [masked(stream) if stream.modality == missing else stream for stream in streams]
                total = total + share * trainer.cross_entropy(trainer.class_logits(model, kept), examples.labels)
        return total

    return loss


def masked(stream: Stream) -> Stream:
    """The same stream with every token masked."""
    return Stream(stream.modality, stream.tokens, torch.zeros_like(stream.mask), stream.times_s)


@torch.inference_mode()
def decision_map(
    request: FusionRequest, split: DatasetSplit, model: FusionModel, name: str, examples: Examples
) -> Picture:
    """The share of right decisions at each level of noise in both modalities.

    A row is a level of noise in the sound, the highest on top; a column is one in the picture. Each tower reads each
    level once; only fusion and the head run for every cell.
    """
    levels = [
        {
            stream.modality: stream
            for stream in trainer.streams(
                model, split, _inputs(examples, name), Noise(level, level), np.random.default_rng(request.seed)
            )
        }
        for level in NOISE_LEVELS
    ]
    cells = np.zeros((len(levels), len(levels)), np.float32)
    for i, heard in enumerate(reversed(levels)):
        for j, seen in enumerate(levels):
            kept = [each[modality] for modality, each in (("picture", seen), ("sound", heard)) if modality in each]
            cells[i, j] = trainer.accuracy(trainer.class_logits(model, kept), examples.labels)
    return Picture(DECISIONS, name, cells)


# --- measuring -----------------------------------------------------------------------------------------------------


def evaluate(request: FusionRequest, dataset: Dataset, models: Models) -> tuple[tuple[Table, ...], Chart]:
    """The tables (accuracy as asked and with a modality missing; one example's reliance) and the curve over noise."""
    rng = np.random.default_rng(request.seed + 2)
    examples = trainer.sample(dataset.test, MODALITIES, trainer.N_TEST, rng)
    asked = Noise(request.picture_noise, request.sound_noise)
    conditions = [Condition(asked), *(Condition(asked, modality) for modality in MODALITIES)]
    curves = {name: Curve(name) for name in request.operator}
    rows: dict[str, list[Cell]] = {name: [] for name in request.operator}
    for condition in conditions:
        for name, found in predictions(request, dataset, models, examples, condition).items():
            rows[name].append(None if name == condition.missing else trainer.accuracy(found, examples.labels))
    some = examples[: trainer.N_VALID]
    for level in NOISE_LEVELS:
        for name, found in predictions(request, dataset, models, some, Condition(Noise(level, level))).items():
            curves[name] = curves[name].then(level, trainer.accuracy(found, some.labels))
    sizes = {name: trainer.used_parameters(model, used_parts(name)) for name, model in models.items()}
    sizes["average"] = sum(sizes.get(modality, 0) for modality in MODALITIES)
    table = Table(
        "fusion",
        ("operator", "accuracy %", "picture missing %", "sound missing %", "parameters"),
        tuple((name, *cells, sizes[name]) for name, cells in rows.items()),
    )
    chart = Chart("noise", "noise", "accuracy", tuple(curves.values()), percent=True)
    return (table, reliance(request, dataset, models, examples[:1], asked)), chart


def used_parts(name: str) -> tuple[str, ...]:
    """The parts of the model that are used, by how the names of their weights begin."""
    modalities = (name,) if name in MODALITIES else MODALITIES
    return (*(f"{modality}." for modality in modalities), "sense_embedding.", "operator.", "event_head.")


def predictions(
    request: FusionRequest, dataset: Dataset, models: Models, examples: Examples, condition: Condition
) -> dict[str, Tensor]:
    """Class probabilities (n, C) by each operator asked for. Unimodal models ignore that the other is missing."""
    mask = torch.tensor([modality == condition.missing for modality in MODALITIES]).expand(len(examples), -1)
    found: dict[str, Tensor] = {}
    for name, model in models.items():
        missing = None if name in MODALITIES else mask
        found[name] = trainer.probabilities(
            model, dataset.test, _inputs(examples, name), condition.noise, request.seed + 3, missing
        )
    if "average" in request.operator:
        found["average"] = torch.stack([found[m] for m in MODALITIES if m != condition.missing]).mean(0)
    return {name: found[name] for name in request.operator}


def reliance(request: FusionRequest, dataset: Dataset, models: Models, one: Examples, noise: Noise) -> Table:
    """How much each operator relies on a modality for one example: the drop in the target's probability without it."""
    whole = predictions(request, dataset, models, one, Condition(noise))
    without = {m: predictions(request, dataset, models, one, Condition(noise, m)) for m in MODALITIES}
    target = int(one.labels[0])
    rows: list[tuple[Cell, ...]] = []
    for name, found in whole.items():
        probability = float(found[0, target])
        drops = [None if name in MODALITIES else probability - float(without[m][name][0, target]) for m in MODALITIES]
        predicted = dataset.classes[int(found[0].argmax())]
        rows.append((name, predicted, probability, *drops))
    return Table("trust", ("operator", "says", "right answer %", "picture's part %", "sound's part %"), tuple(rows))


def example_pictures(request: FusionRequest, dataset: Dataset) -> tuple[Picture, ...]:
    """The example of the reliance table as the models receive it, and without noise."""
    rng = np.random.default_rng(request.seed + 2)
    one = trainer.sample(dataset.test, MODALITIES, trainer.N_TEST, rng)[:1]
    found = []
    for name, noise in (("noisy", Noise(request.picture_noise, request.sound_noise)), ("clean", Noise())):
        found += trainer.pictures_of(dataset.test, one, noise, request.seed + 3, name)
    return tuple(found)


def conclusions(tables: tuple[Table, ...]) -> tuple[tuple[str, dict[str, Cell]], ...]:
    """Summarise the table as message keys with values: the best fusion against the better modality, and robustness."""
    scores = {str(row[0]): row for row in tables[0].rows}
    said: list[tuple[str, dict[str, Cell]]] = []
    fused = [name for name in scores if name not in MODALITIES]
    if fused and all(modality in scores for modality in MODALITIES):
        best = max(fused, key=lambda name: _number(scores[name][1]))
        modality = max(MODALITIES, key=lambda name: _number(scores[name][1]))
        points = 100.0 * (_number(scores[best][1]) - _number(scores[modality][1]))
        key = "fusion_gain" if points > 0 else "fusion_loss" if points < 0 else "fusion_even"
        said.append((key, {"operator": best, "modality": modality, "points": abs(points)}))
    complete = [name for name in fused if None not in scores[name][2:4]]
    if len(complete) > 1:
        best = max(complete, key=lambda name: _number(scores[name][2]) + _number(scores[name][3]))
        kept = (_number(scores[best][2]) + _number(scores[best][3])) / 2
        said.append(("fusion_missing", {"operator": best, "percent": 100.0 * kept}))
    return tuple(said)


def _number(cell: Cell) -> float:
    return float(cell) if isinstance(cell, int | float) else 0.0
