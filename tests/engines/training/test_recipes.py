"""Recipes: values that go together."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest

from engines.model.config import tiny
from engines.model.fusion import FusionModel
from engines.training.objectives import OBJECTIVES
from engines.training.recipes import RECIPES, Recipe

every_recipe = pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES.keys())
NAMES = [name for name, _ in FusionModel(tiny(10)).named_parameters()]


def test_the_stages_are_known_by_their_names() -> None:
    assert {"text", "joint", "smoke"} <= RECIPES.keys()
    assert all(recipe.name == name for name, recipe in RECIPES.items())


@every_recipe
def test_every_task_exists_and_is_drawn(recipe: Recipe) -> None:
    assert recipe.tasks.keys() <= OBJECTIVES.keys()
    assert all(share.weight > 0 and share.size >= 2 for share in recipe.tasks.values())


@every_recipe
def test_the_warm_up_ends_and_rates_are_positive(recipe: Recipe) -> None:
    assert 0 < recipe.warmup_steps < recipe.n_steps
    assert all(0 < rate <= 1e-2 for rate in (recipe.learning_rate, *recipe.rates.values()))
    assert recipe.accumulate >= 1
    assert 0 < recipe.ema_decay < 1


@every_recipe
def test_what_is_frozen_and_kept_is_named_to_the_dot(recipe: Recipe) -> None:
    """A name without its dot would take in others that begin alike: "sound" also means "sound_bridge"."""
    for beginning in (*recipe.frozen, *recipe.only, *recipe.rates):
        assert beginning.endswith(".") or beginning in NAMES
        assert any(name.startswith(beginning) for name in NAMES)


def test_the_joint_stage_trains_everything_but_the_towers_its_stores_were_made_with() -> None:
    joint = RECIPES["joint"]
    assert joint.tasks.keys() == OBJECTIVES.keys() - {"spell", "consensus"}  # these are stages of their own
    assert joint.only == ()
    frozen = {name for name in NAMES if name.startswith(joint.frozen)}
    assert {name.split(".")[0] for name in frozen} == {"picture", "sound", "decoder"}
    assert {name for name in frozen if name.startswith("decoder.")} == {"decoder.embedding.weight"}
    assert not "sound_bridge.weight".startswith(joint.frozen)
    assert not "picture.project.weight".startswith(joint.frozen)


def test_a_recipe_is_not_changed_on_the_way() -> None:
    with pytest.raises(FrozenInstanceError):
        RECIPES["joint"].n_steps = 1  # type: ignore[misc]
