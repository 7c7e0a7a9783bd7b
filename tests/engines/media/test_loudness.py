"""Silence is told by its loudness."""

from __future__ import annotations

import numpy as np
import pytest

from engines.media.loudness import is_quiet, loudness
from engines.protocol import RATE_HZ
from tests.conftest import tone


def test_silence_is_told_by_its_loudness():
    assert is_quiet(np.zeros(RATE_HZ, np.float32)) and is_quiet(np.zeros(0, np.float32))
    assert is_quiet(tone(1.0, level=0.001)) and not is_quiet(tone(1.0, level=0.1))
    assert loudness(tone(1.0, level=0.5)).mean() == pytest.approx(0.5 / np.sqrt(2), rel=0.01)
