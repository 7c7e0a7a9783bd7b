"""Tiny checkpoints, built once a run, and hosts over them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from engines.hosts import pretrained
from engines.hosts.pretrained import PretrainedHost, chat, speech
from engines.settings import Settings
from tests.tiny_models import BUILT

SETTINGS = Settings(device="cpu", dtype="float32", n_threads=1)
WHISPER = Path(os.environ.get("FUSION_STUDIO_WEIGHTS", "nowhere")) / "whisper-base"
with_whisper = pytest.mark.skipif(
    not WHISPER.is_dir(), reason="FUSION_STUDIO_WEIGHTS names no folder with whisper-base in it"
)


@pytest.fixture(scope="session")
def built(tmp_path_factory) -> Callable[[str], Path]:
    """The folder of a tiny checkpoint by the name of its builder."""
    folder = tmp_path_factory.mktemp("tiny")

    def build(name: str) -> Path:
        return folder / name if (folder / name).is_dir() else BUILT[name](folder / name)

    return build


@pytest.fixture
def opened(built, monkeypatch) -> Iterator[Callable[..., PretrainedHost]]:
    """Open tiny checkpoints by name, which write few tokens; they are closed after the test."""
    hosts: list[PretrainedHost] = []
    monkeypatch.setattr(speech, "N_NEW", 40)
    monkeypatch.setattr(chat, "N_NEW", dict.fromkeys(chat.N_NEW, 6))

    def host(name: str, settings: Settings = SETTINGS, **_: Any) -> PretrainedHost:
        hosts.append(pretrained.load(built(name), str(built(name)), settings=settings))
        return hosts[-1]

    yield host
    for one in hosts:
        one.close()
