from __future__ import annotations

import numpy as np
import pytest
import torch

from engines.lab.data.arrays import LOUDNESS, MAX_FRAMES, N_MELS, PX, Pictures, Sounds, Words, sound_codes
from engines.model.features import log_mel, photo_tensor
from tests.engines.lab.makers import tone


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.fixture
def pictures() -> Pictures:
    """Four pictures of 8 x 8, grey."""
    return Pictures(rng(1).integers(0, 256, (4, 8, 8, 1), dtype=np.uint8), np.arange(4))


@pytest.fixture
def sounds() -> Sounds:
    """Three tones of 0.2, 0.5 and 0.3 seconds."""
    codes = [code for s, hz in ((0.2, 300), (0.5, 900), (0.3, 2500)) if (code := sound_codes(tone(s, hz))) is not None]
    return Sounds.of(codes, np.arange(3))


WORDS = Words(("seven", "acht", "neun", "七"), np.array([7, 8, 9, 7]), np.array([0, 1, 1, 2]))
ALL = np.arange(3)


def test_a_picture_becomes_what_the_photo_tensor_of_it_would_be():
    pixels = rng().integers(0, 256, (1, PX, PX, 3), dtype=np.uint8)
    got = Pictures(pixels, np.zeros(1, np.int64)).batch(np.array([0]), rng=rng())
    assert torch.equal(got[0], photo_tensor(pixels[0], PX))


def test_a_small_grey_picture_is_enlarged_to_three_equal_channels(pictures):
    got = pictures.batch(np.array([2, 0]), rng=rng())
    assert got.shape == (2, 3, PX, PX) and got.dtype == torch.float32
    assert torch.equal(got[:, 0], got[:, 2])
    assert got.min() >= -127 / 128 and got.max() <= 1.0


def test_noise_is_added_before_a_picture_is_enlarged_so_that_neighbours_share_it(pictures):
    index = np.zeros(200, np.int64)
    noise = pictures.batch(index, noise=0.1, rng=rng()) - pictures.batch(index, rng=rng())
    neighbours = np.corrcoef(noise[:, 0, 28, 28], noise[:, 0, 29, 28])[0, 1]
    assert neighbours > 0.8


def test_a_sound_keeps_its_mel_to_within_half_a_step_of_a_byte():
    samples = tone(0.4, 700)
    code = sound_codes(samples)
    assert code is not None
    mel, n_frames = Sounds.of([code], np.array([0])).batch(np.array([0]), rng=rng())
    loud = samples * (LOUDNESS / np.sqrt((samples**2).mean()))
    assert torch.allclose(mel, log_mel(torch.from_numpy(loud[None]), N_MELS), atol=0.5 * 4.0 / 255 + 1e-4)
    assert n_frames.tolist() == [40]


def test_how_loud_a_sound_was_and_the_silence_around_it_are_gone():
    quiet = np.concatenate([np.zeros(8000, np.float32), 0.01 * tone(0.3), np.zeros(1600, np.float32)])
    loud, soft = sound_codes(tone(0.3)), sound_codes(quiet)
    assert loud is not None and soft is not None
    assert loud.shape == soft.shape == (30, N_MELS)
    assert np.abs(loud.astype(int) - soft).max() <= 2


def test_a_long_sound_is_cut_and_a_silent_one_is_none():
    long = sound_codes(tone(2.0))
    assert long is not None and len(long) == MAX_FRAMES
    assert sound_codes(np.zeros(16000, np.float32)) is None
    assert sound_codes(np.zeros(0, np.float32)) is None


def test_sounds_of_different_length_are_padded_with_their_own_quietest_cell(sounds):
    mel, n_frames = sounds.batch(ALL, rng=rng())
    assert mel.shape == (3, N_MELS, 50) and n_frames.tolist() == [20, 50, 30]
    assert (mel[0, :, 20:] == mel[0, :, :20].min()).all()


def test_rows_of_sounds_are_the_sounds_in_that_order(sounds):
    some = sounds.rows(np.array([2, 0]))
    assert some.labels.tolist() == [2, 0] and some.ends.tolist() == [30, 50]
    assert torch.equal(some.batch(np.array([0]), rng=rng())[0], sounds.batch(np.array([2]), rng=rng())[0])
    assert len(sounds.rows(np.array([], np.int64))) == 0


def test_noise_as_loud_as_a_sound_doubles_its_power_on_average(sounds):
    def power(noise: float) -> float:
        mel, _ = sounds.batch(np.full(200, 1), noise=noise, rng=rng())
        return float((10.0 ** (4.0 * mel.double() - 4.0)).mean())

    assert power(1.0) == pytest.approx(2.0 * power(0.0), rel=0.02)


def test_noise_has_the_same_colour_whatever_is_said(sounds):
    mel, _ = sounds.batch(np.repeat(ALL, 200), noise=1000.0, rng=rng())
    low, mid, high = (mel[i * 200 : (i + 1) * 200, :, :20].mean(dim=(0, 2)) for i in range(3))
    assert torch.allclose(low - low.mean(), mid - mid.mean(), atol=0.02)
    assert torch.allclose(low - low.mean(), high - high.mean(), atol=0.02)
    assert low[0] > low[-1]  # pink: more in the low bands


def test_words_are_their_bytes_one_up_and_a_mask():
    ids, mask = WORDS.batch(np.array([1, 3]), rng=rng())
    assert ids.tolist() == [[b + 1 for b in b"acht"], [b + 1 for b in "七".encode()] + [0]]
    assert mask.sum(dim=1).tolist() == [4, 3]


def test_a_word_all_of_whose_letters_are_spoiled_keeps_to_the_letters_of_its_language():
    ids, mask = WORDS.batch(np.array([1] * 50 + [3] * 50), noise=1.0, rng=rng())
    texts = [bytes(int(b) - 1 for b in row[on]).decode() for row, on in zip(ids, mask, strict=True)]
    assert all(text and set(text) <= set("achtneu") for text in texts[:50])
    assert set(texts[50:]) == {"七"}
    assert len(set(texts[:50])) > 20


@pytest.mark.parametrize("rows", ["pictures", "sounds", "words"])
def test_noise_makes_it_harder_and_the_same_seed_gives_the_same_noise(rows, pictures, sounds):
    own = {"pictures": pictures, "sounds": sounds, "words": WORDS}[rows]

    def batch(noise: float, seed: int) -> np.ndarray:
        got = own.batch(ALL, noise=noise, rng=rng(seed))
        first = got[0] if isinstance(got, tuple) else got
        wide = np.zeros((*first.shape[:-1], 64), np.float64)
        wide[..., : first.shape[-1]] = first
        return wide

    clean = batch(0.0, 0)
    assert np.array_equal(clean, batch(0.0, 1))
    assert np.array_equal(batch(0.5, 3), batch(0.5, 3))
    assert not np.array_equal(batch(0.5, 3), batch(0.5, 4))
    distances = [
        np.mean([np.abs(batch(noise, seed) - clean).mean() for seed in range(20)]) for noise in (0.1, 0.4, 0.9)
    ]
    assert distances == sorted(distances) and distances[0] > 0
