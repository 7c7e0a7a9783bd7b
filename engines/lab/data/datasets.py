"""The Lab's data sets: pictures, sounds and words of the same few classes, and characters of many scripts.

`digits` and `characters` are bundled in assets/lab (made by `scripts.make_lab_data`, sources in SOURCES.md there);
`from_folder` builds the same from a person's own files. Splits are disjoint: no picture and no voice of `digits`, no
script of `characters` is in two of them.
"""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import numpy as np

from engines import tensor_files
from engines.archives import DatasetMissing, ExampleRecord, fewshot
from engines.errors import Message, RequestError
from engines.lab.data import folders
from engines.lab.data.arrays import Pictures, Sounds, Words
from engines.lab.findings import DatasetRecord
from engines.paths import ASSETS
from engines.protocol import Cancel

SplitName: TypeAlias = Literal["train", "valid", "test"]
SPLITS: tuple[SplitName, ...] = get_args(SplitName)

BUNDLED = ASSETS / "lab"
DIGITS, CHARACTERS = "digits.safetensors", "characters.safetensors"
DRAWING_PX = 28


@dataclass(frozen=True, eq=False, kw_only=True)
class DatasetSplit:
    """The examples of one split; None for a modality that the data set lacks."""

    pictures: Pictures | None
    sounds: Sounds | None
    words: Words

    def labels(self, modality: str) -> np.ndarray:
        """The class of each example of a modality, (n,), which the data set must have."""
        arrays = {"picture": self.pictures, "sound": self.sounds, "text": self.words}[modality]
        assert arrays is not None, f"the data set has no {modality}"
        return arrays.labels


@dataclass(frozen=True)
class Voice:
    """A speaker, and the family of voices it belongs to."""

    name: str
    family: str


@dataclass(frozen=True, eq=False, kw_only=True)
class Dataset:
    """The same classes as pictures, sounds and words. files: those it was read from; digest: SHA-256 over them, hex."""

    name: str
    classes: tuple[str, ...]
    languages: tuple[str, ...]
    families: tuple[str, ...]
    voices: tuple[Voice, ...]
    train: DatasetSplit
    valid: DatasetSplit
    test: DatasetSplit
    digest: str
    files: tuple[str, ...]

    @property
    def record(self) -> DatasetRecord:
        """What a run stores of it."""
        return DatasetRecord(self.name, self.digest, self.files)

    @property
    def has_pictures(self) -> bool:
        return self.train.pictures is not None

    @property
    def has_sounds(self) -> bool:
        return self.train.sounds is not None


@dataclass(frozen=True, eq=False, kw_only=True)
class Characters:
    """Drawn characters. drawings: (n_classes, n_each, 28, 28) uint8, 1 is ink. scripts, names: one per class."""

    drawings: np.ndarray
    scripts: tuple[str, ...]
    names: tuple[str, ...]


# --- bundled -----------------------------------------------------------------------------------------------------


def _bundled(name: str) -> tuple[dict[str, np.ndarray], dict[str, Any], str]:
    """Arrays, description and digest of a file in assets/lab."""
    path = BUNDLED / name
    try:
        about, arrays = tensor_files.read(path, "material")
        return arrays, about, hashlib.sha256(path.read_bytes()).hexdigest()
    except (OSError, ValueError) as error:
        raise RequestError(
            "lab_file_damaged",
            "The Lab's file assets/lab/{name} is missing or damaged; download the program again.",
            name=name,
        ) from error


@functools.cache
def digits() -> Dataset:
    """Handwritten digits, the same digits spoken in four languages, and their names. Raises RequestError."""
    arrays, about, digest = _bundled(DIGITS)
    labels, languages, voices = (arrays[key].astype(np.int64) for key in ("labels", "languages", "voices"))
    sounds = Sounds(arrays["mel"], arrays["ends"].astype(np.int64), labels, languages, voices)
    split_of_sound = np.array([SPLITS.index(voice["split"]) for voice in about["voices"]])[voices]
    names = [(text, label, i) for i, digits in enumerate(about["words"].values()) for label, text in enumerate(digits)]
    texts, word_labels, word_languages = zip(*names, strict=True)
    words = Words(texts, np.array(word_labels), np.array(word_languages))

    def split(name: SplitName) -> DatasetSplit:
        number = SPLITS.index(name)
        rows = arrays["picture_splits"] == number
        pictures = Pictures(arrays["pixels"][rows][..., None], arrays["picture_labels"][rows].astype(np.int64))
        spoken = sounds.rows(np.flatnonzero(split_of_sound == number))
        return DatasetSplit(pictures=pictures, sounds=spoken, words=words)

    return Dataset(
        name="digits",
        classes=tuple(about["classes"]),
        languages=tuple(about["words"]),
        families=tuple(about["families"]),
        voices=tuple(Voice(voice["name"], voice["family"]) for voice in about["voices"]),
        train=split("train"),
        valid=split("valid"),
        test=split("test"),
        digest=digest,
        files=(DIGITS,),
    )


@functools.cache
def characters(split: SplitName) -> Characters:
    """Characters of the scripts of one split. Raises RequestError."""
    arrays, about, _ = _bundled(CHARACTERS)
    classes = np.flatnonzero(arrays["splits"] == SPLITS.index(split))
    packed = arrays["packed"][classes]  # (n_classes, n_each, 98): 28 x 28 bits
    drawings = np.unpackbits(packed, axis=-1).reshape(*packed.shape[:2], DRAWING_PX, DRAWING_PX)
    scripts, names = (tuple(about[key][i] for i in classes) for key in ("scripts", "names"))
    return Characters(drawings=drawings, scripts=scripts, names=names)


def bundled(name: str) -> DatasetRecord | None:
    """The record of "digits" or "characters"; None for any other name. Raises RequestError."""
    file = {"digits": DIGITS, "characters": CHARACTERS}.get(name)
    return None if file is None else DatasetRecord(name, _bundled(file)[2], (file,))


# --- a person's own folder ---------------------------------------------------------------------------------------


def from_folder(folder: Path, *, seed: int = 0, cancel: Cancel | None = None) -> Dataset:
    """Read a person's folder: sub-folders are classes, their names the words, their files the photos and sounds.

    A modality is used where every class has it. Of each class 60 % go to training and 20 % each to validation and test,
    at least one. Raises RequestError, and Cancelled.
    """
    found = folders.read(folder, np.random.default_rng(seed), cancel)
    texts = tuple(name.replace("_", " ") for name in found.classes)
    words = Words(texts, np.arange(len(texts)), np.zeros(len(texts), np.int64))

    def split(name: SplitName) -> DatasetSplit:
        photos, sounds = (None if rows is None else _rows_of(name, rows) for rows in (found.photos, found.sounds))
        return DatasetSplit(
            pictures=None if photos is None else Pictures(np.stack(photos[0]), photos[1]),
            sounds=None if sounds is None else Sounds.of(*sounds),
            words=words,
        )

    return Dataset(
        name=folder.name,
        classes=texts,
        languages=("und",),  # BCP 47 for a language nobody named
        families=("unknown",),
        voices=(Voice("unknown", "unknown"),),
        train=split("train"),
        valid=split("valid"),
        test=split("test"),
        digest=found.digest,
        files=found.files,
    )


def _rows_of(split: SplitName, by_class: list[list[np.ndarray]]) -> tuple[list[np.ndarray], np.ndarray]:
    """The rows of one split and their labels."""
    kept, labels = [], []
    for label, rows in enumerate(by_class):
        n = max(1, round(0.2 * len(rows)))
        chosen = {"test": rows[:n], "valid": rows[n : 2 * n], "train": rows[2 * n :]}[split]
        kept += chosen
        labels += [label] * len(chosen)
    return kept, np.array(labels, np.int64)


# --- Omniglot, which does not come with the program --------------------------------------------------------------


def omniglot(data: Path, split: str) -> Characters:
    """Omniglot's hand-drawn characters (Lake et al. 2015), split "train" or "dev". Raises RequestError.

    data: a folder in the layout of `engines.archives`, with fewshot/.
    """
    absent = RequestError(
        "lab_folder_lacks",
        "{what} cannot be read from this folder; choose another, or take what comes with the program.",
        what=Message("word.omniglot", "Omniglot"),
    )
    try:
        records = [record for record in fewshot(data, split) if record.corpus == "omniglot" and record.box is not None]
    except DatasetMissing as error:
        raise absent from error
    if not records:
        raise absent
    by_class: dict[str, list[ExampleRecord]] = {}
    for record in records:
        by_class.setdefault(record.label, []).append(record)
    sheets = {r.source: r.source.photo().pixels[..., 0] < 128 for r in {r.source: r for r in records}.values()}
    drawings = [
        [sheets[r.source][r.box[1] : r.box[3], r.box[0] : r.box[2]] for r in examples if r.box is not None]
        for examples in by_class.values()
    ]
    names = tuple(by_class)
    return Characters(
        drawings=np.array(drawings, np.uint8), scripts=tuple(n.rpartition("/")[0] for n in names), names=names
    )
