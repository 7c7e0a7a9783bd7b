"""Folders of the machine that the studio runs on, one level at a time, for its owner to choose from."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from engines import RequestError
from engines.media import CLIP_SUFFIXES, PHOTO_SUFFIXES, SOUND_SUFFIXES, TEXT_SUFFIXES

SUFFIXES = PHOTO_SUFFIXES | SOUND_SUFFIXES | CLIP_SUFFIXES | TEXT_SUFFIXES
N_FOLDERS = 500
"""Folders of one level that are listed; further ones are counted."""


@dataclass(frozen=True)
class Level:
    """A folder and what lies directly in it. folders: by name, without hidden ones; n_more: further ones; n_unnamed:
    those whose names are not text; n_files: files that can be searched, by their endings."""

    folder: Path
    folders: tuple[Path, ...] = ()
    n_more: int = 0
    n_unnamed: int = 0
    n_files: int = 0

    @property
    def parent(self) -> Path | None:
        """The folder above, None at the top."""
        return self.folder.parent if self.folder.parent != self.folder else None


def home() -> Path:
    """The owner's home folder; the top where there is none or its name is not text."""
    try:
        found = Path.home()
    except RuntimeError:
        found = Path()
    return found if found.is_absolute() and is_text(found) else Path(Path.cwd().anchor)


def drives() -> list[Path]:
    """The top folders of a machine that has several: the drives of Windows."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ" if os.name == "nt" else ""
    return [drive for letter in letters if (drive := Path(f"{letter}:/")).is_dir()]


def existing_folder(typed: str | None) -> Path:
    """The folder a person typed. Raises RequestError if there is none, or it may not be read."""
    path = (typed or "").strip().strip("\"'")
    try:
        folder = Path(os.path.normpath(Path(path).expanduser()))
        exists = bool(path) and folder.is_absolute() and is_text(folder) and folder.is_dir()
    except PermissionError as error:
        raise _denied(path) from error
    except (OSError, RuntimeError):  # a name that is too long, a home that is not known
        exists = False
    if not exists:
        raise RequestError(
            "no_such_folder", "There is no such folder on this computer; type its whole path, for example ~/Pictures."
        )
    return folder


def level(folder: Path) -> Level:
    """What lies directly in a folder. Raises RequestError if it may not be read or has gone."""
    folders: list[Path] = []
    n_unnamed = n_files = 0
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                path = folder / entry.name
                if not _is_folder(entry):
                    n_files += path.suffix.lower() in SUFFIXES
                elif is_text(path):
                    folders.append(path)
                else:
                    n_unnamed += 1
    except PermissionError as error:
        raise _denied(str(folder)) from error
    except OSError as error:
        raise RequestError(
            "folder_gone", "The folder {name} cannot be read, or is not there any more.", name=str(folder)
        ) from error
    folders.sort(key=lambda path: path.name.casefold())
    return Level(folder, tuple(folders[:N_FOLDERS]), max(0, len(folders) - N_FOLDERS), n_unnamed, n_files)


def is_text(path: Path) -> bool:
    """Whether a path can be shown and sent: names on a disk may hold bytes that are not UTF-8."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _denied(name: str) -> RequestError:
    return RequestError("folder_denied", "You may not read the folder {name}; check its rights.", name=name)
