"""The index of a folder as a small JSON file that ships with it, so that its first search need not read the folder.

It is valid only for the model that made it, and each entry only while its file has the same bytes.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np

from engines.index.collection import Collection
from engines.index.rows import Row, sha256
from engines.protocol import Metadata


def save(file: Path, collection: Path, folder: Path, metadata: Mapping[Path, Metadata]) -> None:
    """Write what a collection holds of the files directly in `folder`. metadata: what they say about themselves."""
    with Collection(collection) as opened:
        entries = {
            path.name: {
                "sha256": sha256(path),
                "metadata": asdict(metadata.get(path, Metadata())),
                "words": opened.words_were_read(path),
                "rows": [_plain(row) for row in opened.rows_of(path)],
            }
            for path in sorted(map(Path, opened.files()))
            if path.parent == folder
        }
        model = opened.model_digest
    file.write_text(json.dumps({"model": model, "files": entries}, ensure_ascii=False, indent=0), encoding="utf-8")


def load(file: Path, collection: Path, folder: Path, model_digest: str) -> bool:
    """Make a collection from the file unless it is there already. False, and nothing is made, where there is no such
    file or another model made it. Files of the folder that have changed are left for indexing."""
    if collection.exists():
        return True
    try:
        shipped = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    if shipped["model"] != model_digest:
        return False
    with Collection(collection, model_digest=model_digest, create=True) as made:
        for name, entry in shipped["files"].items():
            path = folder / name
            if path.is_file() and sha256(path) == entry["sha256"]:
                rows = [_row(str(path), plain) for plain in entry["rows"]]
                metadata, words_were_read = Metadata(**entry["metadata"]), entry.get("words", False)
                made.put(path, entry["sha256"], rows, metadata, words_were_read=words_were_read)
    return True


def _plain(row: Row) -> dict[str, object]:
    vector = base64.b64encode(row.vector.astype("<f2").tobytes()).decode()
    plain: dict[str, object] = {"kind": row.kind, "start_s": row.start_s, "end_s": row.end_s, "text": row.text}
    if row.source:
        plain["source"] = row.source
    return plain | {"vector": vector}


def _row(path: str, plain: dict[str, object]) -> Row:
    vector = np.frombuffer(base64.b64decode(str(plain["vector"])), "<f2").astype(np.float32)
    return Row(path, **{**plain, "vector": vector})  # type: ignore[arg-type]
