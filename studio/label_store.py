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
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from engines import Kind, UserError
from engines.lab.fewshot import MAX_EXAMPLES, MAX_LABELS, MIN_LABELS, LabelSet
from engines.lab.label_store import MEDIA, Entry, LabelFolder, slug

N_DRAFTS = 200


@dataclass(frozen=True)
class UploadedFile:
    """A file dropped on the page. kind: None if it cannot be read. file_id: its id in the `DownloadRegistry`."""

    path: Path
    kind: Kind | None
    file_id: str


class Draft:
    """The examples one page has collected so far, one row per label. Safe from any thread.

    n_rows: rows shown. active: name of the set in use, "" for none. queries: the files recognised last.
    """

    def __init__(self) -> None:
        self.n_rows = MIN_LABELS
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
    """The drafts and saved label sets. folder: where the owner's sets are; None if every page is a visitor's."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._visitors: dict[str, tempfile.TemporaryDirectory[str]] = {}
        self._drafts: OrderedDict[str, Draft] = OrderedDict()
        self._lock = threading.RLock()

    def draft(self, session: str) -> Draft:
        with self._lock:
            draft = self._drafts.setdefault(session, Draft())
            self._drafts.move_to_end(session)
            while len(self._drafts) > N_DRAFTS:
                self._drafts.popitem(last=False)
            return draft

    def entries(self, session: str) -> list[Entry]:
        """The sets a page may open."""
        return self._labels(session).entries()

    def has(self, session: str, name: str) -> bool:
        """Whether a set of this name exists, or of a name with the same slug."""
        return any(slug(entry.name) == slug(name) for entry in self.entries(session))

    def load(self, session: str, name: str) -> LabelSet:
        """Load a set. Raises RequestError if there is none, CollectionError if it is damaged."""
        return self._labels(session).load(name)

    def save(self, session: str, labels: LabelSet) -> None:
        """Save a set with copies of its examples, replacing one of the same name. Raises UserError."""
        folder = self._home(session) / MEDIA / secrets.token_hex(8)
        with self._lock:
            try:
                examples = []
                for n, example in enumerate(labels.examples):
                    copy = folder / str(n) / example.file
                    copy.parent.mkdir(parents=True)
                    shutil.copyfile(example.path, copy)
                    examples.append(replace(example, path=str(copy)))
                self._labels(session).save(replace(labels, examples=tuple(examples)))
            except (OSError, UserError) as error:
                shutil.rmtree(folder, ignore_errors=True)
                if isinstance(error, UserError):
                    raise
                raise UserError(
                    "examples_not_kept", "The examples cannot be kept: free some space on the disk, or drop them again."
                ) from error

    def rename(self, session: str, old: str, new: str) -> None:
        """Rename a set. Raises RequestError if there is no such set, or one of the new name already."""
        with self._lock:
            self._labels(session).rename(old, new)

    def delete(self, session: str, name: str) -> None:
        """Delete a set and the copies of its examples. Raises RequestError if there is none."""
        with self._lock:
            self._labels(session).delete(name)

    def forget(self, session: str) -> None:
        """The page was closed: delete a visitor's sets. The draft stays, since the page may only have been asleep."""
        with self._lock:
            home = self._visitors.pop(session, None)
        if home is not None:
            home.cleanup()

    def _home(self, session: str) -> Path:
        if self._folder is not None:
            return self._folder
        with self._lock:
            if session not in self._visitors:
                self._visitors[session] = tempfile.TemporaryDirectory(
                    prefix="fusion-studio-labels-", ignore_cleanup_errors=True
                )
            return Path(self._visitors[session].name)

    def _labels(self, session: str) -> LabelFolder:
        return LabelFolder(self._home(session))
