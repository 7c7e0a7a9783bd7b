"""Any transformers checkpoint that a tab can use, as an `engines.Host`.

    folder ──checkpoint.read──▶ what it is ──checkpoint.place──▶ where it fits ──<family>.tasks──▶ what it does

Each family of models is a file: `speech`, `chat`, `pictures`, `translation`, `spaces`. One text is written at a time,
in a thread (`generation`); long sounds give way to others between two chunks. Importing this imports torch.
"""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType

import torch
import transformers

from engines import device as devices
from engines.errors import Cancelled, DeviceError, UserError
from engines.hosts.pretrained import chat, checkpoint, pictures, spaces, speech, translation
from engines.hosts.pretrained.checkpoint import Checkpoint, Place
from engines.hosts.pretrained.generation import GenerationLock
from engines.hosts.results import Steps, closed, finalise
from engines.protocol import Cancel, HostInfo, Modality, Request, Result
from engines.settings import Settings

FAMILIES: dict[str, ModuleType] = {
    "speech": speech,
    "ctc": speech,
    "chat": chat,
    "pictures": pictures,
    "translation": translation,
    "space": spaces,
}


def describe(folder: Path, source: str, settings: Settings) -> HostInfo:
    """What a folder would be as a host, without reading its weights. Raises CheckpointError and DeviceError."""
    found = checkpoint.read(folder, source)
    return _info(found, checkpoint.place(found, settings))


def load(folder: Path, source: str, *, settings: Settings) -> PretrainedHost:
    """The checkpoint in a folder as a host. Raises CheckpointError and DeviceError."""
    found = checkpoint.read(folder, source)
    devices.set_threads(settings.n_threads)
    transformers.logging.set_verbosity_error()  # it says much that nobody here can act on
    transformers.logging.disable_progress_bar()
    return PretrainedHost(found, settings)


def _info(found: Checkpoint, place: Place) -> HostInfo:
    family = FAMILIES[found.family]
    takes: frozenset[Modality] = family.takes(found) if hasattr(family, "takes") else frozenset({"sound"})
    return HostInfo(
        name=found.name,
        abilities=family.abilities(found),
        device=place.device,
        device_reason=place.reason,
        dtype=place.dtype,
        n_parameters=found.n_parameters,
        memory_bytes=round(found.n_parameters * checkpoint.BYTES[place.dtype]),
        licence=found.licence,
        model_digest=found.digest,
        source=found.source,
        takes=takes,
    )


@dataclass
class _Loaded:
    """Loaded weights. n_running: running requests, during which they are not unloaded."""

    tasks: dict[type, Steps]
    n_running: int = 0
    last_used_s: float = 0.0


class PretrainedHost:
    """A checkpoint as a host. It is loaded when opened, and again at the first request after it was unloaded."""

    def __init__(self, found: Checkpoint, settings: Settings) -> None:
        self._checkpoint, self._settings = found, settings
        self._place = checkpoint.place(found, settings)
        self._info = _info(found, self._place)
        self._lock = GenerationLock()
        self._guard = threading.Lock()
        self._closed = threading.Event()
        self._loaded: _Loaded | None = self._load()
        if settings.idle_s > 0:
            threading.Thread(target=self._watch, name=f"idle {found.name}", daemon=True).start()

    @property
    def info(self) -> HostInfo:
        return self._info

    def stream(self, request: Request, cancel: Cancel | None = None) -> Iterator[Result]:
        """Results as they are made."""
        if self._closed.is_set():
            raise closed()
        kinds = {ability.request for ability in self._info.abilities}
        return finalise(self._info, dict.fromkeys(kinds, self._run), request, cancel)

    def _run(self, request: Request, cancel: Cancel) -> Iterator[Result]:
        with self._guard:
            if self._closed.is_set():
                raise closed()
            loaded = self._loaded = self._loaded or self._load()
            loaded.n_running += 1
        try:
            for result in loaded.tasks[type(request)](request, cancel):
                if self._closed.is_set():
                    raise Cancelled
                yield result
        except (RuntimeError, MemoryError) as error:
            fault = devices.explain(error)
            if fault is None:
                raise
            raise fault from error
        finally:
            with self._guard:
                loaded.n_running -= 1
                loaded.last_used_s = time.monotonic()

    def move(self, device: str) -> None:
        """Finish the running text, then move to another device. On DeviceError it stays where it was."""
        settings = replace(self._settings, device=device)
        with self._guard, self._lock.hold():
            if self._closed.is_set():
                raise closed()
            if self._loaded is not None and self._loaded.n_running > 0:
                raise DeviceError(
                    "host_busy",
                    "{name} is at work; stop it, or wait, and choose the device again.",
                    name=self._info.name,
                )
            there, before = checkpoint.place(self._checkpoint, settings), self._place
            self._loaded = None
            give_back()
            self._place = there
            try:
                self._loaded = self._load()
            except UserError:
                self._place = before
                self._loaded = self._load()
                raise
            self._settings = settings
            self._info = _info(self._checkpoint, there)

    def rest(self) -> None:
        """Unload the weights until the next request; does nothing while a request runs."""
        with self._guard:
            if self._loaded is not None and self._loaded.n_running == 0:
                self._loaded = None
        give_back()

    def close(self) -> None:
        """Unload the weights for good. Closing twice is fine."""
        self._closed.set()
        with self._guard:
            self._loaded = None
        give_back()

    def _load(self) -> _Loaded:
        family = FAMILIES[self._checkpoint.family]
        try:
            return _Loaded(family.tasks(self._checkpoint, self._place, self._lock), last_used_s=time.monotonic())
        except (RuntimeError, MemoryError) as error:
            give_back()
            raise devices.explain(error) or error from error

    def _watch(self) -> None:
        while not self._closed.wait(min(1.0, self._settings.idle_s)):
            loaded = self._loaded
            if loaded is not None and time.monotonic() - loaded.last_used_s >= self._settings.idle_s:
                self.rest()


def give_back() -> None:
    """Return unused memory to the GPU and to the operating system."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    devices.return_freed_memory()
