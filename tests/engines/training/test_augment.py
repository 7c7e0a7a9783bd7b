"""Varied photos and spectrograms: much of each is left, nothing leaves its range, and the seed decides."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from engines.model.config import EVENTS
from engines.model.features import photo_tensor
from engines.protocol import RATE_HZ
from engines.training import augment
from engines.training.augment import (
    BAND,
    GREY,
    JITTER,
    N_HIDDEN,
    SPAN,
    hide_stripes,
    scaled,
    silence_around,
    synthetic_non_speech,
    vary_photo,
    vary_photos,
    vary_sound,
)
from tests.conftest import tone
from tests.engines.model.makers import drawn

seeds = st.integers(0, 2**32 - 1)
SIDE = 32
STRAIGHT = torch.linspace(0.0, 255.0, SIDE)


def photos(n: int = 4) -> Tensor:
    """Noise: (n, 3, SIDE, SIDE) uint8."""
    return torch.randint(0, 256, (n, 3, SIDE, SIDE), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def varied(pixels: Tensor, seed: int) -> Tensor:
    """`vary_photos` of a seed, back in the range of pixels."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return vary_photos(pixels) * 128.0 + 127.0


def stripes(mel: Tensor, n_frames: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """`hide_stripes` of a seed, and where it changed anything."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        out = hide_stripes(mel, n_frames)
    return out, out != mel


# --- single photos and sounds ------------------------------------------------------------------------------------


@settings(max_examples=20)
@given(seed=seeds)
def test_a_varied_photo_is_a_large_part_of_it(seed):
    photo = np.full((60, 90, 3), 100, np.uint8)
    varied = vary_photo(photo, np.random.default_rng(seed), flip=False)
    assert varied.dtype == np.uint8
    assert 0.55 * 60 * 90 <= varied.shape[0] * varied.shape[1] <= 60 * 90
    assert 60 <= varied.mean() <= 140


@settings(max_examples=20)
@given(seed=seeds)
def test_a_varied_sound_is_much_like_itself(seed):
    sound = tone(1.0, hz=500.0)
    varied = vary_sound(sound, np.random.default_rng(seed))
    assert varied.dtype == np.float32
    assert RATE_HZ / 1.1 - 1 <= len(varied) <= RATE_HZ / 0.9 + 1
    pitch_hz = np.abs(np.fft.rfft(varied)).argmax() * RATE_HZ / len(varied)
    assert 449 <= pitch_hz <= 551


@settings(max_examples=20)
@given(seed=seeds)
def test_near_silence_is_put_around_speech(seed):
    padded = silence_around(np.full(100, 0.5, np.float32), np.random.default_rng(seed))
    loud = np.flatnonzero(np.abs(padded) > 0.1)
    assert len(loud) == 100 == loud[-1] - loud[0] + 1
    assert loud[0] <= RATE_HZ / 2
    assert len(padded) - loud[-1] - 1 <= RATE_HZ / 2


def test_sounds_without_speech_are_silence_or_noise():
    made = [synthetic_non_speech(np.random.default_rng(seed)) for seed in range(40)]
    assert {label for _, label in made} == {"silence", "noise"} <= set(EVENTS)
    for samples, label in made:
        assert samples.dtype == np.float32
        assert RATE_HZ <= len(samples) <= 10 * RATE_HZ
        assert np.abs(samples).max() < (0.01 if label == "silence" else 1.01)


# --- batches of photos --------------------------------------------------------------------------------------------


def test_photos_are_scaled_as_for_inference():
    pixels = photos()
    wanted = torch.stack([photo_tensor(photo.permute(1, 2, 0).numpy(), SIDE) for photo in pixels])
    assert torch.equal(scaled(pixels), wanted)
    assert torch.equal(scaled(pixels.float()), wanted)


@settings(max_examples=20)
@given(seed=seeds)
def test_a_crop_keeps_three_fifths_of_the_photo_and_its_proportions(seed):
    """Red grows across and green down, so what is left of them tells what is left of the photo."""
    across, down = STRAIGHT.expand(SIDE, SIDE), STRAIGHT[:, None].expand(SIDE, SIDE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(augment, "JITTER", 0.0)
        out = varied(torch.stack([across, down, torch.zeros(SIDE, SIDE)]).expand(8, -1, -1, -1), seed)
    assert -0.01 <= float(out.min()) <= float(out.max()) <= 255.01
    assert (out[:, 0].diff(dim=2) > 0).all() and (out[:, 1].diff(dim=1) > 0).all()  # neither turned nor mirrored
    width, height = (out[:, c].flatten(1).amax(1) - out[:, c].flatten(1).amin(1) for c in (0, 1))
    area = width * height / 255.0**2
    assert (area >= 0.6 - 0.01).all() and (area <= 1.001).all()
    assert torch.allclose(width, height, atol=4.0)  # of what the border repeats
    assert len(set(area.tolist())) > 1  # each has a crop of its own


@settings(max_examples=20)
@given(seed=seeds)
def test_contrast_and_colour_change_independently(seed):
    """A dark half and a light one, both as much redder than green: a crop keeps some of each."""
    halves = torch.tensor([60, 120], dtype=torch.uint8).repeat_interleave(SIDE // 2).expand(3, SIDE, -1).clone()
    halves[0] += 30
    halves[1:] -= 10
    out = varied(halves.expand(8, -1, -1, -1), seed)[:, :, 0, [0, -1]]  # (8, 3, 2)
    grey = (out * torch.tensor(GREY)[:, None]).sum(1)
    contrast = (grey[:, 1] - grey[:, 0]) / grey.mean(1) / (60 / 92)
    colour = (out[:, 0] - out[:, 1]).mean(1) / (grey[:, 1] - grey[:, 0]) / (40 / 60)
    assert torch.allclose(out[:, 1], out[:, 2], atol=1e-3)
    assert (colour > 1 - JITTER - 0.01).all() and (colour < 1 + JITTER + 0.01).all()
    assert (contrast > 0.6).all() and (contrast < 1.4).all()  # of a mean that hangs on the crop
    assert float(colour.max() - colour.min()) > 0.1 and float(contrast.max() - contrast.min()) > 0.05


# --- spectrograms ------------------------------------------------------------------------------------------------


@settings(max_examples=40)
@given(seed=seeds, n=st.integers(1, 120))
def test_stripes_hide_a_few_bands_and_a_few_of_the_real_frames(seed, n):
    mel, n_frames = drawn(2, 80, 120, seed=1), torch.tensor([n, 120])
    out, hidden = stripes(mel, n_frames, seed)
    for row, own in enumerate(hidden):
        bands, frames = own.all(1), own.all(0)
        assert torch.equal(own, bands[:, None] | frames[None])  # nothing but whole stripes
        assert int(bands.sum()) <= N_HIDDEN * BAND
        assert int(frames.sum()) <= N_HIDDEN * -(-int(n_frames[row]) * SPAN // 1)
        assert not frames[n_frames[row] :].any()
        assert torch.allclose(out[row][own], mel[row].mean().expand(int(own.sum())))


def test_each_sound_has_its_own_stripes_anywhere():
    mel, n_frames = drawn(64, 80, 100, seed=1), torch.full((64,), 100)
    _, hidden = stripes(mel, n_frames, seed=0)
    bands, frames = hidden.all(2), hidden.all(1)
    assert bands.any(0).float().mean() > 0.9 and frames.any(0).float().mean() > 0.9
    assert len({tuple(row.tolist()) for row in bands}) > 60
    assert 0.5 * BAND < float(bands.sum(1).float().mean()) < N_HIDDEN * BAND
