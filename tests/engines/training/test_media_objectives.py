"""Objectives over media themselves: they go through the towers, are varied in training alone, and teach the towers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engines.model.features import log_mel
from engines.model.fusion import FusionModel
from engines.training import augment, objectives
from engines.training.batches import Batch, Feeds
from engines.training.objectives import N_DRAWS, OBJECTIVES
from engines.training.recipes import RECIPES
from tests.engines.training.conftest import fresh

SEEN = ("caption", "look", "consensus", "match", "answer", "describe")
HEARD = ("transcribe", "spell", "sound", "answer", "describe")
MEDIA = tuple(task for task in OBJECTIVES if task in SEEN + HEARD)


@pytest.fixture
def model(live: Feeds) -> FusionModel:
    return fresh(live).train()


def batch_of(feeds: Feeds, task: str, size: int = 5) -> Batch:
    """The first batch drawn in which there is something to tell apart, and to hear."""
    batches = (feeds.draw(task, size, np.random.default_rng(seed)) for seed in range(20))
    return next(
        batch
        for batch in batches
        if len(set(batch.get("group", torch.arange(2)).tolist())) > 1
        and bool(batch.get("mix_mask", torch.ones(1)).any())
    )


def right_draws(batch: Batch) -> torch.Tensor:
    """Of each photo's draws the first is what somebody wrote of it; the others are of another photo."""
    own = batch["references"][:, 0]
    return torch.stack([own, *[own.roll(1, 0)] * (N_DRAWS - 1)], dim=1).flatten(0, 1)


@pytest.fixture
def as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing may be varied."""

    def varied(*given: object) -> None:
        raise AssertionError("it is varied")

    monkeypatch.setattr(augment, "vary_photos", varied)
    monkeypatch.setattr(augment, "hide_stripes", varied)


@pytest.mark.parametrize("task", MEDIA)
def test_media_teach_the_towers_they_go_through_with_finite_gradients(
    model: FusionModel, live: Feeds, task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = batch_of(live, task)
    if task == "consensus":
        monkeypatch.setattr(objectives, "_drawn", lambda *asked: right_draws(batch))
    record = OBJECTIVES[task](model, batch)
    assert all(np.isfinite(value) for value in record.parts.values())
    record.total.backward()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)
    taught = {name for name, p in model.named_parameters() if p.grad is not None and bool(p.grad.any())}
    for part, tasks in (("picture.trunk.", SEEN), ("picture.blocks.", SEEN), ("sound.conv1.", HEARD)):
        assert any(name.startswith(part) for name in taught) == (task in tasks), part
    assert any(name.startswith("sound.blocks.1.") for name in taught) == (task in HEARD)


@pytest.mark.parametrize("task", ["look", "transcribe", "answer"])
def test_the_loss_on_one_batch_of_media_falls(model: FusionModel, live: Feeds, task: str) -> None:
    torch.manual_seed(0)
    batch = batch_of(live, task)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    found = []
    for _ in range(30):
        record = OBJECTIVES[task](model, batch)
        optimizer.zero_grad()
        record.total.backward()
        optimizer.step()
        found.append(record.total.item())
    assert np.mean(found[-5:]) < 0.8 * found[0]


def test_early_layers_can_stay_as_they_are_while_the_rest_of_the_towers_learns(model: FusionModel, live: Feeds) -> None:
    frozen = RECIPES["whole"].frozen
    for name, p in model.named_parameters():
        p.requires_grad_(not name.startswith(frozen) or name.startswith("sound.blocks.1."))  # the tiny one has but two
    OBJECTIVES["answer"](model, batch_of(live, "answer")).total.backward()
    taught = {name for name, p in model.named_parameters() if p.grad is not None and bool(p.grad.any())}
    assert not any(name.startswith(("sound.conv", "sound.blocks.0.", "decoder.embedding.")) for name in taught)
    assert any(name.startswith("sound.blocks.1.") for name in taught)
    assert any(name.startswith("picture.trunk.") for name in taught)


# --- varied in training alone ------------------------------------------------------------------------------------


@pytest.mark.usefixtures("every_piece", "as_they_are")
@pytest.mark.parametrize("task", [task for task in MEDIA if task != "consensus"])
def test_nothing_is_varied_where_the_model_is_judged(model: FusionModel, live: Feeds, task: str) -> None:
    batch = batch_of(live, task)
    with torch.inference_mode():
        totals = {OBJECTIVES[task](model.eval(), batch).total.item() for _ in range(3)}
    assert len(totals) == 1


@pytest.mark.parametrize("task", [task for task in MEDIA if task != "consensus"])
def test_what_is_learnt_from_is_varied(model: FusionModel, live: Feeds, task: str, as_they_are: None) -> None:
    with pytest.raises(AssertionError, match="it is varied"):
        OBJECTIVES[task](model, batch_of(live, task))


@pytest.mark.usefixtures("as_they_are")
def test_captions_are_agreed_on_over_photos_as_they_are(
    model: FusionModel, live: Feeds, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = batch_of(live, "consensus")
    monkeypatch.setattr(objectives, "_drawn", lambda *asked: right_draws(batch))
    assert np.isfinite(OBJECTIVES["consensus"](model, batch).total.item())


# --- the same as elsewhere ---------------------------------------------------------------------------------------


@torch.inference_mode()
def test_a_photo_is_seen_as_one_out_of_a_store(model: FusionModel, live: Feeds) -> None:
    batch = batch_of(live, "caption")
    seen = objectives._picture(model.eval(), batch)
    maps = model.picture.trunk(augment.scaled(batch["maps"])).flatten(2).transpose(1, 2)
    assert torch.allclose(seen, objectives._picture(model, {"maps": maps}), atol=1e-5)


@torch.inference_mode()
def test_a_sound_is_heard_as_it_is_alone(model: FusionModel, live: Feeds) -> None:
    """Padding to the longest of a batch changes nothing but at the seam, where the window of a frame sees past it."""
    model.eval()
    batch = next(batch for batch in (batch_of(live, "sound", n) for n in range(5, 9)) if not batch["mix_mask"].all())
    mix, mask = objectives._mix(model, batch)
    for row, n_frames, own, real in zip(batch["mix"], batch["mix_mask"].sum(1), mix, mask, strict=True):
        alone = row[: int(n_frames) * 160][None].float() / 32768
        heard = model.hear(log_mel(alone), n_frames[None])
        assert int(real.sum()) == int(heard.mix_mask.sum())
        n = int(real.sum()) - 1
        assert torch.allclose(own[:n], heard.mix[0, :n], atol=0.05)


@torch.inference_mode()
def test_speech_is_followed_by_the_silence_that_the_tower_hears_behind_it(model: FusionModel, live: Feeds) -> None:
    batch = batch_of(live, "transcribe")
    last, mask = objectives._last(model.eval(), batch)
    assert last.shape[:2] == mask.shape
    assert mask.sum(1).tolist() == [-(-(int(n) + 300) // 2) for n in batch["mask"].sum(1)]


@torch.inference_mode()
@pytest.mark.parametrize("mode", [True, False])
def test_a_clip_without_a_track_has_no_sound(model: FusionModel, live: Feeds, mode: bool) -> None:
    batch = dict(batch_of(live, "answer"))
    batch["mix_mask"] = batch["mix_mask"].clone()
    batch["mix_mask"][0] = False
    mix, mask = objectives._mix(model.train(mode), batch)
    assert mix.isfinite().all()
    assert not mask[0].any()
    assert torch.equal(mask.any(1), batch["mix_mask"].any(1))
    assert np.isfinite(OBJECTIVES["answer"](model, batch).total.item())
