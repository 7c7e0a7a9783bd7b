"""Product-of-experts decoding: a text translator and an image captioner share one output.

The built-in model was never trained to translate with a photo, but it translates and it captions with one decoder. Both
experts are that decoder with different memories; they share the prefix, and the next token is chosen by the product of
their distributions (Hinton 2002, doi:10.1162/089976602760128018; for text decoders, shallow fusion, Gulcehre et al.
2015, arXiv:1503.03535). The photo's weight grows with the translator's uncertainty: where that is sure, it decides.

    log p(y) = (1 - g) log p_text(y) + g log p_photo(y) + const,    g = weight * (1 - max p_text)

Axes: B rows, L tokens, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from engines.model.fusion import FusionModel, Memory
from engines.model.parts import KVCache
from engines.text import Tokenizer


@dataclass
class Caches:
    """The key-value caches of both experts."""

    text: KVCache
    photo: KVCache

    def select(self, rows: Tensor) -> None:
        """Reorder both caches as the beams are reordered."""
        self.text.select(rows)
        self.photo.select(rows)


class ProductOfExperts:
    """A translator and a captioner decoding together, as the `Writer` protocol of `engines.decoding.generate`.

    Both are the same decoder; the captioner has the photo as its memory and the caption task's token in its prefix.
    """

    def __init__(self, model: FusionModel, tokenizer: Tokenizer, photo: Memory, weight: float) -> None:
        """photo: its fused memory, one row."""
        self.model, self.photo, self.weight = model, photo, weight
        self._task, self._caption = tokenizer.task_ids["translate"], tokenizer.task_ids["caption"]

    def new_cache(self) -> Caches:
        return Caches(self.model.new_cache(), self.model.new_cache())

    def decode(self, ids: Tensor, memory: Memory, cache: Caches) -> Tensor:
        """Tokens (B, L) and the memory of the text -> log-probabilities (B, L, V), not normalised."""
        asked = ids.where(ids != self._task, self._caption)
        text = self.model.decode(ids, memory, cache.text)
        return mix(text, self.model.decode(asked, self.photo, cache.photo), self.weight)

    def gains(self, memory: Memory, prefix: Tensor, ids: Sequence[int]) -> list[float]:
        """log p - log p_text of each token: what the photo adds to its log-probability."""
        whole = torch.tensor([[*prefix[0].tolist(), *ids]], device=memory.tokens.device)
        alone = self.model.decode(whole, memory).float().log_softmax(-1)
        both = self.decode(whole, memory, self.new_cache()).log_softmax(-1)
        at = prefix.shape[1] - 1
        gained = (both - alone)[0, at:-1].gather(1, whole[0, at + 1 :, None])  # (L, 1)
        return [float(gain) for gain in gained[:, 0]]


def mix(text: Tensor, photo: Tensor, weight: float) -> Tensor:
    """Logits of both (..., V) -> log-probabilities of their product (..., V), not normalised."""
    log_p_text, log_p_photo = text.float().log_softmax(-1), photo.float().log_softmax(-1)
    g = weight * (1.0 - log_p_text.amax(-1, keepdim=True).exp())
    return (1.0 - g) * log_p_text + g * log_p_photo
