"""Searchable collections: one SQLite file of vectors (`collection`), searched exactly and in memory (`matrix`)."""

from engines.index.collection import Collection, Row, calibrate

__all__ = ["Collection", "Row", "calibrate"]
