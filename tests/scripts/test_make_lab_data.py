from __future__ import annotations

import importlib.util
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from engines.lab.data import datasets
from scripts import character_drawings as drawings
from scripts import make_lab_data as make
from scripts.make_lab_data import ESPEAK, FAMILIES, FLITE, PINYIN, WORDS, Speaker, speakers


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """Where the data sets are looked for and written to."""
    monkeypatch.setattr(datasets, "BUNDLED", tmp_path)
    return tmp_path


def two_voices() -> list[Speaker]:
    everyone = speakers(np.random.default_rng(0))
    return [next(p for p in everyone if p.split == split and p.accents) for split in ("train", "test")]


def test_every_family_has_voices_in_every_split():
    everyone = speakers(np.random.default_rng(0))
    assert len({p.name for p in everyone}) == len(everyone) >= 40
    shares = Counter((p.family, p.split) for p in everyone if p.accents)
    assert set(shares) == {(family, split) for family in FAMILIES for split in datasets.SPLITS}
    assert set(ESPEAK) == set(FAMILIES) >= set(FLITE)


def test_every_language_names_ten_digits():
    assert {len(words) for words in WORDS.values()} == {10} == {len(PINYIN)}
    assert set(make.ACCENTS) == set(WORDS)


@pytest.mark.parametrize(("n", "shares"), [(1, [1, 0, 0]), (3, [1, 1, 1]), (10, [6, 2, 2]), (24, [14, 5, 5])])
def test_voices_are_shared_out_sixty_twenty_twenty(n, shares):
    assert np.bincount(make._splits(n), minlength=3).tolist() == shares


def test_digits_made_with_two_voices_read_back_as_material(here, capsys):
    if shutil.which("espeak-ng") is None:
        pytest.skip("espeak-ng is not installed")
    if importlib.util.find_spec("sklearn") is None:
        pytest.skip("scikit-learn is not installed")
    make.make_digits(here / datasets.DIGITS, two_voices())
    made = datasets.digits.__wrapped__()
    assert made.train.sounds is not None and made.test.sounds is not None and made.train.pictures is not None
    assert len(made.train.sounds) == len(made.test.sounds) == 40
    assert set(made.train.sounds.voices) == {0} and set(made.test.sounds.voices) == {1}
    assert np.diff(made.train.sounds.ends).min() >= 10  # every digit takes a tenth of a second
    assert len(made.train.pictures) == pytest.approx(0.6 * 1797, abs=6)
    assert f"{datasets.DIGITS}: " in capsys.readouterr().out
    first = made.digest
    make.make_digits(here / datasets.DIGITS, two_voices())
    assert datasets.digits.__wrapped__().digest == first


def test_a_voice_that_says_nothing_is_left_out_and_named(monkeypatch, capsys):
    monkeypatch.setattr(make, "speak", lambda *_: None)
    voice = Speaker("flite kal16", "man", "train", "flite", {}, 1.0, 50.0)
    assert len(make.spoken([voice], np.random.default_rng(0))["labels"]) == 0
    assert "flite kal16 says nothing for 0 in en; left out" in capsys.readouterr().out


def test_characters_made_of_two_scripts_read_back_each_in_its_split(here):
    if not drawings._files(drawings.SCRIPTS["Armenian"].fonts):
        pytest.skip("fonts-noto-core is not installed")
    make.make_characters(here / datasets.CHARACTERS, ["Latin", "Armenian"], n_characters=3)
    train, test = (datasets.characters.__wrapped__(split) for split in ("train", "test"))
    assert train.drawings.shape == test.drawings.shape == (3, 20, 28, 28)
    assert set(train.scripts) == {"Latin"} and all(name.startswith("ARMENIAN") for name in test.names)


def test_the_command_says_which_program_is_missing(monkeypatch, capsys):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(SystemExit):
        make.main([])
    assert "espeak-ng and flite not found; apt-get install espeak-ng flite" in capsys.readouterr().err


def test_the_command_makes_both_files(tmp_path, monkeypatch):
    made: list[Path] = []
    monkeypatch.setattr(shutil, "which", lambda name: name)
    monkeypatch.setattr(make, "make_characters", lambda path, scripts: made.append(path))
    monkeypatch.setattr(make, "make_digits", lambda path, people: made.append(path))
    make.main(["--out", str(tmp_path)])
    assert made == [tmp_path / "characters.safetensors", tmp_path / "digits.safetensors"]
