"""Losses against numbers counted out by hand."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from engines.training import losses
from tests.engines.model.makers import drawn

UNIT = torch.eye(3)


def unit(*shape: int, seed: int = 0) -> Tensor:
    return F.normalize(drawn(*shape, seed=seed), dim=-1)


def test_a_piece_is_smoothed_over_the_vocabulary() -> None:
    logits = torch.tensor([[2.0, 0.0, 0.0, 0.0]])
    total = math.log(math.e**2 + 3)
    wanted = 0.9 * (total - 2) + 0.1 * (total - 2 / 4)
    assert float(losses.next_piece(logits, torch.tensor([0]))) == pytest.approx(wanted, abs=1e-6)
    assert float(losses.next_piece(logits, torch.tensor([0]), smoothing=0.0)) == pytest.approx(total - 2, abs=1e-6)


def test_half_precision_logits_are_summed_in_full() -> None:
    logits = torch.full((1, 30_000), 1.0, dtype=torch.bfloat16)
    assert float(losses.next_piece(logits, torch.tensor([5]))) == pytest.approx(math.log(30_000), abs=1e-3)


# --- contrast ----------------------------------------------------------------------------------------------------


def test_a_row_is_told_from_its_neighbours() -> None:
    wanted = math.log(1 + 2 * math.exp(-2.0))  # scores 2 and 0 at temperature 0.5
    assert float(losses.info_nce(UNIT, UNIT, torch.arange(3), temperature=0.5)) == pytest.approx(wanted, abs=1e-6)


def test_rows_of_one_group_are_all_right() -> None:
    both = losses.info_nce(UNIT, UNIT, torch.tensor([7, 7, 2]), temperature=0.5)
    total = math.log(math.e**2 + 2)  # scores 2, 0 and 0: rows of the group want half of each of their two
    assert float(both) == pytest.approx((2 * (total - 1) + (total - 2)) / 3, abs=1e-6)


@settings(max_examples=20)
@given(seed=st.integers(0, 999))
def test_contrast_does_not_ask_which_side_is_which(seed: int) -> None:
    a, b, group = unit(5, 8, seed=seed), unit(5, 8, seed=seed + 1), torch.tensor([0, 1, 1, 2, 0])
    assert torch.allclose(losses.info_nce(a, b, group), losses.info_nce(b, a, group), atol=1e-5)
    order = torch.randperm(5, generator=torch.Generator().manual_seed(seed))
    assert torch.allclose(losses.info_nce(a, b, group), losses.info_nce(a[order], b[order], group[order]), atol=1e-5)


def test_every_pair_is_a_yes_or_no_of_its_own() -> None:
    a = torch.eye(2)
    wanted = math.log(1 + math.exp(-0.5)) + math.log(1 + math.exp(-0.5))  # right: 1 - 0.5; wrong: -(0 - 0.5)
    assert float(losses.sigmoid_pairs(a, a, torch.arange(2), scale=1.0, bias=-0.5)) == pytest.approx(wanted, abs=1e-6)


def test_a_vector_is_told_which_prompt_fits_it() -> None:
    wanted = math.log(1 + 2 * math.exp(-4.0))
    assert float(losses.classes(UNIT[:1], UNIT, torch.tensor([0]), temperature=0.25)) == pytest.approx(wanted, abs=1e-6)


# --- spelling ----------------------------------------------------------------------------------------------------


def test_a_spelling_counts_every_way_through_the_sound() -> None:
    log_probs = torch.tensor([[[0.5, 0.3, 0.2], [0.4, 0.4, 0.2]]]).log()
    said = 0.3 * 0.4 + 0.3 * 0.4 + 0.5 * 0.4  # "1 1", "1 -", "- 1"
    loss = losses.ctc(log_probs, torch.tensor([2]), torch.tensor([[1]]), torch.tensor([1]))
    assert float(loss) == pytest.approx(-math.log(said), abs=1e-6)


def test_a_spelling_is_counted_per_byte_and_row() -> None:
    log_probs = drawn(2, 6, 4).log_softmax(-1)
    targets, n = torch.tensor([[1, 2, 3], [2, 0, 0]]), torch.tensor([3, 1])
    rows = [losses.ctc(log_probs[i : i + 1], torch.tensor([6]), targets[i : i + 1], n[i : i + 1]) for i in (0, 1)]
    assert torch.allclose(losses.ctc(log_probs, torch.tensor([6, 6]), targets, n), sum(rows) / 2)  # type: ignore[arg-type]


def test_a_text_that_does_not_fit_into_its_sound_costs_nothing() -> None:
    log_probs = drawn(1, 2, 4).log_softmax(-1).requires_grad_()
    loss = losses.ctc(log_probs, torch.tensor([2]), torch.tensor([[1, 1, 2]]), torch.tensor([3]))
    loss.backward()
    assert loss.item() == 0.0
    assert log_probs.grad is not None and log_probs.grad.isfinite().all()


@settings(max_examples=20)
@given(seed=st.integers(0, 999), scale=st.sampled_from([1e-3, 1.0, 30.0]))
def test_gradients_are_finite(seed: int, scale: float) -> None:
    x = (drawn(4, 6, seed=seed) * scale).requires_grad_()
    y, rows = unit(4, 6, seed=seed + 1), torch.arange(4)
    vectors = F.normalize(x, dim=-1)
    total = losses.next_piece(x, rows) + losses.info_nce(vectors, y, rows % 2) + losses.sigmoid_pairs(vectors, y, rows)
    total = total + losses.classes(vectors, y, rows)
    total = total + losses.ctc(x[None].log_softmax(-1), torch.tensor([4]), torch.tensor([[1, 2]]), torch.tensor([2]))
    total.backward()
    assert total.isfinite()
    assert x.grad is not None and x.grad.isfinite().all()
