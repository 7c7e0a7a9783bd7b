"""Objectives: finite losses, and gradients that reach what each task should teach and nothing else."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor

from engines.model.features import log_mel
from engines.model.fusion import FusionModel, Memory, Stream
from engines.model.translation_adapter import TranslationAdapter
from engines.training import augment, objectives
from engines.training.batches import Batch, Batcher
from engines.training.losses import NO_TOKEN
from engines.training.objectives import MAX_SAMPLED, N_SAMPLES, OBJECTIVES, TEACHER_WEIGHT, loss_of, run_towers
from tests.engines.training.conftest import draw, new_model

NEED_CONCEPTS = ("name", "write", "question")
PLAIN = [task for task in OBJECTIVES if task not in NEED_CONCEPTS]
SEEN = ("caption", "caption_and_match", "scst", "match", "answer", "describe")
HEARD = ("transcribe", "ctc", "sound", "answer", "describe")
MATCHING = {"photo_text", "photo_other", "text_text"}
PARTS: dict[str, set[str]] = {
    "caption": {"caption"},
    "caption_and_match": {"caption", *MATCHING},
    "scst": {"reward"},
    "match": MATCHING,
    "transcribe": {"transcribe", "language", "ctc"},
    "ctc": {"ctc"},
    "translate": {"translate"},
    "adapt_translation": {"translate"},
    "parallel": {"text_text"},
    "sound": {"event", "sound_text", "sound_caption"},
    "answer": {"answer"},
    "describe": {"answer"},
}
PICTURE = {"picture.project", "picture.places", "picture.blocks"}
CLIP = {
    *PICTURE,
    *("layer_weights", "sound_bridge", "text", "operator", "decoder", "clock", "change.picture", "change.sound"),
}
TEACHES: dict[str, set[str]] = {
    "caption": {*PICTURE, "decoder.blocks", "decoder.embedding"},
    "caption_and_match": {*PICTURE, "decoder.blocks", "text", "vectors.photo", "vectors.text"},
    "scst": {"picture.project", "decoder.blocks", "decoder.embedding"},
    "match": {*PICTURE, "text", "vectors.photo", "vectors.text"},
    "transcribe": {"decoder.blocks", "ctc_head", "sense_embedding"},
    "ctc": {"ctc_head"},
    "translate": {"text", "decoder"},
    "adapt_translation": {"translation.text", "translation.decoder"},
    "parallel": {"text", "vectors.text", "decoder.embedding"},
    "sound": {"layer_weights", "mix_norm", "sound_bridge", "event_head", "vectors.sound", "vectors.text", "decoder"},
    "answer": CLIP,
    "describe": CLIP,
}
LEAVES_ALONE: dict[str, set[str]] = {
    "caption": {"text", "vectors", "sound_bridge", "event_head", "ctc_head", "operator", "clock"},
    "caption_and_match": {"vectors.sound", "sound_bridge", "event_head", "ctc_head", "operator"},
    "scst": {"text", "vectors", "sound_bridge", "event_head", "ctc_head", "operator"},
    "match": {"decoder.blocks", "operator", "vectors.sound", "sense_embedding"},
    "transcribe": {"picture", "text", "vectors", "event_head", "sound_bridge", "operator"},
    "ctc": {"decoder", "text", "vectors", "picture", "operator"},
    "translate": {"picture", "vectors", "operator", "ctc_head"},
    "adapt_translation": {"picture", "vectors", "operator", "ctc_head"},
    "parallel": {"picture", "operator", "decoder.blocks", "ctc_head"},
    "sound": {"picture", "ctc_head", "operator", "change.picture"},
    "answer": {"vectors", "ctc_head", "event_head"},
    "describe": {"vectors", "ctc_head", "event_head"},
}


@pytest.fixture
def model(batcher) -> FusionModel:
    model = new_model(batcher)
    model.translation = TranslationAdapter(model.config)
    return model.train()


def batches_of(batcher: Batcher, task: str, size: int = 5) -> Iterator[Batch]:
    """Batches in which there is something to tell apart and to hear."""
    for seed in range(20):
        batch = draw(batcher, task, seed, size)
        audible = batch.get("layers_mask", batch.get("samples_mask", torch.ones(1)))
        if len(set(batch.get("group", torch.arange(2)).tolist())) > 1 and audible.any():
            yield batch


def batch_of(batcher: Batcher, task: str, size: int = 5) -> Batch:
    return next(batches_of(batcher, task, size))


def one_right_of_five(batch: Batch) -> Tensor:
    """As each photo's first sample a caption by people; as the others that of another photo."""
    own = batch["references"][:, 0]
    return torch.stack([own, *[own.roll(1, 0)] * (N_SAMPLES - 1)], dim=1).flatten(0, 1)


@pytest.fixture
def samples(monkeypatch) -> None:
    """Samples that score: those of an untrained model resemble no caption."""
    drawn: list[Batch] = []
    run = objectives.run_towers

    def keep(model: FusionModel, batch: Batch, **options: bool) -> Batch:
        drawn.append(batch)
        return run(model, batch, **options)

    monkeypatch.setattr(objectives, "run_towers", keep)
    monkeypatch.setattr(objectives, "sample_captions", lambda *given: one_right_of_five(drawn[-1]))


def taught_by(model: FusionModel) -> set[str]:
    """The parameters with a gradient, which has to be finite."""
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)
    return {name for name, p in model.named_parameters() if p.grad is not None and bool(p.grad.any())}


def under(name: str, part: str) -> bool:
    return name == part or name.startswith(f"{part}.")


# --- what is taught ----------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("samples")
@pytest.mark.parametrize("task", PLAIN)
def test_a_task_teaches_its_parts_but_no_tower_whose_features_are_cached(model, batcher, task):
    record = loss_of(task, model, batch_of(batcher, task))
    assert record.parts.keys() == PARTS[task]
    assert all(np.isfinite(value) for value in record.parts.values())
    record.total.backward()
    taught = taught_by(model)
    for part in TEACHES[task]:
        assert any(under(name, part) for name in taught), f"{task} does not reach {part}"
    others = {"picture.trunk", "sound"} if task == "adapt_translation" else {"picture.trunk", "sound", "translation"}
    for part in LEAVES_ALONE[task] | others:
        assert not any(under(name, part) for name in taught), f"{task} reaches {part}"


@pytest.mark.usefixtures("samples")
@pytest.mark.parametrize("task", dict.fromkeys(SEEN + HEARD))
def test_media_teach_the_towers_they_go_through(model, media_batcher, task):
    loss_of(task, model, batch_of(media_batcher, task)).total.backward()
    taught = taught_by(model)
    assert any(name.startswith("picture.trunk.") for name in taught) == (task in SEEN)
    assert any(name.startswith("sound.conv1.") for name in taught) == (task in HEARD)


@pytest.mark.parametrize("task", [*NEED_CONCEPTS, "answer"])
def test_names_are_learnt_from(naming, task):
    model = new_model(naming).train()
    loss_of(task, model, draw(naming, task, 1, 8)).total.backward()
    gradient = model.sense_embedding["names"].grad
    assert gradient is not None and gradient.isfinite().all() and gradient.any()


@pytest.mark.parametrize("task", ["caption_and_match", "transcribe", "sound", "translate"])
def test_the_loss_on_one_batch_falls(model, batcher, task):
    torch.manual_seed(0)
    batch = batch_of(batcher, task)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    found = []
    for _ in range(20):
        record = loss_of(task, model, batch)
        optimizer.zero_grad()
        record.total.backward()
        optimizer.step()
        found.append(record.total.item())
    assert np.mean(found[-5:]) < 0.8 * found[0]


# --- varied in training only -------------------------------------------------------------------------------------


@pytest.mark.usefixtures("every_token")
@pytest.mark.parametrize("task", ["caption", "match", "translate", "answer", "sound"])
def test_a_model_varies_what_it_sees_in_training_only(model, media_batcher, task):
    batch = batch_of(media_batcher, task)
    torch.manual_seed(0)
    with torch.inference_mode():
        trained = {loss_of(task, model, batch).total.item() for _ in range(4)}
        evaluated = {loss_of(task, model.eval(), batch).total.item() for _ in range(4)}
    assert len(trained) == 4 and len(evaluated) == 1


def test_self_critical_training_varies_no_photo(model, media_batcher, samples, monkeypatch):
    monkeypatch.delattr(augment, "vary_photos")
    assert np.isfinite(loss_of("scst", model, batch_of(media_batcher, "scst")).total.item())


# --- the towers' step --------------------------------------------------------------------------------------------


@torch.inference_mode()
def test_features_of_the_cache_stay_as_they_are(model, batcher):
    for task in ("caption", "transcribe", "answer"):
        batch = draw(batcher, task)
        assert run_towers(model, batch) == batch


@torch.inference_mode()
def test_media_become_the_features_that_the_towers_make_of_them(model, media_batcher):
    model.eval()
    batch = draw(media_batcher, "answer")
    features = run_towers(model, batch)
    assert not {"pixels", "samples", "samples_mask"} & features.keys()
    maps = model.picture.trunk(augment.scaled(batch["pixels"]))
    assert torch.equal(features["maps"], maps.flatten(2).transpose(1, 2))
    tokens = objectives._picture_tokens(model, features)
    assert torch.allclose(tokens, model.see(augment.scaled(batch["pixels"])), atol=1e-5)


@torch.inference_mode()
def test_a_sound_is_heard_as_it_is_alone(model, media_batcher):
    """Padding changes nothing but the last token, where the window of a frame reaches past the sound."""
    batch = next(b for b in batches_of(media_batcher, "sound", 6) if not b["samples_mask"].all())
    features = run_towers(model.eval(), batch)
    mix, mask = model.mix(features["layers"]), features["layers_mask"]
    for row, n_frames, own, real in zip(batch["samples"], batch["samples_mask"].sum(1), mix, mask, strict=True):
        alone = model.hear(log_mel(row[: int(n_frames) * 160][None].float() / 32768), n_frames[None])
        assert int(real.sum()) == int(alone.mix_mask.sum())
        n = int(real.sum()) - 1
        assert torch.allclose(own[:n], alone.mix[0, :n], atol=0.05)


@torch.inference_mode()
@pytest.mark.parametrize("training", [True, False])
def test_a_clip_without_a_track_has_no_sound(model, media_batcher, training):
    batch = batch_of(media_batcher, "answer")
    batch["samples_mask"][0] = False
    features = run_towers(model.train(training), batch)
    assert features["layers"].isfinite().all()
    assert torch.equal(features["layers_mask"].any(1), batch["samples_mask"].any(1))


# --- single tasks ------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("every_token")
@pytest.mark.parametrize("task", ["match", "caption_and_match", "parallel"])
def test_the_teachers_similarities_are_a_part_of_their_own(model, teacher_batcher, task):
    batch = batch_of(teacher_batcher, task)
    record = loss_of(task, model.eval(), batch)
    without = loss_of(task, model, {k: v for k, v in batch.items() if k != "teacher"})
    assert record.parts.keys() == PARTS[task] | {"teacher"} and record.parts["teacher"] > 0
    assert (record.total - without.total).item() == pytest.approx(TEACHER_WEIGHT * record.parts["teacher"], rel=1e-3)


@pytest.mark.usefixtures("every_token")
def test_rows_without_speech_teach_the_decoder_only(model, batcher):
    batch = next(b for b in batches_of(batcher, "transcribe", 6) if len(b["last"]) > int(b["n_spoken"]))
    n = int(batch["n_spoken"])
    spoken = {k: v[:n] if k in ("last", "last_mask", "ids", "targets") else v for k, v in batch.items()}
    with torch.inference_mode():
        mixed, alone = (loss_of("transcribe", model.eval(), own).parts for own in (batch, spoken))
    assert {name for name in alone if abs(mixed[name] - alone[name]) > 1e-4} == {"transcribe"}


@torch.inference_mode()
def test_a_clip_is_frames_of_four_tokens_at_their_times_with_sound_and_question(model, batcher, monkeypatch):
    batch = next(b for b in batches_of(batcher, "answer", 3) if (b["shown"][:, 0] != b["shown"][:, -1]).any())
    given, fuse = [], model.fuse
    monkeypatch.setattr(model, "fuse", lambda streams: given.extend(streams) or fuse(streams))
    loss_of("answer", model.eval(), batch)
    picture, sound, text = given
    assert [stream.modality for stream in given] == ["picture", "sound", "text"] and text.times_s is None
    photos = model.picture.adapt(batch["maps"].float().transpose(1, 2).unflatten(2, (2, 2)))
    for b, row in enumerate(batch["shown"].tolist()):
        for f, photo in enumerate(row):
            frame = slice(4 * f, 4 * f + 4)
            assert torch.allclose(picture.tokens[b, frame], batch["crop"][b, f] @ photos[photo], atol=1e-5)
            assert picture.times_s[b, frame].tolist() == [batch["times"][b, f].item()] * 4
    assert torch.allclose(sound.tokens, model.bridge(model.mix(batch["layers"].float())), atol=1e-5)
    assert torch.equal(sound.mask, batch["layers_mask"])
    assert sound.times_s[-1, :4].tolist() == pytest.approx([0.0, 0.2, 0.4, 0.6])


# --- self-critical training --------------------------------------------------------------------------------------


@torch.no_grad()
def log_probabilities(model: FusionModel, batch: Batch) -> Tensor:
    """The mean log-probability of each sample's tokens: (B * N_SAMPLES,)."""
    tokens = objectives._picture_tokens(model, batch)
    memory = model.fuse([Stream("picture", tokens, torch.ones(tokens.shape[:2], dtype=torch.bool))])
    found = []
    for i, row in enumerate(one_right_of_five(batch)):
        text, photo = row[row != NO_TOKEN], slice(i // N_SAMPLES, i // N_SAMPLES + 1)
        ids = torch.cat([batch["prefix"], text[:-1]])[None]
        logits = model.decode(ids, Memory(memory.tokens[photo], memory.mask[photo]))[0, len(batch["prefix"]) - 1 :]
        found.append(logits.log_softmax(-1).gather(1, text[:, None]).mean())
    return torch.stack(found)


@pytest.mark.usefixtures("every_token", "samples")
def test_a_sample_that_scores_above_the_others_becomes_likelier_than_they(model, batcher):
    batch = batch_of(batcher, "scst", size=3)
    before = log_probabilities(model, batch)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    loss_of("scst", model, batch).total.backward()
    optimizer.step()
    gained = (log_probabilities(model, batch) - before).unflatten(0, (-1, N_SAMPLES))
    assert (gained[:, 0] > gained[:, 1]).all()


def test_samples_that_score_alike_teach_nothing(model, batcher, monkeypatch):
    batch = batch_of(batcher, "scst", size=3)
    right = batch["references"][:, 0].repeat_interleave(N_SAMPLES, 0)
    monkeypatch.setattr(objectives, "sample_captions", lambda *given: right)
    record = loss_of("scst", model, batch)
    assert record.parts["reward"] > 1.0
    assert record.total.item() == pytest.approx(0.0, abs=1e-4)


def test_a_sample_ends_with_its_end_token_or_at_the_maximum(model, batcher):
    prefix = batch_of(batcher, "scst")["prefix"]
    memory = Memory(torch.zeros(6, 1, 32), torch.ones(6, 1, dtype=torch.bool))
    torch.manual_seed(0)
    with torch.no_grad():  # the end is as likely as all other tokens together, which are equally likely
        model.decoder.embedding.weight[1:] = 0.0
        model.decoder.norm.weight.zero_()
        model.decoder.norm.bias.copy_(model.decoder.embedding.weight[0])
        model.decoder.embedding.weight[0] *= np.log(3000.0) / model.decoder.embedding.weight[0].square().sum()
    sampled = objectives.sample_captions(model, memory, prefix, 0)
    assert sampled.shape[0] == 6 * N_SAMPLES and sampled.shape[1] <= MAX_SAMPLED
    assert (sampled == 0).any()
    for row in sampled:
        tokens = row[row != NO_TOKEN]
        assert torch.equal(tokens, row[: len(tokens)]) and 0 not in tokens[:-1]
        assert len(tokens) == len(row) or tokens[-1] == 0
