"""What others use of collections is three names."""

from __future__ import annotations

from engines import index


def test_the_public_names_are_there_and_sorted() -> None:
    assert index.__all__ == sorted(index.__all__) == ["Collection", "Row", "calibrate"]
    assert all(hasattr(index, name) for name in index.__all__)
