"""Augmentation: of single photos and sounds as arrays, and of batches of photos and spectrograms on the device.

Axes: B batch, H, W pixels, S mel frames.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageEnhance
from torch import Tensor

from engines.protocol import RATE_HZ

MIN_AREA = 0.6
"""Smallest share of a photo that a crop keeps."""
JITTER = 0.3
"""Change of brightness, contrast and colour, up or down."""
GREY = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in brightness (ITU-R BT.601)."""
N_HIDDEN = 2
BAND, SPAN = 15, 0.05
"""Largest number of mel bands, and share of frames, that one of N_HIDDEN stripes hides."""


# --- single photos and sounds ------------------------------------------------------------------------------------


def vary_photo(pixels: np.ndarray, rng: np.random.Generator, *, flip: bool) -> np.ndarray:
    """A crop of 60 to 100 % of the area, with brightness, contrast and colour within 30 %, mirrored or not."""
    image = Image.fromarray(pixels)
    side = np.sqrt(rng.uniform(0.6, 1.0))
    w, h = image.width * side, image.height * side
    left, top = rng.uniform(0, image.width - w + 1e-6), rng.uniform(0, image.height - h + 1e-6)
    image = image.crop((round(left), round(top), round(left + w), round(top + h)))
    for enhance in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        image = enhance(image).enhance(rng.uniform(0.7, 1.3))
    out = np.asarray(image)
    return out[:, ::-1].copy() if flip else out


def vary_sound(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A sound played 10 % slower to 10 % faster, louder or softer, with noise 15 to 40 dB below it."""
    speed = rng.uniform(0.9, 1.1)
    n = int(len(samples) / speed)
    out = np.interp(np.arange(n) * speed, np.arange(len(samples)), samples).astype(np.float32)
    power = float(np.sqrt(np.mean(out**2)) + 1e-6)
    noise = noise_like(rng, n)
    return (out * rng.uniform(0.4, 1.0) + noise * power * 10 ** (-rng.uniform(15, 40) / 20)).astype(np.float32)


def silence_around(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A sound with up to half a second of near-silence on either side; Whisper never saw speech that starts at once."""
    before, after = (rng.normal(0, 1e-4, int(rng.uniform(0, 0.5) * RATE_HZ)).astype(np.float32) for _ in range(2))
    return np.concatenate([before, samples, after])


def noise_like(rng: np.random.Generator, n: int) -> np.ndarray:
    """Noise of unit power with a random spectral slope (white to brown): (n,) float32."""
    spectrum = np.fft.rfft(rng.normal(size=n))
    spectrum *= np.maximum(np.arange(len(spectrum)), 1.0) ** -rng.uniform(0.0, 1.2)
    out = np.fft.irfft(spectrum, n)
    return (out / (out.std() + 1e-9)).astype(np.float32)


def synthetic_non_speech(rng: np.random.Generator) -> tuple[np.ndarray, str]:
    """One to ten seconds of silence, or of noise, hum, tones or clicks, with the event label."""
    n = int(rng.uniform(1.0, 10.0) * RATE_HZ)
    t = np.arange(n) / RATE_HZ
    kind = rng.integers(5)
    if kind == 0:
        return (rng.normal(0, 10 ** rng.uniform(-5, -3.3), n)).astype(np.float32), "silence"
    if kind == 1:
        sound = np.sin(2 * np.pi * rng.choice([50, 60, 100, 120]) * t) + 0.3 * np.sin(2 * np.pi * 180 * t)
    elif kind == 2:  # notes one after the other
        notes = 220 * 2 ** (rng.integers(0, 24, n // 4000 + 1) / 12)
        sound = np.sin(2 * np.pi * np.cumsum(np.repeat(notes, 4000)[:n]) / RATE_HZ) * (1 - (np.arange(n) % 4000) / 4000)
    elif kind == 3:
        sound = (rng.random(n) < 5 / RATE_HZ).astype(np.float32)
        sound = np.convolve(sound, np.exp(-np.arange(400) / 60) * rng.normal(size=400), "same")
    else:
        sound = noise_like(rng, n)
    sound = sound / (np.abs(sound).max() + 1e-9) * 10 ** rng.uniform(-2, -0.1)
    return (sound + rng.normal(0, 1e-4, n)).astype(np.float32), "noise"


# --- batches on the device ----------------------------------------------------------------------------------------


def scaled(pixels: Tensor) -> Tensor:
    """Photos (B, 3, H, W) of values 0 to 255 -> the picture tower's range."""
    return ((pixels.float() - 127.0) / 128.0).contiguous(memory_format=torch.channels_last)


def vary_photos(pixels: Tensor) -> Tensor:
    """`scaled` of a random crop of each photo, with random brightness, contrast and colour."""
    b, device = len(pixels), pixels.device

    def drawn(low: float, high: float) -> Tensor:
        return torch.empty(b, 1, 1, 1, device=device).uniform_(low, high)

    side = drawn(MIN_AREA, 1.0).sqrt()
    across, down = ((1.0 - side) * drawn(-1.0, 1.0) for _ in range(2))
    zero = torch.zeros_like(side)
    theta = torch.cat([side, zero, across, zero, side, down], dim=3).reshape(b, 2, 3)
    grid = F.affine_grid(theta, list(pixels.shape), align_corners=False)
    x = F.grid_sample(pixels.float(), grid, padding_mode="border", align_corners=False)
    x = x * drawn(1 - JITTER, 1 + JITTER)
    grey = (x * torch.tensor(GREY, device=device)[:, None, None]).sum(1, keepdim=True)
    x = torch.lerp(grey, x, drawn(1 - JITTER, 1 + JITTER))
    x = torch.lerp(grey.mean(dim=(2, 3), keepdim=True), x, drawn(1 - JITTER, 1 + JITTER))
    return scaled(x.clamp(0.0, 255.0))


def hide_stripes(mel: Tensor, n_frames: Tensor) -> Tensor:
    """SpecAugment (Park et al. 2019): stripes of a log-mel (B, M, S) with n_frames (B,) are set to each row's mean."""
    b, m, s = mel.shape
    bands = _stripes(torch.full((b,), m, device=mel.device), torch.full((b,), BAND, device=mel.device), m)
    spans = _stripes(n_frames, n_frames * SPAN, s)
    return torch.where(bands[:, :, None] | spans[:, None], mel.mean(dim=(1, 2), keepdim=True), mel)


def _stripes(n: Tensor, widest: Tensor, size: int) -> Tensor:
    """N_HIDDEN stripes of random width in the first n (B,) places of `size`: a mask (B, size), True inside."""
    width = torch.rand(N_HIDDEN, len(n), device=n.device) * widest
    start = torch.rand(N_HIDDEN, len(n), device=n.device) * (n - width).clamp(min=0)
    place = torch.arange(size, device=n.device)
    return ((place >= start[..., None]) & (place < (start + width)[..., None])).any(0)
