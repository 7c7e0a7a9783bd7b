"""Readers of training and test data in the shared layout: photos, speech, sounds, text pairs, few-shot sets, clips.

A folder holds `photos/`, `naming/`, `photo_qa/`, `captions/`, `speech/`, `sounds/`, `text/`, `fewshot/`, `video/`;
what belongs to which split is said by file names (`flickr8k_dev.jsonl.gz`, `en-de.dev.tsv.gz`) or by a `split` field in
the lines. Lists are gzipped JSON lines or tab-separated text; media lie in plain .tar files and are read by offset, so
nothing is unpacked and nothing but the lists is held in memory. A part that is not there raises `DatasetMissing`.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import logging
import re
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image

from engines.errors import MediaError, StudioError
from engines.media.photos import PILLOW_FAULTS
from engines.protocol import RATE_HZ, Photo, Sound

logger = logging.getLogger(__name__)

MAYBE_SPOKEN = frozenset({"children_playing", "street_music"})  # labels of sounds in which there may be words
CAPTIONS_ONLY = "captions_only.jsonl.gz"
"""The one list among the photos whose photos are not there."""
PHOTO_FORMATS = ("JPEG", "PNG", "WEBP")
"""What Pillow may try: a plugin that something else has loaded brings faults of its own."""


class DatasetMissing(StudioError):
    """A part of the data is not there; the text says which one. Evaluation prints it as a skipped row."""


# --- members: bytes inside a tar ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Member:
    """Where a file's bytes lie: inside a .tar, or a whole file of its own (offset 0)."""

    archive: Path
    name: str
    offset: int
    n_bytes: int

    def read(self) -> bytes:
        """The bytes of the file."""
        with self.archive.open("rb") as file:
            file.seek(self.offset)
            return file.read(self.n_bytes)

    def photo(self) -> Photo:
        """The picture, RGB. Raises MediaError when the bytes are no picture."""
        return decode_photo(self.read(), self.name)

    def sound(self) -> Sound:
        """The sound, mono at 16 kHz. Raises MediaError when the bytes are no sound."""
        return decode_sound(self.read(), self.name)

    def as_file(self, folder: Path) -> Path:
        """A path to the file: its own, or a copy written into `folder` when it lies inside a .tar."""
        if self.archive.suffix != ".tar":
            return self.archive
        path = folder / Path(self.name).name
        path.write_bytes(self.read())
        return path


def decode_photo(data: bytes, name: str) -> Photo:
    """Picture bytes (WebP, PNG, JPEG) to (H, W, 3) uint8. name: for the error sentence only."""
    try:
        with Image.open(io.BytesIO(data), formats=PHOTO_FORMATS) as image:
            return Photo(np.asarray(image.convert("RGB")))
    except PILLOW_FAULTS as error:
        raise MediaError("archive_not_a_picture", "{name} is not a picture that can be read.", name=name) from error


def decode_sound(data: bytes, name: str) -> Sound:
    """Sound bytes (Opus, WAV, FLAC) to mono float32 at 16 kHz. name: for the error sentence only."""
    resampler = av.AudioResampler(format="flt", layout="mono", rate=RATE_HZ)
    chunks: list[np.ndarray] = []
    try:
        with av.open(io.BytesIO(data)) as container:
            for frame in container.decode(audio=0):
                frame.pts = None  # what starts late or has gaps is joined, as players do
                chunks += [part.to_ndarray().reshape(-1) for part in resampler.resample(frame)]
            chunks += [part.to_ndarray().reshape(-1) for part in resampler.resample(None)]
    except (av.FFmpegError, IndexError, ValueError) as error:
        raise MediaError("archive_not_a_sound", "{name} is not a sound that can be read.", name=name) from error
    samples = np.concatenate(chunks) if chunks else np.zeros(0, np.float32)
    return Sound(np.clip(samples, -1.0, 1.0).astype(np.float32, copy=False))


@lru_cache(maxsize=64)
def _tar_members(archive: Path, mtime_ns: int) -> dict[str, Member]:  # noqa: ARG001 (a part of the cache key)
    with tarfile.open(archive, "r:") as tar:
        return {m.name: Member(archive, m.name, m.offset_data, m.size) for m in tar if m.isfile()}


class _TarIndex:
    """All files of one folder by name and by stem, inside its .tar files or beside them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._members: dict[str, Member] = {}
        for archive in sorted(folder.glob("*.tar")):
            for name, member in _tar_members(archive, archive.stat().st_mtime_ns).items():
                self._members[Path(name).name] = self._members[Path(name).stem] = member

    def find(self, *names: str | None) -> Member | None:
        """The first of these names (with or without suffix) that is there."""
        for name in filter(None, names):
            member = self._members.get(Path(name).name)
            if member is not None:
                return member
            loose = self._folder / name
            if loose.is_file() and loose.resolve().is_relative_to(self._folder.resolve()):
                return Member(loose, loose.name, 0, loose.stat().st_size)
        return None


# --- lists -------------------------------------------------------------------------------------------------------


def _lines(path: Path) -> Iterator[str]:
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as file:
        for line in file:
            if line.strip():
                yield line.rstrip("\r\n")


def _found(data: Path, part: str, split: str, *keys: str) -> list[tuple[str, dict[str, Any], Member]]:
    """The lines of a split, by their own `split` field, else by the file's name, else all of them.

    With each the name of its list up to the split ("flickr8k") and the file that one of its `keys` names.
    """
    folder = data / part
    lists = sorted(path for path in folder.glob("*.jsonl*") if path.name != CAPTIONS_ONLY)
    if not lists:
        raise DatasetMissing(f"the data has no {part}")
    index = _TarIndex(folder)
    found, n_listed = [], 0
    for path in lists:
        named = re.search(rf"(?:^|[._-])({re.escape(split)}|train|dev|test)(?=[._-])", path.name)
        corpus = path.name.split(".")[0] if named is None else path.name[: named.start()]
        for row in map(json.loads, _lines(path)):
            if row.get("split", split if named is None else named.group(1)) == split:
                n_listed += 1
                member = index.find(*(row.get(key) for key in keys))
                if member is not None:
                    found.append((corpus, row, member))
    if not found:
        lost = ", though the list names some" if n_listed else ""
        raise DatasetMissing(f"the data has no {part} of the split {split}{lost}")
    if len(found) < n_listed:
        logger.warning("%s, %s: %d of %d are listed but not there", part, split, n_listed - len(found), n_listed)
    return found


# --- photos ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Photo:
    """A photo of a data set, decoded when it is asked for."""

    id: str
    corpus: str
    source: Member

    def load(self) -> Photo:
        return self.source.photo()


@dataclass(frozen=True)
class PhotoRecord(_Photo):
    """A photo and what people wrote about it.

    captions: by language ("en", "de", "zh"; "zh_ht" human and "zh_mt_google" machine translations of the English
    ones). A language nobody wrote in is absent.
    """

    captions: Mapping[str, tuple[str, ...]]


def photos(data: Path, split: str) -> list[PhotoRecord]:
    """The photos of a split with their captions, in the order of the lists. Raises DatasetMissing."""
    return [
        PhotoRecord(row["image"], corpus, source, _written(row))
        for corpus, row, source in _found(data, "photos", split, "image", "file")
    ]


def _written(row: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    """The lists of texts in a line, by language."""
    texts = {key: tuple(t for t in value if t.strip()) for key, value in row.items() if isinstance(value, list)}
    return {key: value for key, value in texts.items() if value}


def captions_only(data: Path) -> list[Mapping[str, tuple[str, ...]]]:
    """Captions, by language, of photos that are not in the data, for text-only training. Raises DatasetMissing."""
    lists = [data / "photos" / CAPTIONS_ONLY, *sorted((data / "captions").glob("*.jsonl.gz"))]
    lists = [path for path in lists if path.is_file()]
    if not lists:
        raise DatasetMissing("the data has no captions without photos")
    return [_written(row) for path in lists for row in map(json.loads, _lines(path))]


@dataclass(frozen=True)
class ConceptRecord:
    """A class of ImageNet's classifier: its names by language, and the English words that count as naming it."""

    names: Mapping[str, str]
    accepted: tuple[str, ...]


def concepts(data: Path) -> list[ConceptRecord]:
    """All classes in the classifier's order. Raises DatasetMissing."""
    path = data / "naming" / "concepts.tsv"
    if not path.is_file():
        raise DatasetMissing("the data has no list of concepts")
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    return [
        ConceptRecord(
            names={language: row[language] for language in ("en", "de", "fr", "zh")},
            accepted=tuple(word.strip() for word in row["accept"].split(",") if word.strip()),
        )
        for row in rows
    ]


@dataclass(frozen=True)
class NamedPhotoRecord(_Photo):
    """A photo of one of the `concepts`. label: its place in that list."""

    label: int


def named_photos(data: Path, split: str) -> list[NamedPhotoRecord]:
    """The photos of a split whose class is known. Raises DatasetMissing."""
    return [
        NamedPhotoRecord(row["image"], corpus, source, int(row["class"]))
        for corpus, row, source in _found(data, "naming", split, "image", "file")
    ]


@dataclass(frozen=True)
class AskedPhotoRecord(_Photo):
    """A photo with (question, answer) pairs written by people, in English."""

    questions: tuple[tuple[str, str], ...]


def asked_photos(data: Path, split: str) -> list[AskedPhotoRecord]:
    """The photos of a split with their questions. Raises DatasetMissing."""
    return [
        AskedPhotoRecord(row["image"], corpus, source, tuple((pair["q"], pair["a"]) for pair in row["qa"]))
        for corpus, row, source in _found(data, "photo_qa", split, "image", "file")
    ]


# --- speech and sounds -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SpeechRecord:
    """A recording of speech. text: lower case, no punctuation; raw: as it was written first.

    image: the photo it describes, "" where it describes none.
    """

    id: str
    speaker: str
    text: str
    raw: str
    corpus: str
    language: str
    source: Member
    image: str = ""

    def load(self) -> Sound:
        return self.source.sound()


def speech(data: Path, split: str) -> list[SpeechRecord]:
    """The speech of a split, in the order of the manifest. Raises DatasetMissing."""
    return [
        SpeechRecord(
            id=row["id"],
            speaker=row.get("speaker", ""),
            text=row["text"],
            raw=row.get("raw") or row["text"],
            corpus=row.get("corpus", corpus),
            language=row.get("lang", "en"),
            source=source,
            image=row.get("image") or "",
        )
        for corpus, row, source in _found(data, "speech", split, "id", "file")
    ]


@dataclass(frozen=True)
class SoundRecord:
    """A sound that is not speech, with its label ("dog_bark", "rain")."""

    id: str
    label: str
    corpus: str
    source: Member

    def load(self) -> Sound:
        return self.source.sound()


def sounds(data: Path, split: str) -> list[SoundRecord]:
    """The labelled sounds of a split, in the order of the manifest. Raises DatasetMissing."""
    return [
        SoundRecord(row["id"], row["label"], row.get("corpus", corpus), source)
        for corpus, row, source in _found(data, "sounds", split, "id")
    ]


# --- text --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class PairRecord:
    """A sentence and its translation. source is always English here."""

    source: str
    target: str
    corpus: str


def pairs(data: Path, languages: str, split: str) -> list[PairRecord]:
    """Sentence pairs, for example `pairs(data, "en-de", "dev")`. Raises DatasetMissing."""
    name = re.compile(rf"{re.escape(languages)}\.{re.escape(split)}(?:\.[^/]*)?\.tsv(?:\.gz)?")
    records: list[PairRecord] = []
    for path in sorted(path for path in (data / "text").glob("*") if name.fullmatch(path.name)):
        for line in _lines(path):
            source, target, corpus = (*line.split("\t"), "", "")[:3]
            if source.strip() and target.strip():
                records.append(PairRecord(source, target, corpus or "text"))
    if not records:
        raise DatasetMissing(f"the data has no text pairs {languages} of the split {split}")
    return records


def mono_zh(data: Path) -> list[str]:
    """Chinese sentences without a translation, for back-translation. Raises DatasetMissing."""
    texts = [line.split("\t")[0] for path in sorted((data / "text").glob("mono.zh.*")) for line in _lines(path)]
    if not texts:
        raise DatasetMissing("the data has no Chinese text without translation")
    return texts


# --- few-shot sets -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ExampleRecord:
    """One picture of one class of a few-shot set.

    box: (left, top, right, bottom) in pixels when it is a tile of a larger sheet, else None.
    """

    corpus: str
    label: str
    source: Member
    box: tuple[int, int, int, int] | None = None

    def load(self) -> Photo:
        pixels = self.source.photo().pixels
        if self.box is None:
            return Photo(pixels)
        left, top, right, bottom = self.box
        return Photo(np.ascontiguousarray(pixels[top:bottom, left:right]))


def fewshot(data: Path, split: str) -> list[ExampleRecord]:
    """All pictures of the few-shot sets of a split. Raises DatasetMissing.

    A line describes either one photo with its `label`, or a sheet of tiles in reading order, `per_class` tiles of
    one class after the other.
    """
    records: list[ExampleRecord] = []
    for corpus, row, source in _found(data, "fewshot", split, "file", "id", "image"):
        corpus = row.get("corpus", corpus)
        is_sheet = {"tile", "per_class"} <= row.keys()
        records += _tiles(row, corpus, source) if is_sheet else [_example(row, corpus, source)]
    return records


def _example(row: dict[str, Any], corpus: str, source: Member) -> ExampleRecord:
    label = next((row[key] for key in ("label", "class", "category", "name") if key in row), Path(source.name).parent)
    return ExampleRecord(corpus, str(label), source)


def _tiles(row: dict[str, Any], corpus: str, source: Member) -> list[ExampleRecord]:
    """The tiles of a sheet in reading order, `per_class` of one class after the other."""
    side, classes = row["tile"], row.get("classes", 1)
    width, height = (side, side) if isinstance(side, int) else side
    names = [f"{row.get('id', source.name)}/{i}" for i in range(classes)] if isinstance(classes, int) else classes
    with Image.open(io.BytesIO(source.read())) as sheet:
        n_columns = max(1, sheet.width // width)
    records = []
    for i in range(len(names) * row["per_class"]):
        y, x = divmod(i, n_columns)
        box = (x * width, y * height, (x + 1) * width, (y + 1) * height)
        records.append(ExampleRecord(corpus, str(names[i // row["per_class"]]), source, box))
    return records


# --- clips -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class VideoRecord:
    """A real clip with (question, answer) pairs."""

    id: str
    source: Member
    questions: tuple[tuple[str, str], ...]


def videos(data: Path, split: str) -> list[VideoRecord]:
    """The real clips of a split with their questions. Raises DatasetMissing."""
    return [
        VideoRecord(str(row["id"]), source, tuple((pair["q"], pair["a"]) for pair in row.get("qa", ())))
        for _, row, source in _found(data, "video", split, "file", "id")
    ]
