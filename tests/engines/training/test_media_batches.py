"""Batches out of a library: photos and samples themselves, with masks of the mel frames that the tower will hear."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from engines.model.features import HOP, log_mel
from engines.protocol import RATE_HZ
from engines.training import batches, composed
from engines.training.batches import IGNORED, QUIET_OF, SIDED, WINDOW_S, Batch, Feeds
from engines.training.clips import ClipPlan, plan
from engines.training.consensus import parted
from engines.training.facts import SOUND_NAMES
from engines.training.objectives import OBJECTIVES
from tests.tiny_data import PHOTOS

SIZE = 5
seeds = st.integers(0, 2**32 - 1)


def draw(feeds: Feeds, task: str, seed: int = 0, size: int = SIZE) -> Batch:
    return feeds.draw(task, size, np.random.default_rng(seed))


def said(feeds: Feeds, batch: Batch) -> list[str]:
    """What a batch asks to be written, as text."""
    return [feeds.tokenizer.decode([i for i in row if i != IGNORED]) for row in batch["targets"].tolist()]


def known(feeds: Feeds, photo: Tensor) -> dict[str, object]:
    """What is known of a photo of a batch."""
    rows = ((view, i) for view in feeds.photos for i in range(len(view)))
    return next(view.meta[i] for view, i in rows if torch.equal(view[i], photo))


def assert_masked(sounds: Tensor, mask: Tensor) -> None:
    """The mask is of the mel frames; behind each sound, which it covers, there is nothing."""
    assert sounds.dtype == torch.int16
    assert mask.shape == log_mel(sounds.float())[:, 0].shape
    for row, own in zip(sounds, mask, strict=True):
        n = int(own.sum())
        assert own[:n].all()
        assert not row[n * HOP :].any() or n == len(own)


@pytest.mark.parametrize("task", [task for task in OBJECTIVES if task not in ("name", "write", "question")])
def test_a_batch_of_media_has_the_names_of_one_of_stores_and_is_drawn_from_the_generator_alone(
    live: Feeds, feeds: Feeds, task: str
) -> None:
    once, again = draw(live, task), draw(live, task)
    assert once.keys() == draw(feeds, task).keys()
    assert all(torch.equal(once[name], again[name]) for name in once)
    others = [draw(live, task, seed) for seed in range(1, 9)]
    assert any(not torch.equal(once[name], other[name]) for other in others for name in once)


@pytest.mark.parametrize("task", ["caption", "match", "look", "consensus", "answer", "describe"])
def test_photos_are_drawn_as_they_are(live: Feeds, task: str) -> None:
    for seed in range(6):
        maps = draw(live, task, seed)["maps"]
        assert maps.dtype == torch.uint8
        assert maps.shape[1:] == (3, 64, 64)
        own = [known(live, photo) for photo in maps]
        assert len({str(meta["id"]) for meta in own}) == len(own)
        assert len({meta["mirrored"] for meta in own}) == 1
        assert task != "consensus" or not own[0]["mirrored"]


@settings(max_examples=20)
@given(seed=seeds)
def test_a_photo_is_told_its_own_captions_and_in_a_mirror_none_that_name_a_side(live: Feeds, seed: int) -> None:
    batch = draw(live, "look", seed)
    for photo, row, text in zip(batch["maps"], batch["group"].tolist(), said(live, batch), strict=True):
        meta = known(live, photo)
        assert meta["id"] == list(PHOTOS)[row]
        assert text in {own for texts in meta["captions"].values() for own in texts}  # type: ignore[attr-defined]
        assert not (meta["mirrored"] and SIDED.search(text.lower()))


def test_a_photo_to_agree_on_has_all_its_english_captions(live: Feeds) -> None:
    batch = draw(live, "consensus")
    for photo, references in zip(batch["maps"], batch["references"], strict=True):
        texts = {live.tokenizer.decode(text[:-1]) for text in parted(references)}
        assert texts == set(known(live, photo)["captions"]["en"])  # type: ignore[index]


@settings(max_examples=10)
@given(seed=seeds)
def test_speech_is_samples_with_rows_without_words_behind_it(live: Feeds, seed: int) -> None:
    batch = draw(live, "transcribe", seed, size=6)
    n = int(batch["n_said"])
    assert_masked(batch["last"], batch["mask"])
    assert len(batch["last"]) == n + n // QUIET_OF
    frames = batch["mask"].sum(1)
    assert ((frames[:n] > 90) & (frames[:n] < 220)).all()  # a second, played slower or faster, and two pauses
    texts = {str(meta["text"]) for first, _ in live.spoken for meta in first.meta}
    assert set(said(live, batch)[:n]) <= texts


def test_a_row_without_words_is_about_as_long_as_the_longest_with_some(live: Feeds) -> None:
    for seed in range(10):
        batch = draw(live, "transcribe", seed, size=6)
        n = int(batch["n_said"])
        longest = max(int(own.lengths.max()) for own, _ in live.spoken) - 150  # tokens of 20 ms
        assert (batch["mask"][n:].sum(1) <= 2 * longest + 2).all()


@settings(max_examples=10)
@given(seed=seeds)
def test_sounds_are_windows_of_samples_each_with_its_name(live: Feeds, seed: int) -> None:
    batch = draw(live, "sound", seed)
    assert_masked(batch["mix"], batch["mix_mask"])
    assert batch["mix"].shape[1] <= WINDOW_S * RATE_HZ
    assert batch["mix_mask"].any(1).all()
    named = (batch["label"] >= 0).tolist()
    assert named == [bool(text) for text in said(live, batch)]
    assert set(batch["label"].tolist()) <= {-1, *range(len(SOUND_NAMES))}


@pytest.mark.parametrize("task", ["answer", "describe"])
def test_a_clip_plays_its_samples_and_one_without_a_track_has_no_sound(
    live: Feeds, task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans: list[ClipPlan] = []
    monkeypatch.setattr(batches, "plan", lambda *given, **named: plans.append(plan(*given, **named)) or plans[-1])
    silent = 0
    for seed in range(12):
        plans.clear()
        batch = draw(live, task, seed, size=3)
        ordered = sorted(plans, key=lambda clip: clip.duration_s)
        tracks = [composed.track(clip, live.sound_rows) for clip in ordered]
        assert_masked(batch["mix"], batch["mix_mask"])
        for row, own in zip(batch["mix"], batch["mix_mask"], strict=True):
            # the plans that such a row may be of: several have no sound
            fits = [i for i, track in enumerate(tracks) if torch.equal(row[: len(track)], track)]
            assert fits
            assert bool(own.any()) in {bool(ordered[i].tracks) for i in fits}
            assert not own.any() or int(own.sum()) in {-(-len(tracks[i]) // HOP) for i in fits}
            silent += not own.any()
    assert silent
