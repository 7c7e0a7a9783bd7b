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

CARD, EVALUATION = "CARD.md", "evaluation.json"
NEEDED = ("config.json", "model.safetensors", "tokenizer.model", CARD)

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
    """The YAML at the top of the card: licence, languages, data sets, what it started from, what was measured."""
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
    data = ModelCardData(
        language=["en", "de", "fr", "zh"],
        license="other",
        license_name="non-commercial-research",
        datasets=["flickr8k", "multi30k", "librispeech_asr", "mispeech/speechocean762", "ashraq/esc50", "tatoeba"],
        base_model=["openai/whisper-base", "timm/tf_efficientnet_lite2.in1k"],
        library_name="fusion-studio",
        tags=["multimodal", "image-captioning", "speech-recognition", "translation", "retrieval"],
        model_name="Fusion Studio",
        eval_results=results or None,
    )
    return f"---\n{data.to_yaml()}\n---\n"


def publish(folder: Path, repo: str, *, private: bool = False, api: Any = None) -> str:
    """Upload the folder as one commit and return its address. Raises CheckpointError, RequestError, UserError.

    api: an HfApi; left out, one is made.
    """
    lacking = [name for name in NEEDED if not (folder / name).is_file()]
    if lacking:
        raise CheckpointError(
            "publish_lacks", "{name} is no model folder: it lacks {files}.", name=folder.name, files=", ".join(lacking)
        )
    if repo.count("/") != 1 or not all(repo.split("/")):
        raise RequestError("publish_repo", "{repo} names no repository; it has the form OWNER/NAME.", repo=repo)
    import httpx
    from huggingface_hub import CommitOperationAdd, HfApi, errors

    card = front_matter(folder) + "\n" + (folder / CARD).read_text(encoding="utf-8")
    files = sorted(path for path in folder.iterdir() if path.is_file() and path.name != CARD)
    operations = [
        CommitOperationAdd("README.md", card.encode()),
        *(CommitOperationAdd(path.name, path) for path in files),
    ]
    api = api if api is not None else HfApi()
    try:
        api.create_repo(repo, private=private, exist_ok=True)
        made = api.create_commit(repo, operations, commit_message=f"Fusion Studio, {folder.name}")
    except (errors.HfHubHTTPError, errors.OfflineModeIsEnabled, httpx.HTTPError, OSError, ValueError) as error:
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
