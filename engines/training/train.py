"""The training loop: one recipe, one model, one of the recipe's tasks at each step; resumable to the same numbers.

    python -m engines.training.train DATA RUN --recipe base --whisper FOLDER --efficientnet FILE [--device cpu]
    torchrun --nproc-per-node 2 -m engines.training.train ...      several processes, on CPUs or GPUs
    python -m engines.training.train DATA RUN --recipe full --from MODEL --device cuda --workers 15

RUN contains the tokenizer and the feature cache. A recipe that trains a tower reads that tower's media into memory; a
frozen tower's features come from the cache. The state is written to RUN/<recipe>: weights, EMA and optimizer as
safetensors, the rest as JSON. `--from` starts from another stage's EMA or the mean of several; `--export FOLDER`
writes the EMA as a model that the studio opens; the recipe `translation` writes its adapters into FOLDER, for the model
given by `--from`.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.data import DataLoader, Dataset

from engines.archives import DatasetMissing
from engines.model import checkpoint
from engines.model.fusion import FusionModel
from engines.model.translation_adapter import TranslationAdapter
from engines.training import card, concept_groups, feature_cache, in_memory
from engines.training.batches import Batch, Batcher
from engines.training.objectives import OBJECTIVES, loss_of
from engines.training.recipes import RECIPES, Recipe
from engines.training.sources import Sources
from engines.training.start import StepMissing, Teacher, WrongWeights, load_weights, new_model, read_weights

STATE_FILE, LOG_FILE = "state.json", "log.jsonl"


def learning_rate(recipe: Recipe, step: int, peak: float) -> float:
    """Linear warm-up, then a cosine to a hundredth of the peak (Loshchilov & Hutter 2017)."""
    if step < recipe.warmup_steps:
        return peak * (step + 1) / recipe.warmup_steps
    part = (step - recipe.warmup_steps) / max(1, recipe.n_steps - recipe.warmup_steps)
    return peak * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(part, 1.0))))


def open_sources(recipe: Recipe, model: FusionModel, data: Path, run: Path, *, n_processes: int = 1) -> Sources:
    """The media of each tower that the recipe trains, and the cached features of each that is frozen."""

    def trains(tower: str) -> bool:
        return any(recipe.trains(name) for name, _ in model.named_parameters() if name.startswith(tower))

    photos = feature_cache.open_photos(run)
    if trains("picture.trunk."):
        photos = in_memory.read_photos(data, model.config.photo_px, n_processes=n_processes)
    sounds = feature_cache.open_sounds(run)
    if trains("sound."):
        sounds = in_memory.read_sounds(data, run, n_processes=n_processes)
    return Sources(photos, sounds)


def _kernels(task: str) -> list[SDPBackend]:
    """Attention kernels: on a CPU flash attention's backward pass takes twice the time, except for long speech."""
    every = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]
    return every if task == "transcribe" or torch.cuda.is_available() else [SDPBackend.MATH]


class Plan(Dataset[tuple[str, Batch]]):
    """The task and batch of each step, which depend only on the recipe's seed, the process and the step."""

    def __init__(self, recipe: Recipe, batcher: Batcher, process: int) -> None:
        self.recipe, self.batcher, self.process = recipe, batcher, process
        weights = np.array([share.weight for share in recipe.tasks.values()])
        self.p = weights / weights.sum()

    def __len__(self) -> int:
        return self.recipe.n_steps

    def __getitem__(self, step: int) -> tuple[str, Batch]:
        rng = np.random.default_rng((self.recipe.seed, self.process, step))
        task = list(self.recipe.tasks)[int(rng.choice(len(self.p), p=self.p))]
        return task, OBJECTIVES[task].draw(self.batcher, self.recipe.tasks[task].size, rng)


class Trainer:
    """Trains a model by a recipe; saves and restores everything that a resumed run needs.

    A single process resumes to the same numbers; with several, only rank 0's optimizer state is restored. n_workers:
    processes that draw batches ahead, which changes no number.
    """

    def __init__(
        self,
        model: FusionModel,
        recipe: Recipe,
        batcher: Batcher,
        folder: Path,
        *,
        device: str = "cpu",
        n_workers: int = 0,
    ) -> None:
        from accelerate import Accelerator

        bf16 = device != "cpu" or torch.cpu._is_avx512_bf16_supported()
        self.accelerator = Accelerator(cpu=device == "cpu", mixed_precision="bf16" if bf16 else "no")
        self.recipe, self.batcher, self.folder, self.n_workers = recipe, batcher, folder, n_workers
        for name, p in model.named_parameters():
            p.requires_grad_(recipe.trains(name))
        groups: dict[float, dict[str, torch.nn.Parameter]] = {}
        for name, p in model.named_parameters():
            if p.requires_grad:
                groups.setdefault(recipe.peak_rate(name), {})[name] = p
        self.names = [name for group in groups.values() for name in group]  # in the optimizer's order
        self.optimizer = torch.optim.AdamW(
            [{"params": list(group.values()), "peak": peak} for peak, group in groups.items()],
            lr=0.0,
            betas=(0.9, 0.98),
            weight_decay=recipe.weight_decay,
            fused=True,
        )
        self.model = model.to(self.accelerator.device)
        if self.accelerator.num_processes > 1:  # every process starts from rank 0's weights
            for value in self.model.state_dict().values():
                torch.distributed.broadcast(value, src=0)
        self.optimizer = self.accelerator.prepare_optimizer(self.optimizer)
        self.ema = {name: p.detach().clone() for name, p in self.model.named_parameters() if p.requires_grad}
        self.step = 0
        torch.manual_seed(recipe.seed + self.accelerator.process_index)

    def fit(self, n_steps: int) -> None:
        """Run up to n_steps more steps, at most to the recipe's end; log each and save every `save_every`."""
        recipe, device = self.recipe, self.accelerator.device
        self.model.train()
        last = min(self.step + n_steps, recipe.n_steps)
        began = time.monotonic()
        for task, batch in self._batches(last):
            for group in self.optimizer.param_groups:
                group["lr"] = learning_rate(recipe, self.step, group["peak"])
            batch = {name: value.to(device, non_blocking=True) for name, value in batch.items()}
            with self.accelerator.autocast(), sdpa_kernel(_kernels(task)):
                record = loss_of(task, self.model, batch)
            self.accelerator.backward(record.total)
            norm = self._clip()
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
            self.step += 1
            saves = self.step % recipe.save_every == 0 or self.step == last
            if saves or self.step % recipe.average_every == 0:
                self._average_processes()
            if self.step % recipe.ema_every == 0:
                self._update_ema()
            self._log({"step": self.step, "task": task, "norm": norm, "s": time.monotonic() - began, **record.parts})
            if saves:
                self.save()
            began = time.monotonic()

    def _batches(self, last: int) -> DataLoader[tuple[str, Batch]]:
        """The tasks and batches of the steps from the current one to `last`."""
        ahead = {"prefetch_factor": 4, "multiprocessing_context": "fork"} if self.n_workers else {}
        return DataLoader(
            Plan(self.recipe, self.batcher, self.accelerator.process_index),
            batch_size=None,
            sampler=range(self.step, last),
            num_workers=self.n_workers,
            pin_memory=self.accelerator.device.type == "cuda",
            generator=torch.Generator(),  # the default draws from torch's own, which resuming restores
            **ahead,  # type: ignore[arg-type]
        )

    def _clip(self) -> float:
        return float(torch.nn.utils.clip_grad_norm_([*self._trained().values()], self.recipe.clip_norm))

    def _trained(self) -> dict[str, torch.nn.Parameter]:
        return {name: p for name, p in self.model.named_parameters() if p.requires_grad}

    @torch.no_grad()
    def _average_processes(self) -> None:
        """Average the weights of all processes (local SGD, Stich 2019), so that no step waits for a slower task."""
        if self.accelerator.num_processes > 1:
            for p in self._trained().values():
                p.copy_(self.accelerator.reduce(p.detach().clone(), "mean"))

    @torch.no_grad()
    def _update_ema(self) -> None:
        decay = min(self.recipe.ema_decay, (1 + self.step) / (10 + self.step)) ** self.recipe.ema_every
        for name, p in self.model.named_parameters():
            if name in self.ema:
                self.ema[name].lerp_(p.to(self.ema[name].device), 1 - decay)

    def _log(self, row: dict[str, object]) -> None:
        if self.accelerator.is_main_process:
            with (self.folder / LOG_FILE).open("a", encoding="utf-8") as log:
                log.write(json.dumps({k: round(v, 5) if isinstance(v, float) else v for k, v in row.items()}) + "\n")

    # --- saving and resuming

    def save(self) -> None:
        """Write the state beside the old one, then replace it."""
        device = self.accelerator.device
        state = {
            "step": self.step,
            "torch_rng": torch.get_rng_state().tolist(),
            "cuda_rng": torch.cuda.get_rng_state(device).tolist() if device.type == "cuda" else None,
        }
        written = [self.folder / f"{self.accelerator.process_index}.{STATE_FILE}"]
        written[0].with_suffix(".new").write_text(json.dumps(state))
        if self.accelerator.is_main_process:
            moments: dict[str, Tensor] = {}
            for i, values in self.optimizer.state_dict()["state"].items():  # none without a gradient yet
                moments |= {f"{self.names[i]}.{key}": value for key, value in values.items()}
            weights = self.model.state_dict()
            for name, tensors in {"weights": weights, "ema": weights | self.ema, "optimizer": moments}.items():
                written.append(self.folder / f"{name}.safetensors")
                save_file({k: v.contiguous() for k, v in tensors.items()}, written[-1].with_suffix(".new"))
        for path in written:
            path.with_suffix(".new").replace(path)

    def resume(self) -> bool:
        """Load the state in the folder; False when there is none."""
        path = self.folder / f"{self.accelerator.process_index}.{STATE_FILE}"
        if not path.exists():
            return False
        state = json.loads(path.read_text())
        self.model.load_state_dict(load_file(self.folder / "weights.safetensors"))
        mean = load_file(self.folder / "ema.safetensors")
        self.ema = {name: mean[name].to(self.accelerator.device) for name in self.ema}
        moments: dict[int, dict[str, Tensor]] = {}
        for path_of, value in load_file(self.folder / "optimizer.safetensors").items():
            name, _, key = path_of.rpartition(".")
            moments.setdefault(self.names.index(name), {})[key] = value
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": moments})
        self.step = state["step"]
        torch.set_rng_state(torch.tensor(state["torch_rng"], dtype=torch.uint8))
        if state["cuda_rng"] is not None:
            torch.cuda.set_rng_state(torch.tensor(state["cuda_rng"], dtype=torch.uint8), self.accelerator.device)
        return True

    def averaged(self) -> FusionModel:
        """The model with the running mean of its weights loaded."""
        self.model.load_state_dict({**self.model.state_dict(), **self.ema})
        return self.model


def main(arguments: Sequence[str] | None = None, program: str = "python -m engines.training.train") -> None:
    """Train one stage by a recipe, resuming where it was stopped."""
    try:
        _train(arguments, program)
    except (DatasetMissing, StepMissing, WrongWeights) as error:
        raise SystemExit(str(error)) from None


def _train(arguments: Sequence[str] | None, program: str) -> None:
    parser = argparse.ArgumentParser(
        program, description="Train the fusion model by a recipe; resumes where it was stopped."
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("run", type=Path)
    parser.add_argument("--recipe", choices=sorted(RECIPES), default="base")
    parser.add_argument("--whisper", help="a transformers Whisper folder or hub name to start from")
    parser.add_argument("--efficientnet", type=Path, help="an EfficientNet-Lite2 file to start from")
    parser.add_argument(
        "--from",
        dest="start",  # torchrun would take "--start" as its own
        type=Path,
        nargs="+",
        help="ema.safetensors of an earlier stage or a folder of a finished model; of several, the mean",
    )
    parser.add_argument("--teacher", help="a transformers sentence encoder (MiniLM) whose similarities are distilled")
    parser.add_argument("--steps", type=int, default=10**9, help="stop this call after that number of steps")
    parser.add_argument("--total-steps", type=int, help="length of the recipe, if not its default")
    parser.add_argument("--workers", type=int, default=0, help="processes that draw batches ahead")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--export", type=Path, help="write the averaged model to this folder at the end")
    args = parser.parse_args(arguments)
    recipe = RECIPES[args.recipe]
    if recipe.adapts and (args.start is None or len(args.start) != 1 or not args.start[0].is_dir()):
        parser.error(f"{recipe.name} trains on one finished model; give its folder with --from")
    torch.set_num_threads(args.threads)
    torch.set_flush_denormal(True)  # moments of rarely touched weights become denormal, which is many times slower
    if args.total_steps is not None:
        recipe = replace(recipe, n_steps=args.total_steps)
    torch.manual_seed(recipe.seed)
    model = new_model(args.run, args.whisper, args.efficientnet, args.data)
    if args.start is not None:
        load_weights(model, [read_weights(path) for path in args.start])
    if recipe.adapts:
        model.translation = TranslationAdapter(model.config)
    sources = open_sources(recipe, model, args.data, args.run, n_processes=max(1, args.workers))
    teacher = None if args.teacher is None else Teacher(args.teacher)
    batcher = Batcher(args.data, args.run, sources, model.config, teacher)
    folder = args.run / recipe.name
    folder.mkdir(parents=True, exist_ok=True)
    trainer = Trainer(model, recipe, batcher, folder, device=args.device, n_workers=args.workers)
    print("resumed" if trainer.resume() else "started", f"{recipe.name} at step {trainer.step}", flush=True)
    trainer.fit(args.steps)
    if args.export is not None and trainer.accelerator.is_main_process:
        averaged = trainer.averaged().eval()
        if averaged.translation is not None:
            digest = checkpoint.digest(args.start[0])
            print(f"exported {checkpoint.save_part(args.export, averaged.translation, digest)}")
            return
        concept_groups.store_name_vectors(averaged, batcher.tokenizer)
        starts, public = args.start or [], [str(name) for name in (args.whisper, args.efficientnet) if name is not None]
        digest = checkpoint.save(
            args.export,
            averaged,
            args.run / checkpoint.TOKENIZER_FILE,
            name=args.export.resolve().name,
            licence=card.licence(starts),
            card=card.card(recipe, trainer.step, starts, public, args.data, args.export.resolve()),
        )
        print(f"exported {args.export} {digest}")


if __name__ == "__main__":
    main()
