"""Photos and spectrograms varied where the model is, a batch at a time; on a GPU this costs next to nothing.

Axes: B batch, H, W pixels, S mel frames.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

MIN_AREA = 0.6
"""Of a photo that a crop keeps at least."""
JITTER = 0.3
"""Of brightness, contrast and colour, up or down."""
GREY = (0.299, 0.587, 0.114)
"""Of red, green and blue in brightness (ITU-R BT.601)."""
N_HIDDEN = 2
BAND, SPAN = 15, 0.05
"""Mel bands, and the share of frames, that one of N_HIDDEN stripes hides at most."""


def scaled(pixels: Tensor) -> Tensor:
    """Photos (B, 3, H, W) uint8, or as floats of that range, as the picture tower takes them."""
    return ((pixels.float() - 127.0) / 128.0).contiguous(memory_format=torch.channels_last)


def vary_photos(pixels: Tensor) -> Tensor:
    """`scaled` of a random crop of each photo, brighter or darker, with more or less contrast and colour."""
    b, device = len(pixels), pixels.device

    def drawn(low: float, high: float) -> Tensor:
        return torch.empty(b, 1, 1, 1, device=device).uniform_(low, high)

    side = drawn(MIN_AREA, 1.0).sqrt()
    across, down = ((1.0 - side) * drawn(-1.0, 1.0) for _ in range(2))
    nothing = torch.zeros_like(side)
    theta = torch.cat([side, nothing, across, nothing, side, down], dim=3).reshape(b, 2, 3)
    grid = F.affine_grid(theta, list(pixels.shape), align_corners=False)
    x = F.grid_sample(pixels.float(), grid, padding_mode="border", align_corners=False)
    x = x * drawn(1 - JITTER, 1 + JITTER)
    grey = (x * torch.tensor(GREY, device=device)[:, None, None]).sum(1, keepdim=True)
    x = torch.lerp(grey, x, drawn(1 - JITTER, 1 + JITTER))
    x = torch.lerp(grey.mean(dim=(2, 3), keepdim=True), x, drawn(1 - JITTER, 1 + JITTER))
    return scaled(x.clamp(0.0, 255.0))


def hide_stripes(mel: Tensor, n_frames: Tensor) -> Tensor:
    """SpecAugment (Park et al. 2019): log-mel (B, M, S), n_frames (B,) real, with stripes set to each row's mean."""
    b, m, s = mel.shape
    bands = _stripes(torch.full((b,), m, device=mel.device), torch.full((b,), BAND, device=mel.device), m)
    spans = _stripes(n_frames, n_frames * SPAN, s)
    return torch.where(bands[:, :, None] | spans[:, None], mel.mean(dim=(1, 2), keepdim=True), mel)


def _stripes(n: Tensor, widest: Tensor, size: int) -> Tensor:
    """N_HIDDEN stripes of random width, somewhere in the first n (B,) places of `size`: (B, size) True inside."""
    width = torch.rand(N_HIDDEN, len(n), device=n.device) * widest
    start = torch.rand(N_HIDDEN, len(n), device=n.device) * (n - width).clamp(min=0)
    place = torch.arange(size, device=n.device)
    return ((place >= start[..., None]) & (place < (start + width)[..., None])).any(0)
