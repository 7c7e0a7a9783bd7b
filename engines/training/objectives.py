"""What each task asks of the model: a batch in, a record of named losses out.

One function per task, each reading top to bottom; the loop only picks one by its name. Losses are functions in
`losses.py`. Batches come from frozen towers' stores (`batches.py`), so that the model starts at `adapt` and `mix`; or
they are the media themselves, which are varied here and go through the towers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from engines.model.config import EVENTS
from engines.model.features import log_mel
from engines.model.fusion import FusionModel, Memory, Stream
from engines.training import adversary, augment, composed, consensus, losses
from engines.training.batches import IGNORED, Batch
from engines.training.store import MIX_HZ

TEACHER_WEIGHT = 0.2
"""Of agreeing with the teacher about what is alike, against matching what belongs together."""
CTC_WEIGHT = 0.3
"""Of spelling sound tokens against writing a transcript (Watanabe et al. 2017 use 0.2 to 0.5)."""
N_DRAWS = 5
"""Captions drawn of a photo, each judged against the others."""
N_LIKELY = 8
"""Pieces among which each of them is drawn: a tenth of a smoothed model's odds lies on pieces that make no sense."""
MAX_DRAWN = 24
"""Pieces of a drawn caption, at most."""
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
    """Loss of the pieces a batch should write from a memory."""
    hidden = model.decoder.hidden(batch["ids"], memory.tokens, memory.mask)  # (B, L, D)
    asked = batch["targets"] != IGNORED
    return losses.next_piece_of_few(hidden[asked], model.decoder.embedding.weight, batch["targets"][asked])


def _text_vector(model: FusionModel, batch: Batch, name: str = "text") -> Tensor:
    mask = batch[f"{name}_mask"]
    return model.vector("text", model.read(batch[name], mask), mask)


def _picture(model: FusionModel, batch: Batch, *, vary: bool = True) -> Tensor:
    """Photos, varied in training, or stored maps of them, -> picture tokens (B, 64, D)."""
    maps = batch["maps"]
    if maps.dtype == torch.uint8:
        return model.see(augment.vary_photos(maps) if vary and model.training else augment.scaled(maps))
    b, n, c = maps.shape
    side = round(n**0.5)
    return model.picture.adapt(maps.to(model.dtype).transpose(1, 2).reshape(b, c, side, side))


def _heard(model: FusionModel, sounds: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Samples (B, n) int16 with the mask of their mel frames -> what `FusionModel.layers` gives."""
    with torch.autocast(sounds.device.type, enabled=False):
        mel = log_mel(sounds.float() / 32768.0)
    n_frames = mask.sum(1)
    if model.training:
        mel = augment.hide_stripes(mel, n_frames)
    last, heard, pooled, pooled_mask = model.layers(mel, n_frames.clamp(min=1))
    there = (n_frames > 0)[:, None]
    return last, heard & there, pooled, pooled_mask & there


def _last(model: FusionModel, batch: Batch) -> tuple[Tensor, Tensor]:
    """The sound tower's last layer (B, T, D) with its mask."""
    last, mask = batch["last"], batch["mask"]
    return _heard(model, last, mask)[:2] if last.dtype == torch.int16 else (last.to(model.dtype), mask)


def _mix(model: FusionModel, batch: Batch) -> tuple[Tensor, Tensor]:
    """The learned mean of all its layers (B, T', D) with its mask."""
    layers, mask = batch["mix"], batch["mix_mask"]
    if layers.dtype == torch.int16:
        layers, mask = _heard(model, layers, mask)[2:]
    return model.mix(layers.to(model.dtype)), mask


def _all(tokens: Tensor) -> Tensor:
    return torch.ones(tokens.shape[:2], dtype=torch.bool, device=tokens.device)


def _some(tokens: Tensor) -> Tensor:
    """All places but a tenth: neither the writer nor the vector must rest on one."""
    return torch.rand(tokens.shape[:2], device=tokens.device) >= 0.1


def caption(model: FusionModel, batch: Batch) -> Record:
    """Write a photo's caption."""
    return _record(caption=(1.0, _captioned(model, batch, _picture(model, batch))))


def _captioned(model: FusionModel, batch: Batch, tokens: Tensor) -> Tensor:
    kept = _some(tokens) if model.training else _all(tokens)
    return _written(model, batch, model.fuse([Stream("picture", tokens, kept)]))


def _named(model: FusionModel, batch: Batch) -> list[Stream]:
    """The names of what is there, as a stream; none for a model without concepts."""
    if "names" not in batch or not model.config.concepts:
        return []
    mask = batch["names_mask"]
    return [Stream("names", model.read(batch["names"], mask), mask)]


def name(model: FusionModel, batch: Batch) -> Record:
    """Write a photo's caption from the photo and the names of what is on it."""
    tokens = _picture(model, batch)
    kept = _some(tokens) if model.training else _all(tokens)
    memory = model.fuse([Stream("picture", tokens, kept), *_named(model, batch)])
    return _record(name=(1.0, _written(model, batch, memory)))


def write(model: FusionModel, batch: Batch) -> Record:
    """Write a caption from names alone: the picture is there, and masked."""
    names = _named(model, batch)
    nothing = names[0].tokens.new_zeros(len(names[0].tokens), 1, model.config.width)
    unseen = Stream("picture", nothing, torch.zeros(nothing.shape[:2], dtype=torch.bool, device=nothing.device))
    return _record(write=(1.0, _written(model, batch, model.fuse([unseen, *names]))))


def question(model: FusionModel, batch: Batch) -> Record:
    """Answer a question about a photo, now and then with the photo gone."""
    tokens = _picture(model, batch)
    kept = _some(tokens) if model.training else _all(tokens)
    streams = [
        Stream("picture", tokens, kept),
        Stream("text", model.read(batch["text"], batch["text_mask"]), batch["text_mask"]),
        *_named(model, batch),
    ]
    return _record(question=(1.0, _written(model, batch, model.fuse(streams))))


def look(model: FusionModel, batch: Batch) -> Record:
    """Write a photo's caption and match it, both of one pass through the tower."""
    tokens = _picture(model, batch)
    return _record(caption=(1.0, _captioned(model, batch, tokens)), **_matched(model, batch, tokens))


def agree(model: FusionModel, batch: Batch) -> Record:
    """Draw captions of each photo and make those likelier that agree with what people wrote more than their kin do.

    Self-critical training (Rennie et al. 2017) with the mean of a photo's other draws as the baseline (Luo 2020).
    """
    tokens = _picture(model, batch, vary=False)
    memory = model.fuse([Stream("picture", tokens, _all(tokens))])
    drawn = _drawn(model, memory, batch["prefix"], int(batch["end"]))  # (B * K, L)
    references = [own for row in batch["references"] for own in [consensus.parted(row)] * N_DRAWS]
    reward = consensus.rewards(consensus.parted(drawn), references, batch["grams"].cpu(), batch["idf"].cpu())
    kin = reward.to(tokens.device).unflatten(0, (-1, N_DRAWS))
    advantage = ((kin - kin.mean(1, keepdim=True)) * N_DRAWS / (N_DRAWS - 1)).flatten()
    prefix = batch["prefix"].expand(len(drawn), -1)
    read = torch.cat([prefix, drawn[:, :-1].clamp(min=0)], dim=1)
    hidden = model.decoder.hidden(read, memory.tokens, memory.mask)[:, prefix.shape[1] - 1 :]
    asked = drawn != consensus.NOTHING
    weight = advantage[:, None].expand(drawn.shape)[asked]
    write = losses.next_piece_of_few(
        hidden[asked], model.decoder.embedding.weight, drawn[asked], smoothing=0.0, weight=weight
    )
    record = _record(consensus=(1.0, write))
    return Record(record.total, {"reward": float(reward.mean())})


@torch.no_grad()
def _drawn(model: FusionModel, memory: Memory, prefix: Tensor, end: int) -> Tensor:
    """N_DRAWS texts a row of the memory, drawn piece by piece: (B * K, L), NOTHING after the end piece."""
    cache = model.new_cache()
    read = prefix.expand(N_DRAWS * len(memory.tokens), -1)
    done = torch.zeros(len(read), dtype=torch.bool, device=read.device)
    found: list[Tensor] = []
    while len(found) < MAX_DRAWN and not bool(done.all()):
        likely = model.decode(read, memory, cache)[:, -1].float().topk(N_LIKELY)
        piece = likely.indices.gather(1, torch.multinomial(likely.values.softmax(-1), 1))[:, 0]
        found.append(piece.masked_fill(done, consensus.NOTHING))
        done |= piece == end
        read = piece[:, None]
    return torch.stack(found, dim=1)


def match(model: FusionModel, batch: Batch) -> Record:
    """Match photos with two captions each, these with one another, and like what the teacher finds alike."""
    return _record(**_matched(model, batch, _picture(model, batch)))


def _matched(model: FusionModel, batch: Batch, tokens: Tensor) -> dict[str, tuple[float, Tensor]]:
    photos = model.vector("photo", tokens, _some(tokens) if model.training else _all(tokens))
    first, second, group = _text_vector(model, batch), _text_vector(model, batch, "other"), batch["group"]
    played = {}
    discriminator = getattr(model, adversary.NAME, None)
    if isinstance(discriminator, adversary.Discriminator):
        played = {"adversarial": (1.0, adversary.game(discriminator, [photos, torch.cat([first, second])]))}
        if discriminator.alone:
            return played
    parts = {
        "photo_text": (1.0, losses.info_nce(photos, first, group)),
        "photo_other": (1.0, losses.info_nce(photos, second, group)),
        "text_text": (0.5, losses.info_nce(first, second, group)),
    }
    if "taught" in batch:
        alike = losses.relations(photos, first, batch["taught"]) + losses.relations(first, photos, batch["taught"])
        parts["alike"] = (TEACHER_WEIGHT, alike)
    return parts | played


def transcribe(model: FusionModel, batch: Batch) -> Record:
    """Write what is said, spell it, and tell its language.

    Rows without speech come last and take part in writing only: that nobody speaks.
    """
    last, mask = _last(model, batch)
    memory = model.fuse([Stream("sound", last, mask)])
    write = _written(model, batch, memory)
    n_said = int(batch["n_said"])
    start = batch["ids"][:n_said, :1]
    first = model.decoder.logits(model.decoder.hidden(start, memory.tokens[:n_said], memory.mask[:n_said]))[:, 0]
    language = losses.next_piece(first, batch["language_ids"], smoothing=0.0)
    last, mask = last[:n_said], mask[:n_said]
    spell = losses.ctc(model.ctc(last), mask.sum(1), batch["ctc"], batch["n_ctc"])
    return _record(transcribe=(1.0, write), language=(0.1, language), ctc=(CTC_WEIGHT, spell))


def spell(model: FusionModel, batch: Batch) -> Record:
    """Spell what is said, token by token: the linear CTC head alone, which wants a higher rate than all else."""
    n_said = int(batch["n_said"])
    last, mask = (part[:n_said] for part in _last(model, batch))
    return _record(ctc=(1.0, losses.ctc(model.ctc(last), mask.sum(1), batch["ctc"], batch["n_ctc"])))


def translate(model: FusionModel, batch: Batch) -> Record:
    """Write a sentence in another language."""
    mask = batch["text_mask"]
    tokens = model.read(batch["text"], mask)
    kept = mask & _some(tokens) if model.training else mask
    memory = model.fuse([Stream("text", tokens, kept)])
    return _record(translate=(1.0, _written(model, batch, memory)))


def parallel(model: FusionModel, batch: Batch) -> Record:
    """Pull a sentence and its translation, or another caption of its photo, to the same vector."""
    first, second = _text_vector(model, batch), _text_vector(model, batch, "other")
    parts = {"text_text": (1.0, losses.info_nce(first, second, batch["group"]))}
    if "taught" in batch:
        alike = losses.relations(first, first, batch["taught"]) + losses.relations(second, first, batch["taught"])
        parts["alike"] = (TEACHER_WEIGHT, alike)
    return _record(**parts)


def sound(model: FusionModel, batch: Batch) -> Record:
    """Tell a sound's event, match it with its name, and write its name down."""
    mix, mask = _mix(model, batch)
    wanted = torch.nn.functional.one_hot(batch["event"], len(EVENTS)).float()
    logits = model.event_logits(mix, mask)
    weight = torch.where(wanted > 0, 5.0, 1.0)
    event = torch.nn.functional.binary_cross_entropy_with_logits(logits, wanted, weight=weight)
    named = batch["label"] >= 0
    vectors = model.vector("sound", mix, mask)
    named_right = losses.classes(vectors[named], _text_vector(model, batch), batch["label"][named])
    memory = model.fuse([Stream("sound", model.bridge(mix), mask, _clock(mask))])
    write = _written(model, batch, memory)
    return _record(event=(2.0, event), sound_text=(0.5, named_right), sound_caption=(0.3, write))


def _clock(mask: Tensor) -> Tensor:
    """Seconds of pooled sound tokens (B, T')."""
    return (torch.arange(mask.shape[1], device=mask.device) / MIX_HZ).expand(mask.shape)


def answer(model: FusionModel, batch: Batch) -> Record:
    """Answer a question about a clip, now and then with one sense gone."""
    tokens = composed.framed(_picture(model, batch), batch["shown"], batch["crop"])  # (B, F * 4, D)
    b, f = batch["shown"].shape
    times = batch["times"].repeat_interleave(tokens.shape[1] // f, dim=1)
    seen = _all(tokens)
    mix, heard = _mix(model, batch)
    if model.training:
        gone = torch.rand(b, 1, device=seen.device)
        seen = seen & (gone >= HIDE_SENSE)
        heard = heard & (gone < 1 - HIDE_SENSE)
    streams = [
        Stream("picture", tokens, seen, times),
        Stream("sound", model.bridge(mix), heard, _clock(heard)),
        Stream("text", model.read(batch["text"], batch["text_mask"]), batch["text_mask"]),
        *_named(model, batch),
    ]
    return _record(answer=(1.0, _written(model, batch, model.fuse(streams))))


OBJECTIVES: dict[str, Callable[[FusionModel, Batch], Record]] = {
    "caption": caption,
    "name": name,
    "write": write,
    "question": question,
    "look": look,
    "consensus": agree,
    "match": match,
    "transcribe": transcribe,
    "spell": spell,
    "translate": translate,
    "parallel": parallel,
    "sound": sound,
    "answer": answer,
    "describe": answer,
}
