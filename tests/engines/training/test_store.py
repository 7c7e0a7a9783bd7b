"""The stores: rows come back as they went in, views differ as they should, and nothing that is there is made twice."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor

from engines import archives
from engines.model import checkpoint
from engines.model.config import EVENTS
from engines.model.features import MEL_HZ, log_mel, photo_tensor
from engines.model.sound import TAIL_FRAMES
from engines.protocol import RATE_HZ, Sound
from engines.training import store, voices
from engines.training.store import (
    MAX_SPEECH_S,
    Ragged,
    Towers,
    fill_speech,
    noise_like,
    nothing_said,
    photo_rows,
    recorded,
    silence_around,
    sound_rows,
    vary_photo,
    vary_sound,
)
from tests.conftest import tone
from tests.engines.model.makers import drawn
from tests.tiny_data import LABELS, PHOTOS, WORDS

seeds = st.integers(0, 2**32 - 1)


def written(path: Path, *rows: tuple[Tensor, dict[str, object]]) -> Ragged:
    Ragged.write(path, rows, log="test")
    return Ragged(path)


# --- rows of different lengths -----------------------------------------------------------------------------------


@settings(max_examples=20)
@given(lengths=st.lists(st.integers(1, 7), min_size=1, max_size=6), inner=st.sampled_from([(4,), (3, 2)]))
def test_rows_come_back_as_they_went_in(
    tmp_path_factory: pytest.TempPathFactory, lengths: list[int], inner: tuple[int, ...]
) -> None:
    rows = [drawn(n, *inner, seed=i).to(torch.bfloat16) for i, n in enumerate(lengths)]
    found = written(tmp_path_factory.mktemp("store") / "x", *((row, {"i": i}) for i, row in enumerate(rows)))
    assert len(found) == len(rows)
    assert found.inner == inner
    assert found.lengths.tolist() == lengths
    assert all(torch.equal(found[i], row) and found.meta[i] == {"i": i} for i, row in enumerate(rows))


def test_a_row_may_be_changed_without_changing_the_store(tmp_path: Path) -> None:
    found = written(tmp_path / "x", (torch.ones(2, 3), {}))
    found[0].zero_()
    assert torch.equal(found[0], torch.ones(2, 3, dtype=torch.bfloat16))


def test_a_store_that_was_stopped_is_not_taken_for_one(tmp_path: Path) -> None:
    def stopped() -> object:
        yield torch.ones(2, 3), {}
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Ragged.write(tmp_path / "x", stopped(), log="test")  # type: ignore[arg-type]
    assert not (tmp_path / "x.json").exists()


# --- augmentation ------------------------------------------------------------------------------------------------


@settings(max_examples=20)
@given(seed=seeds)
def test_a_varied_photo_is_a_large_part_of_it(seed: int) -> None:
    photo = np.full((60, 90, 3), 100, np.uint8)
    varied = vary_photo(photo, np.random.default_rng(seed), flip=False)
    assert varied.dtype == np.uint8
    assert 0.55 * 60 * 90 <= varied.shape[0] * varied.shape[1] <= 60 * 90
    assert 60 <= varied.mean() <= 140


def test_a_mirrored_photo_has_its_sides_changed() -> None:
    photo = np.zeros((60, 90, 3), np.uint8)
    photo[:, :45] = 200
    plain, mirrored = (vary_photo(photo, np.random.default_rng(1), flip=flip) for flip in (False, True))
    assert plain[:, 5].mean() > 100 > plain[:, -5].mean()
    assert np.array_equal(mirrored, plain[:, ::-1])


@settings(max_examples=20)
@given(seed=seeds)
def test_a_varied_sound_is_much_like_itself(seed: int) -> None:
    sound = tone(1.0, hz=500.0)
    varied = vary_sound(sound, np.random.default_rng(seed))
    assert varied.dtype == np.float32
    assert RATE_HZ / 1.1 - 1 <= len(varied) <= RATE_HZ / 0.9 + 1
    pitch_hz = np.abs(np.fft.rfft(varied)).argmax() * RATE_HZ / len(varied)
    assert 449 <= pitch_hz <= 551


@settings(max_examples=20)
@given(seed=seeds)
def test_near_silence_is_put_around_speech(seed: int) -> None:
    padded = silence_around(np.full(100, 0.5, np.float32), np.random.default_rng(seed))
    loud = np.flatnonzero(np.abs(padded) > 0.1)
    assert len(loud) == 100 == loud[-1] - loud[0] + 1
    assert loud[0] <= RATE_HZ / 2
    assert len(padded) - loud[-1] - 1 <= RATE_HZ / 2


@settings(max_examples=20)
@given(seed=seeds, n=st.integers(100, 5000))
def test_noise_has_unit_power(seed: int, n: int) -> None:
    noise = noise_like(np.random.default_rng(seed), n)
    assert len(noise) == n
    assert noise.std() == pytest.approx(1.0, abs=1e-3)


def test_nothing_said_is_silence_or_noise_in_every_kind() -> None:
    made = [nothing_said(np.random.default_rng(seed)) for seed in range(40)]
    assert {label for _, label in made} == {"silence", "noise"} <= set(EVENTS)
    for samples, label in made:
        assert samples.dtype == np.float32
        assert RATE_HZ <= len(samples) <= 10 * RATE_HZ
        assert np.abs(samples).max() < (0.01 if label == "silence" else 1.01)


# --- through the towers ------------------------------------------------------------------------------------------


def test_a_store_holds_what_the_tower_makes_of_a_photo(run: Path, towers: Towers, data: Path) -> None:
    photos = Ragged(run / "features" / "photos_train_0")
    first = archives.photos(data, "train")[0].load().pixels
    with torch.inference_mode():
        feature_map = towers.model.picture.trunk(photo_tensor(first, 64)[None].to(torch.bfloat16))
    assert photos.inner == (32,)
    assert torch.allclose(photos[0].float(), feature_map[0].flatten(1).T.float(), atol=0.05)


def test_views_know_their_photo_its_captions_and_whether_they_are_mirrored(run: Path) -> None:
    plain, mirrored = (Ragged(run / "features" / f"photos_train_{view}") for view in (0, 1))
    assert [m["id"] for m in plain.meta] == [m["id"] for m in mirrored.meta] == list(PHOTOS)
    assert plain.meta[0]["captions"]["en"][0] == "A dog runs in the snow ."  # type: ignore[index]
    assert {m["mirrored"] for m in plain.meta} == {False}
    assert {m["mirrored"] for m in mirrored.meta} == {True}


def test_a_view_is_the_same_each_time_it_is_made(towers: Towers, data: Path) -> None:
    records = archives.photos(data, "train")
    once, again = (list(photo_rows(towers, records, 1)) for _ in range(2))
    assert all(torch.equal(a[0], b[0]) for a, b in zip(once, again, strict=True))


def test_speech_has_its_last_layer_at_50_hz_and_all_layers_at_5_hz(run: Path) -> None:
    last, mix = (Ragged(run / "features" / f"speech_train_0_{kind}") for kind in ("last", "mix"))
    assert (last.inner, mix.inner) == ((32,), (3, 32))
    silence = TAIL_FRAMES // 2  # heard after the speech, for the transcript alone
    assert [int(n) for n in mix.lengths] == [-(-(int(n) - silence) // 10) for n in last.lengths]
    assert [m["language"] for m in last.meta] == ["en", "en", "de"]
    assert last.meta == mix.meta
    assert last.meta[0]["text"].lower().rstrip(".") == WORDS[0]  # type: ignore[attr-defined]


def test_a_store_holds_what_is_heard_of_a_sound(towers: Towers) -> None:
    samples = tone(1.3)
    last, mix = towers.layers(samples)
    mel = log_mel(torch.from_numpy(samples)[None])
    with torch.inference_mode():
        heard = towers.model.hear(mel, torch.tensor([mel.shape[2]]))
    assert torch.equal(last, heard.last[0])
    assert torch.equal(towers.model.mix(mix[None]), heard.mix)


def test_sounds_come_with_their_labels_then_silence_and_noise(run: Path) -> None:
    labels = [m["label"] for m in Ragged(run / "features" / "sounds_train_0").meta]
    assert labels[:5] == list(LABELS)
    assert len(labels) == 11
    assert set(labels[5:]) <= {"silence", "noise"}


def test_a_second_view_of_the_sounds_is_varied(towers: Towers, data: Path) -> None:
    records = archives.sounds(data, "train")[:1]
    plain, varied = (next(iter(sound_rows(towers, records, view, 0))) for view in (0, 1))
    assert plain[1] == varied[1]
    assert plain[0].shape != varied[0].shape or not torch.equal(plain[0], varied[0])


def test_speech_too_long_for_the_tower_is_left_out(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_SPEECH_S + TAIL_FRAMES / MEL_HZ <= 30.0  # and room for the silence after it
    monkeypatch.setattr(store, "MAX_SPEECH_S", 0.5)
    assert list(recorded(archives.speech(data, "train"), 0, {})) == []


def test_a_store_that_is_there_is_left_alone(run: Path, towers: Towers) -> None:
    def nobody() -> object:
        raise AssertionError("the store is made again")
        yield

    fill_speech(towers, run / "features", "speech_train_0", nobody())  # type: ignore[arg-type]


def test_the_stores_of_a_run_stand_on_a_shelf_with_or_without_synthetic_voices(run: Path) -> None:
    everything, people = store.opened(run), store.opened(run, synthetic=False)
    for shelf, corpora in ((everything, ["an4", "synthetic"]), (people, ["an4"])):
        assert [last.meta[0]["corpus"] for last, _ in shelf.spoken] == corpora
        assert all(len(last) == len(mix) for last, mix in shelf.spoken)
        assert (len(shelf.photos), len(shelf.sounds), len(shelf.quiet)) == (2, 1, 1)


def test_a_run_without_stores_has_an_empty_shelf(tmp_path: Path) -> None:
    empty = store.opened(tmp_path)
    assert not any((empty.photos, empty.sounds, empty.quiet, empty.spoken))


# --- the whole program -------------------------------------------------------------------------------------------


@pytest.fixture
def program(data: Path, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """The program asked for two views of the photos, over a tiny model; it gives the folder of the stores."""

    def asked(*arguments: object) -> Path:
        (tmp_path / "tokenizer.model").write_bytes((run / "tokenizer.model").read_bytes())
        monkeypatch.setattr(store, "fresh_model", lambda run, *given: checkpoint.tiny().model)
        monkeypatch.setattr(store, "N_PHOTO_VIEWS", 2)
        given = [data, tmp_path, "--whisper", "w", "--efficientnet", "e", "--only", "photos", *arguments]
        monkeypatch.setattr("sys.argv", ["store", *map(str, given)])
        store.main()
        return tmp_path / "features"

    return asked


def test_the_program_makes_what_is_asked_for(program: Callable[..., Path]) -> None:
    features = program()
    made = sorted(file.name for file in features.iterdir())
    assert made == [f"photos_train_{view}.{suffix}" for view in (0, 1) for suffix in ("bin", "json")]
    assert json.loads((features / "photos_train_0.json").read_text())["lengths"] == [4] * 6


def test_stores_can_be_made_anew_of_towers_that_were_trained(
    program: Callable[..., Path], run: Path, data: Path, tmp_path: Path
) -> None:
    trained = checkpoint.tiny().model
    with torch.no_grad():
        for p in trained.picture.trunk.parameters():
            p.add_(0.2 * drawn(*p.shape, seed=1))
    save_file(trained.state_dict(), tmp_path / "ema.safetensors")
    found = Ragged(program("--from", tmp_path / "ema.safetensors") / "photos_train_0")
    untrained = Ragged(run / "features" / "photos_train_0")
    wanted = [row for row, _ in photo_rows(Towers(trained), archives.photos(data, "train"), 0)]
    for i, row in enumerate(wanted):
        assert torch.equal(found[i], row)
        assert not torch.allclose(found[i], untrained[i], atol=0.1)


def test_quiet_holds_no_sound_in_which_there_may_be_words(towers: Towers, data: Path, run: Path) -> None:
    quiet = Ragged(run / "features" / "quiet_train")
    labels = {str(m["label"]) for m in quiet.meta}
    assert labels >= {"silence", "noise"}
    assert not labels & archives.MAYBE_SPOKEN
    assert quiet.inner == (32,)


def test_synthetic_voices_are_recorded_once_and_whole(
    program: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(voices, "speak", lambda text, *given: asked.append(text) or Sound(tone(0.3)))
    (tmp_path / "voices" / "speech").mkdir(parents=True)  # of a recording that was stopped
    features = program("--only", "voices")
    last, mix = (Ragged(features / f"speech_train_voices_{kind}") for kind in ("last", "mix"))
    assert len(asked) == len(last) == len(mix) == 24
    assert {known["corpus"] for known in last.meta} == {voices.CORPUS}
    assert {str(known["text"]) for known in last.meta} == set(asked)
    program("--only", "voices")
    assert len(asked) == 24
