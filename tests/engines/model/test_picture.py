"""The picture tower: three extractors behind one interface, and padding as the public weights expect it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from engines.model.config import KINDS, tiny
from engines.model.picture import PictureTower, SameConv
from tests.engines.model.makers import built, drawn


@pytest.mark.parametrize("kind", KINDS["picture"])
def test_every_extractor_gives_a_map_at_stride_32_and_the_same_tokens(kind):
    tower = PictureTower(replace(tiny(10), picture=kind)).eval()
    photos = drawn(2, 3, 64, 96)
    feature_map = tower.trunk(photos)
    assert feature_map.shape == (2, tower.trunk.channels, 2, 3)
    tokens = tower(photos)
    assert tokens.shape == (2, 6, 32)
    assert torch.equal(tokens, tower.adapt(feature_map))


@pytest.mark.parametrize("kind", KINDS["picture"])
def test_photos_of_a_batch_do_not_meet(kind):
    model, photos = built(picture=kind), drawn(2, 3, 64, 64)
    assert torch.allclose(model.see(photos)[1:], model.see(photos[1:]), atol=1e-5)


def test_tokens_lie_in_reading_order():
    tower = PictureTower(replace(tiny(10), n_picture_blocks=0)).eval()
    empty = torch.zeros(1, 32, 2, 3)
    marked = empty.clone()
    marked[0, :, 1, 0] = 1.0  # the first of the second row
    changed = (tower.adapt(marked) != tower.adapt(empty)).any(-1)
    assert changed.tolist() == [[False, False, False, True, False, False]]


def test_a_larger_photo_stretches_the_learned_places():
    tower = PictureTower(tiny(10)).eval()
    with torch.no_grad():
        tower.places.copy_(torch.ones_like(tower.places))
    assert tower(drawn(1, 3, 128, 128)).shape == (1, 16, 32)
    flat = torch.zeros(1, 32, 2, 2)
    assert torch.allclose(tower.adapt(flat)[:, 0], tower.adapt(flat.repeat(1, 1, 2, 2))[:, 0], atol=1e-5)


# --- padding -----------------------------------------------------------------------------------------------------


def seen_pixels(size: int, kernel: int, stride: int) -> list[float]:
    """How many of a row's pixels each output of a convolution of ones sees."""
    convolution = SameConv(1, 1, kernel, stride)
    torch.nn.init.ones_(convolution.weight)
    torch.nn.init.zeros_(convolution.bias)
    photo = torch.zeros(1, 1, 2 * kernel + 1, size)
    photo[:, :, kernel] = 1.0  # one row of light
    return convolution(photo)[0, 0].amax(0).tolist()


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "seen"),
    [
        (4, 3, 1, [2.0, 3.0, 3.0, 2.0]),
        (4, 3, 2, [3.0, 2.0]),  # the odd pixel goes right: PyTorch's own padding of 1 would give [2, 3]
        (5, 3, 2, [2.0, 3.0, 2.0]),
        (8, 5, 2, [4.0, 5.0, 5.0, 3.0]),
        (1, 3, 2, [1.0]),
    ],
)
def test_padding_is_tensorflows_same(size, kernel, stride, seen):
    assert seen_pixels(size, kernel, stride) == seen


# --- EfficientNet-Lite2 ------------------------------------------------------------------------------------------
