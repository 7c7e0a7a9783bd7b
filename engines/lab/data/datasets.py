"""The Lab's data sets: pictures, sounds and words of the same few classes, and characters of many scripts.

`digits` and `characters` are bundled in assets/lab (made by `scripts.make_lab_data`, sources in SOURCES.md there);
`from_folder` builds the same from a person's own files. Splits are disjoint: no picture and no voice of `digits`, no
script of `characters` is in two of them.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
import json
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from safetensors import SafetensorError, safe_open

from engines.archives import ExampleRecord, MissingPart, decode_sound, fewshot
from engines.errors import Message, RequestError
from engines.lab.data import folders
from engines.lab.data.arrays import MAX_FRAMES, N_BYTES, N_MELS, PX, Pictures, Sounds, Words, sound_codes
from engines.lab.findings import DataList
from engines.paths import ASSETS
from engines.protocol import Cancel

__all__ = [
    "MAX_FRAMES",
    "N_BYTES",
    "N_MELS",
    "PX",
    "SPLITS",
    "Characters",
    "Material",
    "Part",
    "Pictures",
    "Sounds",
    "Split",
    "Voice",
    "Words",
    "bundled",
    "characters",
    "digits",
    "from_folder",
    "omniglot",
    "pairs",
    "real_voices",
]

Split: TypeAlias = Literal["train", "valid", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)

BUNDLED = ASSETS / "lab"
DIGITS, CHARACTERS = "digits.safetensors", "characters.safetensors"
DRAWING_PX = 28


@dataclass(frozen=True, eq=False, kw_only=True)
class Part:
    """What one split holds; None for a sense that is not there."""

    pictures: Pictures | None
    sounds: Sounds | None
    words: Words


@dataclass(frozen=True)
class Voice:
    name: str
    family: str


@dataclass(frozen=True, eq=False, kw_only=True)
class Material:
    """The same classes seen, heard and written. files: those it was read from; digest: SHA-256 over them, as hex."""

    name: str
    classes: tuple[str, ...]
    languages: tuple[str, ...]
    families: tuple[str, ...]
    voices: tuple[Voice, ...]
    train: Part
    valid: Part
    test: Part
    digest: str
    files: tuple[str, ...]

    @property
    def data(self) -> DataList:
        """What a run notes of it."""
        return DataList(self.name, self.digest, self.files)

    def part(self, split: Split) -> Part:
        return {"train": self.train, "valid": self.valid, "test": self.test}[split]

    @property
    def has_pictures(self) -> bool:
        return self.train.pictures is not None

    @property
    def has_sounds(self) -> bool:
        return self.train.sounds is not None


@dataclass(frozen=True, eq=False, kw_only=True)
class Characters:
    """drawings: (n_classes, n_each, 28, 28) uint8, 1 is stroke. scripts, names: one for each class."""

    drawings: np.ndarray
    scripts: tuple[str, ...]
    names: tuple[str, ...]


def pairs(
    a_labels: np.ndarray, b_labels: np.ndarray, n: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Two times (n,) indices: n random pairs with equal labels, every label both sides have as often as any other."""
    both = np.intersect1d(a_labels, b_labels)
    if len(both) == 0:
        raise ValueError("the two sides have no label in common")
    labels = rng.permutation(np.resize(rng.permutation(both), n))
    return _one_of_each(a_labels, labels, rng), _one_of_each(b_labels, labels, rng)


def _one_of_each(have: np.ndarray, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    order = np.argsort(have, kind="stable")
    first, last = (np.searchsorted(have[order], labels, side) for side in ("left", "right"))
    return order[rng.integers(first, last)]


# --- bundled -----------------------------------------------------------------------------------------------------


def _bundled(name: str) -> tuple[dict[str, np.ndarray], dict[str, Any], str]:
    """Arrays, description and digest of a file in assets/lab."""
    path = BUNDLED / name
    try:
        with safe_open(path, "np") as file:
            arrays = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118, a file is no dict
            about = json.loads(file.metadata()["material"])
        return arrays, about, hashlib.sha256(path.read_bytes()).hexdigest()
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise RequestError(
            "lab_file_damaged",
            "The Lab's file assets/lab/{name} is missing or damaged; download the program again.",
            name=name,
        ) from error


@functools.cache
def digits() -> Material:
    """Handwritten digits, the same digits spoken in four languages, and their names. Raises RequestError."""
    arrays, about, digest = _bundled(DIGITS)
    labels, languages, voices = (arrays[key].astype(np.int64) for key in ("labels", "languages", "voices"))
    sounds = Sounds(arrays["mel"], arrays["ends"].astype(np.int64), labels, languages, voices)
    spoken_in = np.array([SPLITS.index(voice["split"]) for voice in about["voices"]])[voices]
    names = [(text, label, i) for i, of in enumerate(about["words"].values()) for label, text in enumerate(of)]
    texts, word_labels, word_languages = zip(*names, strict=True)
    words = Words(texts, np.array(word_labels), np.array(word_languages))

    def part(split: int) -> Part:
        of = arrays["picture_splits"] == split
        pictures = Pictures(arrays["pixels"][of][..., None], arrays["picture_labels"][of].astype(np.int64))
        return Part(pictures=pictures, sounds=sounds.rows(np.flatnonzero(spoken_in == split)), words=words)

    return Material(
        name="digits",
        classes=tuple(about["classes"]),
        languages=tuple(about["words"]),
        families=tuple(about["families"]),
        voices=tuple(Voice(voice["name"], voice["family"]) for voice in about["voices"]),
        train=part(0),
        valid=part(1),
        test=part(2),
        digest=digest,
        files=(DIGITS,),
    )


@functools.cache
def characters(split: Split) -> Characters:
    """Small characters of the scripts of one split. Raises RequestError."""
    arrays, about, _ = _bundled(CHARACTERS)
    of = np.flatnonzero(arrays["splits"] == SPLITS.index(split))
    packed = arrays["packed"][of]  # (n_classes, n_each, 98): 28 x 28 bits
    drawings = np.unpackbits(packed, axis=-1).reshape(*packed.shape[:2], DRAWING_PX, DRAWING_PX)
    scripts, names = (tuple(about[key][i] for i in of) for key in ("scripts", "names"))
    return Characters(drawings=drawings, scripts=scripts, names=names)


def bundled(name: str) -> DataList | None:
    """What a run notes of "digits" or "characters"; None for any other name. Raises RequestError."""
    file = {"digits": DIGITS, "characters": CHARACTERS}.get(name)
    return None if file is None else DataList(name, _bundled(file)[2], (file,))


# --- a person's own folder ---------------------------------------------------------------------------------------


def from_folder(folder: Path, *, seed: int = 0, cancel: Cancel | None = None) -> Material:
    """Sub-folders are classes, their names the words; photos, sounds or both lie in them, both where every class has
    both. Of each class 60 % are for training, 20 % each for validation and test, at least one.

    Raises RequestError, and Cancelled.
    """
    found = folders.read(folder, np.random.default_rng(seed), cancel)
    texts = tuple(name.replace("_", " ") for name in found.classes)
    words = Words(texts, np.arange(len(texts)), np.zeros(len(texts), np.int64))

    def part(split: Split) -> Part:
        photos, sounds = (None if rows is None else _share(rows, split) for rows in (found.photos, found.sounds))
        return Part(
            pictures=None if photos is None else Pictures(np.stack(photos[0]), photos[1]),
            sounds=None if sounds is None else Sounds.of(*sounds),
            words=words,
        )

    return Material(
        name=folder.name,
        classes=texts,
        languages=("und",),  # BCP 47 for a language nobody named
        families=("unknown",),
        voices=(Voice("unknown", "unknown"),),
        train=part("train"),
        valid=part("valid"),
        test=part("test"),
        digest=found.digest,
        files=found.files,
    )


def _share(rows: list[list[np.ndarray]], split: Split) -> tuple[list[np.ndarray], np.ndarray]:
    """Rows and labels of one split, out of the rows of each class."""
    kept, labels = [], []
    for label, own in enumerate(rows):
        n = max(1, round(0.2 * len(own)))
        of = {"test": own[:n], "valid": own[n : 2 * n], "train": own[2 * n :]}[split]
        kept += of
        labels += [label] * len(of)
    return kept, np.array(labels, np.int64)


# --- yardsticks on real data, where a checkout has them ----------------------------------------------------------


def omniglot(data: Path, split: str) -> Characters:
    """Omniglot's characters (Lake et al. 2015), drawn by hand, of the split "train" or "dev". Raises RequestError."""
    try:
        records = [record for record in fewshot(data, split) if record.corpus == "omniglot" and record.box is not None]
    except MissingPart as error:
        raise _absent(Message("word.omniglot", "Omniglot")) from error
    if not records:
        raise _absent(Message("word.omniglot", "Omniglot"))
    by_class: dict[str, list[ExampleRecord]] = {}
    for record in records:
        by_class.setdefault(record.label, []).append(record)
    sheets = {r.source: r.source.photo().pixels[..., 0] < 128 for r in {r.source: r for r in records}.values()}
    drawings = [
        [sheets[r.source][r.box[1] : r.box[3], r.box[0] : r.box[2]] for r in own if r.box is not None]
        for own in by_class.values()
    ]
    names = tuple(by_class)
    return Characters(
        drawings=np.array(drawings, np.uint8), scripts=tuple(n.rpartition("/")[0] for n in names), names=names
    )


def real_voices(folder: Path) -> Sounds:
    """Digits spoken in English by six people (Free Spoken Digit Dataset), voices in alphabetical order.

    folder: holds fsdd.tar and fsdd.jsonl.gz. The recordings are of 8 kHz, so there is nothing in the upper bands.
    Raises RequestError.
    """
    try:
        with gzip.open(folder / "fsdd.jsonl.gz", "rt", encoding="utf-8") as lines:
            about = {row["id"]: row for row in map(json.loads, lines)}
        with tarfile.open(folder / "fsdd.tar", "r:") as tar:
            files = {Path(m.name).stem: file.read() for m in tar if (file := tar.extractfile(m)) is not None}
    except (OSError, tarfile.TarError) as error:
        raise _absent(Message("word.voices", "The recordings of real voices")) from error
    codes = {name: sound_codes(decode_sound(files[name], name).samples) for name in about if name in files}
    heard = {name: code for name, code in codes.items() if code is not None}
    speakers = sorted({row["speaker"] for row in about.values()})
    sounds = Sounds.of(list(heard.values()), np.array([int(about[name]["digit"]) for name in heard]))
    return Sounds(
        sounds.mel,
        sounds.ends,
        sounds.labels,
        sounds.languages,
        np.array([speakers.index(about[name]["speaker"]) for name in heard]),
    )


def _absent(what: Message) -> RequestError:
    return RequestError(
        "lab_folder_lacks",
        "{what} cannot be read from this folder; choose another, or take what comes with the program.",
        what=what,
    )
