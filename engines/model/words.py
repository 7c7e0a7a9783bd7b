"""Text in and text out: the text tower (B, L) -> (B, L, D), and the decoder that writes from a memory.

The decoder's blocks are Whisper's (Radford et al. 2022, MIT). Its embedding serves three times: pieces into the
decoder, pieces into the text tower, and, transposed, the logits. The text tower is a Transformer or a GRU.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from engines.model.config import ModelConfig
from engines.model.parts import Block, DecoderBlock, Int8Rows, KVCache
from engines.model.sound import GruBlock

MIN_INT8 = 2**22
"""Numbers of an embedding that int8 is tried for; a smaller one stays in the cache as it is."""
N_TIMED = 4
"""Texts written side by side when int8 is timed against float32: those of a beam."""


class TextTower(nn.Module):
    """Embedded pieces (B, L, D) -> tokens in context (B, L, D)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width, n = config.width, config.n_text_blocks
        self.positions = nn.Embedding(config.max_text_tokens, width)
        if config.text == "transformer":
            self.blocks = nn.ModuleList(Block(width, config.n_heads) for _ in range(n))
        else:
            self.blocks = nn.ModuleList(GruBlock(width) for _ in range(n))
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        x = x + self.positions.weight[: x.shape[1]]
        for block in self.blocks:
            x = block(x, mask)
        out: Tensor = self.norm(x)
        return out


class Decoder(nn.Module):
    """Pieces so far and a memory -> logits over the next piece."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.embedding = nn.Embedding(config.vocab_size, config.width)
        self.positions = nn.Embedding(config.max_text_tokens, config.width)
        self.blocks = nn.ModuleList(DecoderBlock(config.width, config.n_heads) for _ in range(config.n_decoder_blocks))
        self.norm = nn.LayerNorm(config.width)
        self.int8: Int8Rows | None = None

    def hidden(self, ids: Tensor, memory: Tensor, mask: Tensor, cache: KVCache | None = None) -> Tensor:
        """ids (B, L), memory (B, M, D), mask (B, M) -> (B, L, D), before the logits."""
        start = 0 if cache is None else cache.length
        places = torch.arange(start, start + ids.shape[1], device=ids.device)
        x = self.embedding(ids) + self.positions(places)
        for i, block in enumerate(self.blocks):
            x = block(x, memory, mask, cache, i)
        out: Tensor = self.norm(x)
        return out

    def logits(self, hidden: Tensor) -> Tensor:
        """(..., D) -> (..., V)."""
        if self.int8 is not None and hidden.device.type == "cpu":
            return self.int8(hidden.float())
        return hidden @ self.embedding.weight.T

    @torch.inference_mode()
    def quicken(self, rows: Tensor, scale: Tensor) -> bool:
        """Take the embedding's int8 rows (V, D), scale (V,), for the logits if this CPU is faster at it; says whether.

        Logits are the largest part of writing a piece: one product with the whole vocabulary.
        """
        if rows.numel() < MIN_INT8:
            return False
        hidden, int8 = rows[:N_TIMED].to(self.embedding.weight.dtype), Int8Rows(rows, scale)
        self.int8 = None
        as_it_is = _seconds(self.logits, hidden)
        self.int8 = int8
        if _seconds(self.logits, hidden) >= as_it_is:
            self.int8 = None
        return self.int8 is not None


def _seconds(product: Callable[[Tensor], Tensor], hidden: Tensor) -> float:
    """The shorter of two runs."""
    found = []
    for _ in range(2):
        began = time.perf_counter()
        product(hidden)
        found.append(time.perf_counter() - began)
    return min(found)
