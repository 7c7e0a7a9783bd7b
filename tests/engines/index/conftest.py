"""A new collection, and the places one can be kept in: a file, a folder, a bucket of an object store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from engines.index import Collection
from tests.engines.index import object_store


@pytest.fixture
def file(tmp_path) -> Path:
    return tmp_path / "collections" / "holiday.fusion"


@pytest.fixture
def collection(file) -> Iterator[Collection]:
    with Collection(file, model_digest="model-1", create=True) as made:
        yield made


@pytest.fixture
def folder(tmp_path) -> str:
    """The address of a folder that is not there yet."""
    pytest.importorskip("lancedb", reason="LanceDB is not installed")
    return (tmp_path / "collections" / "holiday").as_uri()


@pytest.fixture
def store(monkeypatch) -> Iterator[dict[str, bytes]]:
    """The objects of a store on loopback, which the environment points to."""
    pytest.importorskip("lancedb", reason="LanceDB is not installed")
    with object_store.serving() as (address, objects):
        monkeypatch.setenv("AWS_ENDPOINT", address)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", object_store.KEY)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        monkeypatch.setenv("AWS_REGION", "us-east-1")
        yield objects


@pytest.fixture
def bucket(store) -> str:
    """An address in that store."""
    return "s3://media/collections/holiday"
