"""The parts every tower is built from: attention, MLP, block, key/value cache, positions.

Pre-norm Transformer blocks in Whisper's layout (Radford et al. 2022; Vaswani et al. 2017): GELU, a bias on query, value
and output but none on key, so that Whisper's weights map one to one.
Axes: B batch, L queries, M keys, D width, H heads.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def sinusoids(length: int, width: int) -> Tensor:
    """Fixed positions (length, width): sines then cosines of geometrically growing periods, as in Whisper's encoder."""
    return _sinusoids_at(torch.arange(length, dtype=torch.float32), width)


def time_encoding(times_s: Tensor, width: int) -> Tensor:
    """Seconds (B, T) -> (B, T, width): sinusoids at 0.1 s steps, so that frames and sound share one clock."""
    return _sinusoids_at(times_s.float() * 10.0, width)


def _sinusoids_at(positions: Tensor, width: int) -> Tensor:
    increment = math.log(10_000.0) / (width // 2 - 1)
    inverse = torch.exp(-increment * torch.arange(width // 2, dtype=torch.float32, device=positions.device))
    angle = positions[..., None] * inverse
    return torch.cat([angle.sin(), angle.cos()], dim=-1)


def masked_mean(tokens: Tensor, mask: Tensor) -> Tensor:
    """Mean of the real tokens: (B, T, D) and (B, T) bool -> (B, D). A row without any gives zeros."""
    weight = mask.to(tokens.dtype)[..., None]
    return (tokens * weight).sum(1) / weight.sum(1).clamp(min=1.0)


class KVCache:
    """Keys and values of one decoding run; an argument of `decode`, never state of the model.

    Per block: those of the tokens so far (grown by each call) and those of the memory (made once).
    """

    def __init__(self, n_blocks: int) -> None:
        self.own: list[tuple[Tensor, Tensor] | None] = [None] * n_blocks
        self.memory: list[tuple[Tensor, Tensor] | None] = [None] * n_blocks

    @property
    def length(self) -> int:
        """Tokens decoded so far."""
        return 0 if self.own[0] is None else self.own[0][0].shape[2]

    def select(self, rows: Tensor) -> None:
        """Reorder or repeat the texts: rows (B',) int64. Beams do this after each token; they share the memory."""
        for i, pair in enumerate(self.own):
            if pair is not None:
                self.own[i] = (pair[0][rows], pair[1][rows])


class PackedLinear(nn.Module):
    """A linear layer on a CPU, float32 (..., D) -> (..., V), whose weights FBGEMM has packed as int8 or float16.

    The weights are those stored, int8 rows with a scale each. An int8 product rounds its inputs too, to 8 bits over the
    range of all rows of one call; `keeps_inputs` multiplies exact inputs by weights in float16, for layers where that
    rounding is heard. On one core (torch 2.13, 512 x 2048 weights, 5 rows) int8 takes 71 us, float16 200, float32 459;
    650 rows of int8 take 3.8 ms, of float32 11.2, of bfloat16 with AMX 1.9.
    """

    def __init__(self, rows: Tensor, scale: Tensor, bias: Tensor | None = None, *, keeps_inputs: bool = False) -> None:
        """rows (V, D) int8, scale (V,), bias (V,)."""
        super().__init__()
        self.keeps_inputs = keeps_inputs
        self.n_numbers = rows.numel() + (0 if bias is None else len(bias))
        self.n_bytes = rows.numel() * (2 if keeps_inputs else 1)
        bias = None if bias is None else bias.float()
        if keeps_inputs:
            self.packed = torch.ops.quantized.linear_prepack_fp16(rows * scale[:, None], bias)
            return
        with warnings.catch_warnings():  # quantised tensors may leave PyTorch one day (its issue 184982)
            warnings.simplefilter("ignore", UserWarning)
            zeros = torch.zeros(len(rows), dtype=torch.long)
            weight = torch._make_per_channel_quantized_tensor(rows, scale.double(), zeros, 0)
        engine = torch.backends.quantized.engine
        torch.backends.quantized.engine = "fbgemm"  # the layout that the weights are packed in
        try:
            self.packed = torch.ops.quantized.linear_prepack(weight, bias)
        finally:
            torch.backends.quantized.engine = engine
        # Without VNNI sums of two products are kept in 16 bits, which hold those of 7-bit inputs.
        features = torch.cpu.get_capabilities()
        self.seven_bits = not (features.get("avx512_vnni") or features.get("avx_vnni"))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor
        if torch.is_grad_enabled() and x.requires_grad:  # the packed products have no gradient
            unpack = torch.ops.quantized.linear_unpack_fp16 if self.keeps_inputs else torch.ops.quantized.linear_unpack
            weight, bias = unpack(self.packed)
            out = F.linear(x, weight if self.keeps_inputs else weight.dequantize(), bias)
        elif self.keeps_inputs:
            out = torch.ops.quantized.linear_dynamic_fp16(x, self.packed)
        else:
            out = torch.ops.quantized.linear_dynamic(x, self.packed, self.seven_bits)
        return out


class Int8Embedding(nn.Module):
    """Tokens (...) int64 -> (..., D) float32, from int8 rows (V, D) and a scale of each."""

    def __init__(self, rows: Tensor, scale: Tensor) -> None:
        super().__init__()
        self.rows, self.scale = rows, scale
        self.n_numbers = self.n_bytes = rows.numel()

    def forward(self, ids: Tensor) -> Tensor:
        return self.rows[ids] * self.scale[ids, None]


class Attention(nn.Module):
    """Scaled dot-product attention over H heads; self-attention, or over a memory."""

    def __init__(self, width: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)

    def split(self, x: Tensor) -> Tensor:
        """(B, L, D) -> (B, H, L, D/H)."""
        return x.unflatten(2, (self.n_heads, -1)).transpose(1, 2)

    def keys_values(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.split(self.key(x)), self.split(self.value(x))

    def forward(
        self, x: Tensor, keys_values: tuple[Tensor, Tensor], mask: Tensor | None = None, causal: bool = False
    ) -> Tensor:
        """x (B, L, D) attends to keys and values (B, H, M, D/H). mask: (B, M) bool, True = may be attended to."""
        k, v = keys_values
        allowed = None if mask is None else mask[:, None, None, :]
        y = F.scaled_dot_product_attention(self.split(self.query(x)), k, v, attn_mask=allowed, is_causal=causal)
        out: Tensor = self.out(y.transpose(1, 2).flatten(2))
        return out


class Mlp(nn.Module):
    def __init__(self, width: int, ratio: int) -> None:
        super().__init__()
        self.up = nn.Linear(width, ratio * width)
        self.down = nn.Linear(ratio * width, width)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.down(F.gelu(self.up(x)))
        return out


class Block(nn.Module):
    """Self-attention and MLP, each behind a norm and a residual: (B, T, D) -> (B, T, D)."""

    def __init__(self, width: int, n_heads: int, *, mlp_ratio: int = 4) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = Attention(width, n_heads)
        self.mlp_norm = nn.LayerNorm(width)
        self.mlp = Mlp(width, mlp_ratio)

    def start_as_identity(self) -> None:
        """Zero both output layers, so that a new block changes nothing until it has learnt to."""
        for layer in (self.attention.out, self.mlp.down):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        y = self.attention_norm(x)
        x = x + self.attention(y, self.attention.keys_values(y), mask)
        return x + self.mlp(self.mlp_norm(x))


class DecoderBlock(nn.Module):
    """Causal self-attention, attention to the memory, MLP: (B, L, D) -> (B, L, D).

    Each row of a memory may have several texts (B = rows * K): they attend to it side by side, as queries of one row,
    so that its keys and values are read once.
    """

    def __init__(self, width: int, n_heads: int) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = Attention(width, n_heads)
        self.memory_norm = nn.LayerNorm(width)
        self.memory = Attention(width, n_heads)
        self.mlp_norm = nn.LayerNorm(width)
        self.mlp = Mlp(width, 4)

    def forward(self, x: Tensor, memory: Tensor, mask: Tensor, cache: KVCache | None, index: int) -> Tensor:
        """With a cache only the new tokens are given. Several new tokens at once are taken only into an empty cache."""
        y = self.attention_norm(x)
        own = self.attention.keys_values(y)
        causal = x.shape[1] > 1
        if cache is not None:
            past = cache.own[index]
            if past is not None:
                if causal:
                    raise ValueError("a filled cache takes one new token at a time")
                own = (torch.cat([past[0], own[0]], dim=2), torch.cat([past[1], own[1]], dim=2))
            cache.own[index] = own
        x = x + self.attention(y, own, causal=causal)
        about = None if cache is None else cache.memory[index]
        if about is None:
            about = self.memory.keys_values(memory)
            if cache is not None:
                cache.memory[index] = about
        y = self.memory_norm(x).reshape(len(mask), -1, x.shape[2])
        x = x + self.memory(y, about, mask).reshape(x.shape)
        return x + self.mlp(self.mlp_norm(x))


# --- int8 rows -------------------------------------------------------------------------------------------------------

# A matrix is stored, and multiplied, as int8 rows with one float32 scale each (largest magnitude / 127).

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
