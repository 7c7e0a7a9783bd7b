"""Alignment: written, spoken and typed digits in one embedding space, by different training objectives.

Every model learns to classify digits, with a classifier for each modality, so that each modality has something to
encode. The objectives add to that: "contrastive" InfoNCE (`engines.training.losses.info_nce`), "sigmoid" SigLIP's loss
(`sigmoid_pairs`), "adversarial" a modality discriminator that the towers learn to fool (Ganin & Lempitsky 2015),
"both" InfoNCE and the discriminator, "none" nothing. The modality gap is the distance between the modalities' mean
embeddings (Liang et al. 2022, arXiv:2203.02053).

Axes: B batch, n examples, E embedding.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engines.errors import RequestError
from engines.lab import network, trainer
from engines.lab.data.datasets import Dataset, DatasetSplit, digits
from engines.lab.findings import Cell, Dots, Findings, Map, Network, Table, Watch
from engines.lab.requests import AlignmentRequest
from engines.lab.trainer import Examples, Noise, Recorder
from engines.model.fusion import FusionModel, PoolHead, Stream, VectorKind
from engines.protocol import Cancel
from engines.training import losses

NAMES: dict[str, str] = {"picture": "written", "sound": "spoken", "text": "word"}
"""What the modalities are called on the map and in the table."""
VECTOR_KINDS: dict[str, VectorKind] = {"picture": "photo", "sound": "sound", "text": "text"}
ADVERSARIAL = ("adversarial", "both")
N_HIDDEN = 128
"""Width of the discriminator's hidden layer."""
ADVERSARIAL_WEIGHT = 0.1
"""Keeps the encoders from outrunning the discriminator, whose own steps do not depend on it (AdamW)."""
SIGMOID_MARGIN = 0.5
"""The cosine at which the sigmoid loss gives a pair even odds: its bias is minus this times its scale."""

Embeddings: TypeAlias = Mapping[str, np.ndarray]
"""Unit vectors (n, E) by modality; row i of every modality is of the same class."""


class GradientReversal(torch.autograd.Function):
    """Gradient reversal: identity forward, negated gradient backward."""

    @staticmethod
    def forward(context: Any, x: Tensor) -> Tensor:
        return x.view_as(x)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> Tensor:
        return -gradients[0]


class Discriminator(nn.Module):
    """Embeddings (B, E) -> logits (B, n_modalities): which modality each comes from."""

    def __init__(self, embed_dim: int, n_modalities: int = 2) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(embed_dim, N_HIDDEN), nn.GELU(), nn.Linear(N_HIDDEN, n_modalities))

    def forward(self, vectors: Tensor) -> Tensor:
        out: Tensor = self.layers(vectors * vectors.shape[1] ** 0.5)  # unit vectors: scaled to a mean square of 1
        return out


def adversarial_loss(discriminator: Discriminator, by_modality: Sequence[Tensor]) -> Tensor:
    """Cross-entropy of telling the modalities' embeddings apart, (n, E) each: log of their number where impossible.

    The discriminator receives its gradient, the encoders of the vectors the negated one.
    """
    labels = torch.cat([torch.full((len(each),), i, device=each.device) for i, each in enumerate(by_modality)])
    vectors: Tensor = GradientReversal.apply(torch.cat(list(by_modality)))  # type: ignore[no-untyped-call]
    return F.cross_entropy(discriminator(vectors).float(), labels)


class AlignedModel(nn.Module):
    """The product's model, a classifier on each modality's embeddings, and a modality discriminator."""

    def __init__(self, model: FusionModel, modalities: tuple[str, ...], n_classes: int) -> None:
        super().__init__()
        self.model, self.modalities = model, modalities
        width = model.config.embed_dim
        self.classifiers = nn.ModuleDict({modality: nn.Linear(width, n_classes) for modality in modalities})
        self.discriminator = Discriminator(width, len(modalities))

    def embed(
        self, split: DatasetSplit, examples: Examples, noise: Noise, rng: np.random.Generator
    ) -> dict[str, Tensor]:
        """Unit vectors (B, E) of each modality."""
        streams = trainer.streams(self.model, split, examples, noise, rng)
        return {s.modality: self.model.vector(VECTOR_KINDS[s.modality], s.tokens, s.mask) for s in streams}


def run(request: AlignmentRequest, dataset: Dataset | None, cancel: Cancel, watch: Watch | None) -> Iterator[Findings]:
    """Train one model per objective, with a map of the space as it changes, then test all of them alike."""
    data = digits() if dataset is None else dataset
    check(data)
    recorder = Recorder(request, len(request.objective) * request.n_steps, data.record)
    rng = np.random.default_rng(request.seed + 1)
    valid = trainer.sample(data.valid, modalities_of(data), trainer.N_MAP, rng)
    models: dict[str, AlignedModel] = {}
    maps: list[Map] = []

    def map_of(key: str, name: str, model: AlignedModel) -> Map:
        return projection(key, name, embeddings(request, model, data.valid, valid), valid, data)

    for objective in request.objective:
        models[objective] = model = build(request, data)
        if not maps:
            maps.append(map_of("start", "before", model))
        components: dict[str, float] = {}

        def score(model: AlignedModel = model, objective: str = objective) -> dict[str, float]:
            return {objective: mean_retrieval(embeddings(request, model, data.valid, valid), valid.labels)}

        loss = _loss(request, data.train, objective, model, components)
        drawn = None if watch is None else partial(draw_network, request, data, model, objective, watch)
        steps = trainer.train(recorder, objective, model.parameters(), request.n_steps, loss, score, cancel, draw=drawn)
        newest = maps[-1]
        for found in steps:
            step = found.n_done % request.n_steps or request.n_steps
            if step in trainer.measured_at(request.n_steps):
                _record(recorder, objective, step, components)
                newest = map_of(objective, "after", model)
            yield recorder.findings(stage=objective, maps=(*maps, newest))
        if cancel.is_set:
            yield recorder.stopped(maps=tuple(maps))
            return
        maps.append(map_of(objective, "after", model))
    yield recorder.findings(stage="measuring", maps=tuple(maps))
    table = evaluate(request, data, models)
    yield recorder.finished(
        tables=(table, recorder.times("objective")),
        maps=tuple(maps),
        said=conclusions(table),
        weights=trainer.weights_of(models),
    )


def measure(request: AlignmentRequest, dataset: Dataset | None, weights: Mapping[str, np.ndarray]) -> tuple[Table, ...]:
    """The table of a finished run again, from its weights."""
    data = digits() if dataset is None else dataset
    models = {name: trainer.loaded(build(request, data), name, weights) for name in request.objective}
    return (evaluate(request, data, models),)


def networks(request: AlignmentRequest) -> tuple[str, ...]:
    """One model per objective."""
    return request.objective


def draw(
    request: AlignmentRequest, dataset: Dataset | None, weights: Mapping[str, np.ndarray], name: str, watch: Watch
) -> Network:
    """One model as it reads the watched example, trained if there are weights."""
    data = digits() if dataset is None else dataset
    check(data)
    return draw_network(request, data, trainer.loaded(build(request, data), name, weights), name, watch)


def draw_network(request: AlignmentRequest, dataset: Dataset, model: AlignedModel, name: str, watch: Watch) -> Network:
    """The watched example in every modality, each pooled to its embedding, and their cosines."""

    def forward(streams: list[Stream]) -> None:
        for stream in streams:
            model.model.vector(VECTOR_KINDS[stream.modality], stream.tokens, stream.mask)

    def finish(drawing: network.Drawing, last: Sequence[str]) -> None:
        found: dict[str, Tensor] = {}
        keys = []
        for key in last:
            modality = key.partition(".")[0]
            head = model.model.vectors[VECTOR_KINDS[modality]]
            assert isinstance(head, PoolHead)
            pooled, vector = network.pool(drawing, head, modality, key, "pooling")
            found[NAMES[modality]] = unit = F.normalize(vector, dim=0)
            keys.append(drawing.add(
                f"{modality}.embedding", "embedding", modality, unit[None], after=(pooled,),
                formula="e = W v + b,  e / ‖e‖", code=FusionModel.vector, weights=(head.project,),
            ))  # fmt: skip
        pairs = list(itertools.combinations(found, 2))
        cosines = torch.stack([found[a] @ found[b] for a, b in pairs])
        drawing.add(
            "all.cosine", "cosine", "all", cosines[:, None], after=keys, kind="bars", shape=(len(pairs),),
            formula="cos(a, b) = a·b", code=losses.info_nce, labels=[f"{a} – {b}" for a, b in pairs],
        )  # fmt: skip

    return network.draw(
        name, model.model, dataset, model.modalities, _noise(request), watch, request.seed,
        forward=forward, finish=finish,
    )  # fmt: skip


def check(dataset: Dataset) -> None:
    """Raises RequestError where there are neither photos nor sounds: words alone have nothing to be aligned with."""
    if not (dataset.has_pictures or dataset.has_sounds):
        raise RequestError("alignment_needs_pairs", "Alignment needs photos or sounds in every class.")


def modalities_of(dataset: Dataset) -> tuple[str, ...]:
    """The two or three modalities of a data set."""
    has = {"picture": dataset.has_pictures, "sound": dataset.has_sounds, "text": True}
    return tuple(modality for modality in NAMES if has[modality])


def build(request: AlignmentRequest, dataset: Dataset) -> AlignedModel:
    """A new model; it starts the same for every objective."""
    config = trainer.lab_config(dataset)
    return trainer.seeded(
        request.seed, lambda: AlignedModel(FusionModel(config), modalities_of(dataset), len(dataset.classes))
    )


def _noise(request: AlignmentRequest) -> Noise:
    return Noise(request.noise, request.noise, request.noise)


def _loss(
    request: AlignmentRequest, split: DatasetSplit, objective: str, model: AlignedModel, components: dict[str, float]
) -> trainer.Loss:
    """Classification plus what the objective adds. components: receives the added parts of each step's loss by name."""
    rng = np.random.default_rng(request.seed)
    pair_loss = contrastive_loss(objective, request.temperature)

    def loss(step: int) -> Tensor:
        examples = trainer.sample(split, model.modalities, trainer.BATCH, rng)
        found = model.embed(split, examples, _noise(request).sample(rng), rng)
        scale = model.model.config.embed_dim**0.5  # unit vectors would have coordinates far below 1
        total = torch.stack(
            [trainer.cross_entropy(model.classifiers[m](scale * v), examples.labels) for m, v in found.items()]
        ).mean()
        if pair_loss is not None:
            labels = torch.from_numpy(examples.labels)
            pairs = [pair_loss(a, b, labels) for a, b in itertools.combinations(found.values(), 2)]
            components["contrastive"] = (added := torch.stack(pairs).mean()).item()
            total = total + added
        if objective in ADVERSARIAL:
            by_modality = list(found.values())
            components["discriminator"] = (added := adversarial_loss(model.discriminator, by_modality)).item()
            components["encoders"] = encoder_loss(model.discriminator, by_modality)
            total = total + ADVERSARIAL_WEIGHT * added
        return total

    return loss


def contrastive_loss(objective: str, temperature: float) -> Callable[[Tensor, Tensor, Tensor], Tensor] | None:
    """The loss between two modalities' embeddings (B, E), (B, E) with labels (B,); None where there is none."""
    if objective in ("contrastive", "both"):
        return lambda a, b, labels: losses.info_nce(a, b, labels, temperature=temperature)
    if objective == "sigmoid":
        scale = 1.0 / temperature
        return lambda a, b, labels: losses.sigmoid_pairs(a, b, labels, scale=scale, bias=-SIGMOID_MARGIN * scale)
    return None


@torch.no_grad()
def encoder_loss(discriminator: Discriminator, by_modality: list[Tensor]) -> float:
    """The discriminator's cross-entropy against the uniform answer.

    Like its own loss, it is log(number of modalities) when the discriminator can only guess.
    """
    return float(-discriminator(torch.cat(by_modality)).float().log_softmax(1).mean(1).mean())


def _record(recorder: Recorder, objective: str, step: int, components: Mapping[str, float]) -> None:
    for name, value in components.items():
        chart, curve = ("contrastive loss", objective) if name == "contrastive" else ("game", f"{objective}: {name}")
        recorder.point(chart, curve, step, value, axes=("step", "loss"))


# --- measuring -----------------------------------------------------------------------------------------------------


@torch.inference_mode()
def embeddings(
    request: AlignmentRequest, model: AlignedModel, split: DatasetSplit, examples: Examples
) -> dict[str, np.ndarray]:
    """The embeddings of examples, computed in chunks. The noise depends on the seed alone."""
    rng = np.random.default_rng(request.seed + 3)
    chunks = [examples[i : i + trainer.CHUNK] for i in range(0, len(examples), trainer.CHUNK)]
    found = [model.embed(split, chunk, _noise(request), rng) for chunk in chunks]
    return {modality: torch.cat([each[modality] for each in found]).numpy() for modality in model.modalities}


def retrieval(queries: np.ndarray, candidates: np.ndarray, labels: np.ndarray) -> float:
    """The share of queries (n, E) whose nearest candidate (n, E) is of the same class (recall at 1)."""
    return float((labels[(queries @ candidates.T).argmax(1)] == labels).mean())


def mean_retrieval(vectors: Embeddings, labels: np.ndarray) -> float:
    """The mean of `retrieval` over all ordered pairs of modalities."""
    return float(np.mean([retrieval(vectors[a], vectors[b], labels) for a, b in itertools.permutations(vectors, 2)]))


def modality_gap(vectors: Embeddings) -> float:
    """The distance between the mean embeddings of two modalities, averaged over pairs."""
    means = {modality: each.mean(0) for modality, each in vectors.items()}
    return float(np.mean([np.linalg.norm(means[a] - means[b]) for a, b in itertools.combinations(means, 2)]))


def without_gap(vectors: Embeddings) -> dict[str, np.ndarray]:
    """The same embeddings, every modality's mean moved to the common mean, then normalised to unit length again."""
    centre = np.mean([each.mean(0) for each in vectors.values()], 0)
    moved = {modality: each - each.mean(0) + centre for modality, each in vectors.items()}
    return {modality: each / np.linalg.norm(each, axis=1, keepdims=True) for modality, each in moved.items()}


def evaluate(request: AlignmentRequest, dataset: Dataset, models: Mapping[str, AlignedModel]) -> Table:
    """Retrieval between all pairs of modalities, the modality gap, and retrieval with the gap removed."""
    modalities = modalities_of(dataset)
    examples = trainer.sample(dataset.test, modalities, trainer.N_TEST, np.random.default_rng(request.seed + 2))
    pairs = list(itertools.permutations(modalities, 2))
    rows: list[tuple[Cell, ...]] = []
    for objective, model in models.items():
        vectors = embeddings(request, model, dataset.test, examples)
        found = [retrieval(vectors[a], vectors[b], examples.labels) for a, b in pairs]
        closed = mean_retrieval(without_gap(vectors), examples.labels)
        rows.append((objective, *found, float(np.mean(found)), modality_gap(vectors), closed))
    columns = [f"{NAMES[a]} → {NAMES[b]} %" for a, b in pairs]
    return Table("alignment", ("objective", *columns, "mean %", "modality gap", "mean, gap closed %"), tuple(rows))


def conclusions(table: Table) -> tuple[tuple[str, dict[str, Cell]], ...]:
    """Summarise the table as message keys with values: the best objective against none, and the adversarial one."""
    mean, gap = table.columns.index("mean %"), table.columns.index("modality gap")
    rows = {str(row[0]): row for row in table.rows}
    said: list[tuple[str, dict[str, Cell]]] = []
    best = max(rows, key=lambda objective: float(rows[objective][mean] or 0.0))
    if "none" in rows and best != "none":
        values: dict[str, Cell] = {
            "objective": best,
            "percent": _percent(rows[best][mean]),
            "without": _percent(rows["none"][mean]),
        }
        said.append(("alignment_best", values))
    if "none" in rows and "adversarial" in rows:
        alone = rows["adversarial"]
        gaps = {"gap": alone[gap], "before": rows["none"][gap]}
        said.append(("alignment_game", {**gaps, "percent": _percent(alone[mean])}))
    return tuple(said)


def _percent(share: Cell) -> float:
    return 100.0 * float(share or 0.0)


# --- the map -------------------------------------------------------------------------------------------------------


def projection(key: str, name: str, vectors: Embeddings, examples: Examples, dataset: Dataset) -> Map:
    """The embeddings of all modalities projected onto their first two principal components."""
    stacked = np.concatenate(list(vectors.values()))
    centre = stacked.mean(0)
    _, _, axes = np.linalg.svd(stacked - centre, full_matrices=False)
    largest = np.abs(axes[:2]).argmax(1)
    axes = axes[:2] * np.sign(axes[[0, 1], largest])[:, None]  # the sign of a component is arbitrary: fix it
    labels = tuple(dataset.classes[label] for label in examples.labels)
    groups = tuple(
        Dots(NAMES[modality], ((each - centre) @ axes.T).astype(np.float32), labels)
        for modality, each in vectors.items()
    )
    return Map(key, name, groups)
