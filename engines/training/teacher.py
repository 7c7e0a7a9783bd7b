"""A sentence encoder (all-MiniLM-L6-v2 or similar) whose similarities between sentences are distilled into ours.

MiniLM: Wang et al. 2020, Apache-2.0; sentence vectors: Reimers & Gurevych 2019.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

MAX_TOKENS = 64
"""Longer texts are cut; captions and most sentences are shorter."""


class Teacher:
    """A transformers sentence encoder from a folder or the hub: English sentences -> unit vectors."""

    def __init__(self, source: str) -> None:
        from transformers import AutoModel, AutoTokenizer

        self.tokenizer = AutoTokenizer.from_pretrained(source)
        self.model = AutoModel.from_pretrained(source, use_safetensors=True).to(torch.bfloat16).eval()

    @torch.inference_mode()
    def __call__(self, texts: Sequence[str]) -> Tensor:
        """B sentences -> (B, 384) float32 unit vectors, the mean of their tokens."""
        read = self.tokenizer(list(texts), padding=True, truncation=True, max_length=MAX_TOKENS, return_tensors="pt")
        tokens = self.model(**read).last_hidden_state.float()  # (B, L, 384)
        weight = read["attention_mask"][..., None].float()
        return F.normalize((tokens * weight).sum(1) / weight.sum(1), dim=-1)
