"""Meta-learning: initial weights from which a few gradient steps on a few examples suffice for unseen classes.

Model-agnostic meta-learning (MAML, Finn et al. 2017, arXiv:1703.03400): `second_order` differentiates through the inner
gradient steps, `first_order` treats their gradients as constants, `head` adapts the head alone (Raghu et al. 2020,
arXiv:1909.09157). Baselines: `prototypes` (Snell et al. 2017, arXiv:1703.05175), `fine_tuning` after pre-training on
all classes, and `scratch`, without any training.

Every task starts from a head of zeros (Kao et al. 2022, arXiv:2106.15367): the order of its classes is arbitrary, so
only the body is meta-learnt; its inner learning rate is a share of the head's, by default a hundredth. The model is the
product's `FusionModel` at the Lab's size; its convolutions use group norm, so no example of a task affects how another
is normalised.

Axes: T tasks, W ways (classes of a task), n examples, S numbers of inner steps.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, vmap

from engines.errors import Cancelled
from engines.lab import network, trainer
from engines.lab.data.arrays import MAX_FRAMES
from engines.lab.data.datasets import Dataset, digits
from engines.lab.data.episodes import PX, ClassPool, Episodes, MetaDataset, from_omniglot, meta_dataset
from engines.lab.findings import Cell, Chart, Curve, Findings, Network, Picture, Table, Watch
from engines.lab.requests import MamlRequest
from engines.lab.trainer import Recorder
from engines.model.fusion import FusionModel, Memory, PoolHead, Stream, StreamModality
from engines.protocol import Cancel

META = ("second_order", "first_order", "head")
"""The variants of MAML."""
TUNED = ("fine_tuning", "scratch")
"""Baselines whose inner learning rate is chosen on validation tasks; the others keep the one they were trained with."""
TUNED_RATES = (0.02, 0.1, 0.5)
TUNED_AT = 3
"""The rate is the one with the best accuracy after this many steps."""
STEPS = (0, 1, 3, 5, 10)
"""Numbers of inner steps after which accuracy on the queries is measured."""
CONTRIBUTIONS = (
    ("pre-training", "fine_tuning", "scratch"),
    ("meta-training", "head", "fine_tuning"),
    ("inner steps of the body", "first_order", "head"),
    ("second order", "second_order", "first_order"),
)
"""What MAML consists of: a part, the method that has it, and the same without it."""
LEARNING_RATE = 3e-3
"""Learning rate of the outer loop: lower than in the other experiments, since tasks are noisier than examples."""
HEAD = "model.event_head."
WIDTH = 128
N_QUERIES, N_TEST_QUERIES = 2, 5
"""Queries per class of a task, in meta-training and in measuring."""
N_VALID, N_TEST, N_BENCHMARK = 16, 100, 600
"""Tasks behind a point of a curve, a row of the table, and a row of the Omniglot benchmark."""
CHUNK = 8
"""Tasks measured at a time."""

Accuracies: TypeAlias = Mapping[str, np.ndarray]
"""Query accuracy by method: of each task after each number of inner steps (T, S), the same tasks for every method."""
Weights: TypeAlias = dict[str, Tensor]
"""Weights that differ between tasks, by name, (T, ...) each; all others are the model's."""


class Learner(nn.Module):
    """A `FusionModel` that classifies examples of one modality, as a function of its weights."""

    def __init__(self, model: FusionModel, modality: StreamModality) -> None:
        super().__init__()
        self.model, self.modality = model, modality

    def memory(self, x: Tensor) -> Memory:
        """Photos (n, 3, H, W), or log-mel (n, N_MELS, S) without padding."""
        if self.modality == "picture":
            tokens = self.model.see(x)
            return self.model.fuse([Stream("picture", tokens, torch.ones(tokens.shape[:2], dtype=torch.bool))])
        heard = self.model.hear(x, torch.full((len(x),), x.shape[2]))
        return self.model.fuse([Stream("sound", heard.mix, heard.mix_mask)])

    def forward(self, x: Tensor) -> Tensor:
        """Examples (n, ...) -> logits (n, W)."""
        memory = self.memory(x)
        return self.model.event_logits(memory.tokens, memory.mask)

    def embed(self, x: Tensor) -> Tensor:
        """Examples (n, ...) -> embeddings (n, E): the product's vectors before they are normalised to unit length."""
        memory = self.memory(x)
        out: Tensor = self.embedding_head()(memory.tokens, memory.mask)
        return out

    def embedding_head(self) -> nn.Module:
        return self.model.vectors["photo" if self.modality == "picture" else "sound"]

    def body(self) -> dict[str, nn.Parameter]:
        """All parameters below the heads that this modality uses."""
        starts = [f"model.{self.modality}.", f"model.sense_embedding.{self.modality}"]
        starts += ["model.layer_weights", "model.mix_norm."] if self.modality == "sound" else []
        return {name: p for name, p in self.named_parameters() if name.startswith(tuple(starts))}

    def adapted_parameters(self, method: str) -> dict[str, nn.Parameter]:
        """The parameters that the inner loop of a method changes."""
        head = {name: p for name, p in self.named_parameters() if name.startswith(HEAD)}
        return head if method == "head" else self.body() | head


def build(request: MamlRequest, modality: StreamModality, **changes: object) -> Learner:
    """A new model with a head of zeros. changes: fields of `ModelConfig`."""
    sizes: dict[str, object] = {
        "events": tuple(str(i + 1) for i in range(request.n_ways)),
        "width": WIDTH if modality == "picture" else WIDTH // 2,
        "embed_dim": WIDTH,
        "max_sound_tokens": MAX_FRAMES // 2,
        "photo_px": PX,
        "n_picture_blocks": 0,
        "n_sound_blocks": 1,
        "n_text_blocks": 0,
        "n_fusion_blocks": 0,
        "sound": "cnn",
    }
    model = trainer.new_model(trainer.lab_config(digits(), **(sizes | changes)), request.seed)
    for parameter in model.event_head.parameters():
        nn.init.zeros_(parameter)
    return Learner(model, modality)


# --- the algorithm ---------------------------------------------------------------------------------------------------


def task_logits(learner: Learner, weights: Weights, x: Tensor) -> Tensor:
    """Examples (T, n, ...) of T tasks, each classified with its own weights -> (T, n, W)."""

    def one_task(weights: Weights, x: Tensor) -> Tensor:
        out: Tensor = functional_call(learner, weights, (x,))
        return out

    return vmap(one_task)(weights, x)


def task_losses(learner: Learner, weights: Weights, x: Tensor, n_ways: int) -> Tensor:
    """The mean cross-entropy of each task on examples sorted by class: (T,)."""
    labels = torch.arange(n_ways).repeat_interleave(x.shape[1] // n_ways).expand(x.shape[:2])
    return F.cross_entropy(task_logits(learner, weights, x).transpose(1, 2), labels, reduction="none").mean(1)


def inner_loop(
    learner: Learner,
    method: str,
    support: Tensor,
    n_ways: int,
    n_steps: int,
    learning_rate: float,
    body_rate: float,
    *,
    second_order: bool,
) -> list[Weights]:
    """The weights of each task after 0, 1, ... n_steps gradient steps on its support set: w <- w - rate * dL/dw.

    learning_rate: the head's. body_rate: the body's, as a share of it. second_order: later derivatives go through the
    gradients of these steps; else the gradients are constants. The first step is always differentiated through. From a
    head of zeros it moves the head alone (no gradient reaches the body), to a function of the support's features; with
    that gradient a constant, the body would never learn which features make a good head.

    One backward pass gives every task its own gradients, since no task's loss depends on another's weights. `vmap`
    holds the forward pass alone: around a gradient it loses part of group norm's second derivative (torch 2.13).
    """
    initial = {name: p.expand(len(support), *p.shape) for name, p in learner.adapted_parameters(method).items()}
    rates = {name: learning_rate * (1.0 if name.startswith(HEAD) else body_rate) for name in initial}
    path: list[Weights] = [{name: w for name, w in initial.items() if name.startswith(HEAD)}]
    for step in range(n_steps):
        weights = path[0] if step == 0 else initial | path[step]
        differentiable = second_order or step == 0
        with torch.enable_grad():
            at = {name: (w if differentiable else w.detach()).requires_grad_() for name, w in weights.items()}
            loss = task_losses(learner, at, support, n_ways).sum()
            gradients = torch.autograd.grad(loss, list(at.values()), create_graph=differentiable)
        path.append({name: w - rates[name] * g for (name, w), g in zip(weights.items(), gradients, strict=True)})
    return path


def meta_loss(learner: Learner, method: str, episodes: Episodes, request: MamlRequest) -> Tensor:
    """The mean loss on the queries after the inner loop on the support: what the outer loop minimises."""
    *_, adapted = inner_loop(
        learner,
        method,
        episodes.support,
        request.n_ways,
        request.n_inner,
        request.inner_rate,
        request.body_rate,
        second_order=method != "first_order",
    )
    return task_losses(learner, adapted, episodes.queries, request.n_ways).mean()


def prototype_logits(learner: Learner, episodes: Episodes, n_ways: int) -> Tensor:
    """The negative squared distance of each query to each class's mean support embedding: (T, n, W)."""
    support, queries = (
        learner.embed(x.flatten(0, 1)).unflatten(0, x.shape[:2]) for x in (episodes.support, episodes.queries)
    )
    prototypes = support.unflatten(1, (n_ways, -1)).mean(2)  # (T, W, E)
    return -(queries[:, :, None] - prototypes[:, None]).pow(2).sum(-1)


@torch.no_grad()
def query_logits(
    learner: Learner,
    method: str,
    episodes: Episodes,
    request: MamlRequest,
    learning_rate: float,
    steps: tuple[int, ...],
) -> Tensor:
    """Logits of the queries after each number of inner steps: (T, S, n, W). Prototypes take no steps."""
    if method == "prototypes":
        return prototype_logits(learner, episodes, request.n_ways)[:, None].expand(-1, len(steps), -1, -1)
    rates = learning_rate, request.body_rate
    path = inner_loop(learner, method, episodes.support, request.n_ways, max(steps), *rates, second_order=False)
    return torch.stack([task_logits(learner, path[n], episodes.queries) for n in steps], 1)


def meta_training(
    learner: Learner, method: str, dataset: MetaDataset, request: MamlRequest
) -> tuple[list[nn.Parameter], trainer.Loss]:
    """The parameters that a method trains and its loss; every method sees equally many examples per step."""
    rng = np.random.default_rng(request.seed)
    n_queries = min(N_QUERIES, dataset.n_examples - request.n_shots)
    body = list(learner.body().values())

    def episodes() -> Episodes:
        return dataset.train.episodes(request.n_tasks, request.n_ways, request.n_shots, n_queries, rng)

    if method == "fine_tuning":
        n_classes = len(dataset.train.rows)
        head = trainer.seeded(request.seed, lambda: PoolHead(learner.model.config.width, n_classes))
        n_examples = request.n_tasks * request.n_ways * (request.n_shots + n_queries)

        def pre_training_loss(step: int) -> Tensor:
            x, labels = dataset.train.sample(n_examples, rng)
            memory = learner.memory(x)
            return F.cross_entropy(head(memory.tokens, memory.mask), labels)

        return [*body, *head.parameters()], pre_training_loss
    if method == "prototypes":

        def prototype_loss(step: int) -> Tensor:
            logits = prototype_logits(learner, episodes(), request.n_ways).flatten(0, 1)
            labels = torch.arange(request.n_ways).repeat_interleave(n_queries)
            return F.cross_entropy(logits, labels.repeat(request.n_tasks))

        return [*body, *learner.embedding_head().parameters()], prototype_loss
    return body, lambda step: meta_loss(learner, method, episodes(), request)


# --- the experiment --------------------------------------------------------------------------------------------------


def run(
    request: MamlRequest, dataset: Dataset | None, cancel: Cancel, watch: Watch | None = None
) -> Iterator[Findings]:
    """Train one model per method, then adapt each to tasks of unseen classes."""
    return run_on(meta_dataset(request.material, dataset, request.seed), request, cancel, N_TEST, watch)


def benchmark(request: MamlRequest, data: Path, cancel: Cancel) -> Iterator[Findings]:
    """The same on Omniglot, tested on N_BENCHMARK tasks. data: the folder that holds `fewshot`. Raises RequestError."""
    with trainer.one_thread():
        yield from run_on(from_omniglot(data), request, cancel, N_BENCHMARK)


def run_on(
    dataset: MetaDataset, request: MamlRequest, cancel: Cancel, n_test: int, watch: Watch | None = None
) -> Iterator[Findings]:
    """Train and test every method in turn. n_test: tasks to test on."""
    dataset.check(request.n_ways, request.n_shots)
    n_trained = sum(method != "scratch" for method in request.method)
    recorder = Recorder(request, request.n_steps * n_trained, dataset.record)
    learners: dict[str, Learner] = {}
    found: dict[str, np.ndarray] = {}
    try:
        for method in request.method:
            learners[method] = learner = build(request, dataset.train.modality)
            score = functools.partial(validation_accuracy, learner, method, dataset.valid, request, cancel)
            if method != "scratch":
                parameters, loss = meta_training(learner, method, dataset, request)
                drawn = (
                    None if watch is None else functools.partial(draw_network, request, dataset, learner, method, watch)
                )
                yield from trainer.train(
                    recorder, method, parameters, request.n_steps, loss, score, cancel, rate=LEARNING_RATE, draw=drawn
                )
            yield recorder.findings(stage="measuring", tables=(accuracy_table(found, learners),))
            found[method] = tested(learner, method, dataset, request, cancel, n_test)
            curve = Curve(method, tuple(map(float, STEPS)), tuple(map(float, found[method].mean(0))))
            recorder.draw(Chart("adaptation", "adaptation steps", "accuracy", (curve,), percent=True))
    except Cancelled:
        yield recorder.stopped()
        return
    yield recorder.finished(
        tables=(*tables_of(found, learners), recorder.times("method")),
        pictures=example_task(request, dataset),
        said=conclusions(found),
        weights=trainer.weights_of(learners),
    )


def measure(request: MamlRequest, dataset: Dataset | None, weights: Mapping[str, np.ndarray]) -> tuple[Table, ...]:
    """The tables of a finished run again, from its weights."""
    episodes_of = meta_dataset(request.material, dataset, request.seed)
    modality = episodes_of.train.modality
    learners = {method: trainer.loaded(build(request, modality), method, weights) for method in request.method}
    found = {m: tested(learner, m, episodes_of, request, Cancel(), N_TEST) for m, learner in learners.items()}
    return tables_of(found, learners)


# --- drawing ---------------------------------------------------------------------------------------------------------


def networks(request: MamlRequest) -> tuple[str, ...]:
    """One model per method; the last one is drawn first."""
    return request.method[::-1]


def draw(
    request: MamlRequest, dataset: Dataset | None, weights: Mapping[str, np.ndarray], name: str, watch: Watch
) -> Network:
    """One method's model on a task, trained if there are weights."""
    episodes_of = meta_dataset(request.material, dataset, request.seed)
    episodes_of.check(request.n_ways, request.n_shots)
    learner = trainer.loaded(build(request, episodes_of.train.modality), name, weights)
    return draw_network(request, episodes_of, learner, name, watch)


@torch.no_grad()
def draw_network(request: MamlRequest, dataset: MetaDataset, learner: Learner, method: str, watch: Watch) -> Network:
    """How a model takes a validation task: a query through the outer weights, the head after each inner step on the
    task's examples, and what the query is taken for before them and after.

    watch: the class of the task that the query is of, and which task.
    """
    way = watch.label % request.n_ways
    rng = np.random.default_rng((request.seed + 1, watch.example))
    task = dataset.valid.episodes(1, request.n_ways, request.n_shots, 1, rng)
    with network.traced([*network.modules_of(learner.model), learner.embedding_head()]) as calls:
        learner(task.queries[0, way : way + 1])
        learner.embed(task.queries[0, way : way + 1])
    drawing = network.Drawing(calls)
    last = network.DRAWERS[learner.modality](drawing, learner.model)
    classes = tuple(str(n + 1) for n in range(request.n_ways))
    query = _Query(request, learner, task, last, classes, way)
    if method == "prototypes":
        _draw_prototypes(drawing, query)
    else:
        _draw_steps(drawing, query, method)
    return Network(method, way, watch.example, classes, tuple(drawing.parts))


@dataclass(frozen=True)
class _Query:
    """An input of a validation task. last: the drawn part that the heads read; way: which of its classes it is of."""

    request: MamlRequest
    learner: Learner
    task: Episodes
    last: str
    classes: tuple[str, ...]
    way: int


def _draw_support(drawing: network.Drawing, query: _Query) -> str:
    """The first example of each class."""
    task = query.task
    first = task.support[0].unflatten(0, (query.request.n_ways, -1))[:, 0]
    images = np.stack([_pixels(one).mean(-1) if one.dim() == 3 else _pixels(one) for one in first])
    return drawing.add(
        "all.support", "examples", "all", images, kind="image", shape=task.support.shape[1:],
        formula="S = {(xᵢ, yᵢ)}", code=ClassPool.episodes,
    )  # fmt: skip


def _draw_steps(drawing: network.Drawing, query: _Query, method: str) -> None:
    """The head of zeros, then after each inner step, and the query's classes with the first and the last."""
    request, learner, task = query.request, query.learner, query.task
    head = learner.model.event_head
    assert isinstance(head, PoolHead)
    vector, logits = network.pool(drawing, head, "all", query.last, "pooling")
    rates = request.inner_rate, request.body_rate
    path = inner_loop(
        learner, method, task.support, request.n_ways, request.n_inner, *rates, second_order=method == "second_order"
    )
    matrix = f"{HEAD}project.weight"
    before = drawing.add(
        "all.head0", "outer head", "all", path[0][matrix][0], formula="W₀ = 0", code=build, weights=(head.project,)
    )
    step, support = before, _draw_support(drawing, query)
    body = [] if method == "head" else list(learner.body().values())
    for n, weights in enumerate(path[1:], 1):
        step = drawing.add(
            f"all.head{n}", f"step {n}", "all", weights[matrix][0].detach(), after=(step, support),
            formula="w ← w − α ∂L(w; S) / ∂w", code=inner_loop, weights=body,
        )  # fmt: skip
    adapted = task_logits(learner, path[-1], task.queries)[0, query.way]
    for key, name, found, weights_of in (("before", "before", logits, before), ("after", "after", adapted, step)):
        drawing.add(
            f"all.{key}.classes", name, "all", found.detach().softmax(0)[:, None], after=(vector, weights_of),
            kind="bars", shape=(request.n_ways,), formula="P(c) = softmax(W v + b)", code=task_logits,
            labels=query.classes, right=query.way,
        )  # fmt: skip


def _draw_prototypes(drawing: network.Drawing, query: _Query) -> None:
    """The embedding of the query, the mean embedding of each class, and the classes by their distance."""
    request, learner, task = query.request, query.learner, query.task
    head = learner.embedding_head()
    assert isinstance(head, PoolHead)
    vector, embedding = network.pool(drawing, head, "all", query.last, "pooling")
    embedded = drawing.add(
        "all.embedding", "embedding", "all", embedding[None], after=(vector,), formula="f(x) = W v + b",
        code=Learner.embed, weights=(head.project,),
    )  # fmt: skip
    support = _draw_support(drawing, query)
    means = learner.embed(task.support[0]).unflatten(0, (request.n_ways, -1)).mean(1)
    prototypes = drawing.add(
        "all.prototypes", "prototypes", "all", means, after=(support,), formula="cₖ = mean of f(x) of class k",
        code=prototype_logits, weights=(head.project,),
    )  # fmt: skip
    found = prototype_logits(learner, task, request.n_ways)[0, query.way]
    drawing.add(
        "all.classes", "classes", "all", found.softmax(0)[:, None], after=(embedded, prototypes), kind="bars",
        shape=(request.n_ways,), formula="P(k) = softmax(−|f(x) − cₖ|²)", code=prototype_logits, labels=query.classes,
        right=query.way,
    )  # fmt: skip


# --- measuring -------------------------------------------------------------------------------------------------------


def accuracies(
    learner: Learner,
    method: str,
    pool: ClassPool,
    request: MamlRequest,
    learning_rate: float,
    steps: tuple[int, ...],
    n_tasks: int,
    cancel: Cancel,
) -> np.ndarray:
    """Query accuracy of each task after each number of inner steps: (T, S). Raises Cancelled."""
    n_queries = min(N_TEST_QUERIES, min(map(len, pool.rows)) - request.n_shots)
    labels = torch.arange(request.n_ways).repeat_interleave(n_queries)
    rng = np.random.default_rng(request.seed + 1)
    found = []
    for done in range(0, n_tasks, CHUNK):
        if cancel.is_set:
            raise Cancelled("meta-learning was stopped")
        episodes = pool.episodes(min(CHUNK, n_tasks - done), request.n_ways, request.n_shots, n_queries, rng)
        predicted = query_logits(learner, method, episodes, request, learning_rate, steps).argmax(-1)
        found.append((predicted == labels).double().mean(-1))
    return torch.cat(found).numpy()


def validation_accuracy(
    learner: Learner, method: str, pool: ClassPool, request: MamlRequest, cancel: Cancel
) -> dict[str, float]:
    """A point of the training curve: accuracy after as many inner steps as in meta-training."""
    steps = (request.n_inner,)
    found = accuracies(learner, method, pool, request, request.inner_rate, steps, N_VALID, cancel)
    return {method: float(found.mean())}


def tested(
    learner: Learner, method: str, dataset: MetaDataset, request: MamlRequest, cancel: Cancel, n_test: int
) -> np.ndarray:
    """The accuracies of a method on the test tasks (T, S). Raises Cancelled."""

    def on_validation(rate: float) -> float:
        found = accuracies(learner, method, dataset.valid, request, rate, (TUNED_AT,), N_VALID, cancel)
        return float(found.mean())

    rate = max(TUNED_RATES, key=on_validation) if method in TUNED else request.inner_rate
    return accuracies(learner, method, dataset.test, request, rate, STEPS, n_test, cancel)


def half_interval(of_tasks: np.ndarray) -> float:
    """Half the 95 % interval of a mean over tasks (T,)."""
    return 1.96 * float(of_tasks.std(ddof=1)) / len(of_tasks) ** 0.5


def accuracy_table(found: Accuracies, learners: Mapping[str, Learner]) -> Table:
    """± is half the 95 % interval, over tasks, of the accuracy after one step."""
    rows: list[tuple[Cell, ...]] = []
    for method, each in found.items():
        adapted = () if method == "prototypes" else learners[method].adapted_parameters(method).values()
        n_adapted = sum(p.numel() for p in adapted)
        rows.append((method, *map(float, each.mean(0)), half_interval(each[:, 1]), n_adapted))
    after_steps = (f"{n} step{'s' if n != 1 else ''} %" for n in STEPS)
    return Table("maml", ("method", *after_steps, "± one step %", "parameters adapted"), tuple(rows))


def contribution_table(found: Accuracies) -> Table:
    """How many points each part of MAML adds; ± is half the 95 % interval after three steps, over the same tasks."""
    rows: list[tuple[Cell, ...]] = []
    for part, method, without in CONTRIBUTIONS:
        if method in found and without in found:
            gains = found[method] - found[without]
            rows.append((part, *map(float, gains[:, 1:].mean(0)), half_interval(gains[:, STEPS.index(TUNED_AT)])))
    after_steps = (f"{n} step{'s' if n != 1 else ''} %" for n in STEPS[1:])
    return Table("contributions", ("part", *after_steps, "± three steps %"), tuple(rows))


def tables_of(found: Accuracies, learners: Mapping[str, Learner]) -> tuple[Table, ...]:
    """The accuracies, and what each part adds where there are two methods that differ by one."""
    parts = contribution_table(found)
    return (accuracy_table(found, learners), *((parts,) if parts.rows else ()))


def conclusions(found: Accuracies) -> tuple[tuple[str, dict[str, Cell]], ...]:
    """The tables in sentences to be filled in: MAML against fine-tuning, and what the second order adds."""
    percent = {method: 100.0 * each.mean(0) for method, each in found.items()}
    said: list[tuple[str, dict[str, Cell]]] = []
    meta = [method for method in META if method in percent]
    for n in (1, 3) if meta and "fine_tuning" in percent else ():
        at = STEPS.index(n)
        best = max(meta, key=lambda method: float(percent[method][at]))
        points = float(percent[best][at] - percent["fine_tuning"][at])
        key = "maml_ahead" if points > 0 else "maml_behind"
        said.append((key, {"method": best, "n": n, "points": abs(points)}))
    if "second_order" in found and "first_order" in found:
        gains = 100.0 * (found["second_order"] - found["first_order"])[:, STEPS.index(TUNED_AT)]
        points, chance = float(gains.mean()), half_interval(gains)
        key = "maml_even" if abs(points) <= chance else "maml_second" if points > 0 else "maml_first"
        said.append((key, {"points": abs(points), "chance": chance} if key == "maml_even" else {"points": abs(points)}))
    return tuple(said)


def example_task(request: MamlRequest, dataset: MetaDataset) -> tuple[Picture, ...]:
    """A test task: one support example and one query of each class."""
    rng = np.random.default_rng(request.seed + 1)
    episodes = dataset.test.episodes(1, request.n_ways, request.n_shots, 1, rng)
    support, queries = episodes.support[0].unflatten(0, (request.n_ways, -1))[:, 0], episodes.queries[0]
    return tuple(
        Picture(key, str(i + 1), _pixels(one))
        for key, examples in (("support", support), ("query", queries))
        for i, one in enumerate(examples)
    )


def _pixels(one: Tensor) -> np.ndarray:
    """A photo (3, H, W) or log-mel (N_MELS, S) as an image, 0 to 1."""
    if one.dim() == 2:
        return trainer.scaled(one.flip(0))
    return ((one * 128.0 + 127.0) / 255.0).clamp(0.0, 1.0).permute(1, 2, 0).numpy()
