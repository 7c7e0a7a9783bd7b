"""Adversarial alignment: a discriminator tells modalities apart in the shared space, and the towers learn to fool it.

Gradient reversal after Ganin & Lempitsky 2015.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

HIDDEN = 128


class _Reversed(torch.autograd.Function):
    """Gradient reversal: identity forward, negated gradient backward."""

    @staticmethod
    def forward(context: Any, x: Tensor) -> Tensor:
        return x.view_as(x)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> Tensor:
        return -gradients[0]


class Discriminator(nn.Module):
    """Vectors (B, E) -> logits (B, n_kinds): which kind of media each comes from."""

    def __init__(self, embed_dim: int, n_kinds: int = 2) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(embed_dim, HIDDEN), nn.GELU(), nn.Linear(HIDDEN, n_kinds))

    def forward(self, vectors: Tensor) -> Tensor:
        out: Tensor = self.layers(vectors * vectors.shape[1] ** 0.5)  # unit vectors: scaled to a mean square of 1
        return out


def game(discriminator: Discriminator, kinds: Sequence[Tensor]) -> Tensor:
    """Cross-entropy of telling the kinds apart, each (n, E): log(len(kinds)) where that is impossible.

    The discriminator receives its gradient, the encoders of the vectors the negated one.
    """
    labels = torch.cat([torch.full((len(kind),), i, device=kind.device) for i, kind in enumerate(kinds)])
    vectors: Tensor = _Reversed.apply(torch.cat(list(kinds)))  # type: ignore[no-untyped-call]
    return F.cross_entropy(discriminator(vectors).float(), labels)
