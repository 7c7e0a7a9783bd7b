"""The loop: it learns, stops and goes on to the same numbers, alone or in several processes."""

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

from engines.model import checkpoint
from engines.model.config import tiny
from engines.training import library, start, train
from engines.training.batches import Batch, Feeds
from engines.training.objectives import OBJECTIVES
from engines.training.recipes import Recipe, Share
from engines.training.train import LOG_FILE, Trainer, learning_rate, peak_rate
from tests.conftest import ROOT
from tests.engines.training.conftest import alike, fresh

EVERYTHING = Recipe(
    name="everything",
    n_steps=8,
    tasks={task: Share(1.0, 5) for task in OBJECTIVES},
    learning_rate=2e-3,
    rates={"decoder.": 1e-3},
    warmup_steps=2,
    ema_every=1,
    save_every=4,
)


@pytest.fixture
def feeds(naming: Feeds) -> Feeds:
    """What every objective can draw from."""
    return naming


def test_each_part_learns_at_the_first_rate_that_names_it() -> None:
    recipe = replace(EVERYTHING, rates={"decoder.embedding.": 1e-5, "decoder.": 5e-5})
    names = {"decoder.embedding.weight": 1e-5, "decoder.norm.bias": 5e-5, "text.norm.bias": recipe.learning_rate}
    assert {name: peak_rate(recipe, name) for name in names} == names


@pytest.fixture
def trainer(feeds: Feeds, tmp_path: Path) -> Trainer:
    return Trainer(fresh(feeds), EVERYTHING, feeds, tmp_path)


def made(feeds: Feeds, folder: Path, *, n_workers: int = 0, **changes: Any) -> Trainer:
    folder.mkdir(exist_ok=True)
    return Trainer(fresh(feeds), replace(EVERYTHING, **changes), feeds, folder, n_workers=n_workers)


def log(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / LOG_FILE).read_text().splitlines()]


def numbers(folder: Path) -> list[dict[str, Any]]:
    """The log without the seconds that each step took."""
    return [{name: value for name, value in row.items() if name != "s"} for row in log(folder)]


def state(folder: Path) -> tuple[dict[str, Tensor], ...]:
    return tuple(load_file(folder / f"{name}.safetensors") for name in ("weights", "ema", "optimizer"))


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


class Fixed:
    """Feeds that hand out the batches given, over and over."""

    def __init__(self, *batches: Batch) -> None:
        self.batches = batches
        self.n = 0

    def draw(self, task: str, size: int, rng: np.random.Generator) -> Batch:
        self.n += 1
        return self.batches[(self.n - 1) % len(self.batches)]


# --- the rate ----------------------------------------------------------------------------------------------------


def test_the_rate_rises_falls_along_a_cosine_and_ends_at_a_hundredth() -> None:
    recipe = replace(EVERYTHING, n_steps=110, warmup_steps=10)
    rates = [learning_rate(recipe, step, 1.0) for step in range(111)]
    assert rates[:10] == pytest.approx([0.1 * (i + 1) for i in range(10)])
    assert rates[10] == 1.0
    assert rates[60] == pytest.approx(0.505)
    assert rates[110] == pytest.approx(0.01)
    assert all(later < rate for rate, later in pairwise(rates[10:]))
    assert learning_rate(recipe, 500, 1.0) == pytest.approx(0.01)
    assert learning_rate(recipe, 60, 3e-4) == pytest.approx(0.505 * 3e-4)


def test_parts_from_public_weights_have_a_rate_of_their_own(trainer: Trainer) -> None:
    trainer.fit(1)
    kept, new = sorted(trainer.optimizer.param_groups, key=lambda group: float(group["lr"]))
    assert (kept["lr"], new["lr"]) == (pytest.approx(0.5e-3), pytest.approx(1e-3))
    names = [name for name, p in trainer.model.named_parameters() if any(p is q for q in kept["params"])]
    assert names and all(name.startswith("decoder.") for name in names)


# --- learning ----------------------------------------------------------------------------------------------------


def test_the_loss_falls(feeds: Feeds, tmp_path: Path) -> None:
    batch = feeds.draw("translate", 4, np.random.default_rng(0))
    recipe = replace(EVERYTHING, n_steps=30, tasks={"translate": Share(1, 4)}, learning_rate=5e-3, rates={})
    Trainer(fresh(feeds), recipe, Fixed(batch), tmp_path).fit(30)  # type: ignore[arg-type]
    losses = [row["translate"] for row in log(tmp_path)]
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5])


def test_what_is_frozen_stays_and_the_rest_moves(trainer: Trainer, feeds: Feeds) -> None:
    before = {name: p.clone() for name, p in fresh(feeds).named_parameters()}
    trainer.fit(8)
    drawn = {row["task"] for row in log(trainer.folder)}
    for name, p in trainer.model.named_parameters():
        if name.startswith(("picture.trunk.", "sound.", "decoder.embedding.")):
            assert torch.equal(p, before[name]), name
            assert name not in trainer.ema
    assert not torch.equal(trainer.model.decoder.norm.weight, before["decoder.norm.weight"])
    if drawn & {"sound", "answer"}:
        assert not torch.equal(trainer.model.sound_bridge.weight, before["sound_bridge.weight"])


def test_a_stage_may_train_one_part_only(feeds: Feeds, tmp_path: Path) -> None:
    trainer = made(feeds, tmp_path, only=("ctc_head.",), tasks={"transcribe": Share(1, 3)})
    trainer.fit(1)
    assert trainer.ema.keys() == {"ctc_head.weight", "ctc_head.bias"}
    before = dict(fresh(feeds).named_parameters())
    moved = {name for name, p in trainer.model.named_parameters() if not torch.equal(p, before[name])}
    assert moved == trainer.ema.keys()


def test_a_large_gradient_is_cut(feeds: Feeds, tmp_path: Path) -> None:
    trainer = made(feeds, tmp_path, clip_norm=1e-3, tasks={"translate": Share(1, 4)})
    trainer.fit(1)
    total = sum(float(v["exp_avg"].square().sum()) for v in trainer.optimizer.state_dict()["state"].values())
    assert log(tmp_path)[0]["norm"] > 1e-3
    assert total**0.5 == pytest.approx(0.1 * 1e-3, rel=1e-2)  # a first moment is a tenth of the gradient


def test_the_mean_of_the_weights_follows_them(feeds: Feeds, tmp_path: Path) -> None:
    name = "text.norm.weight"
    trainer = made(feeds, tmp_path, tasks={"translate": Share(1, 3)})
    start = fresh(feeds).get_parameter(name).detach()
    trainer.fit(1)
    after = trainer.model.get_parameter(name).detach().clone()
    assert not torch.equal(after, start)
    assert torch.allclose(trainer.ema[name], start + (1 - 2 / 11) * (after - start), atol=1e-6)
    trainer.fit(1)
    own = trainer.ema[name].clone()
    assert torch.equal(trainer.averaged().get_parameter(name), own)


def test_the_mean_moves_every_so_many_steps_by_what_as_many_steps_would_move_it(feeds: Feeds, tmp_path: Path) -> None:
    name = "text.norm.weight"
    trainer = made(feeds, tmp_path, tasks={"translate": Share(1, 3)}, ema_every=3, ema_decay=0.2)
    start = fresh(feeds).get_parameter(name).detach()
    trainer.fit(2)
    assert torch.equal(trainer.ema[name], start)
    trainer.fit(1)
    third = trainer.model.get_parameter(name).detach().clone()
    mean = start + (1 - 0.2**3) * (third - start)
    assert torch.allclose(trainer.ema[name], mean, atol=1e-7)
    assert not torch.allclose(trainer.ema[name], third, atol=1e-7)
    trainer.fit(2)
    assert torch.allclose(trainer.ema[name], mean, atol=1e-7)
    trainer.fit(1)
    sixth = trainer.model.get_parameter(name).detach()
    assert torch.allclose(trainer.ema[name], mean + (1 - 0.2**3) * (sixth - mean), atol=1e-7)


def test_processes_meet_every_so_often_and_before_a_state_is_written(feeds: Feeds, tmp_path: Path) -> None:
    trainer = made(feeds, tmp_path, meet_every=3, tasks={"parallel": Share(1, 3)})
    met: list[int] = []
    trainer._meet = lambda: met.append(trainer.step)  # type: ignore[method-assign]
    trainer.fit(7)
    assert met == [3, 4, 6, 7]  # saved at 4 and at the end: only one process writes its weights
    trainer.fit(100)
    assert met == [3, 4, 6, 7, 8]


def test_a_process_that_is_alone_meets_nobody(trainer: Trainer, feeds: Feeds) -> None:
    trainer._meet()
    assert same(dict(trainer.model.state_dict()), dict(fresh(feeds).state_dict()))


def test_every_step_is_logged_with_its_task_and_losses(trainer: Trainer) -> None:
    trainer.fit(3)
    rows = log(trainer.folder)
    assert [row["step"] for row in rows] == [1, 2, 3]
    assert all(row["task"] in OBJECTIVES and row["norm"] > 0 and row["s"] >= 0 for row in rows)
    assert all(len(row) > 4 for row in rows)


def test_a_recipe_ends_where_it_ends(trainer: Trainer) -> None:
    trainer.fit(100)
    assert trainer.step == len(log(trainer.folder)) == 8
    trainer.fit(1)
    assert trainer.step == 8


# --- stopping and going on ---------------------------------------------------------------------------------------


@pytest.fixture(params=["stores", "media"])
def either(request: pytest.FixtureRequest, feeds: Feeds, live: Feeds) -> Feeds:
    return live if request.param == "media" else feeds


@pytest.mark.parametrize("stop", [1, 3])
def test_a_run_that_was_stopped_goes_on_to_the_same_numbers(either: Feeds, tmp_path: Path, stop: int) -> None:
    made(either, tmp_path / "whole", ema_every=2).fit(6)
    made(either, tmp_path / "parts", ema_every=2).fit(stop)
    torch.rand(7)  # whatever happens in between
    again = made(either, tmp_path / "parts", ema_every=2)
    assert again.resume()
    assert again.step == stop
    again.fit(6 - stop)
    for one, other in zip(state(tmp_path / "whole"), state(tmp_path / "parts"), strict=True):
        assert same(one, other)
    whole, parts = (numbers(tmp_path / name) for name in ("whole", "parts"))
    assert whole == parts
    assert len({row["task"] for row in whole}) > 1
    states = [json.loads((tmp_path / name / "0.state.json").read_text()) for name in ("whole", "parts")]
    assert states[0] == states[1]


def test_workers_that_draw_ahead_change_no_number(either: Feeds, tmp_path: Path) -> None:
    for n in (0, 2):
        trainer = made(either, tmp_path / f"{n}", n_workers=n)
        trainer.fit(3)
        trainer.fit(2)
    assert numbers(tmp_path / "0") == numbers(tmp_path / "2")
    assert all(same(*each) for each in zip(state(tmp_path / "0"), state(tmp_path / "2"), strict=True))


def test_parts_no_task_has_touched_keep_their_place(feeds: Feeds, tmp_path: Path) -> None:
    """The optimizer knows nothing of them yet, and what it knows of the others must not shift."""
    text_only = {"tasks": {"translate": Share(1, 3)}}
    made(feeds, tmp_path, **text_only).fit(2)
    again = made(feeds, tmp_path, **text_only)
    again.resume()
    moments = load_file(tmp_path / "optimizer.safetensors")
    known = again.optimizer.state_dict()["state"]
    assert 0 < len(known) < len(again.names)
    for i, values in known.items():
        assert torch.equal(values["exp_avg"], moments[f"{again.names[i]}.exp_avg"])
    assert not any(name.startswith("picture.") for name in moments)


def test_there_may_be_nothing_to_go_on_from(trainer: Trainer) -> None:
    assert not trainer.resume()
    assert trainer.step == 0


def test_a_state_is_written_on_the_way_and_holds_no_pickle(trainer: Trainer) -> None:
    trainer.fit(5)
    files = {file.name for file in trainer.folder.iterdir()}
    assert files == {"0.state.json", "weights.safetensors", "ema.safetensors", "optimizer.safetensors", LOG_FILE}
    early = made(trainer.feeds, trainer.folder / "early", save_every=2)
    early.save = lambda: saved.append(early.step)  # type: ignore[method-assign]
    saved: list[int] = []
    early.fit(5)
    assert saved == [2, 4, 5]


# --- the whole program -------------------------------------------------------------------------------------------


def command(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr("sys.argv", ["train", *map(str, arguments)])
    monkeypatch.setattr(start, "small", tiny)
    monkeypatch.setattr(torch, "set_flush_denormal", lambda on: True)  # it would hold for every test after this one
    train.main()


def test_a_trained_model_is_exported_and_opens(
    data: Path, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tokenizer.model").write_bytes((run / "tokenizer.model").read_bytes())
    (tmp_path / "features").symlink_to(run / "features")
    command(monkeypatch, data, tmp_path, "--recipe", "smoke", "--steps", 2)
    command(monkeypatch, data, tmp_path, "--recipe", "smoke", "--export", tmp_path / "model")
    said = capsys.readouterr().out
    assert "started smoke at step 0" in said
    assert "resumed smoke at step 2" in said
    assert [row["step"] for row in log(tmp_path / "smoke")] == [1, 2, 3, 4]
    opened = checkpoint.load(tmp_path / "model")
    ema = load_file(tmp_path / "smoke" / "ema.safetensors")["decoder.embedding.weight"]
    assert opened.digest in said
    assert torch.allclose(opened.model.decoder.embedding.weight, ema, atol=float(ema.abs().max()) / 250)


@pytest.mark.parametrize("start", ["first/weights.safetensors", "finished"])
def test_a_stage_starts_from_another_or_a_finished_model_and_may_be_made_shorter(
    data: Path, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start: str
) -> None:
    (tmp_path / "tokenizer.model").write_bytes((run / "tokenizer.model").read_bytes())
    (tmp_path / "features").symlink_to(run / "features")
    monkeypatch.setitem(train.RECIPES, "smoke", replace(train.RECIPES["smoke"], seed=1))
    command(monkeypatch, data, tmp_path, "--recipe", "smoke", "--export", tmp_path / "finished")
    (tmp_path / "smoke").rename(tmp_path / "first")
    monkeypatch.setitem(train.RECIPES, "smoke", replace(train.RECIPES["smoke"], seed=0))
    begin = ["--recipe", "smoke", "--from", tmp_path / start, "--total-steps", 2]
    command(monkeypatch, data, tmp_path, *begin, "--steps", 0)
    assert not (tmp_path / "smoke" / LOG_FILE).exists()
    command(monkeypatch, data, tmp_path, *begin)
    assert len(log(tmp_path / "smoke")) == 2
    moved, begun = (load_file(tmp_path / f / "weights.safetensors")["ctc_head.weight"] for f in ("smoke", "first"))
    assert torch.allclose(moved, begun, atol=float(begun.abs().max()) / 250)  # neither task of this stage touches it


def test_a_teacher_that_is_named_is_learnt_from(
    data: Path, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tokenizer.model").write_bytes((run / "tokenizer.model").read_bytes())
    (tmp_path / "features").symlink_to(run / "features")
    named: list[str] = []
    monkeypatch.setattr(train, "Teacher", lambda source: named.append(source) or alike)
    monkeypatch.setitem(train.RECIPES, "smoke", replace(train.RECIPES["smoke"], tasks={"match": Share(1, 3)}))
    command(monkeypatch, data, tmp_path, "--recipe", "smoke", "--steps", 1)
    command(monkeypatch, data, tmp_path, "--recipe", "smoke", "--steps", 1, "--teacher", "MiniLM")
    assert named == ["MiniLM"]
    assert ["alike" in row for row in log(tmp_path / "smoke")] == [False, True]


@pytest.mark.parametrize("flags", [("--library", "--workers", 2), ()], ids=["asked for", "by its recipe"])
def test_a_library_trains_the_towers_without_any_store(
    data: Path, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: tuple[object, ...]
) -> None:
    (tmp_path / "tokenizer.model").write_bytes((run / "tokenizer.model").read_bytes())
    monkeypatch.setattr(library, "N_SILENT", 3)
    changes = {"tasks": {"answer": Share(1, 3)}, "frozen": ("sound.conv1.",), "from_media": not flags}
    monkeypatch.setitem(train.RECIPES, "smoke", replace(train.RECIPES["smoke"], **changes))
    asked = ["--recipe", "smoke", *flags]
    command(monkeypatch, data, tmp_path, *asked, "--steps", 1)
    early = load_file(tmp_path / "smoke" / "weights.safetensors")
    command(monkeypatch, data, tmp_path, *asked)
    later = load_file(tmp_path / "smoke" / "weights.safetensors")
    assert [row["task"] for row in log(tmp_path / "smoke")] == ["answer"] * 4
    moved = {name for name in early if not torch.equal(early[name], later[name])}
    for part in ("picture.trunk.", "sound.conv2.", "sound.blocks.0.", "decoder.blocks."):
        assert any(name.startswith(part) for name in moved), part
    assert not any(name.startswith("sound.conv1.") for name in moved)


SEVERAL = """
import sys
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save_file

from engines.model.config import tiny
from engines.model.fusion import FusionModel
from engines.training.batches import Feeds
from engines.training.recipes import RECIPES
from engines.training.train import Trainer

torch.set_num_threads(1)
data, run, out = map(Path, sys.argv[1:])
feeds = Feeds(data, run)
torch.seed()  # each process begins elsewhere
recipe = replace(RECIPES["smoke"], meet_every=2)
trainer = Trainer(FusionModel(tiny(feeds.tokenizer.vocab_size)), recipe, feeds, out)
process = trainer.accelerator.process_index
meet = trainer._meet

def keep(when):
    save_file(dict(trainer.model.state_dict()), out / f"{process}.{when}.{trainer.step}")

def meet_and_keep():
    keep("before")
    meet()
    keep("after")

trainer._meet = meet_and_keep
keep("after")
trainer.fit(3)
keep("end")
print(process, "of", trainer.accelerator.num_processes, float(torch.rand(())))
"""


@pytest.mark.slow
def test_two_processes_part_and_meet_in_the_mean_of_both(data: Path, run: Path, tmp_path: Path) -> None:
    script = tmp_path / "several.py"
    script.write_text(SEVERAL)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    finished = subprocess.run(
        [*command, str(script), str(data), str(run), str(tmp_path)],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr
    assert "0 of 2" in finished.stdout and "1 of 2" in finished.stdout

    def both(when: str) -> list[dict[str, Tensor]]:
        return [load_file(tmp_path / f"{process}.{when}") for process in (0, 1)]

    assert same(*both("after.0"))
    for step in (2, 3):
        one, other = both(f"before.{step}")
        assert not same(one, other)
        met = both(f"after.{step}")
        assert same(*met)
        assert all(torch.allclose(met[0][name], (one[name] + other[name]) / 2, atol=1e-6) for name in one)
    ended = both("end.3")
    assert same(*ended) and same(ended[0], load_file(tmp_path / "weights.safetensors"))
    states = [json.loads((tmp_path / f"{process}.state.json").read_text()) for process in (0, 1)]
    assert states[0]["torch_rng"] != states[1]["torch_rng"]  # each hides and varies for itself
    assert [row["step"] for row in log(tmp_path)] == [1, 2, 3]
