"""Index the samples with the built-in model and make their thumbnails, so that the first screen need not wait.

    python -m scripts.prepare_samples

Writes assets/wall/index.json and a thumbnail per sample beside it. Run it after every change of the built-in model or
of the samples; a test says when it is due.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from engines import IndexRequest, IndexResult, Settings, open_host, run
from engines.index import shipped
from engines.paths import ASSETS
from engines.tasks.search import metadata_of
from studio.thumbnails import thumbnail

SAMPLES = ASSETS / "samples"
WALL = ASSETS / "wall"


def main() -> None:
    """Rebuild the folder."""
    WALL.mkdir(exist_ok=True)
    for old in WALL.iterdir():
        old.unlink()
    host = open_host("builtin", Settings(device="cpu"))
    with tempfile.TemporaryDirectory() as folder:
        collection = Path(folder) / "samples.sqlite"
        result = run(host, IndexRequest(folder=SAMPLES, collection=collection))
        assert isinstance(result, IndexResult) and not result.failures, result
        paths = sorted(path for path in SAMPLES.iterdir() if path.suffix not in (".json", ".md"))
        shipped.save(WALL / "index.json", collection, SAMPLES.resolve(), {path: metadata_of(path) for path in paths})
    host.close()
    for path in paths:
        picture, kind = thumbnail(path)
        (WALL / f"{path.name}{'.svg' if kind == 'image/svg+xml' else '.jpg'}").write_bytes(picture)
    print(f"{result.n_rows} rows, {len(paths)} thumbnails in {WALL}")


if __name__ == "__main__":
    main()
