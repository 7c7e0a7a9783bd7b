"""Read a person's folder: each sub-folder is a class, the photos and sounds in it are its examples.

A problem with the folder raises one sentence. A file that cannot be read, is silent or repeats another's bytes (in any
class) is skipped; reading fails only when a class is left with too few.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from engines.errors import Cancelled, MediaError, Message, RequestError
from engines.lab.data.arrays import PX, sound_codes
from engines.media import PHOTO_SUFFIXES, SOUND_SUFFIXES, content_digest, load_photo, load_sound
from engines.protocol import RATE_HZ, Cancel

MAX_CLASSES, MAX_PER_CLASS, MIN_PER_CLASS = 100, 200, 5
"""At most MAX_PER_CLASS photos and as many sounds of each class are used, drawn at random."""
MAX_SOUND_S = 120.0
"""The loudest second of each sound is used, searched for in its first two minutes."""

SUFFIXES: Mapping[str, frozenset[str]] = {"photos": PHOTO_SUFFIXES, "sounds": SOUND_SUFFIXES}
"""The files of each modality, by their suffixes."""
WORDS = {"photos": Message("word.photos", "photos"), "sounds": Message("word.sounds", "sounds")}


@dataclass(frozen=True, eq=False, kw_only=True)
class FolderContents:
    """The examples of a folder by class, in random order; None for a modality that not every class has.

    photos: (PX, PX, 3) uint8 each. sounds: (S, N_MELS) uint8 each. files: those read, "class/name"; digest: SHA-256
    over them and their content, as hex.
    """

    classes: tuple[str, ...]
    photos: list[list[np.ndarray]] | None
    sounds: list[list[np.ndarray]] | None
    files: tuple[str, ...]
    digest: str


def read(folder: Path, rng: np.random.Generator, cancel: Cancel | None = None) -> FolderContents:
    """Read a folder with at least MIN_PER_CLASS examples of each class. Raises RequestError, and Cancelled."""
    classes = _class_folders(folder)
    names = [path.name for path in classes]
    files = {modality: [_listed(path, suffixes) for path in classes] for modality, suffixes in SUFFIXES.items()}
    used = [modality for modality in SUFFIXES if all(files[modality])]
    if not used:
        no_photo, no_sound = (names[files[modality].index([])] for modality in SUFFIXES)
        raise RequestError(
            "classes_without_common_media",
            "Every class needs photos, or every class sounds: {no_photo} has no photos and {no_sound} no sounds.",
            no_photo=no_photo,
            no_sound=no_sound,
        )
    seen: dict[str, str] = {}  # content digest -> class/name
    rows = {
        modality: [
            _read(name, found, modality, seen, rng, cancel) for name, found in zip(names, files[modality], strict=True)
        ]
        for modality in used
    }
    if not seen:
        n_files = sum(len(found) for modality in used for found in files[modality])
        raise RequestError(
            "no_file_readable",
            "None of the {n} files in {folder} can be read; JPEG, PNG, WAV and MP3 are safe choices.",
            n=n_files,
            folder=folder.name,
        )
    for modality in used:
        for name, found, listed in zip(names, rows[modality], files[modality], strict=True):
            _check_enough(name, modality, len(found), min(len(listed), MAX_PER_CLASS))
    digest = hashlib.sha256(json.dumps([names, sorted(seen.items())]).encode()).hexdigest()
    return FolderContents(
        classes=tuple(names),
        photos=rows.get("photos"),
        sounds=rows.get("sounds"),
        files=tuple(sorted(seen.values())),
        digest=digest,
    )


def _class_folders(folder: Path) -> list[Path]:
    try:
        classes = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    except (OSError, ValueError) as error:  # a name no folder can have is a ValueError
        raise RequestError(
            "class_folder_missing",
            "There is no folder {name} that can be opened; choose one that holds a sub-folder for each class.",
            name=folder.name,
        ) from error
    if not classes:
        raise RequestError(
            "no_class_folders",
            "{name} has no sub-folders; make one for each class, named after it, and put its files there.",
            name=folder.name,
        )
    if len(classes) == 1:
        raise RequestError(
            "one_class_only",
            "{name} has only one class, {only}; add a sub-folder for a second one.",
            name=folder.name,
            only=classes[0].name,
        )
    if len(classes) > MAX_CLASSES:
        raise RequestError(
            "too_many_classes",
            "{name} has {n} classes; at most {at_most} are taken.",
            name=folder.name,
            n=len(classes),
            at_most=MAX_CLASSES,
        )
    return classes


def _listed(folder: Path, suffixes: frozenset[str]) -> list[Path]:
    try:
        return sorted(p for p in folder.iterdir() if p.suffix.lower() in suffixes and not p.name.startswith("."))
    except OSError:  # a sub-folder that may not be opened holds nothing for us; the sentence will name it
        return []


def _read(
    name: str,
    files: list[Path],
    modality: str,
    seen: dict[str, str],
    rng: np.random.Generator,
    cancel: Cancel | None,
) -> list[np.ndarray]:
    """The readable examples of a class, in an order drawn by `rng`."""
    one: Callable[[Path], np.ndarray | None] = _photo if modality == "photos" else _loudest_second
    rows = []
    for i in rng.permutation(len(files))[:MAX_PER_CLASS]:
        if cancel is not None and cancel.is_set:
            raise Cancelled("reading a folder was stopped")
        try:
            digest = content_digest(files[i])
            row = None if digest in seen else one(files[i])
        except MediaError:  # counted by being missing; a class that falls short says so
            continue
        if row is not None:
            seen[digest] = f"{name}/{files[i].name}"
            rows.append(row)
    return rows


def _photo(path: Path) -> np.ndarray:
    pixels = Image.fromarray(load_photo(path, max_side=4 * PX).pixels)
    return np.asarray(pixels.resize((PX, PX), Image.Resampling.BICUBIC))


def _loudest_second(path: Path) -> np.ndarray | None:
    samples = load_sound(path, max_s=MAX_SOUND_S).samples
    energy = np.concatenate(([0.0], np.cumsum(samples.astype(np.float64) ** 2)))
    start = 0 if len(samples) <= RATE_HZ else int(np.argmax(energy[RATE_HZ:] - energy[:-RATE_HZ]))
    return sound_codes(samples[start : start + RATE_HZ])


def _check_enough(name: str, modality: str, n: int, n_files: int) -> None:
    if n >= MIN_PER_CLASS:
        return
    values = {"n_needed": MIN_PER_CLASS, "what": WORDS[modality], "name": name, "n": n}
    if n == n_files:
        raise RequestError(
            "class_too_small", "Of the {n_needed} {what} a class needs, {name} has {n}; add some.", **values
        )
    raise RequestError(
        "class_too_small_lost",
        "Of the {n_needed} {what} a class needs, {name} has {n} ({n_lost} more cannot be read, are silent or are there "
        "twice); add some.",
        **values,
        n_lost=n_files - n,
    )
