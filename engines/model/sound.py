"""The sound tower and its extractors: log-mel (B, 80, S) at 100 Hz -> a (B, T, D) per layer at 50 Hz.

`transformer` is Whisper's encoder (Radford et al. 2022, MIT); `cnn` and `gru` have the same interface for comparison.
Every layer's output is given, since events live in the middle and speech at the end.

Whisper only ever heard sounds that silence fills up to 30 s, and does not know one that ends at once. Three seconds of
silence are enough for it, and cost a fraction of thirty: T = ceil((S + 300) / 2).
"""

from __future__ import annotations

import functools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engines.model.config import ModelConfig
from engines.model.parts import Block, sinusoids

TAIL_FRAMES = 300
"""Mel frames of silence heard after every sound. With one second of it Whisper's decoder turns in circles, with three
it writes as well as with a sound filled up to 30 s."""
LOUDEST_TO_SILENT = 2.0
NO_SOUND = -1.5
"""Log-mel of silence (`features.log_mel`): so far below the loudest, and never below this."""


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
        normed output of the last] each (B, T, D), mask (B, T)). The tokens of the silence at the end count as real.

        A row's tokens do not depend on how far its batch is padded.
        """
        most = 2 * self.max_tokens
        if mel.shape[2] > most:
            raise ValueError(f"{mel.shape[2]} mel frames; at most {most} (30 s) are heard at a time")
        mel, n_frames = with_silence(mel, n_frames, most)
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


def with_silence(mel: Tensor, n_frames: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """Silence after each row's real frames, as if the sound itself went on with it, to `most` frames at the most.

    mel (B, 80, S), n_frames (B,) -> (B, 80, min(S + 300, most)) and its real frames; a row of nothing stays so.
    """
    places = torch.arange(min(mel.shape[2] + TAIL_FRAMES, most), device=mel.device)
    sounds = places < n_frames[:, None]  # (B, S)
    mel = F.pad(mel, (0, len(places) - mel.shape[2]))
    loudest = mel.masked_fill(~sounds[:, None], NO_SOUND).amax(dim=(1, 2))
    silence = (loudest - LOUDEST_TO_SILENT).clamp(min=NO_SOUND)
    mel = torch.where(sounds[:, None], mel, silence[:, None, None])
    return mel, torch.where(n_frames > 0, (n_frames + TAIL_FRAMES).clamp(max=len(places)), 0)
