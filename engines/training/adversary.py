"""Adversarial alignment: a discriminator tells photos from texts in the shared space, and the towers learn to fool it.

Gradient reversal after Ganin & Lempitsky 2015. A model in training may carry a `Discriminator` as its module
`adversary`; `objectives.match` then plays the game, and a finished model is saved without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

NAME = "adversary"
HIDDEN = 128


class _Reversed(torch.autograd.Function):
    """The same forth; back, the gradient with its sign turned."""

    @staticmethod
    def forward(context: Any, x: Tensor) -> Tensor:
        return x.view_as(x)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> Tensor:
        return -gradients[0]


class Discriminator(nn.Module):
    """Vectors (B, E) -> logits (B, n_kinds): which of the kinds of media each comes from.

    alone: the game takes the place of the contrastive losses; otherwise it is played beside them.
    """

    def __init__(self, embed_dim: int, n_kinds: int = 2, *, alone: bool = False) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(embed_dim, HIDDEN), nn.GELU(), nn.Linear(HIDDEN, n_kinds))
        self.alone = alone

    def forward(self, vectors: Tensor) -> Tensor:
        out: Tensor = self.layers(vectors * vectors.shape[1] ** 0.5)  # of unit length: about 1 a place
        return out


def game(discriminator: Discriminator, kinds: Sequence[Tensor]) -> Tensor:
    """Cross-entropy of telling the kinds apart, each (n, E): log(len(kinds)) where they cannot be told.

    The discriminator's weights get its gradient, what made the vectors the opposite.
    """
    labels = torch.cat([torch.full((len(kind),), i, device=kind.device) for i, kind in enumerate(kinds)])
    vectors: Tensor = _Reversed.apply(torch.cat(list(kinds)))  # type: ignore[no-untyped-call]
    return F.cross_entropy(discriminator(vectors).float(), labels)
