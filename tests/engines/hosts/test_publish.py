"""Publishing: one commit with everything, a card whose metadata come from evaluation.json, one sentence else."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from engines.errors import CheckpointError, RequestError, UserError
from engines.hosts import publish
from engines.paths import ASSETS


class Hub:
    """An HfApi that keeps what it is given, since no real hub can be reached. broken: what it answers instead."""

    def __init__(self, broken: Exception | None = None) -> None:
        self.files: dict[str, bytes] = {}
        self.private: bool | None = None
        self.broken = broken

    def create_repo(self, repo: str, *, private: bool, exist_ok: bool) -> None:
        if self.broken is not None:
            raise self.broken
        self.private = private

    def create_commit(self, repo: str, operations: list[Any], commit_message: str) -> SimpleNamespace:
        for operation in operations:
            with operation.as_file() as file:
                self.files[operation.path_in_repo] = file.read()
        return SimpleNamespace(commit_url=f"hub/{repo}/commit/1")


@pytest.fixture
def folder(tmp_path) -> Path:
    """A small folder of the built-in model's form, with two measured rows."""
    for name in publish.NEEDED:
        (tmp_path / name).write_text(f"this is {name}")
    rows = {
        "about": {"split": "dev"},
        "caption.flickr8k.en.cider": {"value": 59.467},
        "sound.esc10.accuracy": {"value": None, "skipped": "no data"},
    }
    (tmp_path / "evaluation.json").write_text(json.dumps(rows))
    return tmp_path


def test_everything_goes_up_in_one_commit_and_the_card_becomes_the_readme(folder):
    hub = Hub()
    assert publish.publish(folder, "me/model", private=True, api=hub) == "hub/me/model/commit/1"
    assert hub.private is True
    assert set(hub.files) == {"README.md", "config.json", "model.safetensors", "tokenizer.model", "evaluation.json"}
    assert hub.files["README.md"].endswith(b"this is CARD.md")


def test_the_metadata_name_licence_languages_data_and_only_what_was_measured(folder):
    said = yaml.safe_load(publish.front_matter(folder).strip("-\n"))
    assert said["license_name"] == "non-commercial-research"
    assert said["language"] == ["en", "de", "fr", "zh"]
    assert "openai/whisper-base" in said["base_model"]
    (result,) = said["model-index"][0]["results"]
    assert result["metrics"][0]["value"] == 59.47 and result["dataset"]["name"] == "Flickr8k, English"


def test_the_built_in_model_can_be_published_as_it_is():
    folder = ASSETS / "models" / "builtin"
    assert all((folder / name).is_file() for name in publish.NEEDED)
    assert len(yaml.safe_load(publish.front_matter(folder).strip("-\n"))["model-index"][0]["results"]) == len(
        publish.MEASURED
    )


def test_a_folder_that_is_no_model_is_refused_with_what_it_lacks(folder):
    (folder / "tokenizer.model").unlink()
    with pytest.raises(CheckpointError, match=r"it lacks tokenizer\.model"):
        publish.publish(folder, "me/model", api=Hub())


@pytest.mark.parametrize("repo", ["model", "a/b/c", "/model", "me/"])
def test_a_name_that_is_no_repository_is_refused_with_the_form(folder, repo):
    with pytest.raises(RequestError, match="OWNER/NAME"):
        publish.publish(folder, repo, api=Hub())


def test_what_the_hub_refuses_is_one_sentence(folder):
    with pytest.raises(UserError, match="me/model could not be published: no rights"):
        publish.publish(folder, "me/model", api=Hub(broken=OSError("no rights\nand more")))


def test_the_command_prints_the_metadata_without_publishing(folder, capsys):
    assert publish.main([str(folder), "me/model", "--card"]) == 0
    assert "license_name: non-commercial-research" in capsys.readouterr().out


def test_the_command_says_what_is_wrong(folder, capsys):
    assert publish.main([str(folder), "nowhere"]) == 1
    assert "OWNER/NAME" in capsys.readouterr().err
