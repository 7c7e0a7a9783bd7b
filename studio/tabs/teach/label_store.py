"""Label sets of "Teach it": the draft each page is working on, and the store of saved sets.

The owner's sets are kept in a folder; a visitor's live in a temporary folder of their session. A set keeps copies of
its examples, because uploads are deleted after a while.

    labels/pets-0f3c….safetensors        a set (`engines.lab.label_store`)
    labels/media/9be1…/0/dog.jpg         its first example, in a folder with a random name
"""

from __future__ import annotations

import secrets
import shutil
import tempfile
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from engines import Kind, UserError
from engines.lab.fewshot import MAX_EXAMPLES, MAX_LABELS, MIN_LABELS, LabelSet
from engines.lab.label_store import MEDIA, LabelFolder
from studio.browsers import Browsers
from studio.registry import N_SESSIONS, Registry


@dataclass(frozen=True)
class UploadedFile:
    """A file dropped on the page. kind: None if it cannot be read. file_id: its id in the `DownloadRegistry`."""

    path: Path
    kind: Kind | None
    file_id: str


class Draft:
    """The examples one page has collected so far, one row per label. Safe from any thread.

    n_rows: rows shown. name, labels: as they were typed when last seen. active: name of the set in use, "" for none.
    queries: the files recognised last.
    """

    def __init__(self) -> None:
        self.n_rows = MIN_LABELS
        self.name = ""
        self.labels: tuple[str, ...] = ()
        self.active = ""
        self.queries: tuple[UploadedFile, ...] = ()
        self._rows: list[tuple[UploadedFile, ...]] = [()] * MAX_LABELS
        self._saved = list(self._rows)
        self._lock = threading.Lock()

    def row(self, n: int) -> tuple[UploadedFile, ...]:
        """The files of the n-th row."""
        return self._rows[n]

    @property
    def is_unsaved(self) -> bool:
        """Whether the rows hold files that are not in the active set."""
        return any(self._rows) and not (self.active and self._rows == self._saved)

    @property
    def is_begun(self) -> bool:
        """Whether there is anything in it."""
        return any(self._rows) or any(self.labels) or bool(self.name)

    def activate(self, name: str) -> None:
        """The rows are the set of this name, which is in use from now on."""
        with self._lock:
            self.active, self._saved = name, list(self._rows)

    def add(self, n: int, files: Iterable[UploadedFile]) -> int:
        """Add files to a row, each once; returns how many did not fit."""
        with self._lock:
            known = {each.path: each for each in self._rows[n]}
            for each in files:
                known.setdefault(each.path, each)
            self._rows[n] = tuple(known.values())[:MAX_EXAMPLES]
            return len(known) - len(self._rows[n])

    def remove_file(self, n: int, file_id: str) -> None:
        with self._lock:
            self._rows[n] = tuple(each for each in self._rows[n] if each.file_id != file_id)

    def remove_row(self, n: int) -> None:
        """Remove a row; those below move up, and at least `MIN_LABELS` stay visible."""
        with self._lock:
            del self._rows[n]
            self._rows.append(())
            self.n_rows = max(MIN_LABELS, self.n_rows - 1)

    def show_rows(self, n_rows: int) -> None:
        """Show at least this many rows, up to `MAX_LABELS`."""
        with self._lock:
            self.n_rows = min(MAX_LABELS, max(self.n_rows, n_rows))

    def replace(self, rows: Sequence[tuple[UploadedFile, ...]]) -> None:
        with self._lock:
            self._rows = [*rows[:MAX_LABELS], *[()] * (MAX_LABELS - len(rows))]
            self.n_rows = min(MAX_LABELS, max(MIN_LABELS, len(rows)))


class LabelStore:
    """The drafts and saved label sets. folder: where the owner's sets are; None if every page is a visitor's. browsers:
    whose they are."""

    def __init__(self, folder: Path | None = None, browsers: Browsers | None = None) -> None:
        self._folder = folder
        self._browsers = browsers or Browsers()
        self._visitors: dict[str, tempfile.TemporaryDirectory[str]] = {}
        self._drafts = Registry[Draft](N_SESSIONS)
        self._lock = threading.Lock()

    def draft(self, session: str) -> Draft:
        """What a page is working on."""
        owner = self._browsers.owner(session)
        with self._lock:
            return self._drafts.put(owner, self._drafts.get(owner) or Draft())

    def sets(self, session: str) -> LabelFolder:
        """The sets a page may open, rename and delete."""
        return LabelFolder(self._home(session))

    def save(self, session: str, labels: LabelSet) -> None:
        """Save a set with copies of its examples, replacing one of the same name. Raises UserError."""
        folder = self._home(session) / MEDIA / secrets.token_hex(8)
        try:
            examples = []
            for n, example in enumerate(labels.examples):
                copy = folder / str(n) / example.file
                copy.parent.mkdir(parents=True)
                shutil.copyfile(example.path, copy)
                examples.append(replace(example, path=str(copy)))
            self.sets(session).save(replace(labels, examples=tuple(examples)))
        except (OSError, UserError) as error:
            shutil.rmtree(folder, ignore_errors=True)
            if isinstance(error, UserError):
                raise
            raise UserError(
                "examples_not_kept", "The examples cannot be kept: free some space on the disk, or drop them again."
            ) from error

    def forget(self, session: str) -> None:
        """The page was closed: delete a visitor's sets. The draft stays, since the page may only have been asleep."""
        with self._lock:
            home = self._visitors.pop(self._browsers.owner(session), None)
        if home is not None:
            home.cleanup()

    def _home(self, session: str) -> Path:
        if self._folder is not None:
            return self._folder
        owner = self._browsers.owner(session)
        with self._lock:
            if owner not in self._visitors:
                self._visitors[owner] = tempfile.TemporaryDirectory(
                    prefix="fusion-studio-labels-", ignore_cleanup_errors=True
                )
            return Path(self._visitors[owner].name)
