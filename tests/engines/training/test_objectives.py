"""Objectives: finite losses, and gradients that reach what each task is to teach and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from engines.model.config import tiny
from engines.model.fusion import FusionModel, Memory, Stream
from engines.training import losses, objectives
from engines.training.batches import IGNORED, Batch, Feeds
from engines.training.consensus import NOTHING
from engines.training.objectives import MAX_DRAWN, N_DRAWS, OBJECTIVES, TEACHER_WEIGHT

PARTS: dict[str, set[str]] = {
    "caption": {"caption"},
    "look": {"caption", "photo_text", "photo_other", "text_text"},
    "consensus": {"reward"},
    "match": {"photo_text", "photo_other", "text_text"},
    "transcribe": {"transcribe", "language", "ctc"},
    "spell": {"ctc"},
    "translate": {"translate"},
    "parallel": {"text_text"},
    "sound": {"event", "sound_text", "sound_caption"},
    "answer": {"answer"},
    "describe": {"answer"},
}
CLIPS = {
    *("picture.project", "picture.places", "picture.blocks", "layer_weights", "sound_bridge", "text", "operator"),
    *("decoder", "clock", "change.picture", "change.sound", "sense_embedding"),
}
TEACHES: dict[str, set[str]] = {
    "caption": {"picture.project", "picture.places", "picture.blocks", "decoder.blocks", "decoder.embedding"},
    "look": {
        *("picture.project", "picture.places", "picture.blocks", "decoder.blocks", "decoder.embedding"),
        *("text", "vectors.photo", "vectors.text"),
    },
    "consensus": {"picture.project", "decoder.blocks", "decoder.embedding"},
    "match": {"picture.project", "picture.places", "picture.blocks", "text", "vectors.photo", "vectors.text"},
    "transcribe": {"decoder.blocks", "ctc_head", "sense_embedding"},
    "spell": {"ctc_head"},
    "translate": {"text", "decoder"},
    "parallel": {"text", "vectors.text", "decoder.embedding"},
    "sound": {
        *("layer_weights", "mix_norm", "sound_bridge", "event_head", "vectors.sound", "vectors.text", "decoder"),
        *("clock", "change.sound"),
    },
    "answer": CLIPS,
    "describe": CLIPS,
}
LEAVES_ALONE: dict[str, set[str]] = {
    "caption": {"text", "vectors", "sound_bridge", "event_head", "ctc_head", "operator", "clock", "change"},
    "look": {"vectors.sound", "sound_bridge", "event_head", "ctc_head", "operator", "clock", "change"},
    "consensus": {"text", "vectors", "sound_bridge", "event_head", "ctc_head", "operator"},
    "match": {"decoder.blocks", "operator", "vectors.sound", "sense_embedding"},
    "transcribe": {"picture", "text", "vectors", "event_head", "sound_bridge", "operator", "clock", "change"},
    "spell": {"decoder", "text", "vectors", "picture", "operator"},
    "translate": {"picture", "vectors", "operator", "ctc_head"},
    "parallel": {"picture", "operator", "decoder.blocks", "ctc_head"},
    "sound": {"picture", "ctc_head", "operator", "change.picture"},
    "answer": {"vectors", "ctc_head", "event_head"},
    "describe": {"vectors", "ctc_head", "event_head"},
}


TASKS = [task for task in OBJECTIVES if task not in ("name", "write", "question")]
"""Those of names need a list of concepts; they have tests of their own in test_naming_batches.py."""


@pytest.fixture
def model(feeds: Feeds) -> FusionModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return FusionModel(tiny(feeds.tokenizer.vocab_size)).train()


def batch_of(feeds: Feeds, task: str, size: int = 5) -> Batch:
    """The first batch drawn that holds more than one thing to tell apart."""
    batches = (feeds.draw(task, size, np.random.default_rng(seed)) for seed in range(20))
    return next(batch for batch in batches if "group" not in batch or len(set(batch["group"].tolist())) > 1)


def one_right_of_five(batch: Batch) -> Tensor:
    """Of each photo's draws the first is what somebody wrote of it; the others are of another photo."""
    own = batch["references"][:, 0]
    return torch.stack([own, *[own.roll(1, 0)] * (N_DRAWS - 1)], dim=1).flatten(0, 1)


def under(name: str, part: str) -> bool:
    return name == part or name.startswith(f"{part}.")


def test_every_task_of_a_recipe_has_an_objective_and_a_batch() -> None:
    assert set(TASKS) == PARTS.keys()
    assert all(hasattr(Feeds, f"draw_{task}") for task in OBJECTIVES)


@pytest.mark.parametrize("task", TASKS)
def test_a_task_teaches_its_parts_with_finite_gradients(
    model: FusionModel, feeds: Feeds, task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = batch_of(feeds, task)
    if task == "consensus":  # a model that has learnt nothing draws nothing that anybody would say
        monkeypatch.setattr(objectives, "_drawn", lambda *asked: one_right_of_five(batch))
    record = OBJECTIVES[task](model, batch)
    assert record.parts.keys() == PARTS[task]
    assert all(np.isfinite(value) for value in record.parts.values())
    record.total.backward()
    taught = {name for name, p in model.named_parameters() if p.grad is not None and bool(p.grad.any())}
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)
    for part in TEACHES[task]:
        assert any(under(name, part) for name in taught), f"{task} does not reach {part}"
    for part in LEAVES_ALONE[task]:
        assert not any(under(name, part) for name in taught), f"{task} reaches {part}"
    assert not any(under(name, part) for name in taught for part in ("picture.trunk", "sound"))  # stores hold theirs


@pytest.mark.parametrize("task", [task for task in TASKS if task != "consensus"])
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
    assert np.mean(found[-5:]) < 0.8 * found[0]  # sentences that are in it twice are learnt in two steps


@pytest.mark.usefixtures("every_piece")
@pytest.mark.parametrize("task", ["caption", "look", "match", "translate", "answer", "describe"])
def test_places_and_senses_are_hidden_now_and_then_but_only_in_training(
    model: FusionModel, feeds: Feeds, task: str
) -> None:
    batch = batch_of(feeds, task)
    torch.manual_seed(0)
    with torch.inference_mode():
        trained = {OBJECTIVES[task](model, batch).total.item() for _ in range(12)}
        judged = {OBJECTIVES[task](model.eval(), batch).total.item() for _ in range(12)}
    assert len(trained) > 1
    assert len(judged) == 1


@pytest.mark.parametrize("task", ["caption", "look", "translate", "sound", "answer"])
def test_what_is_written_is_scored_among_a_sample_of_the_pieces(model: FusionModel, feeds: Feeds, task: str) -> None:
    batch = batch_of(feeds, task)
    OBJECTIVES[task](model, batch).total.backward()
    assert model.decoder.embedding.weight.grad is not None
    taught = model.decoder.embedding.weight.grad.any(1)
    assert taught[batch["targets"][batch["targets"] != IGNORED]].all()
    assert 0.8 * losses.N_DRAWN < int(taught.sum()) < 1.2 * losses.N_DRAWN + 100


@pytest.mark.usefixtures("every_piece")
@pytest.mark.parametrize("task", ["match", "look", "parallel"])
def test_a_teacher_is_agreed_with_on_what_is_alike(model: FusionModel, taught_feeds: Feeds, task: str) -> None:
    batch = batch_of(taught_feeds, task)
    model.eval()
    record = OBJECTIVES[task](model, batch)
    assert record.parts.keys() == PARTS[task] | {"alike"}
    untaught = OBJECTIVES[task](model, {k: v for k, v in batch.items() if k != "taught"})
    added = record.total - untaught.total
    assert record.parts["alike"] > 0
    assert added.item() == pytest.approx(TEACHER_WEIGHT * record.parts["alike"], rel=1e-3)
    own = model.vector("text", model.read(batch["text"], batch["text_mask"]), batch["text_mask"]).detach()
    if task == "parallel":  # a teacher who sees it just as the model does has nothing to teach about the first texts
        same = {**batch, "other": batch["text"], "other_mask": batch["text_mask"], "taught": own}
        assert OBJECTIVES[task](model, same).parts["alike"] == pytest.approx(0.0, abs=1e-4)


@pytest.mark.usefixtures("every_piece")
def test_rows_without_speech_teach_the_writer_alone(model: FusionModel, feeds: Feeds) -> None:
    batches = (feeds.draw("transcribe", 6, np.random.default_rng(seed)) for seed in range(20))
    batch = next(batch for batch in batches if len(batch["last"]) > int(batch["n_said"]))
    n = int(batch["n_said"])
    spoken = {k: v[:n] if k in ("last", "mask", "ids", "targets") else v for k, v in batch.items()}
    model.eval()
    with torch.inference_mode():
        mixed, alone = OBJECTIVES["transcribe"](model, batch).parts, OBJECTIVES["transcribe"](model, spoken).parts
    assert {name for name in alone if abs(mixed[name] - alone[name]) > 1e-4} == {"transcribe"}


def test_a_text_that_loses_every_piece_teaches_with_finite_gradients(
    model: FusionModel, feeds: Feeds, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objectives, "_some", lambda tokens: torch.zeros(tokens.shape[:2], dtype=torch.bool))
    record = OBJECTIVES["translate"](model, batch_of(feeds, "translate"))
    record.total.backward()
    assert np.isfinite(record.parts["translate"])
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


@pytest.mark.usefixtures("every_piece")
def test_a_photo_looked_at_is_captioned_and_matched(model: FusionModel, feeds: Feeds) -> None:
    batch = batch_of(feeds, "look")
    model.eval()
    with torch.inference_mode():
        looked, written, matched = (OBJECTIVES[task](model, batch) for task in ("look", "caption", "match"))
    assert looked.parts == pytest.approx(written.parts | matched.parts, abs=1e-4)
    assert looked.total.item() == pytest.approx(written.total.item() + matched.total.item(), abs=1e-4)


def test_the_total_is_the_weighted_sum_of_the_parts(model: FusionModel, feeds: Feeds) -> None:
    record = OBJECTIVES["sound"](model.eval(), batch_of(feeds, "sound"))
    parts = record.parts
    wanted = 2.0 * parts["event"] + 0.5 * parts["sound_text"] + 0.3 * parts["sound_caption"]
    assert record.total.item() == pytest.approx(wanted, rel=1e-5)


# --- clips -------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("every_piece")
@pytest.mark.parametrize("task", ["answer", "describe"])
def test_a_clip_is_seen_through_its_own_photos_alone(model: FusionModel, feeds: Feeds, task: str) -> None:
    batches = (feeds.draw(task, 1, np.random.default_rng(seed)) for seed in range(40))
    batch = next(batch for batch in batches if 0 < len(batch["shown"].unique()) < len(batch["maps"]))
    photos = torch.arange(len(batch["maps"]))
    on_screen = torch.isin(photos, batch["shown"])[:, None, None]
    others, own = (torch.where(on_screen == kept, batch["maps"], batch["maps"].roll(1, 1)) for kept in (True, False))
    with torch.inference_mode():
        losses_of = [OBJECTIVES[task](model.eval(), {**batch, "maps": maps}) for maps in (batch["maps"], others, own)]
    plain, unseen, seen = (record.total.item() for record in losses_of)
    assert unseen == plain
    assert seen != plain


def cut(batch: Batch) -> bool:
    """Whether some clip does not end with the photo that it begins with."""
    return bool((batch["shown"][:, 0] != batch["shown"][:, -1]).any())


@pytest.mark.parametrize("task", ["answer", "describe"])
def test_a_clip_is_frames_of_four_tokens_each_at_its_time_with_sound_and_a_question(
    model: FusionModel, feeds: Feeds, task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = (feeds.draw(task, 3, np.random.default_rng(seed)) for seed in range(40))
    batch = next(batch for batch in batches if cut(batch) or task == "describe")
    given, fuse = [], model.fuse
    monkeypatch.setattr(model, "fuse", lambda streams: given.extend(streams) or fuse(streams))
    with torch.inference_mode():
        OBJECTIVES[task](model.eval(), batch)
        photos = model.picture.adapt(batch["maps"].float().transpose(1, 2).unflatten(2, (2, 2)))
        heard = model.bridge(model.mix(batch["mix"].float()))
    picture, sound, text = given
    for b, row in enumerate(batch["shown"].tolist()):
        for f, photo in enumerate(row):
            seen = slice(4 * f, 4 * f + 4)
            assert torch.allclose(picture.tokens[b, seen], batch["crop"][b, f] @ photos[photo], atol=1e-5)
            assert picture.times_s[b, seen].tolist() == [batch["times"][b, f].item()] * 4
    assert torch.allclose(sound.tokens, heard, atol=1e-5)
    assert torch.equal(sound.mask, batch["mix_mask"])
    assert sound.times_s[-1, :6].tolist() == pytest.approx([0.0, 0.2, 0.4, 0.6, 0.8, 1.0])
    assert [stream.sense for stream in given] == ["picture", "sound", "text"] and text.times_s is None


# --- captions that agree with people -----------------------------------------------------------------------------


@pytest.mark.usefixtures("every_piece")
def test_a_draw_that_agrees_with_people_becomes_likelier_than_its_kin(
    model: FusionModel, feeds: Feeds, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = batch_of(feeds, "consensus", size=3)
    monkeypatch.setattr(objectives, "_drawn", lambda *asked: one_right_of_five(batch))
    before = odds(model, batch)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    OBJECTIVES["consensus"](model, batch).total.backward()
    optimizer.step()
    gained = (odds(model, batch) - before).unflatten(0, (-1, N_DRAWS))
    assert (gained[:, 0] > gained[:, 1]).all()


@torch.no_grad()
def odds(model: FusionModel, batch: Batch) -> Tensor:
    """How likely each of the draws is, per piece: (B * N_DRAWS,) log-probabilities."""
    tokens = objectives._picture(model, batch)
    memory = model.fuse([Stream("picture", tokens, torch.ones(tokens.shape[:2], dtype=torch.bool))])
    drawn, prefix = one_right_of_five(batch), batch["prefix"]
    found = []
    for i, row in enumerate(drawn):
        text, photo = row[row != NOTHING], slice(i // N_DRAWS, i // N_DRAWS + 1)
        read = torch.cat([prefix, text[:-1]])[None]
        logits = model.decode(read, Memory(memory.tokens[photo], memory.mask[photo]))[0, len(prefix) - 1 :]
        found.append(logits.log_softmax(-1).gather(1, text[:, None]).mean())
    return torch.stack(found)


def test_draws_that_are_all_as_good_teach_nothing(
    model: FusionModel, feeds: Feeds, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = batch_of(feeds, "consensus", size=3)
    right = batch["references"][:, 0].repeat_interleave(N_DRAWS, 0)
    monkeypatch.setattr(objectives, "_drawn", lambda *asked: right)
    record = OBJECTIVES["consensus"](model, batch)
    assert record.parts["reward"] > 1.0
    assert record.total.item() == pytest.approx(0.0, abs=1e-4)


def test_a_draw_ends_with_its_end_piece_or_where_it_is_long_enough(model: FusionModel, feeds: Feeds) -> None:
    prefix = batch_of(feeds, "consensus")["prefix"]
    memory = Memory(torch.zeros(6, 1, 32), torch.ones(6, 1, dtype=torch.bool))
    torch.manual_seed(0)
    with torch.no_grad():  # every piece is as likely as any other, but for the end, which is as likely as all
        model.decoder.embedding.weight[1:] = 0.0
        model.decoder.norm.weight.zero_()
        model.decoder.norm.bias.copy_(model.decoder.embedding.weight[0])
        model.decoder.embedding.weight[0] *= np.log(3000.0) / model.decoder.embedding.weight[0].square().sum()
    drawn = objectives._drawn(model, memory, prefix, 0)
    assert drawn.shape[0] == 6 * N_DRAWS and drawn.shape[1] <= MAX_DRAWN
    ended = (drawn == 0).any(1)
    assert ended.any()
    for row in drawn:
        pieces = row[row != NOTHING]
        assert torch.equal(pieces, row[: len(pieces)])
        assert 0 not in pieces[:-1]
        assert len(pieces) == drawn.shape[1] or pieces[-1] == 0
