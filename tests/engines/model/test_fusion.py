"""Fusion: four operators over any subset of the modalities, and the heads on top of it."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import pytest
import torch
from torch import Tensor

from engines.model.config import KINDS
from engines.model.fusion import (
    CLOCK_START,
    FRAME_SIDE,
    N_CTC,
    SOUND_POOL,
    VECTOR_KINDS,
    FusionModel,
    Stream,
    StreamModality,
    concatenate,
    novelty,
    on_grid,
    pool_tokens,
)
from engines.model.parts import time_encoding
from tests.engines.model.makers import built, drawn, lengths


def shaken(kind: str) -> FusionModel:
    """A model that has left its start: what begins at zero (gates, output layers, embeddings) does something."""
    model = built(fusion=kind)
    for i, p in enumerate(model.parameters()):
        if not p.any():
            p.copy_(0.3 * drawn(*p.shape, seed=i))
    return model


FRESH = {kind: built(fusion=kind) for kind in KINDS["fusion"]}
SHAKEN = {kind: shaken(kind) for kind in KINDS["fusion"]}
every_operator = pytest.mark.parametrize("kind", KINDS["fusion"])
IDS = torch.tensor([[1, 2, 3], [4, 5, 6]])
N_TOKENS = {"picture": 8, "sound": 5, "text": 3}
MODALITIES: tuple[StreamModality, ...] = ("picture", "sound", "text")
"""Of a model without concepts, which knows no names."""


def stream(modality: StreamModality, mask: Tensor | None = None) -> Stream:
    """Two rows of tokens of a modality with their times, all real if not said otherwise."""
    n = N_TOKENS[modality]
    mask = torch.ones(2, n, dtype=torch.bool) if mask is None else mask
    times_s = None if modality == "text" else torch.arange(n).expand(2, -1) / 5
    return Stream(modality, drawn(2, n, 32, seed=n), mask, times_s)


def timeless(modality: StreamModality) -> Stream:
    """The same of a photo or a sound that is no clip: nothing has a time."""
    return replace(stream(modality), times_s=None)


def masked(modality: StreamModality) -> Stream:
    return stream(modality, torch.zeros(2, N_TOKENS[modality], dtype=torch.bool))


def written(model: FusionModel, *streams: Stream) -> Tensor:
    return model.decode(IDS, model.fuse(streams))


# --- any subset of modalities ----------------------------------------------------------------------------------------


@every_operator
@pytest.mark.parametrize("modalities", [s for n in (1, 2, 3) for s in combinations(MODALITIES, n)], ids="+".join)
def test_any_subset_of_modalities_can_be_written_from(kind, modalities):
    logits = written(SHAKEN[kind], *map(stream, modalities))
    assert logits.shape == (2, 3, 50)
    assert logits.isfinite().all()


@every_operator
@pytest.mark.parametrize("gone", MODALITIES)
def test_a_masked_modality_is_an_absent_one(kind, gone):
    model = SHAKEN[kind]
    there = [stream(modality) for modality in MODALITIES if modality != gone]
    hidden = [masked(modality) if modality == gone else stream(modality) for modality in MODALITIES]
    assert torch.allclose(written(model, *hidden), written(model, *there), atol=1e-4)


@every_operator
@pytest.mark.parametrize("modality", MODALITIES)
def test_every_modality_that_is_there_counts(kind, modality):
    model = SHAKEN[kind]
    hidden = [masked(s) if s == modality else stream(s) for s in MODALITIES]
    assert not torch.allclose(written(model, *hidden), written(model, *map(stream, MODALITIES)), atol=1e-3)


@every_operator
def test_what_stands_in_masked_places_is_never_seen(kind):
    model, mask = SHAKEN[kind], lengths(3, 5)
    clean = stream("sound", mask)
    dirty = Stream("sound", torch.where(mask[..., None], clean.tokens, 99.0), mask, clean.times_s)
    assert torch.allclose(written(model, clean, stream("text")), written(model, dirty, stream("text")), atol=1e-4)


@every_operator
def test_a_sound_that_starts_late_is_heard_like_one_that_ends_early(kind):
    model, early = SHAKEN[kind], lengths(3, 3, longest=5)
    tokens = drawn(2, 5, 32)
    first = Stream("sound", tokens, early)
    last = Stream("sound", tokens.roll(2, 1), early.roll(2, 1))
    assert torch.allclose(written(model, first, stream("text")), written(model, last, stream("text")), atol=1e-4)


@every_operator
@pytest.mark.parametrize("modality", MODALITIES)
def test_a_single_modality_passes_through(kind, modality):
    model, alone = SHAKEN[kind], stream(modality)
    memory = model.fuse([alone])
    assert torch.equal(memory.mask, alone.mask)
    assert torch.equal(memory.tokens, model._placed(alone).tokens)
    assert torch.equal(FRESH[kind].fuse([timeless(modality)]).tokens, alone.tokens)


@every_operator
def test_nothing_cannot_be_fused(kind):
    with pytest.raises(ValueError, match="nothing to fuse: give at least one stream"):
        FRESH[kind].fuse([])


# --- the clock of clips and what changes by it -------------------------------------------------------------------

timed = pytest.mark.parametrize("modality", ["picture", "sound"])


@timed
def test_the_clock_starts_as_a_quarter_of_the_plain_time(modality):
    model, own = FRESH["concat"], stream(modality)
    assert CLOCK_START == 0.25
    plain = time_encoding(own.times_s, 32)
    assert torch.allclose(model.fuse([own]).tokens, own.tokens + plain / 4, atol=1e-6)
    assert not any(vector.any() for vector in model.change.values())


@timed
def test_the_clock_and_the_change_are_added_to_what_has_times(modality):
    model, own = SHAKEN["concat"], stream(modality)
    clock = model.clock(time_encoding(own.times_s, 32))
    added = clock + novelty(own)[..., None] * model.change[modality] + model.sense_embedding[modality]
    assert torch.allclose(model.fuse([own]).tokens, own.tokens + added, atol=1e-5)


@pytest.mark.parametrize("modality", MODALITIES)
def test_what_has_no_times_has_neither_clock_nor_change(modality):
    model, own = shaken("concat"), timeless(modality)
    before = model.fuse([own]).tokens
    assert torch.equal(before, own.tokens + model.sense_embedding[modality])
    model.clock.weight.fill_(9.0)
    for vector in model.change.values():
        vector.fill_(9.0)
    assert torch.equal(model.fuse([own]).tokens, before)


@timed
def test_nothing_is_new_where_nothing_changes_and_all_where_it_turns_round(modality):
    n = FRAME_SIDE**2 if modality == "picture" else 1
    moment = drawn(2, n, 32)
    tokens = torch.cat([moment, 3.0 * moment, -moment], dim=1)  # how loud it is does not count
    found = novelty(Stream(modality, tokens, torch.ones(2, 3 * n, dtype=torch.bool)))
    assert torch.allclose(found, torch.tensor([1.0, 0.0, 2.0]).repeat_interleave(n).expand(2, -1), atol=1e-5)


def test_a_picture_is_compared_with_the_same_place_of_the_frame_before_and_a_sound_with_the_last_moment():
    east, north = torch.eye(32)[:2]
    frames = torch.stack([east, east, north, north, east, north, north, east])[None]
    mask = torch.ones(1, 8, dtype=torch.bool)
    assert novelty(Stream("picture", frames, mask))[0].tolist() == [1, 1, 1, 1, 0, 1, 0, 1]
    assert novelty(Stream("sound", frames, mask))[0].tolist() == [1, 0, 1, 0, 1, 1, 0, 1]


def test_a_moment_that_is_masked_counts_as_nothing_to_the_next():
    tokens = drawn(1, 1, 32).expand(1, 4, -1)
    mask = torch.tensor([[True, False, True, True]])
    assert torch.allclose(novelty(Stream("sound", tokens, mask)), torch.tensor([[1.0, 1.0, 1.0, 0.0]]), atol=1e-6)
    frames, seen = drawn(1, 4, 32).repeat(1, 3, 1), torch.tensor([True, False, True]).repeat_interleave(4)[None]
    assert torch.allclose(novelty(Stream("picture", frames, seen)), torch.ones(1, 12), atol=1e-6)


# --- how each operator starts ------------------------------------------------------------------------------------


def test_attention_starts_as_plain_concatenation():
    streams = [timeless(modality) for modality in MODALITIES]
    memory = FRESH["attention"].fuse(streams)
    assert torch.equal(memory.tokens, concatenate(streams).tokens)
    assert memory.tokens.shape == (2, 16, 32)


def test_gates_start_open():
    streams = [stream(modality) for modality in MODALITIES]
    assert torch.equal(FRESH["gated"].fuse(streams).tokens, FRESH["sum"].fuse(streams).tokens)


def test_a_sum_is_the_mean_of_what_is_there():
    grids = [on_grid(stream(modality), 8) for modality in ("picture", "sound")]
    memory = FRESH["sum"].fuse([timeless("picture"), timeless("sound"), masked("text")])
    assert torch.allclose(memory.tokens, (grids[0] + grids[1]) / 2, atol=1e-6)
    assert memory.mask.all()


def test_a_grid_takes_the_nearest_real_token():
    tokens = torch.arange(4.0)[None, :, None].expand(3, -1, 32)
    mask = torch.tensor([[True] * 4, [True, True, False, False], [False] * 4])
    places = on_grid(Stream("sound", tokens, mask), 8)[..., 0]
    assert places.tolist() == [[0, 0, 1, 1, 2, 2, 3, 3], [0, 0, 0, 0, 1, 1, 1, 1], [0] * 8]
    gap = torch.tensor([[False, True, False, True]])
    assert on_grid(Stream("sound", tokens[:1], gap), 2)[..., 0].tolist() == [[1, 3]]


# --- pooling -----------------------------------------------------------------------------------------------------


def test_a_frame_becomes_the_means_of_its_four_quarters():
    model = FRESH["attention"]
    tokens = torch.zeros(1, 2, 16, 32)
    tokens[0, 1, [2, 3, 6, 7]] = 4.0  # the upper right quarter of the second frame
    pooled = model.pool_frames(tokens)
    assert pooled.shape == (1, 8, 32)
    assert pooled[0, :, 0].tolist() == [0, 0, 0, 0, 0, 4, 0, 0]


def test_ten_sound_tokens_become_their_mean():
    tokens = torch.arange(25.0)[None, :, None].expand(2, -1, 3)
    pooled, mask = pool_tokens(tokens, lengths(25, 13))
    assert SOUND_POOL == 10
    assert pooled[..., 0].tolist() == [[4.5, 14.5, 22.0], [4.5, 11.0, 0.0]]
    assert mask.tolist() == [[True, True, True], [True, True, False]]


def test_all_layers_can_be_pooled_at_once():
    layers, mask = drawn(2, 25, 3, 32), lengths(25, 7)
    together, _ = pool_tokens(layers, mask)
    assert together.shape == (2, 3, 3, 32)
    assert torch.allclose(together[:, :, 1], pool_tokens(layers[:, :, 1], mask)[0], atol=1e-6)


def test_the_mix_starts_as_the_mean_of_the_normed_layers():
    model, layers = FRESH["attention"], drawn(1, 4, 3, 32)
    loud = layers * torch.tensor([1.0, 100.0, 1.0])[:, None]
    assert torch.allclose(model.mix(layers), model.mix(loud), atol=1e-3)


# --- heads -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", VECTOR_KINDS)
def test_vectors_have_unit_length_and_see_real_tokens_only(kind):
    model, tokens, mask = SHAKEN["attention"], drawn(2, 5, 32), lengths(5, 2)
    vector = model.vector(kind, tokens, mask)
    assert vector.shape == (2, 16)
    assert vector.dtype == torch.float32
    assert torch.allclose(vector.norm(dim=1), torch.ones(2))
    alone = model.vector(kind, tokens[1:, :2], mask[1:, :2])
    assert torch.allclose(vector[1:], alone, atol=1e-6)


def test_a_medium_without_tokens_still_has_a_vector():
    vector = FRESH["attention"].vector("sound", drawn(1, 4, 32), lengths(0, longest=4))
    assert torch.allclose(vector.norm(dim=1), torch.ones(1))


def test_each_moment_spells_a_byte_or_none_with_probabilities_that_sum_to_one():
    log_probs = SHAKEN["attention"].ctc(drawn(2, 7, 32))
    assert log_probs.shape == (2, 7, N_CTC) == (2, 7, 257)
    assert torch.allclose(log_probs.exp().sum(-1), torch.ones(2, 7), atol=1e-5)


def test_every_event_is_a_question_of_its_own():
    model = SHAKEN["attention"]
    logits = model.event_logits(drawn(2, 5, 32), lengths(5, 2))
    assert logits.shape == (2, len(model.config.events))
    assert logits.dtype == torch.float32
    alone = model.event_logits(drawn(2, 5, 32)[1:, :2], lengths(2))
    assert torch.allclose(logits[1:], alone, atol=1e-5)
