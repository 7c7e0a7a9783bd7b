"""State shared by all tabs: the hosts, the registries, the samples and the running requests."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from engines import Cancel, Host, HostInfo, Offer, Result, Router, Settings, describe, open_host
from engines.lab import Findings
from engines.paths import ASSETS
from studio.browsers import Browsers
from studio.collections import CollectionStore
from studio.followed import FollowedRun
from studio.history_recorder import HistoryRecorder
from studio.registry import N_RUNS, N_SESSIONS, ChatHistory, DownloadRegistry, Registry
from studio.tabs.search.watches import FolderWatches
from studio.tabs.teach.label_store import LabelStore

SAMPLES = ASSETS / "samples"
EVERYTHING = ""
"""The route of every task that has no model assigned to it."""


@dataclass(frozen=True)
class Sample:
    """A bundled file to try at one click. file_id: its id in the `DownloadRegistry`; titles, questions: (en, zh)."""

    path: Path
    kind: str
    tabs: tuple[str, ...]
    titles: tuple[str, str]
    questions: tuple[str, str]
    file_id: str

    @property
    def input_kind(self) -> str:
        """The input of a tab that takes it: speech goes into the sound input."""
        return "sound" if self.kind == "speech" else self.kind

    def question(self, language: str) -> str:
        """The suggested question in the page's language."""
        return self.questions[1 if language == "zh" else 0]


def read_samples(folder: Path, downloads: DownloadRegistry) -> tuple[Sample, ...]:
    """Register the samples listed in `samples.json`; none if there is no list."""
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
            file_id=downloads.add_file(folder / row["file"]),
        )
        for row in rows
        if (folder / row["file"]).is_file()
    )


class RunningRequests:
    """The running request of each session and tab, so that Stop stops that one and no other."""

    def __init__(self) -> None:
        self._running: dict[tuple[str, str], Cancel] = {}

    def start(self, session: str, tab: str) -> Cancel:
        """A token for a new request; the previous request of the same tab and session is cancelled."""
        self.stop(session, tab)
        self._running[session, tab] = cancel = Cancel(session)
        return cancel

    def is_latest(self, session: str, tab: str, cancel: Cancel) -> bool:
        """Whether no newer request has started in this tab since."""
        return self._running.get((session, tab)) is cancel

    def is_busy(self, session: str, tab: str) -> bool:
        """Whether a request runs in this tab."""
        return (session, tab) in self._running

    def end(self, session: str, tab: str, cancel: Cancel) -> None:
        """Cancel whatever still runs under this token, and forget it."""
        cancel.set()
        for key in [key for key, running in list(self._running.items()) if running is cancel]:
            self._running.pop(key, None)

    def hand_over(self, session: str, tab: str, to: str) -> Cancel | None:
        """Let the session `to` of a reloaded page stop and supersede what its old session runs; returns the token."""
        cancel = self._running.get((session, tab))
        if cancel is not None and to != session:
            self.stop(to, tab)
            self._running[to, tab] = cancel
        return cancel

    def is_superseded(self, session: str, tab: str, cancel: Cancel | None) -> bool:
        """Whether a newer request runs in this tab."""
        return self._running.get((session, tab), cancel) is not cancel

    def stop(self, session: str, tab: str) -> None:
        """Cancel the request of this tab, if there is one."""
        cancel = self._running.get((session, tab))
        if cancel is not None:
            cancel.set()

    def supersede(self, session: str, tab: str) -> None:
        """Cancel the request of this tab, if there is one, and let it show nothing more."""
        self.stop(session, tab)
        self._running.pop((session, tab), None)

    def leave(self, session: str, *, but: Collection[str] = ()) -> None:
        """Cancel everything a closed page had running. but: tabs whose runs survive a reload."""
        for owner, tab in list(self._running):
            if owner == session and tab not in but:
                self.stop(owner, tab)


@dataclass(frozen=True)
class AppState:
    """Everything the tabs share.

    host: the router over all open models. browsers: whose uploads and label sets are whose. shared: others than the
    owner can reach the page; they name no folders of this machine, open no models, switch no devices, and nothing of
    theirs is kept. runs: Lab runs that can be saved. dropped: the files in the inputs that take many, by session and
    tab. followed: the last runs of the tabs, by an id that a page keeps in its address. devices: what the page may
    switch to, "auto" first. settings: how models are opened unless the page says otherwise. opener, looker:
    `open_host` and `describe`, or a test's stand-ins.
    """

    host: Router
    collections: CollectionStore
    browsers: Browsers = field(default_factory=Browsers)
    shared: bool = False
    label_store: LabelStore = field(default_factory=LabelStore)
    downloads: DownloadRegistry = field(default_factory=DownloadRegistry)
    runs: Registry[Findings] = field(default_factory=lambda: Registry(N_RUNS))
    chats: ChatHistory = field(default_factory=lambda: ChatHistory(N_SESSIONS))
    running: RunningRequests = field(default_factory=RunningRequests)
    dropped: Registry[tuple[Path, ...]] = field(default_factory=lambda: Registry(N_SESSIONS))
    followed: Registry[FollowedRun] = field(default_factory=lambda: Registry(N_SESSIONS))
    recorder: HistoryRecorder = field(default_factory=HistoryRecorder)
    watches: FolderWatches = field(default_factory=FolderWatches)
    samples: tuple[Sample, ...] = ()
    devices: Sequence[str] = ("auto", "cpu")
    settings: Settings = field(default_factory=Settings)
    opener: Callable[..., Host] = open_host
    looker: Callable[[str, Settings], Offer] = describe

    def samples_for(self, tab: str) -> tuple[Sample, ...]:
        return tuple(sample for sample in self.samples if tab in sample.tabs)

    def sample(self, file_id: str) -> Sample:
        return next(sample for sample in self.samples if sample.file_id == file_id)

    def info_of(self, result: Result) -> HostInfo:
        """The host that gave a result; if it was closed since, the host its task goes to now."""
        now = self.host.serving(type(result.request)).info
        known = (now, *(host.info for host in self.host.hosts()))
        signed = (result.host, result.model_digest)
        return next((info for info in known if (info.name, info.model_digest) == signed), now)
