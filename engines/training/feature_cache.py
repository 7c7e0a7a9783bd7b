"""The feature cache: what the frozen towers make of the training media, computed once and stored on disk.

    python -m engines.training.feature_cache DATA RUN --whisper FOLDER --efficientnet FILE [--only photos,sounds]

Photos are stored as feature maps (64, 1280); speech as the sound tower's last layer (T, 512) and, like other sounds, as
all its layers at 5 Hz (T', 7, 512); each in several augmented views. A step over them takes a hundredth of the time
that the towers take. RUN contains tokenizer.model and whisper_rows.json (`scripts.make_vocabulary`); the features go to
RUN/features. A file that exists is left alone, so an interrupted run can be resumed.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from engines import archives
from engines.model.features import log_mel, photo_tensor
from engines.model.fusion import FusionModel
from engines.protocol import RATE_HZ
from engines.training import truecase
from engines.training.augment import GREY, silence_around, synthetic_non_speech, vary_photo, vary_sound
from engines.training.sources import LAYERS_HZ, MAX_SPEECH_S, Meta, PhotoSources, SoundSources
from engines.training.start import StepMissing, WrongWeights, load_weights, new_model, read_weights

N_PHOTO_VIEWS = 3
N_SOUND_VIEWS = 2
N_CONCEPTS = 10
"""Likeliest concepts stored for a photo."""
GREY_EVERY = 8
"""Every n-th photo is also stored without colour, for the question whether a film is in colour."""
PARTS = ("sounds", "silent", "photos", "named", "speech")

Rows: TypeAlias = Iterable[tuple[Tensor, Meta]]


class FeatureFile:
    """Rows of different lengths in one memory-mapped bfloat16 file (.bin): row i is (lengths[i], *inner).

    The .json beside it has the lengths and `meta`, one value per row. Rows are as they were stored: no method draws
    from the generator it is given.
    """

    hz = LAYERS_HZ

    def __init__(self, path: Path, entry: Any) -> None:
        head = json.loads(path.with_suffix(".json").read_text())
        self.entry = entry
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

    def tail(self, i: int, n_tokens: int, rng: np.random.Generator) -> Tensor:
        return self[i][-n_tokens:]

    def at_gain(self, i: int, gain: float) -> Tensor:
        return self[i]

    def window(self, i: int, seconds: float, rng: np.random.Generator) -> Tensor:
        row, n = self[i], round(seconds * self.hz)
        start = int(rng.integers(max(1, len(row) - n + 1)))
        return row[start : start + n]

    @staticmethod
    def write(path: Path, rows: Rows) -> None:
        """Write rows as they come, unless the file exists; the .json that makes it valid is written last."""
        if path.with_suffix(".json").exists():
            return
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
                    print(f"{path.name}: {len(lengths)} after {time.monotonic() - began:.0f} s", flush=True)
        path.with_suffix(".json").write_text(json.dumps({"inner": inner, "lengths": lengths, "meta": meta}))


def _open(run: Path, pattern: str, entry: str) -> list[FeatureFile]:
    return [FeatureFile(path.with_suffix(""), entry) for path in sorted((run / "features").glob(f"{pattern}.json"))]


def open_photos(run: Path) -> PhotoSources:
    """The cached photos of a run; a part that was not stored is empty."""
    names = ("photos_train_?", "named_?", "asked_?", "grey_0")
    return PhotoSources(*(_open(run, name, "maps") for name in names))


def open_sounds(run: Path, *, synthetic: bool = True) -> SoundSources:
    """The cached sounds and speech of a run. synthetic: include synthetic voices."""
    voices = "*" if synthetic else "?"
    last, layers = _open(run, f"speech_train_{voices}_last", "last"), _open(run, f"speech_train_{voices}_mix", "layers")
    return SoundSources(
        labelled=_open(run, "sounds_train_?", "layers"),
        silent=_open(run, "quiet_train", "last"),
        speech=list(zip(last, layers, strict=True)),
    )


# --- filling it --------------------------------------------------------------------------------------------------


class Towers:
    """The towers of a model in bfloat16."""

    def __init__(self, model: FusionModel) -> None:
        self.model = model.to(torch.bfloat16).eval().requires_grad_(False)
        self.model.picture.trunk.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @torch.inference_mode()
    def maps(self, photos: Sequence[np.ndarray]) -> tuple[Tensor, list[list[tuple[int, float]]]]:
        """Photos -> (B, 64, 1280), and the likeliest concepts of each with their probabilities."""
        batch = torch.stack([photo_tensor(p, self.model.config.photo_px) for p in photos]).to(torch.bfloat16)
        maps, logits = self.model.picture.maps(batch.to(memory_format=torch.channels_last))
        concepts: list[list[tuple[int, float]]] = [[] for _ in photos]
        if logits is not None:
            best = logits.float().softmax(-1).topk(N_CONCEPTS)
            pairs = zip(best.indices.tolist(), best.values.tolist(), strict=True)
            concepts = [[(i, round(p, 4)) for i, p in zip(*pair, strict=True)] for pair in pairs]
        return maps.flatten(2).transpose(1, 2), concepts

    @torch.inference_mode()
    def layers(self, samples: np.ndarray) -> tuple[Tensor, Tensor]:
        """A sound -> (last layer (T, D), all layers at 5 Hz (T', n + 1, D))."""
        mel = log_mel(torch.from_numpy(samples)[None]).to(torch.bfloat16)
        last, _, pooled, _ = self.model.layers(mel, torch.tensor([mel.shape[2]]))
        return last[0], pooled[0]


AnyPhoto: TypeAlias = archives.PhotoRecord | archives.NamedPhotoRecord | archives.AskedPhotoRecord


def photo_meta(record: AnyPhoto) -> Meta:
    """What is known about a photo: its captions, its class, or questions with their answers."""
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
    """Feature maps of one view; view 0 is unvaried, odd views are mirrored. grey: without colour."""
    for start in range(0, len(records), 32):
        batch = records[start : start + 32]
        photos = [record.load().pixels for record in batch]
        if view:
            rngs = (np.random.default_rng((view, start + i)) for i in range(len(batch)))
            photos = [vary_photo(p, rng, flip=view % 2 == 1) for p, rng in zip(photos, rngs, strict=True)]
        if grey:
            photos = [np.repeat((p @ np.array(GREY))[..., None], 3, axis=2).astype(np.uint8) for p in photos]
        for record, row, concepts in zip(batch, *towers.maps(photos), strict=True):
            yield row, {"id": record.id, **photo_meta(record), "mirrored": view % 2 == 1, "concepts": concepts}


Spoken: TypeAlias = tuple[np.ndarray, Meta]


def speech_clips(records: list[archives.SpeechRecord], view: int, cased: dict[str, str]) -> Iterator[Spoken]:
    """Speech with its transcript: view 0 unvaried, others varied; always with a random pause around it."""
    for i, record in enumerate(records):
        rng = np.random.default_rng((view, i))
        samples = record.load().samples
        samples = silence_around(vary_sound(samples, rng) if view else samples, rng)
        if len(samples) <= MAX_SPEECH_S * RATE_HZ:
            text = truecase.transcript(record, cased)
            yield samples, {"text": text, "language": record.language, "corpus": record.corpus}


def write_speech(towers: Towers, folder: Path, name: str, clips: Iterable[Spoken]) -> None:
    """Two files side by side: the last layer, and all layers at 5 Hz."""
    if (folder / f"{name}_mix.json").exists():
        return
    layers: list[tuple[Tensor, Meta]] = []

    def rows() -> Iterator[tuple[Tensor, Meta]]:
        for samples, known in clips:
            last, pooled = towers.layers(samples)
            layers.append((pooled, known))
            yield last, known

    (folder / f"{name}_last.json").unlink(missing_ok=True)
    FeatureFile.write(folder / f"{name}_last", rows())
    FeatureFile.write(folder / f"{name}_mix", layers)


def sound_rows(
    towers: Towers, records: list[archives.SoundRecord], view: int, n_non_speech: int
) -> Iterator[tuple[Tensor, Meta]]:
    """Labelled sounds, then synthetic silence and noise."""
    for i, record in enumerate(records):
        rng = np.random.default_rng((view, i))
        samples = record.load().samples
        if view:
            samples = np.roll(vary_sound(samples, rng), int(rng.integers(len(samples))))
        yield towers.layers(samples)[1], {"label": record.label, "corpus": record.corpus}
    for i in range(n_non_speech):
        samples, label = synthetic_non_speech(np.random.default_rng((view, 1, i)))
        yield towers.layers(samples)[1], {"label": label, "corpus": "made"}


def silent_rows(
    towers: Towers, records: list[archives.SoundRecord], n_non_speech: int
) -> Iterator[tuple[Tensor, Meta]]:
    """The last layer of sounds without speech: labelled ones, synthetic silence and noise."""
    for i, record in enumerate(records):
        if record.label not in archives.MAYBE_SPOKEN:
            rng = np.random.default_rng((2, i))
            yield towers.layers(silence_around(vary_sound(record.load().samples, rng), rng))[0], {"label": record.label}
    for i in range(n_non_speech):
        samples, label = synthetic_non_speech(np.random.default_rng((3, i)))
        yield towers.layers(samples)[0], {"label": label}


def fill(towers: Towers, data: Path, run: Path, only: Sequence[str] = PARTS) -> None:
    """Write every file of these parts that does not exist."""
    folder = run / "features"
    folder.mkdir(parents=True, exist_ok=True)
    rows: dict[str, Rows] = {}  # generators, which run only for files that do not exist
    if "sounds" in only:
        sounds = archives.sounds(data, "train")
        rows |= {f"sounds_train_{view}": sound_rows(towers, sounds, view, 300) for view in range(N_SOUND_VIEWS)}
    if "silent" in only:
        rows["quiet_train"] = silent_rows(towers, archives.sounds(data, "train"), 500)
    photos: dict[str, Sequence[AnyPhoto]] = {}
    if "photos" in only:
        photos["photos_train"] = archives.photos(data, "train")
    if "named" in only:
        photos |= {"named": archives.named_photos(data, "train"), "asked": archives.asked_photos(data, "train")}
        rows["grey_0"] = photo_rows(towers, archives.photos(data, "train")[::GREY_EVERY], 0, grey=True)
    for name, records in photos.items():
        rows |= {f"{name}_{view}": photo_rows(towers, records, view) for view in range(N_PHOTO_VIEWS)}
    for name, own in rows.items():
        FeatureFile.write(folder / name, own)
    if "speech" in only:
        clips, cased = archives.speech(data, "train"), truecase.read(run)
        for view in range(N_SOUND_VIEWS):
            write_speech(towers, folder, f"speech_train_{view}", speech_clips(clips, view, cased))
        if (run / "voices").is_dir():
            voices = archives.speech(run / "voices", "train")
            write_speech(towers, folder, "speech_train_voices", speech_clips(voices, 0, {}))


def main() -> None:
    parser = argparse.ArgumentParser(description="Run the frozen towers over the training media, once.")
    parser.add_argument("data", type=Path)
    parser.add_argument("run", type=Path)
    parser.add_argument("--whisper", help="a transformers Whisper folder or hub name")
    parser.add_argument("--efficientnet", type=Path, help="an EfficientNet-Lite2 file")
    parser.add_argument("--from", dest="start", type=Path, help="weights of an earlier stage, whose towers to use")
    parser.add_argument("--only", default=",".join(PARTS), help="parts to store, comma-separated; default: all")
    args = parser.parse_args()
    torch.set_num_threads(1)
    try:
        model = new_model(args.run, args.whisper, args.efficientnet, args.data)
        if args.start is not None:
            load_weights(model, [read_weights(args.start)])
    except (StepMissing, WrongWeights) as error:
        raise SystemExit(str(error)) from None
    fill(Towers(model), args.data, args.run, args.only.split(","))


if __name__ == "__main__":
    main()
