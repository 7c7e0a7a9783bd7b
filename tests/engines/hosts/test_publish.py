"""Publishing: one commit with everything, a card whose metadata come from evaluation.json, one sentence else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from engines.errors import CheckpointError, RequestError, UserError
from engines.hosts import publish
from engines.paths import ASSETS
from tests.conftest import ROOT


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
    (tmp_path / "config.json").write_text(json.dumps({"name": "own", "licence": "non-commercial research (CARD.md)"}))
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
    assert said["model-index"][0]["name"] == "own"  # the card has no title
    assert not said.keys() & {"datasets", "base_model"}  # the card names none
    (result,) = said["model-index"][0]["results"]
    assert result["metrics"][0]["value"] == 59.47 and result["dataset"]["name"] == "Flickr8k, English"


def test_the_built_in_model_can_be_published_as_it_is():
    folder = ASSETS / "models" / "builtin"
    assert all((folder / name).is_file() for name in publish.NEEDED)
    said = yaml.safe_load(publish.front_matter(folder).strip("-\n"))
    assert len(said["model-index"][0]["results"]) == len(publish.MEASURED)
    assert said["model-index"][0]["name"] == "The built-in model, sixth version"
    assert said["base_model"] == list(publish.BASES.values())
    assert said["datasets"] == list(publish.DATASETS.values())


def test_a_licence_that_the_hub_knows_goes_by_the_hubs_name_and_title_and_data_are_the_cards(folder):
    (folder / "config.json").write_text(json.dumps({"name": "own", "licence": "MIT"}))
    (folder / "CARD.md").write_text("# Sounds of my street\n\nLearnt from UrbanSound8K, LJ Speech and DAQUAR.\n")
    said = yaml.safe_load(publish.front_matter(folder).strip("-\n"))
    assert said["license"] == "mit" and "license_name" not in said
    assert said["model-index"][0]["name"] == "Sounds of my street"
    assert said["datasets"] == ["keithito/lj_speech", "danavery/urbansound8K", "daquar"]


def test_what_the_version_before_measured_is_not_published(folder):
    (folder / "evaluation.before.json").write_text("{}")
    publish.publish(folder, "me/model", api=(hub := Hub()))
    assert "evaluation.json" in hub.files and "evaluation.before.json" not in hub.files


def test_a_damaged_config_is_one_sentence(folder):
    (folder / "config.json").write_text("[")
    with pytest.raises(CheckpointError, match=r"config\.json of .* is damaged"):
        publish.front_matter(folder)


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


@pytest.mark.parametrize("option", [[], ["--card"]])
def test_a_folder_that_is_not_there_is_refused_before_anything_is_printed(tmp_path, capsys, option):
    assert publish.main([str(tmp_path / "nowhere"), "me/x", *option]) == 1
    printed = capsys.readouterr()
    assert not printed.out and "nowhere is no model folder: it lacks config.json" in printed.err


def test_a_hub_that_does_not_answer_is_one_sentence(folder):
    ended = subprocess.run(
        [sys.executable, "-m", "engines", "publish", str(folder), "me/model"],
        cwd=ROOT, capture_output=True, text=True, check=False,
        env={**os.environ, "HF_ENDPOINT": "http://127.0.0.1:9", "HF_TOKEN": "none", "FUSION_STUDIO_OFFLINE": "0"},
    )  # fmt: skip
    assert ended.returncode == 1 and not ended.stdout
    assert "Traceback" not in ended.stderr
    assert ended.stderr.splitlines()[-1].startswith("me/model could not be published: ")
