"""Label sets on disk: what is kept comes back, under any name, and what is damaged costs one sentence."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from engines.errors import CollectionError, RequestError, UserError
from engines.lab.fewshot import Example, LabelSet
from engines.lab.label_store import SUFFIX, LabelFolder, slug

D = 8


def some_set(name: str = "Pets", *, digest: str = "model") -> LabelSet:
    rng = np.random.default_rng(len(name))
    examples = []
    for n, (label, file) in enumerate((("cat", "a.jpg"), ("狗", "b 🐕.wav"), ("cat", "c.jpg"))):
        vector = rng.normal(size=D).astype(np.float32)
        kind: Any = "sound" if n == 1 else "photo"
        examples.append(Example(label, file, f"/somewhere/{file}", kind, vector / np.linalg.norm(vector)))
    return LabelSet(name, tuple(examples), digest)


@pytest.fixture
def labels(tmp_path) -> LabelFolder:
    return LabelFolder(tmp_path / "labels")


def files(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "labels").iterdir())


# --- keeping -------------------------------------------------------------------------------------------------------


def test_before_anything_is_kept_there_is_no_folder_and_no_set(labels, tmp_path):
    assert labels.entries() == []
    assert not (tmp_path / "labels").exists()


def with_copies(folder: Path, name: str = "Pets") -> LabelSet:
    """A set whose examples lie in the folder of copies."""
    copies = []
    for n, example in enumerate(some_set(name).examples):
        copy = folder / "media" / name / str(n) / example.file
        copy.parent.mkdir(parents=True)
        copy.write_bytes(b"copy")
        copies.append(replace(example, path=str(copy)))
    return LabelSet(name, tuple(copies), "model")


def test_copies_of_its_examples_go_with_a_set_and_those_of_others_stay(labels, tmp_path):
    media = tmp_path / "labels" / "media"
    labels.save(with_copies(tmp_path / "labels"))
    labels.save(with_copies(tmp_path / "labels", "Birds"))
    labels.rename("Pets", "Animals")
    assert sorted(folder.name for folder in media.iterdir()) == ["Birds", "Pets"], "a new name keeps them"
    labels.delete("Animals")
    assert [folder.name for folder in media.iterdir()] == ["Birds"]
    labels.save(some_set("Birds"))
    assert list(media.iterdir()) == [], "a set that is replaced leaves none behind"


def test_examples_that_lie_elsewhere_are_nobodys_to_delete(labels, tmp_path):
    own = tmp_path / "photo.jpg"
    own.write_bytes(b"mine")
    labels.save(LabelSet("Pets", tuple(replace(e, path=str(own)) for e in some_set().examples), "model"))
    labels.delete("Pets")
    assert own.read_bytes() == b"mine"


def test_a_set_comes_back_as_it_was(labels):
    kept = some_set()
    labels.save(kept)
    found = labels.load("Pets")
    assert (found.name, found.labels, found.model_digest) == ("Pets", ("cat", "狗"), "model")
    for one, other in zip(found.examples, kept.examples, strict=True):
        assert (one.label, one.file, one.path, one.kind) == (other.label, other.file, other.path, other.kind)
        np.testing.assert_array_equal(one.vector, other.vector)


def test_sets_are_listed_by_name_with_what_they_hold(labels):
    for name in ("zoo", "Birds", "猫"):
        labels.save(some_set(name))
    assert [entry.name for entry in labels.entries()] == ["Birds", "zoo", "猫"]
    entry = labels.entries()[0]
    assert (entry.labels, entry.n_examples, entry.model_digest, entry.failure) == (("cat", "狗"), 3, "model", None)


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "..", "🐱🐶", "a/b\\c:d", "CON", "x" * 60, "猫和狗", "-rf *", "Ünï cödé", ".hidden"]
)
def test_any_name_is_fine_and_none_leads_out_of_the_folder(name, labels, tmp_path):
    labels.save(some_set(name))
    (file,) = files(tmp_path)
    assert file.suffix == SUFFIX and len(file.name) < 80 and file.name.isascii()
    assert [path.name for path in tmp_path.iterdir()] == ["labels"]
    assert labels.load(name).name == name


def test_names_that_look_the_same_are_the_same_and_others_are_not():
    assert slug("Pets") == slug(" pets ") == slug("PETS")
    assert slug("café") == slug("cafe\u0301") == slug("CAFÉ")
    assert len({slug(name) for name in ("pets", "pets!", "pet s", "猫", "狗", "🐱")}) == 6


def test_a_set_of_the_same_name_is_replaced(labels, tmp_path):
    labels.save(some_set("Pets"))
    labels.save(some_set("pets", digest="newer"))
    assert [(entry.name, entry.model_digest) for entry in labels.entries()] == [("pets", "newer")]
    assert len(files(tmp_path)) == 1


# --- renaming and deleting -----------------------------------------------------------------------------------------


def test_a_set_is_renamed(labels, tmp_path):
    labels.save(some_set())
    labels.rename("pets", "  My  animals ")
    assert labels.load("my animals").labels == ("cat", "狗")
    assert [entry.name for entry in labels.entries()] == ["My animals"]
    assert len(files(tmp_path)) == 1


def test_only_the_case_of_a_name_can_be_changed(labels):
    labels.save(some_set("pets"))
    labels.rename("pets", "PETS")
    assert [entry.name for entry in labels.entries()] == ["PETS"]


def test_a_rename_never_overwrites_another_set(labels):
    labels.save(some_set("one"))
    labels.save(some_set("two"))
    with pytest.raises(RequestError, match="There is a label set 'Two' already"):
        labels.rename("one", "Two")
    assert [entry.name for entry in labels.entries()] == ["one", "two"]


@pytest.mark.parametrize(("new", "sentence"), [("  ", "Give the label set a name"), ("x" * 61, "61 letters; at most")])
def test_a_rename_to_no_name_leaves_the_set(new, sentence, labels):
    labels.save(some_set())
    with pytest.raises(RequestError, match=sentence):
        labels.rename("Pets", new)
    assert labels.load("Pets").name == "Pets"


def test_a_set_is_deleted(labels, tmp_path):
    labels.save(some_set())
    labels.delete("PETS")
    assert labels.entries() == [] and files(tmp_path) == []


@pytest.mark.parametrize("act", [LabelFolder.load, LabelFolder.delete, lambda labels, name: labels.rename(name, "x")])
def test_a_set_that_is_not_there_is_a_sentence_that_lists_what_is(act, labels):
    with pytest.raises(RequestError, match="No label set is called 'Cars'; there are: none yet"):
        act(labels, "Cars")
    labels.save(some_set())
    with pytest.raises(RequestError, match="No label set is called 'Cars'; there are: Pets"):
        act(labels, "Cars")


# --- damage --------------------------------------------------------------------------------------------------------


def change(path: Path, **changes: Any) -> None:
    """Write a set's file anew with something else in it. vectors: another array; the rest goes into the JSON."""
    with safe_open(path, "np") as file:
        about, vectors = json.loads(file.metadata()["labels"]), file.get_tensor("vectors")
    vectors = changes.pop("vectors", vectors)
    save_file({"vectors": vectors}, path, {"labels": json.dumps(about | changes)})


ROW = {"label": "cat", "file": "a", "path": "", "kind": "photo"}
DAMAGE: dict[str, dict[str, Any]] = {
    "another format": {"format": "2"},
    "no name": {"name": None},
    "another name": {"name": "Cars"},
    "no examples": {"examples": []},
    "an example too many": {"examples": [ROW] * 4},
    "one label only": {"examples": [ROW] * 3},
    "a label that is a number": {"examples": [ROW, ROW, ROW | {"label": 3}]},
    "a kind there is not": {"examples": [ROW, ROW, ROW | {"label": "dog", "kind": "smell"}]},
    "examples that are none": {"examples": [1, 2, 3]},
    "vectors of any length": {"vectors": np.full((3, D), 3, np.float32)},
    "numbers that are none": {"vectors": np.full((3, D), np.nan, np.float32)},
    "vectors of another type": {"vectors": np.eye(3, D, dtype=np.float64)},
    "one long vector": {"vectors": np.ones(3, np.float32)},
}


@pytest.mark.parametrize("what", DAMAGE)
def test_a_damaged_set_is_one_sentence_and_the_others_still_work(what, labels, tmp_path):
    labels.save(some_set("Pets"))
    (file,) = files(tmp_path)
    labels.save(some_set("Zoo"))
    change(file, **DAMAGE[what])
    with pytest.raises(CollectionError, match=r"The label set in pets-\w+\.safetensors is damaged") as caught:
        labels.load("Pets")
    well, ill = labels.entries()
    assert (well.name, well.failure, ill.name) == ("Zoo", None, file.stem)
    assert ill.failure is not None and str(ill.failure) == str(caught.value)


@pytest.mark.parametrize("content", [b"", b"junk", b"\xff" * 100])
def test_a_file_that_is_no_set_is_listed_and_can_be_deleted(content, labels, tmp_path):
    labels.save(some_set())
    file = tmp_path / "labels" / f"found on the web{SUFFIX}"
    file.write_bytes(content)
    assert [entry.failure is None for entry in labels.entries()] == [True, False]
    labels.delete("found on the web")
    assert [entry.name for entry in labels.entries()] == ["Pets"]


def test_a_file_far_too_large_is_not_read(labels, tmp_path, monkeypatch):
    labels.save(some_set())
    monkeypatch.setattr("engines.lab.label_store.MAX_FILE_BYTES", 100)
    with pytest.raises(CollectionError, match="is damaged"):
        labels.load("Pets")


def test_a_set_that_was_renamed_by_hand_is_named_as_unusable_and_can_be_deleted(labels, tmp_path):
    labels.save(some_set())
    (file,) = files(tmp_path)
    file.rename(file.with_name(f"copy{SUFFIX}"))
    (entry,) = labels.entries()
    assert entry.name == "copy" and "or its file was renamed" in str(entry.failure)
    labels.delete("copy")
    assert labels.entries() == []


def test_a_folder_that_cannot_be_written_is_a_sentence(tmp_path):
    (tmp_path / "labels").write_text("a file where the folder should be")
    with pytest.raises(UserError, match="Label sets cannot be kept"):
        LabelFolder(tmp_path / "labels").save(some_set())


def test_a_write_that_fails_leaves_the_old_set(labels, tmp_path, monkeypatch):
    def no_space(*_: object) -> None:
        raise OSError(28, "No space left on device")

    labels.save(some_set())
    monkeypatch.setattr("os.replace", no_space)
    with pytest.raises(UserError, match="free some space"):
        labels.save(some_set(digest="newer"))
    monkeypatch.undo()
    assert labels.load("Pets").model_digest == "model"
    assert len(files(tmp_path)) == 1
