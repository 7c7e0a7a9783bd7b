"""Photos and sounds of the training split decoded into memory, for machines where the towers run at every step.

They stand on the same shelf as a store of features would. A sound is varied anew each time it is drawn; photos and
spectrograms are varied where the model is (`augment`).
"""

from __future__ import annotations

import json
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
from engines.training import casing
from engines.training.shelf import Meta, Shelf
from engines.training.store import MAX_SPEECH_S, nothing_said, silence_around, vary_sound

SAMPLES_PER_TOKEN = 320
TAIL_TOKENS = TAIL_FRAMES // 2
LONGEST_S = 0.9 * (MAX_SPEECH_S - 1.0)
"""Of speech, so that played 10 % slower and with half a second on either side it is no longer than MAX_SPEECH_S."""
N_SILENT = 500
"""Stretches of silence and noise made on the spot."""


class Photos:
    """Photos as squares (3, px, px) uint8, all of them mirrored or none."""

    def __init__(self, pixels: np.ndarray, captions: Sequence[Meta], *, mirrored: bool) -> None:
        self.pixels, self.mirrored = pixels, mirrored
        self.meta: list[Meta] = [{**known, "mirrored": mirrored} for known in captions]
        self.lengths = np.full(len(pixels), (pixels.shape[-1] // 32) ** 2)

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, i: int) -> Tensor:
        row = self.pixels[i]
        return torch.from_numpy(row[..., ::-1].copy() if self.mirrored else row)


class Sounds:
    """Sounds as int16 samples at 16 kHz."""

    hz = RATE_HZ

    def __init__(self, sounds: Sequence[np.ndarray], meta: list[Meta]) -> None:
        self.samples, self.meta = np.concatenate(sounds), meta
        self.ends = np.cumsum([len(sound) for sound in sounds])
        self.lengths = np.diff(self.ends, prepend=0) // SAMPLES_PER_TOKEN + TAIL_TOKENS

    def __len__(self) -> int:
        return len(self.ends)

    def played(self, i: int, gain: float) -> Tensor:
        return coded(self._plain(i) * gain)

    def _plain(self, i: int) -> np.ndarray:
        """(n,) float32, as it is."""
        start = 0 if i == 0 else self.ends[i - 1]
        return self.samples[start : self.ends[i]].astype(np.float32) / 32768.0

    def row(self, i: int, rng: np.random.Generator) -> Tensor:
        """(n,) int16, varied, with a random pause before and after."""
        return coded(silence_around(vary_sound(self._plain(i), rng), rng))

    def end(self, i: int, n_tokens: int, rng: np.random.Generator) -> Tensor:
        return self.row(i, rng)[-max(1, n_tokens - TAIL_TOKENS) * SAMPLES_PER_TOKEN :]

    def window(self, i: int, seconds: float, rng: np.random.Generator) -> Tensor:
        samples, n = vary_sound(self._plain(i), rng), round(seconds * RATE_HZ)
        start = int(rng.integers(max(1, len(samples) - n + 1)))
        return coded(samples[start : start + n])


def coded(samples: np.ndarray) -> Tensor:
    """(n,) float32 -> int16."""
    return torch.from_numpy((np.clip(samples, -1.0, 1.0) * 32767).astype(np.int16))


def opened(data: Path, run: Path, px: int, *, n_processes: int = 1) -> Shelf:
    """Decode everything, synthetic speech in RUN/voices too where that is there. px: side of the photos."""
    photos, sounds = archives.photos(data, "train"), archives.sounds(data, "train")
    speech = [archives.speech(data, "train")]
    if (run / "voices").is_dir():
        speech.append(archives.speech(run / "voices", "train"))
    with multiprocessing.get_context("fork").Pool(n_processes) as pool:
        squares = pool.starmap(_square, [(record, px) for record in photos], chunksize=64)
        heard = pool.map(_samples, sounds, chunksize=16)
        spoken = [pool.map(_samples, records, chunksize=64) for records in speech]
    pixels = np.stack(squares)
    captions: list[Meta] = [{"id": photo.id, "captions": dict(photo.captions)} for photo in photos]
    known: list[Meta] = [{"label": record.label, "corpus": record.corpus} for record in sounds]
    for i in range(N_SILENT):
        samples, label = nothing_said(np.random.default_rng((3, i)))
        heard.append(coded(samples).numpy())
        known.append({"label": label, "corpus": "made"})
    wordless = [i for i, each in enumerate(known) if each["label"] not in archives.MAYBE_SPOKEN]
    said = [_said(records, own, run) for records, own in zip(speech, spoken, strict=True)]
    return Shelf(
        photos=[Photos(pixels, captions, mirrored=mirrored) for mirrored in (False, True)],
        sounds=[Sounds(heard, known)],
        quiet=[Sounds([heard[i] for i in wordless], [known[i] for i in wordless])],
        spoken=[(own, own) for own in said],
    )


def _said(records: list[archives.SpeechRecord], sounds: list[np.ndarray], run: Path) -> Sounds:
    """Speech with its transcripts, what is too long left out."""
    path = run / casing.FILE
    texts = json.loads(path.read_text()) if path.exists() else {}
    kept = [i for i, own in enumerate(sounds) if len(own) <= LONGEST_S * RATE_HZ]
    return Sounds(
        [sounds[i] for i in kept],
        [
            {"text": casing.written(record, texts), "language": record.language, "corpus": record.corpus}
            for record in (records[i] for i in kept)
        ],
    )


def _square(record: archives.PhotoRecord, px: int) -> np.ndarray:
    image = Image.fromarray(record.load().pixels).resize((px, px), Image.Resampling.BICUBIC)
    return np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1))


def _samples(record: archives.SpeechRecord | archives.SoundRecord) -> np.ndarray:
    return coded(record.load().samples).numpy()
