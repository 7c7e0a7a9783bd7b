from __future__ import annotations

import gzip
import hashlib
import itertools
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engines.errors import RequestError
from engines.lab.data import datasets
from engines.lab.data.arrays import Sounds
from engines.lab.data.datasets import (
    SPLITS,
    Dataset,
    DatasetSplit,
    SplitName,
    characters,
    digits,
    from_folder,
    omniglot,
)
from tests.engines.lab.makers import save_photos, save_sounds

FILES = [datasets.BUNDLED / name for name in (datasets.DIGITS, datasets.CHARACTERS)]
each_split = pytest.mark.parametrize("split", SPLITS)


def split_of(dataset: Dataset, name: SplitName) -> DatasetSplit:
    split: DatasetSplit = getattr(dataset, name)
    return split


# --- the bundled digits ------------------------------------------------------------------------------------------


def test_what_is_bundled_is_small_and_its_sources_are_named():
    assert sum(path.stat().st_size for path in FILES) < 6_000_000
    sources = (datasets.BUNDLED / "SOURCES.md").read_text(encoding="utf-8")
    assert "The writing is real, the speech is synthetic." in sources
    assert all(path.name in sources for path in FILES)


def test_digits_are_seen_heard_in_four_languages_and_written():
    dataset = digits()
    assert dataset.has_pictures and dataset.has_sounds
    assert dataset.classes == tuple("0123456789") and dataset.languages == ("en", "de", "fr", "zh")
    assert dataset.digest == hashlib.sha256(FILES[0].read_bytes()).hexdigest()
    assert sum(len(split_of(dataset, split).pictures or ()) for split in SPLITS) == 1797
    assert sum(len(split_of(dataset, split).sounds or ()) for split in SPLITS) == 2000


@each_split
def test_every_split_has_every_digit_in_every_language_and_every_family_of_voices(split):
    dataset, part = digits(), split_of(digits(), split)
    assert part.pictures is not None and part.sounds is not None
    assert set(part.pictures.labels) == set(range(10))
    said = set(zip(part.sounds.labels.tolist(), part.sounds.languages.tolist(), strict=True))
    assert said == set(itertools.product(range(10), range(4)))
    families = {dataset.voices[v].family for v in part.sounds.voices}
    assert families == set(dataset.families)


def test_no_voice_is_heard_in_two_splits_and_there_are_many():
    heard = [
        set(sounds.voices.tolist()) for split in SPLITS if (sounds := split_of(digits(), split).sounds) is not None
    ]
    assert sum(map(len, heard)) == len(set.union(*heard)) == len(digits().voices) >= 40


def test_no_picture_is_seen_in_two_splits():
    seen = [
        {p.tobytes() for p in own.pixels} for split in SPLITS if (own := split_of(digits(), split).pictures) is not None
    ]
    assert all(a.isdisjoint(b) for a, b in itertools.combinations(seen, 2))


def test_words_are_the_names_of_the_digits():
    words = digits().train.words
    named = {(words.languages[i], words.labels[i]): text for i, text in enumerate(words.texts)}
    assert [named[language, 0] for language in range(4)] == ["zero", "null", "zéro", "零"]
    assert len(named) == 40


def test_the_spoken_digits_of_unheard_voices_can_be_told_apart():
    """Nearest mean of the training voices, English: far above chance, so labels and sounds belong together."""
    train, test = digits().train.sounds, digits().test.sounds
    assert train is not None and test is not None

    def shapes(sounds: Sounds) -> tuple[np.ndarray, np.ndarray]:
        index = np.flatnonzero(sounds.languages == 0)
        mel, n_frames = sounds.batch(index, rng=np.random.default_rng(0))
        at = [np.linspace(0, n - 1, 10).round().astype(int) for n in n_frames.tolist()]
        return np.stack([m.numpy()[:, i].ravel() for m, i in zip(mel, at, strict=True)]), sounds.labels[index]

    (x, y), (x_test, y_test) = shapes(train), shapes(test)
    means = np.stack([x[y == digit].mean(axis=0) for digit in range(10)])
    guesses = ((x_test[:, None] - means) ** 2).sum(axis=-1).argmin(axis=1)
    assert (guesses == y_test).mean() > 0.5


# --- a person's own folder ---------------------------------------------------------------------------------------


def test_a_folder_becomes_a_data_set_whose_words_are_the_names_of_its_classes(tmp_path):
    for name in ("grey_cat", "狗"):
        save_photos(tmp_path / "pets" / name, 10)
        save_sounds(tmp_path / "pets" / name, 5)
    own = from_folder(tmp_path / "pets")
    assert own.name == "pets" and own.classes == own.train.words.texts == ("grey cat", "狗")
    sizes = {
        split: (len(split_of(own, split).pictures or ()), len(split_of(own, split).sounds or ())) for split in SPLITS
    }
    assert sizes == {"train": (12, 6), "valid": (4, 2), "test": (4, 2)}
    assert own.train.pictures is not None
    assert own.train.pictures.batch(np.array([0]), rng=np.random.default_rng(0)).shape == (1, 3, 64, 64)


def test_a_folder_is_shared_out_the_same_for_the_same_seed_and_never_twice(tmp_path):
    for name in ("cat", "dog"):
        save_photos(tmp_path / name, 7)

    def shares(seed: int) -> list[set[bytes]]:
        own = from_folder(tmp_path, seed=seed)
        return [{p.tobytes() for p in x.pixels} for s in SPLITS if (x := split_of(own, s).pictures) is not None]

    assert shares(1) == shares(1) != shares(2)
    assert sum(map(len, shares(1))) == len(set.union(*shares(1))) == 14


# --- characters --------------------------------------------------------------------------------------------------


def test_characters_are_many_each_drawn_twenty_times_and_not_the_same():
    train = characters("train")
    assert train.drawings.shape[1:] == (20, 28, 28) and set(np.unique(train.drawings)) == {0, 1}
    assert len(train.drawings) == len(train.scripts) == len(train.names) > 400
    assert all(len({d.tobytes() for d in drawn}) > 15 for drawn in train.drawings)


def test_no_script_is_in_two_splits():
    scripts = [set(characters(split).scripts) for split in SPLITS]
    assert 25 <= sum(map(len, scripts)) == len(set.union(*scripts)) <= 40


@pytest.mark.parametrize("read", [digits.__wrapped__, lambda: characters.__wrapped__("train")])
@pytest.mark.parametrize("content", [None, b"no safetensors"])
def test_a_bundled_file_that_is_missing_or_damaged_says_so(read, content, tmp_path, monkeypatch):
    monkeypatch.setattr(datasets, "BUNDLED", tmp_path)
    if content is not None:
        for path in FILES:
            (tmp_path / path.name).write_bytes(content)
    assert callable(read)
    with pytest.raises(RequestError, match=r"assets/lab/\w+.safetensors is missing or damaged"):
        read()


# --- Omniglot ----------------------------------------------------------------------------------------------------


def packed(path: Path, files: list[Path]) -> None:
    with tarfile.open(path, "w:") as tar:
        for file in files:
            tar.add(file, file.name)


def test_omniglot_is_cut_out_of_its_sheets_with_strokes_as_ones(tmp_path):
    (tmp_path / "fewshot").mkdir()
    sheet = np.full((28, 28 * 4), 255, np.uint8)
    sheet[:, 28 * 3] = 0  # one stroke, in the second drawing of the second character
    Image.fromarray(sheet).save(tmp_path / "Elvish.png")
    packed(tmp_path / "fewshot" / "omniglot28.tar", [tmp_path / "Elvish.png"])
    row = {"id": "Elvish", "file": "Elvish.png", "classes": 2, "per_class": 2, "tile": 28, "split": "dev"}
    with gzip.open(tmp_path / "fewshot" / "omniglot28.jsonl.gz", "wt") as file:
        file.write(json.dumps({**row, "corpus": "omniglot"}))
    found = omniglot(tmp_path, "dev")
    assert found.drawings.shape == (2, 2, 28, 28) and found.scripts == ("Elvish", "Elvish")
    assert found.drawings.sum() == found.drawings[1, 1, :, 0].sum() == 28


@pytest.mark.parametrize("corpus", [None, "something else"])
def test_omniglot_that_is_not_there_says_so(corpus, tmp_path):
    if corpus is not None:
        (tmp_path / "fewshot").mkdir()
        Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "fewshot" / "a.png")
        row = {"file": "a.png", "label": "a", "split": "dev", "corpus": corpus}
        (tmp_path / "fewshot" / "x.jsonl").write_text(json.dumps(row))
    with pytest.raises(RequestError, match="Omniglot cannot be read from this folder") as caught:
        omniglot(tmp_path, "dev")
    assert "Omniglot" in caught.value.zh
