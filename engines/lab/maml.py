"""Learning to learn: weights from which a few steps on a few examples are enough for classes never seen.

Model-agnostic meta-learning (Finn et al. 2017, arXiv:1703.03400): `second_order` differentiates through the steps that
adapt, `first_order` takes their gradients for constants, `head` adapts the head alone (Raghu et al. 2020,
arXiv:1909.09157). Compared with `prototypes` (Snell et al. 2017, arXiv:1703.05175), with plain pre-training on all
classes and fine-tuning, and with no training at all.

Every task begins with a head of zeros (Kao et al. 2022, arXiv:2106.15367): the order of its classes means nothing, and
what is learnt is the body, whose steps are a hundredth of the head's. The model is the product's at the size of the
lab; its convolutions have group norm, so no example of a task leaks into the normalising of another.

Axes: T tasks, W ways, n examples, S numbers of steps after which is measured.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, vmap

from engines.errors import Cancelled
from engines.lab import trainer
from engines.lab.data.datasets import MAX_FRAMES, Material, digits
from engines.lab.data.episodes import PX, Pool, Pools, Tasks, of_omniglot, pools
from engines.lab.findings import Cell, Chart, Curve, Findings, Picture, Table
from engines.lab.requests import MamlRequest
from engines.lab.runs import Watch
from engines.model.fusion import FusionModel, Memory, PoolHead, Stream, StreamSense
from engines.protocol import Cancel

META = ("second_order", "first_order", "head")
TUNED = ("fine_tuning", "scratch")
"""Those whose step is chosen on validation tasks; the others take the step that they learnt with."""
RATES = (0.02, 0.1, 0.5)
"""Steps that they choose from, by what helps most in CHOSEN_AT of them."""
CHOSEN_AT = 3
STEPS = (0, 1, 3, 5, 10)
"""After so many steps on a task its queries are named."""
LEARNING_RATE = 3e-3
"""Of learning to learn: tasks are noisier than examples, so less than that of the other experiments."""
BODY_SHARE = 0.01
"""The body's step, as a share of the head's."""
HEAD = "model.event_head."
WIDTH = 128
N_QUERIES, N_ASKED = 2, 5
"""Of each class of a task, in learning and in measuring."""
N_VALID, N_TEST = 16, 100
N_YARDSTICK = 600
"""Tasks that a point of a curve, a table and the yardstick are measured on."""
CHUNK = 8
"""Tasks measured at a time."""

Weights: TypeAlias = Mapping[str, Tensor]
"""Those that a task has moved, by name, (T, ...) each; the rest are the model's own."""


class Namer(nn.Module):
    """A `FusionModel` as the function of its weights that names examples of one sense."""

    def __init__(self, model: FusionModel, sense: StreamSense) -> None:
        super().__init__()
        self.model, self.sense = model, sense

    def memory(self, x: Tensor) -> Memory:
        """Photos (n, 3, H, W), or log-mel (n, N_MELS, S) all of which is real."""
        if self.sense == "picture":
            tokens = self.model.see(x)
            return self.model.fuse([Stream("picture", tokens, torch.ones(tokens.shape[:2], dtype=torch.bool))])
        heard = self.model.hear(x, torch.full((len(x),), x.shape[2]))
        return self.model.fuse([Stream("sound", heard.mix, heard.mix_mask)])

    def forward(self, x: Tensor) -> Tensor:
        """Examples (n, ...) -> logits (n, W)."""
        memory = self.memory(x)
        return self.model.event_logits(memory.tokens, memory.mask)

    def place(self, x: Tensor) -> Tensor:
        """Examples (n, ...) -> where they lie, (n, E); the product's vectors before they are made unit ones."""
        memory = self.memory(x)
        out: Tensor = self.vector_head()(memory.tokens, memory.mask)
        return out

    def vector_head(self) -> nn.Module:
        return self.model.vectors["photo" if self.sense == "picture" else "sound"]

    def body(self) -> dict[str, nn.Parameter]:
        """All that is used before a head."""
        starts = [f"model.{self.sense}.", f"model.sense_embedding.{self.sense}"]
        starts += ["model.layer_weights", "model.mix_norm."] if self.sense == "sound" else []
        return {name: p for name, p in self.named_parameters() if name.startswith(tuple(starts))}

    def adapting(self, kind: str) -> dict[str, nn.Parameter]:
        """What a learner changes on a task."""
        head = {name: p for name, p in self.named_parameters() if name.startswith(HEAD)}
        return head if kind == "head" else self.body() | head


def build(request: MamlRequest, sense: StreamSense, **changes: object) -> Namer:
    """A model from nothing, its head of zeros. changes: fields of `ModelConfig`."""
    sizes: dict[str, object] = {
        "events": tuple(str(i + 1) for i in range(request.n_ways)),
        "width": WIDTH if sense == "picture" else WIDTH // 2,
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
    return Namer(model, sense)


# --- a task ----------------------------------------------------------------------------------------------------------


def logits(namer: Namer, weights: Weights, x: Tensor) -> Tensor:
    """Examples (T, n, ...) of several tasks, each by its own weights -> (T, n, W)."""

    def one(weights: dict[str, Tensor], x: Tensor) -> Tensor:
        out: Tensor = functional_call(namer, weights, (x,))
        return out

    return vmap(one)(dict(weights), x)


def losses(namer: Namer, weights: Weights, x: Tensor, n_ways: int) -> Tensor:
    """Cross-entropy of examples that lie class by class, of each task: (T,)."""
    labels = torch.arange(n_ways).repeat_interleave(x.shape[1] // n_ways).expand(x.shape[:2])
    return F.cross_entropy(logits(namer, weights, x).transpose(1, 2), labels, reduction="none").mean(1)


def trail(
    namer: Namer, kind: str, support: Tensor, n_ways: int, rate: float, *, first_order: bool = True
) -> Iterator[Weights]:
    """The weights of each task after 0, 1, 2, ... steps down its support's loss. first_order: slopes are constants.

    All but the first: from a head of zeros that step moves the head alone, to what its examples are, and unless the
    gradient goes back through it nothing learns what examples make of a head.

    One backward pass gives every task its own slope, since no task's loss knows another's weights. `vmap` holds the
    forward pass alone: around a gradient it loses a part of group norm's second derivative (torch 2.13).
    """
    begun = {name: p.expand(len(support), *p.shape) for name, p in namer.adapting(kind).items()}
    weights = {name: w for name, w in begun.items() if name.startswith(HEAD)}
    for n in itertools.count():
        yield weights
        weights, constant = (weights, False) if n == 0 else (begun | weights, first_order)
        with torch.enable_grad():
            at = {name: (w.detach() if constant else w).requires_grad_() for name, w in weights.items()}
            total = losses(namer, at, support, n_ways).sum()
            slopes = torch.autograd.grad(total, list(at.values()), create_graph=not constant)
        rates = (rate if name.startswith(HEAD) else BODY_SHARE * rate for name in weights)
        weights = {name: w - r * slope for (name, w), r, slope in zip(weights.items(), rates, slopes, strict=True)}


def meta_loss(namer: Namer, kind: str, tasks: Tasks, request: MamlRequest) -> Tensor:
    """The loss on the queries after the steps on the support, the mean over tasks: what MAML makes small."""
    first_order = kind == "first_order"
    steps = trail(namer, kind, tasks.support, request.n_ways, request.inner_rate, first_order=first_order)
    adapted = next(islice(steps, request.n_inner, None))
    return losses(namer, adapted, tasks.queries, request.n_ways).mean()


def prototype_logits(namer: Namer, tasks: Tasks, n_ways: int) -> Tensor:
    """Minus the squared distance of each query to the mean of each class's support: (T, n, W)."""
    support, queries = (namer.place(x.flatten(0, 1)).unflatten(0, x.shape[:2]) for x in (tasks.support, tasks.queries))
    centres = support.unflatten(1, (n_ways, -1)).mean(2)  # (T, W, E)
    return -(queries[:, :, None] - centres[:, None]).pow(2).sum(-1)


@torch.no_grad()
def answers(namer: Namer, kind: str, tasks: Tasks, n_ways: int, rate: float, steps: tuple[int, ...]) -> Tensor:
    """Logits of the queries after each number of steps on the support: (T, S, n, W). Prototypes take no step."""
    if kind == "prototypes":
        return prototype_logits(namer, tasks, n_ways)[:, None].expand(-1, len(steps), -1, -1)

    found = []
    for n, weights in enumerate(islice(trail(namer, kind, tasks.support, n_ways, rate), steps[-1] + 1)):
        if n in steps:
            found.append(logits(namer, weights, tasks.queries))
    return torch.stack(found, 1)


# --- learning ------------------------------------------------------------------------------------------------------


def run(request: MamlRequest, material: Material | None, cancel: Cancel) -> Iterator[Findings]:
    """Train one model per learner, and let each adapt to tasks it has not seen."""
    return learnt(request, pools(request.material, material, request.seed), cancel)


def yardstick(request: MamlRequest, data: Path, cancel: Cancel) -> Iterator[Findings]:
    """The same on Omniglot, tested on 600 tasks. data: the folder that holds `fewshot`. Raises RequestError."""
    with trainer.one_thread():
        yield from learnt(request, of_omniglot(data), cancel, n_test=N_YARDSTICK)


def learnt(request: MamlRequest, of: Pools, cancel: Cancel, n_test: int | None = None) -> Iterator[Findings]:
    """`run` on any tasks. A learner is measured as soon as it has learnt."""
    of.check(request.n_ways, request.n_shots)
    watch = Watch(request, request.n_steps * sum(kind != "scratch" for kind in request.learner), of.data)
    namers: dict[str, Namer] = {}
    rows: list[tuple[Cell, ...]] = []
    try:
        for kind in request.learner:
            namers[kind] = namer = build(request, of.train.sense)
            score = functools.partial(watched, namer, kind, of.valid, request, cancel)
            if kind != "scratch":
                parameters, loss_of = training(namer, kind, of, request)
                yield from trainer.train(
                    watch, kind, parameters, request.n_steps, loss_of, score, cancel, rate=LEARNING_RATE
                )
            yield watch.findings(stage="measuring", tables=(table(rows),))
            rows.append(row(namer, kind, of, request, cancel, n_test))
            drawn = Curve(kind, tuple(map(float, STEPS)), scores(rows[-1]))
            watch.draw(Chart("adaptation", "adaptation steps", "accuracy", (drawn,), percent=True))
    except Cancelled:
        yield watch.stopped()
        return
    yield watch.finished(
        tables=(table(rows), watch.times("learner")),
        pictures=shown(request, of),
        said=conclusions(table(rows)),
        weights=trainer.weights_of(namers),
    )


def measure(request: MamlRequest, material: Material | None, weights: Mapping[str, np.ndarray]) -> tuple[Table, ...]:
    """The table of a finished run again, from its weights."""
    of = pools(request.material, material, request.seed)
    rows = []
    for kind in request.learner:
        namer = build(request, of.train.sense)
        trainer.put_weights(kind, namer, weights)
        rows.append(row(namer, kind, of, request, Cancel()))
    return (table(rows),)


def training(namer: Namer, kind: str, of: Pools, request: MamlRequest) -> tuple[list[nn.Parameter], trainer.Loss]:
    """What a learner changes in learning, and its loss: each sees as many examples in a step as any other."""
    rng = np.random.default_rng(request.seed)
    n_queries = min(N_QUERIES, of.n_examples - request.n_shots)
    body = list(namer.body().values())

    def tasks() -> Tasks:
        return of.train.tasks(request.n_tasks, request.n_ways, request.n_shots, n_queries, rng)

    if kind == "fine_tuning":
        head = trainer.seeded(request.seed, lambda: PoolHead(namer.model.config.width, len(of.train.rows)))
        n_examples = request.n_tasks * request.n_ways * (request.n_shots + n_queries)

        def pre_training(step: int) -> Tensor:
            x, labels = of.train.draw(n_examples, rng)
            memory = namer.memory(x)
            return F.cross_entropy(head(memory.tokens, memory.mask), labels)

        return [*body, *head.parameters()], pre_training
    if kind == "prototypes":

        def placing(step: int) -> Tensor:
            logits = prototype_logits(namer, tasks(), request.n_ways).flatten(0, 1)
            labels = torch.arange(request.n_ways).repeat_interleave(n_queries)
            return F.cross_entropy(logits, labels.repeat(request.n_tasks))

        return [*body, *namer.vector_head().parameters()], placing
    return body, lambda step: meta_loss(namer, kind, tasks(), request)


# --- measuring -----------------------------------------------------------------------------------------------------


def accuracies(
    namer: Namer,
    kind: str,
    pool: Pool,
    request: MamlRequest,
    rate: float,
    steps: tuple[int, ...],
    n_tasks: int,
    cancel: Cancel,
) -> np.ndarray:
    """The share of queries named right, of each task and after each number of steps: (T, S). Raises Cancelled."""
    n_queries = min(N_ASKED, min(map(len, pool.rows)) - request.n_shots)
    labels = torch.arange(request.n_ways).repeat_interleave(n_queries)
    rng = np.random.default_rng(request.seed + 1)
    found = []
    for done in range(0, n_tasks, CHUNK):
        if cancel.is_set:
            raise Cancelled("learning to learn was stopped")
        tasks = pool.tasks(min(CHUNK, n_tasks - done), request.n_ways, request.n_shots, n_queries, rng)
        named = answers(namer, kind, tasks, request.n_ways, rate, steps).argmax(-1)
        found.append((named == labels).double().mean(-1))
    return torch.cat(found).numpy()


def watched(namer: Namer, kind: str, pool: Pool, request: MamlRequest, cancel: Cancel) -> dict[str, float]:
    """A point of the curve of learning: accuracy after as many steps on a task as in learning."""
    steps = (request.n_inner,)
    return {kind: float(accuracies(namer, kind, pool, request, request.inner_rate, steps, N_VALID, cancel).mean())}


def row(
    namer: Namer, kind: str, of: Pools, request: MamlRequest, cancel: Cancel, n_test: int | None = None
) -> tuple[Cell, ...]:
    """A learner's row of the table. Raises Cancelled."""
    rate = request.inner_rate
    if kind in TUNED:
        rate = max(
            RATES,
            key=lambda rate: accuracies(namer, kind, of.valid, request, rate, (CHOSEN_AT,), N_VALID, cancel).mean(),
        )
    found = accuracies(namer, kind, of.test, request, rate, STEPS, N_TEST if n_test is None else n_test, cancel)
    n_adapted = 0 if kind == "prototypes" else sum(p.numel() for p in namer.adapting(kind).values())
    spread = 1.96 * float(found[:, 1].std(ddof=1)) / len(found) ** 0.5
    return (kind, *map(float, found.mean(0)), spread, n_adapted)


def table(rows: list[tuple[Cell, ...]]) -> Table:
    """± is half of the 95 % interval of the accuracy after one step, over tasks."""
    after_steps = (f"{n} step{'s' if n != 1 else ''} %" for n in STEPS)
    return Table("maml", ("learner", *after_steps, "± one step %", "parameters adapted"), tuple(rows))


def scores(row: tuple[Cell, ...]) -> tuple[float, ...]:
    """The accuracies in a row of the table, one for each of STEPS."""
    return tuple(float(cell or 0.0) for cell in row[1 : 1 + len(STEPS)])


def conclusions(found: Table) -> tuple[tuple[str, dict[str, Cell]], ...]:
    """What the table says, as sentences to fill: MAML against fine-tuning, and what the second order adds."""
    percent = {str(row[0]): [100.0 * share for share in scores(row)] for row in found.rows}
    said: list[tuple[str, dict[str, Cell]]] = []
    meta = [kind for kind in META if kind in percent]
    for n in (1, 3) if meta and "fine_tuning" in percent else ():
        at = STEPS.index(n)
        best = max(meta, key=lambda kind: percent[kind][at])
        points = percent[best][at] - percent["fine_tuning"][at]
        key = "maml_ahead" if points > 0 else "maml_behind"
        said.append((key, {"learner": best, "n": n, "points": abs(points)}))
    if "second_order" in percent and "first_order" in percent:
        points = percent["second_order"][1] - percent["first_order"][1]
        said.append(("maml_second" if points > 0 else "maml_first", {"points": abs(points)}))
    return tuple(said)


def shown(request: MamlRequest, of: Pools) -> tuple[Picture, ...]:
    """A task of the test: what is adapted to, and one query of each class."""
    tasks = of.test.tasks(1, request.n_ways, request.n_shots, 1, np.random.default_rng(request.seed + 1))
    support, queries = tasks.support[0].unflatten(0, (request.n_ways, -1))[:, 0], tasks.queries[0]
    return tuple(
        Picture(key, str(i + 1), _seen(one))
        for key, examples in (("support", support), ("query", queries))
        for i, one in enumerate(examples)
    )


def _seen(one: Tensor) -> np.ndarray:
    """A photo (3, H, W) or log-mel (N_MELS, S) to look at."""
    if one.dim() == 2:
        return trainer.scaled(one.flip(0))
    return ((one * 128.0 + 127.0) / 255.0).clamp(0.0, 1.0).permute(1, 2, 0).numpy()
