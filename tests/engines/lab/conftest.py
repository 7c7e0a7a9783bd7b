from collections.abc import Iterator

import pytest

from engines.lab import trainer
from engines.lab.trainer import one_thread


@pytest.fixture(autouse=True)
def few_examples(monkeypatch) -> Iterator[None]:
    """Measure on a few: what is tested is how, not how well. On one thread, as experiments run."""
    for name, n in (("N_VALID", 20), ("N_TEST", 40), ("N_MAP", 20), ("BATCH", 8)):
        monkeypatch.setattr(trainer, name, n)
    with one_thread():
        yield
