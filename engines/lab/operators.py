"""Fusion operators of the literature that the product does not use, for comparison with those that it does.

They take the place of `FusionModel.operator` and read streams of a picture and a sound as the product's operators do.
Like its element-wise ones they lay both out on a grid, so that place i of the memory comes from place i of each. A
missing modality has no influence.

Axes: B batch, k places of the grid, D width, R rank.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engines.model.config import ModelConfig
from engines.model.fusion import Memory, Stream, on_grid

MODALITIES = ("picture", "sound")
RANK = 16
"""Features of a modality in the outer product, whose size is their product: 64 of each would be 4,225 for a place."""


class TensorFusion(nn.Module):
    """The outer product of both modalities' features, each with a 1 appended (Zadeh et al. 2017, arXiv:1707.07250).

    Its entries are every feature of one modality, every feature of the other, and every product of two: what only a
    pair of features tells can be read off linearly. With a modality missing, the features of the other are left.

    The weights of products are 0 at the start, so that the memory begins as a sum of both: with all weights random, the
    modality that is learnt later got 20 points less of the Lab's digits (seed 0).
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.n = config.fusion_grid
        self.features = nn.ModuleDict({name: nn.Linear(config.width, RANK, bias=False) for name in MODALITIES})
        self.project = nn.Linear((RANK + 1) ** 2, config.width)
        with torch.no_grad():
            table = self.project.weight.unflatten(1, (RANK + 1, RANK + 1))
            table[:, :RANK, :RANK] = 0.0
            for alone in (table[:, :RANK, RANK], table[:, RANK, :RANK]):
                nn.init.kaiming_uniform_(alone, a=5**0.5)

    def appended(self, stream: Stream) -> Tensor:
        """A stream (B, T, D) -> its features with a 1 appended (B, k, R + 1); zeros and the 1 where it is missing."""
        return F.pad(self.features[stream.modality](on_grid(stream, self.n)), (0, 1), value=1.0)

    def product(self, streams: Sequence[Stream]) -> Tensor:
        """Two streams -> the outer product of their features (B, k, (R + 1)²)."""
        picture, sound = map(self.appended, streams)
        return (picture[..., :, None] * sound[..., None, :]).flatten(2)

    def forward(self, streams: Sequence[Stream]) -> Memory:
        tokens = self.project(self.product(streams))
        return Memory(tokens, torch.ones(tokens.shape[:2], dtype=torch.bool))


class GatedUnit(nn.Module):
    """The gated multimodal unit (Arevalo et al. 2017, arXiv:1702.01992): a gate that sees both modalities chooses, for
    each feature, how much comes from which."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.n = config.fusion_grid
        self.content = nn.ModuleDict({name: nn.Linear(config.width, config.width) for name in MODALITIES})
        self.gate = nn.Linear(2 * config.width, config.width)

    def contents(self, stream: Stream) -> Tensor:
        """A stream (B, T, D) -> its content at each place, between -1 and 1 (B, k, D)."""
        return torch.tanh(self.content[stream.modality](on_grid(stream, self.n)))

    def share(self, streams: Sequence[Stream]) -> Tensor:
        """The share of the first stream in each feature of each place (B, k, D): 1 where the second is missing, 0 where
        the first is."""
        share = torch.sigmoid(self.gate(torch.cat([on_grid(stream, self.n) for stream in streams], dim=-1)))
        first, second = (stream.mask.any(1)[:, None, None] for stream in streams)
        return torch.where(second, torch.where(first, share, 0.0), 1.0)

    def forward(self, streams: Sequence[Stream]) -> Memory:
        share = self.share(streams)
        first, second = map(self.contents, streams)
        tokens = share * first + (1.0 - share) * second
        return Memory(tokens, torch.ones(tokens.shape[:2], dtype=torch.bool))


OPERATORS: dict[str, type[nn.Module]] = {"gated_unit": GatedUnit, "tensor": TensorFusion}
