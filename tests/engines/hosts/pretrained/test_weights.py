"""Weights and processors into memory, and a sentence for each thing that can be wrong with them."""

from __future__ import annotations

import builtins
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engines.errors import CheckpointError
from engines.hosts.pretrained import checkpoint, weights
from engines.settings import Settings

Built = Callable[[str], Path]


def test_a_processor_is_put_together_without_that_for_videos(built):
    found = weights.processor(checkpoint.read(built("omni"), "x"))
    assert found.video_processor is None and found.tokenizer and found.image_processor and found.feature_extractor
    assert found.chat_template


def test_a_processor_keeps_the_settings_of_its_checkpoint(built):
    found = weights.processor(checkpoint.read(built("gemma"), "x"))
    assert found.image_seq_length == 4, "not 256, the library's own"
    assert found.chat_template


def test_a_model_of_text_alone_has_a_tokenizer(built):
    found = weights.processor(checkpoint.read(built("language_model"), "x"))
    assert not hasattr(found, "image_processor") and found.chat_template


def test_a_missing_part_is_told_without_a_path(built, tmp_path):
    folder = Path(shutil.copytree(built("whisper"), tmp_path / "whisper"))
    for file in folder.glob("*processor*"):
        file.unlink()
    with pytest.raises(CheckpointError, match=r"^The FeatureExtractor of whisper could not be read") as refused:
        weights.feature_extractor(checkpoint.read(folder, str(folder)))
    assert str(tmp_path) not in refused.value.en + refused.value.zh


def test_weights_of_other_shapes_are_told(built, tmp_path):
    folder = Path(shutil.copytree(built("marian"), tmp_path / "marian"))
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps(config | {"d_model": 32}), encoding="utf-8")
    found = checkpoint.read(folder, "x")
    with pytest.raises(CheckpointError, match=r"^marian could not be loaded: "):
        weights.load("AutoModelForSeq2SeqLM", found, checkpoint.place(found, Settings(device="cpu", dtype="float32")))


def test_int8_without_its_library_says_what_to_install(built, monkeypatch):
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("torchao"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    found = checkpoint.read(built("marian"), "x")
    with pytest.raises(CheckpointError, match=r"^int8 needs the package torchao; install it with \S+ -m pip"):
        weights.load("AutoModelForSeq2SeqLM", found, checkpoint.place(found, Settings(device="cpu", dtype="int8")))
