"""Batches of clips: a pool of photos, what each frame shows of them, the sounds beneath, and what is asked or told."""

from __future__ import annotations

from copy import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.model.config import EVENTS
from engines.training import batches, caption_questions, composed
from engines.training.batches import FRAMES, IGNORED, Batch, Feeds
from engines.training.clips import ClipPlan, plan
from engines.training.facts import photo_facts
from engines.training.questions import DESCRIBE, Material
from tests.tiny_data import PHOTOS

every_clip = pytest.mark.parametrize("task", ["answer", "describe"])
seeds = st.integers(0, 2**32 - 1)


def draw(feeds: Feeds, task: str, seed: int = 0, size: int = 3) -> Batch:
    return feeds.draw(task, size, np.random.default_rng(seed))


def said(feeds: Feeds, batch: Batch) -> list[str]:
    """What a batch asks to be written, as text."""
    return [feeds.tokenizer.decode([i for i in row if i != IGNORED]) for row in batch["targets"].tolist()]


def asked(feeds: Feeds, batch: Batch) -> list[str]:
    rows = zip(batch["text"], batch["text_mask"], strict=True)
    return [feeds.tokenizer.decode(row[mask].tolist()) for row, mask in rows]


def languages(feeds: Feeds, batch: Batch) -> list[str]:
    names = {i: name for name, i in feeds.tokenizer.language_ids.items()}
    return [names[i] for i in batch["ids"][:, 1].tolist()]


def metas(feeds: Feeds, batch: Batch) -> list[dict[str, object]]:
    """What is known of each photo of a batch's pool; all are of one view."""
    for view in feeds.photos:
        rows = [[i for i in range(len(view)) if torch.equal(view[i], row)] for row in batch["maps"]]
        if all(rows):
            return [view.meta[found[0]] for found in rows]
    raise AssertionError("the pool is of no view")


class Plans:
    """Plans as they are drawn, kept."""

    def __init__(self) -> None:
        self.plans: list[ClipPlan] = []
        self.materials: list[Material] = []

    def __call__(self, rng: np.random.Generator, material: Material, **given: object) -> ClipPlan:
        self.plans.append(plan(rng, material, **given))  # type: ignore[arg-type]
        self.materials.append(material)
        return self.plans[-1]

    def runs(self, n: int) -> list[list[ClipPlan]]:
        """Every n of them that follow one another in the order of durations."""
        ordered = sorted(self.plans, key=lambda clip: clip.duration_s)
        return [ordered[start : start + n] for start in range(len(ordered) - n + 1)]


@pytest.fixture
def plans(monkeypatch: pytest.MonkeyPatch) -> Plans:
    kept = Plans()
    monkeypatch.setattr(batches, "plan", kept)
    return kept


@every_clip
@settings(max_examples=20)
@given(seed=seeds)
def test_a_batch_of_clips_has_a_pool_of_photos_and_what_each_frame_shows_of_them(
    feeds: Feeds, task: str, seed: int
) -> None:
    batch = draw(feeds, task, seed)
    b, f = batch["shown"].shape
    assert batch.keys() == {
        *("maps", "shown", "crop", "times", "mix", "mix_mask", "ids", "targets"),
        *("text", "text_mask", "names", "names_mask"),
    }
    assert b == 3
    assert f in FRAMES.keys() == {8, 12, 16}
    assert batch["maps"].shape == (len(PHOTOS), 4, 32)
    assert len({str(meta["id"]) for meta in metas(feeds, batch)}) == len(PHOTOS)
    assert 0 <= int(batch["shown"].min()) <= int(batch["shown"].max()) < len(PHOTOS)
    assert batch["crop"].shape == (b, f, 4, 4)
    assert torch.allclose(batch["crop"].sum(3), torch.ones(b, f, 4), atol=1e-5)
    assert batch["times"].shape == (b, f)
    assert (batch["times"].diff(dim=1) > 0).all()
    assert batch["mix"].shape == (3, batch["mix_mask"].shape[1], 3, 32)
    assert not batch["mix"][~batch["mix_mask"]].any()
    assert all(text.endswith(("?", "？", ".", "。")) for text in asked(feeds, batch))
    assert all(said(feeds, batch))


def test_the_pool_is_no_larger_than_it_need_be(feeds: Feeds, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "N_POOL", 4)
    pools = [draw(feeds, "describe", seed, size=6) for seed in range(10)]
    assert {len(batch["maps"]) for batch in pools} == {4}
    assert all(int(batch["shown"].max()) < 4 for batch in pools)
    assert len({str(meta["id"]) for batch in pools for meta in metas(feeds, batch)}) == len(PHOTOS)


def test_clips_have_eight_to_sixteen_frames(feeds: Feeds) -> None:
    counts = [draw(feeds, "describe", seed, size=1)["shown"].shape[1] for seed in range(150)]
    assert sum(FRAMES.values()) == pytest.approx(1.0)
    for n, share in FRAMES.items():
        assert np.mean([count == n for count in counts]) == pytest.approx(share, abs=0.12)


def test_clips_of_like_lengths_show_and_play_and_ask_what_was_planned_of_the_pool(feeds: Feeds, plans: Plans) -> None:
    for seed in range(8):
        plans.__init__()  # type: ignore[misc]
        batch = draw(feeds, "answer", seed)
        f = batch["shown"].shape[1]
        questions = asked(feeds, batch)
        own = next(run for run in plans.runs(len(questions)) if [clip.question for clip in run] == questions)
        assert said(feeds, batch) == [clip.answer for clip in own]
        assert languages(feeds, batch) == [clip.language for clip in own]
        for i, clip in enumerate(own):
            shown, crop = composed.crops(clip, f, 2)
            assert batch["shown"][i].tolist() == shown == [clip.scene(t).photo for t in clip.frame_times_s(f)]
            assert torch.equal(batch["crop"][i], crop)
            assert batch["times"][i].tolist() == pytest.approx(clip.frame_times_s(f))
            track = composed.track(clip, feeds.sound_rows)
            assert torch.equal(batch["mix"][i, : len(track)], track)
            assert torch.equal(batch["mix_mask"][i, : len(track)], track.flatten(1).any(1))
            assert not batch["mix_mask"][i, len(track) :].any()


def test_plans_are_made_of_what_the_photos_of_the_pool_show(feeds: Feeds, plans: Plans) -> None:
    batch = draw(feeds, "answer")
    facts = [photo_facts(meta["captions"]["en"]) for meta in metas(feeds, batch)]  # type: ignore[index]
    wanted = Material(facts, feeds.sound_labels)
    assert any(wanted.shown.values())
    for material in plans.materials:
        assert vars(material) == vars(wanted)


def test_the_sounds_of_clips_are_known_by_their_labels(data: Path, run: Path) -> None:
    feeds = Feeds(data, run)
    draw(feeds, "answer")
    assert (
        len(feeds.sound_labels)
        == len(feeds.sound_rows)
        == sum(map(len, feeds.sounds)) + sum(len(mix) for _, mix in feeds.spoken)
    )
    for label, (store, i) in zip(feeds.sound_labels, feeds.sound_rows, strict=True):
        assert label in EVENTS
        assert label == store.meta[i].get("label", "speech")
        assert ("text" in store.meta[i]) == (label == "speech")
    before = list(feeds.sound_rows)
    draw(feeds, "describe", seed=1)
    assert feeds.sound_rows == before


def descriptions(feeds: Feeds, seed: int) -> list[str]:
    """The languages in which the clips of a batch are described, those that a person's question was put to left out."""
    batch = draw(feeds, "describe", seed)
    rows = zip(asked(feeds, batch), languages(feeds, batch), strict=True)
    return [language for question, language in rows if question in DESCRIBE[language]]


# --- described ---------------------------------------------------------------------------------------------------


@settings(max_examples=20)
@given(seed=seeds)
def test_a_clip_of_one_scene_is_described_as_its_photo_is_captioned(feeds: Feeds, seed: int) -> None:
    batch = draw(feeds, "describe", seed)
    pool = metas(feeds, batch)
    for shown, text, question, language in zip(
        batch["shown"], said(feeds, batch), asked(feeds, batch), languages(feeds, batch), strict=True
    ):
        assert len(shown.unique()) == 1
        captions: dict[str, list[str]] = pool[int(shown[0])]["captions"]  # type: ignore[assignment]
        assert language in ("en", "zh")
        if question in DESCRIBE[language]:
            assert text in captions[language]
        else:
            known = caption_questions.questions(captions["en"], np.random.default_rng(0), language)
            assert text in {caption_questions.UNTOLD[language], *(found.answer for found in known)}


def test_a_clip_is_described_in_english_where_nobody_wrote_chinese(feeds: Feeds) -> None:
    plain = copy(feeds)
    plain.photos = [copy(feeds.photos[0])]
    described = {language for seed in range(12) for language in descriptions(plain, seed)}
    assert described == {"en", "zh"}
    plain.photos[0].meta = [
        {**meta, "captions": {"en": meta["captions"]["en"]}}  # type: ignore[index]
        for meta in feeds.photos[0].meta
    ]
    assert {language for seed in range(12) for language in descriptions(plain, seed)} == {"en"}


def test_a_clip_that_is_asked_about_may_be_cut(feeds: Feeds) -> None:
    shown = [row for seed in range(12) for row in draw(feeds, "answer", seed)["shown"]]
    assert max(len(row.unique()) for row in shown) > 1
