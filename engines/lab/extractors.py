"""Feature extractors: the same digits read by each kind of tower the product has, with equally many training steps.

Pictures: `engines.model.picture.Cnn`, or patches and Transformer blocks. Sounds: convolution, GRU or Transformer blocks
of `engines.model.sound`. Text: GRU or Transformer blocks of `engines.model.text`.

What a tower looks at: its first filters, the gradient of the target's logit with respect to the input (Simonyan et al.
2014, arXiv:1312.6034), and the attention of its last block.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from engines.errors import Message, RequestError
from engines.lab import network, trainer
from engines.lab.data.datasets import Dataset, DatasetSplit, digits
from engines.lab.findings import Cell, Findings, Network, Picture, Table, Watch
from engines.lab.requests import ExtractorsRequest
from engines.lab.trainer import Examples, Noise, Recorder
from engines.model.fusion import FusionModel, Stream
from engines.model.parts import Block
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
"""Blocks of each extractor, so that none has many times the parameters of another."""
PHOTO_PX = 128
"""Sixteen patches of 32 x 32: the Lab's usual four leave little to attend to."""
N_FILTERS = 8
"""Filters shown of each first layer, four to a row."""


def run(request: ExtractorsRequest, dataset: Dataset | None, cancel: Cancel, watch: Watch | None) -> Iterator[Findings]:
    """Train one model per extractor, then test all of them under the same conditions."""
    data = _with_modality(request.modality, dataset)
    recorder = Recorder(request, len(request.kinds) * request.n_steps, data.record)
    valid = trainer.sample(data.valid, (request.modality,), trainer.N_VALID, np.random.default_rng(request.seed + 1))
    models: dict[str, FusionModel] = {}
    for kind in request.kinds:
        models[kind] = model = build(request, data, kind)

        def score(model: FusionModel = model, kind: str = kind) -> dict[str, float]:
            found = trainer.probabilities(model, data.valid, valid, _noise(request), request.seed)
            return {kind: trainer.accuracy(found, valid.labels)}

        loss = _loss(request, data.train, model)
        drawn = None if watch is None else partial(draw_network, request, data, model, kind, watch)
        yield from trainer.train(recorder, kind, model.parameters(), request.n_steps, loss, score, cancel, draw=drawn)
        if cancel.is_set:
            yield recorder.stopped()
            return
    yield recorder.findings(stage="measuring")
    table = evaluate(request, data, models)
    yield recorder.finished(
        tables=(table, recorder.times("extractor")),
        pictures=visualisations(request, data, models),
        said=conclusions(table, recorder.ms_per_step),
        weights=trainer.weights_of(models),
    )


def measure(
    request: ExtractorsRequest, dataset: Dataset | None, weights: Mapping[str, np.ndarray]
) -> tuple[Table, ...]:
    """The table of a finished run again, from its weights."""
    data = _with_modality(request.modality, dataset)
    models = {kind: trainer.loaded(build(request, data, kind), kind, weights) for kind in request.kinds}
    return (evaluate(request, data, models),)


def networks(request: ExtractorsRequest) -> tuple[str, ...]:
    """One model per extractor."""
    return request.kinds


def draw(
    request: ExtractorsRequest, dataset: Dataset | None, weights: Mapping[str, np.ndarray], name: str, watch: Watch
) -> Network:
    """One model as it reads the watched example, trained if there are weights."""
    data = _with_modality(request.modality, dataset)
    return draw_network(request, data, trainer.loaded(build(request, data, name), name, weights), name, watch)


def draw_network(request: ExtractorsRequest, dataset: Dataset, model: FusionModel, name: str, watch: Watch) -> Network:
    """The forward pass of the watched example, at the noise asked for."""
    return network.draw(name, model, dataset, (request.modality,), _noise(request), watch, request.seed)


def _with_modality(modality: str, dataset: Dataset | None) -> Dataset:
    """The data set to use. Raises RequestError where it lacks this modality."""
    data = digits() if dataset is None else dataset
    if {"picture": data.has_pictures, "sound": data.has_sounds, "text": True}[modality]:
        return data
    what = Message("word.photos", "photos") if modality == "picture" else Message("word.sounds", "sounds")
    raise RequestError(
        "classes_without_media",
        "{name} has no {what} in every class; choose another modality, or another folder.",
        name=data.name,
        what=what,
    )


def build(request: ExtractorsRequest, dataset: Dataset, kind: str) -> FusionModel:
    """A new model with this extractor."""
    modality = request.modality
    n_blocks = N_BLOCKS[modality, kind]
    config = trainer.lab_config(dataset, **{modality: kind, f"n_{modality}_blocks": n_blocks, "photo_px": PHOTO_PX})
    return trainer.new_model(config, request.seed)


def _noise(request: ExtractorsRequest) -> Noise:
    return Noise(**{request.modality: request.noise})


def _loss(request: ExtractorsRequest, split: DatasetSplit, model: FusionModel) -> trainer.Loss:
    rng = np.random.default_rng(request.seed)

    def loss(step: int) -> Tensor:
        examples = trainer.sample(split, (request.modality,), trainer.BATCH, rng)
        streams = trainer.streams(model, split, examples, _noise(request).sample(rng), rng)
        return trainer.cross_entropy(trainer.class_logits(model, streams), examples.labels)

    return loss


# --- measuring -----------------------------------------------------------------------------------------------------


def evaluate(request: ExtractorsRequest, dataset: Dataset, models: Mapping[str, FusionModel]) -> Table:
    """Accuracy with and without noise, and the number of the extractor's parameters."""
    rng = np.random.default_rng(request.seed + 2)
    examples = trainer.sample(dataset.test, (request.modality,), trainer.N_TEST, rng)
    rows: list[tuple[Cell, ...]] = []
    for kind, model in models.items():
        found = [
            trainer.probabilities(model, dataset.test, examples, noise, request.seed + 3)
            for noise in (_noise(request), Noise())
        ]
        scores = [trainer.accuracy(each, examples.labels) for each in found]
        n_embedding = model.decoder.embedding.weight.numel() if request.modality == "text" else 0
        rows.append((kind, *scores, trainer.used_parameters(model, (f"{request.modality}.",)) + n_embedding))
    return Table("extractors", ("extractor", "accuracy %", "clean %", "parameters"), tuple(rows))


def conclusions(table: Table, ms_per_step: Mapping[str, float]) -> tuple[tuple[str, dict[str, Cell]], ...]:
    """Summarise the table as a message key with values: the most accurate extractor and the fastest."""
    scores = {str(row[0]): float(row[1] or 0.0) for row in table.rows}
    best, fastest = max(scores, key=scores.__getitem__), min(ms_per_step, key=ms_per_step.__getitem__)
    return (("extractor_best", {"extractor": best, "percent": 100.0 * scores[best], "quickest": fastest}),)


# --- visualisation ---------------------------------------------------------------------------------------------------


def visualisations(
    request: ExtractorsRequest, dataset: Dataset, models: Mapping[str, FusionModel]
) -> tuple[Picture, ...]:
    """One test example, and each extractor's saliency, attention and first filters."""
    one, noise, seed = example(request, dataset), _noise(request), request.seed + 3
    found = trainer.pictures_of(dataset.test, one, noise, seed, "example")
    for kind, model in models.items():
        found.append(Picture("saliency", kind, saliency(model, dataset.test, one, noise, seed)))
        weights = attention_map(model, dataset.test, one, noise, seed)
        found += [] if weights is None else [Picture("attention", kind, weights)]
        filters = first_filters(model, request.modality)
        found += [] if filters is None else [Picture("filters", kind, tiles(filters))]
    return tuple(found)


def example(request: ExtractorsRequest, dataset: Dataset) -> Examples:
    """The test example that is visualised."""
    return trainer.sample(dataset.test, (request.modality,), 1, np.random.default_rng(request.seed + 2))


def first_filters(model: FusionModel, modality: str) -> np.ndarray | None:
    """The filters of the first layer, (n, h, w): for sounds over mel bands (low ones below) and time; None for text."""
    if modality == "text":
        return None
    if modality == "sound":
        return model.sound.conv1.weight.detach().flip(1).numpy()
    trunk = model.picture.trunk
    first = trunk.get_submodule("patch" if hasattr(trunk, "patch") else "layers.0")
    assert isinstance(first, nn.Conv2d)
    return first.weight.detach().mean(1).numpy()  # the photos are grey, so only the sum over colours matters


def tiles(filters: np.ndarray) -> np.ndarray:
    """The first N_FILTERS of (n, h, w) as one image, four to a row; 0.5 stands for a weight of 0."""
    shown = filters[:N_FILTERS]
    scaled = 0.5 + shown / (2.0 * np.abs(shown).max(axis=(1, 2), keepdims=True) + 1e-9)
    padded = np.pad(scaled, ((0, 0), (0, 1), (0, 1)), constant_values=0.5)
    rows = [np.concatenate(list(padded[i : i + 4]), axis=1) for i in range(0, len(padded), 4)]
    return np.concatenate(rows, axis=0)[:-1, :-1].astype(np.float32)


def saliency(model: FusionModel, split: DatasetSplit, one: Examples, noise: Noise, seed: int) -> np.ndarray:
    """The magnitude of the gradient of the target's logit with respect to the input, scaled to 0..1.

    (H, W) for a photo, (mel, frames) for a sound, (1, bytes) for a word.
    """
    rng = np.random.default_rng(seed)
    if one.picture is not None:
        assert split.pictures is not None
        x = split.pictures.batch(one.picture, noise=noise.picture, rng=rng, px=model.config.photo_px).requires_grad_()
        tokens = model.see(x)
        stream = Stream("picture", tokens, torch.ones(tokens.shape[:2], dtype=torch.bool))
    elif one.sound is not None:
        assert split.sounds is not None
        x, n_frames = split.sounds.batch(one.sound, noise=noise.sound, rng=rng)
        heard = model.hear(x.requires_grad_(), n_frames)
        stream = Stream("sound", heard.mix, heard.mix_mask)
    else:
        assert one.words is not None
        ids, mask = split.words.batch(one.words, noise=noise.text, rng=rng)
        x = model.decoder.embedding(ids).detach().requires_grad_()
        stream = Stream("text", model.text(x, mask), mask)
    target_logit = trainer.class_logits(model, [stream])[0, int(one.labels[0])]
    (gradient,) = torch.autograd.grad(target_logit, x)
    magnitude = gradient[0].abs()
    if one.picture is not None:
        return trainer.scaled(magnitude.sum(0))
    return trainer.scaled(magnitude.flip(0) if one.sound is not None else magnitude.sum(1)[None])


def attention_map(model: FusionModel, split: DatasetSplit, one: Examples, noise: Noise, seed: int) -> np.ndarray | None:
    """The last block's attention on one example, averaged over heads; None for a tower without attention.

    For a photo, how much each patch is attended to (h, w); for a sound or a word, queries (down) over keys (across).
    """
    tower: PictureTower | SoundTower | TextTower = (
        model.picture if one.picture is not None else model.sound if one.sound is not None else model.text
    )
    if len(tower.blocks) == 0 or not isinstance(tower.blocks[-1], Block):
        return None
    attention = tower.blocks[-1].attention
    with torch.inference_mode(), network.traced([attention]) as calls:
        trainer.streams(model, split, one, noise, np.random.default_rng(seed))
        weights = network.attention_weights(attention, calls[attention][0])[0].mean(0)
    if one.picture is None:
        return trainer.scaled(weights)
    side = round(weights.shape[1] ** 0.5)
    return trainer.scaled(weights.mean(0).reshape(side, side))
