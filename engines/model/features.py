"""From arrays to what the towers take: log-mel spectrograms and photo tensors.

The mel features are Whisper's (Radford et al. 2022): 25 ms Hann windows every 10 ms at 16 kHz, 80 Slaney mel bands,
log10 clamped 8 below the loudest, then (x + 4) / 4. The filters come from torchaudio where it is there; the same are
made here without it. Photos are scaled to a square as EfficientNet-Lite expects them: (x - 127) / 128; a
panorama is cut into several such squares.
"""

from __future__ import annotations

import functools

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from engines.protocol import RATE_HZ

N_FFT = 400
HOP = 160
MEL_HZ = RATE_HZ // HOP
"""Mel frames per second: 100."""
PANORAMA, MAX_PARTS = 4.0, 4
"""A picture this many times as wide as high is seen in parts, at most MAX_PARTS, since the tower would squeeze it."""
CLOSER = 0.75
"""Share of a photo's height and width that is seen a second time for its names: the classifier learnt from crops.
`python -m scripts.measure_closer DATA MODEL --closer 0.65 0.75 0.85`: of 650 photos of ImageNet the likeliest name is
right in 82.9 %, with the middle in 84.9, 85.4 and 85.5 %."""


def mel_bank(n_mels: int) -> Tensor:
    """Triangular filters (n_mels, 201) of equal area on Slaney's mel scale (linear below 1 kHz, logarithmic above)."""
    try:
        from torchaudio.functional import melscale_fbanks
    except (ImportError, OSError):  # absent, or its native library does not fit this torch
        return _mel_bank_in_torch(n_mels)
    return melscale_fbanks(N_FFT // 2 + 1, 0.0, RATE_HZ / 2, n_mels, RATE_HZ, norm="slaney", mel_scale="slaney").T


def _mel_bank_in_torch(n_mels: int) -> Tensor:
    """The same filters from their definition (Slaney, Auditory Toolbox, 1998)."""
    step_hz, log_start_hz = 200.0 / 3, 1000.0
    log_start, log_step = log_start_hz / step_hz, np.log(6.4) / 27.0

    def to_mel(hz: float) -> float:
        return hz / step_hz if hz < log_start_hz else log_start + np.log(hz / log_start_hz) / log_step

    mels = np.linspace(to_mel(0.0), to_mel(RATE_HZ / 2), n_mels + 2)
    edges = np.where(mels < log_start, mels * step_hz, log_start_hz * np.exp(log_step * (mels - log_start)))
    bins = np.linspace(0.0, RATE_HZ / 2, N_FFT // 2 + 1)
    slopes = edges[:, None] - bins[None, :]  # (n_mels + 2, 201)
    width = np.diff(edges)[:, None]
    rising, falling = -slopes[:-2] / width[:-1], slopes[2:] / width[1:]
    bank = np.maximum(0.0, np.minimum(rising, falling)) * (2.0 / (edges[2:] - edges[:-2]))[:, None]
    return torch.from_numpy(bank.astype(np.float32))


@functools.cache
def _window_and_bank(n_mels: int, device: str) -> tuple[Tensor, Tensor]:
    return torch.hann_window(N_FFT, device=device), mel_bank(n_mels).to(device)


def log_mel(samples: Tensor, n_mels: int = 80) -> Tensor:
    """Sounds (B, n) float32 at 16 kHz -> (B, n_mels, S), S = n // 160 frames; what is shorter than a window gives 2."""
    if samples.shape[-1] < N_FFT:
        samples = F.pad(samples, (0, N_FFT - samples.shape[-1]))
    window, bank = _window_and_bank(n_mels, str(samples.device))
    spectrum = torch.stft(samples.float(), N_FFT, HOP, window=window, return_complex=True)
    power = spectrum[..., :-1].abs() ** 2  # (B, 201, S)
    log = torch.clamp(bank @ power, min=1e-10).log10()
    loudest = log.amax(dim=(1, 2), keepdim=True)
    return (torch.maximum(log, loudest - 8.0) + 4.0) / 4.0


def photo_tensor(pixels: np.ndarray, px: int) -> Tensor:
    """A photo (H, W, 3) uint8 -> (3, px, px) float32. The whole picture is kept, squeezed to a square."""
    from PIL import Image

    square = Image.fromarray(pixels).resize((px, px), Image.Resampling.BICUBIC)
    return (torch.from_numpy(np.array(square, dtype=np.float32)).permute(2, 0, 1) - 127.0) / 128.0


def middle(pixels: np.ndarray, share: float = CLOSER) -> np.ndarray:
    """The middle of a picture. share: of its height and width."""
    height, width = pixels.shape[:2]
    top, left = round(height * (1 - share) / 2), round(width * (1 - share) / 2)
    return pixels[top : height - top, left : width - left]


def square_parts(pixels: np.ndarray) -> list[np.ndarray]:
    """A picture as what the tower, which sees squares, is shown of it: itself, or a panorama in up to four parts."""
    return [pixels[rows, columns] for rows, columns in square_regions(*pixels.shape[:2])]


def square_regions(height: int, width: int) -> list[tuple[slice, slice]]:
    """Rows and columns of these parts. They overlap where they have to, and leave gaps of what is longer still."""
    long, short = max(height, width), min(height, width)
    if long < PANORAMA * short:
        return [(slice(0, height), slice(0, width))]
    n_parts = min(MAX_PARTS, round(long / short))
    size = min(long, max(short, long // n_parts))
    begins = [int(a) for a in np.linspace(0, long - size, n_parts).round()]
    if width > height:
        return [(slice(0, height), slice(a, a + size)) for a in begins]
    return [(slice(a, a + size), slice(0, width)) for a in begins]
