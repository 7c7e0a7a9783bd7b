"""The public face of media: its names, arrays resampled and files digested."""

from __future__ import annotations

import hashlib
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines import media
from engines.media import content_digest, resample
from engines.protocol import RATE_HZ
from tests.engines.media.makers import sine


def test_suffixes_are_written_as_paths_write_them_and_belong_to_one_kind():
    kinds = (media.PHOTO_SUFFIXES, media.SOUND_SUFFIXES, media.CLIP_SUFFIXES)
    assert all(suffix.startswith(".") and suffix == suffix.lower() for kind in kinds for suffix in kind)
    assert sum(len(kind) for kind in kinds) == len(frozenset().union(*kinds))


# --- arrays ------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["torchaudio", "av"])
def by(request, monkeypatch) -> str:
    if request.param == "torchaudio":
        pytest.importorskip("torchaudio", exc_type=(ImportError, OSError))
    else:
        monkeypatch.setitem(sys.modules, "torchaudio", None)
        monkeypatch.setitem(sys.modules, "torchaudio.functional", None)
    return str(request.param)


@pytest.mark.usefixtures("by")
@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 44_100, 48_000])
def test_resampling_keeps_pitch_level_and_length(rate_hz):
    samples = resample(sine(1.0, rate_hz=rate_hz), rate_hz)
    assert samples.dtype == np.float32 and len(samples) == RATE_HZ
    assert np.abs(samples - sine(1.0, rate_hz=RATE_HZ))[500:-500].max() < 0.02


@pytest.mark.usefixtures("by")
@given(n=st.integers(0, 3_000), rate_hz=st.sampled_from([8_000, 16_000, 44_100, 47_999, 192_000]))
def test_any_length_resamples_to_its_share(n, rate_hz):
    samples = resample(np.zeros(n, np.float32), rate_hz)
    assert samples.shape == (-(-n * RATE_HZ // rate_hz),) and samples.dtype == np.float32


def test_sound_at_the_house_rate_is_left_as_it_is():
    samples = sine(0.1, rate_hz=RATE_HZ)
    assert np.array_equal(resample(samples, RATE_HZ), samples)


# --- digests -----------------------------------------------------------------------------------------------------


@given(data=st.binary(min_size=1, max_size=5_000))
def test_a_digest_is_that_of_the_bytes_whatever_the_name(data, tmp_path_factory):
    folder = tmp_path_factory.getbasetemp()
    for name in ("one.bin", "two.jpg"):
        (folder / name).write_bytes(data)
        assert content_digest(folder / name) == hashlib.sha256(data).hexdigest()
