"""What every tab works with: the hosts, the rules of the house, the downloads, the samples and the stops."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from engines import Cancel, Host, HostInfo, Offer, Result, Router, Settings, describe, open_host
from engines.paths import ASSETS
from studio.collections import CollectionStore
from studio.label_store import LabelStore
from studio.registry import DownloadRegistry
from studio.sharing import Rules

SAMPLES = ASSETS / "samples"
EVERYTHING = ""
"""The task that stands for all that have no model of their own."""


@dataclass(frozen=True)
class Sample:
    """A file a newcomer can try at one click. file_id: where the page finds it."""

    path: Path
    kind: str
    tabs: tuple[str, ...]
    titles: tuple[str, str]
    questions: tuple[str, str]
    file_id: str

    @property
    def input_kind(self) -> str:
        """Which input of a tab takes it: speech is a sound."""
        return "sound" if self.kind == "speech" else self.kind

    def question(self, language: str) -> str:
        """The question that goes with it, in the page's language."""
        return self.questions[1 if language == "zh" else 0]


def read_samples(folder: Path, downloads: DownloadRegistry) -> tuple[Sample, ...]:
    """The samples listed in `samples.json`, put on the downloads; none when there is no list."""
    listing = folder / "samples.json"
    if not listing.is_file():
        return ()
    rows = json.loads(listing.read_text(encoding="utf-8"))
    return tuple(
        Sample(
            path=folder / row["file"],
            kind=row["kind"],
            tabs=tuple(row["tab"]),
            titles=(row["title_en"], row["title_zh"]),
            questions=(row.get("question_en", ""), row.get("question_zh", "")),
            file_id=downloads.put_file(folder / row["file"]),
        )
        for row in rows
        if (folder / row["file"]).is_file()
    )


class RunningRequests:
    """Which request of which session runs in which tab, so that a stop stops that one and nothing else."""

    def __init__(self) -> None:
        self._running: dict[tuple[str, str], Cancel] = {}

    def start(self, session: str, tab: str) -> Cancel:
        """A token for a new request; the one before it in the same tab of the same session is stopped."""
        self.stop(session, tab)
        self._running[session, tab] = cancel = Cancel()
        return cancel

    def is_latest(self, session: str, tab: str, cancel: Cancel) -> bool:
        """Whether no newer request has taken the tab since."""
        return self._running.get((session, tab)) is cancel

    def is_busy(self, session: str, tab: str) -> bool:
        """Whether something runs in this tab."""
        return (session, tab) in self._running

    def end(self, session: str, tab: str, cancel: Cancel) -> None:
        """Set the token, so that whatever still runs under it ends, and forget it."""
        cancel.set()
        if self.is_latest(session, tab, cancel):
            self._running.pop((session, tab), None)

    def stop(self, session: str, tab: str) -> None:
        """Ask the request of this tab to stop; nothing happens when there is none."""
        cancel = self._running.get((session, tab))
        if cancel is not None:
            cancel.set()

    def leave(self, session: str) -> None:
        """The page was closed: stop whatever it had running."""
        for owner, tab in list(self._running):
            if owner == session:
                self.stop(owner, tab)


@dataclass(frozen=True)
class AppState:
    """Everything the tabs share.

    host: one host for each task, as one. devices: what one may switch to here, "auto" first. settings: how models are
    opened unless the page says otherwise. opener, looker: `open_host` and `describe`, or what stands for them in tests.
    """

    host: Router
    rules: Rules
    collections: CollectionStore
    label_store: LabelStore = field(default_factory=LabelStore)
    downloads: DownloadRegistry = field(default_factory=DownloadRegistry)
    running: RunningRequests = field(default_factory=RunningRequests)
    samples: tuple[Sample, ...] = ()
    devices: Sequence[str] = ("auto", "cpu")
    settings: Settings = field(default_factory=Settings)
    opener: Callable[..., Host] = open_host
    looker: Callable[[str, Settings], Offer] = describe

    def samples_for(self, tab: str) -> tuple[Sample, ...]:
        """The samples of one tab."""
        return tuple(sample for sample in self.samples if tab in sample.tabs)

    def info_of(self, result: Result) -> HostInfo:
        """The host that gave a result; where it is closed by now, the one that its task goes to."""
        now = self.host.serving(type(result.request)).info
        known = (now, *(host.info for host in self.host.hosts()))
        signed = (result.host, result.model_digest)
        return next((info for info in known if (info.name, info.model_digest) == signed), now)
