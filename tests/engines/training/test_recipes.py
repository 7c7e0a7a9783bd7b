"""Recipes: values that go together."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace

import pytest
import torch

from engines.model.config import Concept, small
from engines.model.fusion import FusionModel
from engines.training.objectives import OBJECTIVES
from engines.training.recipes import EARLY, RECIPES, TRUNK_FROZEN, Recipe
from engines.training.train import peak_rate

every_recipe = pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES.keys())
with torch.device("meta"):  # the shipped sizes, without the memory
    CONFIG = replace(small(10), concepts=(Concept("cat", "Katze", "chat", "猫"),))
    SIZES = {name: p.numel() for name, p in FusionModel(CONFIG).named_parameters()}
NAMES = list(SIZES)
OWN_STAGES = {"look", "spell", "consensus", "name", "write", "question"}


def test_the_stages_are_known_by_their_names() -> None:
    assert {"text", "look", "joint", "smoke"} <= RECIPES.keys()
    assert all(recipe.name == name for name, recipe in RECIPES.items())


@every_recipe
def test_every_task_exists_and_is_drawn(recipe: Recipe) -> None:
    assert recipe.tasks.keys() <= OBJECTIVES.keys()
    assert all(share.weight > 0 and share.size >= 2 for share in recipe.tasks.values())


@every_recipe
def test_the_warm_up_ends_and_rates_are_positive(recipe: Recipe) -> None:
    assert 0 < recipe.warmup_steps < recipe.n_steps
    assert all(0 < rate <= 1e-2 for rate in (recipe.learning_rate, *recipe.rates.values()))
    assert 0 < recipe.ema_decay < 1
    assert 1 <= recipe.ema_every <= recipe.n_steps


@every_recipe
def test_what_is_frozen_and_kept_is_named_to_the_dot(recipe: Recipe) -> None:
    """A name without its dot would take in others that begin alike: "sound" also means "sound_bridge"."""
    for beginning in (*recipe.frozen, *recipe.only, *recipe.rates):
        assert beginning.endswith(".") or beginning in NAMES
        assert any(name.startswith(beginning) for name in NAMES)


def test_the_joint_stage_trains_everything_but_the_towers_its_stores_were_made_with() -> None:
    joint = RECIPES["joint"]
    assert joint.tasks.keys() == OBJECTIVES.keys() - OWN_STAGES
    assert joint.only == ()
    frozen = {name for name in NAMES if name.startswith(joint.frozen)}
    assert {name.split(".")[0] for name in frozen} == {"picture", "sound", "decoder", "concept_vectors"}
    assert {name for name in frozen if name.startswith("decoder.")} == {"decoder.embedding.weight"}
    assert not "sound_bridge.weight".startswith(joint.frozen)
    assert not "picture.project.weight".startswith(joint.frozen)


def test_looking_teaches_the_last_blocks_of_the_extractor_which_hold_most_of_its_weights() -> None:
    frozen = {name for name in NAMES if name.startswith(RECIPES["look"].frozen)}
    trunk = {name for name in NAMES if name.startswith("picture.trunk.")}
    blocks = {int(name.split(".")[3]) for name in trunk if name.startswith("picture.trunk.blocks.")}
    still = {int(name.split(".")[3]) for name in trunk & frozen if name.startswith("picture.trunk.blocks.")}
    assert blocks == set(range(21))
    assert still == set(range(TRUNK_FROZEN))
    assert {name for name in trunk if name.startswith("picture.trunk.stem.")} <= frozen
    assert not any(name.startswith("picture.trunk.head.") for name in frozen)
    head = {name for name in NAMES if name.startswith("picture.concepts.")}
    assert not any(name.startswith("picture.") for name in frozen - trunk - head)
    assert sum(SIZES[name] for name in trunk - frozen) > 0.5 * sum(SIZES[name] for name in trunk)
    assert {name.split(".")[0] for name in frozen} == {"picture", "sound", "decoder", "concept_vectors"}


@pytest.mark.parametrize("stage", ["whole", "agree"])
def test_from_the_media_themselves_most_of_both_towers_is_trained_slower_than_the_rest(stage: str) -> None:
    recipe = RECIPES[stage]
    frozen = {name for name in NAMES if name.startswith(recipe.frozen)}
    assert recipe.frozen == EARLY
    for tower in ("picture.trunk.", "sound."):
        own = {name for name in NAMES if name.startswith(tower)}
        assert own & frozen
        assert sum(SIZES[name] for name in own - frozen) > 0.6 * sum(SIZES[name] for name in own)
        assert all(peak_rate(recipe, name) < recipe.learning_rate for name in own - frozen)
    assert {name for name in frozen if not name.startswith(("picture.", "sound."))} == {
        "decoder.embedding.weight",
        "concept_vectors",
    }


@every_recipe
def test_a_stage_that_trains_towers_has_the_media_themselves(recipe: Recipe) -> None:
    towers = [name for name in NAMES if name.startswith(("picture.trunk.", "sound."))]
    trained = [name for name in towers if name.startswith(recipe.only or "") and not name.startswith(recipe.frozen)]
    assert recipe.from_media == bool(trained) or recipe.name == "smoke"


CLIPS = [name for name, recipe in RECIPES.items() if "answer" in recipe.tasks and name != "concepts"]


@pytest.mark.parametrize("name", CLIPS)
def test_clips_are_described_wherever_they_are_asked_about_but_far_less_often(name: str) -> None:
    tasks = RECIPES[name].tasks
    assert 0 < tasks["describe"].weight <= tasks["answer"].weight / 5


def test_a_recipe_is_not_changed_on_the_way() -> None:
    with pytest.raises(FrozenInstanceError):
        RECIPES["joint"].n_steps = 1  # type: ignore[misc]
