from collections.abc import Iterator

import pytest
import torch

from engines.lab import trainer


@pytest.fixture(autouse=True)
def few_examples(monkeypatch) -> Iterator[None]:
    """Measure on a few: what is tested is how, not how well. On one thread, as experiments run."""
    for name, n in (("N_VALID", 20), ("N_TEST", 40), ("N_MAP", 20), ("BATCH", 8)):
        monkeypatch.setattr(trainer, name, n)
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n_threads)
