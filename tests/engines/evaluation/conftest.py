"""The tiny data folder, a host that knows all about it, and the real data where FUSION_DATA names it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.engines.evaluation.oracle import make_oracle
from tests.fake_host import FakeHost
from tests.tiny_data import make_tiny_data


@pytest.fixture(scope="session")
def tiny(tmp_path_factory) -> Path:
    return make_tiny_data(tmp_path_factory.mktemp("data"))


@pytest.fixture
def real_data() -> Path:
    """The folder FUSION_DATA names."""
    folder = os.environ.get("FUSION_DATA")
    if not folder:
        pytest.skip("FUSION_DATA does not name a data folder")
    return Path(folder)


@pytest.fixture
def oracle() -> FakeHost:
    return make_oracle()
