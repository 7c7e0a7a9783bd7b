"""The parts of the towers: positions, means, blocks, and decoding piece by piece with a cache."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.model.fusion import Memory
from engines.model.parts import (
    Block,
    Int8Embedding,
    KVCache,
    PackedLinear,
    masked_mean,
    sinusoids,
    time_encoding,
)
from tests.engines.model.makers import built, drawn, lengths

MODEL = built()
MEMORY = Memory(drawn(2, 6, 32), lengths(6, 4))
IDS = torch.tensor([[1, 7, 3, 9, 4], [2, 8, 8, 5, 6]])


def one_by_one(ids: torch.Tensor, memory: Memory, cache: KVCache) -> torch.Tensor:
    return torch.cat([MODEL.decode(ids[:, i : i + 1], memory, cache) for i in range(ids.shape[1])], dim=1)


# --- positions and means -----------------------------------------------------------------------------------------


def test_positions_are_those_of_whispers_encoder():
    from transformers.models.whisper import modeling_whisper

    assert torch.allclose(sinusoids(1500, 64), modeling_whisper.sinusoids(1500, 64), atol=1e-6)


def test_frames_and_sound_share_one_clock_of_tenths_of_a_second():
    times_s = torch.tensor([[0.0, 0.1, 2.5]])
    assert torch.allclose(time_encoding(times_s, 32), sinusoids(26, 32)[[0, 1, 25]][None], atol=1e-5)


def test_a_mean_is_over_the_real_tokens_only():
    tokens = torch.tensor([[[1.0], [3.0], [100.0]], [[5.0], [6.0], [7.0]]])
    assert masked_mean(tokens, lengths(2, 0, longest=3)).tolist() == [[2.0], [0.0]]


# --- blocks ------------------------------------------------------------------------------------------------------


def test_a_new_block_may_start_by_changing_nothing():
    block = Block(32, 2)
    x = drawn(2, 5, 32)
    assert not torch.allclose(block(x), x)
    block.start_as_identity()
    assert torch.equal(block(x), x)


def test_a_block_looks_at_real_tokens_only():
    block = Block(32, 2).eval()
    x, mask = drawn(1, 5, 32), lengths(3, longest=5)
    other = torch.where(mask[..., None], x, x + 50.0)
    assert torch.allclose(block(x, mask)[:, :3], block(other, mask)[:, :3], atol=1e-6)
    assert torch.allclose(block(x, mask)[:, :3], block(x[:, :3]), atol=1e-6)


# --- the cache ---------------------------------------------------------------------------------------------------


@settings(max_examples=10)
@given(n_prefix=st.integers(1, 5))
def test_piece_by_token_gives_what_all_at_once_gives(n_prefix):
    at_once, cache = MODEL.decode(IDS, MEMORY), MODEL.new_cache()
    prefix = MODEL.decode(IDS[:, :n_prefix], MEMORY, cache)
    rest = [prefix]
    if n_prefix < 5:
        rest.append(one_by_one(IDS[:, n_prefix:], MEMORY, cache))
    assert torch.allclose(torch.cat(rest, dim=1), at_once, atol=1e-5)
    assert cache.length == 5


def test_a_token_does_not_see_those_after_it():
    other = IDS.clone()
    other[:, 3:] = 11
    assert torch.allclose(MODEL.decode(IDS, MEMORY)[:, :3], MODEL.decode(other, MEMORY)[:, :3], atol=1e-6)


def test_texts_of_one_memory_may_split_and_trade_places():
    """Rows 0 to 2 write about the first memory, 3 to 5 about the second."""
    cache = MODEL.new_cache()
    one_by_one(IDS[:, :4], MEMORY, cache)
    rows = torch.tensor([0, 0, 0, 1, 1, 1])
    cache.select(rows)
    ids = torch.cat([IDS[rows][:, :4], torch.arange(6)[:, None] + 7], dim=1)
    after = MODEL.decode(ids[:, 4:], MEMORY, cache)
    repeated = Memory(MEMORY.tokens[rows], MEMORY.mask[rows])
    assert torch.allclose(after, MODEL.decode(ids, repeated)[:, 4:], atol=1e-5)
    cache.select(torch.tensor([2, 1, 0, 4, 5, 3]))
    ids = torch.cat([ids[[2, 1, 0, 4, 5, 3]], torch.arange(6)[:, None] + 20], dim=1)
    after = MODEL.decode(ids[:, 5:], MEMORY, cache)
    assert torch.allclose(after, MODEL.decode(ids, repeated)[:, 5:], atol=1e-5)


def test_several_whole_texts_may_share_a_memory():
    shared = Memory(MEMORY.tokens[:1], MEMORY.mask[:1])
    each = Memory(shared.tokens.expand(2, -1, -1), shared.mask.expand(2, -1))
    assert torch.allclose(MODEL.decode(IDS, shared), MODEL.decode(IDS, each), atol=1e-5)


def test_a_filled_cache_refuses_several_tokens_at_once():
    cache = MODEL.new_cache()
    MODEL.decode(IDS[:, :2], MEMORY, cache)
    with pytest.raises(ValueError, match="a filled cache takes one new token at a time"):
        MODEL.decode(IDS[:, 2:4], MEMORY, cache)


def int8_rows(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    scale = weight.abs().amax(1) / 127
    return (weight / scale[:, None]).round().to(torch.int8), scale


@pytest.mark.parametrize(("keeps_inputs", "error"), [(False, 0.02), (True, 0.001)])
def test_packed_rows_multiply_almost_as_float32_does(keeps_inputs, error):
    torch.manual_seed(0)
    rows, scale = int8_rows(torch.randn(300, 64))
    bias, x = torch.randn(300), 3 * torch.randn(2, 5, 64)
    layer = PackedLinear(rows, scale, bias, keeps_inputs=keeps_inputs)
    exact = x @ (rows * scale[:, None]).T + bias
    assert layer(x).shape == exact.shape
    assert (layer(x) - exact).abs().max() < error * exact.abs().max()
    assert torch.equal(layer(torch.zeros(1, 64)), bias[None])
    assert torch.equal(PackedLinear(rows, scale, keeps_inputs=keeps_inputs)(torch.zeros(1, 64)), torch.zeros(1, 300))


@pytest.mark.parametrize("keeps_inputs", [False, True])
def test_a_gradient_passes_a_packed_layer_as_it_passes_its_weights(keeps_inputs):
    torch.manual_seed(0)
    rows, scale = int8_rows(torch.randn(30, 64))
    x = torch.randn(2, 64, requires_grad=True)
    PackedLinear(rows, scale, keeps_inputs=keeps_inputs)(x).sum().backward()
    assert x.grad is not None
    assert torch.allclose(x.grad, (rows * scale[:, None]).sum(0).expand(2, -1), atol=0.02)


def test_int8_rows_are_embedded_as_the_numbers_they_stand_for():
    rows, scale = int8_rows(torch.randn(30, 8))
    ids = torch.tensor([[3, 29], [0, 3]])
    assert torch.equal(Int8Embedding(rows, scale)(ids), (rows * scale[:, None])[ids])
