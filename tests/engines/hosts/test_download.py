"""Of a repository the weights are fetched once, as transformers would load them, with the small files beside them.

The process itself is watched at work in `test_hub`.
"""

from __future__ import annotations

import errno
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from engines.hosts import download
from engines.hosts.download import CONFIG, INDEX, WEIGHTS, Fault, chosen

SHARDS = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]


@pytest.mark.parametrize(
    ("beside", "weights"),
    [
        ([WEIGHTS], [WEIGHTS]),
        ([INDEX, *SHARDS], [INDEX, *SHARDS]),
        # whisper-large-v3 holds its weights in float32 too
        ([WEIGHTS, "model.fp32-00001-of-00002.safetensors", "model.fp32-00002-of-00002.safetensors"], [WEIGHTS]),
        ([INDEX, *SHARDS, "consolidated.safetensors"], [INDEX, *SHARDS]),  # Mistral's own format
        ([INDEX, WEIGHTS, *SHARDS], [WEIGHTS]),
        ([INDEX, "pp0-ep0.safetensors", "pp0-ep1.safetensors"], [INDEX, "pp0-ep0.safetensors", "pp0-ep1.safetensors"]),
        ([WEIGHTS, "original/model.safetensors", "..\\model.safetensors"], [WEIGHTS]),
    ],
)
def test_weights_are_fetched_once(beside, weights):
    assert sorted(chosen([CONFIG, *beside])) == sorted([CONFIG, *weights])


def test_what_a_tokenizer_needs_comes_too():
    small = ["README.md", "merges.txt", "source.spm", "spiece.model", "chat_template.jinja", "qwen.tiktoken"]
    assert sorted(chosen([CONFIG, WEIGHTS, *small])) == sorted([CONFIG, WEIGHTS, *small])


@pytest.mark.parametrize(
    "file", ["pytorch_model.bin", "model.pt", "modeling.py", "model.onnx", "model.gguf", "a.json.py", "tf_model.h5"]
)
def test_formats_that_can_run_code_are_left_alone(file):
    assert file not in chosen([CONFIG, WEIGHTS, file])


@pytest.mark.parametrize(
    ("names", "fault"),
    [
        ([CONFIG], "weightless"),
        ([CONFIG, "pytorch_model.bin"], "weightless"),
        ([CONFIG, "adapter_model.safetensors"], "weightless"),
        ([CONFIG, INDEX], "weightless"),
        ([WEIGHTS], "unknown"),
        (["onnx/config.json", WEIGHTS], "unknown"),
    ],
)
def test_a_repository_of_no_use_is_known_by_its_files(names, fault):
    with pytest.raises(Fault, match=fault):
        chosen(names)


def test_a_disk_that_runs_full_on_the_way_is_told(tmp_path, monkeypatch):
    def fill(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    siblings = [SimpleNamespace(rfilename=name, size=100, lfs=None, blob_id="") for name in (CONFIG, WEIGHTS)]
    told = SimpleNamespace(sha="0" * 40, gated=False, siblings=siblings)
    monkeypatch.setattr(download, "_info", lambda name: told)
    monkeypatch.setattr(download, "_small", lambda *_: {})
    monkeypatch.setattr(download, "_fetch_all", fill)
    with pytest.raises(Fault) as fault:
        download._work("house/model", tmp_path, only_look=False)
    assert fault.value.record["fault"] == "full" and fault.value.record["need"] == 200


def test_a_file_that_becomes_whole_while_it_is_counted_is_counted_once(tmp_path, monkeypatch):
    file = download._File(WEIGHTS, 100, "", "blob")
    (tmp_path / "blobs").mkdir()
    part, blob = download._part(file, tmp_path), download._blob(file, tmp_path)
    part.write_bytes(bytes(100))
    measure = download._size

    def then_moved(path: Path) -> int:
        n_bytes = measure(path)
        part.replace(blob)
        return n_bytes

    monkeypatch.setattr(download, "_size", then_moved)
    assert download._here(file, tmp_path, "0" * 40) == 100
    assert measure(part) == 0, "and nothing is wrong about asking for what has gone"
