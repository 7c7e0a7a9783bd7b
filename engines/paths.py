"""Where the files beside the code are, and how a file is written in one piece.

Weights, texts of the page, lessons, samples and data of the Lab are in assets/ at the top of a checkout; a wheel has
them inside this package as _assets (pyproject.toml maps it).
"""

from __future__ import annotations

import secrets
from contextlib import suppress
from pathlib import Path

_INSTALLED = Path(__file__).resolve().parent / "_assets"
ASSETS = _INSTALLED if _INSTALLED.is_dir() else Path(__file__).resolve().parents[1] / "assets"


def write_whole(path: Path, data: bytes) -> None:
    """Write a file, and its folder if need be, so that it is there whole or as it was before. Raises OSError."""
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(data)
        part.replace(path)
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
