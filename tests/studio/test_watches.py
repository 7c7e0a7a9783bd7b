"""A watched folder: what changes in it is indexed, whatever is wrong with a file, and nothing is lost with a disk."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engines import CollectionError, IndexResult, Result
from engines.hosts.builtin import BuiltinHost
from engines.model import checkpoint
from studio import stream
from studio.collections import CollectionRef, CollectionStore
from studio.state import SAMPLES
from studio.tabs.search.folder import seen_html
from studio.tabs.search.watches import FolderWatch, FolderWatches, Seen
from tests.conftest import write_photo
from tests.fake_host import FakeHost

LOOK_S = 0.02


@pytest.fixture(scope="module")
def host() -> Iterator[BuiltinHost]:
    with_model = BuiltinHost(checkpoint.tiny(), cache_bytes=2**20)
    yield with_model
    with_model.close()


@pytest.fixture
def folder(tmp_path, photo) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    write_photo(folder / "first.png", photo)
    return folder


@pytest.fixture
def collection(tmp_path, folder) -> CollectionRef:
    return CollectionStore(tmp_path / "home", SAMPLES).folder(str(folder))


@pytest.fixture
def begin(collection) -> Iterator[Callable[..., FolderWatch]]:
    """Begins watches, and ends them."""
    begun = FolderWatches()

    def begin(host, *, is_indexed=lambda: True, note=lambda result: None) -> FolderWatch:
        made = FolderWatch(collection, host, is_indexed, note, stream.as_user_error, look_s=LOOK_S)
        begun.add(collection.folder, lambda: made)
        return made

    yield begin
    begun.close()


def until(watch: FolderWatch, is_so: Callable[[Seen], bool]) -> Seen:
    """What the watch has seen once it is so."""
    for _ in range(6000):
        if is_so(watch.seen):
            return watch.seen
        time.sleep(LOOK_S)
    return pytest.fail(f"the watch has only seen {watch.seen}")


def last(watch: FolderWatch, after: IndexResult | None = None) -> IndexResult:
    """The latest change that was indexed, another than `after`."""
    seen = until(watch, lambda seen: seen.last is not None and seen.last is not after)
    assert seen.last is not None
    return seen.last


def test_new_changed_and_removed_files_are_indexed_and_a_damaged_one_stops_nothing(begin, host, folder, photo):
    noted: list[Result] = []
    watch = begin(host, note=noted.append)
    write_photo(folder / "second.png", photo)
    found = last(watch)
    assert (found.n_rows, found.failures) == (2, ())
    (folder / "bad.png").write_bytes(b"\x89PNG no picture")
    found = last(watch, found)
    assert [name for name, _ in found.failures] == ["bad.png"] and found.n_rows == 2
    (folder / "deep").mkdir()
    shutil.move(folder / "second.png", folder / "deep" / "third.png")
    found = last(watch, found)
    assert (found.n_removed, found.n_rows) == (1, 2)
    assert noted[-1] is found
    assert "1 removed" in seen_html(watch.seen) and "bad.png" in seen_html(watch.seen)


@pytest.mark.parametrize("is_mount_point_left", [False, True])
def test_an_unmounted_folder_loses_nothing_and_watching_goes_on_when_it_is_back(
    begin, host, folder, photo, tmp_path, is_mount_point_left
):
    watch = begin(host)
    write_photo(folder / "second.png", photo)
    found = last(watch)
    folder.rename(tmp_path / "away")
    if is_mount_point_left:
        folder.mkdir()
    gone = until(watch, lambda seen: not seen.is_there)
    assert gone.last is found and "Nothing was removed" in seen_html(gone) and "没有移除" in seen_html(gone)
    if is_mount_point_left:
        folder.rmdir()
    (tmp_path / "away").rename(folder)
    until(watch, lambda seen: seen.is_there)
    write_photo(folder / "third.png", photo)
    assert last(watch, found).n_rows == 3


def test_a_change_waits_for_the_folder_to_be_indexed_as_a_whole(begin, folder, photo):
    fake, asked, is_whole = FakeHost(), threading.Event(), threading.Event()

    def is_indexed() -> bool:
        asked.set()
        return is_whole.is_set()

    watch = begin(fake, is_indexed=is_indexed)
    write_photo(folder / "second.png", photo)
    assert asked.wait(60) and fake.requests == []
    is_whole.set()
    last(watch)
    assert len(fake.requests) == 1


def test_a_watch_that_was_ended_indexes_nothing_any_more(begin, folder, photo):
    fake = FakeHost()
    watch = begin(fake)
    watch.close(wait_s=60)
    write_photo(folder / "second.png", photo)
    assert not watch._thread.is_alive() and fake.requests == []


def test_a_collection_that_cannot_be_indexed_is_said_in_its_sentence(begin, folder, photo):
    watch = begin(FakeHost(error=CollectionError("no_space", "There is no space left on the disk; free some.")))
    write_photo(folder / "second.png", photo)
    seen = until(watch, lambda seen: seen.problem is not None)
    assert "There is no space left" in seen_html(seen) and not seen.is_reading
