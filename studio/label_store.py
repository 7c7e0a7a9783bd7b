"""What a page of "Teach it" has on its draft, and the label_store with the label sets it may open.

The owner's sets lie in a folder and stay; a visitor's lie in a folder of their session and go with it. A set keeps
copies of its examples: what was dropped on a page is deleted after a while.

    label_store/pets-0f3c….safetensors        a set (`engines.lab.label_store`)
    label_store/media/9be1…/0/dog.jpg         its first example, under a name of nobody's choosing
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
    """A file somebody dropped. kind: None where it cannot be read. file_id: where the page finds it."""

    path: Path
    kind: Kind | None
    file_id: str


class Draft:
    """What one page has dropped so far, a row for each label. Safe from any thread.

    n_rows: so many are seen. taught: the name of the set in use, "" where there is none. asked: what was named last.
    """

    def __init__(self) -> None:
        self.n_rows = MIN_LABELS
        self.taught = ""
        self.asked: tuple[UploadedFile, ...] = ()
        self._rows: list[tuple[UploadedFile, ...]] = [()] * MAX_LABELS
        self._kept = list(self._rows)
        self._lock = threading.Lock()

    def row(self, n: int) -> tuple[UploadedFile, ...]:
        """What lies in the n-th row."""
        return self._rows[n]

    @property
    def is_loose(self) -> bool:
        """Whether something lies here that is not in the set in use."""
        return any(self._rows) and not (self.taught and self._rows == self._kept)

    def use(self, name: str) -> None:
        """What lies here now is the set of this name, which is in use from now on."""
        with self._lock:
            self.taught, self._kept = name, list(self._rows)

    def add(self, n: int, files: Iterable[UploadedFile]) -> int:
        """Put files into a row, each once; how many were too many for it."""
        with self._lock:
            own = {each.path: each for each in self._rows[n]}
            for each in files:
                own.setdefault(each.path, each)
            self._rows[n] = tuple(own.values())[:MAX_EXAMPLES]
            return len(own) - len(self._rows[n])

    def take(self, n: int, file_id: str) -> None:
        """Take a file out of a row."""
        with self._lock:
            self._rows[n] = tuple(each for each in self._rows[n] if each.file_id != file_id)

    def remove(self, n: int) -> None:
        """Take a row out; those below it move up, and never fewer are seen than make a set."""
        with self._lock:
            del self._rows[n]
            self._rows.append(())
            self.n_rows = max(MIN_LABELS, self.n_rows - 1)

    def more(self, n_rows: int) -> None:
        """Show at least so many rows, as far as there are."""
        with self._lock:
            self.n_rows = min(MAX_LABELS, max(self.n_rows, n_rows))

    def fill(self, rows: Sequence[tuple[UploadedFile, ...]]) -> None:
        """Have these rows and no others."""
        with self._lock:
            self._rows = [*rows[:MAX_LABELS], *[()] * (MAX_LABELS - len(rows))]
            self.n_rows = min(MAX_LABELS, max(MIN_LABELS, len(rows)))


class LabelStore:
    """The label sets. folder: where the owner's are kept; None where all who come are visitors."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._visitors: dict[str, tempfile.TemporaryDirectory[str]] = {}
        self._drafts: OrderedDict[str, Draft] = OrderedDict()
        self._lock = threading.RLock()

    def draft(self, session: str) -> Draft:
        """The draft of one page."""
        with self._lock:
            draft = self._drafts.setdefault(session, Draft())
            self._drafts.move_to_end(session)
            while len(self._drafts) > N_DRAFTS:
                self._drafts.popitem(last=False)
            return draft

    def entries(self, session: str) -> list[Entry]:
        """The sets that a page may open."""
        return self._labels(session).entries()

    def has(self, session: str, name: str) -> bool:
        """Whether there is a set of this name, or of one that counts as the same."""
        return any(slug(entry.name) == slug(name) for entry in self.entries(session))

    def load(self, session: str, name: str) -> LabelSet:
        """A set. Raises RequestError where there is none, CollectionError where it is damaged."""
        return self._labels(session).load(name)

    def keep(self, session: str, taught: LabelSet) -> None:
        """Keep a set with copies of its examples; one of the same name is replaced. Raises UserError."""
        own = self._home(session) / MEDIA / secrets.token_hex(8)
        with self._lock:
            try:
                examples = []
                for n, example in enumerate(taught.examples):
                    copy = own / str(n) / example.file
                    copy.parent.mkdir(parents=True)
                    shutil.copyfile(example.path, copy)
                    examples.append(replace(example, path=str(copy)))
                self._labels(session).save(replace(taught, examples=tuple(examples)))
            except (OSError, UserError) as error:
                shutil.rmtree(own, ignore_errors=True)
                if isinstance(error, UserError):
                    raise
                raise UserError(
                    "examples_not_kept", "The examples cannot be kept: free some space on the disk, or drop them again."
                ) from error

    def rename(self, session: str, old: str, new: str) -> None:
        """Give a set another name. Raises RequestError where there is no such set, or one of the new name already."""
        with self._lock:
            self._labels(session).rename(old, new)

    def delete(self, session: str, name: str) -> None:
        """Delete a set and the copies of its examples. Raises RequestError where there is none."""
        with self._lock:
            self._labels(session).delete(name)

    def forget(self, session: str) -> None:
        """The page was closed: a visitor's sets go. The draft stays a while, since a page may only have been asleep."""
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
