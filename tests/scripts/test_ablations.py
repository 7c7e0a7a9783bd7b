"""Ablations: one change a run, equal budgets, one table."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from engines.model.config import tiny
from engines.model.fusion import OPERATORS, FusionModel
from engines.training.recipes import BASE
from scripts.ablations import (
    FIGURES,
    SUITES,
    Variant,
    figures,
    hear_speech,
    recipe_of,
    start_of,
    table,
    variants,
)

every_variant = pytest.mark.parametrize("variant", variants(), ids=lambda variant: variant.name)


def test_runs_have_different_names_and_the_joint_one_comes_first():
    names = [variant.name for variant in variants()]
    assert len(set(names)) == len(names)
    assert names[0] == "joint"
    assert {f"fusion_{kind}" for kind in OPERATORS.keys() - {"attention"}} <= set(names)


@every_variant
def test_a_run_trains_tasks_of_base_and_is_measured_by_known_figures(variant):
    recipe = recipe_of(variant, 400)
    assert set(recipe.tasks) <= set(BASE.tasks)
    assert set(variant.measured) <= FIGURES.keys() == SUITES.keys()
    assert 0 < recipe.warmup_steps < recipe.n_steps <= 400


def test_models_of_their_own_have_together_the_steps_of_the_joint_one():
    alone = [variant for variant in variants() if variant.name.startswith("alone_")]
    assert sum(recipe_of(variant, 10_000).n_steps for variant in alone) == pytest.approx(10_000, abs=len(alone))
    assert sorted(task for variant in alone for task in variant.tasks) == sorted(BASE.tasks)


def test_what_is_compared_has_the_same_tasks_and_steps():
    named = {variant.name: recipe_of(variant, 400) for variant in variants()}
    for same in (
        ["alone_answer", "fusion_sum", "fusion_gated", "fusion_concat"],
        ["align_teacher", "align_contrastive"],
        ["alone_transcribe", "no_synthetic_speech"],
        ["joint", "no_public_decoder"],
    ):
        assert len({(tuple(named[name].tasks), named[name].n_steps) for name in same}) == 1, same


def test_a_run_without_public_weights_keeps_the_towers_of_the_feature_cache():
    torch.manual_seed(1)  # a new model begins from seed 0
    public = FusionModel(tiny(50))
    bare = start_of(Variant(name="bare", public=False), public)
    named = dict(public.named_parameters())
    for name, p in bare.named_parameters():
        kept = name.startswith(("picture.trunk.", "sound."))
        assert torch.equal(p, named[name]) >= kept, name
    assert not torch.equal(bare.decoder.embedding.weight, public.decoder.embedding.weight)


def test_another_operator_is_new_and_everything_else_is_as_it_was():
    public = FusionModel(replace(tiny(50), fusion="attention"))
    changed = start_of(Variant(name="gated", fusion="gated"), public)
    named = dict(public.named_parameters())
    assert {name for name, _ in changed.named_parameters()} - named.keys()
    assert all(torch.equal(p, named[name]) for name, p in changed.named_parameters() if name in named)


def test_a_model_that_learnt_no_events_writes_whatever_it_hears():
    model = FusionModel(tiny(50))
    hear_speech(model)
    logits = model.event_logits(torch.randn(4, 3, model.config.width), torch.ones(4, 3, dtype=torch.bool))
    assert bool((logits[:, model.config.events.index("speech")].sigmoid() > 0.9).all())


def test_figures_are_those_of_the_tasks_measured():
    rows = {
        "caption.flickr8k.en.cider": {"value": 40.0},
        "sound.us8k.accuracy": {"value": 70.0},
        "translation.multi30k.en_de.bleu": {"value": None},
    }
    measured = Variant(name="few", measured=("caption", "translate"))
    assert figures(rows, measured) == {"caption.flickr8k.en.cider": 40.0}


def test_models_of_their_own_share_a_row_of_the_table():
    results = {
        "joint": {"caption.flickr8k.en.cider": 40.0, "sound.us8k.accuracy": 70.0},
        "alone_caption": {"caption.flickr8k.en.cider": 38.0},
        "alone_sound": {"sound.us8k.accuracy": 71.0},
    }
    head, _, joint, alone = table(results).splitlines()
    assert head.startswith("| run | caption.flickr8k.en.cider |")
    assert joint.split("|")[1:3] == [" joint ", " 40.0 "]
    assert alone.split("|")[1:3] == [" alone ", " 38.0 "]
    assert " 71.0 " in alone
    assert head.count("|") == alone.count("|")
