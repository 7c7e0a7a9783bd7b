"""A network's forward pass of one example, part by part: what each part gives, attends to, and how fast it changes.

Forward hooks on the model that trains read every part, so what is drawn is what is computed. The line of code of a part
is looked up in the running program (`inspect`), so it cannot point to code that has moved.

Axes: T tokens, D width, C classes; the batch is one example.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engines.lab import trainer
from engines.lab.data.arrays import N_MELS, Pictures, Sounds, Words
from engines.lab.data.datasets import Dataset, DatasetSplit
from engines.lab.findings import Network, Part, Watch
from engines.lab.operators import GatedUnit, TensorFusion
from engines.lab.trainer import Examples, Noise
from engines.model.fusion import (
    SOUND_POOL,
    AttentionFusion,
    ConcatFusion,
    FusionModel,
    GatedFusion,
    Memory,
    PoolHead,
    Stream,
    SumFusion,
    on_grid,
)
from engines.model.parts import Attention, Block, Mlp
from engines.model.picture import Cnn, Patches, PictureTower
from engines.model.sound import ConvBlock, GruBlock, SoundTower
from engines.model.text import TextTower

ROOT = Path(__file__).resolve().parents[2]
MOST_ROWS = 16
"""Token rows drawn of a part; neighbours of a longer sequence are averaged."""
N_MAPS = 3
"""Channels drawn of a convolution."""
BLOCK_FORMULA = "y = x + softmax(QKᵀ / √d) V,  then  y + MLP(norm(y))"
LAYER_FORMULA = "y = GELU(norm(W ∗ x + b))"

Calls: TypeAlias = Mapping[nn.Module, tuple[tuple[Any, ...], Any]]
"""The arguments and the output of each traced module's last call."""


@contextmanager
def traced(modules: Iterable[nn.Module]) -> Iterator[dict[nn.Module, tuple[tuple[Any, ...], Any]]]:
    """Record the calls of some modules while the block runs."""
    calls: dict[nn.Module, tuple[tuple[Any, ...], Any]] = {}

    def record(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        calls[module] = (args, output)

    hooks = [module.register_forward_hook(record) for module in modules]
    try:
        yield calls
    finally:
        for hook in hooks:
            hook.remove()


@cache
def source_of(code: Callable[..., Any]) -> str:
    """Where a function or a class is written: "engines/model/parts.py:175". A module class gives its `forward`."""
    if inspect.isclass(code) and issubclass(code, nn.Module):
        code = code.forward
    file = Path(inspect.getsourcefile(code) or "")
    line = inspect.getsourcelines(code)[1]
    return f"{file.relative_to(ROOT).as_posix() if file.is_relative_to(ROOT) else file.name}:{line}"


def attention_weights(attention: Attention, args: tuple[Tensor, tuple[Tensor, Tensor], Tensor | None]) -> Tensor:
    """softmax(Q K^T / sqrt(d)), (B, heads, L, M), for the arguments that an attention layer was called with."""
    x, (keys, _), mask = args
    scores = attention.split(attention.query(x)) @ keys.mT / keys.shape[-1] ** 0.5
    return (scores if mask is None else scores.masked_fill(~mask[:, None, None], -torch.inf)).softmax(-1)


def example_of(split: DatasetSplit, modalities: Iterable[str], watch: Watch) -> Examples:
    """The watched example: the n-th one of a class in each modality, from the first again after the last."""
    rows = {}
    for modality in modalities:
        own = np.flatnonzero(split.labels(modality) == watch.label)
        rows[modality] = own[[watch.example % len(own)]]
    return Examples(np.array([watch.label]), rows.get("picture"), rows.get("sound"), rows.get("text"))


# --- parts -----------------------------------------------------------------------------------------------------------


def groups(n: int) -> np.ndarray:
    """The matrix that averages n rows to at most MOST_ROWS of neighbours, (rows, n)."""
    size = -(-n // MOST_ROWS)
    which = np.arange(n) // max(size, 1)
    found = (which == np.arange(which.max(initial=0) + 1)[:, None]).astype(np.float32)
    return found / found.sum(1, keepdims=True).clip(min=1.0)


def gradient(modules: Sequence[nn.Module | nn.Parameter]) -> float:
    """The root mean square of the gradient of some weights in the last training step; 0 before the first."""
    weights = [p for m in modules for p in ([m] if isinstance(m, nn.Parameter) else m.parameters())]
    parts = [p.grad.detach().flatten() for p in weights if p.grad is not None]
    return float(torch.cat(parts).square().mean().sqrt()) if parts else 0.0


@dataclass
class Drawing:
    """Collects the parts of a forward pass. calls: what the traced modules received and gave."""

    calls: Calls
    parts: list[Part] = field(default_factory=list)
    _rows: dict[str, int] = field(default_factory=dict)

    def add(
        self,
        key: str,
        name: str,
        lane: str,
        values: Tensor | np.ndarray,
        *,
        after: Sequence[str] = (),
        kind: str = "tokens",
        shape: Sequence[int] | None = None,
        formula: str,
        code: Callable[..., Any],
        weights: Sequence[nn.Module | nn.Parameter] = (),
        links: Tensor | np.ndarray | None = None,
        labels: Sequence[str] = (),
        right: int | None = None,
    ) -> str:
        """Add a part; returns its key. values: (T, D) of tokens, (n, h, w) of maps and images, (n, 1) of bars.

        links: (T, tokens of the parts it reads, side by side), how much each token takes from each.
        """
        whole = np.asarray(values, np.float32)
        drawn, seen = whole, None if links is None else np.asarray(links, np.float32)
        if kind == "tokens":
            self._rows[key] = len(whole)
            average = groups(len(whole))
            drawn = average @ whole
            if seen is not None:
                before = [torch.from_numpy(groups(self._rows[other]) > 0) for other in after]
                seen = average @ seen @ torch.block_diag(*before).float().numpy().T
        shape = tuple(whole.shape if shape is None else shape)
        about = (key, name, lane, kind, tuple(after), shape, formula, source_of(code), drawn)
        self.parts.append(Part(*about, links=seen, labels=tuple(labels), gradient=gradient(weights), right=right))
        return key

    def blocks(self, lane: str, blocks: Sequence[nn.Module], last: str, keep: np.ndarray, name: str = "block") -> str:
        """Transformer, convolution or GRU blocks after a part. keep: (T,) bool, the real tokens."""
        for i, block in enumerate(blocks):
            attends = isinstance(block, Block)
            links = None
            if isinstance(block, Block):
                links = attention_weights(block.attention, self.calls[block.attention][0])[0].mean(0)[keep][:, keep]
            formula = {
                Block: BLOCK_FORMULA,
                ConvBlock: "y = x + W₂ GELU(W₁ ∗ norm(x))",
                GruBlock: "hₜ = (1 − zₜ) h̃ₜ + zₜ hₜ₋₁,  y = x + [→h, ←h]",
            }[type(block)]
            kind = name if attends else {ConvBlock: "convolution", GruBlock: "GRU"}[type(block)]
            last = self.add(
                f"{lane}.{name}{i}", f"{kind} {i + 1}" if len(blocks) > 1 else kind, lane,
                self.calls[block][1][0][keep], after=(last,), formula=formula, code=type(block), weights=(block,),
                links=links,
            )  # fmt: skip
        return last


def modules_of(model: FusionModel) -> list[nn.Module]:
    """The modules whose calls a drawing needs."""
    kinds = (Block, ConvBlock, GruBlock, Attention, PoolHead, PictureTower, SoundTower, TextTower, Patches, nn.GELU)
    inside_mlp = {id(m) for each in model.modules() if isinstance(each, Mlp) for m in each.modules()}
    found: list[nn.Module] = [m for m in model.modules() if isinstance(m, kinds) and id(m) not in inside_mlp]
    found += [model.picture.project, model.sound.conv1, model.sound.conv2]
    return [*found, model.mix_norm, model.decoder.embedding, model.operator]


def draw_picture(drawing: Drawing, model: FusionModel) -> str:
    """The picture tower, part by part; returns the key of the last."""
    tower, calls = model.picture, drawing.calls
    photo = calls[tower][0][0][0]
    last = drawing.add(
        "picture.input", "photo", "picture", trainer.scaled(photo.mean(0, keepdim=True)), kind="image",
        shape=photo.shape, formula="x = (pixel − 127) / 128", code=Pictures.batch,
    )  # fmt: skip
    trunk = tower.trunk
    if isinstance(trunk, Cnn):
        for i in range(0, len(trunk.layers), 3):
            out = calls[trunk.layers[i + 2]][1][0]
            last = drawing.add(
                f"picture.conv{i // 3}", f"conv {i // 3 + 1}", "picture", out[:N_MAPS], after=(last,), kind="maps",
                shape=out.shape, formula=LAYER_FORMULA, code=Cnn, weights=[trunk.layers[i + k] for k in range(3)],
            )  # fmt: skip
    else:
        assert isinstance(trunk, Patches)
        out = calls[trunk][1][0].flatten(1).T
        last = drawing.add(
            "picture.patches", "patches", "picture", out, after=(last,), formula="y = W patch + b", code=Patches,
            weights=(trunk,),
        )  # fmt: skip
    tokens = calls[tower.project][1][0] + tower.places.flatten(2)[0].T
    last = drawing.add(
        "picture.tokens", "tokens", "picture", tokens, after=(last,), formula="t = W x + b + place",
        code=PictureTower.adapt, weights=(tower.project, tower.places),
    )  # fmt: skip
    return drawing.blocks("picture", list(tower.blocks), last, np.ones(len(tokens), bool))


def draw_sound(drawing: Drawing, model: FusionModel) -> str:
    """The sound tower, part by part; returns the key of the last."""
    tower, calls = model.sound, drawing.calls
    mel, n_frames = calls[tower][0]
    mel = mel[0, :, : int(n_frames[0])]
    last = drawing.add(
        "sound.input", "log-mel", "sound", trainer.scaled(mel.flip(0)[None]), kind="image",
        shape=(N_MELS, mel.shape[1]), formula="x = log₁₀ |STFT|² in mel bands", code=Sounds.batch,
    )  # fmt: skip
    keep = calls[tower][1][1][0].numpy()
    for i, conv in enumerate((tower.conv1, tower.conv2)):
        out = F.gelu(calls[conv][1][0]).T
        last = drawing.add(
            f"sound.conv{i}", f"conv {i + 1}", "sound", out[keep] if i else out, after=(last,),
            formula="y = GELU(W ∗ x + b)", code=SoundTower, weights=(conv,),
        )  # fmt: skip
    last = drawing.blocks("sound", list(tower.blocks), last, keep)
    out = calls[model.mix_norm][1][0]
    links = np.zeros((len(out), int(keep.sum())), np.float32)
    n_sound = (mel.shape[1] + 1) // 2  # tokens of the sound itself, without the silence after it
    for i in range(len(out)):
        own = slice(i * SOUND_POOL, min((i + 1) * SOUND_POOL, n_sound))
        links[i, own] = 1.0 / (own.stop - own.start)
    return drawing.add(
        "sound.mix", "pooled", "sound", out, after=(last,), formula="y = norm(Σₗ wₗ xₗ), means of 10 tokens",
        code=FusionModel.mix, weights=(model.layer_weights, model.mix_norm), links=links,
    )  # fmt: skip


def draw_text(drawing: Drawing, model: FusionModel) -> str:
    """The text tower, part by part; returns the key of the last."""
    tower, calls = model.text, drawing.calls
    ids = calls[model.decoder.embedding][0][0][0]
    signs: list[str] = []
    for sign in bytes(int(i) - 1 for i in ids).decode("utf-8", "replace"):
        signs += [sign, *[""] * (len(sign.encode()) - 1)]
    signs = signs[: len(ids)]
    last = drawing.add(
        "text.input", "letters", "text", np.zeros((len(signs), 1)), kind="letters", shape=(len(signs),),
        formula="UTF-8 byte + 1", code=Words.batch, labels=signs,
    )  # fmt: skip
    x = calls[model.decoder.embedding][1][0] + tower.positions.weight[: len(ids)]
    last = drawing.add(
        "text.tokens", "embedding", "text", x, after=(last,), formula="x = E[byte] + position", code=TextTower,
        weights=(model.decoder.embedding, tower.positions),
    )  # fmt: skip
    return drawing.blocks("text", list(tower.blocks), last, np.ones(len(ids), bool))


DRAWERS: dict[str, Callable[[Drawing, FusionModel], str]] = {
    "picture": draw_picture,
    "sound": draw_sound,
    "text": draw_text,
}


def grid_links(n: int, lengths: Sequence[int]) -> np.ndarray:
    """Which tokens `on_grid` takes for each of n places, from streams side by side: (n, sum of lengths)."""
    found = np.zeros((n, sum(lengths)), np.float32)
    start = 0
    for length in lengths:
        found[np.arange(n), start + ((np.arange(n) + 0.5) / n * length).astype(int)] = 1.0 / len(lengths)
        start += length
    return found


def draw_fusion(drawing: Drawing, model: FusionModel, last: Sequence[str]) -> tuple[str, Tensor]:
    """The operator over the last part of each lane; returns the key of the memory and its tokens (M, D)."""
    operator = model.operator
    if len(last) == 1:  # a single stream passes through
        (memory, _), _ = drawing.calls[model.event_head]
        return last[0], memory[0]
    (streams,), memory = drawing.calls[operator]
    assert isinstance(memory, Memory)
    tokens = memory.tokens[0][memory.mask[0]]
    lengths = [int(stream.mask[0].sum()) for stream in streams]

    def add(name: str, values: Tensor, after: Sequence[str], formula: str, **more: Any) -> str:
        return drawing.add(f"all.{name}", name, "all", values, after=after, formula=formula, **more)

    if isinstance(operator, AttentionFusion):
        joined = torch.cat([stream.tokens[0][stream.mask[0]] for stream in streams])
        key = add("memory", joined, last, "M = [p, s]", code=ConcatFusion, links=np.eye(len(joined)))
        return drawing.blocks("all", list(operator.blocks), key, np.ones(len(tokens), bool), "attention"), tokens
    if isinstance(operator, ConcatFusion):
        return add("memory", tokens, last, "M = [p, s]", code=ConcatFusion, links=np.eye(len(tokens))), tokens
    if isinstance(operator, SumFusion):
        links = grid_links(operator.n, lengths)
        return add("mean", tokens, last, "Mᵢ = ½ (pᵢ + sᵢ)", code=SumFusion, links=links), tokens
    if isinstance(operator, TensorFusion):
        return draw_tensor(drawing, operator, streams, last), tokens
    if isinstance(operator, GatedUnit):
        return draw_gated_unit(drawing, operator, streams, last), tokens
    assert isinstance(operator, GatedFusion)
    gates = []
    for stream, before in zip(streams, last, strict=True):
        linear = operator.gates[stream.modality]
        gate = 2.0 * torch.sigmoid(linear(on_grid(stream, operator.mean.n)))[0]
        links = grid_links(operator.mean.n, [int(stream.mask[0].sum())])
        gates.append(drawing.add(
            f"{stream.modality}.gate", "gate", stream.modality, gate - 1.0, after=(before,), links=links,
            formula="g = 2σ(W x + b)", code=GatedFusion, weights=(linear,),
        ))  # fmt: skip
    n = operator.mean.n
    links = np.concatenate([np.eye(n)] * len(gates), 1) / len(gates)
    return add("product", tokens, gates, "Mᵢ = ½ (pᵢ + sᵢ) ⊙ gᵖᵢ ⊙ gˢᵢ", code=GatedFusion, links=links), tokens


def draw_each(
    drawing: Drawing, streams: Sequence[Stream], last: Sequence[str], name: str, operator: TensorFusion | GatedUnit,
    values: Callable[[Stream], Tensor], *, formula: str, weights: nn.ModuleDict,
) -> list[str]:  # fmt: skip
    """What an operator makes of each modality by itself, on its grid; returns the keys of the parts."""
    return [
        drawing.add(
            f"{stream.modality}.{name}", name, stream.modality, values(stream)[0], after=(before,), formula=formula,
            links=grid_links(operator.n, [int(stream.mask[0].sum())]), code=type(operator),
            weights=(weights[stream.modality],),
        )
        for stream, before in zip(streams, last, strict=True)
    ]  # fmt: skip


def draw_tensor(drawing: Drawing, operator: TensorFusion, streams: Sequence[Stream], last: Sequence[str]) -> str:
    """Both modalities' features, their outer product and the memory; returns the key of the memory."""
    features = draw_each(
        drawing, streams, last, "features", operator, operator.appended, formula="a = [U x, 1]",
        weights=operator.features,
    )  # fmt: skip
    each = np.eye(operator.n)
    product = drawing.add(
        "all.products", "products", "all", operator.product(streams)[0], after=features,
        links=np.concatenate([each, each], 1) / 2, formula="Zᵢ = aᵖᵢ ⊗ aˢᵢ", code=TensorFusion,
    )  # fmt: skip
    return drawing.add(
        "all.memory", "memory", "all", drawing.calls[operator][1].tokens[0], after=(product,), links=each,
        formula="Mᵢ = W vec(Zᵢ) + b", code=TensorFusion, weights=(operator.project,),
    )  # fmt: skip


def draw_gated_unit(drawing: Drawing, operator: GatedUnit, streams: Sequence[Stream], last: Sequence[str]) -> str:
    """What both modalities have to say, the gate between them and the memory; returns the key of the memory. The links
    into the memory are as wide as the gate lets each modality through."""
    contents = draw_each(
        drawing, streams, last, "content", operator, operator.contents, formula="h = tanh(W x + b)",
        weights=operator.content,
    )  # fmt: skip
    share = operator.share(streams)[0]
    gate = drawing.add(
        "all.gate", "gate", "all", share - 0.5, after=last, formula="z = σ(V [p, s] + c)", code=GatedUnit,
        links=grid_links(operator.n, [int(stream.mask[0].sum()) for stream in streams]), weights=(operator.gate,),
    )  # fmt: skip
    first = np.diag(share.mean(1).numpy())
    links = np.concatenate([first, np.eye(operator.n) - first, np.zeros_like(first)], 1)
    return drawing.add(
        "all.memory", "memory", "all", drawing.calls[operator][1].tokens[0], after=(*contents, gate), links=links,
        formula="Mᵢ = zᵢ ⊙ hᵖᵢ + (1 − zᵢ) ⊙ hˢᵢ", code=GatedUnit,
    )  # fmt: skip


def pool(drawing: Drawing, head: PoolHead, lane: str, last: str, name: str, *, key: str = "") -> tuple[str, Tensor]:
    """A head's learned weights over the tokens, as links to the vector; returns its key and the output (n,)."""
    (tokens, mask), out = drawing.calls[head]
    weight = head.weigh(tokens)[0, :, 0].masked_fill(~mask[0], -1e4).softmax(0)[mask[0]]
    vector = weight @ tokens[0][mask[0]]
    key = drawing.add(
        key or f"{lane}.{name}", name, lane, vector[None], after=(last,), links=weight[None],
        formula="v = Σᵢ softmax(w·xᵢ) xᵢ", code=PoolHead, weights=(head.weigh,),
    )  # fmt: skip
    return key, out[0]


# --- one network -----------------------------------------------------------------------------------------------------


@torch.no_grad()
def draw(
    name: str,
    model: FusionModel,
    dataset: Dataset,
    modalities: Sequence[str],
    noise: Noise,
    watch: Watch,
    seed: int,
    *,
    forward: Callable[[list[Stream]], object] | None = None,
    finish: Callable[[Drawing, Sequence[str]], None] | None = None,
    heads: Iterable[nn.Module] = (),
) -> Network:
    """The forward pass of the watched example of the validation split, with the same noise at each call.

    forward: what is computed from the streams; left out, the class logits. finish: adds the parts after the lanes;
    left out, fusion, pooling and the classes. heads: what else `forward` calls.
    """
    order = [modality for modality in DRAWERS if modality in modalities]
    examples = example_of(dataset.valid, order, watch)
    with traced([*modules_of(model), *heads]) as calls:
        streams = trainer.streams(model, dataset.valid, examples, noise, np.random.default_rng(seed))
        if forward is None:
            trainer.class_logits(model, streams)
        else:
            forward(streams)
    drawing = Drawing(calls)
    last = [DRAWERS[modality](drawing, model) for modality in order]
    if finish is not None:
        finish(drawing, last)
    else:
        memory, _ = draw_fusion(drawing, model, last)
        key, logits = pool(drawing, model.event_head, "all", memory, "pooling")
        drawing.add(
            "all.classes", "classes", "all", logits.softmax(0)[:, None], after=(key,), kind="bars",
            shape=(len(dataset.classes),), formula="P(c) = softmax(W v + b)", code=trainer.class_logits,
            weights=(model.event_head.project,), labels=dataset.classes, right=watch.label,
        )  # fmt: skip
    return Network(name, watch.label, watch.example, dataset.classes, tuple(drawing.parts))
