"""A name either opens a host or becomes one sentence that says what to give instead."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engines import CheckpointError, DeviceError, RequestError, Settings, open_host
from engines.model import checkpoint


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("bultin", "No host is called 'bultin'. Known are: builtin, or the path of a checkpoint folder; did you mean"),
        ("xyz", "No host is called 'xyz'. Known are: builtin, or the path of a checkpoint folder."),
        ("./models/none", "The model folder 'none' does not exist; check the path."),
        ("/models/very/none", "The model folder 'none' does not exist; check the path."),
        ("openai/whisper-base", "There is no folder 'openai/whisper-base' here, and models from the Hugging Face hub"),
        ("http://localhost:8000/v1", "A model behind a web address cannot be used in this version; open"),
    ],
)
def test_a_name_nothing_answers_to_says_what_to_give(name: str, said: str):
    with pytest.raises(RequestError) as refused:
        open_host(name)
    assert refused.value.en.startswith(said) and refused.value.zh != refused.value.en


def test_a_file_is_not_a_folder(tmp_path: Path):
    file = tmp_path / "model.safetensors"
    file.touch()
    with pytest.raises(RequestError, match=r"^'model\.safetensors' is a file; give the folder that holds it\.$"):
        open_host(str(file))


def test_a_transformers_checkpoint_is_recognised_and_refused_kindly(tmp_path: Path):
    folder = tmp_path / "whisper"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": "whisper"}), encoding="utf-8")
    with pytest.raises(RequestError, match="'whisper' is a transformers checkpoint, which this version cannot use"):
        open_host(str(folder))


@pytest.mark.parametrize("content", [None, "{", "[]", '{"format": "other"}'])
def test_a_folder_without_a_checkpoint_of_ours_is_a_checkpoint_error(tmp_path: Path, content: str | None):
    folder = tmp_path / "mine"
    folder.mkdir()
    if content is not None:
        (folder / "config.json").write_text(content, encoding="utf-8")
    with pytest.raises(CheckpointError) as refused:
        open_host(str(folder))
    assert str(tmp_path) not in refused.value.en


def test_a_folder_with_a_checkpoint_of_ours_opens_and_says_what_it_is(tmp_path: Path):
    tiny = checkpoint.tiny()
    tokenizer = checkpoint.BUILTIN / checkpoint.TOKENIZER_FILE
    digest = checkpoint.save(tmp_path / "mine", tiny.model, tokenizer, name="mine", licence="Apache-2.0")
    host = open_host(str(tmp_path / "mine"), Settings(device="cpu", dtype="float32"))
    try:
        assert host.info.name == "mine" and host.info.model_digest == digest and host.info.device == "cpu"
        assert host.info.n_parameters == tiny.n_parameters and host.info.memory_bytes == 4 * tiny.n_parameters
        assert host.info.licence == "Apache-2.0" and host.info.device_reason
    finally:
        host.close()


def test_an_absent_device_is_told_before_anything_is_loaded(tmp_path: Path):
    with pytest.raises(DeviceError, match="cuda:99"):
        open_host("builtin", Settings(device="cuda:99"))


def test_the_built_in_model_declares_every_task_in_four_languages(builtin):
    from engines import AskRequest, CaptionRequest, SearchRequest, TranscribeRequest, TranslateRequest

    for language in ("en", "de", "fr", "zh"):
        assert all(builtin.info.serves(kind, language) for kind in (CaptionRequest, TranscribeRequest, AskRequest))
    assert builtin.info.serves(TranslateRequest, "de-fr") and builtin.info.serves(SearchRequest)
    assert builtin.info.memory_bytes > 10**7 and builtin.info.licence
