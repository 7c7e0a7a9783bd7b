"""Recipes: values that fit together and name what exists."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from engines.model.config import Concept, small
from engines.model.fusion import FusionModel
from engines.model.translation_adapter import TranslationAdapter
from engines.training.objectives import OBJECTIVES
from engines.training.recipes import ADAPTERS, FULL, RECIPES, SCST, TOWERS

every_recipe = pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES.keys())
with torch.device("meta"):  # the shipped sizes, without the memory
    CONFIG = replace(small(10), concepts=(Concept("cat", "Katze", "chat", "猫"),))
    MODEL = FusionModel(CONFIG)
    MODEL.translation = TranslationAdapter(CONFIG)
    SIZES = {name: p.numel() for name, p in MODEL.named_parameters()}


def test_recipes_are_known_by_their_names():
    names = ["base", "full", "scst", "ctc", "concepts", "sound_search", "answers", "translation", "smoke"]
    assert list(RECIPES) == names
    assert all(recipe.name == name for name, recipe in RECIPES.items())


@every_recipe
def test_tasks_exist_and_rates_and_steps_are_positive(recipe):
    assert recipe.tasks.keys() <= OBJECTIVES.keys()
    assert all(share.weight > 0 and share.size >= 2 for share in recipe.tasks.values())
    assert 0 < recipe.warmup_steps < recipe.n_steps
    assert all(0 < rate <= 1e-2 for rate in (recipe.learning_rate, *recipe.rates.values()))
    assert 0 < recipe.ema_decay < 1 and 1 <= recipe.ema_every <= recipe.n_steps


@every_recipe
def test_parameters_are_named_to_the_dot(recipe):
    """Without its dot a name would include others that begin alike: "sound" is also "sound_bridge"."""
    for beginning in (*recipe.frozen, *recipe.only, *recipe.rates):
        assert beginning.endswith(".") or beginning in SIZES
        assert any(name.startswith(beginning) for name in SIZES)


@every_recipe
def test_the_public_classifier_and_the_embedding_are_never_trained(recipe):
    trained = {name for name in SIZES if recipe.trains(name)}
    assert trained
    assert not any(name.startswith(("picture.concepts.", "concept_vectors", "decoder.embedding.")) for name in trained)


@every_recipe
def test_adapters_are_trained_alone(recipe):
    others = {name for name in SIZES if recipe.trains(name) and not name.startswith(ADAPTERS)}
    assert bool(others) != recipe.adapts


@every_recipe
def test_only_recipes_for_a_gpu_train_the_towers(recipe):
    trained = [name for name in SIZES if name.startswith(TOWERS) and recipe.trains(name)]
    assert bool(trained) == (recipe in (FULL, SCST))


@pytest.mark.parametrize("recipe", [FULL, SCST], ids=["full", "scst"])
def test_most_of_both_towers_learns_slower_than_the_rest(recipe):
    for tower in TOWERS:
        own = [name for name in SIZES if name.startswith(tower)]
        trained = [name for name in own if recipe.trains(name)]
        assert 0.6 * sum(SIZES[name] for name in own) < sum(SIZES[name] for name in trained)
        assert len(trained) < len(own)
        assert all(recipe.peak_rate(name) < recipe.learning_rate for name in trained)


def test_a_part_learns_at_the_first_rate_that_names_it():
    recipe = replace(FULL, rates={"decoder.embedding.": 1e-5, "decoder.": 5e-5})
    names = {"decoder.embedding.weight": 1e-5, "decoder.norm.bias": 5e-5, "text.norm.bias": recipe.learning_rate}
    assert {name: recipe.peak_rate(name) for name in names} == names
