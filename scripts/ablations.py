"""What each idea is worth: short runs at equal budget, one change each, measured alike.

    python -m scripts.ablations DATA RUN --whisper FOLDER --efficientnet FILE --teacher FOLDER --trunk MODEL

RUN holds tokenizer and stores, MODEL the picture tower these were made with. Every run starts from public weights: a
finished model would have had all its tasks together already. Each variant is trained to RUN/ablations/<name> and
measured on the dev split by `engines.evaluation`; what is there is left alone, so a run that was stopped goes on. The
table is printed at the end. Every run takes its part of `--steps`; "alone" gives each task a model of its own, trained
for as many steps of that task as the joint run has, so that one model and many have the same budget.
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
from engines.training import adversary, store
from engines.training.adversary import Discriminator
from engines.training.batches import Feeds
from engines.training.recipes import RECIPES, Recipe
from engines.training.start import begin_from, fresh_model, stage
from engines.training.teacher import Teacher
from engines.training.train import Trainer

FIGURES = {
    "caption": ("caption.flickr8k.en.cider",),
    "match": ("retrieval.flickr8k.en.text_to_image.recall_at_10", "retrieval.flickr8k.de.text_to_image.recall_at_10"),
    "transcribe": ("speech.librispeech-dev-clean.word_error_rate",),
    "translate": ("translation.multi30k.en_de.bleu",),
    "sound": ("sound.us8k.accuracy",),
    "answer": ("video_qa.composed.accuracy",),
}
"""What tells how well a task went."""
SUITES = {
    "caption": "caption",
    "match": "retrieval",
    "transcribe": "speech",
    "translate": "translation",
    "sound": "sound",
    "answer": "video_qa.composed",
}
CORPORA = "librispeech-dev-clean,multi30k"
"""What speech and translation are measured on."""
TOGETHER = {"match": ("match", "parallel"), "answer": ("answer", "describe")}
"""Tasks that share one figure's work are one task when each has a model of its own."""
ALIGNMENTS = {"contrastive": False, "adversarial": True, "both": False}
"""How photos and texts are brought into one space, and whether the adversarial game is all there is."""
SMALLER = 4
"""Of a short run more can be told with more and smaller steps."""
TRUNK = "picture.trunk."
ALIGNED_SHARE = 0.3
"""Of the joint run's steps, for runs that do nothing but match."""


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One run. tasks: those of the joint recipe it trains; measured: of which tasks; the rest is what it changes.

    share: of the joint run's steps; None for what its tasks have there.
    """

    name: str
    tasks: tuple[str, ...] = tuple(RECIPES["joint"].tasks)
    measured: tuple[str, ...] = tuple(FIGURES)
    fusion: str = "attention"
    alignment: str = "contrastive"
    public: bool = True
    taught: bool = True
    synthetic: bool = True
    share: float | None = None


def variants() -> tuple[Variant, ...]:
    """All runs, the joint one first; each of the others has one to be compared with, of the same tasks and steps."""
    own = {task: TOGETHER.get(task, (task,)) for task in FIGURES}
    rest = tuple(task for task in RECIPES["joint"].tasks if task not in own["match"])
    matching = Variant(name="align_taught", tasks=("match",), measured=("match",), share=ALIGNED_SHARE)
    return (
        Variant(name="joint"),
        *(Variant(name=f"alone_{task}", tasks=tasks, measured=(task,)) for task, tasks in own.items()),
        *(
            Variant(name=f"fusion_{kind}", fusion=kind, tasks=own["answer"], measured=("answer",))
            for kind in ("sum", "gated", "concat")
        ),
        matching,
        *(replace(matching, name=f"align_{kind}", alignment=kind, taught=False) for kind in ALIGNMENTS),
        Variant(name="no_matching", tasks=rest, measured=tuple(task for task in FIGURES if task in rest)),
        Variant(name="no_synthetic_speech", synthetic=False, tasks=("transcribe",), measured=("transcribe",)),
        Variant(name="no_public_decoder", public=False),
    )


def recipe_of(variant: Variant, n_steps: int) -> Recipe:
    """The joint recipe, in smaller batches, with this variant's tasks and its part of the steps."""
    joint = RECIPES["joint"]
    tasks = {task: replace(own, size=own.size // SMALLER) for task, own in joint.tasks.items() if task in variant.tasks}
    share = variant.share
    if share is None:
        share = sum(s.weight for s in tasks.values()) / sum(s.weight for s in joint.tasks.values())
    n = max(2, round(n_steps * share))
    return replace(joint, name=variant.name, tasks=tasks, n_steps=n, warmup_steps=min(joint.warmup_steps, n // 2))


@torch.no_grad()
def start_of(variant: Variant, public: FusionModel) -> FusionModel:
    """A model for a variant: the public one, or all but its towers from nothing."""
    torch.manual_seed(0)
    model = FusionModel(replace(public.config, fusion=variant.fusion))  # type: ignore[arg-type]
    kept = (TRUNK, "sound.") if not variant.public else ("",)
    weights = {name: value for name, value in public.state_dict().items() if name.startswith(kept)}
    own = model.state_dict()
    model.load_state_dict(own | {name: value for name, value in weights.items() if name in own})
    if variant.alignment != "contrastive":
        model.add_module(adversary.NAME, Discriminator(model.config.embed_dim, alone=ALIGNMENTS[variant.alignment]))
    return model


@torch.no_grad()
def hear_speech(model: FusionModel) -> None:
    """Let a model that learnt no events take every sound for speech: what it writes is measured, not a random gate."""
    speech = model.config.events.index("speech")
    model.event_head.project.weight[speech] = 0.0
    model.event_head.project.bias[speech] = 10.0


def figures(rows: Mapping[str, Mapping[str, object]], variant: Variant) -> dict[str, float]:
    """Its keys and values out of an evaluation."""
    found = {}
    for task in variant.measured:
        for key in FIGURES[task]:
            value = rows.get(key, {}).get("value")
            if isinstance(value, float | int):
                found[key] = float(value)
    return found


def table(results: Mapping[str, Mapping[str, float]]) -> str:
    """A Markdown table, a variant a row; "alone" is one row of several models."""
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
    parser.add_argument("--trunk", type=Path, help="the model whose picture tower made the stores; default: public")
    parser.add_argument("--only", default="", help="variants, comma-separated; default: all")
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--limit", type=int, default=100, help="items a row of the evaluation")
    args = parser.parse_args()
    torch.set_num_threads(1)
    folder = args.run / "ablations"
    chosen = [v for v in variants() if not args.only or v.name in args.only.split(",")]
    towers = {} if args.trunk is None else {n: w for n, w in stage(args.trunk).items() if n.startswith(TRUNK)}
    for variant in chosen:
        done = folder / variant.name / "evaluation.json"
        if done.exists():
            continue
        teacher = None if args.teacher is None or not variant.taught else Teacher(args.teacher)
        feeds = Feeds(args.data, args.run, teacher, store.opened(args.run, synthetic=variant.synthetic))
        public = fresh_model(args.run, args.whisper, args.efficientnet)
        begin_from(public, [towers])
        work = folder / variant.name
        work.mkdir(parents=True, exist_ok=True)
        trainer = Trainer(start_of(variant, public), recipe_of(variant, args.steps), feeds, work)
        trainer.resume()
        trainer.fit(10**9)
        model = work / "model"
        averaged = trainer.averaged()
        if hasattr(averaged, adversary.NAME):
            delattr(averaged, adversary.NAME)
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
