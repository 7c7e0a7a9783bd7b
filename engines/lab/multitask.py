"""Many tasks: which digit, even or odd, which language, which family of voices, all of one spoken digit.

One trunk (`engines.model.sound.SoundTower`) that all tasks share, each with a head of its own, against one model for
each task of the same make and with as many steps. The cosine between the gradients of two tasks at the trunk tells
whether they pull it the same way (Yu et al. 2020, arXiv:2001.06782).

Axes: B batch, C classes of a task, n examples.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from engines.errors import RequestError
from engines.lab import trainer
from engines.lab.data.datasets import Material, Part, digits
from engines.lab.findings import Cell, Findings, Table
from engines.lab.requests import MultitaskRequest
from engines.lab.runs import Watch
from engines.lab.trainer import CHUNK, Draw, Noise
from engines.model.fusion import FusionModel, PoolHead
from engines.protocol import Cancel

SHARED, ALONE = "together", "alone"
DIGITS = tuple("0123456789")
N_GRADIENT = 64
"""Examples that the tasks' gradients are compared on."""


@dataclass(frozen=True, eq=False)
class Spoken:
    """One split, and for every task what is right of each of its sounds, (n sounds,) int64."""

    part: Part
    answers: Mapping[str, np.ndarray]

    @classmethod
    def of(cls, material: Material, part: Part) -> Spoken:
        """The digit, whether it is odd, the language, the family of the voice."""
        assert part.sounds is not None
        own = part.sounds
        families = np.array([material.families.index(voice.family) for voice in material.voices])[own.voices]
        answers = {"digit": own.labels, "parity": own.labels % 2, "language": own.languages, "family": families}
        return cls(part, answers)

    def right(self, task: str, drawn: Draw) -> np.ndarray:
        """The answers of a task for examples drawn, (n,)."""
        assert drawn.sound is not None
        return self.answers[task][drawn.sound]


class Trunk(nn.Module):
    """The product's model, and the product's pooling head for each of several tasks. n_classes: of each task."""

    def __init__(self, model: FusionModel, n_classes: Mapping[str, int]) -> None:
        super().__init__()
        self.model = model
        self.heads = nn.ModuleDict({task: PoolHead(model.config.width, n) for task, n in n_classes.items()})

    def forward(self, part: Part, drawn: Draw, noise: Noise, rng: np.random.Generator) -> dict[str, Tensor]:
        """Logits (B, C) of each task."""
        memory = self.model.fuse(trainer.streams(self.model, part, drawn, noise, rng))
        return {task: head(memory.tokens, memory.mask) for task, head in self.heads.items()}

    def trunk(self) -> list[nn.Parameter]:
        """The weights that all tasks share."""
        return [*self.model.sound.parameters(), self.model.layer_weights, *self.model.mix_norm.parameters()]


def run(request: MultitaskRequest, material: Material | None, cancel: Cancel) -> Iterator[Findings]:
    """Train the shared trunk, then a model for each task, and measure all of them alike."""
    own = digits() if material is None else material
    sizes = n_classes(own, request.task)
    train, held = Spoken.of(own, own.train), Spoken.of(own, own.valid)
    groups = groups_of(request)
    watch = Watch(request, len(groups) * request.n_steps, own.data)
    valid = trainer.draw(own.valid, ("sound",), trainer.N_VALID, np.random.default_rng(request.seed + 1))
    models: dict[str, Trunk] = {}
    for name, tasks in groups.items():
        models[name] = model = build(request, own, {task: sizes[task] for task in tasks})

        def score(model: Trunk = model, name: str = name) -> dict[str, float]:
            found = accuracies(request, held, model, valid, request.seed)
            return {f"{task}: {SHARED if name == SHARED else ALONE}": value for task, value in found.items()}

        loss = _loss(request, train, model)
        for found in trainer.train(watch, name, model.parameters(), request.n_steps, loss, score, cancel):
            for pair, cosine in cosines(request, held, model, valid.cut(0, N_GRADIENT)).items():
                watch.point("gradients", " + ".join(pair), found.n_done, cosine, of=("step", "cosine"))
            yield watch.findings(stage=name)
        if cancel.is_set:
            yield watch.stopped()
            return
    yield watch.findings(stage="measuring")
    tables = measured(request, own, models)
    yield watch.finished(
        tables=(*tables, watch.times("model")),
        said=conclusions(tables),
        weights=trainer.weights_of(models),
    )


def measure(
    request: MultitaskRequest, material: Material | None, weights: Mapping[str, np.ndarray]
) -> tuple[Table, ...]:
    """The tables of a finished run again, from its weights."""
    own = digits() if material is None else material
    sizes = n_classes(own, request.task)
    models = {}
    for name, tasks in groups_of(request).items():
        models[name] = build(request, own, {task: sizes[task] for task in tasks})
        trainer.put_weights(name, models[name], weights)
    return measured(request, own, models)


def groups_of(request: MultitaskRequest) -> dict[str, tuple[str, ...]]:
    """Model -> its tasks: all of them together, then each alone. One task alone has nobody to share with."""
    alone: dict[str, tuple[str, ...]] = {task: (task,) for task in request.task}
    return alone if len(alone) == 1 else {SHARED: request.task, **alone}


def n_classes(material: Material, tasks: Sequence[str]) -> dict[str, int]:
    """How many answers each task has. Raises RequestError for one that this material cannot ask."""
    if not material.has_sounds:
        raise RequestError("sounds_needed", "This experiment listens; every class needs sounds.")
    sizes = {
        "digit": len(material.classes),
        "parity": 2 if material.classes == DIGITS else 0,
        "language": len(material.languages),
        "family": len(material.families),
    }
    for task in tasks:
        if sizes[task] < 2:
            raise RequestError(
                "task_without_data",
                "{name} says nothing of {task!r}; leave that task out.",
                name=material.name,
                task=task,
            )
    return {task: sizes[task] for task in tasks}


def build(request: MultitaskRequest, material: Material, sizes: Mapping[str, int]) -> Trunk:
    """A model from nothing for some tasks; the trunk starts the same for all."""
    config = trainer.lab_config(material)
    made = trainer.seeded(request.seed, lambda: Trunk(FusionModel(config), sizes))
    assert isinstance(made, Trunk)
    return made


def _noise(request: MultitaskRequest) -> Noise:
    return Noise(sound=request.noise)


def _loss(request: MultitaskRequest, spoken: Spoken, model: Trunk) -> trainer.Loss:
    rng = np.random.default_rng(request.seed)

    def loss(step: int) -> Tensor:
        drawn = trainer.draw(spoken.part, ("sound",), trainer.BATCH, rng)
        return torch.stack(list(task_losses(model, spoken, drawn, _noise(request).drawn(rng), rng).values())).mean()

    return loss


def task_losses(model: Trunk, spoken: Spoken, drawn: Draw, noise: Noise, rng: np.random.Generator) -> dict[str, Tensor]:
    """The cross-entropy of each of a model's tasks."""
    found = model(spoken.part, drawn, noise, rng)
    return {task: trainer.cross_entropy(logits, spoken.right(task, drawn)) for task, logits in found.items()}


# --- measuring -----------------------------------------------------------------------------------------------------


@torch.inference_mode()
def accuracies(request: MultitaskRequest, spoken: Spoken, model: Trunk, drawn: Draw, seed: int) -> dict[str, float]:
    """The accuracy of each of a model's tasks. The noise depends on the seed alone."""
    rng = np.random.default_rng(seed)
    cuts = [drawn.cut(i, i + CHUNK) for i in range(0, len(drawn), CHUNK)]
    found = [model(spoken.part, cut, _noise(request), rng) for cut in cuts]
    return {
        task: trainer.accuracy(torch.cat([piece[task] for piece in found]), spoken.right(task, drawn))
        for task in model.heads
    }


def cosines(request: MultitaskRequest, spoken: Spoken, model: Trunk, drawn: Draw) -> dict[tuple[str, str], float]:
    """The cosine between the gradients of every two tasks of a model at its trunk, on the same examples."""
    rng = np.random.default_rng(request.seed)
    found = task_losses(model, spoken, drawn, _noise(request), rng)
    slopes = {
        task: torch.cat([slope.flatten() for slope in torch.autograd.grad(loss, model.trunk(), retain_graph=True)])
        for task, loss in found.items()
    }
    pairs = itertools.combinations(slopes, 2)
    return {(a, b): float(torch.cosine_similarity(slopes[a], slopes[b], dim=0)) for a, b in pairs}


def measured(request: MultitaskRequest, material: Material, models: Mapping[str, Trunk]) -> tuple[Table, ...]:
    """Each task together with the others and alone, and what that needs; the cosines between the tasks at the end."""
    test = Spoken.of(material, material.test)
    drawn = trainer.draw(test.part, ("sound",), trainer.N_TEST, np.random.default_rng(request.seed + 2))
    found = {name: accuracies(request, test, model, drawn, request.seed + 3) for name, model in models.items()}
    scores: list[tuple[Cell, ...]] = []
    for task in request.task:
        answers = test.right(task, drawn)
        chance = float(np.bincount(answers).max() / len(answers))
        alone = found[task][task]
        together = found[SHARED][task] if SHARED in found else None
        scores.append((task, together, alone, None if together is None else together - alone, chance))
    accuracy = Table("multitask", ("task", "together %", "alone %", "difference %", "chance %"), tuple(scores))
    sizes = {name: n_parameters(model) for name, model in models.items()}
    n_alone = sum(n for name, n in sizes.items() if name != SHARED)
    cost = Table("size", ("model", "parameters"), ((SHARED, sizes.get(SHARED)), (ALONE, n_alone)))
    if SHARED not in models:
        return accuracy, cost
    between = cosines(request, test, models[SHARED], drawn.cut(0, N_GRADIENT))
    return (
        accuracy,
        cost,
        Table("gradients", ("tasks", "cosine"), tuple((" + ".join(p), c) for p, c in between.items())),
    )


def n_parameters(model: Trunk) -> int:
    """Numbers in the trunk and the heads."""
    return sum(p.numel() for p in (*model.trunk(), *model.heads.parameters()))


def conclusions(tables: tuple[Table, ...]) -> tuple[tuple[str, dict[str, Cell]], ...]:
    """Who gains most by sharing and who loses most, and what sharing saves."""
    gains = {str(row[0]): 100.0 * float(row[3]) for row in tables[0].rows if isinstance(row[3], float)}
    if not gains:
        return ()
    up, down = max(gains, key=gains.__getitem__), min(gains, key=gains.__getitem__)
    shared, alone = (float(row[1] or 0) for row in tables[1].rows)
    return (
        ("multitask_gain", {"task": up, "points": gains[up]}) if gains[up] > 0 else ("multitask_no_gain", {}),
        ("multitask_loss", {"task": down, "points": -gains[down]}) if gains[down] < 0 else ("multitask_no_loss", {}),
        ("multitask_size", {"percent": 100.0 * shared / alone}),
    )
