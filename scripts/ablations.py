"""Measure what each idea is worth: short training runs of equal budget, one change each, in one table.

    python -m scripts.ablations DATA RUN --whisper FOLDER --efficientnet FILE --teacher FOLDER --trunk MODEL

RUN contains the tokenizer and the feature cache, MODEL the picture tower that filled it. Every run starts from public
weights, since a finished model has been trained on all tasks together. Each variant is trained to RUN/ablations/<name>
and measured on the dev split by `engines.evaluation`; what exists is left alone, so an interrupted run can be resumed.
"alone" trains one model per task, for as many steps of that task as the joint run has, so that one model and many have
the same budget.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from engines.model import checkpoint
from engines.model.fusion import FusionModel
from engines.training import feature_cache
from engines.training.batches import Batcher
from engines.training.recipes import BASE, TOWERS, Recipe
from engines.training.sources import Sources
from engines.training.start import Teacher, load_weights, new_model, read_weights
from engines.training.train import Trainer

FIGURES = {
    "caption": ("caption.flickr8k.en.cider",),
    "match": ("retrieval.flickr8k.en.text_to_image.recall_at_10", "retrieval.flickr8k.de.text_to_image.recall_at_10"),
    "transcribe": ("speech.librispeech-dev-clean.word_error_rate",),
    "translate": ("translation.multi30k.en_de.bleu",),
    "sound": ("sound.us8k.accuracy",),
    "answer": ("video_qa.composed.accuracy",),
}
"""The figures of each task."""
SUITES = {
    "caption": "caption",
    "match": "retrieval",
    "transcribe": "speech",
    "translate": "translation",
    "sound": "sound",
    "answer": "video_qa.composed",
}
CORPORA = "librispeech-dev-clean,multi30k"
"""The corpora on which speech and translation are measured."""
TOGETHER = {"match": ("match", "parallel"), "answer": ("answer", "describe")}
"""Tasks that share a figure share a model where each task has its own."""
SMALLER = 4
"""Divisor of the batch sizes: a short run tells more with more and smaller steps."""
TRUNK = "picture.trunk."
ALIGNED_SHARE = 0.3
"""Share of the joint run's steps for runs that only match."""


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One run. tasks: those of `base` it trains; measured: tasks whose figures it gets; the rest: what it changes.

    share: of the joint run's steps; None for the share that its tasks have there.
    """

    name: str
    tasks: tuple[str, ...] = tuple(BASE.tasks)
    measured: tuple[str, ...] = tuple(FIGURES)
    fusion: str = "attention"
    public: bool = True
    teacher: bool = True
    synthetic: bool = True
    share: float | None = None


def variants() -> tuple[Variant, ...]:
    """All runs, the joint one first; every other run has one of the same tasks and steps to be compared with."""
    own = {task: TOGETHER.get(task, (task,)) for task in FIGURES}
    rest = tuple(task for task in BASE.tasks if task not in own["match"])
    matching = Variant(name="align_teacher", tasks=("match",), measured=("match",), share=ALIGNED_SHARE)
    return (
        Variant(name="joint"),
        *(Variant(name=f"alone_{task}", tasks=tasks, measured=(task,)) for task, tasks in own.items()),
        *(
            Variant(name=f"fusion_{kind}", fusion=kind, tasks=own["answer"], measured=("answer",))
            for kind in ("sum", "gated", "concat")
        ),
        matching,
        replace(matching, name="align_contrastive", teacher=False),
        Variant(name="no_matching", tasks=rest, measured=tuple(task for task in FIGURES if task in rest)),
        Variant(name="no_synthetic_speech", synthetic=False, tasks=("transcribe",), measured=("transcribe",)),
        Variant(name="no_public_decoder", public=False),
    )


def recipe_of(variant: Variant, n_steps: int) -> Recipe:
    """`base` in smaller batches, with this variant's tasks and its share of the steps."""
    tasks = {task: replace(own, size=own.size // SMALLER) for task, own in BASE.tasks.items() if task in variant.tasks}
    share = variant.share
    if share is None:
        share = sum(s.weight for s in tasks.values()) / sum(s.weight for s in BASE.tasks.values())
    n = max(2, round(n_steps * share))
    return replace(BASE, name=variant.name, tasks=tasks, n_steps=n, warmup_steps=min(BASE.warmup_steps, n // 2))


@torch.no_grad()
def start_of(variant: Variant, public: FusionModel) -> FusionModel:
    """A model for a variant: the public one, or one with nothing but its towers."""
    torch.manual_seed(0)
    model = FusionModel(replace(public.config, fusion=variant.fusion))  # type: ignore[arg-type]
    kept = ("",) if variant.public else TOWERS
    weights = {name: value for name, value in public.state_dict().items() if name.startswith(kept)}
    own = model.state_dict()
    model.load_state_dict(own | {name: value for name, value in weights.items() if name in own})
    return model


@torch.no_grad()
def hear_speech(model: FusionModel) -> None:
    """Let a model that learnt no events take every sound for speech, so that transcripts are measured, not a random
    gate."""
    speech = model.config.events.index("speech")
    model.event_head.project.weight[speech] = 0.0
    model.event_head.project.bias[speech] = 10.0


def figures(rows: Mapping[str, Mapping[str, object]], variant: Variant) -> dict[str, float]:
    """The variant's figures in an evaluation."""
    found = {}
    for task in variant.measured:
        for key in FIGURES[task]:
            value = rows.get(key, {}).get("value")
            if isinstance(value, float | int):
                found[key] = float(value)
    return found


def table(results: Mapping[str, Mapping[str, float]]) -> str:
    """A Markdown table with one row per variant; "alone" is one row of several models."""
    keys = [key for own in FIGURES.values() for key in own]
    rows: dict[str, dict[str, float]] = {}
    for name, values in results.items():
        rows.setdefault("alone" if name.startswith("alone_") else name, {}).update(values)
    lines = ["| run | " + " | ".join(keys) + " |", "|---" * (len(keys) + 1) + "|"]
    for name, values in rows.items():
        cells = (f"{values[key]:.1f}" if key in values else "" for key in keys)
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="Short runs at equal budget, one change each.")
    parser.add_argument("data", type=Path)
    parser.add_argument("run", type=Path)
    parser.add_argument("--whisper", required=True)
    parser.add_argument("--efficientnet", type=Path, required=True)
    parser.add_argument("--teacher")
    parser.add_argument("--trunk", type=Path, help="model whose picture tower filled the cache; default: public")
    parser.add_argument("--only", default="", help="variants, comma-separated; default: all")
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--limit", type=int, default=100, help="items a row of the evaluation")
    args = parser.parse_args()
    torch.set_num_threads(1)
    folder = args.run / "ablations"
    chosen = [v for v in variants() if not args.only or v.name in args.only.split(",")]
    towers = {} if args.trunk is None else {n: w for n, w in read_weights(args.trunk).items() if n.startswith(TRUNK)}
    for variant in chosen:
        done = folder / variant.name / "evaluation.json"
        if done.exists():
            continue
        teacher = None if args.teacher is None or not variant.teacher else Teacher(args.teacher)
        public = new_model(args.run, args.whisper, args.efficientnet)
        load_weights(public, [towers])
        photos = feature_cache.open_photos(args.run)
        sounds = feature_cache.open_sounds(args.run, synthetic=variant.synthetic)
        batcher = Batcher(args.data, args.run, Sources(photos, sounds), public.config, teacher)
        work = folder / variant.name
        work.mkdir(parents=True, exist_ok=True)
        trainer = Trainer(start_of(variant, public), recipe_of(variant, args.steps), batcher, work)
        trainer.resume()
        trainer.fit(10**9)
        model = work / "model"
        averaged = trainer.averaged()
        if "sound" not in variant.tasks:
            hear_speech(averaged)
        checkpoint.save(model, averaged, args.run / "tokenizer.model")
        suites = ",".join(sorted({SUITES[task] for task in variant.measured}))
        command = [sys.executable, "-m", "engines.evaluation", "--data", args.data, "--model", model, "--only", suites]
        command += ["--corpora", CORPORA, "--limit", str(args.limit), "--threads", "1", "--out", done]
        subprocess.run([str(part) for part in command], check=True)
    found = {}
    for variant in chosen:
        rows = json.loads((folder / variant.name / "evaluation.json").read_text(encoding="utf-8"))
        found[variant.name] = figures(rows, variant)
    print(table(found))


if __name__ == "__main__":
    main()
