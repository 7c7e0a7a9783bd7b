"""Where uploads lie while they are needed: a folder for each process, emptied an hour after a file was last used.

claim(base)  the folder of this process below `base`; folders of processes that are gone are deleted
uploaded     a path that a page sent, if it is an upload
touch        keep uploads that wait for their turn
delete_old   delete what was not used for an hour
Sweeper      a thread that does so once a minute
"""

from __future__ import annotations

import atexit
import logging
import os
import re
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import psutil
from gradio import utils

from engines import RequestError

log = logging.getLogger("studio")

KEEP_S = 3600.0
"""How long an upload is kept after it was last used."""

SWEEP_S = 60.0

NAME = re.compile(r"studio-(\d+)")
"""A process's folder, after the process's id."""


def claim(base: Path) -> Path:
    """The folder of this process below `base`, made if need be; folders of processes that are gone are deleted."""
    own = base / f"studio-{os.getpid()}"
    own.mkdir(parents=True, exist_ok=True, mode=0o700)
    for folder in base.iterdir():
        found = NAME.fullmatch(folder.name)
        if found is not None and not psutil.pid_exists(int(found[1])):
            shutil.rmtree(folder, ignore_errors=True)
    return own


def claim_for_gradio() -> Path:
    """Let gradio keep uploads in a folder of this process, below GRADIO_TEMP_DIR or the system's temporary folder."""
    chosen = os.environ.get("GRADIO_TEMP_DIR")
    base = Path(chosen) if chosen else Path(tempfile.gettempdir()) / f"fusion-studio-{_user()}"
    if NAME.fullmatch(base.name):  # claimed before
        base = base.parent
    own = claim(base)
    os.environ["GRADIO_TEMP_DIR"] = str(own)
    atexit.register(shutil.rmtree, own, ignore_errors=True)
    return own


def uploaded(path: str) -> Path:
    """The resolved path, checked to be in the upload folder. Raises RequestError.

    Gradio's own check passes over a photo that comes without its "meta". The file's time is set to now: uploads are
    deleted a while after they were last used.
    """
    real = Path(path).resolve() if isinstance(path, str) and "\0" not in path else Path("/")
    if not real.is_relative_to(Path(utils.get_upload_folder()).resolve()):
        raise RequestError("not_uploaded_here", "This file was not uploaded here; drop it again.")
    touch([real])
    return real


def touch(paths: Iterable[Path]) -> None:
    """Set the time of uploads that are still needed to now. Files that were not uploaded are left as they are."""
    folder = Path(utils.get_upload_folder()).resolve()
    for path in paths:
        with suppress(OSError):  # gone: who reads it says so
            if path.resolve().is_relative_to(folder) and path.is_file():
                os.utime(path)


def delete_old(folder: Path, *, keep_s: float = KEEP_S, now_s: float | None = None) -> list[Path]:
    """Delete files below a folder that were written or used more than `keep_s` seconds ago; gives them."""
    limit_s = (time.time() if now_s is None else now_s) - keep_s
    gone = []
    for path in [Path(parent) / name for parent, _, names in os.walk(folder) for name in names]:
        with suppress(OSError):  # gone already, or held open by a reader on Windows: the next sweep has it
            seen = path.lstat()
            if max(seen.st_mtime, seen.st_ctime) < limit_s:
                path.unlink()
                gone.append(path)
    for parent in {path.parent for path in gone} - {folder}:
        with suppress(OSError):  # not empty
            parent.rmdir()
    return gone


class Sweeper:
    """A thread that calls functions once a minute until it is closed."""

    def __init__(self, sweeps: Sequence[Callable[[], object]], *, every_s: float = SWEEP_S) -> None:
        self._sweeps = sweeps
        self._every_s = every_s
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sweeper", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._closed.wait(self._every_s):
            for sweep in self._sweeps:
                try:
                    sweep()
                except OSError:
                    log.warning("old uploads could not be deleted", exc_info=True)

    def close(self) -> None:
        """End the thread."""
        self._closed.set()
        self._thread.join()


def _user() -> str:
    return str(os.getuid()) if hasattr(os, "getuid") else os.environ.get("USERNAME", "user")
