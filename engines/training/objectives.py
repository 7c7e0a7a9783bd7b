"""What each task asks of the model: how its batch is drawn, and its losses.

`OBJECTIVES` is the table. A loss is one function that reads top to bottom, from the features of a batch (`run_towers`)
to a record of named losses; the formulas are in `losses`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from engines.model.config import EVENTS
from engines.model.features import log_mel
from engines.model.fusion import FusionModel, Memory, Stream
from engines.training import augment, clips, losses
from engines.training.batches import IGNORED, Batch, Batcher
from engines.training.sources import LAYERS_HZ

TEACHER_WEIGHT = 0.2
"""Weight of agreeing with the teacher's similarities, against matching."""
CTC_WEIGHT = 0.3
"""Weight of CTC against writing a transcript (Watanabe et al. 2017 use 0.2 to 0.5)."""
N_SAMPLES = 5
"""Captions sampled per photo in self-critical training."""
TOP_K = 8
"""Tokens they are sampled from: a tenth of a smoothed model's probability lies on tokens that make no sense."""
MAX_SAMPLED = 24
"""Maximum tokens of a sampled caption."""
DROP_MODALITY = 0.1
"""Probability that a clip loses its picture, and that it loses its sound, so that each alone is answered honestly."""
DROP_TOKEN = 0.1
"""Probability that a token is masked: neither the decoder nor the vector may depend on a single one."""


@dataclass(frozen=True)
class Record:
    """total: what is minimised. parts: named values for the log."""

    total: Tensor
    parts: dict[str, float]


def _record(**weighted: tuple[float, Tensor]) -> Record:
    total = torch.stack([weight * value for weight, value in weighted.values()]).sum()
    return Record(total, {name: float(value.detach()) for name, (_, value) in weighted.items()})


# --- the towers --------------------------------------------------------------------------------------------------


def run_towers(model: FusionModel, batch: Batch, *, vary: bool = True) -> Batch:
    """Replace the media in a batch by features; features from the cache stay as they are.

    `pixels` (B, 3, H, W) uint8 -> `maps` (B, N, C). `samples` (B, n) int16 with `samples_mask` of their mel frames ->
    `last` (B, T, D) and `layers` (B, T', n_layers, D) with masks. vary: augment photos in training.
    """
    features = dict(batch)
    if "pixels" in features:
        pixels = features.pop("pixels")
        photos = augment.vary_photos(pixels) if vary and model.training else augment.scaled(pixels)
        features["maps"] = model.picture.trunk(photos.to(model.dtype)).flatten(2).transpose(1, 2)
    if "samples" in features:
        samples, mask = features.pop("samples"), features.pop("samples_mask")
        with torch.autocast(samples.device.type, enabled=False):
            mel = log_mel(samples.float() / 32768.0)
        n_frames = mask.sum(1)
        if model.training:
            mel = augment.hide_stripes(mel, n_frames)
        last, last_mask, layers, layers_mask = model.layers(mel, n_frames.clamp(min=1))
        audible = (n_frames > 0)[:, None]
        features |= {"last": last, "last_mask": last_mask & audible}
        features |= {"layers": layers, "layers_mask": layers_mask & audible}
    return features


# --- parts -------------------------------------------------------------------------------------------------------


def _token_loss(model: FusionModel, batch: Batch, *streams: Stream, translating: bool = False) -> Tensor:
    """Cross-entropy of the batch's targets, written from these streams."""
    return _memory_loss(model, batch, model.fuse(list(streams)), translating=translating)


def _memory_loss(model: FusionModel, batch: Batch, memory: Memory, *, translating: bool = False) -> Tensor:
    hidden = model.hidden(batch["ids"], memory, translating=translating)  # (B, L, D)
    scored = batch["targets"] != IGNORED
    return losses.next_token_sampled(hidden[scored], model.decoder.embedding.weight, batch["targets"][scored])


def _picture_tokens(model: FusionModel, batch: Batch) -> Tensor:
    """Feature maps (B, N, C) -> picture tokens (B, N, D)."""
    maps = batch["maps"]
    b, n, c = maps.shape
    side = round(n**0.5)
    return model.picture.adapt(maps.to(model.dtype).transpose(1, 2).reshape(b, c, side, side))


def _picture(model: FusionModel, batch: Batch) -> Stream:
    tokens = _picture_tokens(model, batch)
    return Stream("picture", tokens, _kept(model, tokens))


def _read(model: FusionModel, batch: Batch, name: str = "text") -> tuple[Tensor, Tensor]:
    """Text tokens (B, L, D) with their mask."""
    mask = batch[f"{name}_mask"]
    return model.read(batch[name], mask), mask


def _text_vector(model: FusionModel, batch: Batch, name: str = "text") -> Tensor:
    return model.vector("text", *_read(model, batch, name))


def _names(model: FusionModel, batch: Batch) -> list[Stream]:
    """The names of what a picture shows, as a stream; none for a model without concepts."""
    return [Stream("names", *_read(model, batch, "names"))] if "names" in batch and model.config.concepts else []


def _mix(model: FusionModel, batch: Batch) -> tuple[Tensor, Tensor]:
    """The learned mean of the sound tower's layers (B, T', D) with its mask."""
    return model.mix(batch["layers"].to(model.dtype)), batch["layers_mask"]


def _sound(model: FusionModel, mix: Tensor, mask: Tensor) -> Stream:
    times_s = (torch.arange(mask.shape[1], device=mask.device) / LAYERS_HZ).expand(mask.shape)
    return Stream("sound", model.bridge(mix), mask, times_s)


def _kept(model: FusionModel, tokens: Tensor) -> Tensor:
    """A mask (B, N) that drops tokens in training."""
    shape, device = tokens.shape[:2], tokens.device
    if model.training:
        return torch.rand(shape, device=device) >= DROP_TOKEN
    return torch.ones(shape, dtype=torch.bool, device=device)


# --- photos ------------------------------------------------------------------------------------------------------


def caption(model: FusionModel, batch: Batch) -> Record:
    """Write a photo's caption."""
    return _record(caption=(1.0, _token_loss(model, batch, _picture(model, batch))))


def name(model: FusionModel, batch: Batch) -> Record:
    """Write a photo's caption from the photo and the names of what it shows."""
    return _record(name=(1.0, _token_loss(model, batch, _picture(model, batch), *_names(model, batch))))


def write(model: FusionModel, batch: Batch) -> Record:
    """Write a caption from names alone, beside a masked picture."""
    (names,) = _names(model, batch)
    nothing = names.tokens.new_zeros(len(names.tokens), 1, model.config.width)
    hidden = Stream("picture", nothing, torch.zeros(nothing.shape[:2], dtype=torch.bool, device=nothing.device))
    return _record(write=(1.0, _token_loss(model, batch, hidden, names)))


def question(model: FusionModel, batch: Batch) -> Record:
    """Answer a question about a photo."""
    picture = _picture(model, batch)
    text = Stream("text", *_read(model, batch))
    return _record(question=(1.0, _token_loss(model, batch, picture, text, *_names(model, batch))))


def match(model: FusionModel, batch: Batch) -> Record:
    """Match photos with two captions each, these with one another, and the teacher's similarities between captions."""
    return _record(**_matching(model, batch, _picture_tokens(model, batch)))


def caption_and_match(model: FusionModel, batch: Batch) -> Record:
    """`caption` and `match` with one pass through the picture tower."""
    tokens = _picture_tokens(model, batch)
    written = _token_loss(model, batch, Stream("picture", tokens, _kept(model, tokens)))
    return _record(caption=(1.0, written), **_matching(model, batch, tokens))


def _matching(model: FusionModel, batch: Batch, tokens: Tensor) -> dict[str, tuple[float, Tensor]]:
    photos = model.vector("photo", tokens, _kept(model, tokens))
    first, second, group = _text_vector(model, batch), _text_vector(model, batch, "other"), batch["group"]
    parts = {
        "photo_text": (1.0, losses.info_nce(photos, first, group)),
        "photo_other": (1.0, losses.info_nce(photos, second, group)),
        "text_text": (0.5, losses.info_nce(first, second, group)),
    }
    if "teacher" in batch:
        teacher = batch["teacher"]
        agreement = losses.relations(photos, first, teacher) + losses.relations(first, photos, teacher)
        parts["teacher"] = (TEACHER_WEIGHT, agreement)
    return parts


def scst(model: FusionModel, batch: Batch) -> Record:
    """Sample captions of each photo; raise the probability of those that score above the photo's other samples.

    Self-critical training (Rennie et al. 2017) with the mean reward of the other samples as baseline (Luo 2020).
    """
    tokens = _picture_tokens(model, batch)
    every = torch.ones(tokens.shape[:2], dtype=torch.bool, device=tokens.device)
    memory = model.fuse([Stream("picture", tokens, every)])
    sampled = sample_captions(model, memory, batch["prefix"], int(batch["end"]))  # (B * K, L)
    references = [group for row in batch["references"] for group in [losses.token_rows(row)] * N_SAMPLES]
    rewards = losses.rewards(losses.token_rows(sampled), references, batch["grams"].cpu(), batch["idf"].cpu())
    by_photo = rewards.to(tokens.device).unflatten(0, (-1, N_SAMPLES))
    advantage = ((by_photo - by_photo.mean(1, keepdim=True)) * N_SAMPLES / (N_SAMPLES - 1)).flatten()
    prefix = batch["prefix"].expand(len(sampled), -1)
    ids = torch.cat([prefix, sampled[:, :-1].clamp(min=0)], dim=1)
    hidden = model.decoder.hidden(ids, memory.tokens, memory.mask)[:, prefix.shape[1] - 1 :]
    scored = sampled != losses.NO_TOKEN
    loss = losses.next_token_sampled(
        hidden[scored],
        model.decoder.embedding.weight,
        sampled[scored],
        smoothing=0.0,
        weight=advantage[:, None].expand(sampled.shape)[scored],
    )
    return Record(loss, {"reward": float(rewards.mean())})


@torch.no_grad()
def sample_captions(model: FusionModel, memory: Memory, prefix: Tensor, end: int) -> Tensor:
    """Sample N_SAMPLES texts per row of the memory: (B * K, L), PADDING after the end token."""
    cache = model.new_cache()
    ids = prefix.expand(N_SAMPLES * len(memory.tokens), -1)
    done = torch.zeros(len(ids), dtype=torch.bool, device=ids.device)
    sampled: list[Tensor] = []
    while len(sampled) < MAX_SAMPLED and not bool(done.all()):
        likely = model.decode(ids, memory, cache)[:, -1].float().topk(TOP_K)
        token = likely.indices.gather(1, torch.multinomial(likely.values.softmax(-1), 1))[:, 0]
        sampled.append(token.masked_fill(done, losses.NO_TOKEN))
        done |= token == end
        ids = token[:, None]
    return torch.stack(sampled, dim=1)


# --- speech, text, sounds ----------------------------------------------------------------------------------------


def transcribe(model: FusionModel, batch: Batch) -> Record:
    """Write a transcript, spell it by CTC, and name its language.

    The rows without speech, which come last, take part in writing only.
    """
    last, mask = batch["last"].to(model.dtype), batch["last_mask"]
    memory = model.fuse([Stream("sound", last, mask)])
    written = _memory_loss(model, batch, memory)
    n = int(batch["n_spoken"])
    first = model.decoder.hidden(batch["ids"][:n, :1], memory.tokens[:n], memory.mask[:n])
    language = losses.next_token(model.decoder.logits(first)[:, 0], batch["language_ids"], smoothing=0.0)
    return _record(transcribe=(1.0, written), language=(0.1, language), ctc=(CTC_WEIGHT, _ctc(model, batch)))


def ctc(model: FusionModel, batch: Batch) -> Record:
    """Spell a transcript by CTC only: the linear head needs a higher learning rate than everything else."""
    return _record(ctc=(1.0, _ctc(model, batch)))


def _ctc(model: FusionModel, batch: Batch) -> Tensor:
    n = int(batch["n_spoken"])
    last, n_tokens = batch["last"][:n].to(model.dtype), batch["last_mask"][:n].sum(1)
    return losses.ctc(model.ctc(last), n_tokens, batch["ctc"], batch["n_ctc"])


def translate(model: FusionModel, batch: Batch) -> Record:
    """Write a sentence in another language."""
    tokens, mask = _read(model, batch)
    text = Stream("text", tokens, mask & _kept(model, tokens))
    return _record(translate=(1.0, _token_loss(model, batch, text)))


def adapt_translation(model: FusionModel, batch: Batch) -> Record:
    """Write a sentence in another language through the adapters for translation, from all of its words."""
    mask = batch["text_mask"]
    text = Stream("text", model.read(batch["text"], mask, translating=True), mask)
    return _record(translate=(1.0, _token_loss(model, batch, text, translating=True)))


def parallel(model: FusionModel, batch: Batch) -> Record:
    """Pull a sentence and its translation or paraphrase to the same vector."""
    first, second = _text_vector(model, batch), _text_vector(model, batch, "other")
    parts = {"text_text": (1.0, losses.info_nce(first, second, batch["group"]))}
    if "teacher" in batch:
        teacher = batch["teacher"]
        agreement = losses.relations(first, first, teacher) + losses.relations(second, first, teacher)
        parts["teacher"] = (TEACHER_WEIGHT, agreement)
    return _record(**parts)


def sound(model: FusionModel, batch: Batch) -> Record:
    """Detect a sound's event, match it with its name, and write the name."""
    mix, mask = _mix(model, batch)
    events = torch.nn.functional.one_hot(batch["event"], len(EVENTS)).float()
    weight = torch.where(events > 0, 5.0, 1.0)
    logits = model.event_logits(mix, mask)
    event = torch.nn.functional.binary_cross_entropy_with_logits(logits, events, weight=weight)
    named = batch["label"] >= 0
    vectors = model.vector("sound", mix, mask)
    text = losses.classes(vectors[named], _text_vector(model, batch), batch["label"][named])
    written = _token_loss(model, batch, _sound(model, mix, mask))
    return _record(event=(2.0, event), sound_text=(0.5, text), sound_caption=(0.3, written))


# --- clips -------------------------------------------------------------------------------------------------------


def answer(model: FusionModel, batch: Batch) -> Record:
    """Answer a question about a clip, now and then with one modality dropped."""
    tokens = clips.frame_tokens(_picture_tokens(model, batch), batch["shown"], batch["crop"])  # (B, F * 4, D)
    b, f = batch["shown"].shape
    times_s = batch["times"].repeat_interleave(tokens.shape[1] // f, dim=1)
    seen = torch.ones(tokens.shape[:2], dtype=torch.bool, device=tokens.device)
    mix, heard = _mix(model, batch)
    if model.training:
        drop = torch.rand(b, 1, device=seen.device)
        seen = seen & (drop >= DROP_MODALITY)
        heard = heard & (drop < 1 - DROP_MODALITY)
    picture = Stream("picture", tokens, seen, times_s)
    text = Stream("text", *_read(model, batch))
    streams = (picture, _sound(model, mix, heard), text, *_names(model, batch))
    return _record(answer=(1.0, _token_loss(model, batch, *streams)))


# --- the table ---------------------------------------------------------------------------------------------------


Draw: TypeAlias = Callable[[Batcher, int, np.random.Generator], Batch]
Loss: TypeAlias = Callable[[FusionModel, Batch], Record]


@dataclass(frozen=True)
class Objective:
    """draw: (batcher, size, generator) -> batch. loss: (model, features) -> record. vary: augment photos."""

    draw: Draw
    loss: Loss
    vary: bool = True


OBJECTIVES: dict[str, Objective] = {
    "caption": Objective(Batcher.caption, caption),
    "name": Objective(Batcher.name, name),
    "write": Objective(Batcher.write, write),
    "question": Objective(Batcher.question, question),
    "match": Objective(Batcher.match, match),
    "caption_and_match": Objective(Batcher.caption_and_match, caption_and_match),
    "scst": Objective(Batcher.scst, scst, vary=False),
    "transcribe": Objective(Batcher.transcribe, transcribe),
    "ctc": Objective(Batcher.transcribe, ctc),
    "translate": Objective(Batcher.translate, translate),
    "adapt_translation": Objective(Batcher.translate_evenly, adapt_translation),
    "parallel": Objective(Batcher.parallel, parallel),
    "sound": Objective(Batcher.sound, sound),
    "answer": Objective(Batcher.answer, answer),
    "describe": Objective(Batcher.describe, answer),
}


def loss_of(task: str, model: FusionModel, batch: Batch) -> Record:
    """The record of a batch of a task, its media run through the towers."""
    objective = OBJECTIVES[task]
    return objective.loss(model, run_towers(model, batch, vary=objective.vary))
