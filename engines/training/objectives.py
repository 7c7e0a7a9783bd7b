"""What each task asks of the model: a batch in, a record of named losses out.

One function per task, each reading top to bottom; the loop only picks one by its name. Losses are functions in
`losses.py`. Batches come from frozen towers' stores (`batches.py`), so the towers' own blocks start at `adapt` and
`mix`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from engines.model.config import EVENTS
from engines.model.fusion import FusionModel, Memory, Stream
from engines.training import losses
from engines.training.batches import IGNORED, MIX_HZ, Batch

CONTRASTIVE_WEIGHT = 0.5
"""Of matching against writing a caption: the pilot's."""
CTC_WEIGHT = 0.3
"""Of spelling sound tokens against writing a transcript (Watanabe et al. 2017 use 0.2 to 0.5)."""
HIDE_SENSE = 0.1
"""How often a clip loses its picture, and how often its sound, so that answers from one sense alone are honest."""


@dataclass(frozen=True)
class Record:
    """total: what is minimised. parts: named figures for the log."""

    total: Tensor
    parts: dict[str, float]


def _record(**weighted: tuple[float, Tensor]) -> Record:
    total = torch.stack([weight * value for weight, value in weighted.values()]).sum()
    return Record(total, {name: float(value.detach()) for name, (_, value) in weighted.items()})


def _written(model: FusionModel, batch: Batch, memory: Memory) -> Tensor:
    """Loss of the pieces a batch should write from a memory; logits are made only where something is asked."""
    hidden = model.decoder.hidden(batch["ids"], memory.tokens, memory.mask)  # (B, L, D)
    asked = batch["targets"] != IGNORED
    return losses.next_piece(model.decoder.logits(hidden[asked]), batch["targets"][asked])


def _text_vector(model: FusionModel, batch: Batch, name: str = "text") -> Tensor:
    mask = batch[f"{name}_mask"]
    return model.vector("text", model.read(batch[name], mask), mask)


def _picture(model: FusionModel, maps: Tensor) -> Tensor:
    """Stored maps (B, 64, 1280) -> picture tokens (B, 64, D)."""
    b, n, c = maps.shape
    side = round(n**0.5)
    return model.picture.adapt(maps.to(model.dtype).transpose(1, 2).reshape(b, c, side, side))


def _all(tokens: Tensor) -> Tensor:
    return torch.ones(tokens.shape[:2], dtype=torch.bool, device=tokens.device)


def caption(model: FusionModel, batch: Batch) -> Record:
    """Write a photo's caption, and match the photo with another of its captions."""
    tokens = _picture(model, batch["maps"])
    kept = _all(tokens)
    if model.training:  # a tenth of the places is not seen: the writer must not rest on one
        kept = torch.rand(kept.shape, device=kept.device) >= 0.1
    write = _written(model, batch, model.fuse([Stream("picture", tokens, kept)]))
    photos = model.vector("photo", tokens, kept)
    match = losses.info_nce(photos, _text_vector(model, batch), batch["group"])
    return _record(caption=(1.0, write), photo_text=(CONTRASTIVE_WEIGHT, match))


def transcribe(model: FusionModel, batch: Batch) -> Record:
    """Write what is said, spell it, tell its language, and match it with its text and with the photo it describes.

    Rows without speech come last and take part in writing only: that nobody speaks.
    """
    last, mask = batch["last"].to(model.dtype), batch["mask"]
    memory = model.fuse([Stream("sound", last, mask)])
    write = _written(model, batch, memory)
    n_said = int(batch["n_said"])
    start = batch["ids"][:n_said, :1]
    first = model.decoder.logits(model.decoder.hidden(start, memory.tokens[:n_said], memory.mask[:n_said]))[:, 0]
    language = losses.next_piece(first, batch["language_ids"], smoothing=0.0)
    last, mask = last[:n_said], mask[:n_said]
    spell = losses.ctc(model.ctc(last), mask.sum(1), batch["ctc"], batch["n_ctc"])
    spoken, text = model.vector("speech", last, mask), _text_vector(model, batch)
    match = losses.info_nce(spoken, text, torch.arange(n_said, device=last.device))
    described = batch["photo"] >= 0
    parts = {
        "transcribe": (1.0, write),
        "language": (0.1, language),
        "ctc": (CTC_WEIGHT, spell),
        "speech_text": (CONTRASTIVE_WEIGHT, match),
    }
    if int(described.sum()) > 1:
        tokens = _picture(model, batch["maps"])
        photos = model.vector("photo", tokens, _all(tokens))
        parts["speech_photo"] = (
            CONTRASTIVE_WEIGHT,
            losses.info_nce(spoken[described], photos, batch["photo"][described]),
        )
    return _record(**parts)


def spell(model: FusionModel, batch: Batch) -> Record:
    """Spell what is said, token by token: the linear CTC head alone, which wants a higher rate than all else."""
    n_said = int(batch["n_said"])
    last, mask = batch["last"][:n_said].to(model.dtype), batch["mask"][:n_said]
    return _record(ctc=(1.0, losses.ctc(model.ctc(last), mask.sum(1), batch["ctc"], batch["n_ctc"])))


def translate(model: FusionModel, batch: Batch) -> Record:
    """Write a sentence in another language."""
    mask = batch["text_mask"]
    memory = model.fuse([Stream("text", model.read(batch["text"], mask), mask)])
    return _record(translate=(1.0, _written(model, batch, memory)))


def parallel(model: FusionModel, batch: Batch) -> Record:
    """Pull a sentence and its translation to the same vector."""
    match = losses.info_nce(_text_vector(model, batch), _text_vector(model, batch, "other"), batch["group"])
    return _record(text_text=(1.0, match))


def sound(model: FusionModel, batch: Batch) -> Record:
    """Tell a sound's event, match it with its name, and write its name down."""
    mix, mask = model.mix(batch["mix"].to(model.dtype)), batch["mix_mask"]
    wanted = torch.nn.functional.one_hot(batch["event"], len(EVENTS)).float()
    logits = model.event_logits(mix, mask)
    weight = torch.where(wanted > 0, 5.0, 1.0)
    event = torch.nn.functional.binary_cross_entropy_with_logits(logits, wanted, weight=weight)
    named = batch["label"] >= 0
    vectors = model.vector("sound", mix, mask)
    match = losses.classes(vectors[named], _text_vector(model, batch), batch["label"][named])
    memory = model.fuse([Stream("sound", model.bridge(mix), mask, _clock(mask))])
    return _record(event=(2.0, event), sound_text=(0.5, match), sound_caption=(0.3, _written(model, batch, memory)))


def _clock(mask: Tensor) -> Tensor:
    """Seconds of pooled sound tokens (B, T')."""
    return (torch.arange(mask.shape[1], device=mask.device) / MIX_HZ).expand(mask.shape)


def answer(model: FusionModel, batch: Batch) -> Record:
    """Answer a question about a clip, now and then with one sense gone."""
    b, f = batch["frames"].shape[:2]
    with torch.no_grad():  # captions teach the picture tower; here its blocks would cost most of the step
        frames = _picture(model, batch["frames"].flatten(0, 1)).unflatten(0, (b, f))
    tokens = model.pool_frames(frames)  # (B, F * 4, D)
    times = batch["times"].repeat_interleave(tokens.shape[1] // f, dim=1)
    seen = _all(tokens)
    mix, heard = model.mix(batch["mix"].to(model.dtype)), batch["mix_mask"]
    if model.training:
        gone = torch.rand(b, 1, device=seen.device)
        seen = seen & (gone >= HIDE_SENSE)
        heard = heard & (gone < 1 - HIDE_SENSE)
    streams = [
        Stream("picture", tokens, seen, times),
        Stream("sound", model.bridge(mix), heard, _clock(heard)),
        Stream("text", model.read(batch["text"], batch["text_mask"]), batch["text_mask"]),
    ]
    return _record(answer=(1.0, _written(model, batch, model.fuse(streams))))


OBJECTIVES: dict[str, Callable[[FusionModel, Batch], Record]] = {
    "caption": caption,
    "transcribe": transcribe,
    "spell": spell,
    "translate": translate,
    "parallel": parallel,
    "sound": sound,
    "answer": answer,
}
