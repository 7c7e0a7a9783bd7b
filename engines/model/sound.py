"""The sound tower and its extractors: log-mel (B, 80, S) at 100 Hz -> a (B, T, D) per layer at 50 Hz, T = ceil(S / 2).

`transformer` is Whisper's encoder (Radford et al. 2022, MIT), never padded to 30 s; `cnn` and `gru` have the same
interface for comparison. Every layer's output is given, since events live in the middle and speech at the end.
"""

from __future__ import annotations

import functools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engines.model.config import ModelConfig
from engines.model.parts import Block, sinusoids


@functools.lru_cache(maxsize=8)
def _positions(length: int, width: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    return sinusoids(length, width).to(device, dtype)


class ConvBlock(nn.Module):
    """A residual, depthwise-separable convolution over 9 tokens (0.18 s)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.depthwise = nn.Conv1d(width, width, 9, padding=4, groups=width)
        self.pointwise = nn.Linear(width, width)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        y = self.norm(x) * mask[..., None]
        y = self.depthwise(y.transpose(1, 2)).transpose(1, 2)
        return x + self.pointwise(F.gelu(y))


class GruBlock(nn.Module):
    """A residual, bidirectional GRU (Cho et al. 2014)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.gru = nn.GRU(width, width // 2, batch_first=True, bidirectional=True)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        lengths = mask.sum(1).clamp(min=1).cpu()
        packed = nn.utils.rnn.pack_padded_sequence(self.norm(x), lengths, batch_first=True, enforce_sorted=False)
        y, _ = nn.utils.rnn.pad_packed_sequence(self.gru(packed)[0], batch_first=True, total_length=x.shape[1])
        return x + y


class SoundTower(nn.Module):
    """Two convolutions, fixed positions, blocks, a final norm."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width, n = config.width, config.n_sound_blocks
        self.max_tokens = config.max_sound_tokens
        self.conv1 = nn.Conv1d(config.n_mels, width, 3, padding=1)
        self.conv2 = nn.Conv1d(width, width, 3, stride=2, padding=1)
        if config.sound == "transformer":
            self.blocks = nn.ModuleList(Block(width, config.n_heads) for _ in range(n))
        else:
            kind = ConvBlock if config.sound == "cnn" else GruBlock
            self.blocks = nn.ModuleList(kind(width) for _ in range(n))
        self.norm = nn.LayerNorm(width)

    def forward(self, mel: Tensor, n_frames: Tensor) -> tuple[list[Tensor], Tensor]:
        """mel (B, 80, S), n_frames (B,) real frames -> ([input of block 1, output of each block but the last,
        normed output of the last] each (B, T, D), mask (B, T)).

        A row's tokens do not depend on how far its batch is padded.
        """
        if mel.shape[2] > 2 * self.max_tokens:
            raise ValueError(f"{mel.shape[2]} mel frames; at most {2 * self.max_tokens} (30 s) are heard at a time")
        frames = torch.arange(mel.shape[2], device=mel.device) < n_frames[:, None]  # (B, S)
        x = F.gelu(self.conv1(mel * frames[:, None])) * frames[:, None]
        x = F.gelu(self.conv2(x)).transpose(1, 2)  # (B, T, D)
        x = x + _positions(self.max_tokens, x.shape[2], x.device, x.dtype)[: x.shape[1]]
        mask = frames[:, ::2]
        # Full rows need no mask, and without one attention takes its fast path.
        attended = None if isinstance(self.blocks[0], Block) and bool(mask.all()) else mask
        layers = [x]
        for block in self.blocks:
            x = block(x, attended)
            layers.append(x)
        layers[-1] = self.norm(x)
        return layers, mask
