"""The parts of the towers: positions, means, blocks, and decoding piece by piece with a cache."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.model.fusion import Memory
from engines.model.parts import Attention, Block, KVCache, masked_mean, sinusoids, time_encoding
from tests.engines.model.makers import built, drawn, lengths

MODEL = built()
MEMORY = Memory(drawn(2, 6, 32), lengths(6, 4))
IDS = torch.tensor([[1, 7, 3, 9, 4], [2, 8, 8, 5, 6]])


def one_by_one(ids: torch.Tensor, memory: Memory, cache: KVCache) -> torch.Tensor:
    return torch.cat([MODEL.decode(ids[:, i : i + 1], memory, cache) for i in range(ids.shape[1])], dim=1)


# --- positions and means -----------------------------------------------------------------------------------------


def test_positions_are_those_of_whispers_encoder() -> None:
    from transformers.models.whisper import modeling_whisper

    assert torch.allclose(sinusoids(1500, 64), modeling_whisper.sinusoids(1500, 64), atol=1e-6)


def test_frames_and_sound_share_one_clock_of_tenths_of_a_second() -> None:
    times_s = torch.tensor([[0.0, 0.1, 2.5]])
    assert torch.allclose(time_encoding(times_s, 32), sinusoids(26, 32)[[0, 1, 25]][None], atol=1e-5)


def test_a_mean_is_over_the_real_tokens_only() -> None:
    tokens = torch.tensor([[[1.0], [3.0], [100.0]], [[5.0], [6.0], [7.0]]])
    assert masked_mean(tokens, lengths(2, 0, longest=3)).tolist() == [[2.0], [0.0]]


# --- blocks ------------------------------------------------------------------------------------------------------


def test_a_new_block_may_start_by_changing_nothing() -> None:
    block = Block(32, 2)
    x = drawn(2, 5, 32)
    assert not torch.allclose(block(x), x)
    block.start_as_identity()
    assert torch.equal(block(x), x)


def test_a_block_looks_at_real_tokens_only() -> None:
    block = Block(32, 2).eval()
    x, mask = drawn(1, 5, 32), lengths(3, longest=5)
    other = torch.where(mask[..., None], x, x + 50.0)
    assert torch.allclose(block(x, mask)[:, :3], block(other, mask)[:, :3], atol=1e-6)
    assert torch.allclose(block(x, mask)[:, :3], block(x[:, :3]), atol=1e-6)


def test_attention_has_no_bias_on_its_keys() -> None:
    names = dict(Attention(32, 2).named_parameters())
    assert "key.bias" not in names
    assert {"query.bias", "value.bias", "out.bias"} <= names.keys()


# --- the cache ---------------------------------------------------------------------------------------------------


@settings(max_examples=10)
@given(n_prefix=st.integers(1, 5))
def test_piece_by_piece_gives_what_all_at_once_gives(n_prefix: int) -> None:
    at_once, cache = MODEL.decode(IDS, MEMORY), MODEL.new_cache()
    prefix = MODEL.decode(IDS[:, :n_prefix], MEMORY, cache)
    rest = [prefix]
    if n_prefix < 5:
        rest.append(one_by_one(IDS[:, n_prefix:], MEMORY, cache))
    assert torch.allclose(torch.cat(rest, dim=1), at_once, atol=1e-5)
    assert cache.length == 5


def test_a_piece_does_not_see_those_after_it() -> None:
    other = IDS.clone()
    other[:, 3:] = 11
    assert torch.allclose(MODEL.decode(IDS, MEMORY)[:, :3], MODEL.decode(other, MEMORY)[:, :3], atol=1e-6)


@pytest.mark.parametrize("memory", [True, False])
def test_beams_may_trade_places_split_and_end(memory: bool) -> None:
    rows = torch.tensor([1, 0] if not memory else [1, 0, 0])
    shared = Memory(MEMORY.tokens[:1].expand(2, -1, -1), MEMORY.mask[:1].expand(2, -1))
    about = MEMORY if memory else shared
    cache = MODEL.new_cache()
    one_by_one(IDS[:, :4], about, cache)
    cache.select(rows, memory=memory)
    chosen = Memory(about.tokens[rows], about.mask[rows])
    after = MODEL.decode(IDS[rows][:, 4:], chosen, cache)
    assert torch.allclose(after, MODEL.decode(IDS[rows], chosen)[:, 4:], atol=1e-5)


def test_trading_places_over_one_memory_leaves_its_side_alone() -> None:
    cache = MODEL.new_cache()
    MODEL.decode(IDS, MEMORY, cache)
    before = cache.memory[0]
    cache.select(torch.tensor([1, 0]), memory=False)
    assert cache.memory[0] is before


def test_an_empty_cache_has_no_length_and_may_be_selected_from() -> None:
    cache = KVCache(2)
    cache.select(torch.tensor([0, 0]))
    assert cache.length == 0


def test_two_decodings_do_not_meet() -> None:
    first, second = MODEL.new_cache(), MODEL.new_cache()
    one_by_one(IDS[:, :3], MEMORY, first)
    assert second.length == 0
    assert torch.allclose(one_by_one(IDS, MEMORY, second), MODEL.decode(IDS, MEMORY), atol=1e-5)


def test_a_filled_cache_refuses_several_pieces_at_once() -> None:
    cache = MODEL.new_cache()
    MODEL.decode(IDS[:, :2], MEMORY, cache)
    with pytest.raises(ValueError, match="a filled cache takes one new piece at a time"):
        MODEL.decode(IDS[:, 2:4], MEMORY, cache)
