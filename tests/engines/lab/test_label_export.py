"""A label set taken along: the script beside it says what the studio says, without the studio."""

from __future__ import annotations

import io
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from engines.lab.fewshot import Example, LabelSet, recognise
from engines.lab.fewshot_head import load_heads
from engines.lab.label_store import exported

RNG = np.random.default_rng(0)


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("kind", ["photo", "text"])
def test_the_script_says_what_the_studio_says(tmp_path, kind):
    centres = unit(RNG.standard_normal((2, 256)))
    examples = tuple(
        Example(label, "a.jpg", "", kind, unit(centres[n] + 0.03 * RNG.standard_normal(256)))
        for n, label in enumerate(("cat", "犬"))
        for _ in range(3)
    )
    labels = LabelSet("Pets", examples, load_heads()[0])
    with zipfile.ZipFile(io.BytesIO(exported(labels))) as packed:
        assert sorted(packed.namelist()) == ["classify.py", "head.safetensors"]
        packed.extractall(tmp_path)
    near, far = unit(centres + 0.03 * RNG.standard_normal((2, 256))), unit(RNG.standard_normal((1, 256)))
    queries = np.concatenate([near, far])
    np.save(tmp_path / "vectors.npy", queries)
    assert classified(tmp_path, "--vectors", "vectors.npy") == [
        f"row {n}: {found.label or 'none of these'} ({100 * found.confidence:.0f} %)"
        for n, found in enumerate(recognise(labels, query) for query in queries)
    ]


def classified(folder: Path, *arguments: str) -> list[str]:
    """What the script prints, in a Python that finds nothing of this program."""
    barred = "import sys; sys.modules['engines'] = None; import runpy; sys.argv = sys.argv[1:]; "
    run = "runpy.run_path(sys.argv[0], run_name='__main__')"
    done = subprocess.run(
        [sys.executable, "-X", "utf8", "-c", barred + run, "classify.py", *arguments],
        cwd=folder, capture_output=True, text=True, encoding="utf-8", check=True,
    )  # fmt: skip
    return done.stdout.splitlines()
