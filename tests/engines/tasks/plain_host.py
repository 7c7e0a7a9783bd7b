"""A host without a model for other processes to open: it indexes text files, and dies when a text tells it to."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from engines.encoder import Window
from engines.errors import CheckpointError, MediaError
from engines.protocol import Cancel, IndexRequest, IndexResult
from engines.tasks import search


class Letters:
    """Stands for `MediaEncoder`: a text's vector tells how often each letter is in it."""

    model_digest = "letters"

    def text_vector(self, text: str) -> np.ndarray:
        with Path(os.environ["READ"]).open("a") as log:
            log.write(text + "\n")
        if text.startswith("die once") and not Path(os.environ["READ"] + ".died").exists():
            Path(os.environ["READ"] + ".died").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if text.startswith("die always"):
            os.kill(os.getpid(), signal.SIGKILL)
        if text.startswith("sleep"):
            time.sleep(600)
        counts = np.bincount(np.frombuffer(text.encode("ascii"), np.uint8), minlength=128).astype(np.float32)
        return counts / np.linalg.norm(counts)

    def windows(self, path: Path) -> Iterator[Window]:
        raise MediaError("test", f"{path.name} is no text.")
        yield  # a generator, as it is in `MediaEncoder`


class PlainHost:
    """As much of a host as reading files takes."""

    info: Any = SimpleNamespace(name="plain", model_digest="letters")

    def stream(self, request: IndexRequest, cancel: Cancel | None = None) -> Iterator[IndexResult]:
        return search.index(Letters(), request)

    def close(self) -> None:
        pass


def opened() -> PlainHost:
    return PlainHost()


def refused() -> PlainHost:
    raise CheckpointError("test", "The weights are damaged; fetch them again.")


def dead() -> PlainHost:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("alive after SIGKILL")
