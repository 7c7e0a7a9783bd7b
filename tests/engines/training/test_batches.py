"""Batches: what they hold fits together, says what it should, and is drawn from the generator alone."""

from __future__ import annotations

from copy import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.model.config import EVENTS
from engines.training.batches import IGNORED, MIX_HZ, QUIET_OF, SIDED, Batch, Feeds, padded
from engines.training.clips import ClipPlan, Scene, Track
from engines.training.facts import SOUND_NAMES, sound_prompt
from engines.training.objectives import OBJECTIVES
from engines.training.store import Ragged
from tests.tiny_data import PHOTOS

SIZE = 5
every_task = pytest.mark.parametrize("task", OBJECTIVES)
seeds = st.integers(0, 2**32 - 1)


def draw(feeds: Feeds, task: str, seed: int = 0, size: int = SIZE) -> Batch:
    return feeds.draw(task, size, np.random.default_rng(seed))


def said(feeds: Feeds, batch: Batch) -> list[str]:
    """What a batch asks to be written, as text."""
    return [feeds.tokenizer.decode([i for i in row if i != IGNORED]) for row in batch["targets"].tolist()]


def read(feeds: Feeds, batch: Batch, name: str = "text") -> list[str]:
    rows = zip(batch[name], batch[f"{name}_mask"], strict=True)
    return [feeds.tokenizer.decode(row[mask].tolist()) for row, mask in rows]


def plan(*scenes: Scene, tracks: tuple[Track, ...] = (), duration_s: float = 4.0) -> ClipPlan:
    words = {"question": "?", "answer": "yes", "language": "en", "kind": "see", "needs": frozenset()}
    return ClipPlan(scenes=scenes, tracks=tracks, duration_s=duration_s, **words)  # type: ignore[arg-type]


# --- every task --------------------------------------------------------------------------------------------------


@every_task
def test_a_batch_is_drawn_from_the_generator_alone(feeds: Feeds, task: str) -> None:
    once, again, other = draw(feeds, task), draw(feeds, task), draw(feeds, task, seed=1)
    assert once.keys() == again.keys()
    assert all(torch.equal(once[name], again[name]) for name in once)
    assert any(not torch.equal(once[name], other[name]) for name in once)


@every_task
def test_a_run_opened_anew_draws_the_same(data: Path, run: Path, feeds: Feeds, task: str) -> None:
    draw(feeds, "answer", seed=5)
    once, again = draw(feeds, task, seed=3), draw(Feeds(data, run), task, seed=3)
    assert all(torch.equal(once[name], again[name]) for name in once)


@pytest.mark.parametrize("task", ["caption", "transcribe", "translate", "sound", "answer"])
@settings(max_examples=10)
@given(seed=seeds)
def test_what_is_asked_follows_the_prefix_and_ends(feeds: Feeds, task: str, seed: int) -> None:
    batch = draw(feeds, task, seed)
    ids, targets = batch["ids"], batch["targets"]
    assert ids.shape == targets.shape
    assert (ids[:, 0] == feeds.tokenizer.sot_id).all()
    name = {"sound": "caption"}.get(task, task)
    assert (ids[:, 2] == feeds.tokenizer.task_ids[name]).all()  # type: ignore[index]
    assert (targets[:, :3] == IGNORED).all()
    for row, target in zip(ids.tolist(), targets.tolist(), strict=True):
        asked = [i for i in target if i != IGNORED]
        if asked:
            assert asked[-1] == feeds.tokenizer.eos_id
            assert row[4 : 3 + len(asked)] == asked[:-1]  # each piece is told only after it was asked for
            assert not set(asked[:-1]) & feeds.tokenizer.special_ids


def test_padding_keeps_rows_apart() -> None:
    rows, mask = padded([torch.ones(2, 3), torch.ones(4, 3)])
    assert rows.shape == (2, 4, 3)
    assert mask.tolist() == [[True, True, False, False], [True] * 4]
    assert not rows[0, 2:].any()


# --- photos ------------------------------------------------------------------------------------------------------


@settings(max_examples=20)
@given(seed=seeds)
def test_a_photo_is_captioned_and_matched_in_its_own_words(feeds: Feeds, seed: int) -> None:
    batch = draw(feeds, "caption", seed)
    assert batch["maps"].shape == (SIZE, 4, 32)
    assert len(set(batch["group"].tolist())) == SIZE
    for row, written, matched in zip(batch["group"].tolist(), said(feeds, batch), read(feeds, batch), strict=True):
        captions = feeds.photos[0].meta[row]["captions"]
        own = {text for texts in captions.values() for text in texts}  # type: ignore[attr-defined]
        assert {written, matched} <= own


def test_a_mirrored_photo_is_not_told_its_sides(feeds: Feeds, rng: np.random.Generator) -> None:
    plain, mirrored = feeds.photos[0].meta[0], feeds.photos[1].meta[0]
    told = {mirror: {feeds._caption(meta, rng)[1] for _ in range(60)} for mirror, meta in ((0, plain), (1, mirrored))}
    assert "Bild 0 links ." in told[0]
    assert not any(SIDED.search(text.lower()) for text in told[1])


@pytest.mark.parametrize("text", ["a dog on the left", "rechts steht ein Mann", "左边的狗"])
def test_sides_are_known_in_three_languages(text: str) -> None:
    assert SIDED.search(text)
    assert not SIDED.search("the leftovers are bright")


# --- speech ------------------------------------------------------------------------------------------------------


@settings(max_examples=20)
@given(seed=seeds)
def test_speech_is_written_spelt_and_told_its_language(feeds: Feeds, seed: int) -> None:
    batch = draw(feeds, "transcribe", seed, size=3)
    b = len(batch["last"])
    assert batch["last"].shape[::2] == (b, 32)
    assert batch["mask"].shape == batch["last"].shape[:2]
    assert said(feeds, batch) == read(feeds, batch)
    languages = {i: name for name, i in feeds.tokenizer.language_ids.items()}
    assert batch["ids"][:, 1].tolist() == batch["language_ids"].tolist()
    assert 0 <= int(batch["ctc"].min()) <= int(batch["ctc"].max()) <= 256
    for i, text in enumerate(said(feeds, batch)):
        spelt = feeds._spelt(text, languages[int(batch["language_ids"][i])])
        assert torch.equal(batch["ctc"][i, : batch["n_ctc"][i]], spelt)
    assert int((batch["photo"] >= 0).sum()) == len(batch["maps"])


@pytest.mark.parametrize(
    ("text", "language", "plain"), [("A dog!", "en", "a dog"), ("狗在跑。", "zh", "狗在跑"), ("Ü", "de", "ü")]
)
def test_a_sound_spells_plain_bytes_above_the_blank(text: str, language: str, plain: str) -> None:
    assert Feeds._spelt(text, language).tolist() == [byte + 1 for byte in plain.encode()]


def test_a_spoken_caption_knows_the_photo_it_describes(feeds: Feeds) -> None:
    batches = (draw(feeds, "transcribe", seed, size=3) for seed in range(20))
    described = next(batch for batch in batches if len(batch["maps"]))
    for photo, map_, text in zip(described["photo"].tolist(), described["maps"], said(feeds, described), strict=True):
        assert torch.equal(map_, feeds.photos[0][photo])
        assert text == list(PHOTOS.values())[photo]


def test_long_speech_makes_smaller_batches(feeds: Feeds, tmp_path: Path) -> None:
    rows = [(torch.zeros(n, 2), {"text": "hello", "language": "en"}) for n in (100, 300, 600)]
    Ragged.write(tmp_path / "long", rows, log="test")
    lengthy = copy(feeds)
    lengthy.spoken = [(Ragged(tmp_path / "long"), Ragged(tmp_path / "long"))]
    batches = [draw(lengthy, "transcribe", seed, size=3) for seed in range(20)]
    drawn = [tuple(batch["mask"].sum(1).tolist()) for batch in batches]
    assert set(drawn) == {(100, 300), (100, 600), (300, 600)}  # 5 s each on average, and none is always left out


@settings(max_examples=10)
@given(seed=seeds)
def test_one_row_in_seven_has_no_speech_and_says_so(feeds: Feeds, seed: int) -> None:
    batch = draw(feeds, "transcribe", seed, size=6)
    n = int(batch["n_said"])
    assert len(batch["last"]) == n + n // QUIET_OF
    assert len(batch["ctc"]) == len(batch["photo"]) == len(batch["text"]) == n
    longest = int(batch["mask"][:n].sum(1).max())
    for mask, targets in zip(batch["mask"][n:], batch["targets"][n:], strict=True):
        assert 0 < int(mask.sum()) <= longest
        assert targets[targets != IGNORED].tolist() == [feeds.tokenizer.no_speech_id]


def test_without_a_store_of_quiet_every_row_has_words(feeds: Feeds) -> None:
    spoken = copy(feeds)
    spoken.quiet = []
    batch = draw(spoken, "transcribe", size=6)
    assert len(batch["last"]) == int(batch["n_said"])


# --- text --------------------------------------------------------------------------------------------------------


@settings(max_examples=20)
@given(seed=seeds)
def test_a_translation_is_of_the_sentence_beside_it(feeds: Feeds, seed: int) -> None:
    batch = draw(feeds, "translate", seed)
    pairs = {(p.source, p.target) for corpora in feeds.lists.values() for ps in corpora.values() for p in ps}
    captions = [meta["captions"] for meta in feeds.photos[0].meta]
    pairs |= {(en, zh) for c in captions for en, zh in zip(c["en"], c["zh"], strict=False)}  # type: ignore[index]
    for source, target in zip(read(feeds, batch), said(feeds, batch), strict=True):
        assert (source, target) in pairs or (target, source) in pairs


def test_both_directions_and_all_languages_are_translated(feeds: Feeds) -> None:
    batches = [draw(feeds, "translate", seed) for seed in range(12)]
    into = {int(i) for batch in batches for i in batch["ids"][:, 1]}
    assert into == set(feeds.tokenizer.language_ids.values())


@settings(max_examples=20)
@given(seed=seeds)
def test_sentences_of_a_batch_are_of_like_length(feeds: Feeds, seed: int) -> None:
    rng = np.random.default_rng(seed)
    pairs = [feeds._pair(rng, {}) for _ in range(40)]
    taken = feeds._of_like_length(pairs, 5, rng)
    longest = sorted(max(len(feeds.tokenizer.encode(t)) for t in (p.source, p.target)) for p in pairs)
    mine = sorted(max(len(feeds.tokenizer.encode(t)) for t in (p.source, p.target)) for p in taken)
    assert any(longest[i : i + 5] == mine for i in range(36))


def test_parallel_sentences_are_each_their_own_group(feeds: Feeds) -> None:
    batch = draw(feeds, "parallel")
    assert batch["group"].tolist() == list(range(SIZE))
    pairs = {(p.source, p.target) for corpora in feeds.lists.values() for ps in corpora.values() for p in ps}
    assert set(zip(read(feeds, batch), read(feeds, batch, "other"), strict=True)) <= pairs


# --- sounds ------------------------------------------------------------------------------------------------------


@settings(max_examples=20)
@given(seed=seeds)
def test_a_sound_is_named_unless_there_is_nothing_to_name(feeds: Feeds, seed: int) -> None:
    batch = draw(feeds, "sound", seed)
    names = sorted(SOUND_NAMES)
    events = [EVENTS[int(i)] for i in batch["event"]]
    assert "speech" in events
    prompts = read(feeds, batch)
    assert len(prompts) == len(names)
    for event, label, text in zip(events, batch["label"].tolist(), said(feeds, batch), strict=True):
        assert (event in ("silence", "noise")) == (label == -1) == (text == "")
        if label >= 0:
            assert names[label] == event
            assert text == prompts[label]
    assert batch["mix"].shape[2:] == (3, 32)
    assert batch["mix"].shape[1] <= 5 * MIX_HZ


@pytest.mark.parametrize("language", ["en", "de", "zh"])
def test_every_sound_has_a_name_of_its_own_in_three_languages(language: str) -> None:
    prompts = [sound_prompt(name, language) for name in SOUND_NAMES]
    assert len(set(prompts)) == len(prompts)
    assert all(prompts)


# --- clips -------------------------------------------------------------------------------------------------------


@settings(max_examples=20)
@given(seed=seeds)
def test_a_composed_clip_has_frames_times_sounds_and_a_question(feeds: Feeds, seed: int) -> None:
    batch = draw(feeds, "answer", seed, size=3)
    b, f = batch["frames"].shape[:2]
    assert batch["frames"].shape[2:] == (4, 32)
    assert batch["times"].shape == (b, f)
    assert (batch["times"].diff(dim=1) > 0).all()
    assert batch["mix"].shape == (3, batch["mix_mask"].shape[1], 3, 32)
    assert not batch["mix"][~batch["mix_mask"]].any()
    assert all(text.endswith(("?", "？", ".", "。")) for text in read(feeds, batch))
    assert all(said(feeds, batch))


@pytest.fixture
def ramp(tmp_path: Path) -> Ragged:
    """One photo whose 8 x 8 map holds each place's column and row."""
    y, x = torch.meshgrid(torch.arange(8.0), torch.arange(8.0), indexing="ij")
    Ragged.write(tmp_path / "ramp", [(torch.stack([x, y], dim=-1).reshape(64, 2), {})], log="test")
    return Ragged(tmp_path / "ramp")


def test_a_whole_picture_is_its_map(ramp: Ragged) -> None:
    whole = (0.0, 0.0, 1.0, 1.0)
    frames = Feeds._frames(plan(Scene(0, 0.0, 4.0, whole, whole)), ramp, 2)
    assert frames.shape == (2, 64, 2)
    assert torch.equal(frames[0], ramp[0]) and torch.equal(frames[1], ramp[0])


def test_a_crop_of_the_picture_is_a_crop_of_its_map(ramp: Ragged) -> None:
    right_top = (0.5, 0.0, 1.0, 0.5)
    frame = Feeds._frames(plan(Scene(0, 0.0, 4.0, right_top, right_top)), ramp, 1)[0].float().reshape(8, 8, 2)
    assert torch.allclose(frame[0, :, 0], torch.tensor([3.75, 4.25, 4.75, 5.25, 5.75, 6.25, 6.75, 7.0]), atol=0.05)
    assert torch.allclose(frame[:, 0, 1], torch.tensor([0.0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3.25]), atol=0.05)


def test_a_camera_moves_over_the_map(ramp: Ragged) -> None:
    moving = Scene(0, 0.0, 4.0, (0.0, 0.0, 0.5, 1.0), (0.5, 0.0, 1.0, 1.0))
    columns = Feeds._frames(plan(moving), ramp, 4)[..., 0].float().mean(1)
    assert (columns.diff() > 0.5).all()


def test_sounds_stand_where_the_plan_puts_them(tmp_path: Path) -> None:
    Ragged.write(tmp_path / "s", [(torch.arange(1.0, 4)[:, None, None].expand(3, 2, 4), {})], log="test")
    rows = [(Ragged(tmp_path / "s"), 0)]
    whole = Scene(0, 0.0, 4.0, (0.0, 0.0, 1.0, 1.0), (0.0, 0.0, 1.0, 1.0))
    silent = Feeds._track(plan(whole, duration_s=2.0), rows)
    assert silent.shape == (10, 2, 4)
    assert not silent.any()
    heard = Feeds._track(plan(whole, tracks=(Track(0, "sound", 1.0, 2.0, 1.0),), duration_s=2.0), rows)
    assert heard[:, 0, 0].tolist() == [0, 0, 0, 0, 0, 1, 2, 3, 1, 2]  # over again when it is shorter
