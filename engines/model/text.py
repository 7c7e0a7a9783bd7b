"""Text in and text out: the text tower (B, L) -> (B, L, D), and the decoder that writes from a memory.

The decoder's blocks are Whisper's (Radford et al. 2022, MIT). Its embedding serves three times: tokens into the
decoder, tokens into the text tower, and, transposed, the logits. The text tower is a Transformer or a GRU.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from engines.model.config import ModelConfig
from engines.model.parts import Block, DecoderBlock, KVCache, PackedLinear
from engines.model.sound import GruBlock


class TextTower(nn.Module):
    """Embedded tokens (B, L, D) -> tokens in context (B, L, D)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width, n = config.width, config.n_text_blocks
        self.positions = nn.Embedding(config.max_text_tokens, width)
        if config.text == "transformer":
            self.blocks = nn.ModuleList(Block(width, config.n_heads) for _ in range(n))
        else:
            self.blocks = nn.ModuleList(GruBlock(width) for _ in range(n))
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor, mask: Tensor, adapters: nn.ModuleList | None = None) -> Tensor:
        """adapters: one for behind each block."""
        x = x + self.positions.weight[: x.shape[1]]
        for i, block in enumerate(self.blocks):
            x = block(x, mask)
            if adapters is not None:
                x = adapters[i](x)
        out: Tensor = self.norm(x)
        return out


class Decoder(nn.Module):
    """Tokens so far and a memory -> logits over the next token."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.embedding = nn.Embedding(config.vocab_size, config.width)
        self.positions = nn.Embedding(config.max_text_tokens, config.width)
        self.blocks = nn.ModuleList(DecoderBlock(config.width, config.n_heads) for _ in range(config.n_decoder_blocks))
        self.norm = nn.LayerNorm(config.width)
        self.packed_logits: PackedLinear | None = None

    def hidden(
        self,
        ids: Tensor,
        memory: Tensor,
        mask: Tensor,
        cache: KVCache | None = None,
        adapters: nn.ModuleList | None = None,
    ) -> Tensor:
        """ids (B, L), memory (B, M, D), mask (B, M) -> (B, L, D), before the logits. adapters: one for behind each
        block."""
        start = 0 if cache is None else cache.length
        places = torch.arange(start, start + ids.shape[1], device=ids.device)
        x = self.embedding(ids) + self.positions(places)
        for i, block in enumerate(self.blocks):
            x = block(x, memory, mask, cache, i)
            if adapters is not None:
                x = adapters[i](x)
        out: Tensor = self.norm(x)
        return out

    def logits(self, hidden: Tensor) -> Tensor:
        """(..., D) -> (..., V)."""
        if self.packed_logits is not None:
            logits: Tensor = self.packed_logits(hidden)
            return logits
        return hidden @ self.embedding.weight.T
