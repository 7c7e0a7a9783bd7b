"""A tiny model of any kind, alike every time it is built."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from engines.model.config import tiny
from engines.model.fusion import FusionModel


def built(*, vocab_size: int = 50, seed: int = 0, **choices: Any) -> FusionModel:
    """A random tiny model with some choices of its config made otherwise."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return FusionModel(replace(tiny(vocab_size), **choices)).eval().requires_grad_(False)


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    """Numbers drawn at random, the same for the same seed."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def lengths(*n_real: int, longest: int | None = None) -> torch.Tensor:
    """A mask whose rows begin with `n_real` tokens: (B, longest) bool."""
    return torch.arange(longest or max(n_real)) < torch.tensor(n_real)[:, None]
