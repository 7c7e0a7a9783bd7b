"""Transformers checkpoints from the Hugging Face hub: what is here, what would be fetched, and fetching it.

    local ──▶ the folder, without network        offer, fetch ──`download`, a process──▶ JSON lines ──▶ Offer, Progress

The network is used in that process only: a stop ends it at once, whatever it is waiting for, and this one stays
offline. Address, token and place are huggingface_hub's: HF_ENDPOINT, HF_TOKEN, HF_HOME.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engines.errors import Cancelled, CheckpointError, Message, RequestError, UserError
from engines.hosts.download import CONFIG, INDEX, WEIGHTS
from engines.protocol import Cancel, HostInfo, Progress

OFFLINE = "FUSION_STUDIO_OFFLINE"
"""HF_HUB_OFFLINE as the owner set it: `launch.py` keeps it here before it sets that for the libraries itself."""
POLL_S = 0.05

_ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Offer:
    """What a name would open: info as of the open host, and how many bytes would be fetched for it first."""

    info: HostInfo
    download_bytes: int = 0


def is_transformers(config: object) -> bool:
    """Whether this is the config of a transformers checkpoint, not of one of ours."""
    return isinstance(config, dict) and ("architectures" in config or "model_type" in config)


def local(name: str) -> Path | None:
    """The folder of a checkpoint that is on this machine, whole; None otherwise. No network."""
    from huggingface_hub import constants, errors, try_to_load_from_cache

    try:
        config = try_to_load_from_cache(name, CONFIG, cache_dir=constants.HF_HUB_CACHE)
    except errors.HFValidationError:  # no name the hub would give
        return None
    if not isinstance(config, str):
        return None
    folder = Path(config).parent
    try:
        files = set(json.loads((folder / INDEX).read_text(encoding="utf-8"))["weight_map"].values())
    except FileNotFoundError:
        files = {WEIGHTS}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # damaged
        return None
    return folder if all((folder / file).is_file() for file in files) else None


def offer(name: str) -> Offer:
    """Size and licence of a checkpoint that is not on this machine. Raises RequestError, and CheckpointError for one
    that this program has no use for."""
    kind, record = _asked("look", name, Cancel())
    _check(name, kind)
    info = HostInfo(
        name=name,
        abilities=frozenset(),
        device="",
        device_reason=Message("reason.not_here", "not on this machine"),
        dtype="",
        n_parameters=record["n_parameters"],
        memory_bytes=0,
        licence=record["licence"],
        model_digest="",
        source=name,
    )
    return Offer(info, record["left"])


def fetch(name: str, cancel: Cancel) -> Iterator[Progress]:
    """Fetch a checkpoint, telling how many bytes of it are here. What came stays, and the next try goes on from there.

    Raises RequestError and CheckpointError, Cancelled on a stop.
    """
    yield Progress("fetching")
    with closing(_asked("fetch", name, cancel)) as records:
        _check(name, next(records))
        for record in records:
            yield Progress("fetching", record["done"], record["total"], "bytes")


def _check(name: str, kind: dict[str, Any]) -> None:
    """Raise CheckpointError for a checkpoint of transformers that no tab has a use for, before its weights come."""
    config = kind["config"]
    if is_transformers(config):
        from engines.hosts.pretrained import checkpoint

        checkpoint.family(name, config, chats=kind["chats"])


def is_offline() -> bool:
    """Whether the owner wants no network."""
    return os.environ.get(OFFLINE, os.environ.get("HF_HUB_OFFLINE", "")).upper() in ("1", "ON", "YES", "TRUE")


def _asked(work: str, name: str, cancel: Cancel) -> Generator[dict[str, Any]]:
    """What the process says that does the work. It ends with the generator, or with the stop."""
    from huggingface_hub import constants

    from engines.media import ahead

    if is_offline():
        raise _fault({"fault": "offline", "name": name})
    if cancel.is_set:
        raise Cancelled
    environment = {
        **os.environ,
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DISABLE_XET": "1",
        "PYTHONPATH": os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH")))),
    }
    command = [sys.executable, "-P", "-m", "engines.hosts.download", work, name, constants.HF_HUB_CACHE]
    with (
        tempfile.TemporaryFile() as log,
        subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, encoding="utf-8"
        ) as child,
    ):
        assert child.stdout is not None
        try:
            with closing(ahead(map(json.loads, child.stdout), look_s=POLL_S)) as records:
                for record in records:
                    if cancel.is_set:
                        raise Cancelled
                    if record is not None:
                        if "fault" in record:
                            raise _fault(record)
                        yield record
            if child.wait() != 0:
                log.seek(max(0, log.seek(0, os.SEEK_END) - 4000))
                raise RuntimeError(f"Fetching {name} broke off: {log.read().decode(errors='replace')}")
        finally:
            child.kill()


SENTENCES = {
    "offline": "{name} is not on this machine, and HF_HUB_OFFLINE is set; start without it to fetch the model, "
    "or choose a folder.",
    "unreachable": "{place} cannot be reached to fetch {name}; check the network, or choose a folder.",
    "lost": "The connection to {place} was lost while {name} was fetched; what came is kept, try again.",
    "missing": "{place} has no model {name}, or it is private; check the name, or set HF_TOKEN.",
    "gated": "{name} asks to accept its terms first; do so on its page at {place}, set HF_TOKEN and start again.",
    "refused": "{place} refuses to give {name} (error {status}); check HF_TOKEN.",
    "server": "{place} answered with error {status} when asked for {name}; try again later.",
    "strange": "{place} does not answer as the Hugging Face hub does; check the network and HF_ENDPOINT.",
    "full": "{name} needs {needs_gb:.2f} GB more on the disk, and {free_gb:.2f} GB are free; make room, or "
    "set HF_HOME to a larger disk.",
    "unwritable": "The folder for models cannot be written, so {name} cannot be fetched; set HF_HOME to another one.",
    "weightless": "{name} has no weights as model.safetensors, and other formats can run code; choose a model "
    "that has them.",
    "unknown": "{name} has no config.json, so it is no checkpoint of transformers; choose one that is.",
}
"""What can go wrong, each with the key "hub_<fault>"."""


def _fault(record: dict[str, Any]) -> UserError:
    """The error for what the process says went wrong."""
    fault = record["fault"]
    kind = CheckpointError if fault in ("weightless", "unknown") else RequestError
    return kind(
        f"hub_{fault}",
        SENTENCES[fault],
        name=record["name"],
        place=record.get("place", ""),
        status=record.get("status", 0),
        needs_gb=record.get("need", 0) / 1e9,
        free_gb=record.get("free", 0) / 1e9,
    )
