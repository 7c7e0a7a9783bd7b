"""A name either opens a host or becomes one sentence that says what to give instead."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub.constants
import pytest

from engines import Cancelled, CheckpointError, DeviceError, RequestError, Settings, describe, open_host
from engines.hosts import hub
from engines.model import checkpoint
from engines.protocol import Cancel, Progress

KNOWN = (
    "Known are: builtin, the path of a checkpoint folder, a name on the hub like openai/whisper-base, or the address "
    "of a server"
)


@pytest.fixture(autouse=True)
def no_network(tmp_path, monkeypatch) -> None:
    """Nothing is fetched, and nothing was."""
    monkeypatch.setenv("FUSION_STUDIO_OFFLINE", "1")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("bultin", f"No host is called 'bultin'. {KNOWN}; did you mean 'builtin'?"),
        ("xyz", f"No host is called 'xyz'. {KNOWN}."),
        ("./models/none", "The model folder 'none' does not exist; check the path."),
        ("~nobody/none", "The model folder 'none' does not exist; check the path."),
        ("/models/very/none", "The model folder 'none' does not exist; check the path."),
        ("openai/whisper-base", "openai/whisper-base is not on this machine, and HF_HUB_OFFLINE is set; start without"),
        ("ftp://x", "An address begins with http:// or https://; check what you typed."),
    ],
)
@pytest.mark.parametrize("ask", [open_host, describe])
def test_a_name_nothing_answers_to_says_what_to_give(ask, name, said):
    with pytest.raises(RequestError) as refused:
        ask(name)
    assert refused.value.en.startswith(said) and refused.value.zh != refused.value.en


def test_a_file_is_not_a_folder(tmp_path):
    file = tmp_path / "model.safetensors"
    file.touch()
    with pytest.raises(RequestError, match=r"^'model\.safetensors' is a file; give the folder that holds it\.$"):
        open_host(str(file))


@pytest.mark.parametrize("ask", [open_host, describe])
def test_a_transformers_checkpoint_is_recognised_and_asked_for_its_weights(tmp_path, ask):
    folder = tmp_path / "whisper"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": "whisper"}), encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"^whisper has no weights as \.safetensors, and other formats can run"):
        ask(str(folder))


def test_what_is_fetched_is_told_and_opened(tmp_path, monkeypatch):
    told: list[Progress] = []

    def fetch(name: str, cancel: Cancel) -> Iterator[Progress]:
        yield Progress("fetching", 1, 2, "bytes")
        here.append(folder)

    here: list[Path] = []
    folder = tmp_path / "mine"
    checkpoint.save(folder, checkpoint.tiny().model, checkpoint.BUILTIN / checkpoint.TOKENIZER_FILE, name="mine")
    monkeypatch.setattr(hub, "fetch", fetch)
    monkeypatch.setattr(hub, "local", lambda name: here[0] if here else None)
    host = open_host("house/model", Settings(device="cpu", dtype="float32"), tell=told.append)
    host.close()
    assert told == [Progress("fetching", 1, 2, "bytes")] and host.info.name == "mine"


def test_a_stop_reaches_the_download(monkeypatch):
    monkeypatch.setenv("FUSION_STUDIO_OFFLINE", "0")
    cancel = Cancel()
    cancel.set()
    with pytest.raises(Cancelled):
        open_host("house/model", cancel=cancel)


@pytest.mark.parametrize("content", [None, "{", "[]", '{"format": "other"}'])
def test_a_folder_without_a_checkpoint_of_ours_is_a_checkpoint_error(tmp_path, content):
    folder = tmp_path / "mine"
    folder.mkdir()
    if content is not None:
        (folder / "config.json").write_text(content, encoding="utf-8")
    with pytest.raises(CheckpointError) as refused:
        open_host(str(folder))
    assert str(tmp_path) not in refused.value.en


def test_a_folder_with_a_checkpoint_of_ours_opens_and_says_what_it_is(tmp_path):
    tiny = checkpoint.tiny()
    tokenizer = checkpoint.BUILTIN / checkpoint.TOKENIZER_FILE
    digest = checkpoint.save(tmp_path / "mine", tiny.model, tokenizer, name="mine", licence="Apache-2.0")
    host = open_host(str(tmp_path / "mine"), Settings(device="cpu", dtype="float32"))
    try:
        assert host.info.source == str(tmp_path / "mine")  # so that a route to it finds it again
        assert host.info.name == "mine" and host.info.model_digest == digest and host.info.device == "cpu"
        assert host.info.n_parameters == tiny.n_parameters and host.info.memory_bytes == 4 * tiny.n_parameters
        assert host.info.licence == "Apache-2.0" and host.info.device_reason
    finally:
        host.close()


def test_an_absent_device_is_told_before_anything_is_loaded(tmp_path):
    with pytest.raises(DeviceError, match="cuda:99"):
        open_host("builtin", Settings(device="cuda:99"))


def test_the_built_in_model_declares_every_task_in_four_languages(builtin):
    from engines import AskRequest, CaptionRequest, SearchRequest, TranscribeRequest, TranslateRequest

    for language in ("en", "de", "fr", "zh"):
        assert all(builtin.info.serves(kind, language) for kind in (CaptionRequest, TranscribeRequest, AskRequest))
    assert builtin.info.serves(TranslateRequest, "de-fr") and builtin.info.serves(SearchRequest)
    assert builtin.info.memory_bytes > 10**7 and builtin.info.licence


@pytest.mark.parametrize("name", ["", "  "])
def test_an_empty_name_is_no_model(name):
    """As `--model "$MODEL"` is in a script in which MODEL is not set: as a path it would be the current folder."""
    for find in (open_host, describe):
        with pytest.raises(RequestError, match=r"^Type the name of a model, a folder or an address"):
            find(name)
