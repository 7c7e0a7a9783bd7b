"""Photos and sounds of the training split decoded into memory, for recipes that train the towers.

Sounds are varied each time they are drawn; photos and spectrograms are varied by the towers' step (`augment`).
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from engines import archives
from engines.model.sound import TAIL_FRAMES
from engines.protocol import RATE_HZ
from engines.training import truecase
from engines.training.augment import silence_around, synthetic_non_speech, vary_sound
from engines.training.sources import MAX_SPEECH_S, Meta, PhotoEntry, PhotoSources, SoundEntry, SoundSources

SAMPLES_PER_TOKEN = 320
TAIL_TOKENS = TAIL_FRAMES // 2
LONGEST_S = 0.9 * (MAX_SPEECH_S - 1.0)
"""Longest clip of speech: at most MAX_SPEECH_S when played 10 % slower with half a second on either side."""
N_NON_SPEECH = 500
"""Synthetic sounds of silence and noise."""


class MemoryPhotos:
    """Square photos (3, px, px) uint8, all of them mirrored or none."""

    entry: PhotoEntry = "pixels"

    def __init__(self, pixels: np.ndarray, captions: Sequence[Meta], *, mirrored: bool) -> None:
        self.pixels, self.mirrored = pixels, mirrored
        self.meta: list[Meta] = [{**known, "mirrored": mirrored} for known in captions]
        self.lengths = np.full(len(pixels), (pixels.shape[-1] // 32) ** 2)

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, i: int) -> Tensor:
        row = self.pixels[i]
        return torch.from_numpy(row[..., ::-1].copy() if self.mirrored else row)


class MemorySounds:
    """Sounds as int16 samples at 16 kHz."""

    entry: SoundEntry = "samples"
    hz = RATE_HZ

    def __init__(self, sounds: Sequence[np.ndarray], meta: list[Meta]) -> None:
        self.samples, self.meta = np.concatenate(sounds), meta
        self.ends = np.cumsum([len(sound) for sound in sounds])
        self.lengths = np.diff(self.ends, prepend=0) // SAMPLES_PER_TOKEN + TAIL_TOKENS

    def __len__(self) -> int:
        return len(self.ends)

    def _unvaried(self, i: int) -> np.ndarray:
        """(n,) float32."""
        start = 0 if i == 0 else self.ends[i - 1]
        return self.samples[start : self.ends[i]].astype(np.float32) / 32768.0

    def at_gain(self, i: int, gain: float) -> Tensor:
        return to_int16(self._unvaried(i) * gain)

    def row(self, i: int, rng: np.random.Generator) -> Tensor:
        """(n,) int16, varied, with a random pause before and after."""
        return to_int16(silence_around(vary_sound(self._unvaried(i), rng), rng))

    def tail(self, i: int, n_tokens: int, rng: np.random.Generator) -> Tensor:
        return self.row(i, rng)[-max(1, n_tokens - TAIL_TOKENS) * SAMPLES_PER_TOKEN :]

    def window(self, i: int, seconds: float, rng: np.random.Generator) -> Tensor:
        samples, n = vary_sound(self._unvaried(i), rng), round(seconds * RATE_HZ)
        start = int(rng.integers(max(1, len(samples) - n + 1)))
        return to_int16(samples[start : start + n])


def to_int16(samples: np.ndarray) -> Tensor:
    """(n,) float32 -> int16."""
    return torch.from_numpy((np.clip(samples, -1.0, 1.0) * 32767).astype(np.int16))


def read_photos(data: Path, px: int, *, n_processes: int = 1) -> PhotoSources:
    """The captioned photos as squares of px pixels, plain and mirrored."""
    records = archives.photos(data, "train")
    with multiprocessing.get_context("fork").Pool(n_processes) as pool:
        pixels = np.stack(pool.starmap(_square, [(record, px) for record in records], chunksize=64))
    captions: list[Meta] = [{"id": record.id, "captions": dict(record.captions)} for record in records]
    return PhotoSources([MemoryPhotos(pixels, captions, mirrored=mirrored) for mirrored in (False, True)])


def read_sounds(data: Path, run: Path, *, n_processes: int = 1) -> SoundSources:
    """Labelled sounds and speech, with the synthetic speech in RUN/voices where there is any."""
    records = archives.sounds(data, "train")
    speech = [archives.speech(data, "train")]
    if (run / "voices").is_dir():
        speech.append(archives.speech(run / "voices", "train"))
    with multiprocessing.get_context("fork").Pool(n_processes) as pool:
        sounds = pool.map(_samples, records, chunksize=16)
        spoken = [pool.map(_samples, clips, chunksize=64) for clips in speech]
    meta: list[Meta] = [{"label": record.label, "corpus": record.corpus} for record in records]
    for i in range(N_NON_SPEECH):
        samples, label = synthetic_non_speech(np.random.default_rng((3, i)))
        sounds.append(to_int16(samples).numpy())
        meta.append({"label": label, "corpus": "made"})
    wordless = [i for i, row in enumerate(meta) if row["label"] not in archives.MAYBE_SPOKEN]
    cased = truecase.read(run)
    with_text = [_with_transcripts(clips, rows, cased) for clips, rows in zip(speech, spoken, strict=True)]
    return SoundSources(
        labelled=[MemorySounds(sounds, meta)],
        silent=[MemorySounds([sounds[i] for i in wordless], [meta[i] for i in wordless])],
        speech=[(source, source) for source in with_text],
    )


def _with_transcripts(
    records: list[archives.SpeechRecord], sounds: list[np.ndarray], cased: dict[str, str]
) -> MemorySounds:
    """Speech with its transcripts, without clips that are too long."""
    kept = [(r, s) for r, s in zip(records, sounds, strict=True) if len(s) <= LONGEST_S * RATE_HZ]
    meta: list[Meta] = [
        {"text": truecase.transcript(record, cased), "language": record.language, "corpus": record.corpus}
        for record, _ in kept
    ]
    return MemorySounds([samples for _, samples in kept], meta)


def _square(record: archives.PhotoRecord, px: int) -> np.ndarray:
    image = Image.fromarray(record.load().pixels).resize((px, px), Image.Resampling.BICUBIC)
    return np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1))


def _samples(record: archives.SpeechRecord | archives.SoundRecord) -> np.ndarray:
    return to_int16(record.load().samples).numpy()
