"""Two who write one text: one reads what is left of a sentence, one sees its photo.

The built-in model never learnt to translate with a photo. But it translates, and it captions, with one decoder; so both
hold the same text so far, and the next piece is chosen by the product of what each holds likely (a product of experts,
Hinton 2002; for decoders of text, shallow fusion, Gulcehre et al. 2015). The photo's say grows with the doubt of the
translator: where that is sure, it is left alone.

    log p(y) = (1 - g) log p_text(y) + g log p_photo(y) + const,    g = weight * (1 - max p_text)

Axes: B rows, L pieces, V vocabulary.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from engines.decoding import generate
from engines.encoder import MediaEncoder
from engines.errors import RequestError
from engines.lab.masked_translation import MaskedRequest, MaskedResult, Part
from engines.model.fusion import FusionModel, Memory, Stream
from engines.model.parts import KVCache
from engines.protocol import Progress
from engines.tasks.translate import MAX_PIECES, options
from engines.text import Tokenizer


def write(encoder: MediaEncoder, request: MaskedRequest) -> Iterator[MaskedResult]:
    """The task itself, for the host's worker."""
    model, tokenizer = encoder.model, encoder.tokenizer
    ids = tokenizer.encode(request.shown)
    if len(ids) > MAX_PIECES:
        raise RequestError("sentence_too_long", "The sentence is too long; give a shorter one.")
    duo: Duo | None = None
    if request.photo is not None:
        yield MaskedResult(request=request, progress=Progress("looking"))
        encoded = encoder.encode(request.photo)
        if encoded.kind != "photo":
            raise RequestError("photo_needed", "Only a photo helps here; choose one.")
        duo = Duo(model, tokenizer, model.fuse(encoder.streams(encoded, whole=True)), request.weight)
    memory = model.fuse([Stream("text", *encoder.read(ids))])
    prefix = torch.tensor([tokenizer.prefix("translate", request.target)], device=memory.tokens.device)
    result = MaskedResult(request=request, progress=Progress("writing"))
    for (hypothesis,) in generate(model if duo is None else duo, memory, prefix, tokenizer, options(len(ids))):
        result = replace(result, text=tokenizer.decode(hypothesis.ids))
        yield result
    gains = [0.0] * len(hypothesis.ids) if duo is None else duo.gains(memory, prefix, hypothesis.ids)
    yield replace(result, parts=parts(tokenizer, hypothesis.ids, gains), progress=None, end="finished")


@dataclass
class Caches:
    """The keys and values of both writers."""

    text: KVCache
    photo: KVCache

    def select(self, rows: Tensor) -> None:
        """Both follow the beams."""
        self.text.select(rows)
        self.photo.select(rows)


class Duo:
    """A translator and a captioner who write one text, as the `Writer` that `generate` asks for.

    Both are the same decoder. The captioner has another memory, and the piece of another task in its prefix.
    """

    def __init__(self, model: FusionModel, tokenizer: Tokenizer, photo: Memory, weight: float) -> None:
        """photo: one row."""
        self.model, self.photo, self.weight = model, photo, weight
        self._task, self._caption = tokenizer.task_ids["translate"], tokenizer.task_ids["caption"]

    def new_cache(self) -> Caches:
        return Caches(self.model.new_cache(), self.model.new_cache())

    def decode(self, ids: Tensor, memory: Memory, cache: Caches) -> Tensor:
        """Pieces (B, L) and the memory of the text -> log-probabilities (B, L, V), not normalised."""
        asked = ids.where(ids != self._task, self._caption)
        text = self.model.decode(ids, memory, cache.text)
        return mix(text, self.model.decode(asked, self.photo, cache.photo), self.weight)

    def gains(self, memory: Memory, prefix: Tensor, ids: Sequence[int]) -> list[float]:
        """How much likelier both hold each piece of a text than the translator alone: a difference of logarithms."""
        whole = torch.tensor([[*prefix[0].tolist(), *ids]], device=memory.tokens.device)
        alone = self.model.decode(whole, memory).float().log_softmax(-1)
        both = self.decode(whole, memory, self.new_cache()).log_softmax(-1)
        at = prefix.shape[1] - 1
        gained = (both - alone)[0, at:-1].gather(1, whole[0, at + 1 :, None])  # (L, 1)
        return [float(gain) for gain in gained[:, 0]]


def mix(text: Tensor, photo: Tensor, weight: float) -> Tensor:
    """Logits of both (..., V) -> log-probabilities of their product (..., V), not normalised."""
    sure, seen = text.float().log_softmax(-1), photo.float().log_softmax(-1)
    say = weight * (1.0 - sure.amax(-1, keepdim=True).exp())
    return (1.0 - say) * sure + say * seen


def parts(tokenizer: Tokenizer, ids: Sequence[int], gains: Sequence[float]) -> tuple[Part, ...]:
    """Pieces as words, in Chinese as characters, with what is owed to the photo: 1 - p_text / p, at least 0."""
    found: list[tuple[str, float]] = []
    written, gain = "", 0.0
    for n, more in enumerate(gains, 1):
        gain += more
        text = tokenizer.decode(ids[:n])
        new = text[len(written) :]
        if not new or new.endswith("\ufffd"):  # a space, or a part of a character
            continue
        if found and re.match(r"[^\s\u2e80-\uffef]", new):
            found[-1] = found[-1][0] + new, found[-1][1] + gain
        else:
            found.append((new, gain))
        written, gain = text, 0.0
    return tuple(Part(text, 1.0 - math.exp(-max(0.0, gain))) for text, gain in found)
