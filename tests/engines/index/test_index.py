"""What others use of collections is a few names, and one function that tells a file from an address."""

from __future__ import annotations

from pathlib import Path

from engines import index
from engines.index import Collection, LanceCollection, open_collection


def test_the_public_names_are_there_and_sorted() -> None:
    assert index.__all__ == sorted(index.__all__)
    assert all(hasattr(index, name) for name in index.__all__)


def test_a_path_is_a_file_and_a_text_is_an_address(file: Path, folder: str) -> None:
    with open_collection(file, create=True) as kept:
        assert isinstance(kept, Collection)
    with open_collection(folder, create=True) as kept:
        assert isinstance(kept, LanceCollection)
