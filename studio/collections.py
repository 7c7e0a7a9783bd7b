"""Search collections: where their files are, and which folder each one indexes.

The page knows a collection by name; folder and file stay on the server. The owner may index any folder; a visitor has
the samples and the files uploaded in the same session.
"""

from __future__ import annotations

import filecmp
import hashlib
import json
import shutil
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from engines import KINDS, Kind, RequestError, UserError
from engines.index import shipped
from engines.paths import ASSETS
from studio import uploads
from studio.browsers import Browsers
from studio.folders import existing_folder

SAMPLES = "samples"
UPLOADS = "uploads"
FOLDER = "folder"
FILES = "files"
SHIPPED_INDEX = ASSETS / "wall" / "index.json"
"""The index of the samples by the built-in model; `scripts/prepare_samples.py` makes it."""


@dataclass(frozen=True)
class CollectionRef:
    """A collection: its name on the page, the folder it indexes, the file that holds it, the kinds searched in it."""

    name: str
    folder: Path
    file: Path
    kinds: tuple[Kind, ...] = KINDS

    def kinds_among(self, chosen: Collection[str]) -> frozenset[Kind]:
        """The chosen kinds that are searched in it."""
        return frozenset(kind for kind in self.kinds if kind in chosen)


class CollectionStore:
    """The collections below `home`. samples: the folder of the ready-made one; browsers: whose uploads are whose."""

    def __init__(self, home: Path, samples: Path, browsers: Browsers | None = None) -> None:
        self._home = home
        self._samples = samples
        self._browsers = browsers or Browsers()

    def samples(self, model_digest: str) -> CollectionRef:
        """The collection of the samples for one model, ready to search if its index ships with them. Media only,
        since the texts beside the samples are their sources."""
        found = self._collection(SAMPLES, self._samples.resolve(), model_digest)
        shipped.load(SHIPPED_INDEX, found.file, found.folder, model_digest)
        return replace(found, kinds=tuple(kind for kind in KINDS if kind != "text"))

    @property
    def routes(self) -> Path:
        """The file that keeps which model serves which task, for the next start."""
        return self._home / "models.json"

    def folder(self, typed: str) -> CollectionRef:
        """The collection of a folder on this machine. Raises RequestError if there is no such folder."""
        if not typed.strip():
            raise RequestError("folder_needed", "Choose the folder to search in first.")
        folder = existing_folder(typed)
        collection = self._collection(folder.name or "root", folder.resolve())
        self._remember(collection.folder)
        return collection

    def folders(self) -> list[str]:
        """Folders searched before, the latest first."""
        try:
            known = json.loads(self._list().read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return []
        return [name for name in known if isinstance(name, str)] if isinstance(known, list) else []

    def uploads(self, session: str, files: Sequence[Path]) -> CollectionRef:
        """The collection of one session's uploads; new files are added to it."""
        folder = self._folder_of(session) / FILES
        folder.mkdir(parents=True, exist_ok=True)
        for file in files:
            target = _free_name(folder / file.name, file)
            if not target.exists():
                shutil.copyfile(file, target)
        if not any(folder.iterdir()):
            raise RequestError("files_needed", "Drop the files to search in first.")
        return CollectionRef(UPLOADS, folder, folder.with_name(f"{UPLOADS}.sqlite"))

    def uploaded(self, session: str) -> list[Path]:
        """The files that one session uploaded, by name."""
        folder = self._folder_of(session) / FILES
        return sorted(folder.iterdir()) if folder.is_dir() else []

    def remove_upload(self, session: str, file: Path) -> None:
        """Delete a file that a session uploaded; the next indexing takes it out of the collection. Nothing happens to
        any other file."""
        if file in self.uploaded(session):
            file.unlink(missing_ok=True)

    def remove_uploads(self, session: str) -> None:
        """Delete all files that a session uploaded, and their collection."""
        shutil.rmtree(self._folder_of(session), ignore_errors=True)

    def delete_old_uploads(self, *, now_s: float | None = None) -> None:
        """Delete copies of uploads an hour after they were made, and collections in which they were found."""
        for folder in (self._home / UPLOADS).glob("*/*"):
            if uploads.delete_old(folder / FILES, now_s=now_s):
                with suppress(OSError):  # newer files are still in it
                    (folder / FILES).rmdir()
                for collection in folder.glob(f"{UPLOADS}.sqlite*"):
                    collection.unlink(missing_ok=True)

    def _folder_of(self, session: str) -> Path:
        owner = self._browsers.owner(session)
        return uploads.claim(self._home / UPLOADS) / hashlib.sha256(owner.encode()).hexdigest()[:24]

    def _collection(self, name: str, folder: Path, model_digest: str = "") -> CollectionRef:
        digest = hashlib.sha256(f"{folder}{model_digest}".encode()).hexdigest()[:12]
        store = self._home / "collections"
        try:
            store.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(
                "collections_not_kept",
                "Collections cannot be kept: their folder cannot be written; free some space or check its rights.",
            ) from error
        return CollectionRef(name, folder, store / f"{name}-{digest}.sqlite")

    def _list(self) -> Path:
        return self._home / "folders.json"

    def _remember(self, folder: Path) -> None:
        known = [name for name in self.folders() if name != str(folder)]
        self._list().write_text(json.dumps([str(folder), *known][:20], ensure_ascii=False), encoding="utf-8")


def _free_name(target: Path, file: Path) -> Path:
    """`target`, or a numbered name beside it when another file has that name already."""
    numbered, n = target, 1
    while numbered.exists() and not filecmp.cmp(numbered, file, shallow=False):
        n += 1
        numbered = target.with_name(f"{target.stem} ({n}){target.suffix}")
    return numbered
