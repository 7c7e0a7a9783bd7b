"""Batches of clips: a pool of photos, what each frame shows of them, the sounds beneath, and the question."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.model.config import EVENTS
from engines.model.features import HOP
from engines.training import batches, caption_questions, clips
from engines.training.batches import FRAMES, Batch, Batcher
from engines.training.clips import ClipPlan, plan
from engines.training.questions import DESCRIBE
from engines.training.sources import Meta
from tests.engines.training.conftest import draw, targets, texts
from tests.tiny_data import PHOTOS

seeds = st.integers(0, 2**32 - 1)


def languages(batcher: Batcher, batch: Batch) -> list[str]:
    names = {i: name for name, i in batcher.tokenizer.language_ids.items()}
    return [names[i] for i in batch["ids"][:, 1].tolist()]


def pool(batcher: Batcher, batch: Batch) -> list[Meta]:
    """What is known about each photo of a batch; all are of one view."""
    for view in batcher.photos.captioned:
        rows = [[i for i in range(len(view)) if torch.equal(view[i], row)] for row in batch["maps"]]
        if all(rows):
            return [view.meta[found[0]] for found in rows]
    raise AssertionError("the pool is of no view")


@pytest.fixture
def plans(monkeypatch) -> list[ClipPlan]:
    """Every plan that is drawn."""
    drawn: list[ClipPlan] = []

    def keep(*given: object, **named: object) -> ClipPlan:
        drawn.append(plan(*given, **named))
        return drawn[-1]

    monkeypatch.setattr(batches, "plan", keep)
    return drawn


@pytest.mark.parametrize("task", ["answer", "describe"])
@settings(max_examples=15)
@given(seed=seeds)
def test_frames_are_weights_over_a_pool_of_different_photos(batcher, task, seed):
    batch = draw(batcher, task, seed, size=3)
    b, f = batch["shown"].shape
    assert b == 3 and f in FRAMES
    assert len({meta["id"] for meta in pool(batcher, batch)}) == len(batch["maps"]) == len(PHOTOS)
    assert 0 <= int(batch["shown"].min()) <= int(batch["shown"].max()) < len(PHOTOS)
    assert torch.allclose(batch["crop"].sum(3), torch.ones(b, f, 4), atol=1e-5)
    assert (batch["times"].diff(dim=1) > 0).all()
    assert not batch["layers"][~batch["layers_mask"]].any()
    assert all(targets(batcher, batch)) and all(texts(batcher, batch))


def test_clips_of_similar_lengths_show_play_and_ask_what_was_planned(batcher, plans):
    for seed in range(6):
        plans.clear()
        batch = draw(batcher, "answer", seed, size=3)
        f, questions = batch["shown"].shape[1], texts(batcher, batch)
        ordered = sorted(plans, key=lambda clip: clip.duration_s)
        runs = (ordered[start : start + 3] for start in range(len(ordered) - 2))
        own = next(run for run in runs if [clip.question for clip in run] == questions)
        assert targets(batcher, batch) == [clip.answer for clip in own]
        assert languages(batcher, batch) == [clip.language for clip in own]
        for i, clip in enumerate(own):
            shown, crop = clips.crops(clip, f, 2)
            assert batch["shown"][i].tolist() == shown
            assert torch.equal(batch["crop"][i], crop)
            assert batch["times"][i].tolist() == pytest.approx(clip.frame_times_s(f))
            track = clips.track(clip, batcher.clip_sounds()[1])
            assert torch.equal(batch["layers"][i, : len(track)], track)
            assert torch.equal(batch["layers_mask"][i, : len(track)], track.flatten(1).any(1))


def test_samples_of_a_clip_are_its_track_and_masked_without_one(media_batcher, plans):
    n_silent = 0
    for seed in range(12):
        plans.clear()
        batch = draw(media_batcher, "answer", seed, size=3)
        tracks = [clips.track(clip, media_batcher.clip_sounds()[1]) for clip in plans]
        for row, mask in zip(batch["samples"], batch["samples_mask"], strict=True):
            fits = [i for i, track in enumerate(tracks) if torch.equal(row[: len(track)], track)]
            assert bool(mask.any()) in {bool(plans[i].tracks) for i in fits}
            assert not mask.any() or int(mask.sum()) in {-(-len(tracks[i]) // HOP) for i in fits}
            n_silent += not mask.any()
    assert n_silent


def test_sounds_of_clips_have_their_labels(batcher):
    labels, rows = batcher.clip_sounds()
    sounds = batcher.sounds
    assert len(labels) == len(rows) == sum(map(len, sounds.labelled)) + sum(len(own) for _, own in sounds.speech)
    for label, (source, i) in zip(labels, rows, strict=True):
        assert label in EVENTS and label == source.meta[i].get("label", "speech")


@settings(max_examples=15)
@given(seed=seeds)
def test_a_clip_of_one_scene_is_described_by_a_caption_or_answered_from_its_captions(batcher, seed):
    batch = draw(batcher, "describe", seed, size=3)
    metas = pool(batcher, batch)
    rows = zip(batch["shown"], targets(batcher, batch), texts(batcher, batch), languages(batcher, batch), strict=True)
    for shown, text, question, language in rows:
        assert len(shown.unique()) == 1
        captions = metas[int(shown[0])]["captions"]
        if question in DESCRIBE[language]:
            assert text in captions[language]
        else:
            known = caption_questions.questions(captions["en"], np.random.default_rng(0), language)
            assert text in {caption_questions.UNANSWERABLE[language], *(found.answer for found in known)}
