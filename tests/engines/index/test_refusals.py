"""A collection says in one sentence, English and Chinese, what is wrong with it, and nothing finished is lost."""

from __future__ import annotations

import random
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from engines.errors import CollectionError
from engines.index import Collection, discard
from engines.protocol import KINDS
from tests.engines.index.makers import direction, row

ALL = frozenset(KINDS)


def said(error: pytest.ExceptionInfo[CollectionError]) -> str:
    assert error.value.zh != error.value.en
    return error.value.en


def filled(file: Path, n_files: int = 3) -> None:
    with Collection(file, model_digest="m", create=True) as collection:
        for n in range(n_files):
            collection.put(Path(f"{n}.jpg"), str(n), [row(Path(f"{n}.jpg"), n)])


def changed(file: Path, *statements: str) -> None:
    with sqlite3.connect(file) as database:
        for statement in statements:
            database.execute(statement)
    database.close()


def other_database(file: Path) -> None:
    changed(file, "CREATE TABLE bookmarks (url TEXT)")


def from_the_future(file: Path) -> None:
    filled(file)
    changed(file, "PRAGMA user_version = 99")


def torn(file: Path) -> None:
    filled(file, 200)
    data = bytearray(file.read_bytes())
    data[8_192:] = random.Random(0).randbytes(len(data) - 8_192)
    file.write_bytes(data)


def cut(file: Path) -> None:
    filled(file, 200)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def short_vector(file: Path) -> None:
    filled(file)
    changed(file, "UPDATE rows SET vector = x'0000' WHERE id = 2")


def no_number(file: Path) -> None:
    filled(file)
    changed(file, f"UPDATE rows SET vector = x'{np.full(16, np.nan, '<f2').tobytes().hex()}'")


def without_a_model(file: Path) -> None:
    filled(file)
    changed(file, "DELETE FROM model")


def broken_schema(file: Path) -> None:
    filled(file)
    changed(file, "PRAGMA wal_checkpoint(TRUNCATE)")
    data = file.read_bytes()
    assert b"CREATE TABLE rows" in data
    file.write_bytes(data.replace(b"CREATE TABLE rows", b"CREATE TABLE r\xff\x00s"))


def words_for_numbers(file: Path) -> None:
    filled(file)
    changed(file, "UPDATE files SET path = 7 WHERE id = 1")


DAMAGED = (
    "holiday.fusion is no collection, or damaged beyond recognition; choose another, or index the folder under a new "
    "name."
)
TO_RENEW = "holiday.fusion is damaged; index the folder again, and it is made anew."
FOREIGN = "holiday.fusion is not a collection; choose another file or a new name."
FUTURE = "holiday.fusion was made by another version of this program; index the folder again under a new name."


@pytest.mark.parametrize(
    ("make", "sentences"),
    [
        (lambda file: file.write_text("shopping list\n" * 100), DAMAGED),
        (lambda file: file.write_bytes(random.Random(0).randbytes(9_000)), DAMAGED),
        (torn, TO_RENEW),
        (cut, TO_RENEW),
        (short_vector, TO_RENEW),
        (no_number, TO_RENEW),
        (broken_schema, TO_RENEW),
        (words_for_numbers, TO_RENEW),
        (other_database, FOREIGN),
        (from_the_future, FUTURE),
    ],
)
@pytest.mark.parametrize("create", [False, True])
def test_a_file_that_is_no_sound_collection_is_refused_and_left_alone(file, make, sentences, create):
    file.parent.mkdir()
    make(file)
    before = file.read_bytes()
    with pytest.raises(CollectionError) as caught:
        Collection(file, create=create)
    assert said(caught) == sentences
    assert file.read_bytes() == before


def test_a_collection_whose_model_is_not_named_is_damaged(file):
    file.parent.mkdir()
    without_a_model(file)
    with pytest.raises(CollectionError) as caught:
        Collection(file, model_digest="m")
    assert said(caught) == TO_RENEW


def test_vectors_of_another_width_than_the_query_are_damage(file, tmp_path):
    with Collection(file, model_digest="m", create=True) as collection:
        collection.put(tmp_path / "a.jpg", "d", [row(tmp_path / "a.jpg", 1)])
    with Collection(file) as collection, pytest.raises(CollectionError) as caught:
        collection.search(direction(1, width=32), kinds=ALL, k=1)
    assert said(caught) == TO_RENEW


def test_a_reason_that_is_not_text_is_kept_as_far_as_it_is(collection, tmp_path):
    collection.fail(tmp_path / "caf\udce9.jpg", "caf\udce9.jpg is damaged.")
    assert collection.failures() == [(str(tmp_path / "caf\udce9.jpg"), "caf?.jpg is damaged.")]


def test_a_damaged_collection_can_be_discarded_and_any_other_file_cannot(file):
    file.parent.mkdir()
    short_vector(file)
    discard(file)
    assert list(file.parent.iterdir()) == []
    other_database(file)
    discard(file)
    assert file.is_file()


def test_an_empty_file_becomes_a_collection_only_when_one_is_to_be_made(file):
    file.parent.mkdir()
    file.touch()
    with pytest.raises(CollectionError, match="is not a collection"):
        Collection(file)
    with Collection(file, model_digest="m", create=True) as collection:
        assert collection.n_rows == 0


def test_a_place_that_cannot_hold_a_collection_is_named(tmp_path):
    (tmp_path / "file").touch()
    for file in (tmp_path, tmp_path / "file" / "holiday.fusion"):
        with pytest.raises(CollectionError) as caught:
            Collection(file, create=True)
        assert (
            said(caught) == f"{file.name} cannot be opened or written there; choose another place for the collection."
        )


def test_a_collection_another_program_is_writing_to_says_to_wait(file, collection, tmp_path, monkeypatch):
    monkeypatch.setattr("engines.index.collection._WAIT_S", 0.05)
    with Collection(file) as other:
        collection._db.execute("BEGIN IMMEDIATE")
        with pytest.raises(CollectionError) as caught:
            other.put(tmp_path / "a.jpg", "d", [row(tmp_path / "a.jpg", 1)])
        assert said(caught) == "holiday.fusion is being changed by another program; try again in a moment."
        assert other.search(direction(1), kinds=ALL, k=1) == []  # reading goes on
        collection._db.execute("ROLLBACK")
        other.put(tmp_path / "a.jpg", "d", [row(tmp_path / "a.jpg", 1)])


def test_a_full_disk_is_named_and_takes_nothing_finished(collection, tmp_path):
    collection.put(tmp_path / "a.jpg", "d", [row(tmp_path / "a.jpg", 1)])
    pages = collection._db.execute("PRAGMA page_count").fetchone()[0]
    collection._db.execute(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(CollectionError) as caught:
        collection.put(tmp_path / "b.jpg", "d", [row(tmp_path / "b.jpg", n, text="x" * 500) for n in range(200)])
    assert said(caught) == "There is no room left on the disk for holiday.fusion; free some and index again."
    assert collection.n_rows == 1 and collection.files() == {str(tmp_path / "a.jpg")}
