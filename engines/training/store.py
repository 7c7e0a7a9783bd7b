"""What the frozen towers make of the training media, computed once and kept on disk.

Photos as EfficientNet maps (64, 1280), speech as the sound tower's last layer (T, 512) and, like sounds, as all its
layers at 5 Hz (T', 7, 512), each in several augmented views. An epoch over them is a hundredth of running the towers.

    python -m engines.training.store DATA RUN --whisper FOLDER --efficientnet FILE [--only quiet,photos]

RUN holds tokenizer.model and whisper_rows.json (`scripts.make_vocabulary`); features go to RUN/features. A store
that is there is left alone, so a run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageEnhance
from torch import Tensor

from engines import archives
from engines.model.features import log_mel, photo_tensor
from engines.model.fusion import FusionModel
from engines.protocol import RATE_HZ
from engines.training import casing, voices
from engines.training.shelf import Meta, Shelf
from engines.training.start import begin_from, fresh_model, stage

N_PHOTO_VIEWS = 3
N_SOUND_VIEWS = 2
MAX_SPEECH_S = 27.0
N_CONCEPTS = 10
"""Likeliest concepts kept of a photo."""
GREY_EVERY = 8
"""One photo in so many is kept without its colours, too: for the question whether a film is in colour."""
LUMA = np.array([0.299, 0.587, 0.114])
"""Of red, green and blue (ITU-R BT.601)."""
MIX_HZ = 5
"""Rows a second of all layers of a sound."""


class Ragged:
    """Rows of different lengths in one memory-mapped bfloat16 file: row i is (lengths[i], *inner).

    `meta` holds one JSON value per row: what it is and what is known about it. A view is as it was made: nothing is
    drawn from the generators given.
    """

    hz = MIX_HZ

    def __init__(self, path: Path) -> None:
        head = json.loads(path.with_suffix(".json").read_text())
        self.inner: tuple[int, ...] = tuple(head["inner"])
        self.lengths = np.array(head["lengths"], np.int64)
        self.meta: list[Meta] = head["meta"]
        self._starts = np.concatenate([[0], np.cumsum(self.lengths)])
        n = int(self._starts[-1]) * int(np.prod(self.inner))
        self._rows = np.memmap(path.with_suffix(".bin"), np.int16, "r", shape=(n,)).reshape(-1, *self.inner)

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, i: int) -> Tensor:
        """(lengths[i], *inner) bfloat16."""
        rows = np.array(self._rows[self._starts[i] : self._starts[i + 1]])
        return torch.from_numpy(rows).view(torch.bfloat16)

    def row(self, i: int, rng: np.random.Generator) -> Tensor:
        return self[i]

    def end(self, i: int, n_tokens: int, rng: np.random.Generator) -> Tensor:
        return self[i][-n_tokens:]

    def played(self, i: int, gain: float) -> Tensor:
        return self[i]

    def window(self, i: int, seconds: float, rng: np.random.Generator) -> Tensor:
        row, n = self[i], round(seconds * self.hz)
        start = int(rng.integers(max(1, len(row) - n + 1)))
        return row[start : start + n]

    @staticmethod
    def write(path: Path, rows: Iterable[tuple[Tensor, Meta]], *, log: str) -> None:
        """Write rows as they come; the .json that makes the file valid is written last."""
        lengths: list[int] = []
        meta: list[Meta] = []
        inner: tuple[int, ...] = ()
        began = time.monotonic()
        with path.with_suffix(".bin").open("wb") as file:
            for row, known in rows:
                inner = tuple(row.shape[1:])
                lengths.append(len(row))
                meta.append(known)
                file.write(row.to(torch.bfloat16).contiguous().view(torch.int16).numpy().tobytes())
                if len(lengths) % 500 == 0:
                    print(f"{log}: {len(lengths)} after {time.monotonic() - began:.0f} s", flush=True)
        path.with_suffix(".json").write_text(json.dumps({"inner": inner, "lengths": lengths, "meta": meta}))


def opened(run: Path, *, synthetic: bool = True) -> Shelf:
    """The stores in RUN/features. synthetic: with synthetic voices."""

    def stores(pattern: str) -> list[Ragged]:
        return [Ragged(path.with_suffix("")) for path in sorted((run / "features").glob(f"{pattern}.json"))]

    voices = "*" if synthetic else "?"
    last, mix = (stores(f"speech_train_{voices}_{what}") for what in ("last", "mix"))
    return Shelf(
        photos=stores("photos_train_?"),
        sounds=stores("sounds_train_?"),
        quiet=stores("quiet_train"),
        spoken=list(zip(last, mix, strict=True)),
        named=stores("named_?"),
        asked=stores("asked_?"),
        grey=next(iter(stores("grey_0")), None),
    )


# --- augmentation ------------------------------------------------------------------------------------------------


def vary_photo(pixels: np.ndarray, rng: np.random.Generator, *, flip: bool) -> np.ndarray:
    """A crop of 60 to 100 % of the area, brightness, contrast and colour within 30 %, mirrored or not."""
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
    """Played 10 % slower to 10 % faster, louder or softer, with noise 15 to 40 dB below it."""
    speed = rng.uniform(0.9, 1.1)
    n = int(len(samples) / speed)
    out = np.interp(np.arange(n) * speed, np.arange(len(samples)), samples).astype(np.float32)
    power = float(np.sqrt(np.mean(out**2)) + 1e-6)
    noise = noise_like(rng, n)
    return (out * rng.uniform(0.4, 1.0) + noise * power * 10 ** (-rng.uniform(15, 40) / 20)).astype(np.float32)


def silence_around(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Up to half a second of near-silence on either side: Whisper never saw speech that starts at once."""
    before, after = (rng.normal(0, 1e-4, int(rng.uniform(0, 0.5) * RATE_HZ)).astype(np.float32) for _ in range(2))
    return np.concatenate([before, samples, after])


def noise_like(rng: np.random.Generator, n: int) -> np.ndarray:
    """Noise of unit power with a random spectral slope (white to brown): (n,) float32."""
    spectrum = np.fft.rfft(rng.normal(size=n))
    spectrum *= np.maximum(np.arange(len(spectrum)), 1.0) ** -rng.uniform(0.0, 1.2)
    out = np.fft.irfft(spectrum, n)
    return (out / (out.std() + 1e-9)).astype(np.float32)


def nothing_said(rng: np.random.Generator) -> tuple[np.ndarray, str]:
    """A few seconds of silence or of noise, hum, tones and clicks, with its event label."""
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


# --- through the towers ------------------------------------------------------------------------------------------


class Towers:
    """The towers of a model in bfloat16, as the stores are filled from."""

    def __init__(self, model: FusionModel) -> None:
        self.model = model.to(torch.bfloat16).eval().requires_grad_(False)
        self.model.picture.trunk.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @torch.inference_mode()
    def maps(self, photos: Sequence[np.ndarray]) -> tuple[Tensor, list[list[tuple[int, float]]]]:
        """Photos -> (B, 64, 1280), and the likeliest concepts of each with their probabilities."""
        batch = torch.stack([photo_tensor(p, self.model.config.photo_px) for p in photos]).to(torch.bfloat16)
        maps, logits = self.model.picture.maps(batch.to(memory_format=torch.channels_last))
        found: list[list[tuple[int, float]]] = [[] for _ in photos]
        if logits is not None:
            best = logits.float().softmax(-1).topk(N_CONCEPTS)
            pairs = zip(best.indices.tolist(), best.values.tolist(), strict=True)
            found = [[(i, round(p, 4)) for i, p in zip(*pair, strict=True)] for pair in pairs]
        return maps.flatten(2).transpose(1, 2), found

    @torch.inference_mode()
    def layers(self, samples: np.ndarray) -> tuple[Tensor, Tensor]:
        """A sound -> (last layer (T, D), all layers at 5 Hz (T', n + 1, D))."""
        mel = log_mel(torch.from_numpy(samples)[None]).to(torch.bfloat16)
        last, _, pooled, _ = self.model.layers(mel, torch.tensor([mel.shape[2]]))
        return last[0], pooled[0]


AnyPhoto = archives.PhotoRecord | archives.NamedPhotoRecord | archives.AskedPhotoRecord


def known_of(record: AnyPhoto) -> Meta:
    """What is known of a photo: its captions, its class, or questions with their answers."""
    match record:
        case archives.PhotoRecord():
            return {"captions": dict(record.captions)}
        case archives.NamedPhotoRecord():
            return {"label": record.label}
        case archives.AskedPhotoRecord():
            return {"qa": record.questions}


def photo_rows(
    towers: Towers, records: Sequence[AnyPhoto], view: int, *, grey: bool = False
) -> Iterator[tuple[Tensor, Meta]]:
    """Maps of one view; view 0 is the photo as it is, odd views are mirrored. grey: without its colours."""
    for start in range(0, len(records), 32):
        batch = records[start : start + 32]
        photos = [record.load().pixels for record in batch]
        if view:
            rngs = (np.random.default_rng((view, start + i)) for i in range(len(batch)))
            photos = [vary_photo(p, rng, flip=view % 2 == 1) for p, rng in zip(photos, rngs, strict=True)]
        if grey:
            photos = [np.repeat((p @ LUMA)[..., None], 3, axis=2).astype(np.uint8) for p in photos]
        for record, row, concepts in zip(batch, *towers.maps(photos), strict=True):
            yield row, {"id": record.id, **known_of(record), "mirrored": view % 2 == 1, "concepts": concepts}


Spoken = tuple[np.ndarray, Meta]


def recorded(records: list[archives.SpeechRecord], view: int, texts: dict[str, str]) -> Iterator[Spoken]:
    """Real speech with its transcript: as it is, or varied; always with a random pause around it."""
    for i, record in enumerate(records):
        rng = np.random.default_rng((view, i))
        samples = record.load().samples
        samples = silence_around(vary_sound(samples, rng) if view else samples, rng)
        if len(samples) <= MAX_SPEECH_S * RATE_HZ:
            text = casing.written(record, texts)
            yield samples, {"text": text, "language": record.language, "corpus": record.corpus}


def fill_speech(towers: Towers, folder: Path, name: str, spoken: Iterable[Spoken]) -> None:
    """Two stores side by side: the last layer, and all layers at 5 Hz."""
    if (folder / f"{name}_mix.json").exists():
        return
    mixes: list[tuple[Tensor, Meta]] = []

    def rows() -> Iterator[tuple[Tensor, Meta]]:
        for samples, known in spoken:
            last, mix = towers.layers(samples)
            mixes.append((mix, known))
            yield last, known

    Ragged.write(folder / f"{name}_last", rows(), log=name)
    Ragged.write(folder / f"{name}_mix", mixes, log=f"{name} mix")


def sound_rows(
    towers: Towers, records: list[archives.SoundRecord], view: int, n_nothing: int
) -> Iterator[tuple[Tensor, Meta]]:
    """Labelled sounds, then silence and noise made on the spot."""
    for i, record in enumerate(records):
        rng = np.random.default_rng((view, i))
        samples = record.load().samples
        if view:
            samples = np.roll(vary_sound(samples, rng), int(rng.integers(len(samples))))
        yield towers.layers(samples)[1], {"label": record.label, "corpus": record.corpus}
    for i in range(n_nothing):
        samples, label = nothing_said(np.random.default_rng((view, 1, i)))
        yield towers.layers(samples)[1], {"label": label, "corpus": "made"}


def quiet_rows(towers: Towers, records: list[archives.SoundRecord], n_nothing: int) -> Iterator[tuple[Tensor, Meta]]:
    """The last layer of what nobody speaks in: sounds without voices, silence and noise."""
    for i, record in enumerate(records):
        if record.label not in archives.MAYBE_SPOKEN:
            rng = np.random.default_rng((2, i))
            yield towers.layers(silence_around(vary_sound(record.load().samples, rng), rng))[0], {"label": record.label}
    for i in range(n_nothing):
        samples, label = nothing_said(np.random.default_rng((3, i)))
        yield towers.layers(samples)[0], {"label": label}


def main() -> None:
    parser = argparse.ArgumentParser(description="Run the frozen towers over the training media, once.")
    parser.add_argument("data", type=Path)
    parser.add_argument("run", type=Path)
    parser.add_argument("--whisper", required=True)
    parser.add_argument("--efficientnet", type=Path, required=True)
    parser.add_argument("--from", dest="start", type=Path, help="a later stage's weights, where towers were trained")
    parser.add_argument("--only", default="sounds,quiet,photos,named,speech,voices")
    args = parser.parse_args()
    only = args.only.split(",")
    torch.set_num_threads(1)
    folder = args.run / "features"
    folder.mkdir(parents=True, exist_ok=True)
    model = fresh_model(args.run, args.whisper, args.efficientnet, args.data)
    if args.start is not None:
        begin_from(model, [stage(args.start)])
    towers = Towers(model)
    if "sounds" in only:
        for view in range(N_SOUND_VIEWS):
            if not (folder / f"sounds_train_{view}.json").exists():
                rows = sound_rows(towers, archives.sounds(args.data, "train"), view, 300)
                Ragged.write(folder / f"sounds_train_{view}", rows, log=f"sounds {view}")
    if "quiet" in only and not (folder / "quiet_train.json").exists():
        rows = quiet_rows(towers, archives.sounds(args.data, "train"), 500)
        Ragged.write(folder / "quiet_train", rows, log="quiet")
    if "photos" in only:
        for view in range(N_PHOTO_VIEWS):
            if not (folder / f"photos_train_{view}.json").exists():
                rows = photo_rows(towers, archives.photos(args.data, "train"), view)
                Ragged.write(folder / f"photos_train_{view}", rows, log=f"photos {view}")
    if "named" in only:
        named, asked = archives.named_photos(args.data, "train"), archives.asked_photos(args.data, "train")
        views: dict[str, tuple[Sequence[AnyPhoto], int]] = {}
        for view in range(N_PHOTO_VIEWS):
            views |= {f"named_{view}": (named, view), f"asked_{view}": (asked, view)}
        for name, (photos, view) in views.items():
            if not (folder / f"{name}.json").exists():
                Ragged.write(folder / name, photo_rows(towers, photos, view), log=name)
        if not (folder / "grey_0.json").exists():
            some = archives.photos(args.data, "train")[::GREY_EVERY]
            Ragged.write(folder / "grey_0", photo_rows(towers, some, 0, grey=True), log="grey")
    if "speech" in only:
        records = archives.speech(args.data, "train")
        texts = casing.kept(args.run, records, args.whisper)
        for view in range(N_SOUND_VIEWS):
            fill_speech(towers, folder, f"speech_train_{view}", recorded(records, view, texts))
    if "voices" in only:
        if not (args.run / "voices" / voices.LIST).exists():
            voices.record(args.data, args.run / "voices")
        records = archives.speech(args.run / "voices", "train")
        fill_speech(towers, folder, "speech_train_voices", recorded(records, 0, {}))


if __name__ == "__main__":
    main()
