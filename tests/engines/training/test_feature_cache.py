"""The feature cache: rows come back as they went in, and are what the towers make of the media."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor

from engines import archives
from engines.model import checkpoint
from engines.model.features import MEL_HZ, log_mel, photo_tensor
from engines.model.sound import TAIL_FRAMES
from engines.training import feature_cache
from engines.training.feature_cache import FeatureFile, Towers, photo_rows, sound_rows, speech_clips, write_speech
from engines.training.sources import MAX_SPEECH_S
from tests.conftest import tone
from tests.engines.model.makers import drawn
from tests.tiny_data import LABELS, PHOTOS, WORDS, opus, write_rows, write_tar


def stored(path: Path, *rows: tuple[Tensor, dict[str, object]]) -> FeatureFile:
    FeatureFile.write(path, rows)
    return FeatureFile(path, "layers")


# --- files -------------------------------------------------------------------------------------------------------


@settings(max_examples=20)
@given(lengths=st.lists(st.integers(1, 7), min_size=1, max_size=6), inner=st.sampled_from([(4,), (3, 2)]))
def test_rows_come_back_as_they_went_in(tmp_path_factory, lengths, inner):
    rows = [drawn(n, *inner, seed=i).to(torch.bfloat16) for i, n in enumerate(lengths)]
    found = stored(tmp_path_factory.mktemp("cache") / "x", *((row, {"i": i}) for i, row in enumerate(rows)))
    assert (len(found), found.inner, found.lengths.tolist()) == (len(rows), inner, lengths)
    assert all(torch.equal(found[i], row) and found.meta[i] == {"i": i} for i, row in enumerate(rows))


def test_an_interrupted_file_is_not_valid_and_a_valid_one_is_left_alone(tmp_path):
    def interrupted() -> object:
        yield torch.ones(2, 3), {}
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        FeatureFile.write(tmp_path / "x", interrupted())
    assert not (tmp_path / "x.json").exists()
    stored(tmp_path / "x", (torch.ones(2, 3), {}))
    FeatureFile.write(tmp_path / "x", interrupted())


def test_files_of_a_run_are_found_by_their_names(run, tmp_path):
    everything, people = feature_cache.open_sounds(run), feature_cache.open_sounds(run, synthetic=False)
    for sounds, corpora in ((everything, ["an4", "synthetic"]), (people, ["an4"])):
        assert [last.meta[0]["corpus"] for last, _ in sounds.speech] == corpora
        assert {(last.entry, layers.entry) for last, layers in sounds.speech} == {("last", "layers")}
        assert (len(sounds.labelled), len(sounds.silent)) == (1, 1)
    assert len(feature_cache.open_photos(run).captioned) == 2
    assert feature_cache.open_photos(tmp_path) == feature_cache.PhotoSources([], [], [], [])


# --- rows --------------------------------------------------------------------------------------------------------


def test_photos_are_feature_maps_with_their_captions_and_views(run, towers, data):
    plain, mirrored = feature_cache.open_photos(run).captioned
    first = archives.photos(data, "train")[0].load().pixels
    with torch.inference_mode():
        feature_map = towers.model.picture.trunk(photo_tensor(first, 64)[None].to(torch.bfloat16))
    assert torch.allclose(plain[0].float(), feature_map[0].flatten(1).T.float(), atol=0.05)
    assert [m["id"] for m in plain.meta] == [m["id"] for m in mirrored.meta] == list(PHOTOS)
    assert plain.meta[0]["captions"]["en"][0] == "A dog runs in the snow ."
    assert {m["mirrored"] for m in plain.meta} == {False} and {m["mirrored"] for m in mirrored.meta} == {True}


def test_speech_is_its_last_layer_at_50_hz_and_all_layers_at_5_hz(run):
    last, layers = feature_cache.open_sounds(run).speech[0]
    silence = TAIL_FRAMES // 2  # heard after the speech, for the transcript only
    assert [int(n) for n in layers.lengths] == [-(-(int(n) - silence) // 10) for n in last.lengths]
    assert last.meta == layers.meta and [m["language"] for m in last.meta] == ["en", "en", "de"]
    assert last.meta[0]["text"].lower().rstrip(".") == WORDS[0]


def test_a_sound_is_stored_as_the_model_hears_it(towers):
    samples = tone(1.3)
    last, layers = towers.layers(samples)
    mel = log_mel(torch.from_numpy(samples)[None])
    with torch.inference_mode():
        heard = towers.model.hear(mel, torch.tensor([mel.shape[2]]))
    assert torch.equal(last, heard.last[0])
    assert torch.equal(towers.model.mix(layers[None]), heard.mix)


def test_sounds_have_their_labels_and_are_followed_by_silence_and_noise(run, towers, data):
    labels = [m["label"] for m in feature_cache.open_sounds(run).labelled[0].meta]
    assert labels[:5] == list(LABELS) and len(labels) == 11 and set(labels[5:]) <= {"silence", "noise"}
    records = archives.sounds(data, "train")[:1]
    plain, varied = (next(iter(sound_rows(towers, records, view, 0))) for view in (0, 1))
    assert plain[1] == varied[1]
    assert plain[0].shape != varied[0].shape or not torch.equal(plain[0], varied[0])


def test_silent_rows_contain_no_sound_that_may_contain_words(run):
    labels = {str(m["label"]) for m in feature_cache.open_sounds(run).silent[0].meta}
    assert labels >= {"silence", "noise"} and not labels & archives.MAYBE_SPOKEN


def test_speech_that_is_too_long_is_left_out(data, monkeypatch):
    assert MAX_SPEECH_S + TAIL_FRAMES / MEL_HZ <= 30.0
    monkeypatch.setattr(feature_cache, "MAX_SPEECH_S", 0.5)
    assert list(speech_clips(archives.speech(data, "train"), 0, {})) == []


def test_interrupted_speech_is_stored_anew(towers, tmp_path):
    stored(tmp_path / "x_last", (torch.ones(2, 3), {}))
    write_speech(towers, tmp_path, "x", [(tone(0.5), {"text": "a"})])
    last, layers = (FeatureFile(tmp_path / f"x_{kind}", "last") for kind in ("last", "mix"))
    assert len(last) == len(layers) == 1 and last.inner == (32,)


# --- the command -------------------------------------------------------------------------------------------------


@pytest.fixture
def command(data, run, tmp_path, monkeypatch) -> Callable[..., Path]:
    """The command with a tiny model and two views of the photos; returns the folder of features."""

    def invoke(*arguments: object) -> Path:
        (tmp_path / "tokenizer.model").write_bytes((run / "tokenizer.model").read_bytes())
        monkeypatch.setattr(feature_cache, "new_model", lambda run, *given: checkpoint.tiny().model)
        monkeypatch.setattr(feature_cache, "N_PHOTO_VIEWS", 2)
        monkeypatch.setattr("sys.argv", ["feature_cache", *map(str, [data, tmp_path, *arguments])])
        feature_cache.main()
        return tmp_path / "features"

    return invoke


def test_the_command_stores_the_parts_it_is_asked_for(command):
    features = command("--only", "photos")
    made = sorted(file.name for file in features.iterdir())
    assert made == [f"photos_train_{view}.{suffix}" for view in (0, 1) for suffix in ("bin", "json")]
    assert json.loads((features / "photos_train_0.json").read_text())["lengths"] == [4] * 6


def test_features_of_trained_towers_can_be_stored(command, run, data, tmp_path):
    trained = checkpoint.tiny().model
    with torch.no_grad():
        for p in trained.picture.trunk.parameters():
            p.add_(0.2 * drawn(*p.shape, seed=1))
    save_file(trained.state_dict(), tmp_path / "ema.safetensors")
    command("--only", "photos", "--from", tmp_path / "ema.safetensors")
    found, untrained = (feature_cache.open_photos(folder).captioned[0] for folder in (tmp_path, run))
    wanted = [row for row, _ in photo_rows(Towers(trained), archives.photos(data, "train"), 0)]
    for i, row in enumerate(wanted):
        assert torch.equal(found[i], row)
        assert not torch.allclose(found[i], untrained[i], atol=0.1)


def test_synthetic_voices_are_stored_where_they_were_made(command, tmp_path):
    line = {"id": "v", "text": "hello", "raw": "Hello.", "lang": "en", "corpus": "synthetic", "split": "train"}
    write_rows(tmp_path / "voices" / "speech" / "manifest.jsonl.gz", [line])
    write_tar(tmp_path / "voices" / "speech" / "speech-00.tar", {"v.opus": opus(400.0)})
    command("--only", "speech")
    speech = feature_cache.open_sounds(tmp_path).speech
    assert [last.meta[0]["corpus"] for last, _ in speech] == ["an4", "an4", "synthetic"]
    assert speech[-1][1][0].isfinite().all()
