"""The loop: it learns, is stopped and resumed to the same numbers, alone or in several processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from engines.hosts import publish
from engines.model import checkpoint
from engines.model.config import tiny
from engines.training import card, in_memory, start, train
from engines.training.batches import Batcher
from engines.training.objectives import OBJECTIVES, Objective
from engines.training.recipes import BASE, FULL, Recipe, Share
from engines.training.train import LOG_FILE, Plan, Trainer, learning_rate, open_sources
from tests.conftest import ROOT
from tests.engines.training.conftest import draw, equal, letter_counts, new_model

EVERYTHING = replace(
    BASE,
    name="everything",
    n_steps=8,
    tasks={task: Share(1.0, 5) for task in OBJECTIVES},
    learning_rate=2e-3,
    rates={"decoder.": 1e-3},
    warmup_steps=2,
    ema_every=1,
    save_every=4,
)
PLAIN = {task: Share(1.0, 5) for task in OBJECTIVES if task not in ("name", "write", "question")}


@pytest.fixture
def trainer(naming, tmp_path) -> Trainer:
    return Trainer(new_model(naming), EVERYTHING, naming, tmp_path)


def make(batcher: Batcher, folder: Path, *, n_workers: int = 0, **changes: Any) -> Trainer:
    folder.mkdir(exist_ok=True)
    return Trainer(new_model(batcher), replace(EVERYTHING, **changes), batcher, folder, n_workers=n_workers)


def log(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / LOG_FILE).read_text().splitlines()]


def numbers(folder: Path) -> list[dict[str, Any]]:
    """The log without the seconds that each step took."""
    return [{name: value for name, value in row.items() if name != "s"} for row in log(folder)]


def state(folder: Path) -> tuple[dict[str, Tensor], ...]:
    return tuple(load_file(folder / f"{name}.safetensors") for name in ("weights", "ema", "optimizer"))


# --- the plan ----------------------------------------------------------------------------------------------------


def test_a_steps_batch_depends_on_the_seed_the_process_and_the_step_alone(naming):
    def steps(recipe: Recipe, process: int, order: list[int]) -> list[tuple[str, dict[str, Tensor]]]:
        plan = Plan(recipe, naming, process)
        drawn = {step: plan[step] for step in order}
        return [drawn[step] for step in range(8)]

    once = steps(EVERYTHING, 0, [*range(8)])
    again = steps(EVERYTHING, 0, [*reversed(range(8))])
    assert all(a[0] == b[0] and equal(a[1], b[1]) for a, b in zip(once, again, strict=True))
    for other in (steps(replace(EVERYTHING, seed=1), 0, [*range(8)]), steps(EVERYTHING, 1, [*range(8)]), once[1:]):
        assert not any(a[0] == b[0] and equal(a[1], b[1]) for a, b in zip(once, other, strict=False))


def test_tasks_are_drawn_by_their_weights_in_batches_of_their_size(batcher):
    tasks = {"translate": Share(3, 4), "caption": Share(1, 2)}
    plan = Plan(replace(EVERYTHING, tasks=tasks), batcher, 0)
    drawn = [plan[step] for step in range(200)]
    assert np.mean([task == "translate" for task, _ in drawn]) == pytest.approx(0.75, abs=0.08)
    assert all(len(batch["ids"]) == tasks[task].size for task, batch in drawn)


@pytest.mark.parametrize(
    ("frozen", "entries"),
    [
        (BASE.frozen, ("maps", "last")),
        (FULL.frozen, ("pixels", "samples")),
        (("picture.", "sound.conv1."), ("maps", "samples")),
        (("picture.trunk.layers.0.", "sound."), ("pixels", "last")),
    ],
)
def test_media_are_read_for_the_towers_that_are_trained_and_features_for_those_that_are_frozen(
    batcher, data, run, monkeypatch, frozen, entries
):
    monkeypatch.setattr(in_memory, "N_NON_SPEECH", 3)
    sources = open_sources(replace(BASE, frozen=frozen), new_model(batcher), data, run)
    assert (sources.photos.captioned[0].entry, sources.sounds.speech[0][0].entry) == entries


# --- rates -------------------------------------------------------------------------------------------------------


def test_the_rate_rises_falls_along_a_cosine_and_ends_at_a_hundredth():
    recipe = replace(EVERYTHING, n_steps=110, warmup_steps=10)
    rates = [learning_rate(recipe, step, 1.0) for step in range(111)]
    assert rates[:10] == pytest.approx([0.1 * (i + 1) for i in range(10)])
    assert (rates[10], rates[60], rates[110]) == (1.0, pytest.approx(0.505), pytest.approx(0.01))
    assert all(later < rate for rate, later in pairwise(rates[10:]))
    assert learning_rate(recipe, 500, 1.0) == pytest.approx(0.01)
    assert learning_rate(recipe, 60, 3e-4) == pytest.approx(0.505 * 3e-4)


# --- learning ----------------------------------------------------------------------------------------------------


def test_the_loss_falls(batcher, tmp_path, monkeypatch):
    batch = draw(batcher, "translate", size=4)
    monkeypatch.setitem(OBJECTIVES, "translate", Objective(lambda *given: dict(batch), OBJECTIVES["translate"].loss))
    make(batcher, tmp_path, n_steps=30, tasks={"translate": Share(1, 4)}, learning_rate=5e-3, rates={}).fit(30)
    losses = [row["translate"] for row in log(tmp_path)]
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5])


def test_what_is_frozen_stays_and_the_rest_moves(trainer, naming):
    before = {name: p.clone() for name, p in new_model(naming).named_parameters()}
    trainer.fit(8)
    for name, p in trainer.model.named_parameters():
        assert EVERYTHING.trains(name) == (name in trainer.ema), name
        assert EVERYTHING.trains(name) or torch.equal(p, before[name]), name
    assert not torch.equal(trainer.model.decoder.norm.weight, before["decoder.norm.weight"])


def test_a_large_gradient_is_clipped(batcher, tmp_path):
    trainer = make(batcher, tmp_path, clip_norm=1e-3, tasks={"translate": Share(1, 4)})
    trainer.fit(1)
    total = sum(float(v["exp_avg"].square().sum()) for v in trainer.optimizer.state_dict()["state"].values())
    assert log(tmp_path)[0]["norm"] > 1e-3
    assert total**0.5 == pytest.approx(0.1 * 1e-3, rel=1e-2)  # a first moment is a tenth of the gradient


def test_the_running_mean_moves_every_few_steps_by_as_much_as_in_single_ones(batcher, tmp_path):
    name = "text.norm.weight"
    trainer = make(batcher, tmp_path, tasks={"translate": Share(1, 3)}, ema_every=3, ema_decay=0.2)
    mean = new_model(batcher).get_parameter(name).detach()
    trainer.fit(2)
    assert torch.equal(trainer.ema[name], mean)
    for _ in range(2):
        trainer.fit(1)
        mean = mean + (1 - 0.2**3) * (trainer.model.get_parameter(name).detach() - mean)
        assert torch.allclose(trainer.ema[name], mean, atol=1e-7)
        trainer.fit(2)
        assert torch.allclose(trainer.ema[name], mean, atol=1e-7)
    own = trainer.ema[name].clone()
    assert torch.equal(trainer.averaged().get_parameter(name), own)


def test_processes_average_every_few_steps_and_before_a_state_is_written(batcher, tmp_path):
    trainer = make(batcher, tmp_path, average_every=3, tasks={"parallel": Share(1, 3)})
    averaged: list[int] = []
    trainer._average_processes = lambda: averaged.append(trainer.step)
    trainer.fit(7)
    assert averaged == [3, 4, 6, 7]  # saved at 4 and at the end: only one process writes its weights


def test_every_step_is_logged_and_a_recipe_ends(trainer):
    trainer.fit(100)
    trainer.fit(1)
    rows = log(trainer.folder)
    assert [row["step"] for row in rows] == [*range(1, 9)] and trainer.step == 8
    assert all(row["task"] in OBJECTIVES and row["norm"] >= 0 and row["s"] >= 0 and len(row) > 4 for row in rows)


# --- stopping and resuming ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", ["features", "media"])
def test_a_run_that_was_stopped_resumes_to_the_same_numbers(batcher, media_batcher, tmp_path, source):
    own = media_batcher if source == "media" else batcher
    make(own, tmp_path / "whole", ema_every=2, tasks=PLAIN).fit(6)
    make(own, tmp_path / "parts", ema_every=2, tasks=PLAIN).fit(3)
    torch.rand(7)  # whatever happens in between
    assert not make(own, tmp_path / "new", tasks=PLAIN).resume()
    again = make(own, tmp_path / "parts", ema_every=2, tasks=PLAIN, n_workers=2)  # workers change no number
    assert again.resume() and again.step == 3
    again.fit(3)
    for one, other in zip(state(tmp_path / "whole"), state(tmp_path / "parts"), strict=True):
        assert equal(one, other)
    assert numbers(tmp_path / "whole") == numbers(tmp_path / "parts")
    states = [json.loads((tmp_path / name / "0.state.json").read_text()) for name in ("whole", "parts")]
    assert states[0] == states[1]


def test_the_optimizers_state_stays_with_its_parameters(batcher, tmp_path):
    """The optimizer has no state for parameters without a gradient, which must not shift the others'."""
    tasks = {"translate": Share(1, 3)}
    make(batcher, tmp_path, tasks=tasks).fit(2)
    again = make(batcher, tmp_path, tasks=tasks)
    again.resume()
    moments = load_file(tmp_path / "optimizer.safetensors")
    known = again.optimizer.state_dict()["state"]
    assert 0 < len(known) < len(again.names)
    for i, values in known.items():
        assert torch.equal(values["exp_avg"], moments[f"{again.names[i]}.exp_avg"])


def test_the_state_is_written_every_few_steps_without_pickle(trainer):
    saved: list[int] = []
    save = trainer.save
    trainer.save = lambda: saved.append(trainer.step) or save()
    trainer.fit(5)
    assert saved == [4, 5]
    files = {file.name for file in trainer.folder.iterdir()}
    assert files == {"0.state.json", "weights.safetensors", "ema.safetensors", "optimizer.safetensors", LOG_FILE}


# --- the command -------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(run, tmp_path, monkeypatch) -> Path:
    """A run folder of its own, for tiny models."""
    monkeypatch.setattr(start, "small", tiny)
    monkeypatch.setattr(torch, "set_flush_denormal", lambda on: True)  # it would hold for every test after this one
    (tmp_path / "tokenizer.model").write_bytes((run / "tokenizer.model").read_bytes())
    (tmp_path / "features").symlink_to(run / "features")
    return tmp_path


def command(*arguments: object) -> None:
    train.main([str(argument) for argument in arguments])


def test_a_trained_model_is_exported_and_opens(data, folder, capsys):
    command(data, folder, "--recipe", "smoke", "--steps", 2)
    command(data, folder, "--recipe", "smoke", "--export", folder / "model")
    printed = capsys.readouterr().out
    assert "started smoke at step 0" in printed and "resumed smoke at step 2" in printed
    assert [row["step"] for row in log(folder / "smoke")] == [1, 2, 3, 4]
    opened = checkpoint.load(folder / "model")
    ema = load_file(folder / "smoke" / "ema.safetensors")["text.norm.weight"]
    assert opened.digest in printed
    assert torch.allclose(opened.model.text.norm.weight, ema, atol=float(ema.abs().max()) / 250)
    assert (opened.name, opened.licence) == ("model", card.OWN_LICENCE)
    for said in ("recipe `smoke`, 4 steps", "* nothing", "flickr8k_train.jsonl.gz", "python -m engines.evaluation"):
        assert said in opened.card
    publish.check(folder / "model")


def test_licence_and_name_of_the_model_it_started_from_stand_on_the_card_of_what_is_exported(data, folder):
    command(data, folder, "--recipe", "smoke", "--export", folder / "parent")
    path = folder / "parent" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"licence": "research only"}))
    (folder / "smoke").rename(folder / "first")
    command(data, folder, "--recipe", "smoke", "--from", folder / "parent", "--steps", 1, "--export", folder / "child")
    opened = checkpoint.load(folder / "child")
    assert opened.licence == "research only"
    assert "* the model parent, weights" in opened.card and "Licence: research only." in opened.card
    assert "license_name: research-only" in publish.front_matter(folder / "child")


def test_a_card_that_somebody_wrote_is_not_replaced(data, folder):
    (folder / "model").mkdir()
    (folder / "model" / "CARD.md").write_text("# My own words\n")
    command(data, folder, "--recipe", "smoke", "--steps", 1, "--export", folder / "model")
    assert checkpoint.load(folder / "model").card == "# My own words\n"


def test_each_thing_that_is_not_there_is_one_sentence_with_its_file_or_step(data, folder, tmp_path):
    def said(*arguments: object) -> str:
        with pytest.raises(SystemExit) as ended:
            command(*arguments, "--recipe", "smoke")
        return str(ended.value)

    missing = said(tmp_path / "nope", folder)
    assert "no folder of data" in missing and "nope" in missing
    assert "nope.safetensors" in said(data, folder, "--from", tmp_path / "nope.safetensors")
    (tmp_path / "torn.safetensors").write_bytes(b"torn")
    assert "torn.safetensors cannot be read" in said(data, folder, "--from", tmp_path / "torn.safetensors")
    rows = said(data, folder, "--whisper", "openai/whisper-base")
    assert "whisper_rows.json" in rows and "python -m scripts.make_vocabulary" in rows
    (folder / "tokenizer.model").unlink()
    tokenizer = said(data, folder)
    assert "tokenizer.model" in tokenizer and "python -m scripts.make_vocabulary" in tokenizer


@pytest.mark.parametrize("begin", ["first/weights.safetensors", "finished"])
def test_a_stage_starts_from_another_or_from_a_finished_model_and_can_be_shortened(data, folder, monkeypatch, begin):
    smoke = train.RECIPES["smoke"]
    monkeypatch.setitem(train.RECIPES, "smoke", replace(smoke, seed=1))
    command(data, folder, "--recipe", "smoke", "--export", folder / "finished")
    (folder / "smoke").rename(folder / "first")
    monkeypatch.setitem(train.RECIPES, "smoke", smoke)
    command(data, folder, "--recipe", "smoke", "--from", folder / begin, "--total-steps", 2)
    assert len(log(folder / "smoke")) == 2
    moved, begun = (load_file(folder / f / "weights.safetensors")["ctc_head.weight"] for f in ("smoke", "first"))
    assert torch.allclose(moved, begun, atol=float(begun.abs().max()) / 250)  # neither task of this stage touches it


def test_adapters_are_trained_on_a_finished_model_that_stays_as_it_is(data, folder, monkeypatch, capsys):
    recipe = replace(train.RECIPES["translation"], n_steps=4, warmup_steps=1, ema_every=1, learning_rate=0.1)
    monkeypatch.setitem(train.RECIPES, "translation", replace(recipe, tasks={"adapt_translation": Share(1, 3)}))
    model = folder / "finished"
    command(data, folder, "--recipe", "smoke", "--export", model)
    before = checkpoint.load(model)
    command(data, folder, "--recipe", "translation", "--from", model, "--export", model)
    after = checkpoint.load(model)
    assert before.model.translation is None and after.digest == before.digest
    assert all(float(adapter.up.weight.abs().max()) > 0 for adapter in after.model.translation.decoder)
    with pytest.raises(SystemExit):
        command(data, folder, "--recipe", "translation", "--from", folder / "smoke" / "ema.safetensors")
    assert "translation trains on one finished model; give its folder with --from" in capsys.readouterr().err


def test_a_teacher_is_learnt_from(data, folder, monkeypatch):
    sources: list[str] = []
    monkeypatch.setattr(train, "Teacher", lambda source: sources.append(source) or letter_counts)
    monkeypatch.setitem(train.RECIPES, "smoke", replace(train.RECIPES["smoke"], tasks={"match": Share(1, 3)}))
    command(data, folder, "--recipe", "smoke", "--steps", 1)
    command(data, folder, "--recipe", "smoke", "--steps", 1, "--teacher", "MiniLM")
    assert sources == ["MiniLM"]
    assert ["teacher" in row for row in log(folder / "smoke")] == [False, True]


def test_towers_are_trained_from_media_without_any_cache(data, folder, monkeypatch):
    (folder / "features").unlink()
    monkeypatch.setattr(in_memory, "N_NON_SPEECH", 3)
    changes = {"tasks": {"answer": Share(1, 3)}, "frozen": ("sound.conv1.",)}
    monkeypatch.setitem(train.RECIPES, "smoke", replace(train.RECIPES["smoke"], **changes))
    command(data, folder, "--recipe", "smoke", "--steps", 1)
    early = load_file(folder / "smoke" / "weights.safetensors")
    command(data, folder, "--recipe", "smoke", "--workers", 2)
    later = load_file(folder / "smoke" / "weights.safetensors")
    moved = {name for name in early if not torch.equal(early[name], later[name])}
    for part in ("picture.trunk.", "sound.conv2.", "sound.blocks.0.", "decoder.blocks."):
        assert any(name.startswith(part) for name in moved), part
    assert not any(name.startswith("sound.conv1.") for name in moved)


def test_without_a_cache_the_command_says_what_makes_it(data, folder):
    (folder / "features").unlink()
    with pytest.raises(SystemExit, match="feature_cache stores them"):
        command(data, folder, "--recipe", "ctc", "--steps", 1)


SEVERAL = """
import sys
from dataclasses import replace
from pathlib import Path

import torch
from accelerate import debug_launcher
from safetensors.torch import save_file

from engines.model.config import tiny
from engines.model.fusion import FusionModel
from engines.training import feature_cache
from engines.training.batches import Batcher
from engines.training.recipes import SMOKE
from engines.training.sources import Sources
from engines.training.train import Trainer

data, run, out = map(Path, sys.argv[1:])

def train():
    torch.set_num_threads(1)
    sources = Sources(feature_cache.open_photos(run), feature_cache.open_sounds(run))
    batcher = Batcher(data, run, sources, tiny(10))
    torch.seed()  # each process begins elsewhere
    recipe = replace(SMOKE, average_every=2)
    trainer = Trainer(FusionModel(tiny(batcher.tokenizer.vocab_size)), recipe, batcher, out)
    process = trainer.accelerator.process_index
    average = trainer._average_processes

    def keep(when):
        save_file(dict(trainer.model.state_dict()), out / f"{process}.{when}.{trainer.step}")

    def average_and_keep():
        keep("before")
        average()
        keep("after")

    trainer._average_processes = average_and_keep
    keep("after")
    trainer.fit(3)
    keep("end")
    print(process, "of", trainer.accelerator.num_processes)

debug_launcher(train, num_processes=2)
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork there")
def test_two_processes_diverge_and_are_averaged(data, run, tmp_path):
    script = tmp_path / "several.py"
    script.write_text(SEVERAL)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    finished = subprocess.run(
        [sys.executable, str(script), str(data), str(run), str(tmp_path)],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr
    assert "0 of 2" in finished.stdout and "1 of 2" in finished.stdout

    def both(when: str) -> list[dict[str, Tensor]]:
        return [load_file(tmp_path / f"{process}.{when}") for process in (0, 1)]

    assert equal(*both("after.0"))
    for step in (2, 3):
        one, other = both(f"before.{step}")
        assert not equal(one, other)
        averaged = both(f"after.{step}")
        assert equal(*averaged)
        assert all(torch.allclose(averaged[0][name], (one[name] + other[name]) / 2, atol=1e-6) for name in one)
    ended = both("end.3")
    assert equal(*ended) and equal(ended[0], load_file(tmp_path / "weights.safetensors"))
    states = [json.loads((tmp_path / f"{process}.state.json").read_text()) for process in (0, 1)]
    assert states[0]["torch_rng"] != states[1]["torch_rng"]
    assert [row["step"] for row in log(tmp_path)] == [1, 2, 3]
