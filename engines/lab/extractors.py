"""Extractors: the same digits read by each kind of tower the product has, at the same number of steps.

Pictures: `engines.model.picture.Cnn`, or patches and Transformer blocks. Sounds: convolution, GRU or Transformer blocks
of `engines.model.sound`. Text: GRU or Transformer blocks of `engines.model.text`.

What a tower looks at: its first filters, the gradient of the right answer by the input (Simonyan et al. 2014,
arXiv:1312.6034), and the attention of its last block.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor, nn

from engines.errors import Message, RequestError
from engines.lab import trainer
from engines.lab.data.datasets import Material, Part, digits
from engines.lab.findings import Cell, Findings, Picture, Table
from engines.lab.requests import ExtractorsRequest
from engines.lab.runs import Watch
from engines.lab.trainer import Draw, Noise
from engines.model.fusion import FusionModel, Stream
from engines.model.parts import Attention, Block
from engines.model.picture import PictureTower
from engines.model.sound import SoundTower
from engines.model.text import TextTower
from engines.protocol import Cancel

N_BLOCKS: dict[tuple[str, str], int] = {
    ("picture", "cnn"): 0,
    ("picture", "transformer"): 2,
    ("sound", "cnn"): 8,
    ("sound", "gru"): 4,
    ("sound", "transformer"): 2,
    ("text", "gru"): 4,
    ("text", "transformer"): 2,
}
"""Blocks of each kind, so that none has many times the weights of another."""
PHOTO_PX = 128
"""Sixteen patches of 32: with the lab's usual four there is little to attend to."""
N_FILTERS = 8
"""Shown of each first layer, four to a row."""


def run(request: ExtractorsRequest, material: Material | None, cancel: Cancel) -> Iterator[Findings]:
    """Train one model for each kind of extractor, then measure all of them alike."""
    own = _having(request.sense, material)
    watch = Watch(request, len(request.kinds) * request.n_steps, own.data)
    valid = trainer.draw(own.valid, (request.sense,), trainer.N_VALID, np.random.default_rng(request.seed + 1))
    models: dict[str, FusionModel] = {}
    for kind in request.kinds:
        models[kind] = model = build(request, own, kind)

        def score(model: FusionModel = model, kind: str = kind) -> dict[str, float]:
            found = trainer.chances(model, own.valid, valid, _noise(request), request.seed)
            return {kind: trainer.accuracy(found, valid.labels)}

        loss = _loss(request, own.train, model)
        yield from trainer.train(watch, kind, model.parameters(), request.n_steps, loss, score, cancel)
        if cancel.is_set:
            yield watch.stopped()
            return
    yield watch.findings(stage="measuring")
    table = measured(request, own, models)
    yield watch.finished(
        tables=(table, watch.times("extractor")),
        pictures=looks(request, own, models),
        said=conclusions(table, watch.ms_per_step),
        weights=trainer.weights_of(models),
    )


def measure(request: ExtractorsRequest, material: Material | None, weights: Mapping[str, np.ndarray]) -> tuple[Table]:
    """The tables of a finished run again, from its weights."""
    own = _having(request.sense, material)
    models = {kind: build(request, own, kind) for kind in request.kinds}
    for kind, model in models.items():
        trainer.put_weights(kind, model, weights)
    return (measured(request, own, models),)


def _having(sense: str, material: Material | None) -> Material:
    """What is learnt from. Raises RequestError where it has nothing of this sense."""
    own = digits() if material is None else material
    if {"picture": own.has_pictures, "sound": own.has_sounds, "text": True}[sense]:
        return own
    what = Message("word.photos", "photos") if sense == "picture" else Message("word.sounds", "sounds")
    raise RequestError(
        "classes_without_media",
        "{name} has no {what} in every class; choose another sense, or another folder.",
        name=own.name,
        what=what,
    )


def build(request: ExtractorsRequest, material: Material, kind: str) -> FusionModel:
    """A model from nothing with this extractor."""
    sense = request.sense
    n_blocks = N_BLOCKS[sense, kind]
    config = trainer.lab_config(material, **{sense: kind, f"n_{sense}_blocks": n_blocks, "photo_px": PHOTO_PX})
    return trainer.new_model(config, request.seed)


def _noise(request: ExtractorsRequest) -> Noise:
    return Noise(**{request.sense: request.noise})


def _loss(request: ExtractorsRequest, part: Part, model: FusionModel) -> trainer.Loss:
    rng = np.random.default_rng(request.seed)

    def loss(step: int) -> Tensor:
        drawn = trainer.draw(part, (request.sense,), trainer.BATCH, rng)
        found = trainer.streams(model, part, drawn, _noise(request).drawn(rng), rng)
        return trainer.cross_entropy(trainer.answer(model, found), drawn.labels)

    return loss


# --- measuring -----------------------------------------------------------------------------------------------------


def measured(request: ExtractorsRequest, material: Material, models: Mapping[str, FusionModel]) -> Table:
    """Accuracy as asked and without noise, and the numbers that make the extractor up."""
    drawn = trainer.draw(material.test, (request.sense,), trainer.N_TEST, np.random.default_rng(request.seed + 2))
    rows: list[tuple[Cell, ...]] = []
    for kind, model in models.items():
        scores = [
            trainer.accuracy(trainer.chances(model, material.test, drawn, noise, request.seed + 3), drawn.labels)
            for noise in (_noise(request), Noise())
        ]
        n_embedding = model.decoder.embedding.weight.numel() if request.sense == "text" else 0
        rows.append((kind, *scores, trainer.used_parameters(model, (f"{request.sense}.",)) + n_embedding))
    return Table("extractors", ("extractor", "accuracy %", "clean %", "parameters"), tuple(rows))


def conclusions(table: Table, ms_per_step: Mapping[str, float]) -> tuple[tuple[str, dict[str, Cell]], ...]:
    """Which was the most accurate, and which the quickest."""
    scores = {str(row[0]): float(row[1] or 0.0) for row in table.rows}
    best, quickest = max(scores, key=scores.__getitem__), min(ms_per_step, key=ms_per_step.__getitem__)
    return (("extractor_best", {"extractor": best, "percent": 100.0 * scores[best], "quickest": quickest}),)


# --- looking -------------------------------------------------------------------------------------------------------


def looks(request: ExtractorsRequest, material: Material, models: Mapping[str, FusionModel]) -> tuple[Picture, ...]:
    """One test example, and what each extractor makes of it."""
    one = example(request, material)
    found = trainer.pictures_of(material.test, one, _noise(request), request.seed + 3, "example")
    for kind, model in models.items():
        found.append(Picture("saliency", kind, saliency(model, material.test, one, _noise(request), request.seed + 3)))
        seen = attention(model, material.test, one, _noise(request), request.seed + 3)
        found += [] if seen is None else [Picture("attention", kind, seen)]
        first = first_layer(model, request.sense)
        found += [] if first is None else [Picture("filters", kind, tiles(first))]
    return tuple(found)


def example(request: ExtractorsRequest, material: Material) -> Draw:
    """The example that is looked at."""
    return trainer.draw(material.test, (request.sense,), 1, np.random.default_rng(request.seed + 2))


def first_layer(model: FusionModel, sense: str) -> np.ndarray | None:
    """The filters of the first layer, (n, h, w), of a sense that has any: in time and mel bands, low ones below."""
    if sense == "text":
        return None
    if sense == "sound":
        return model.sound.conv1.weight.detach().flip(1).numpy()
    trunk = model.picture.trunk
    first = trunk.get_submodule("patch" if hasattr(trunk, "patch") else "layers.0")
    assert isinstance(first, nn.Conv2d)
    return first.weight.detach().mean(1).numpy()  # the photos are grey: what counts is the sum over colours


def tiles(filters: np.ndarray) -> np.ndarray:
    """The first N_FILTERS of (n, h, w) side by side, four to a row; 0.5 is a weight of nothing."""
    shown = filters[:N_FILTERS]
    scaled = 0.5 + shown / (2.0 * np.abs(shown).max(axis=(1, 2), keepdims=True) + 1e-9)
    padded = np.pad(scaled, ((0, 0), (0, 1), (0, 1)), constant_values=0.5)
    rows = [np.concatenate(list(padded[i : i + 4]), axis=1) for i in range(0, len(padded), 4)]
    return np.concatenate(rows, axis=0)[:-1, :-1].astype(np.float32)


def saliency(model: FusionModel, part: Part, one: Draw, noise: Noise, seed: int) -> np.ndarray:
    """How much each place of one example's input counts for the right answer: (H, W) of a photo, (mel, frames) of a
    sound, (1, bytes) of a word; 0 to 1.
    """
    rng = np.random.default_rng(seed)
    if one.picture is not None:
        assert part.pictures is not None
        x = part.pictures.batch(one.picture, noise=noise.picture, rng=rng, px=model.config.photo_px).requires_grad_()
        tokens = model.see(x)
        stream = Stream("picture", tokens, torch.ones(tokens.shape[:2], dtype=torch.bool))
    elif one.sound is not None:
        assert part.sounds is not None
        x, n_frames = part.sounds.batch(one.sound, noise=noise.sound, rng=rng)
        heard = model.hear(x.requires_grad_(), n_frames)
        stream = Stream("sound", heard.mix, heard.mix_mask)
    else:
        assert one.words is not None
        ids, mask = part.words.batch(one.words, noise=noise.text, rng=rng)
        x = model.decoder.embedding(ids).detach().requires_grad_()
        stream = Stream("text", model.text(x, mask), mask)
    (slope,) = torch.autograd.grad(trainer.answer(model, [stream])[0, int(one.labels[0])], x)
    size = slope[0].abs()
    if one.picture is not None:
        return trainer.scaled(size.sum(0))
    return trainer.scaled(size.flip(0) if one.sound is not None else size.sum(1)[None])


def attention(model: FusionModel, part: Part, one: Draw, noise: Noise, seed: int) -> np.ndarray | None:
    """The last block's attention on one example, the mean over its heads: how much each patch of a photo is looked at
    (h, w); who (down) looks at whom (across) among the tokens of a sound or the bytes of a word. None without blocks
    that attend.
    """
    tower: PictureTower | SoundTower | TextTower = (
        model.picture if one.picture is not None else model.sound if one.sound is not None else model.text
    )
    if len(tower.blocks) == 0 or not isinstance(tower.blocks[-1], Block):
        return None
    kept: list[Tensor] = []

    hook = tower.blocks[-1].attention.register_forward_hook(
        lambda module, args, _: kept.append(weighed(module, args)[0].mean(0))
    )
    try:
        with torch.inference_mode():
            trainer.streams(model, part, one, noise, np.random.default_rng(seed))
    finally:
        hook.remove()
    if one.picture is None:
        return trainer.scaled(kept[0])
    side = round(kept[0].shape[1] ** 0.5)
    return trainer.scaled(kept[0].mean(0).reshape(side, side))


def weighed(attention: Attention, args: tuple[Tensor, tuple[Tensor, Tensor], Tensor | None]) -> Tensor:
    """The weights (B, H, L, M) that an attention gives to what it is called with: softmax(Q K^T / sqrt(d))."""
    x, (keys, _), mask = args
    scores = attention.split(attention.query(x)) @ keys.mT / keys.shape[-1] ** 0.5
    return (scores if mask is None else scores.masked_fill(~mask[:, None, None], -torch.inf)).softmax(-1)
