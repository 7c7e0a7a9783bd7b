"""A small model of the lab: the product's own `FusionModel` at another size, told apart only by its config.

Built and trained here for every experiment, so that the sizes and the loop are in one place. Seeds: weights and all
that is random after them come from generators of the run's own, never from torch's one for all; so runs and whatever
else draws at the same time do not disturb each other, and one seed gives one result.

Axes: B batch, C classes, T tokens, D width.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from engines.lab.data.datasets import N_BYTES, N_MELS, PX, Material, Part
from engines.lab.findings import Findings, Picture
from engines.lab.runs import Watch
from engines.model.config import ModelConfig
from engines.model.fusion import FusionModel, Stream
from engines.protocol import Cancel

WIDTH = 64
BATCH = 32
LEARNING_RATE = 5e-3
"""Of AdamW, with a warm-up of a tenth of the steps and a cosine down to nothing: short runs from nothing."""
CLIP_NORM = 1.0
N_VALID, N_TEST, N_MAP = 200, 600, 150
"""Examples that a point of a curve, a table and a map are measured on, the same ones for every model."""
CHUNK = 150
"""Examples measured at a time."""

Loss: TypeAlias = Callable[[int], Tensor]
"""Step -> its loss, a scalar with a gradient."""


def lab_config(material: Material, **changes: object) -> ModelConfig:
    """Sizes of a model that trains on a material in seconds; changes: fields of `ModelConfig`."""
    sounds = [part.sounds for part in (material.train, material.valid, material.test) if part.sounds is not None]
    n_frames = max((int(np.diff(own.ends, prepend=0).max(initial=0)) for own in sounds), default=0)
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
        "events": material.classes,
    }
    return ModelConfig(**(sizes | changes))  # type: ignore[arg-type]


class OwnNumbers(TorchDispatchMode):
    """Within it, what this thread draws comes from a generator of its own, with the numbers `manual_seed` would bring.

    An operator that is random and takes no generator raises RuntimeError, rather than draw from torch's one for all.
    """

    def __init__(self, seed: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._own = torch.Generator().manual_seed(seed)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if torch.Tag.nondeterministic_seeded in func.tags:
            return func.overloadpacket(*args, **(kwargs | {"generator": self._own}))  # randn -> randn.generator
        return func(*args, **kwargs)


def seeded(seed: int, make: Callable[[], nn.Module]) -> nn.Module:
    """What `make` builds, with weights that depend on the seed alone."""
    with OwnNumbers(seed):
        return make()


def new_model(config: ModelConfig, seed: int) -> FusionModel:
    """A model from nothing."""
    model = seeded(seed, lambda: FusionModel(config))
    assert isinstance(model, FusionModel)
    return model


@dataclass(frozen=True)
class Draw:
    """Examples of one split: places in its pictures, sounds and words (None = that sense is not used), labels (B,)."""

    labels: np.ndarray
    picture: np.ndarray | None = None
    sound: np.ndarray | None = None
    words: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def cut(self, start: int, end: int) -> Draw:
        """Some of them."""
        parts = (None if part is None else part[start:end] for part in (self.picture, self.sound, self.words))
        return Draw(self.labels[start:end], *parts)


def draw(part: Part, senses: Iterable[str], n: int, rng: np.random.Generator) -> Draw:
    """n examples, their classes balanced; the senses of one example are of one class and drawn apart."""
    held = {"picture": part.pictures, "sound": part.sounds, "text": part.words}
    chosen: dict[str, np.ndarray] = {}
    n_classes = int(part.words.labels.max()) + 1
    labels = rng.permutation(np.arange(n) % n_classes).astype(np.int64)
    for sense in senses:
        own = held[sense]
        assert own is not None, f"the material has no {sense}"
        places = [np.flatnonzero(own.labels == label) for label in range(n_classes)]
        chosen[sense] = np.array([rng.choice(places[label]) for label in labels])
    return Draw(labels, chosen.get("picture"), chosen.get("sound"), chosen.get("text"))


@dataclass(frozen=True)
class Noise:
    """How much harder each sense is made, 0 to 1."""

    picture: float = 0.0
    sound: float = 0.0
    text: float = 0.0

    def drawn(self, rng: np.random.Generator) -> Noise:
        """For a batch of training, each sense for itself: none for a third of them, any share of it for the others.

        In log-mel a sound with the faintest noise is far from one with none, so both are to be met.
        """
        share = np.maximum(0.0, rng.uniform(-0.5, 1.0, 3))
        return Noise(share[0] * self.picture, share[1] * self.sound, share[2] * self.text)


def streams(
    model: FusionModel, part: Part, drawn: Draw, noise: Noise, rng: np.random.Generator, missing: Tensor | None = None
) -> list[Stream]:
    """The tokens of each sense drawn. missing (B, n senses) bool: senses taken away from single examples."""
    found: list[Stream] = []
    if drawn.picture is not None:
        assert part.pictures is not None
        px = model.config.photo_px
        tokens = model.see(part.pictures.batch(drawn.picture, noise=noise.picture, rng=rng, px=px))
        found.append(Stream("picture", tokens, torch.ones(tokens.shape[:2], dtype=torch.bool)))
    if drawn.sound is not None:
        assert part.sounds is not None
        heard = model.hear(*part.sounds.batch(drawn.sound, noise=noise.sound, rng=rng))
        found.append(Stream("sound", heard.mix, heard.mix_mask))
    if drawn.words is not None:
        ids, mask = part.words.batch(drawn.words, noise=noise.text, rng=rng)
        found.append(Stream("text", model.read(ids, mask), mask))
    if missing is None:
        return found
    return [Stream(s.sense, s.tokens, s.mask & ~missing[:, i, None]) for i, s in enumerate(found)]


def answer(model: FusionModel, found: Sequence[Stream]) -> Tensor:
    """Streams -> logits (B, C): fused, then pooled by the product's event head, here of as many classes."""
    memory = model.fuse(found)
    return model.event_logits(memory.tokens, memory.mask)


def fit(
    parameters: Iterable[nn.Parameter], n_steps: int, loss: Loss, *, rate: float = LEARNING_RATE
) -> Iterator[tuple[int, float]]:
    """Train: (steps made, the step's loss) after each. loss: step -> scalar with a gradient."""
    own = list(parameters)
    optimizer = torch.optim.AdamW(own, lr=rate, weight_decay=0.01)
    warm = max(1, n_steps // 10)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda i: min(1.0, (i + 1) / warm) * 0.5 * (1.0 + np.cos(np.pi * min(1.0, i / n_steps)))
    )
    for step in range(n_steps):
        value = loss(step)
        optimizer.zero_grad()
        value.backward()
        nn.utils.clip_grad_norm_(own, CLIP_NORM)
        optimizer.step()
        schedule.step()
        yield step + 1, value.item()


def train(
    watch: Watch,
    name: str,
    parameters: Iterable[nn.Parameter],
    n_steps: int,
    loss: Loss,
    score: Callable[[], Mapping[str, float]],
    cancel: Cancel,
    *,
    rate: float = LEARNING_RATE,
) -> Iterator[Findings]:
    """`fit` as it is watched: now and then curves get a point, each its own of `score`. A stop ends it."""
    spent_s, began_s = 0.0, time.thread_time()
    for step, _ in fit(parameters, n_steps, loss, rate=rate):
        spent_s += time.thread_time() - began_s
        watch.stepped()
        if cancel.is_set:
            return
        if step in measured_at(n_steps):
            for curve, value in score().items():
                watch.point("training", curve, step, value, of=("step", "accuracy"), percent=True)
            yield watch.findings(stage=name)
        began_s = time.thread_time()
    watch.ms_per_step[name] = 1000.0 * spent_s / n_steps


@contextmanager
def one_thread() -> Iterator[None]:
    """One torch thread meanwhile: the page keeps a core, and sums are the same however many a machine has."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)


def measured_at(n_steps: int) -> frozenset[int]:
    """After which steps a curve gets a point: early ones soon, about sixteen in all."""
    return frozenset({1, *(max(1, round(n_steps * i / 15)) for i in range(1, 16))})


@torch.inference_mode()
def chances(
    model: FusionModel, part: Part, drawn: Draw, noise: Noise, seed: int, missing: Tensor | None = None
) -> Tensor:
    """What a model says of examples: probabilities (n, C), in pieces. The noise depends on the seed alone."""
    rng = np.random.default_rng(seed)
    found = []
    for start in range(0, len(drawn), CHUNK):
        some = drawn.cut(start, start + CHUNK)
        gone = None if missing is None else missing[start : start + CHUNK]
        found.append(answer(model, streams(model, part, some, noise, rng, gone)).softmax(1))
    return torch.cat(found)


def accuracy(found: Tensor, labels: np.ndarray) -> float:
    """The share of rows (n, C) whose largest column is the label's."""
    return float((found.argmax(1).numpy() == labels).mean())


def used_parameters(model: FusionModel, names: Iterable[str]) -> int:
    """Numbers in those parts of a model (by how their names begin) that an experiment uses."""
    starts = tuple(names)
    return sum(p.numel() for name, p in model.named_parameters() if name.startswith(starts))


def cross_entropy(logits: Tensor, labels: np.ndarray) -> Tensor:
    """Of logits (B, C) against labels (B,)."""
    return F.cross_entropy(logits, torch.from_numpy(labels))


def weights_of(models: Mapping[str, nn.Module]) -> dict[str, np.ndarray]:
    """Every weight of several models under "name/parameter", to be kept."""
    return {
        f"{name}/{key}": value.detach().numpy().copy()
        for name, model in models.items()
        for key, value in model.state_dict().items()
    }


def put_weights(name: str, model: nn.Module, weights: Mapping[str, np.ndarray]) -> None:
    """The inverse for one model."""
    start = f"{name}/"
    state = {key[len(start) :]: torch.from_numpy(value) for key, value in weights.items() if key.startswith(start)}
    model.load_state_dict(state)


def pictures_of(part: Part, one: Draw, noise: Noise, seed: int, name: str) -> list[Picture]:
    """The first of the examples as a model gets it: its photo and the log-mel of its sound, scaled to 0..1."""
    rng = np.random.default_rng(seed)
    found = []
    if one.picture is not None:
        assert part.pictures is not None
        photo = part.pictures.batch(one.picture[:1], noise=noise.picture, rng=rng)[0]
        found.append(Picture("picture", name, ((photo * 128.0 + 127.0) / 255.0).clamp(0, 1).permute(1, 2, 0).numpy()))
    if one.sound is not None:
        assert part.sounds is not None
        mel, n_frames = part.sounds.batch(one.sound[:1], noise=noise.sound, rng=rng)
        found.append(Picture("sound", name, scaled(mel[0, :, : int(n_frames[0])].flip(0))))
    return found


def scaled(values: Tensor) -> np.ndarray:
    """Any numbers spread over 0..1."""
    low, high = float(values.min()), float(values.max())
    return ((values - low) / max(high - low, 1e-9)).numpy().astype(np.float32)
