from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from engines.errors import Cancelled, RequestError
from engines.lab.data import folders
from engines.lab.data.arrays import PX, sound_codes
from engines.protocol import Cancel
from tests.engines.lab.makers import save_photos, save_sound, save_sounds, tone


def read(folder: Path, seed: int = 0) -> folders.FolderContents:
    return folders.read(folder, np.random.default_rng(seed))


def refusal(folder: Path) -> RequestError:
    """The sentence a folder is refused with, in Chinese too and without the way to it."""
    with pytest.raises(RequestError) as caught:
        read(folder)
    assert re.search(r"[\u4e00-\u9fff]", caught.value.zh)
    assert str(folder.parent) not in caught.value.en + caught.value.zh
    return caught.value


def test_photos_and_sounds_are_read_class_by_class(tmp_path):
    for name in ("cat", "dog"):
        save_photos(tmp_path / name, 6)
        save_sounds(tmp_path / name, 5)
    found = read(tmp_path)
    assert found.classes == ("cat", "dog")
    assert found.photos is not None and [len(own) for own in found.photos] == [6, 6]
    assert found.sounds is not None and [len(own) for own in found.sounds] == [5, 5]
    assert found.photos[0][0].shape == (PX, PX, 3)


def test_a_sense_that_not_every_class_has_is_left_out(tmp_path):
    for name in ("cat", "dog"):
        save_photos(tmp_path / name, 5)
    save_sounds(tmp_path / "cat", 2)
    assert read(tmp_path).sounds is None


def test_of_a_long_sound_the_loudest_second_is_taken(tmp_path):
    loud = tone(1.0, 1500.0, level=0.8)
    for name in ("cat", "dog"):
        save_sounds(tmp_path / name, 5)
    save_sound(tmp_path / "cat" / "long.wav", np.concatenate([tone(1.5, 200.0, 0.1), loud, tone(1.5, 300.0, 0.1)]))
    found = read(tmp_path).sounds
    assert found is not None
    longest = max(found[0], key=len)
    expected = sound_codes(loud)
    assert expected is not None and np.abs(longest[5:-5].astype(int) - expected[5:-5]).mean() < 2


def test_hidden_folders_and_files_of_other_kinds_are_passed_over(tmp_path):
    for name in ("cat", "dog", ".cache"):
        save_photos(tmp_path / name, 5)
    (tmp_path / "cat" / "notes.txt").write_text("meow")
    (tmp_path / "read me.txt").write_text("cats and dogs")
    assert read(tmp_path).classes == ("cat", "dog")


def test_the_digest_changes_with_the_files_alone(tmp_path):
    for name in ("cat", "dog"):
        save_photos(tmp_path / name, 5)
    before = read(tmp_path)
    assert before.digest == read(tmp_path, seed=9).digest
    save_photos(tmp_path / "dog", 1, first=5)
    assert before.digest != read(tmp_path).digest


def test_no_more_of_a_class_are_taken_than_it_says(tmp_path, monkeypatch):
    monkeypatch.setattr(folders, "MAX_PER_CLASS", 5)
    for name in ("cat", "dog"):
        save_photos(tmp_path / name, 9)
    found = read(tmp_path).photos
    assert found is not None and [len(own) for own in found] == [5, 5]


def test_reading_can_be_stopped(tmp_path):
    for name in ("cat", "dog"):
        save_photos(tmp_path / name, 5)
    cancel = Cancel()
    cancel.set()
    with pytest.raises(Cancelled, match="reading a folder was stopped"):
        folders.read(tmp_path, np.random.default_rng(0), cancel)


# --- what is wrong with a folder ---------------------------------------------------------------------------------


def test_a_folder_without_enough_classes_or_with_too_many_says_so(tmp_path):
    pets = tmp_path / "pets"
    assert "There is no folder pets that can be opened" in refusal(pets).en
    save_photos(pets, 5)
    assert "pets has no sub-folders; make one for each class" in refusal(pets).en
    save_photos(pets / "cat", 5)
    assert refusal(pets).en == "pets has only one class, cat; add a sub-folder for a second one."
    for i in range(100):
        (pets / str(i)).mkdir()
    assert refusal(pets).en == "pets has 101 classes; at most 100 are taken."


def test_a_class_that_falls_short_is_named_with_what_could_not_be_used(tmp_path):
    save_photos(tmp_path / "cat", 5)
    save_photos(tmp_path / "dog", 3)
    (tmp_path / "dog" / "torn.png").write_bytes(b"\x89PNG torn")
    (tmp_path / "dog" / "again.png").write_bytes((tmp_path / "dog" / "000.png").read_bytes())
    (tmp_path / "dog" / "empty.png").write_bytes(b"")
    error = refusal(tmp_path)
    assert error.en == (
        "Of the 5 photos a class needs, dog has 3 (3 more cannot be read, are silent or are there twice); add some."
    )


def test_silent_sounds_do_not_count(tmp_path):
    save_sounds(tmp_path / "cat", 5)
    save_sounds(tmp_path / "dog", 4)
    save_sound(tmp_path / "dog" / "silent.wav", np.zeros(16000, np.float32))
    assert "dog has 4 (1 more cannot be read, are silent" in refusal(tmp_path).en


def test_a_folder_of_which_nothing_can_be_read_says_so(tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / "pets" / name).mkdir(parents=True)
        (tmp_path / "pets" / name / "torn.jpg").write_bytes(b"torn")
    assert "None of the 2 files in pets can be read" in refusal(tmp_path / "pets").en


def test_classes_of_different_senses_cannot_be_told_apart_by_one(tmp_path):
    save_photos(tmp_path / "cat", 5)
    save_sounds(tmp_path / "dog", 5)
    assert refusal(tmp_path).en == (
        "Every class needs photos, or every class sounds: dog has no photos and cat no sounds."
    )
