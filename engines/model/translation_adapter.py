"""A small layer after each block of the text tower and the decoder that only translation uses.

Towers and decoder are shared by every task, and search rests on the text tower: trained further for translation they
get worse at the others. Bottleneck adapters (Houlsby et al. 2019; for translation Bapna and Firat 2019) leave them as
they are; only the adapters are trained. They are stored beside the weights that they were trained on.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engines.model.config import ModelConfig
from engines.model.parts import SCALE, dequantise, pack

WIDTH = 512
"""Width between the two layers of an adapter."""


class Adapter(nn.Module):
    """Norm, projection down, projection up and a residual: (B, L, D) -> (B, L, D). A new adapter is the identity."""

    def __init__(self, width: int, n_between: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.down = nn.Linear(width, n_between)
        self.drop = nn.Dropout(0.1)
        self.up = nn.Linear(n_between, width)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.up(self.drop(F.gelu(self.down(self.norm(x)))))
        return out


class TranslationAdapter(nn.Module):
    """An adapter for each block of the text tower and of the decoder."""

    def __init__(self, config: ModelConfig, n_between: int = WIDTH) -> None:
        super().__init__()
        self.n_between = n_between
        self.text = nn.ModuleList(Adapter(config.width, n_between) for _ in range(config.n_text_blocks))
        self.decoder = nn.ModuleList(Adapter(config.width, n_between) for _ in range(config.n_decoder_blocks))


def from_stored(
    n_between: int, stored: Mapping[str, Tensor], config: ModelConfig, dtype: torch.dtype, *, int8: bool
) -> TranslationAdapter:
    """Build the adapters from quantised tensors. Raises RuntimeError or ValueError where these do not fit.

    int8: multiply by the int8 rows as they are stored, which only CPUs can.
    """
    with torch.device("meta"):
        adapter = TranslationAdapter(config, n_between)
    if int8:
        pack(adapter, stored)
    names = adapter.state_dict().keys()
    own = {name: value for name, value in stored.items() if name.removesuffix(SCALE) in names}
    adapter.load_state_dict(dequantise(own, torch.float32 if int8 else dtype), assign=True)
    return adapter
