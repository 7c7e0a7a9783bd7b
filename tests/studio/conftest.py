"""A state over the scripted host, media files, and the page on a real server."""

from __future__ import annotations

import os
import shutil
import time

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["HF_HUB_OFFLINE"] = "1"

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar

import gradio as gr
import numpy as np
import pytest
from gradio import utils

from engines import (
    Ability,
    AskRequest,
    Cancel,
    Cancelled,
    Host,
    HostInfo,
    Offer,
    Progress,
    RequestError,
    Settings,
    TranscribeRequest,
)
from studio import components
from studio.app import open_state
from studio.components import MediaInput
from studio.registry import DownloadRegistry
from studio.server import Served, start
from studio.state import AppState
from tests.conftest import tone, write_photo, write_sound
from tests.fake_host import EVERYTHING, FakeHost


@pytest.fixture
def downloads() -> DownloadRegistry:
    return DownloadRegistry()


@pytest.fixture
def info() -> HostInfo:
    return FakeHost().info


@pytest.fixture
def host() -> FakeHost:
    """The host behind `state`; a module may have another."""
    return FakeHost()


@pytest.fixture
def state(host, tmp_path) -> AppState:
    """A state of the owner, over the scripted host."""
    return open_state(host, home=tmp_path / "home", devices=("cpu",))


def media_input(tab: str, *kinds: str) -> MediaInput:
    """The media input of a tab, outside a page."""
    with gr.Blocks():
        return components.media_input(tab, kinds, text_key="ui.search.text")


def last(frames: Iterator[tuple[str, bool]]) -> str:
    """The card that a run ends with."""
    *_, (shown, is_running) = frames
    assert not is_running
    return shown


def upload(path: Path) -> str:
    """A file as gradio keeps it after it was uploaded."""
    folder = Path(utils.get_upload_folder()) / "0123"
    folder.mkdir(parents=True, exist_ok=True)
    return shutil.copy(path, folder)


class FakeCatalogue:
    """Where models come from in these tests, in place of the hub: `open` and `look` stand for `open_host` and
    `describe`. "a/whisper" writes down speech, "a/chat" answers questions, "a/omni" does everything, "a/slow" is
    fetched until it is stopped.

    `hosts` holds what was opened, `asked` the settings it was opened with.
    """

    ABILITIES: ClassVar = {
        "a/whisper": frozenset({Ability(TranscribeRequest, language) for language in ("en", "de", "fr", "zh")}),
        "a/chat": frozenset({Ability(AskRequest, "en")}),
        "a/omni": EVERYTHING,
        "builtin": EVERYTHING,
    }

    def __init__(self) -> None:
        self.hosts: list[FakeHost] = []
        self.asked: list[Settings] = []

    def look(self, name: str, settings: Settings) -> Offer:
        return Offer(self._host(name).info, 290_000_000)

    def open(
        self,
        name: str,
        settings: Settings,
        *,
        tell: Callable[[Progress], None] | None = None,
        cancel: Cancel | None = None,
    ) -> Host:
        if tell is not None:
            tell(Progress("fetching", 145e6, 290e6, "bytes"))
        while name == "a/slow":
            if cancel is not None and cancel.is_set:
                raise Cancelled
            time.sleep(0.01)
        host = self._host(name)
        self.hosts.append(host)
        self.asked.append(settings)
        return host

    def _host(self, name: str) -> FakeHost:
        if name not in self.ABILITIES:
            raise RequestError("test", f"No host is called {name!r}.")
        return FakeHost(name=name.removeprefix("a/"), source=name, abilities=self.ABILITIES[name])


@pytest.fixture
def catalogue() -> FakeCatalogue:
    return FakeCatalogue()


@pytest.fixture
def owner(tmp_path, catalogue) -> AppState:
    """A state of the owner, who may open models."""
    host = FakeHost(name="built")
    return open_state(host, home=tmp_path / "home", devices=("cpu",), opener=catalogue.open, looker=catalogue.look)


@pytest.fixture
def visitor(tmp_path, catalogue) -> AppState:
    """A state of a visitor, who may not."""
    return open_state(
        FakeHost(name="built"),
        shared=True,
        home=tmp_path / "home",
        devices=("cpu",),
        opener=catalogue.open,
        looker=catalogue.look,
    )


@pytest.fixture
def plain_head(monkeypatch) -> None:
    """What is taught is told apart by cosines and a threshold alone, whatever was learnt over many tasks."""
    import torch

    from engines.lab import fewshot_head as teach

    steps = torch.full((5,), 0.1)
    head = teach.Head(None, None, torch.tensor(10.0), steps, 0 * steps, torch.tensor([0.5, 0, 0, 0, 0]))
    monkeypatch.setattr(teach, "load_heads", lambda: ("no model", {teach.MIXED: head}))


@pytest.fixture
def photo_file(tmp_path, photo) -> Path:
    return write_photo(tmp_path / "red square.png", photo)


@pytest.fixture
def sound_file(tmp_path) -> Path:
    return write_sound(tmp_path / "tone.wav", tone(1.0))


def write_clip(path: Path, photos: Sequence[np.ndarray], samples: np.ndarray | None = None) -> Path:
    """An H.264 MP4 with 8 photos a second, and AAC sound where samples are given."""
    import av

    with av.open(str(path), "w") as container:
        height, width = photos[0].shape[:2]
        video = container.add_stream("libx264", rate=8)
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        audio = container.add_stream("aac", rate=16000, layout="mono") if samples is not None else None
        for pixels in photos:
            container.mux(video.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), "rgb24")))
        container.mux(video.encode(None))
        if audio is not None and samples is not None:
            frame = av.AudioFrame.from_ndarray(samples[None].astype(np.float32), "fltp", "mono")
            frame.rate = 16000
            container.mux(audio.encode(frame))
            container.mux(audio.encode(None))
    return path


@pytest.fixture(scope="session")
def clip_file(tmp_path_factory) -> Path:
    frames = [np.full((96, 128, 3), 20 * n, np.uint8) for n in range(12)]
    return write_clip(tmp_path_factory.mktemp("clips") / "grey.mp4", frames, tone(1.5))


@pytest.fixture(scope="session")
def page_host() -> FakeHost:
    """The host behind `served`; a test may look at what it was asked."""
    return FakeHost()


@pytest.fixture(scope="session")
def served(page_host, tmp_path_factory) -> Iterator[Served]:
    """The page over the scripted host, on a port of its own."""
    with start(page_host, home=tmp_path_factory.mktemp("home"), devices=("cpu",)) as served:
        yield served


ME: Any = SimpleNamespace(session_hash="me", cookies={}, headers={})
CHINESE: Any = SimpleNamespace(session_hash="me", cookies={"fusion_language": "zh"}, headers={})


class Opened:
    """A panel of the Lab and its events, each by the name of what it calls. module: the panel's `ui`."""

    def __init__(self, state: AppState, module: ModuleType) -> None:
        self.state = state
        with gr.Blocks() as self.blocks:
            self.page = module.create_ui(state)
            module.wire(state, self.page)

    def __call__(self, called: str, /, *values: Any, n: int = 0, me: Any = ME, **event: Any) -> Any:
        """What the n-th event that calls this answers. event: what came with it, for those that carry something."""
        act = [each.fn for each in self.blocks.fns.values() if each.name == called][n]
        assert act is not None
        answer = act(*((SimpleNamespace(**event),) if event else ()), me, *values)
        return list(answer) if isinstance(answer, Iterator) else answer
