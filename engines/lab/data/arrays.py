"""Pictures, sounds and words of one split as arrays of small integers, and the batches of tensors made of them.

`batch` turns rows into tensors and adds noise; generators in the same state give the same noise.

Axes: n rows, B rows of a batch, S mel frames (100 a second), L bytes of text.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from engines.model.features import MEL_HZ, N_FFT, log_mel, mel_bank
from engines.protocol import RATE_HZ

PX, N_MELS, MAX_FRAMES = 64, 40, 100
N_BYTES = 257
"""The vocabulary of words: UTF-8 byte b is b + 1, 0 pads."""
MEL_LOW, MEL_HIGH = -1.5, 2.5
"""The range of log-mel values that a byte stores; `log_mel` of sounds at LOUDNESS lies inside it."""
LOUDNESS = 0.1
"""Root mean square to which every sound is scaled: 20 dB below full scale."""
SILENCE_DB = 40.0
"""Frames this far below the loudest one are trimmed at both ends."""

_LEVELS = np.linspace(MEL_LOW, MEL_HIGH, 256, dtype=np.float32)
_POWERS = 10.0 ** (4.0 * _LEVELS.astype(np.float64) - 4.0)


@dataclass(frozen=True, eq=False)
class Pictures:
    """pixels: (n, h, w, c) uint8, c is 1 or 3. labels: (n,) int64."""

    pixels: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, index: np.ndarray, *, noise: float = 0.0, rng: np.random.Generator, px: int = PX) -> Tensor:
        """Rows `index` as (B, 3, px, px) float32, scaled as `features.photo_tensor` does.

        noise: standard deviation of Gaussian noise as a share of the full range. It is added at the original
        resolution, before enlarging: in an enlarged 8 x 8 digit, averaging over neighbours would remove it.
        """
        pixels = self.pixels[index].astype(np.float32)  # (B, h, w, c)
        if noise > 0:
            pixels += 255.0 * noise * rng.standard_normal(pixels.shape, dtype=np.float32)
        x = torch.from_numpy(pixels).clamp(0.0, 255.0).permute(0, 3, 1, 2)
        if x.shape[-2:] != (px, px):
            x = F.interpolate(x, (px, px), mode="bicubic", antialias=True).clamp(0.0, 255.0)
        return ((x - 127.0) / 128.0).expand(-1, 3, -1, -1).contiguous()


@dataclass(frozen=True, eq=False)
class Sounds:
    """Log-mel frames of n sounds, concatenated.

    mel: (total, N_MELS) uint8, indices into `_LEVELS`. ends: (n,) where each sound ends. labels, languages, voices:
    (n,) int64, the last two as indices into `Dataset.languages` and `Dataset.voices`.
    """

    mel: np.ndarray
    ends: np.ndarray
    labels: np.ndarray
    languages: np.ndarray
    voices: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    @classmethod
    def of(cls, codes: Sequence[np.ndarray], labels: np.ndarray) -> Sounds:
        """Concatenate single sounds, all of language 0 and voice 0."""
        zeros = np.zeros(len(codes), np.int64)
        ends = np.cumsum([len(code) for code in codes], dtype=np.int64)
        return cls(np.concatenate(codes), ends, np.asarray(labels, np.int64), zeros, zeros)

    def rows(self, index: np.ndarray) -> Sounds:
        """The sounds of `index`, in its order."""
        index = np.asarray(index, np.int64)
        starts, ends = np.concatenate(([0], self.ends))[index], self.ends[index]
        mel = np.concatenate([np.zeros((0, N_MELS), np.uint8), *map(lambda a, b: self.mel[a:b], starts, ends)])
        return Sounds(mel, np.cumsum(ends - starts), self.labels[index], self.languages[index], self.voices[index])

    def batch(self, index: np.ndarray, *, noise: float = 0.0, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Rows `index` as mel (B, N_MELS, S) float32 and n_frames (B,) int64, S the longest of them.

        noise: background noise, added as power before the logarithm: 0 is clean, 1 has the mean power of the sound. It
        is pink (equal power per octave) and alike for every class, so it carries no label. Padding after a sound's end
        is as quiet as its quietest cell.
        """
        starts, ends = np.concatenate(([0], self.ends))[index], self.ends[index]
        n_frames = ends - starts
        frame = np.arange(n_frames.max(initial=0))
        inside = frame < n_frames[:, None]  # (B, S)
        codes = self.mel[np.where(inside, starts[:, None] + frame, 0)]  # (B, S, N_MELS)
        if noise > 0:
            power = _POWERS[codes]
            mean = (power * inside[..., None]).sum(axis=(1, 2), keepdims=True) / (n_frames * N_MELS)[:, None, None]
            # The power of noise in the three or more bins of a band: a gamma of about two independent ones.
            power += noise * mean * _pink() * rng.gamma(2.0, 0.5, power.shape)
            mel = ((np.log10(power) + 4.0) / 4.0).astype(np.float32)
        else:
            mel = _LEVELS[codes]
        quietest = np.where(inside[..., None], mel, np.inf).min(axis=(1, 2), keepdims=True, initial=np.inf)
        mel = np.where(inside[..., None], mel, quietest).astype(np.float32)
        return torch.from_numpy(np.ascontiguousarray(mel.transpose(0, 2, 1))), torch.from_numpy(n_frames)


@dataclass(frozen=True, eq=False)
class Words:
    """texts: n written words. labels, languages: (n,) int64."""

    texts: tuple[str, ...]
    labels: np.ndarray
    languages: np.ndarray

    def __len__(self) -> int:
        return len(self.texts)

    def batch(self, index: np.ndarray, *, noise: float = 0.0, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Rows `index` as ids (B, L) int64 and mask (B, L) bool, true where there is a byte.

        noise: the share of letters that are corrupted, half of them deleted, half replaced by random letters of the
        same language's words. At least one letter is left.
        """
        texts = [self.texts[i] for i in index]
        if noise > 0:
            texts = [
                _corrupted(t, self._letters[int(self.languages[i])], noise, rng)
                for t, i in zip(texts, index, strict=True)
            ]
        coded = [np.frombuffer(text.encode(), np.uint8).astype(np.int64) + 1 for text in texts]
        ids = np.zeros((len(coded), max(map(len, coded), default=0)), np.int64)
        for row, code in zip(ids, coded, strict=True):
            row[: len(code)] = code
        return torch.from_numpy(ids), torch.from_numpy(ids > 0)

    @functools.cached_property
    def _letters(self) -> dict[int, str]:
        """All letters of a language's words."""
        return {
            int(which): "".join(
                sorted({c for t, of in zip(self.texts, self.languages, strict=True) if of == which for c in t})
            )
            for which in np.unique(self.languages)
        }


def _corrupted(text: str, letters: str, noise: float, rng: np.random.Generator) -> str:
    fate, other = rng.random(len(text)), rng.integers(len(letters), size=len(text))
    kept = [
        letters[j] if f < noise / 2 else c
        for c, f, j in zip(text, fate, other, strict=True)
        if not noise / 2 <= f < noise
    ]
    return "".join(kept) or letters[other[0]]


@functools.cache
def _pink() -> np.ndarray:
    """The power of pink noise in each mel band, (N_MELS,), with mean 1."""
    bank = mel_bank(N_MELS).numpy()
    centres_hz = bank @ np.linspace(0.0, RATE_HZ / 2, N_FFT // 2 + 1) / bank.sum(axis=1)
    return (1.0 / centres_hz) / (1.0 / centres_hz).mean()


def sound_codes(samples: np.ndarray) -> np.ndarray | None:
    """A sound (n,) at 16 kHz -> log-mel codes (S, N_MELS) uint8, S at most MAX_FRAMES; None when it is silent.

    Silence is trimmed at both ends and the sound is scaled to LOUDNESS.
    """
    step = RATE_HZ // MEL_HZ
    frames = np.asarray(samples, np.float32)[: len(samples) // step * step].reshape(-1, step)
    power = (frames**2).mean(axis=1)
    if power.max(initial=0.0) < 1e-10:  # -100 dB: less than the last bit of 16
        return None
    heard = np.flatnonzero(power > power.max() * 10.0 ** (-SILENCE_DB / 10.0))
    kept = frames[heard[0] : heard[-1] + 1].reshape(-1)
    kept *= np.float32(LOUDNESS / np.sqrt((kept**2).mean()))
    mel = log_mel(torch.from_numpy(kept[None]), N_MELS)[0, :, :MAX_FRAMES].T.numpy()
    return np.rint((mel.clip(MEL_LOW, MEL_HIGH) - MEL_LOW) / (MEL_HIGH - MEL_LOW) * 255.0).astype(np.uint8)
