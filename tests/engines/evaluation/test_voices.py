"""Synthetic speech is speech, or a missing tool."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from engines.evaluation.metrics import MissingTool
from engines.evaluation.voices import synthesise


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
def test_a_longer_sentence_takes_longer_to_say():
    short, long = synthesise("A dog."), synthesise("A dog runs over the long and empty beach.")
    assert 0.3 < short.duration_s < long.duration_s < 5.0
    assert np.abs(long.samples).max() > 0.05


def test_without_the_program_the_tool_is_named(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(MissingTool, match="espeak-ng is not installed"):
        synthesise("A dog.")
