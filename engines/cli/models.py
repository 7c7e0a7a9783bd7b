"""Opening the models a command needs: `--model`, `--device`, and a line about a download."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from typing import TypeAlias

from engines.cli.process import usage
from engines.hosts import open_routes
from engines.hosts.router import DEFAULT, parse_routes
from engines.protocol import Host, Progress
from engines.settings import Settings

Open: TypeAlias = Callable[[Mapping[str, str], Settings], Host]
"""Opens a host for routes (task or "" → what `open_host` is given)."""


def open_models(routes: Mapping[str, str], settings: Settings) -> Host:
    """The models of these routes as one host. A module-level function, so that it can be sent to other processes."""
    return open_routes(routes, settings, tell=tell_download)


def routes_of(options: argparse.Namespace, *tasks: str) -> dict[str, str]:
    """What `--model` says for these tasks, of which the first is the command's own. Other models stay closed.

    Raises WrongUsage for an unknown task.
    """
    with usage():
        given = parse_routes(options.model)
    wanted = {task: given.get(task, given[DEFAULT]) for task in tasks}
    first = wanted.pop(tasks[0])
    return {DEFAULT: first, **{task: name for task, name in wanted.items() if name != first}}


def open_for(options: argparse.Namespace, *tasks: str) -> Host:
    """The host for a command. Raises UserError."""
    opener: Open = options.opener
    return opener(routes_of(options, *tasks), Settings(device=options.device))


def tell_download(name: str, progress: Progress) -> None:
    """How far a download is, on one line of a terminal."""
    if sys.stderr.isatty():
        far = f" {progress.done / 1e6:.0f} of {progress.total / 1e6:.0f} MB" if progress.unit == "bytes" else ""
        end = "\n" if 0 < progress.total <= progress.done else ""
        print(f"\r\x1b[K{name}: {progress.stage}{far}", end=end, file=sys.stderr, flush=True)
