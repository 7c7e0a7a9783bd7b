"""Batches: what they hold fits together, says what it should, and is drawn from the generator alone."""

from __future__ import annotations

from copy import copy
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.model.config import EVENTS
from engines.training.batches import (
    CAPTION_LANGUAGES,
    IGNORED,
    MATCHED_LANGUAGES,
    QUIET_OF,
    SIDED,
    SYNTHETIC,
    Batch,
    Feeds,
    padded,
)
from engines.training.consensus import parted
from engines.training.facts import SOUND_NAMES, sound_prompt
from engines.training.objectives import OBJECTIVES
from engines.training.store import MIX_HZ, Ragged
from tests.engines.training.conftest import alike
from tests.tiny_data import PHOTOS

SIZE = 5
NAMING = ("name", "write", "question")
"""Tasks that need a list of concepts; they have tests of their own in test_naming_batches.py."""
TASKS = [task for task in OBJECTIVES if task not in NAMING]
every_task = pytest.mark.parametrize("task", TASKS)
seeds = st.integers(0, 2**32 - 1)
TAUGHT = ("match", "look", "parallel")


def draw(feeds: Feeds, task: str, seed: int = 0, size: int = SIZE) -> Batch:
    return feeds.draw(task, size, np.random.default_rng(seed))


def said(feeds: Feeds, batch: Batch) -> list[str]:
    """What a batch asks to be written, as text."""
    return [feeds.tokenizer.decode([i for i in row if i != IGNORED]) for row in batch["targets"].tolist()]


def read(feeds: Feeds, batch: Batch, name: str = "text") -> list[str]:
    rows = zip(batch[name], batch[f"{name}_mask"], strict=True)
    return [feeds.tokenizer.decode(row[mask].tolist()) for row, mask in rows]


def row_of(stores: list[Ragged], tensor: torch.Tensor) -> dict[str, object]:
    """What is known of the row of a store that a tensor is."""
    rows = ((store, i) for store in stores for i in range(len(store)))
    return next(store.meta[i] for store, i in rows if torch.equal(store[i], tensor))


def captions(meta: dict[str, object], *languages: str) -> set[str]:
    own: dict[str, list[str]] = meta["captions"]  # type: ignore[assignment]
    return {text for language in languages for text in own[language]}


# --- every task --------------------------------------------------------------------------------------------------


@every_task
def test_a_batch_is_drawn_from_the_generator_alone(feeds: Feeds, task: str) -> None:
    once, again = draw(feeds, task), draw(feeds, task)
    assert once.keys() == again.keys()
    assert all(torch.equal(once[name], again[name]) for name in once)
    others = [draw(feeds, task, seed) for seed in range(1, 9)]  # there are so few voices that some are drawn again
    assert any(not torch.equal(once[name], other[name]) for other in others for name in once)


@every_task
def test_a_run_opened_anew_draws_the_same(data: Path, run: Path, feeds: Feeds, task: str) -> None:
    draw(feeds, "answer", seed=5)
    once, again = draw(feeds, task, seed=3), draw(Feeds(data, run), task, seed=3)
    assert all(torch.equal(once[name], again[name]) for name in once)


@pytest.mark.parametrize("task", ["caption", "look", "transcribe", "translate", "sound", "answer", "describe"])
@settings(max_examples=10)
@given(seed=seeds)
def test_what_is_asked_follows_the_prefix_and_ends(feeds: Feeds, task: str, seed: int) -> None:
    batch = draw(feeds, task, seed)
    ids, targets = batch["ids"], batch["targets"]
    assert ids.shape == targets.shape
    assert (ids[:, 0] == feeds.tokenizer.sot_id).all()
    name = {"sound": "caption", "look": "caption", "describe": "answer"}.get(task, task)
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


@pytest.mark.parametrize("task", ["caption", "look"])
@settings(max_examples=20)
@given(seed=seeds)
def test_a_photo_is_captioned_in_its_own_words(feeds: Feeds, task: str, seed: int) -> None:
    batch = draw(feeds, task, seed)
    assert batch["maps"].shape == (SIZE, 4, 32)
    metas = [row_of(feeds.photos, row) for row in batch["maps"]]
    assert len({str(meta["id"]) for meta in metas}) == SIZE
    assert all(text in captions(meta, "en", "de", "zh") for meta, text in zip(metas, said(feeds, batch), strict=True))


@pytest.mark.parametrize("task", ["match", "look"])
@settings(max_examples=20)
@given(seed=seeds)
def test_a_photo_is_matched_with_two_of_its_captions_the_first_in_english(feeds: Feeds, task: str, seed: int) -> None:
    batch = draw(feeds, task, seed)
    assert batch["maps"].shape == (SIZE, 4, 32)
    assert len(set(batch["group"].tolist())) == SIZE
    firsts, seconds = read(feeds, batch), read(feeds, batch, "other")
    for row, map_, first, second in zip(batch["group"].tolist(), batch["maps"], firsts, seconds, strict=True):
        meta = feeds.photos[0].meta[row]
        assert row_of(feeds.photos, map_)["id"] == meta["id"]
        assert first in captions(meta, "en")
        assert second in captions(meta, "en", "de", "zh")


def test_what_is_looked_at_is_captioned_and_matched(feeds: Feeds) -> None:
    captioned, matched, looked = (draw(feeds, task) for task in ("caption", "match", "look"))
    assert captioned.keys() == {"maps", "ids", "targets"}
    assert matched.keys() == {"maps", "group", "text", "text_mask", "other", "other_mask"}
    assert looked.keys() == captioned.keys() | matched.keys()


def test_the_second_caption_is_foreign_four_times_in_five_and_one_to_write_two_in_five(feeds: Feeds) -> None:
    plain = copy(feeds)
    plain.photos = feeds.photos[:1]
    drawn = [draw(plain, "match", seed) for seed in range(80)]
    english = {text for meta in plain.photos[0].meta for text in captions(meta, "en")}
    matched = [text in english for batch in drawn for text in read(plain, batch, "other")]
    written = [text in english for seed in range(80) for text in said(plain, draw(plain, "caption", seed))]
    assert np.mean(matched) == pytest.approx(MATCHED_LANGUAGES["en"], abs=0.07) == pytest.approx(0.2, abs=0.07)
    assert np.mean(written) == pytest.approx(CAPTION_LANGUAGES["en"], abs=0.07) == pytest.approx(0.6, abs=0.07)


@pytest.mark.parametrize("task", ["caption", "match", "look", "consensus"])
def test_no_more_photos_are_drawn_than_there_are(feeds: Feeds, task: str) -> None:
    assert len(draw(feeds, task, size=100)["maps"]) == len(PHOTOS)


def test_a_photo_to_agree_on_has_all_its_english_captions_and_how_rare_their_words_are(feeds: Feeds) -> None:
    batch = draw(feeds, "consensus", size=3)
    assert batch["prefix"].tolist() == feeds.tokenizer.prefix("caption", "en")
    end = int(batch["end"])
    for map_, references in zip(batch["maps"], batch["references"], strict=True):
        texts = parted(references)
        assert all(text[-1] == end for text in texts)
        own = captions(row_of(feeds.photos[:1], map_), "en")
        assert {feeds.tokenizer.decode(text[:-1]) for text in texts} == own
    assert batch["grams"].shape == batch["idf"].shape
    assert float(batch["idf"][batch["grams"] == end + 1]) == 0.0  # every photo's captions end


# --- what a teacher finds alike ----------------------------------------------------------------------------------


@pytest.mark.parametrize("task", TAUGHT)
def test_a_teacher_is_asked_about_the_english_texts(feeds: Feeds, taught_feeds: Feeds, task: str) -> None:
    for seed in range(6):
        batch, untaught = draw(taught_feeds, task, seed), draw(feeds, task, seed)
        assert torch.equal(batch["taught"], alike(read(taught_feeds, batch)))
        assert untaught.keys() == batch.keys() - {"taught"}
        assert all(torch.equal(untaught[name], batch[name]) for name in untaught)  # it changes nothing that is drawn


@pytest.mark.parametrize("task", [task for task in TASKS if task not in TAUGHT])
def test_other_tasks_do_without_the_teacher(taught_feeds: Feeds, task: str) -> None:
    assert "taught" not in draw(taught_feeds, task)


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
    assert batch.keys() == {"last", "mask", "ctc", "n_ctc", "n_said", "language_ids", "ids", "targets"}
    rows = (row[mask] for row, mask in zip(batch["last"], batch["mask"], strict=True))
    metas = [row_of([last for last, _ in feeds.spoken], row) for row in rows]
    assert said(feeds, batch) == [meta["text"] for meta in metas]
    languages = {i: name for name, i in feeds.tokenizer.language_ids.items()}
    assert batch["ids"][:, 1].tolist() == batch["language_ids"].tolist()
    assert 0 <= int(batch["ctc"].min()) <= int(batch["ctc"].max()) <= 256
    for i, text in enumerate(said(feeds, batch)):
        spelt = feeds._spelt(text, languages[int(batch["language_ids"][i])])
        assert torch.equal(batch["ctc"][i, : batch["n_ctc"][i]], spelt)


@pytest.mark.parametrize(
    ("text", "language", "plain"), [("A dog!", "en", "a dog"), ("狗在跑。", "zh", "狗在跑"), ("Ü", "de", "ü")]
)
def test_a_sound_spells_plain_bytes_above_the_blank(text: str, language: str, plain: str) -> None:
    assert Feeds._spelt(text, language).tolist() == [byte + 1 for byte in plain.encode()]


def synthetic(feeds: Feeds, rng: np.random.Generator) -> bool:
    return feeds.spoken[feeds._voices(rng)][0].meta[0]["corpus"] == "synthetic"


def test_synthetic_voices_are_transcribed_less_often_than_real_ones(feeds: Feeds, rng: np.random.Generator) -> None:
    assert np.mean([synthetic(feeds, rng) for _ in range(1000)]) == pytest.approx(SYNTHETIC / (1 + SYNTHETIC), abs=0.05)
    real = copy(feeds)
    real.spoken = [pair for pair in feeds.spoken if pair[0].meta[0]["corpus"] != "synthetic"]
    assert len(real.spoken) == 1
    assert not any(synthetic(real, rng) for _ in range(50))


def test_long_speech_makes_smaller_batches(feeds: Feeds, tmp_path: Path) -> None:
    known: dict[str, object] = {"text": "hello", "language": "en", "corpus": "an4"}
    rows = [(torch.zeros(n, 2), known) for n in (150, 450, 900)]
    Ragged.write(tmp_path / "long", rows, log="test")
    lengthy = copy(feeds)
    lengthy.spoken = [(Ragged(tmp_path / "long"), Ragged(tmp_path / "long"))]
    batches = [draw(lengthy, "transcribe", seed, size=3) for seed in range(20)]
    drawn = [tuple(batch["mask"].sum(1).tolist()) for batch in batches]
    assert set(drawn) == {(150, 450), (150, 900), (450, 900)}  # 8 s each on average, and none is always left out


@settings(max_examples=10)
@given(seed=seeds)
def test_one_row_in_seven_has_no_speech_and_says_so(feeds: Feeds, seed: int) -> None:
    batch = draw(feeds, "transcribe", seed, size=6)
    n = int(batch["n_said"])
    assert len(batch["last"]) == n + n // QUIET_OF
    assert len(batch["ctc"]) == len(batch["n_ctc"]) == len(batch["language_ids"]) == n
    longest = int(batch["mask"][:n].sum(1).max())
    for mask, targets in zip(batch["mask"][n:], batch["targets"][n:], strict=True):
        assert 0 < int(mask.sum()) <= longest
        assert targets[targets != IGNORED].tolist() == [feeds.tokenizer.no_speech_id]


def test_a_row_without_speech_keeps_the_silence_at_its_end(feeds: Feeds, rng: np.random.Generator) -> None:
    rows = [feeds.quiet[0][i] for i in range(len(feeds.quiet[0]))]
    cut = feeds._quiet_rows(4, 155, rng)
    assert [len(row) for row in cut] == [155] * 4
    assert all(any(torch.equal(row, whole[-155:]) for whole in rows) for row in cut)


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
    pairs = {(p.source, p.target) for corpora in feeds.pairs.lists.values() for ps in corpora.values() for p in ps}
    captions = [meta["captions"] for meta in feeds.photos[0].meta]
    pairs |= {(en, zh) for c in captions for en, zh in zip(c["en"], c["zh"], strict=False)}  # type: ignore[index]
    for source, target in zip(read(feeds, batch), said(feeds, batch), strict=True):
        assert (source, target) in pairs or (target, source) in pairs


def test_both_directions_and_all_languages_are_translated(feeds: Feeds) -> None:
    batches = [draw(feeds, "translate", seed) for seed in range(12)]
    into = {int(i) for batch in batches for i in batch["ids"][:, 1]}
    assert into == set(feeds.tokenizer.language_ids.values())


def test_parallel_texts_are_translations_or_captions_of_a_photo_that_is_not_at_hand(feeds: Feeds) -> None:
    corpora = [pairs for corpora in feeds.pairs.lists.values() for pairs in corpora.values()]
    translations = {(p.source, p.target) for pairs in corpora for p in pairs}
    told = {
        (first, second)
        for unseen in feeds.pairs.unseen
        for first in unseen["en"]
        for second in (*unseen["en"], *unseen.get("de", ()))
    }
    batches = [draw(feeds, "parallel", seed) for seed in range(30)]
    found = [set(zip(read(feeds, batch), read(feeds, batch, "other"), strict=True)) for batch in batches]
    assert all(pairs <= translations or pairs <= told for pairs in found)
    assert {"Nie .", "Oben .", "Ganz oben .", "Not far ."} & {second for pairs in found for _, second in pairs}
    assert 0.3 < np.mean([pairs <= told for pairs in found]) < 0.9


def test_without_further_captions_all_parallel_texts_are_translations(feeds: Feeds) -> None:
    few = copy(feeds)
    few.pairs = copy(feeds.pairs)
    few.pairs.unseen = []
    sources = {p.source for corpora in feeds.pairs.lists.values() for ps in corpora.values() for p in ps}
    assert all(set(read(few, draw(few, "parallel", seed))) <= sources for seed in range(10))


@settings(max_examples=20)
@given(seed=seeds)
def test_parallel_rows_of_the_same_sentence_are_one_group(feeds: Feeds, seed: int) -> None:
    batch = draw(feeds, "parallel", seed, size=8)
    group, sources = batch["group"], read(feeds, batch)
    for i, j in combinations(range(8), 2):
        assert bool(group[i] == group[j]) == (sources[i] == sources[j])


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
