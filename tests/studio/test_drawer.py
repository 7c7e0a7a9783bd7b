from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engines import CollectionError, RequestError, UserError
from engines.lab.fewshot import MAX_EXAMPLES, MAX_LABELS, MIN_LABELS, Example, LabelSet
from studio.drawer import MEDIA, N_TRAYS, Drawer, Dropped, Tray


def dropped(name: str) -> Dropped:
    return Dropped(Path(name), "photo", f"id-{name}")


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
def drawer(tmp_path: Path) -> Drawer:
    """The owner's."""
    return Drawer(tmp_path / "labels")


# --- the tray ------------------------------------------------------------------------------------------------------


def test_a_file_dropped_twice_lies_in_its_row_once() -> None:
    tray = Tray()
    tray.add(0, [dropped("a"), dropped("b")])
    assert tray.add(0, [dropped("b"), dropped("c")]) == 0
    assert [file.path.name for file in tray.row(0)] == ["a", "b", "c"]
    assert tray.row(1) == ()


def test_a_row_takes_what_it_can_and_tells_how_many_were_too_many() -> None:
    tray = Tray()
    tray.add(0, [dropped("first")])
    assert tray.add(0, [dropped(str(n)) for n in range(MAX_EXAMPLES + 2)]) == 3
    assert len(tray.row(0)) == MAX_EXAMPLES
    assert tray.row(0)[0] == dropped("first")


def test_one_file_is_taken_out_and_a_row_removed_without_touching_others() -> None:
    tray = Tray()
    for n, name in enumerate("abc"):
        tray.add(n, [dropped(name), dropped(f"{name}2")])
    tray.more(3)
    tray.take(1, "id-b")
    tray.take(1, "id-nothing")
    assert tray.row(1) == (dropped("b2"),)
    tray.remove(0)
    assert (tray.row(0), tray.row(1)) == ((dropped("b2"),), (dropped("c"), dropped("c2")))
    assert tray.n_rows == 2


def test_as_many_rows_are_seen_as_make_a_set_and_no_more_than_can_be_taught() -> None:
    tray = Tray()
    tray.remove(0)
    assert tray.n_rows == MIN_LABELS
    tray.more(MAX_LABELS + 5)
    assert tray.n_rows == MAX_LABELS
    tray.fill([(dropped("a"),)])
    assert tray.n_rows == MIN_LABELS


def test_what_lies_on_the_tray_is_loose_unless_it_is_the_set_in_use() -> None:
    tray = Tray()
    assert not tray.is_loose
    tray.add(0, [dropped("a")])
    assert tray.is_loose
    tray.use("Pets")
    assert not tray.is_loose
    tray.add(1, [dropped("b")])
    assert tray.is_loose
    tray.take(1, "id-b")
    assert not tray.is_loose
    tray.taught = ""  # the set was deleted
    assert tray.is_loose


def test_every_page_has_a_tray_of_its_own_and_old_ones_are_dropped(drawer: Drawer) -> None:
    drawer.tray("me").add(0, [dropped("a")])
    assert drawer.tray("you").row(0) == ()
    assert drawer.tray("me").row(0) == (dropped("a"),)
    for n in range(N_TRAYS):
        drawer.tray(str(n))
    assert drawer.tray("me").row(0) == ()


# --- the drawer ----------------------------------------------------------------------------------------------------


def test_a_set_is_kept_with_copies_of_its_examples(drawer: Drawer, tmp_path: Path) -> None:
    taught = pets(tmp_path / "uploads")
    drawer.keep("me", taught)
    for file in (tmp_path / "uploads").iterdir():
        file.unlink()
    again = Drawer(tmp_path / "labels").load("another page", "pets")
    assert [Path(example.path).read_bytes() for example in again.examples] == [b"cat", b"dog"]
    assert [example.file for example in again.examples] == ["cat.jpg", "dog.jpg"]
    assert not any(str(tmp_path / "uploads") in example.path for example in again.examples)


def test_two_examples_of_one_name_are_kept_apart(drawer: Drawer, tmp_path: Path) -> None:
    first, second = pets(tmp_path / "a").examples
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "cat.jpg").write_bytes(b"another")
    twin = replace(second, file="cat.jpg", path=str(tmp_path / "b" / "cat.jpg"))
    drawer.keep("me", LabelSet("Pets", (first, twin), "digest"))
    assert [Path(each.path).read_bytes() for each in drawer.load("me", "Pets").examples] == [b"cat", b"another"]


def test_a_set_taught_again_leaves_nothing_of_the_old_one(drawer: Drawer, tmp_path: Path) -> None:
    drawer.keep("me", pets(tmp_path / "a"))
    drawer.keep("me", pets(tmp_path / "b", name="PETS"))
    assert [entry.name for entry in drawer.entries("me")] == ["PETS"]
    assert kept_files(tmp_path / "labels") == ["cat.jpg", "dog.jpg"]


def test_a_set_can_be_taught_again_from_its_own_copies(drawer: Drawer, tmp_path: Path) -> None:
    drawer.keep("me", pets(tmp_path / "a"))
    drawer.keep("me", drawer.load("me", "Pets"))
    assert [Path(each.path).read_bytes() for each in drawer.load("me", "Pets").examples] == [b"cat", b"dog"]


def test_a_renamed_set_keeps_its_examples_and_a_deleted_one_leaves_none(drawer: Drawer, tmp_path: Path) -> None:
    drawer.keep("me", pets(tmp_path / "a"))
    drawer.rename("me", "Pets", "宠物")
    assert drawer.has("me", "宠物") and not drawer.has("me", "Pets")
    assert all(Path(each.path).is_file() for each in drawer.load("me", "宠物").examples)
    drawer.delete("me", "宠物")
    assert drawer.entries("me") == []
    assert kept_files(tmp_path / "labels") == []


def test_deleting_a_set_leaves_files_alone_that_are_not_copies(drawer: Drawer, tmp_path: Path) -> None:
    drawer.keep("me", pets(tmp_path / "a"))
    mine = pets(tmp_path / "labels" / "media-of-mine", name="Mine")  # as the command line keeps it: where files lie
    drawer._labels("me").save(mine)
    drawer.delete("me", "Mine")
    assert all(Path(each.path).is_file() for each in mine.examples)
    assert kept_files(tmp_path / "labels") == ["cat.jpg", "dog.jpg"]


def test_a_set_whose_examples_are_gone_is_not_kept_and_the_old_one_stays(drawer: Drawer, tmp_path: Path) -> None:
    drawer.keep("me", pets(tmp_path / "a"))
    taught = pets(tmp_path / "b")
    (tmp_path / "b" / "dog.jpg").unlink()
    with pytest.raises(UserError, match="cannot be kept"):
        drawer.keep("me", taught)
    assert [Path(each.path).read_bytes() for each in drawer.load("me", "Pets").examples] == [b"cat", b"dog"]
    assert kept_files(tmp_path / "labels") == ["cat.jpg", "dog.jpg"]


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "labels").write_text("a file where the folder should be")
    with pytest.raises(UserError, match="cannot be kept"):
        Drawer(tmp_path / "labels").keep("me", pets(tmp_path / "a"))


def test_a_damaged_set_is_listed_and_can_be_deleted(drawer: Drawer, tmp_path: Path) -> None:
    drawer.keep("me", pets(tmp_path / "a"))
    (damaged,) = (tmp_path / "labels").glob("*.safetensors")
    damaged.write_bytes(b"no set")
    (entry,) = drawer.entries("me")
    assert entry.failure is not None
    with pytest.raises(CollectionError, match="damaged"):
        drawer.load("me", "Pets")
    drawer.delete("me", entry.name)
    assert drawer.entries("me") == []


def test_a_visitors_sets_are_seen_by_nobody_else_and_go_with_the_page(tmp_path: Path) -> None:
    drawer = Drawer()
    drawer.keep("visitor", pets(tmp_path / "a"))
    folder = Path(drawer.load("visitor", "Pets").examples[0].path).parents[3]
    assert drawer.entries("another") == []
    with pytest.raises(RequestError, match="none yet"):
        drawer.load("another", "Pets")
    drawer.forget("visitor")
    assert not folder.exists()
    assert drawer.entries("visitor") == []


def test_the_owners_sets_stay_when_the_page_is_closed_and_the_tray_of_one_that_only_slept(
    drawer: Drawer, tmp_path: Path
) -> None:
    drawer.keep("me", pets(tmp_path / "a"))
    drawer.tray("me").add(0, [dropped("a")])
    drawer.forget("me")
    assert drawer.has("me", "Pets")
    assert drawer.tray("me").row(0) == (dropped("a"),)
