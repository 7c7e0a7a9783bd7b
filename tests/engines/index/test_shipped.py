from pathlib import Path

import numpy as np
import pytest

from engines.index import Collection, Row, shipped
from engines.media import content_digest
from engines.protocol import Metadata


@pytest.fixture
def folder(tmp_path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for n, name in enumerate(("cat.jpg", "dog.jpg")):
        (folder / name).write_bytes(bytes([n]))
    return folder


@pytest.fixture
def file(folder, tmp_path) -> Path:
    """The shipped index of the folder by the model "m"."""
    collection, file = tmp_path / "made.sqlite", tmp_path / "index.json"
    with Collection(collection, model_digest="m", create=True) as made:
        for n, path in enumerate(sorted(folder.iterdir())):
            made.put(path, content_digest(path), [Row(str(path), "photo", 0.0, 0.0, np.eye(4, dtype=np.float32)[n])])
    shipped.save(file, collection, folder, {folder / "cat.jpg": Metadata(camera="Box")})
    return file


def test_a_shipped_index_is_searched_at_once_and_its_files_count_as_read(file, folder, tmp_path):
    collection = tmp_path / "home" / "pictures.sqlite"
    assert shipped.load(file, collection, folder, "m")
    with Collection(collection, model_digest="m") as opened:
        ((row, score),) = opened.search(np.eye(4, dtype=np.float32)[1], kinds=frozenset({"photo"}), k=1)
        assert Path(row.path).name == "dog.jpg" and score == pytest.approx(1.0)
        for path in folder.iterdir():
            assert opened.unchanged(path) and opened.is_described(path)


def test_the_index_of_another_model_is_of_no_use(file, folder, tmp_path):
    assert not shipped.load(file, tmp_path / "other.sqlite", folder, "another")
    assert not shipped.load(tmp_path / "absent.json", tmp_path / "other.sqlite", folder, "m")
    assert not (tmp_path / "other.sqlite").exists()


def test_a_file_that_has_changed_is_left_for_indexing(file, folder, tmp_path):
    (folder / "dog.jpg").write_bytes(b"another picture")
    shipped.load(file, tmp_path / "home.sqlite", folder, "m")
    with Collection(tmp_path / "home.sqlite", model_digest="m") as opened:
        assert {Path(path).name for path in opened.files()} == {"cat.jpg"}


def test_a_collection_that_is_there_is_left_as_it_is(file, folder, tmp_path):
    home = tmp_path / "home.sqlite"
    with Collection(home, model_digest="m", create=True):
        pass
    assert shipped.load(file, home, folder, "m")
    with Collection(home, model_digest="m") as opened:
        assert opened.files() == set()
