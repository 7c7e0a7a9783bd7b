"""The Lab's small models and their training loop: the product's `FusionModel` with another config.

All experiments take sizes, sampling, noise, the optimiser and the metrics from here. Weights and everything random
after them come from generators that belong to the run, never from torch's global one: runs and whatever else draws
random numbers at the same time do not affect each other, and one seed gives one result.

Axes: B batch, n examples, C classes, T tokens, D width.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from engines.lab.data.arrays import N_BYTES, N_MELS, PX
from engines.lab.data.datasets import Dataset, DatasetSplit
from engines.lab.findings import Chart, Curve, DatasetRecord, Findings, Network, Picture, Table
from engines.lab.requests import LabRequest
from engines.model.config import ModelConfig
from engines.model.fusion import FusionModel, Stream
from engines.protocol import Cancel

WIDTH = 64
BATCH = 32
LEARNING_RATE = 5e-3
"""Peak rate of AdamW, after linear warm-up over a tenth of the steps; a cosine takes it to 0."""
CLIP_NORM = 1.0
N_VALID, N_TEST, N_MAP = 200, 600, 150
"""Examples behind a point of a curve, a table and a map; the same ones for every model."""
CHUNK = 150
"""Examples measured at a time."""
DRAWN_EVERY_S = 0.25
"""Shortest time between two drawings of the network that trains."""

M = TypeVar("M", bound=nn.Module)
Loss: TypeAlias = Callable[[int], Tensor]
"""Step number -> its loss, a scalar with a gradient."""


def lab_config(dataset: Dataset, **changes: object) -> ModelConfig:
    """Sizes of a model that trains on a data set in seconds. changes: fields of `ModelConfig`."""
    sounds = [split.sounds for split in (dataset.train, dataset.valid, dataset.test) if split.sounds is not None]
    n_frames = max((int(np.diff(each.ends, prepend=0).max(initial=0)) for each in sounds), default=0)
    sizes: dict[str, object] = {
        "vocab_size": N_BYTES,
        "width": WIDTH,
        "n_heads": 4,
        "n_mels": N_MELS,
        "n_sound_blocks": 2,
        "n_text_blocks": 2,
        "n_picture_blocks": 1,
        "n_fusion_blocks": 1,
        "n_decoder_blocks": 1,
        "max_sound_tokens": max(1, (n_frames + 1) // 2),
        "max_text_tokens": 64,
        "photo_px": PX,
        "embed_dim": 32,
        "picture": "cnn",
        "fusion_grid": 8,
        "events": dataset.classes,
    }
    return ModelConfig(**(sizes | changes))  # type: ignore[arg-type]


class SeededRandomness(TorchDispatchMode):
    """Inside it, random operators of this thread use a private generator and give what `manual_seed` would.

    A random operator that takes no generator raises RuntimeError instead of using torch's global one.
    """

    def __init__(self, seed: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._generator = torch.Generator().manual_seed(seed)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if torch.Tag.nondeterministic_seeded in func.tags:
            return func.overloadpacket(*args, **(kwargs | {"generator": self._generator}))  # randn -> randn.generator
        return func(*args, **kwargs)


def seeded(seed: int, make: Callable[[], M]) -> M:
    """Call `make`; the weights of the module it builds depend on the seed alone."""
    with SeededRandomness(seed):
        return make()


def new_model(config: ModelConfig, seed: int) -> FusionModel:
    """A model with random weights."""
    return seeded(seed, lambda: FusionModel(config))


@dataclass(frozen=True)
class Examples:
    """Sampled examples as row numbers: rows of the split's pictures, sounds and words (None: unused); labels (B,)."""

    labels: np.ndarray
    picture: np.ndarray | None = None
    sound: np.ndarray | None = None
    words: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, which: slice) -> Examples:
        rows = (None if each is None else each[which] for each in (self.picture, self.sound, self.words))
        return Examples(self.labels[which], *rows)


def sample(split: DatasetSplit, modalities: Iterable[str], n: int, rng: np.random.Generator) -> Examples:
    """Sample n examples with balanced classes; the modalities of an example share its class and are drawn apart."""
    chosen: dict[str, np.ndarray] = {}
    n_classes = int(split.words.labels.max()) + 1
    labels = rng.permutation(np.arange(n) % n_classes).astype(np.int64)
    for modality in modalities:
        rows = [np.flatnonzero(split.labels(modality) == label) for label in range(n_classes)]
        chosen[modality] = np.array([rng.choice(rows[label]) for label in labels])
    return Examples(labels, chosen.get("picture"), chosen.get("sound"), chosen.get("text"))


@dataclass(frozen=True)
class Noise:
    """The level of noise in each modality, 0 to 1."""

    picture: float = 0.0
    sound: float = 0.0
    text: float = 0.0

    def sample(self, rng: np.random.Generator) -> Noise:
        """Levels for a training batch, each modality independently: 0 for a third of the batches, else uniform.

        In log-mel even the faintest noise is far from silence, so training must include both.
        """
        share = np.maximum(0.0, rng.uniform(-0.5, 1.0, 3))
        return Noise(share[0] * self.picture, share[1] * self.sound, share[2] * self.text)


def streams(
    model: FusionModel,
    split: DatasetSplit,
    examples: Examples,
    noise: Noise,
    rng: np.random.Generator,
    missing: Tensor | None = None,
) -> list[Stream]:
    """The tokens of each sampled modality. missing (B, n modalities) bool: modalities masked in single examples."""
    found: list[Stream] = []
    if examples.picture is not None:
        assert split.pictures is not None
        px = model.config.photo_px
        tokens = model.see(split.pictures.batch(examples.picture, noise=noise.picture, rng=rng, px=px))
        found.append(Stream("picture", tokens, torch.ones(tokens.shape[:2], dtype=torch.bool)))
    if examples.sound is not None:
        assert split.sounds is not None
        heard = model.hear(*split.sounds.batch(examples.sound, noise=noise.sound, rng=rng))
        found.append(Stream("sound", heard.mix, heard.mix_mask))
    if examples.words is not None:
        ids, mask = split.words.batch(examples.words, noise=noise.text, rng=rng)
        found.append(Stream("text", model.read(ids, mask), mask))
    if missing is None:
        return found
    return [Stream(s.modality, s.tokens, s.mask & ~missing[:, i, None]) for i, s in enumerate(found)]


def class_logits(model: FusionModel, found: Sequence[Stream]) -> Tensor:
    """Streams -> logits (B, C): fused, then pooled by the product's event head, here with one output per class."""
    memory = model.fuse(found)
    return model.event_logits(memory.tokens, memory.mask)


def fit(
    parameters: Iterable[nn.Parameter], n_steps: int, loss: Loss, *, rate: float = LEARNING_RATE
) -> Iterator[tuple[int, float]]:
    """Train; yields (steps done, loss) after each step."""
    trained = list(parameters)
    optimizer = torch.optim.AdamW(trained, lr=rate, weight_decay=0.01)
    n_warmup = max(1, n_steps // 10)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda i: min(1.0, (i + 1) / n_warmup) * 0.5 * (1.0 + np.cos(np.pi * min(1.0, i / n_steps)))
    )
    for step in range(n_steps):
        value = loss(step)
        optimizer.zero_grad()
        value.backward()
        nn.utils.clip_grad_norm_(trained, CLIP_NORM)
        optimizer.step()
        schedule.step()
        yield step + 1, value.item()


def train(
    recorder: Recorder,
    name: str,
    parameters: Iterable[nn.Parameter],
    n_steps: int,
    loss: Loss,
    score: Callable[[], Mapping[str, float]],
    cancel: Cancel,
    *,
    rate: float = LEARNING_RATE,
    draw: Callable[[], Network] | None = None,
) -> Iterator[Findings]:
    """Train with `fit`, adding `score` to the curves after the steps `measured_at`. Ends early when cancelled.

    draw: gives the network as it is now; findings with it come several times a second.
    """
    spent_s, began_s, drawn_s = 0.0, time.thread_time(), 0.0
    for step, _ in fit(parameters, n_steps, loss, rate=rate):
        spent_s += time.thread_time() - began_s
        recorder.n_done += 1
        if cancel.is_set:
            return
        is_drawn = draw is not None and (time.monotonic() - drawn_s > DRAWN_EVERY_S or step == n_steps)
        if draw is not None and is_drawn:
            recorder.network, drawn_s = draw(), time.monotonic()
        if step in measured_at(n_steps):
            for curve, value in score().items():
                recorder.point("training", curve, step, value, axes=("step", "accuracy"), percent=True)
        if is_drawn or step in measured_at(n_steps):
            yield recorder.findings(stage=name)
        began_s = time.thread_time()
    recorder.ms_per_step[name] = 1000.0 * spent_s / n_steps


_single = threading.Lock()
_before: list[int] = []  # torch's threads before each of the runs that take turns


@contextmanager
def one_thread() -> Iterator[None]:
    """Limit torch to one thread: the page keeps a core, and sums do not depend on the machine's number of cores.

    Runs that take turns overlap; the last one to end restores what was there before the first.
    """
    with _single:
        _before.append(_before[0] if _before else torch.get_num_threads())
        torch.set_num_threads(1)
    try:
        yield
    finally:
        with _single:
            n_threads = _before.pop()
            if not _before:
                torch.set_num_threads(n_threads)


def measured_at(n_steps: int) -> frozenset[int]:
    """The steps after which a curve gets a point: the first, then fifteen evenly spaced."""
    return frozenset({1, *(max(1, round(n_steps * i / 15)) for i in range(1, 16))})


@torch.inference_mode()
def probabilities(
    model: FusionModel,
    split: DatasetSplit,
    examples: Examples,
    noise: Noise,
    seed: int,
    missing: Tensor | None = None,
) -> Tensor:
    """A model's class probabilities (n, C), computed in chunks. The noise depends on the seed alone."""
    rng = np.random.default_rng(seed)
    found = []
    for start in range(0, len(examples), CHUNK):
        chunk = slice(start, start + CHUNK)
        masked = None if missing is None else missing[chunk]
        found.append(class_logits(model, streams(model, split, examples[chunk], noise, rng, masked)).softmax(1))
    return torch.cat(found)


def accuracy(scores: Tensor, labels: np.ndarray) -> float:
    """The share of rows (n, C) whose largest column is the label's."""
    return float((scores.argmax(1).numpy() == labels).mean())


def used_parameters(model: FusionModel, names: Iterable[str]) -> int:
    """The number of parameters whose names begin with one of `names`: those that an experiment uses."""
    starts = tuple(names)
    return sum(p.numel() for name, p in model.named_parameters() if name.startswith(starts))


def cross_entropy(logits: Tensor, labels: np.ndarray) -> Tensor:
    """The mean cross-entropy of logits (B, C) against labels (B,)."""
    return F.cross_entropy(logits, torch.from_numpy(labels))


def weights_of(models: Mapping[str, nn.Module]) -> dict[str, np.ndarray]:
    """All weights of several models as arrays under "model name/parameter name"."""
    return {
        f"{name}/{key}": value.detach().numpy().copy()
        for name, model in models.items()
        for key, value in model.state_dict().items()
    }


def loaded(model: M, name: str, weights: Mapping[str, np.ndarray]) -> M:
    """A model with its weights from what `weights_of` gave; as it is where there are none at all."""
    start = f"{name}/"
    if weights:
        state = {key.removeprefix(start): torch.from_numpy(w) for key, w in weights.items() if key.startswith(start)}
        model.load_state_dict(state)
    return model


def pictures_of(split: DatasetSplit, examples: Examples, noise: Noise, seed: int, name: str) -> list[Picture]:
    """The first example as a model receives it: its photo and the log-mel of its sound, scaled to 0..1."""
    rng = np.random.default_rng(seed)
    found = []
    if examples.picture is not None:
        assert split.pictures is not None
        photo = split.pictures.batch(examples.picture[:1], noise=noise.picture, rng=rng)[0]
        found.append(Picture("picture", name, ((photo * 128.0 + 127.0) / 255.0).clamp(0, 1).permute(1, 2, 0).numpy()))
    if examples.sound is not None:
        assert split.sounds is not None
        mel, n_frames = split.sounds.batch(examples.sound[:1], noise=noise.sound, rng=rng)
        found.append(Picture("sound", name, scaled(mel[0, :, : int(n_frames[0])].flip(0))))
    return found


def scaled(values: Tensor) -> np.ndarray:
    """Values rescaled linearly to 0..1."""
    low, high = float(values.min()), float(values.max())
    return ((values - low) / max(high - low, 1e-9)).numpy().astype(np.float32)


# --- what a run records ----------------------------------------------------------------------------------------------


class Recorder:
    """Collects a run's curves, its steps and its time. pictures: by name, those that change while it goes on."""

    def __init__(self, request: LabRequest, n_steps: int, data: DatasetRecord | None = None) -> None:
        self.request, self.n_steps, self.n_done, self.data = request, n_steps, 0, data
        self.ms_per_step: dict[str, float] = {}
        self.network: Network | None = None
        self.pictures: dict[str, Picture] = {}
        self._charts: dict[str, Chart] = {}
        self._began = time.monotonic()

    def draw(self, chart: Chart) -> None:
        """Add or replace a chart's curves by name; its other curves stay, in the order they first came."""
        before = self._charts.get(chart.key)
        curves = {curve.name: curve for curve in (() if before is None else before.curves)}
        curves |= {curve.name: curve for curve in chart.curves}
        self._charts[chart.key] = Chart(chart.key, chart.x, chart.y, tuple(curves.values()), chart.percent)

    def point(
        self, chart: str, curve: str, x: float, y: float, *, axes: tuple[str, str], percent: bool = False
    ) -> None:
        """Append a point to a curve. axes: the names of the chart's axes."""
        before = self._charts.get(chart)
        curves = {each.name: each for each in (() if before is None else before.curves)}
        self.draw(Chart(chart, *axes, (curves.get(curve, Curve(curve)).then(x, y),), percent))

    def times(self, what: str) -> Table:
        """The cost of a training step of each model, in milliseconds of its thread. what: names the first column."""
        return Table("time", (what, "ms per step"), tuple(self.ms_per_step.items()))

    def findings(self, *, pictures: tuple[Picture, ...] = (), **more: Any) -> Findings:
        """Everything recorded so far."""
        return Findings(
            request=self.request,
            data=self.data,
            n_done=self.n_done,
            n_steps=self.n_steps,
            seconds=time.monotonic() - self._began,
            charts=tuple(self._charts.values()),
            network=self.network,
            pictures=(*self.pictures.values(), *pictures),
            **more,
        )

    def stopped(self, **more: Any) -> Findings:
        """The last findings of a cancelled run."""
        return self.findings(end="cancelled", **more)

    def finished(self, *, tables: tuple[Table, ...], weights: Mapping[str, np.ndarray], **more: Any) -> Findings:
        """The last findings of a finished run."""
        return self.findings(tables=tables, weights=weights, end="finished", **more)
