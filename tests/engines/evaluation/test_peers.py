"""Peers run, and their library's absence is said."""

from __future__ import annotations

import sys
from functools import partial

import pytest

from engines.evaluation.metrics import MissingTool
from engines.evaluation.speed import PEERS, clip_vit_b32


def test_there_is_a_peer_for_each_job_that_takes_long():
    assert {name.split(".")[0] for name in PEERS} == {"caption", "transcribe", "photo_vector", "translate"}


def test_a_peer_does_its_job(monkeypatch):
    transformers = pytest.importorskip("transformers")
    thin = partial(transformers.CLIPVisionConfig, hidden_size=16, intermediate_size=16, num_hidden_layers=1)
    monkeypatch.setattr(transformers, "CLIPVisionConfig", partial(thin, num_attention_heads=2))
    assert clip_vit_b32()().shape == (1, 512)


def test_without_transformers_the_tool_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    for peer in PEERS.values():
        with pytest.raises(MissingTool, match="transformers is not installed"):
            peer()
