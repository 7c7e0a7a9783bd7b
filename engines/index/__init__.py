"""Searchable collections: one SQLite file of vectors (`collection`), searched exactly and in memory (`matrix`), or a
LanceDB table at an address (`lance`)."""

from __future__ import annotations

from pathlib import Path

from engines.index.collection import Collection, DamagedCollection, discard
from engines.index.lance import LanceCollection
from engines.index.rows import FileMean, Row

__all__ = ["Collection", "DamagedCollection", "FileMean", "LanceCollection", "Row", "discard", "open_collection"]


def open_collection(
    where: Path | str, *, model_digest: str | None = None, create: bool = False
) -> Collection | LanceCollection:
    """The collection in a file (a path) or at an address (a text: "s3://bucket/prefix", "file:///folder").

    Raises CollectionError if it is absent (unless `create`), damaged, out of reach, or made by another model than
    `model_digest` where one is given.
    """
    if isinstance(where, str):
        return LanceCollection(where, model_digest=model_digest, create=create)
    return Collection(where, model_digest=model_digest, create=create)
