"""Label sets on disk: one safetensors file each, embeddings as an array, everything else as JSON in its metadata.

A file is named after the plain letters of the set's name and a digest of the whole name, so names of any language work
and none leads out of the folder. Files are replaced atomically: a reader sees the old set or the new one. A damaged
file is reported with one sentence; the others still work.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import shutil
import unicodedata
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from engines import tensor_files
from engines.errors import CollectionError, Message, RequestError, UserError
from engines.lab.fewshot import Example, LabelSet, adapted_head, tidy
from engines.paths import ASSETS, write_whole
from engines.protocol import KINDS

SUFFIX = ".safetensors"
MEDIA = "media"
"""The folder beside the sets that may hold copies of their examples: a sub-folder per set, deleted with it."""
FORMAT = "fusion-studio labels 1"
MAX_FILE_BYTES = 2**25
"""Two hundred embeddings of 4,096 numbers are 3 MB; a larger file is refused unread."""


@dataclass(frozen=True)
class Entry:
    """A label set in the folder, without its embeddings. failure: why it cannot be used, None where it can."""

    name: str
    labels: tuple[str, ...] = ()
    n_examples: int = 0
    model_digest: str = ""
    failure: UserError | None = None


class LabelFolder:
    """The label sets of one folder, which is created with the first set."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def entries(self) -> list[Entry]:
        """All sets, sorted by name; a damaged file under its file name, with its failure."""
        found = []
        for path in sorted(self._folder.glob(f"*{SUFFIX}")):
            try:
                found.append(_entry(_read(path)))
            except CollectionError as error:
                found.append(Entry(path.stem, failure=error))
        return sorted(found, key=lambda entry: (entry.failure is not None, entry.name.casefold(), entry.name))

    def load(self, name: str) -> LabelSet:
        """The set of this name. Raises RequestError where there is none, CollectionError where it is damaged."""
        path = self._path(name)
        if not path.is_file():
            known = [entry.name for entry in self.entries() if entry.failure is None]
            raise RequestError(
                "label_set_unknown",
                "No label set is called {name!r}; there are: {known}.",
                name=tidy(name),
                known=known[:20] or Message("word.none_yet", "none yet"),
            )
        return _read(path)

    def save(self, labels: LabelSet) -> None:
        """Save a set, replacing one of the same name. Raises UserError where the folder cannot be written."""
        path = self._path(labels.name)
        before = self._copies(path)
        written = _bytes(labels)
        try:
            write_whole(path, written)
        except OSError as error:
            raise _unwritable() from error
        _drop(before - self._copies(path))

    def rename(self, old: str, new: str) -> None:
        """Rename a set. Raises RequestError where there is no such set, or already one of the new name."""
        before, after = self._path(old), self._path(new)
        labels = replace(self.load(old), name=tidy(new))
        if after != before and after.exists():
            raise RequestError(
                "label_set_exists",
                "There is a label set {name!r} already; choose another name, or delete that one first.",
                name=tidy(new),
            )
        self.save(labels)
        if after != before:
            self._remove(before)

    def delete(self, name: str) -> None:
        """Delete a set and the copies of its examples; a damaged one by the name that `entries` gives it.

        Raises RequestError.
        """
        path = self._path(name)
        if not path.is_file():
            damaged = [p for p in self._folder.glob(f"*{SUFFIX}") if p.stem == name]
            if not damaged:
                self.load(name)  # raises the error that lists the known sets
            path = damaged[0]
        copies = self._copies(path)
        self._remove(path)
        _drop(copies)

    def _copies(self, path: Path) -> set[Path]:
        """The folders with copies of this set's examples; none where the file cannot be read."""
        media = (self._folder / MEDIA).resolve()
        try:
            paths = [Path(example.path).resolve() for example in _read(path).examples if example.path]
        except CollectionError:
            return set()
        return {media / each.relative_to(media).parts[0] for each in paths if media in each.parents}

    def _remove(self, path: Path) -> None:
        try:
            path.unlink()
        except OSError as error:
            raise _unwritable() from error

    def _path(self, name: str) -> Path:
        return self._folder / f"{slug(name)}{SUFFIX}"


def _drop(folders: Iterable[Path]) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def slug(name: str) -> str:
    """The file name for a set's name: its plain letters, for people, and a digest, which makes it unique.

    Names that differ only in case, spaces or the encoding of accents are the same.
    """
    same = tidy(unicodedata.normalize("NFC", name).casefold())
    plain = re.sub(r"[^a-z0-9]+", "-", unicodedata.normalize("NFKD", same)).strip("-")[:40].strip("-")
    return f"{plain or 'labels'}-{hashlib.sha256(same.encode()).hexdigest()[:12]}"


def _entry(labels: LabelSet) -> Entry:
    return Entry(labels.name, labels.labels, len(labels.examples), labels.model_digest)


def _bytes(labels: LabelSet) -> bytes:
    from safetensors.numpy import save

    about = {
        "format": FORMAT,
        "name": labels.name,
        "model_digest": labels.model_digest,
        "examples": [
            {"label": each.label, "file": each.file, "path": each.path, "kind": each.kind} for each in labels.examples
        ],
    }
    vectors = np.stack([each.vector for each in labels.examples]).astype(np.float32)
    return save({"vectors": vectors}, {"labels": json.dumps(about, ensure_ascii=False)})


def _read(path: Path) -> LabelSet:
    """Read a set, checking every part of the file. Raises CollectionError."""
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ValueError("too large")
        about, tensors = tensor_files.read(path, "labels")
        labels = _checked(about, tensors["vectors"])
        if slug(labels.name) != path.stem:
            raise ValueError("the file was renamed")
        return labels
    except (OSError, KeyError, TypeError, ValueError, RequestError) as error:
        raise CollectionError(
            "label_set_damaged",
            "The label set in {name} is damaged, or its file was renamed; delete it and teach it again.",
            name=path.name,
        ) from error


def _checked(about: dict[str, Any], vectors: np.ndarray) -> LabelSet:
    """Build a set from a file's content. Raises KeyError, TypeError, ValueError or RequestError where it is invalid."""
    rows = about["examples"]
    if about["format"] != FORMAT or vectors.ndim != 2 or len(vectors) != len(rows) or vectors.dtype != np.float32:
        raise ValueError("of another format")
    if not np.allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-2):
        raise ValueError("embeddings are not of length 1")
    examples = tuple(
        Example(
            label=_text(row["label"]),
            file=_text(row["file"]),
            path=_text(row["path"]),
            kind=_kind(row["kind"]),
            vector=vector,
        )
        for row, vector in zip(rows, vectors, strict=True)
    )
    return LabelSet(name=_text(about["name"]), examples=examples, model_digest=_text(about["model_digest"]))


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not text")
    return value


def _kind(value: object) -> Any:
    if value not in KINDS:
        raise ValueError(f"{value!r} is not a kind of media")
    return value


def _unwritable() -> UserError:
    return UserError(
        "label_sets_not_kept",
        "Label sets cannot be kept: their folder cannot be written; free some space or check its rights.",
    )


# --- export ---------------------------------------------------------------------------------------------------------

SCRIPT = ASSETS / "lab" / "classify.py"
"""Classifies with an exported label set; given embeddings it needs nothing but numpy and safetensors."""


def exported(labels: LabelSet) -> bytes:
    """A zip of the script and the head, which computes what `fewshot.recognise` does."""
    from safetensors.numpy import save

    adapted, _ = adapted_head(labels)
    arrays = {"centre": adapted.centre[0], "weights": adapted.weights, "threshold": adapted.threshold[0]}
    arrays["scale"] = adapted.head.scale
    if adapted.head.metric is not None:
        arrays["metric"] = adapted.head.metric
    tensors = {name: np.ascontiguousarray(array.numpy()) for name, array in arrays.items()}
    about = {"name": labels.name, "labels": labels.labels, "model_digest": labels.model_digest}
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as folder:
        folder.writestr("head.safetensors", save(tensors, {"about": json.dumps(about, ensure_ascii=False)}))
        folder.write(SCRIPT, "classify.py")
    return packed.getvalue()
