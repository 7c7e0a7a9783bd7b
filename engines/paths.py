"""Where the files beside the code are: weights, texts of the page, lessons, samples, data of the Lab.

In a checkout they are in assets/ at its top; a wheel has them inside this package as _assets (pyproject.toml maps it).
"""

from __future__ import annotations

from pathlib import Path

_INSTALLED = Path(__file__).resolve().parent / "_assets"
ASSETS = _INSTALLED if _INSTALLED.is_dir() else Path(__file__).resolve().parents[1] / "assets"
