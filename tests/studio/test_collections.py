import json
import os
import time

import pytest

from engines import RequestError, UserError
from engines.index import open_collection
from studio.collections import SHIPPED_INDEX, CollectionStore
from studio.state import SAMPLES
from studio.uploads import KEEP_S


@pytest.fixture
def collections(tmp_path) -> CollectionStore:
    samples = tmp_path / "samples"
    samples.mkdir()
    return CollectionStore(tmp_path / "home", samples)


def test_the_samples_are_searched_without_the_texts_that_tell_where_they_are_from(collections, tmp_path):
    assert "text" not in collections.samples("model").kinds
    assert "text" in collections.folder(str(tmp_path)).kinds


def test_the_samples_need_not_be_read_before_their_first_search(tmp_path):
    model = json.loads(SHIPPED_INDEX.read_text(encoding="utf-8"))["model"]
    store = CollectionStore(tmp_path, SAMPLES)
    ready, other = store.samples(model), store.samples("another model")
    assert ready.file != other.file and not other.file.exists()
    with open_collection(ready.file, model_digest=model) as opened:
        assert all(opened.unchanged(path) for path in SAMPLES.iterdir() if path.suffix != ".json")


def test_two_folders_of_the_same_name_are_two_collections(collections, tmp_path):
    one, two = tmp_path / "a" / "Pictures", tmp_path / "b" / "Pictures"
    one.mkdir(parents=True)
    two.mkdir(parents=True)
    assert collections.folder(str(one)).file != collections.folder(str(two)).file
    assert collections.folder(str(one)).file == collections.folder(f' "{one}" ').file


def test_the_folders_searched_last_are_offered_first(collections, tmp_path):
    for name in ("a", "b", "a"):
        (tmp_path / name).mkdir(exist_ok=True)
        collections.folder(str(tmp_path / name))
    assert collections.folders() == [str(tmp_path / "a"), str(tmp_path / "b")]


@pytest.mark.parametrize("typed", ["", "  "])
def test_no_folder_is_asked_for(collections, typed):
    with pytest.raises(RequestError, match="Choose the folder") as caught:
        collections.folder(typed)
    assert "文件夹" in caught.value.zh


@pytest.mark.parametrize("typed", ["/no/such/folder", "relative", "."])
def test_a_folder_that_is_not_there_is_said_without_its_path(collections, typed):
    with pytest.raises(RequestError, match="no such folder") as caught:
        collections.folder(typed)
    assert "/no/such" not in caught.value.en + caught.value.zh


def test_uploads_of_two_sessions_do_not_meet(collections, photo_file):
    mine = collections.uploads("me", [photo_file])
    with pytest.raises(RequestError, match="Drop the files"):
        collections.uploads("you", [])
    assert [file.name for file in mine.folder.iterdir()] == ["red square.png"]


def test_two_uploads_of_one_name_are_both_kept(collections, tmp_path):
    files = []
    for n in range(2):
        (tmp_path / str(n)).mkdir()
        file = tmp_path / str(n) / "image.jpg"
        file.write_bytes(bytes([n]))
        files.append(file)
    collections.uploads("me", files)
    collection = collections.uploads("me", files)
    assert sorted(file.name for file in collection.folder.iterdir()) == ["image (2).jpg", "image.jpg"]


def test_all_uploads_of_one_session_are_removed_with_their_collection(collections, photo_file):
    collection, yours = collections.uploads("me", [photo_file]), collections.uploads("you", [photo_file])
    collection.file.write_bytes(b"")
    for _ in range(2):
        collections.remove_uploads("me")
    assert collections.uploaded("me") == [] and not collection.file.exists()
    assert collections.uploads("you", []) == yours and photo_file.exists()


def test_a_home_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UserError, match="cannot be kept") as caught:
        CollectionStore(tmp_path / "file", tmp_path).samples("model")
    assert "检索集" in caught.value.zh


def test_uploads_and_their_collection_are_gone_after_an_hour(collections, photo_file):
    collection = collections.uploads("me", [photo_file])
    collection.file.write_bytes(b"vectors")
    collections.delete_old_uploads()
    assert (collection.folder / photo_file.name).exists()
    assert collection.file.exists()
    collections.delete_old_uploads(now_s=time.time() + KEEP_S + 1)
    assert not collection.folder.exists()
    assert not collection.file.exists()
    assert photo_file.exists()


def test_what_another_studio_keeps_is_left_alone(collections, tmp_path, photo_file):
    mine = collections.uploads("me", [photo_file])
    other = mine.folder.parents[2] / f"studio-{os.getppid()}" / "abc" / "files"
    other.mkdir(parents=True)
    (other / "dog.jpg").write_bytes(b"")
    collections.uploads("you", [photo_file])
    collections.delete_old_uploads()
    assert (other / "dog.jpg").exists()


def test_an_upload_is_removed_by_the_session_that_made_it_alone(collections, photo_file):
    collections.uploads("me", [photo_file])
    (mine,) = collections.uploaded("me")
    collections.remove_upload("you", mine)
    collections.remove_upload("me", photo_file)
    assert collections.uploaded("me") == [mine] and photo_file.exists()
    collections.remove_upload("me", mine)
    assert collections.uploaded("me") == [] == collections.uploaded("you")
