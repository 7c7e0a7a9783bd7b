"""Alignment: written, spoken and typed digits in one space, brought together by a loss, by a game, by both, by nothing.

All ways learn which digit it is, each sense by a classifier of its own, so that every sense has something to say. What
is added: "contrastive" InfoNCE (`engines.training.losses.info_nce`), "sigmoid" SigLIP's loss (`sigmoid_pairs`),
"adversarial" a discriminator of the senses that the towers learn to fool (`engines.training.adversary`), "both"
InfoNCE and the game. The modality gap is the distance between the senses' means (Liang et al. 2022, arXiv:2203.02053).

Axes: B batch, n examples, E the shared space.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from engines.errors import RequestError
from engines.lab import trainer
from engines.lab.data.datasets import Material, Part, digits
from engines.lab.findings import Cell, Dots, Findings, Map, Table
from engines.lab.requests import AlignmentRequest
from engines.lab.runs import Watch
from engines.lab.trainer import Draw, Noise
from engines.model.fusion import FusionModel, VectorKind
from engines.protocol import Cancel
from engines.training import losses
from engines.training.adversary import Discriminator, game

NAMES: dict[str, str] = {"picture": "written", "sound": "spoken", "text": "word"}
"""The senses, as they are called on the map and in the tables."""
KINDS: dict[str, VectorKind] = {"picture": "photo", "sound": "sound", "text": "text"}
GAME = ("adversarial", "both")
GAME_WEIGHT = 0.1
"""The encoders must not run away faster than the discriminator learns; its own steps do not depend on this (AdamW)."""
BOUNDARY = 0.5
"""The cosine above which the sigmoid loss takes a pair for one: its bias is this much of its scale."""

Vectors: TypeAlias = Mapping[str, np.ndarray]
"""Unit vectors (n, E) by sense; row i of every sense is of the same digit."""


class Aligned(nn.Module):
    """The product's model, a classifier of its own for each sense's vectors, and who tells the senses apart."""

    def __init__(self, model: FusionModel, senses: tuple[str, ...], n_classes: int) -> None:
        super().__init__()
        self.model, self.senses = model, senses
        width = model.config.embed_dim
        self.classifiers = nn.ModuleDict({sense: nn.Linear(width, n_classes) for sense in senses})
        self.discriminator = Discriminator(width, len(senses))

    def vectors(self, part: Part, drawn: Draw, noise: Noise, rng: np.random.Generator) -> dict[str, Tensor]:
        """Unit vectors (B, E) of each sense drawn."""
        found = trainer.streams(self.model, part, drawn, noise, rng)
        return {stream.sense: self.model.vector(KINDS[stream.sense], stream.tokens, stream.mask) for stream in found}


def run(request: AlignmentRequest, material: Material | None, cancel: Cancel) -> Iterator[Findings]:
    """Train one model for each way, with a map of the space as it changes, then measure all of them alike."""
    own = digits() if material is None else material
    check(own)
    watch = Watch(request, len(request.way) * request.n_steps, own.data)
    seen = trainer.draw(own.valid, senses_of(own), trainer.N_MAP, np.random.default_rng(request.seed + 1))
    models: dict[str, Aligned] = {}
    maps: list[Map] = []
    for way in request.way:
        models[way] = model = build(request, own)
        if not maps:
            maps.append(drawn_map("start", "before", of(request, model, own.valid, seen), seen, own))
        step_losses: dict[str, float] = {}

        def score(model: Aligned = model, way: str = way) -> dict[str, float]:
            return {way: recall(of(request, model, own.valid, seen), seen.labels)}

        loss = _loss(request, own.train, way, model, step_losses)
        for found in trainer.train(watch, way, model.parameters(), request.n_steps, loss, score, cancel):
            _note(watch, way, found.n_done % request.n_steps or request.n_steps, step_losses)
            now = drawn_map(way, "after", of(request, model, own.valid, seen), seen, own)
            yield watch.findings(stage=way, maps=(*maps, now))
        if cancel.is_set:
            yield watch.stopped(maps=tuple(maps))
            return
        maps.append(drawn_map(way, "after", of(request, model, own.valid, seen), seen, own))
    yield watch.findings(stage="measuring", maps=tuple(maps))
    table = measured(request, own, models)
    yield watch.finished(
        tables=(table, watch.times("way")),
        maps=tuple(maps),
        said=conclusions(table),
        weights=trainer.weights_of(models),
    )


def measure(request: AlignmentRequest, material: Material | None, weights: Mapping[str, np.ndarray]) -> tuple[Table]:
    """The tables of a finished run again, from its weights."""
    own = digits() if material is None else material
    models = {way: build(request, own) for way in request.way}
    for way, model in models.items():
        trainer.put_weights(way, model, weights)
    return (measured(request, own, models),)


def check(material: Material) -> None:
    """Raises RequestError for classes that are neither seen nor heard: words alone have nothing to be aligned with."""
    if not (material.has_pictures or material.has_sounds):
        raise RequestError("alignment_needs_pairs", "Alignment needs photos or sounds in every class.")


def senses_of(material: Material) -> tuple[str, ...]:
    """The senses a material has: two or three."""
    has = {"picture": material.has_pictures, "sound": material.has_sounds, "text": True}
    return tuple(sense for sense in NAMES if has[sense])


def build(request: AlignmentRequest, material: Material) -> Aligned:
    """A model from nothing; every way starts from the same one."""
    config = trainer.lab_config(material)

    def make() -> nn.Module:
        return Aligned(FusionModel(config), senses_of(material), len(material.classes))

    made = trainer.seeded(request.seed, make)
    assert isinstance(made, Aligned)
    return made


def _noise(request: AlignmentRequest) -> Noise:
    return Noise(request.noise, request.noise, request.noise)


def _loss(request: AlignmentRequest, part: Part, way: str, model: Aligned, noted: dict[str, float]) -> trainer.Loss:
    rng = np.random.default_rng(request.seed)
    together = contrast(way, request.temperature)

    def loss(step: int) -> Tensor:
        drawn = trainer.draw(part, model.senses, trainer.BATCH, rng)
        found = model.vectors(part, drawn, _noise(request).drawn(rng), rng)
        scale = model.model.config.embed_dim**0.5  # of unit length: about 1 a place
        total = torch.stack(
            [trainer.cross_entropy(model.classifiers[sense](scale * v), drawn.labels) for sense, v in found.items()]
        ).mean()
        if together is not None:
            labels = torch.from_numpy(drawn.labels)
            pairs = [together(a, b, labels) for a, b in itertools.combinations(found.values(), 2)]
            noted["contrastive"] = (added := torch.stack(pairs).mean()).item()
            total = total + added
        if way in GAME:
            kinds = list(found.values())
            noted["discriminator"] = (added := game(model.discriminator, kinds)).item()
            noted["encoders"] = fooled(model.discriminator, kinds)
            total = total + GAME_WEIGHT * added
        return total

    return loss


def contrast(way: str, temperature: float) -> Callable[[Tensor, Tensor, Tensor], Tensor] | None:
    """What pulls a pair of senses together in a way of alignment: of vectors (B, E), (B, E) and labels (B,)."""
    if way in ("contrastive", "both"):
        return lambda a, b, group: losses.info_nce(a, b, group, temperature=temperature)
    if way == "sigmoid":
        scale = 1.0 / temperature
        return lambda a, b, group: losses.sigmoid_pairs(a, b, group, scale=scale, bias=-BOUNDARY * scale)
    return None


@torch.no_grad()
def fooled(discriminator: Discriminator, kinds: list[Tensor]) -> float:
    """The encoders' side of the game: how far the discriminator is from calling every vector each sense alike.

    Its cross-entropy against the even answer; like the discriminator's own loss it is log(senses) at a draw.
    """
    return float(-discriminator(torch.cat(kinds)).float().log_softmax(1).mean(1).mean())


def _note(watch: Watch, way: str, step: int, noted: Mapping[str, float]) -> None:
    for name, value in noted.items():
        chart = "contrastive loss" if name == "contrastive" else "game"
        watch.point(chart, way if name == "contrastive" else f"{way}: {name}", step, value, of=("step", "loss"))


# --- measuring -----------------------------------------------------------------------------------------------------


@torch.inference_mode()
def of(request: AlignmentRequest, model: Aligned, part: Part, drawn: Draw) -> dict[str, np.ndarray]:
    """The vectors of examples, in pieces. The noise depends on the seed alone."""
    rng = np.random.default_rng(request.seed + 3)
    cuts = range(0, len(drawn), trainer.CHUNK)
    found = [model.vectors(part, drawn.cut(i, i + trainer.CHUNK), _noise(request), rng) for i in cuts]
    return {sense: torch.cat([piece[sense] for piece in found]).numpy() for sense in model.senses}


def right(a: np.ndarray, b: np.ndarray, labels: np.ndarray) -> float:
    """The share of rows of a (n, E) whose nearest row of b (n, E) is of the same digit."""
    return float((labels[(a @ b.T).argmax(1)] == labels).mean())


def recall(vectors: Vectors, labels: np.ndarray) -> float:
    """`right` over every two senses, both ways, on average."""
    return float(np.mean([right(vectors[a], vectors[b], labels) for a, b in itertools.permutations(vectors, 2)]))


def gap(vectors: Vectors) -> float:
    """The modality gap: the distance between the means of two senses, on average over every two."""
    means = {sense: own.mean(0) for sense, own in vectors.items()}
    return float(np.mean([np.linalg.norm(means[a] - means[b]) for a, b in itertools.combinations(means, 2)]))


def closed(vectors: Vectors) -> dict[str, np.ndarray]:
    """The same vectors with every sense's mean moved to the middle, and of unit length again: no gap is left."""
    middle = np.mean([own.mean(0) for own in vectors.values()], 0)
    moved = {sense: own - own.mean(0) + middle for sense, own in vectors.items()}
    return {sense: own / np.linalg.norm(own, axis=1, keepdims=True) for sense, own in moved.items()}


def measured(request: AlignmentRequest, material: Material, models: Mapping[str, Aligned]) -> Table:
    """How well each sense finds the others, the gap, and what closing it by hand would do."""
    senses = senses_of(material)
    drawn = trainer.draw(material.test, senses, trainer.N_TEST, np.random.default_rng(request.seed + 2))
    ways = list(itertools.permutations(senses, 2))
    rows: list[tuple[Cell, ...]] = []
    for way, model in models.items():
        vectors = of(request, model, material.test, drawn)
        found = [right(vectors[a], vectors[b], drawn.labels) for a, b in ways]
        shut = recall(closed(vectors), drawn.labels)
        rows.append((way, *found, float(np.mean(found)), gap(vectors), shut))
    named = [f"{NAMES[a]} → {NAMES[b]} %" for a, b in ways]
    return Table("alignment", ("way", *named, "mean %", "modality gap", "mean, gap closed %"), tuple(rows))


def conclusions(table: Table) -> tuple[tuple[str, dict[str, Cell]], ...]:
    """The best way, and what is found without any; what the game alone makes of the gap, and what it finds."""
    mean, distance = table.columns.index("mean %"), table.columns.index("modality gap")
    rows = {str(row[0]): row for row in table.rows}
    said: list[tuple[str, dict[str, Cell]]] = []
    best = max(rows, key=lambda way: float(rows[way][mean] or 0.0))
    if "none" in rows and best != "none":
        values: dict[str, Cell] = {
            "way": best,
            "percent": _percent(rows[best][mean]),
            "without": _percent(rows["none"][mean]),
        }
        said.append(("alignment_best", values))
    if "none" in rows and "adversarial" in rows:
        alone = rows["adversarial"]
        gaps = {"gap": alone[distance], "before": rows["none"][distance]}
        said.append(("alignment_game", {**gaps, "percent": _percent(alone[mean])}))
    return tuple(said)


def _percent(share: Cell) -> float:
    return 100.0 * float(share or 0.0)


# --- the map -------------------------------------------------------------------------------------------------------


def drawn_map(key: str, name: str, vectors: Vectors, drawn: Draw, material: Material) -> Map:
    """The two directions in which all vectors together vary most (principal components), and each sense in them."""
    whole = np.concatenate(list(vectors.values()))
    middle = whole.mean(0)
    _, _, axes = np.linalg.svd(whole - middle, full_matrices=False)
    largest = np.abs(axes[:2]).argmax(1)
    axes = axes[:2] * np.sign(axes[[0, 1], largest])[:, None]  # a component has no sign of its own: fix one
    labels = tuple(material.classes[label] for label in drawn.labels)
    groups = tuple(
        Dots(NAMES[sense], ((own - middle) @ axes.T).astype(np.float32), labels) for sense, own in vectors.items()
    )
    return Map(key, name, groups)
