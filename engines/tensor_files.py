"""Safetensors files that are described by JSON in their metadata: saved runs, label sets, heads, parts of a model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal


def read(path: Path, key: str, framework: Literal["np", "pt"] = "np") -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the description under `key` and the tensors by name, as arrays ("np") or torch tensors ("pt").

    Raises OSError where the file cannot be read and ValueError where it is not one of these.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework) as file:
            about = json.loads((file.metadata() or {})[key])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, a file is no dict
    except (SafetensorError, KeyError) as error:
        raise ValueError(f"{path.name} is not a safetensors file with the metadata {key!r}") from error
    return about, tensors
