"""Objectives: finite losses, and gradients that reach what each task is to teach and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engines.model.config import tiny
from engines.model.fusion import FusionModel
from engines.training.batches import Batch, Feeds
from engines.training.objectives import OBJECTIVES

PARTS: dict[str, set[str]] = {
    "caption": {"caption", "photo_text"},
    "transcribe": {"transcribe", "language", "ctc", "speech_text"},
    "spell": {"ctc"},
    "translate": {"translate"},
    "parallel": {"text_text"},
    "sound": {"event", "sound_text", "sound_caption"},
    "answer": {"answer"},
}
TEACHES: dict[str, set[str]] = {
    "caption": {"picture.project", "picture.places", "picture.blocks", "decoder", "text", "vectors.photo"},
    "transcribe": {"decoder", "text", "ctc_head", "vectors.speech", "vectors.text"},
    "spell": {"ctc_head"},
    "translate": {"text", "decoder"},
    "parallel": {"text", "vectors.text", "decoder.embedding"},
    "sound": {"layer_weights", "mix_norm", "sound_bridge", "event_head", "vectors.sound", "vectors.text", "decoder"},
    "answer": {"layer_weights", "sound_bridge", "text", "operator", "decoder", "time_scale", "sense_embedding"},
}
LEAVES_ALONE: dict[str, set[str]] = {
    "caption": {"sound", "sound_bridge", "event_head", "ctc_head", "operator"},
    "transcribe": {"event_head", "sound_bridge", "operator", "vectors.sound"},
    "spell": {"decoder", "text", "vectors", "picture", "operator"},
    "translate": {"picture", "vectors", "operator", "ctc_head"},
    "parallel": {"picture", "operator", "decoder.blocks", "ctc_head"},
    "sound": {"picture", "ctc_head", "operator"},
    "answer": {"picture", "vectors", "ctc_head", "event_head"},
}


@pytest.fixture
def model(feeds: Feeds) -> FusionModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return FusionModel(tiny(feeds.tokenizer.vocab_size)).train()


def batch_of(feeds: Feeds, task: str, size: int = 5) -> Batch:
    return feeds.draw(task, size, np.random.default_rng(0))


def under(name: str, part: str) -> bool:
    return name == part or name.startswith(f"{part}.")


def test_every_task_of_a_recipe_has_an_objective_and_a_batch() -> None:
    assert OBJECTIVES.keys() == PARTS.keys()
    assert all(hasattr(Feeds, f"draw_{task}") for task in OBJECTIVES)


@pytest.mark.parametrize("task", OBJECTIVES)
def test_a_task_teaches_its_parts_with_finite_gradients(model: FusionModel, feeds: Feeds, task: str) -> None:
    record = OBJECTIVES[task](model, batch_of(feeds, task))
    assert PARTS[task] <= record.parts.keys()
    assert all(np.isfinite(value) for value in record.parts.values())
    record.total.backward()
    taught = {name for name, p in model.named_parameters() if p.grad is not None and bool(p.grad.any())}
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)
    for part in TEACHES[task]:
        assert any(under(name, part) for name in taught), f"{task} does not reach {part}"
    for part in LEAVES_ALONE[task]:
        assert not any(under(name, part) for name in taught), f"{task} reaches {part}"
    assert not any(under(name, part) for name in taught for part in ("picture.trunk", "sound"))


@pytest.mark.parametrize("task", OBJECTIVES)
def test_the_loss_on_one_batch_falls(model: FusionModel, feeds: Feeds, task: str) -> None:
    torch.manual_seed(0)
    batch = batch_of(feeds, task)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    found = []
    for _ in range(30):
        record = OBJECTIVES[task](model, batch)
        optimizer.zero_grad()
        record.total.backward()
        optimizer.step()
        found.append(record.total.item())
    assert np.mean(found[-5:]) < 0.8 * np.mean(found[:5])


def test_a_model_that_is_judged_sees_everything(model: FusionModel, feeds: Feeds) -> None:
    model.eval()
    for task in ("caption", "answer"):  # in training these hide places and senses at random
        batch = batch_of(feeds, task)
        with torch.inference_mode():
            assert OBJECTIVES[task](model, batch).total == OBJECTIVES[task](model, batch).total


def test_senses_are_hidden_now_and_then_in_training(model: FusionModel, feeds: Feeds) -> None:
    batch = batch_of(feeds, "answer")
    torch.manual_seed(0)
    with torch.inference_mode():
        assert len({OBJECTIVES["answer"](model, batch).total.item() for _ in range(12)}) > 1


def test_spoken_captions_are_matched_with_their_photos(model: FusionModel, feeds: Feeds) -> None:
    batches = (feeds.draw("transcribe", 3, np.random.default_rng(seed)) for seed in range(20))
    described = next(batch for batch in batches if len(batch["maps"]) > 1)
    record = OBJECTIVES["transcribe"](model, described)
    record.total.backward()
    assert "speech_photo" in record.parts
    assert model.vectors["photo"].project.weight.grad is not None


def test_rows_without_speech_teach_the_writer_alone(model: FusionModel, feeds: Feeds) -> None:
    batch = feeds.draw("transcribe", 6, np.random.default_rng(0))
    n = int(batch["n_said"])
    spoken = {k: v[:n] if k in ("last", "mask", "ids", "targets") else v for k, v in batch.items()}
    model.eval()
    with torch.inference_mode():
        mixed, alone = OBJECTIVES["transcribe"](model, batch).parts, OBJECTIVES["transcribe"](model, spoken).parts
    assert {name for name in alone if abs(mixed[name] - alone[name]) > 1e-4} == {"transcribe"}


def test_the_total_is_the_weighted_sum_of_the_parts(model: FusionModel, feeds: Feeds) -> None:
    record = OBJECTIVES["sound"](model.eval(), batch_of(feeds, "sound"))
    parts = record.parts
    wanted = 2.0 * parts["event"] + 0.5 * parts["sound_text"] + 0.3 * parts["sound_caption"]
    assert record.total.item() == pytest.approx(wanted, rel=1e-5)
