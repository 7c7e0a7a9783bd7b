"""Features: the same numbers as Whisper's own extractor, and photos in the range the picture tower expects."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.model import features
from engines.model.features import log_mel, mel_bank, photo_tensor
from engines.protocol import RATE_HZ


def noise(n: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, generator=torch.Generator().manual_seed(seed)) * 0.1


@pytest.mark.parametrize("seconds", [0.1, 1.0, 3.217])
def test_mel_equals_whispers_own_extractor(seconds):
    from transformers import WhisperFeatureExtractor

    samples = noise(round(seconds * RATE_HZ))
    extract = WhisperFeatureExtractor(feature_size=80)
    theirs = extract(samples.numpy(), sampling_rate=RATE_HZ, padding=False, return_tensors="pt")["input_features"]
    ours = log_mel(samples[None])
    assert ours.shape == theirs.shape
    assert torch.allclose(ours, torch.as_tensor(theirs), atol=1e-4)


def test_a_click_shorter_than_a_window_is_still_heard():
    mel = log_mel(torch.ones(1, 10))
    assert mel.shape[2] >= 1
    assert mel.isfinite().all()


def test_a_loud_neighbour_does_not_dim_a_quiet_sound():
    quiet, loud = noise(8000) * 1e-3, noise(8000, 1) * 5
    assert torch.allclose(log_mel(torch.stack([quiet, loud]))[0], log_mel(quiet[None])[0], atol=1e-5)


# --- the filter bank ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_mels", [40, 80, 128])
def test_our_filters_are_those_of_torchaudio(n_mels):
    functional = pytest.importorskip(
        "torchaudio.functional", reason="torchaudio does not load here", exc_type=Exception
    )
    theirs = functional.melscale_fbanks(201, 0.0, 8000.0, n_mels, RATE_HZ, norm="slaney", mel_scale="slaney").T
    assert torch.allclose(features._mel_bank_in_torch(n_mels), theirs, atol=1e-6)


def test_without_torchaudio_the_filters_are_made_here(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchaudio.functional", None)
    assert torch.equal(mel_bank(80), features._mel_bank_in_torch(80))


# --- photos ------------------------------------------------------------------------------------------------------


def test_black_and_white_are_the_ends_of_the_range():
    black, white = (photo_tensor(np.full((20, 30, 3), level, np.uint8), 64) for level in (0, 255))
    assert black.shape == white.shape == (3, 64, 64)
    assert black.dtype == torch.float32
    assert torch.equal(black, torch.full((3, 64, 64), -127 / 128))
    assert torch.equal(white, torch.ones(3, 64, 64))


@settings(max_examples=25)
@given(height=st.integers(1, 90), width=st.integers(1, 90), seed=st.integers(0, 99))
def test_any_photo_becomes_a_square_within_the_range(height, width, seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    photo = photo_tensor(pixels, 32)
    assert photo.shape == (3, 32, 32)
    assert -127 / 128 <= float(photo.min()) <= float(photo.max()) <= 1.0


def test_the_whole_photo_is_kept_colours_and_sides_in_their_places():
    pixels = np.zeros((40, 100, 3), np.uint8)
    pixels[:, 80:, 0] = 255  # a red right edge, a blue bottom
    pixels[32:, :, 2] = 255
    photo = photo_tensor(pixels, 32)
    assert photo[0, 5, 30] == 1.0
    assert photo[0, 5, 2] == -127 / 128
    assert photo[2, 30, 2] == 1.0
    assert photo[2, 5, 2] == -127 / 128


def test_a_mirrored_view_of_a_photo_is_taken_as_it_is():
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    assert torch.equal(photo_tensor(pixels[:, ::-1], 32), photo_tensor(pixels, 32).flip(2))
