"""Media in memory: what the archives contain, varied each time they are drawn."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engines import archives
from engines.model.features import photo_tensor
from engines.protocol import RATE_HZ
from engines.training import in_memory, truecase
from engines.training.augment import scaled
from engines.training.in_memory import SAMPLES_PER_TOKEN, TAIL_TOKENS, MemorySounds, to_int16
from engines.training.sources import Sounds, Sources
from tests.conftest import tone
from tests.tiny_data import PHOTOS, WORDS, opus, write_rows, write_tar

seeds = st.integers(0, 2**32 - 1)
PAUSE = RATE_HZ // 2


@pytest.fixture
def few(monkeypatch) -> None:
    """Little silence and noise is made."""
    monkeypatch.setattr(in_memory, "N_NON_SPEECH", 3)


def tones(*lengths_s: float) -> MemorySounds:
    made = [to_int16(tone(length_s, hz=300.0 + 100 * i)).numpy() for i, length_s in enumerate(lengths_s)]
    return MemorySounds(made, [{"label": "dog_bark"}] * len(made))


# --- both kinds of sources ---------------------------------------------------------------------------------------


def every_sound(sources: Sources) -> list[Sounds]:
    sounds = sources.sounds
    return [*sounds.labelled, *sounds.silent, *(own for pair in sounds.speech for own in pair)]


def test_media_and_features_have_the_same_rows_in_the_same_order(media, cached):
    for one, other in zip(media.photos.captioned, cached.photos.captioned, strict=True):
        assert [(m["id"], m["mirrored"]) for m in one.meta] == [(m["id"], m["mirrored"]) for m in other.meta]
        assert one.lengths.tolist() == other.lengths.tolist()
    assert media.sounds.speech[0][0].meta == cached.sounds.speech[0][0].meta
    own, others = (sources.sounds.labelled[0].meta[:5] for sources in (media, cached))
    assert [m["label"] for m in own] == [m["label"] for m in others]


def test_windows_and_tails_are_parts_of_a_sound(media, cached):
    for own in (*every_sound(media), *every_sound(cached)):
        assert len(own) == len(own.meta) == len(own.lengths) > 0
        whole = own.row(0, np.random.default_rng(1))
        assert 0 < len(own.window(0, 0.4, np.random.default_rng(0))) <= round(0.4 * own.hz)
        assert 0 < len(own.tail(0, 170, np.random.default_rng(1))) <= len(whole)
        assert own.at_gain(0, 1.0).shape[1:] == whole.shape[1:]


# --- photos ------------------------------------------------------------------------------------------------------


def test_photos_are_whole_squares_plain_and_mirrored(media, data, towers):
    plain, mirrored = media.photos.captioned
    records = archives.photos(data, "train")
    assert len(plain) == len(records) == len(PHOTOS)
    for i, record in enumerate(records):
        assert torch.equal(scaled(plain[i][None])[0], photo_tensor(record.load().pixels, 64))
        assert torch.equal(mirrored[i], plain[i].flip(2)) and not torch.equal(mirrored[i], plain[i])
        assert plain.meta[i] == {"id": record.id, "captions": dict(record.captions), "mirrored": False}
        assert mirrored.meta[i] == {**plain.meta[i], "mirrored": True}
    maps, _ = towers.maps([np.ascontiguousarray(plain[0].permute(1, 2, 0).numpy())])
    assert set(plain.lengths.tolist()) == {len(maps[0])}


# --- sounds ------------------------------------------------------------------------------------------------------


def test_a_sound_in_a_clip_is_as_it_was_decoded_at_its_gain(media, data):
    (source,) = media.sounds.labelled
    for i, record in enumerate(archives.sounds(data, "train")):
        samples = torch.from_numpy(record.load().samples)
        assert torch.allclose(source.at_gain(i, 1.0).float() / 32768, samples, atol=1e-4)
        assert torch.allclose(source.at_gain(i, 0.5).float() / 32768, samples / 2, atol=1e-4)


@pytest.mark.parametrize("seconds", [0.51, 1.0, 2.345])
def test_lengths_are_those_of_the_sound_tower(seconds, towers):
    last, _ = towers.layers(tone(seconds))
    assert abs(len(last) - int(tones(seconds).lengths[0])) <= 1


@settings(max_examples=15)
@given(seed=seeds)
def test_a_row_is_varied_with_a_pause_before_and_after(seed):
    row = tones(1.0).row(0, np.random.default_rng(seed))
    assert row.dtype == torch.int16
    assert RATE_HZ / 1.1 - 1 <= len(row) <= RATE_HZ / 0.9 + 2 * PAUSE
    loud = (row.abs() > 1000).nonzero()[:, 0]
    assert int(loud[0]) <= PAUSE + 100 and len(row) - int(loud[-1]) <= PAUSE + 100


@settings(max_examples=15)
@given(seed=seeds, n=st.integers(1, 300), seconds=st.floats(0.1, 4.0))
def test_tails_and_windows_have_their_lengths(seed, n, seconds):
    source = tones(2.0)
    tail, row = source.tail(0, n, np.random.default_rng(seed)), source.row(0, np.random.default_rng(seed))
    assert torch.equal(tail, row[-len(tail) :])
    assert len(tail) == min(len(row), max(1, n - TAIL_TOKENS) * SAMPLES_PER_TOKEN)
    window, wanted = source.window(0, seconds, np.random.default_rng(seed)), round(seconds * RATE_HZ)
    assert min(wanted, int(2 * RATE_HZ / 1.1)) <= len(window) <= min(wanted, 2 * RATE_HZ / 0.9)


# --- reading -----------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("few")
def test_synthetic_voices_are_a_source_of_their_own_and_transcripts_are_cased(data, tmp_path):
    assert [m["text"] for m in in_memory.read_sounds(data, tmp_path).speech[0][0].meta[:2]] == [
        f"{words.capitalize()}." for words in WORDS
    ]
    (tmp_path / truecase.FILE).write_text(json.dumps({"u0": "One, two, THREE."}))
    line = {"id": "v", "text": "hello", "raw": "Hello.", "lang": "en", "corpus": "synthetic", "split": "train"}
    write_rows(tmp_path / "voices" / "speech" / "manifest.jsonl.gz", [line])
    write_tar(tmp_path / "voices" / "speech" / "speech-00.tar", {"v.opus": opus(400.0)})
    people, voices = (first for first, _ in in_memory.read_sounds(data, tmp_path).speech)
    assert [m["text"] for m in people.meta[:2]] == ["One, two, THREE.", "Good morning."]
    assert [m["corpus"] for m in voices.meta] == ["synthetic"]


@pytest.mark.usefixtures("few")
def test_long_clips_and_sounds_that_may_contain_words_are_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr(in_memory, "LONGEST_S", 2.5)
    clips = [
        {"id": f"u{n}", "text": f"Here are {n} .", "lang": "de", "corpus": "an4", "split": "train"} for n in (1, 3, 2)
    ]
    write_rows(tmp_path / "speech" / "manifest.jsonl.gz", clips)
    write_tar(tmp_path / "speech" / "speech-00.tar", {f"u{n}.opus": opus(400.0, float(n)) for n in (1, 2, 3)})
    labels = ("rain", "children_playing", "siren")
    rows = [{"id": label, "label": label, "corpus": "urbansound8k", "split": "train"} for label in labels]
    write_rows(tmp_path / "sounds" / "manifest.jsonl.gz", rows)
    write_tar(tmp_path / "sounds" / "sounds-00.tar", {f"{label}.opus": opus(500.0) for label in labels})
    sounds = in_memory.read_sounds(tmp_path, tmp_path)
    assert [m["text"] for m in sounds.speech[0][0].meta] == ["Here are 1 .", "Here are 2 ."]
    found = [str(m["label"]) for m in sounds.labelled[0].meta]
    assert found[:3] == list(labels)
    assert [str(m["label"]) for m in sounds.silent[0].meta] == ["rain", *found[2:]]


@pytest.mark.usefixtures("few")
def test_several_processes_read_the_same(data, tmp_path):
    alone, together = (in_memory.read_sounds(data, tmp_path, n_processes=n).labelled[0] for n in (1, 2))
    assert alone.meta == together.meta
    assert all(torch.equal(alone.at_gain(i, 1.0), together.at_gain(i, 1.0)) for i in range(len(alone)))
