"""Multi-task learning: digit, parity, language and voice family of one spoken digit.

One trunk (`engines.model.sound.SoundTower`) with a head for each task, against a single-task model of the same
architecture for each task, trained for equally many steps. The cosine between two tasks' gradients at the trunk tells
whether they agree (Yu et al. 2020, arXiv:2001.06782).

Axes: B batch, n examples, C classes of a task.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from engines.errors import RequestError
from engines.lab import network, trainer
from engines.lab.data.datasets import Dataset, DatasetSplit, digits
from engines.lab.findings import Cell, Findings, Network, Table, Watch
from engines.lab.requests import MultitaskRequest
from engines.lab.trainer import CHUNK, Examples, Noise, Recorder
from engines.model.fusion import FusionModel, PoolHead, Stream
from engines.protocol import Cancel

SHARED, ALONE = "together", "alone"
DIGITS = tuple("0123456789")
N_GRADIENT = 64
"""Examples on which the tasks' gradients are compared."""


@dataclass(frozen=True, eq=False)
class LabelledSplit:
    """A split with the targets of every task: (n sounds,) int64 each."""

    split: DatasetSplit
    targets: Mapping[str, np.ndarray]

    @classmethod
    def of(cls, dataset: Dataset, split: DatasetSplit) -> LabelledSplit:
        """The targets are the digit, its parity, the language, and the family of the voice."""
        sounds = split.sounds
        assert sounds is not None
        families = np.array([dataset.families.index(voice.family) for voice in dataset.voices])[sounds.voices]
        targets = {
            "digit": sounds.labels,
            "parity": sounds.labels % 2,
            "language": sounds.languages,
            "family": families,
        }
        return cls(split, targets)

    def targets_of(self, task: str, examples: Examples) -> np.ndarray:
        """The targets of a task for sampled examples, (n,)."""
        assert examples.sound is not None
        return self.targets[task][examples.sound]


class SharedTrunk(nn.Module):
    """The product's model with a pooling head for each of several tasks. n_classes: of each task."""

    def __init__(self, model: FusionModel, n_classes: Mapping[str, int]) -> None:
        super().__init__()
        self.model = model
        self.heads = nn.ModuleDict({task: PoolHead(model.config.width, n) for task, n in n_classes.items()})

    def forward(
        self, split: DatasetSplit, examples: Examples, noise: Noise, rng: np.random.Generator
    ) -> dict[str, Tensor]:
        """Logits (B, C) of each task."""
        return self.logits(trainer.streams(self.model, split, examples, noise, rng))

    def logits(self, streams: Sequence[Stream]) -> dict[str, Tensor]:
        """The same from what the tower gives."""
        memory = self.model.fuse(streams)
        return {task: head(memory.tokens, memory.mask) for task, head in self.heads.items()}

    def trunk(self) -> list[nn.Parameter]:
        """The parameters that all tasks share."""
        return [*self.model.sound.parameters(), self.model.layer_weights, *self.model.mix_norm.parameters()]


def run(
    request: MultitaskRequest, dataset: Dataset | None, cancel: Cancel, watch: Watch | None = None
) -> Iterator[Findings]:
    """Train the multi-task model, then a model for each task, and test all of them alike."""
    data = digits() if dataset is None else dataset
    sizes = n_classes(data, request.task)
    train, valid = LabelledSplit.of(data, data.train), LabelledSplit.of(data, data.valid)
    tasks_of = models_of(request)
    recorder = Recorder(request, len(tasks_of) * request.n_steps, data.record)
    rng = np.random.default_rng(request.seed + 1)
    examples = trainer.sample(data.valid, ("sound",), trainer.N_VALID, rng)
    models: dict[str, SharedTrunk] = {}
    for name, tasks in tasks_of.items():
        models[name] = model = build(request, data, {task: sizes[task] for task in tasks})

        def score(model: SharedTrunk = model, name: str = name) -> dict[str, float]:
            found = accuracies(request, valid, model, examples, request.seed)
            return {f"{task}: {SHARED if name == SHARED else ALONE}": value for task, value in found.items()}

        loss = _loss(request, train, model)
        drawn = None if watch is None else partial(draw_network, request, data, model, name, watch)
        steps = trainer.train(recorder, name, model.parameters(), request.n_steps, loss, score, cancel, draw=drawn)
        for found in steps:
            for pair, cosine in gradient_cosines(request, valid, model, examples[:N_GRADIENT]).items():
                recorder.point("gradients", " + ".join(pair), found.n_done, cosine, axes=("step", "cosine"))
            yield recorder.findings(stage=name)
        if cancel.is_set:
            yield recorder.stopped()
            return
    yield recorder.findings(stage="measuring")
    tables = evaluate(request, data, models)
    yield recorder.finished(
        tables=(*tables, recorder.times("model")),
        said=conclusions(tables),
        weights=trainer.weights_of(models),
    )


def measure(request: MultitaskRequest, dataset: Dataset | None, weights: Mapping[str, np.ndarray]) -> tuple[Table, ...]:
    """The tables of a finished run again, from its weights."""
    data = digits() if dataset is None else dataset
    sizes = n_classes(data, request.task)
    untrained = {n: build(request, data, {t: sizes[t] for t in tasks}) for n, tasks in models_of(request).items()}
    models = {name: trainer.loaded(model, name, weights) for name, model in untrained.items()}
    return evaluate(request, data, models)


def networks(request: MultitaskRequest) -> tuple[str, ...]:
    """A model for each task, and last, since it is drawn first, that of all tasks."""
    return tuple(reversed(models_of(request)))


def draw(
    request: MultitaskRequest, dataset: Dataset | None, weights: Mapping[str, np.ndarray], name: str, watch: Watch
) -> Network:
    """One model as it reads the watched example, trained if there are weights."""
    data = digits() if dataset is None else dataset
    model = build(request, data, n_classes(data, models_of(request)[name]))
    return draw_network(request, data, trainer.loaded(model, name, weights), name, watch)


def draw_network(request: MultitaskRequest, dataset: Dataset, model: SharedTrunk, name: str, watch: Watch) -> Network:
    """The trunk as it hears the watched digit, and each task's head on what it gives."""
    labelled = LabelledSplit.of(dataset, dataset.valid)
    example = network.example_of(dataset.valid, ("sound",), watch)

    def finish(drawing: network.Drawing, last: Sequence[str]) -> None:
        pooled = {
            task: network.pool(drawing, head, "all", last[0], "pooling", key=f"all.{task}.pooling")
            for task, head in model.heads.items()
            if isinstance(head, PoolHead)
        }
        names = labels_of(dataset)
        for task, (key, logits) in pooled.items():
            drawing.add(
                f"all.{task}.classes", task, "all", logits.softmax(0)[:, None], after=(key,), kind="bars",
                shape=(len(logits),), formula="P(c) = softmax(W v + b)", code=PoolHead, labels=names[task],
                weights=(model.heads[task],), right=int(labelled.targets_of(task, example)[0]),
            )  # fmt: skip

    return network.draw(
        name, model.model, dataset, ("sound",), _noise(request), watch, request.seed, forward=model.logits,
        finish=finish, heads=model.heads.values(),
    )  # fmt: skip


def labels_of(dataset: Dataset) -> dict[str, tuple[str, ...]]:
    """What the classes of each task are called."""
    return {
        "digit": dataset.classes,
        "parity": ("even", "odd"),
        "language": dataset.languages,
        "family": dataset.families,
    }


def models_of(request: MultitaskRequest) -> dict[str, tuple[str, ...]]:
    """The models to train with their tasks: all tasks together, then each alone. A single task has no shared model."""
    alone: dict[str, tuple[str, ...]] = {task: (task,) for task in request.task}
    return alone if len(alone) == 1 else {SHARED: request.task, **alone}


def n_classes(dataset: Dataset, tasks: Sequence[str]) -> dict[str, int]:
    """The number of classes of each task. Raises RequestError for a task that the data set has no targets for."""
    if not dataset.has_sounds:
        raise RequestError("sounds_needed", "This experiment listens; every class needs sounds.")
    sizes = {
        "digit": len(dataset.classes),
        "parity": 2 if dataset.classes == DIGITS else 0,
        "language": len(dataset.languages),
        "family": len(dataset.families),
    }
    for task in tasks:
        if sizes[task] < 2:
            raise RequestError(
                "task_without_data",
                "{name} says nothing of {task!r}; leave that task out.",
                name=dataset.name,
                task=task,
            )
    return {task: sizes[task] for task in tasks}


def build(request: MultitaskRequest, dataset: Dataset, sizes: Mapping[str, int]) -> SharedTrunk:
    """A new model for some tasks; the trunk starts the same for every model."""
    config = trainer.lab_config(dataset)
    return trainer.seeded(request.seed, lambda: SharedTrunk(FusionModel(config), sizes))


def _noise(request: MultitaskRequest) -> Noise:
    return Noise(sound=request.noise)


def _loss(request: MultitaskRequest, labelled: LabelledSplit, model: SharedTrunk) -> trainer.Loss:
    rng = np.random.default_rng(request.seed)

    def loss(step: int) -> Tensor:
        examples = trainer.sample(labelled.split, ("sound",), trainer.BATCH, rng)
        losses = task_losses(model, labelled, examples, _noise(request).sample(rng), rng)
        return torch.stack(list(losses.values())).mean()

    return loss


def task_losses(
    model: SharedTrunk, labelled: LabelledSplit, examples: Examples, noise: Noise, rng: np.random.Generator
) -> dict[str, Tensor]:
    """The cross-entropy of each task of a model."""
    found = model(labelled.split, examples, noise, rng)
    return {task: trainer.cross_entropy(logits, labelled.targets_of(task, examples)) for task, logits in found.items()}


# --- measuring -----------------------------------------------------------------------------------------------------


@torch.inference_mode()
def accuracies(
    request: MultitaskRequest, labelled: LabelledSplit, model: SharedTrunk, examples: Examples, seed: int
) -> dict[str, float]:
    """The accuracy of each task of a model. The noise depends on the seed alone."""
    rng = np.random.default_rng(seed)
    chunks = [examples[i : i + CHUNK] for i in range(0, len(examples), CHUNK)]
    found = [model(labelled.split, chunk, _noise(request), rng) for chunk in chunks]
    return {
        task: trainer.accuracy(torch.cat([each[task] for each in found]), labelled.targets_of(task, examples))
        for task in model.heads
    }


def gradient_cosines(
    request: MultitaskRequest, labelled: LabelledSplit, model: SharedTrunk, examples: Examples
) -> dict[tuple[str, str], float]:
    """The cosine between the gradients of every two tasks of a model at its trunk, on the same examples."""
    rng = np.random.default_rng(request.seed)
    losses = task_losses(model, labelled, examples, _noise(request), rng)
    gradients = {
        task: torch.cat([g.flatten() for g in torch.autograd.grad(loss, model.trunk(), retain_graph=True)])
        for task, loss in losses.items()
    }
    pairs = itertools.combinations(gradients, 2)
    return {(a, b): float(torch.cosine_similarity(gradients[a], gradients[b], dim=0)) for a, b in pairs}


def evaluate(request: MultitaskRequest, dataset: Dataset, models: Mapping[str, SharedTrunk]) -> tuple[Table, ...]:
    """Each task's accuracy together with the others and alone, the models' sizes, and the tasks' gradient cosines."""
    test = LabelledSplit.of(dataset, dataset.test)
    examples = trainer.sample(test.split, ("sound",), trainer.N_TEST, np.random.default_rng(request.seed + 2))
    found = {name: accuracies(request, test, model, examples, request.seed + 3) for name, model in models.items()}
    rows: list[tuple[Cell, ...]] = []
    for task in request.task:
        targets = test.targets_of(task, examples)
        chance = float(np.bincount(targets).max() / len(targets))
        alone = found[task][task]
        together = found[SHARED][task] if SHARED in found else None
        rows.append((task, together, alone, None if together is None else together - alone, chance))
    accuracy = Table("multitask", ("task", "together %", "alone %", "difference %", "chance %"), tuple(rows))
    sizes = {name: n_parameters(model) for name, model in models.items()}
    n_alone = sum(n for name, n in sizes.items() if name != SHARED)
    size = Table("size", ("model", "parameters"), ((SHARED, sizes.get(SHARED)), (ALONE, n_alone)))
    if SHARED not in models:
        return accuracy, size
    cosines = gradient_cosines(request, test, models[SHARED], examples[:N_GRADIENT])
    gradients = Table("gradients", ("tasks", "cosine"), tuple((" + ".join(p), c) for p, c in cosines.items()))
    return accuracy, size, gradients


def n_parameters(model: SharedTrunk) -> int:
    """The number of parameters in the trunk and the heads."""
    return sum(p.numel() for p in (*model.trunk(), *model.heads.parameters()))


def conclusions(tables: tuple[Table, ...]) -> tuple[tuple[str, dict[str, Cell]], ...]:
    """Summarise the tables as message keys with values: which task gains and loses most, and the parameters saved."""
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
