"""Name -> host. The only place that knows which kinds of host there are.

A host's own module, and torch with it, is imported when the host is opened, not before.
"""

from __future__ import annotations

import difflib
import json
import os
import re
from collections.abc import Callable, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path

from engines.errors import RequestError
from engines.hosts import hub
from engines.hosts.hub import Offer, is_transformers
from engines.hosts.router import DEFAULT, Route, Router, check
from engines.protocol import Cancel, Host, Progress
from engines.settings import Settings

KNOWN = ("builtin",)

_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
_ADDRESS = re.compile(r"https?://", re.IGNORECASE)


def open_host(
    name: str = "builtin",
    settings: Settings | None = None,
    *,
    tell: Callable[[Progress], None] | None = None,
    cancel: Cancel | None = None,
) -> Host:
    """Open a host by name.

    name: "builtin"; a folder with a checkpoint of ours or of transformers; a name on the Hugging Face hub
    ("openai/whisper-base"), which is fetched if it is not there; or the address of an OpenAI-compatible server
    ("http://host:8000/v1", with "#model" where it has several). tell: hears how far a download is. cancel: ends it;
    what came is kept, and the next try goes on from there.

    Raises RequestError for a name nothing answers to, CheckpointError for a folder or a download that holds no usable
    checkpoint, DeviceError for a device that is absent or too small, Cancelled.
    """
    settings = settings if settings is not None else Settings()
    name = _named(name)
    if _ADDRESS.match(name):
        from engines.hosts import remote

        return remote.load(name, settings=settings)
    folder = None if name == "builtin" else _folder(name) or _fetched(name, tell, cancel)
    if folder is not None and _is_transformers(folder / "config.json"):
        from engines.hosts import pretrained

        return pretrained.load(folder, name, settings=settings)
    from engines.hosts import builtin

    return builtin.load(folder, settings=settings)


def describe(name: str, settings: Settings | None = None) -> Offer:
    """What a name would open, its size, licence, abilities and memory, without opening it.

    Of a checkpoint that is not on this machine yet only size and licence are known. A server is asked. Raises as
    `open_host` does.
    """
    settings = settings if settings is not None else Settings()
    name = _named(name)
    if name != "builtin" and not _ADDRESS.match(name):
        folder = _folder(name)
        if folder is None:
            return hub.offer(name)
        if _is_transformers(folder / "config.json"):
            from engines.hosts import pretrained

            return Offer(pretrained.describe(folder, name, settings))
    with closing(open_host(name, settings)) as host:
        return Offer(host.info)


def _named(name: str) -> str:
    """A name without blanks around it. Raises RequestError for an empty one, which would be the current folder."""
    if not name.strip():
        raise RequestError("model_name_needed", "Type the name of a model, a folder or an address first.")
    return name.strip()


def open_routes(
    routes: Mapping[str, str | Route],
    settings: Settings | None = None,
    *,
    tell: Callable[[str, Progress], None] | None = None,
) -> Router:
    """A host for each task that has one of its own, as one. routes: task or "" → name, or name and how to hold it.
    tell: name, how far it is.

    Raises as `open_host` does; what was open by then is closed.
    """
    hosts: dict[str, Host] = {}
    opened: dict[str, Host] = {}
    usual = settings if settings is not None else Settings()

    def opener(route: Route) -> Host:
        return open_host(route.model, route.settings(usual), tell=None if tell is None else partial(tell, route.model))

    wanted = {task: Route(to) if isinstance(to, str) else to for task, to in {DEFAULT: "builtin", **routes}.items()}
    try:
        for task, route in wanted.items():
            check(task)
            opened[route.model] = opened.get(route.model) or opener(route)
            hosts[task] = opened[route.model]
    except BaseException:
        for host in opened.values():
            host.close()
        raise
    router = Router(hosts, opener)
    for route in wanted.values():
        router.note(route)
    return router


def _folder(name: str) -> Path | None:
    """The folder a name points to, what lies in it checked when it is loaded; None for a name on the hub that is not
    on this machine. Raises RequestError for what is neither."""
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    if re.match(r"\w+://", name):
        raise RequestError("address_scheme", "An address begins with http:// or https://; check what you typed.")
    if not _HUB_NAME.fullmatch(name) or name.startswith((".", "~")) or folder.is_file():
        raise _unknown(name, folder)
    return hub.local(name)


def _fetched(name: str, tell: Callable[[Progress], None] | None, cancel: Cancel | None) -> Path:
    """The folder of a checkpoint on the hub, once all of it is here."""
    for progress in hub.fetch(name, cancel if cancel is not None else Cancel()):
        if tell is not None:
            tell(progress)
    folder = hub.local(name)
    if folder is None:
        raise RuntimeError(f"{name} was fetched and is not there")
    return folder


def _is_transformers(config: Path) -> bool:
    try:
        return is_transformers(json.loads(config.read_text(encoding="utf-8")))
    except (OSError, ValueError):  # missing or damaged: loading says so, and what to do
        return False


def _unknown(name: str, folder: Path) -> RequestError:
    """Why no host answers to a name: a path that is not there, or a slip of the keyboard."""
    if folder.is_file():
        return RequestError("model_is_a_file", "{name!r} is a file; give the folder that holds it.", name=folder.name)
    if name.startswith(("~", ".")) or os.sep in name or "/" in name:
        return RequestError(
            "model_folder_missing", "The model folder {name!r} does not exist; check the path.", name=folder.name
        )
    if likely := difflib.get_close_matches(name.lower(), KNOWN, n=1, cutoff=0.5):
        return RequestError(
            "host_misspelt",
            "No host is called {name!r}. Known are: {known}, the path of a checkpoint folder, a name on the hub like "
            "openai/whisper-base, or the address of a server; did you mean {likely!r}?",
            name=name,
            known=list(KNOWN),
            likely=likely[0],
        )
    return RequestError(
        "host_unknown",
        "No host is called {name!r}. Known are: {known}, the path of a checkpoint folder, a name on the hub like "
        "openai/whisper-base, or the address of a server.",
        name=name,
        known=list(KNOWN),
    )
