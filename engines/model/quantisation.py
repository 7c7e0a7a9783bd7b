"""Matrices as int8 rows with a float32 scale each (largest magnitude / 127): in files, and as they are multiplied."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from engines.model.parts import PackedLinear

SCALE = "::scale"
"""What is added to a matrix's name for that of its scales."""
MIN_QUANTISED = 4096
"""Matrices of fewer numbers stay float32: they weigh nothing."""


def quantise(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Matrices to int8 rows and a float32 scale per row, the rest to float32."""
    out: dict[str, Tensor] = {}
    for name, value in state.items():
        value = value.detach().float().cpu()
        if value.dim() < 2 or value.numel() < MIN_QUANTISED:
            out[name] = value.contiguous()
            continue
        scale = value.flatten(1).abs().amax(1).clamp(min=1e-12) / 127.0
        rows = value / scale.reshape(-1, *(1,) * (value.dim() - 1))
        out[name], out[name + SCALE] = rows.round().to(torch.int8).contiguous(), scale
    return out


def dequantise(stored: Mapping[str, Tensor], dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    """What `quantise` made, back to numbers of one type. Raises ValueError where rows and scales do not go together."""
    out: dict[str, Tensor] = {}
    for name, value in stored.items():
        if name.endswith(SCALE):
            continue
        if value.dtype == torch.int8:
            scale = stored.get(name + SCALE)
            if scale is None or scale.shape != value.shape[:1]:
                raise ValueError(f"{name} has no scale for each of its {len(value)} rows")
            value = value.to(torch.float32).mul_(scale.reshape(-1, *(1,) * (value.dim() - 1)))
        out[name] = value.to(dtype)
    return out


def pack(
    module: nn.Module, stored: Mapping[str, Tensor], prefix: str = "", *, keep_inputs: tuple[str, ...] = ()
) -> None:
    """Replace the linear layers of a module that are stored as int8 rows by `PackedLinear`.

    prefix: what stands before their names in `stored`. keep_inputs: endings of the names of layers whose inputs are not
    rounded.
    """
    for name, layer in list(module.named_modules()):
        key = f"{prefix}{name}.weight"
        if isinstance(layer, nn.Linear) and key + SCALE in stored:
            parent, _, own = name.rpartition(".")
            bias = None if layer.bias is None else stored[f"{prefix}{name}.bias"]
            packed = PackedLinear(stored[key], stored[key + SCALE], bias, keeps_inputs=name.endswith(keep_inputs))
            setattr(module.get_submodule(parent), own, packed)
