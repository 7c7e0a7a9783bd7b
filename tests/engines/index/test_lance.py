"""A collection at an address says in one sentence what is wrong with it, and leaves the store tidy."""

from __future__ import annotations

import importlib
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from engines.errors import CollectionError
from engines.index import LanceCollection, Row, lance
from engines.protocol import KINDS, Kind
from tests.engines.index.makers import direction, row

ALL = frozenset(KINDS)
OUT_OF_REACH = "holiday cannot be read or written; check its address and the rights to it, and that the store is up."


def said(error: pytest.ExceptionInfo[CollectionError]) -> str:
    assert error.value.zh != error.value.en
    return error.value.en


@pytest.mark.parametrize("library", ["lancedb", "pyarrow"])
def test_without_the_library_the_sentence_says_how_to_get_it(library, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(CollectionError) as caught:
        LanceCollection((tmp_path / "holiday").as_uri(), create=True)
    assert (
        said(caught)
        == f"Collections at an address need LanceDB; install it with: {sys.executable} -m pip install lancedb pyarrow"
    )


@pytest.mark.parametrize("address", ["holiday.db", "http://host/holiday", "s3://", "file://holiday", "file:///", ""])
def test_what_is_no_address_is_refused_with_the_two_sorts_there_are(address):
    with pytest.raises(CollectionError) as caught:
        LanceCollection(address, create=True)
    assert said(caught) == (
        "The address of a collection begins with s3:// and a bucket's name, or with file:/// and a folder; give one "
        "of these, or the path of a file."
    )


def test_a_table_of_somebody_else_is_refused_and_left_alone(folder, tmp_path):
    lancedb = importlib.import_module("lancedb")
    place = tmp_path / "collections" / "holiday"
    table = lancedb.connect(place).create_table("collection", [{"url": "a"}])
    with pytest.raises(CollectionError) as caught:
        LanceCollection(folder, create=True)
    assert said(caught) == "holiday is not a collection of this version of the program; choose another address."
    assert table.count_rows() == 1


def test_a_place_that_cannot_hold_a_collection_is_named(tmp_path):
    pytest.importorskip("lancedb", reason="LanceDB is not installed")
    (tmp_path / "file").touch()
    with pytest.raises(CollectionError) as caught:
        LanceCollection((tmp_path / "file" / "holiday").as_uri(), create=True)
    assert said(caught) == OUT_OF_REACH


@pytest.mark.parametrize(
    ("name", "value"), [("AWS_ACCESS_KEY_ID", "nobody"), ("AWS_ENDPOINT", "http://127.0.0.1:9"), ("bucket", "other")]
)
def test_a_store_that_is_down_or_does_not_let_one_in_is_told_soon(name, value, bucket, monkeypatch):
    monkeypatch.setitem(lance._PATIENCE, "client_max_retries", "0")
    if name == "bucket":
        bucket = bucket.replace("media", value, 1)
    else:
        monkeypatch.setenv(name, value)
    with pytest.raises(CollectionError) as caught:
        LanceCollection(bucket, create=True)
    assert said(caught) == OUT_OF_REACH


def test_long_files_do_not_hide_the_others(folder, tmp_path):
    with LanceCollection(folder, create=True) as collection:
        for name, n_rows, seed in (("long.mp4", 60, 1), ("b.mp4", 1, 2), ("c.mp4", 1, 3)):
            path = tmp_path / name
            near = [direction(0) + 0.3 * seed * direction(seed) + 0.01 * direction(i + 9) for i in range(n_rows)]
            collection.put(path, name, [Row(str(path), "clip", i, i + 1, vector) for i, vector in enumerate(near)])
        hits = [Path(hit.path).name for hit, _ in collection.search(direction(0), kinds=ALL, k=4)]
    assert sorted(hits[:3]) == ["b.mp4", "c.mp4", "long.mp4"] and hits[3] == "long.mp4"


def test_small_objects_are_joined_now_and_then_and_at_the_end(bucket, store, tmp_path, monkeypatch):
    monkeypatch.setattr(lance, "_CHANGES_AT_MOST", 8)
    monkeypatch.setattr(lance, "_KEPT", timedelta(milliseconds=1))
    with LanceCollection(bucket, create=True) as collection:
        for n in range(30):
            path = tmp_path / f"{n}.jpg"
            collection.put(path, str(n), [row(path, n)])
            assert len([name for name in store if "/data/" in name]) <= 2 * 8
    assert len([name for name in store if "/data/" in name]) == 1
    with LanceCollection(bucket) as again:
        assert again.n_rows == 30 and len(again.files()) == 30


def test_a_large_collection_has_an_index_that_finds_what_a_search_of_all_does(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(lance, "INDEXED_FROM", 600)

    def put(collection: LanceCollection, n: int) -> None:
        path = tmp_path / f"{n}.mp4"
        near = [direction(0) + 0.5 * direction(10 * n + i) for i in range(10)]
        kinds = ("text" if n == 5 else "clip", "photo")
        collection.put(
            path, str(n), [Row(str(path), kinds[i > 7], i, i + 1, vector) for i, vector in enumerate(near, 1)]
        )

    def found(collection: LanceCollection, seed: int, kinds: frozenset[Kind] = ALL) -> list[tuple[str, float]]:
        return [(hit.path, hit.start_s) for hit, _ in collection.search(direction(seed), kinds=kinds, k=8)]

    with LanceCollection(folder, create=True) as collection:
        for n in range(1, 70):
            put(collection, n)
        assert not collection._is_indexed()
        exact = [found(collection, seed) for seed in range(10)]
    with LanceCollection(folder) as collection:
        assert collection._is_indexed()
        assert [found(collection, seed) for seed in range(10)] == exact
        assert len(found(collection, 0, frozenset({"text"}))) == 7, "kinds that are rare are found wherever they lie"
        put(collection, 70)
        assert found(collection, 701)[0][0] == str(tmp_path / "70.mp4"), "what is written later is found at once"


def test_a_collection_that_is_only_searched_gets_no_index(folder, tmp_path, monkeypatch):
    with LanceCollection(folder, create=True) as collection:
        collection.put(tmp_path / "a.jpg", "d", [row(tmp_path / "a.jpg", 1)])
    monkeypatch.setattr(lance, "INDEXED_FROM", 1)
    with LanceCollection(folder) as collection:
        assert collection.search(direction(1), kinds=ALL, k=1)
    with LanceCollection(folder) as collection:
        assert not collection._is_indexed()


def test_tidying_that_meets_another_program_s_is_left_to_it(folder, tmp_path):
    class Busy:
        def checkout_latest(self) -> None:
            pass

        def optimize(self, **_: object) -> None:
            raise RuntimeError("Retryable commit conflict for version 10")

    with LanceCollection(folder, create=True) as collection:
        collection.put(tmp_path / "a.jpg", "d", [row(tmp_path / "a.jpg", 1)])
        collection._table = Busy()
    assert collection._n_changes > 0


def test_a_closed_collection_is_used_no_more(folder):
    with LanceCollection(folder, create=True) as collection:
        pass
    with pytest.raises(RuntimeError, match="the collection holiday is closed"):
        collection.files()
