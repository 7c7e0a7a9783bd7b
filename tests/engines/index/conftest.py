"""A new collection, and the file it is kept in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from engines.index import Collection


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "collections" / "holiday.fusion"


@pytest.fixture
def collection(file: Path) -> Iterator[Collection]:
    with Collection(file, model_digest="model-1", create=True) as made:
        yield made
