"""A tiny model that takes every sound for speech, and one that takes none."""

from __future__ import annotations

import pytest
import torch

from engines.encoder import MediaEncoder
from engines.model import checkpoint


def with_speech_logit(logit: float) -> MediaEncoder:
    """A tiny model whose event head always says the same of speech."""
    tiny = checkpoint.tiny(seed=2)
    place = tiny.model.config.events.index("speech")
    with torch.no_grad():
        tiny.model.event_head.project.weight[place] = 0.0
        tiny.model.event_head.project.bias[place] = logit
    return MediaEncoder(tiny, cache_bytes=2**20)


@pytest.fixture(scope="session")
def hearing() -> MediaEncoder:
    return with_speech_logit(20.0)


@pytest.fixture(scope="session")
def deaf() -> MediaEncoder:
    return with_speech_logit(-20.0)
