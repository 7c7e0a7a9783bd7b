from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engines import RequestError, UserError
from engines.lab.fewshot import MAX_EXAMPLES, MAX_LABELS, MIN_LABELS, Example, LabelSet
from studio.registry import N_SESSIONS
from studio.tabs.teach.label_store import MEDIA, Draft, LabelStore, UploadedFile


def dropped(name: str) -> UploadedFile:
    return UploadedFile(Path(name), "photo", f"id-{name}")


def pets(folder: Path, name: str = "Pets") -> LabelSet:
    """A set of two photos, which lie in a folder that is soon to be emptied."""
    folder.mkdir(parents=True, exist_ok=True)
    examples = []
    for label in ("cat", "dog"):
        (folder / f"{label}.jpg").write_bytes(label.encode())
        vector = np.zeros(4, np.float32)
        vector[len(examples)] = 1.0
        examples.append(Example(label, f"{label}.jpg", str(folder / f"{label}.jpg"), "photo", vector))
    return LabelSet(name, tuple(examples), "digest")


def kept_files(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / MEDIA).rglob("*.jpg"))


@pytest.fixture
def label_store(tmp_path) -> LabelStore:
    """The owner's."""
    return LabelStore(tmp_path / "labels")


# --- the draft ------------------------------------------------------------------------------------------------------


def test_a_file_dropped_twice_lies_in_its_row_once():
    draft = Draft()
    draft.add(0, [dropped("a"), dropped("b")])
    assert draft.add(0, [dropped("b"), dropped("c")]) == 0
    assert [file.path.name for file in draft.row(0)] == ["a", "b", "c"]
    assert draft.row(1) == ()


def test_a_row_takes_what_it_can_and_tells_how_many_were_too_many():
    draft = Draft()
    draft.add(0, [dropped("first")])
    assert draft.add(0, [dropped(str(n)) for n in range(MAX_EXAMPLES + 2)]) == 3
    assert len(draft.row(0)) == MAX_EXAMPLES
    assert draft.row(0)[0] == dropped("first")


def test_one_file_is_taken_out_and_a_row_removed_without_touching_others():
    draft = Draft()
    for n, name in enumerate("abc"):
        draft.add(n, [dropped(name), dropped(f"{name}2")])
    draft.show_rows(3)
    draft.remove_file(1, "id-b")
    draft.remove_file(1, "id-nothing")
    assert draft.row(1) == (dropped("b2"),)
    draft.remove_row(0)
    assert (draft.row(0), draft.row(1)) == ((dropped("b2"),), (dropped("c"), dropped("c2")))
    assert draft.n_rows == 2


def test_as_many_rows_are_seen_as_make_a_set_and_no_more_than_can_be_taught():
    draft = Draft()
    draft.remove_row(0)
    assert draft.n_rows == MIN_LABELS
    draft.show_rows(MAX_LABELS + 5)
    assert draft.n_rows == MAX_LABELS
    draft.replace([(dropped("a"),)])
    assert draft.n_rows == MIN_LABELS


def test_a_draft_is_unsaved_unless_it_is_the_set_in_use():
    draft = Draft()
    assert not draft.is_unsaved
    draft.add(0, [dropped("a")])
    assert draft.is_unsaved
    draft.activate("Pets")
    assert not draft.is_unsaved
    draft.add(1, [dropped("b")])
    assert draft.is_unsaved
    draft.remove_file(1, "id-b")
    assert not draft.is_unsaved
    draft.active = ""  # the set was deleted
    assert draft.is_unsaved


def test_every_page_has_its_draft_and_old_ones_are_dropped(label_store):
    label_store.draft("me").add(0, [dropped("a")])
    assert label_store.draft("you").row(0) == ()
    assert label_store.draft("me").row(0) == (dropped("a"),)
    for n in range(N_SESSIONS):
        label_store.draft(str(n))
    assert label_store.draft("me").row(0) == ()


# --- the label store ------------------------------------------------------------------------------------------------


def test_a_set_is_kept_with_copies_of_its_examples(label_store, tmp_path):
    taught = pets(tmp_path / "uploads")
    label_store.save("me", taught)
    for file in (tmp_path / "uploads").iterdir():
        file.unlink()
    again = LabelStore(tmp_path / "labels").sets("another page").load("pets")
    assert [Path(example.path).read_bytes() for example in again.examples] == [b"cat", b"dog"]
    assert [example.file for example in again.examples] == ["cat.jpg", "dog.jpg"]
    assert not any(str(tmp_path / "uploads") in example.path for example in again.examples)


def test_two_examples_of_one_name_are_kept_apart(label_store, tmp_path):
    first, second = pets(tmp_path / "a").examples
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "cat.jpg").write_bytes(b"another")
    twin = replace(second, file="cat.jpg", path=str(tmp_path / "b" / "cat.jpg"))
    label_store.save("me", LabelSet("Pets", (first, twin), "digest"))
    assert [Path(each.path).read_bytes() for each in label_store.sets("me").load("Pets").examples] == [
        b"cat",
        b"another",
    ]


def test_a_set_taught_again_leaves_nothing_of_the_old_one(label_store, tmp_path):
    label_store.save("me", pets(tmp_path / "a"))
    label_store.save("me", pets(tmp_path / "b", name="PETS"))
    assert [entry.name for entry in label_store.sets("me").entries()] == ["PETS"]
    assert kept_files(tmp_path / "labels") == ["cat.jpg", "dog.jpg"]


def test_a_set_can_be_taught_again_from_its_own_copies(label_store, tmp_path):
    label_store.save("me", pets(tmp_path / "a"))
    label_store.save("me", label_store.sets("me").load("Pets"))
    assert [Path(each.path).read_bytes() for each in label_store.sets("me").load("Pets").examples] == [b"cat", b"dog"]


def test_a_renamed_set_keeps_its_examples_and_a_deleted_one_leaves_none(label_store, tmp_path):
    label_store.save("me", pets(tmp_path / "a"))
    label_store.sets("me").rename("Pets", "宠物")
    assert [entry.name for entry in label_store.sets("me").entries()] == ["宠物"]
    assert all(Path(each.path).is_file() for each in label_store.sets("me").load("宠物").examples)
    label_store.sets("me").delete("宠物")
    assert label_store.sets("me").entries() == []
    assert kept_files(tmp_path / "labels") == []


def test_a_set_whose_examples_are_gone_is_not_kept_and_the_old_one_stays(label_store, tmp_path):
    label_store.save("me", pets(tmp_path / "a"))
    taught = pets(tmp_path / "b")
    (tmp_path / "b" / "dog.jpg").unlink()
    with pytest.raises(UserError, match="cannot be kept"):
        label_store.save("me", taught)
    assert [Path(each.path).read_bytes() for each in label_store.sets("me").load("Pets").examples] == [b"cat", b"dog"]
    assert kept_files(tmp_path / "labels") == ["cat.jpg", "dog.jpg"]


def test_a_visitors_sets_are_seen_by_nobody_else_and_go_with_the_page(tmp_path):
    label_store = LabelStore()
    label_store.save("visitor", pets(tmp_path / "a"))
    folder = Path(label_store.sets("visitor").load("Pets").examples[0].path).parents[3]
    assert label_store.sets("another").entries() == []
    with pytest.raises(RequestError, match="none yet"):
        label_store.sets("another").load("Pets")
    label_store.forget("visitor")
    assert not folder.exists()
    assert label_store.sets("visitor").entries() == []


def test_the_owners_sets_and_the_draft_stay_when_the_page_is_closed(label_store, tmp_path):
    label_store.save("me", pets(tmp_path / "a"))
    label_store.draft("me").add(0, [dropped("a")])
    label_store.forget("me")
    assert [entry.name for entry in label_store.sets("me").entries()] == ["Pets"]
    assert label_store.draft("me").row(0) == (dropped("a"),)
