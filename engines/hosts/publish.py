"""Publish a model folder on the Hugging Face hub: its files, and its card with the metadata that the hub reads.

    fusion-studio publish FOLDER REPO

The folder is one that training exports: config, weights, tokenizer, card and, once it was evaluated, evaluation.json.
Address and token are huggingface_hub's (HF_ENDPOINT, HF_TOKEN or `hf auth login`). Nothing is published that the
program could not open itself.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engines.errors import CheckpointError, RequestError, UserError

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

CARD, CONFIG, EVALUATION = "CARD.md", "config.json", "evaluation.json"
NEEDED = (CONFIG, "model.safetensors", "tokenizer.model", CARD)
KEPT_HERE = ("evaluation.before.json",)
"""Files beside a model that are not published: what the version before measured."""
LICENCES = ("apache-2.0", "bsd-3-clause", "cc-by-4.0", "cc-by-nc-4.0", "cc-by-sa-4.0", "cc0-1.0", "mit")
"""The hub's names of licences; any other one goes by its own name."""
DATASETS = {
    "flickr8k": "flickr8k",
    "multi30k": "multi30k",
    "librispeech": "librispeech_asr",
    "speechocean762": "mispeech/speechocean762",
    "lj ?speech": "keithito/lj_speech",
    "an4": "an4",
    "fsdd": "fsdd",
    "esc-?(10|50)": "ashraq/esc50",
    "urbansound8k|us8k": "danavery/urbansound8K",
    "tatoeba": "tatoeba",
    "daquar": "daquar",
    "imagenet classes": "imagenet-1k",
    "coco": "coco",
}
"""Pattern of a data set's name in the card -> its name on the hub, or its own where it has none there."""
BASES = {"whisper base": "openai/whisper-base", "efficientnet-lite2": "timm/tf_efficientnet_lite2.in1k"}
"""Name in the card -> the model on the hub that it started from."""

MEASURED = (
    ("caption.flickr8k.en.cider", "image-to-text", "Flickr8k, English", "cider", "CIDEr-D x 100"),
    ("caption.flickr8k.zh.cider", "image-to-text", "Flickr8k, Chinese", "cider", "CIDEr-D x 100"),
    ("retrieval.flickr8k.en.text_to_image.recall_at_10", "feature-extraction", "Flickr8k", "recall", "Recall at 10"),
    ("speech.librispeech-dev-clean.word_error_rate", "automatic-speech-recognition", "LibriSpeech", "wer", "WER"),
    ("translation.multi30k.en_de.bleu", "translation", "Multi30k, English to German", "bleu", "BLEU"),
    ("translation.multi30k.en_fr.bleu", "translation", "Multi30k, English to French", "bleu", "BLEU"),
    ("video_qa.composed.accuracy", "visual-question-answering", "Composed clips", "accuracy", "Accuracy"),
    ("sound.esc10.accuracy", "audio-classification", "ESC-10", "accuracy", "Accuracy"),
)
"""Key in evaluation.json -> task, data set, metric and its name, as the hub's cards have them."""


def front_matter(folder: Path) -> str:
    """The YAML at the top of the card: licence, languages, data sets, what it started from, what was measured.

    Name and licence are those of config.json; data sets and title, those that the card names. Raises CheckpointError.
    """
    check(folder)
    from huggingface_hub import EvalResult, ModelCardData

    results: list[EvalResult] = []
    evaluation = folder / EVALUATION
    rows: dict[str, Any] = json.loads(evaluation.read_text(encoding="utf-8")) if evaluation.is_file() else {}
    for key, task, dataset, metric, name in MEASURED:
        value = rows.get(key, {}).get("value")
        if value is not None:
            results.append(
                EvalResult(
                    task_type=task,
                    dataset_type=re.sub(r"\W+", "-", dataset.lower()),  # the hub puts rows of one type together
                    dataset_name=dataset,
                    dataset_split=rows.get("about", {}).get("split", "dev"),
                    metric_type=metric,
                    metric_name=name,
                    metric_value=round(value, 2),
                )
            )
    config, card = _config(folder), (folder / CARD).read_text(encoding="utf-8")
    title = re.search(r"^# (.+)$", card, re.MULTILINE)
    licence = re.sub(r"\W+\Z|\A\W+", "", re.sub(r"\(.*?\)", "", str(config.get("licence", ""))).lower())
    slug = re.sub(r"[^\w.]+", "-", licence) or "unknown"
    data = ModelCardData(
        language=["en", "de", "fr", "zh"],
        license=slug if slug in LICENCES else "other",
        license_name=None if slug in LICENCES else slug,
        datasets=_named(DATASETS, card),
        base_model=_named(BASES, card),
        library_name="fusion-studio",
        tags=["multimodal", "image-captioning", "speech-recognition", "translation", "retrieval"],
        model_name=title[1].strip() if title else str(config.get("name") or folder.name),
        eval_results=results or None,
    )
    return f"---\n{data.to_yaml()}\n---\n"


def _named(names: dict[str, str], card: str) -> list[str] | None:
    """What the card names, in the order of the list; None where it names nothing."""
    return [hub for name, hub in names.items() if re.search(rf"\b({name})\b", card, re.IGNORECASE)] or None


def _config(folder: Path) -> dict[str, Any]:
    """The settings of a model folder. Raises CheckpointError."""
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except ValueError:
        config = None
    if not isinstance(config, dict):
        raise CheckpointError("publish_config", "{name} of {folder} is damaged.", name=CONFIG, folder=folder.name)
    return config


def check(folder: Path) -> None:
    """Raise CheckpointError for a folder that lacks a file of a model."""
    lacking = [name for name in NEEDED if not (folder / name).is_file()]
    if lacking:
        raise CheckpointError(
            "publish_lacks", "{name} is no model folder: it lacks {files}.", name=folder.name, files=", ".join(lacking)
        )


def publish(folder: Path, repo: str, *, private: bool = False, api: Any = None) -> str:
    """Upload the folder as one commit and return its address. Raises CheckpointError, RequestError, UserError.

    api: an HfApi; left out, one is made.
    """
    check(folder)
    if repo.count("/") != 1 or not all(repo.split("/")):
        raise RequestError("publish_repo", "{repo} names no repository; it has the form OWNER/NAME.", repo=repo)
    from huggingface_hub import CommitOperationAdd, HfApi, errors

    card = front_matter(folder) + "\n" + (folder / CARD).read_text(encoding="utf-8")
    files = sorted(path for path in folder.iterdir() if path.is_file() and path.name not in (CARD, *KEPT_HERE))
    operations = [
        CommitOperationAdd("README.md", card.encode()),
        *(CommitOperationAdd(path.name, path) for path in files),
    ]
    api = api if api is not None else HfApi()
    transport = getattr(errors, "HTTPError", OSError)  # of httpx or httpx2, whichever this version of the hub imports
    try:
        api.create_repo(repo, private=private, exist_ok=True)
        made = api.create_commit(repo, operations, commit_message=f"Fusion Studio, {folder.name}")
    except (errors.HfHubHTTPError, errors.OfflineModeIsEnabled, transport, OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(
            "publish_failed", "{repo} could not be published: {reason}", repo=repo, reason=reason
        ) from error
    return str(made.commit_url)


def main(argv: list[str], program: str = "fusion-studio") -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(f"{program} publish", description="Publish a model folder on the hub.")
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="a model folder, as training exports it")
    parser.add_argument("repo", metavar="REPO", help="OWNER/NAME on the hub; made where it is not there")
    parser.add_argument("--private", action="store_true", help="a new repository is private")
    parser.add_argument("--card", action="store_true", help="publish nothing; print the card's metadata")
    options = parser.parse_args(argv)
    os.environ["HF_HUB_OFFLINE"] = os.environ.get("FUSION_STUDIO_OFFLINE", "0")  # read when the library is imported
    try:
        if options.card:
            print(front_matter(options.folder), end="")
        else:
            print(publish(options.folder, options.repo, private=options.private))
    except UserError as error:
        print(error.en, file=sys.stderr)
        return 1
    return 0
