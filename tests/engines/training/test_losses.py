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


def test_a_target_is_smoothed_over_the_vocabulary():
    logits = torch.tensor([[2.0, 0.0, 0.0, 0.0]])
    total = math.log(math.e**2 + 3)
    wanted = 0.9 * (total - 2) + 0.1 * (total - 2 / 4)
    assert float(losses.next_token(logits, torch.tensor([0]))) == pytest.approx(wanted, abs=1e-6)
    assert float(losses.next_token(logits, torch.tensor([0]), smoothing=0.0)) == pytest.approx(total - 2, abs=1e-6)


# --- a sampled softmax -----------------------------------------------------------------------------------------


@settings(max_examples=20)
@given(seed=st.integers(0, 999), smoothing=st.sampled_from([0.0, 0.1]))
def test_a_sample_of_every_token_is_the_whole_vocabulary(seed, smoothing):
    targets = torch.randint(20, (7,), generator=torch.Generator().manual_seed(seed))
    found = []
    for few in (True, False):
        hidden, embedding = (drawn(n, 8, seed=seed + n).requires_grad_() for n in (7, 20))
        if few:
            loss = losses.next_token_sampled(hidden, embedding, targets, n_sampled=20, smoothing=smoothing)
        else:
            loss = losses.next_token(hidden @ embedding.T, targets, smoothing=smoothing)
        loss.backward()
        found.append((loss, hidden.grad, embedding.grad))
    for one, other in zip(*found, strict=True):
        assert one is not None and other is not None and torch.allclose(one, other, atol=1e-5)


def test_a_sampled_token_stands_for_those_left_out_so_the_sum_is_right_on_average():
    hidden, embedding, targets = drawn(3, 8) / 3, drawn(200, 8, seed=1), torch.tensor([5, 17, 5])
    exact = losses.next_token(hidden @ embedding.T, targets, smoothing=0.0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        few = [losses.next_token_sampled(hidden, embedding, targets, n_sampled=50, smoothing=0.0) for _ in range(400)]
        smoothed = [
            losses.next_token_sampled(hidden, embedding, targets, n_sampled=50, smoothing=0.5) for _ in range(400)
        ]
    assert len({float(loss) for loss in few}) > 300
    assert float((torch.stack(few) - exact).exp().mean()) == pytest.approx(1.0, abs=0.01)
    exact = losses.next_token(hidden @ embedding.T, targets, smoothing=0.5)
    assert float(torch.stack(smoothed).mean()) == pytest.approx(float(exact), abs=0.01)


def test_a_batch_teaches_its_own_tokens_and_the_sampled_ones_only():
    hidden, embedding = drawn(3, 8), drawn(1000, 8, seed=1).requires_grad_()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        losses.next_token_sampled(hidden, embedding, torch.tensor([3, 998, 3]), n_sampled=50).backward()
    assert embedding.grad is not None
    scored = embedding.grad.any(1)
    assert scored[3] and scored[998]
    assert 30 <= int(scored.sum()) <= 75


def test_targets_may_have_weights():
    hidden, embedding, targets = drawn(3, 8), drawn(20, 8, seed=1), torch.tensor([2, 0, 3])
    weight = torch.tensor([2.0, 0.0, -1.0])
    loss = losses.next_token_sampled(hidden, embedding, targets, n_sampled=20, weight=weight)
    rows = [losses.next_token(hidden[i : i + 1] @ embedding.T, targets[i : i + 1]) for i in range(3)]
    assert torch.allclose(loss, (2 * rows[0] - rows[2]) / 3, atol=1e-5)


def test_half_precision_is_summed_in_full():
    hidden, embedding = torch.ones(1, 4, dtype=torch.bfloat16), torch.ones(30_000, 4, dtype=torch.bfloat16)
    loss = losses.next_token_sampled(hidden, embedding, torch.tensor([7]), n_sampled=3000)
    assert float(loss) == pytest.approx(math.log(30_000), abs=1e-3)


# --- contrast ----------------------------------------------------------------------------------------------------


def test_a_row_is_contrasted_with_the_others():
    wanted = math.log(1 + 2 * math.exp(-2.0))  # scores 2 and 0 at temperature 0.5
    assert float(losses.info_nce(UNIT, UNIT, torch.arange(3), temperature=0.5)) == pytest.approx(wanted, abs=1e-6)


def test_rows_of_one_group_are_all_positives():
    both = losses.info_nce(UNIT, UNIT, torch.tensor([7, 7, 2]), temperature=0.5)
    total = math.log(math.e**2 + 2)  # scores 2, 0 and 0: rows of the group want half of each of their two
    assert float(both) == pytest.approx((2 * (total - 1) + (total - 2)) / 3, abs=1e-6)


def test_every_pair_is_a_binary_decision():
    a = torch.eye(2)
    wanted = math.log(1 + math.exp(-0.5)) + math.log(1 + math.exp(-0.5))  # right: 1 - 0.5; wrong: -(0 - 0.5)
    assert float(losses.sigmoid_pairs(a, a, torch.arange(2), scale=1.0, bias=-0.5)) == pytest.approx(wanted, abs=1e-6)


def test_vectors_are_classified_by_prompts():
    wanted = math.log(1 + 2 * math.exp(-4.0))
    assert float(losses.classes(UNIT[:1], UNIT, torch.tensor([0]), temperature=0.25)) == pytest.approx(wanted, abs=1e-6)


# --- what a teacher finds alike ----------------------------------------------------------------------------------


def test_a_teacher_that_agrees_costs_nothing():
    teacher = unit(6, 4)
    turned = teacher @ torch.linalg.qr(drawn(4, 4, seed=1)).Q  # only who is like whom is asked, not where each stands
    assert float(losses.relations(teacher, teacher, teacher)) == pytest.approx(0.0, abs=1e-5)
    assert float(losses.relations(turned, turned, teacher)) == pytest.approx(0.0, abs=1e-5)


def test_similarity_to_itself_does_not_count():
    teacher = torch.eye(2)[[0, 0, 1]]  # the first two are alike
    loss = losses.relations(UNIT, UNIT, teacher, temperature=0.5)
    p = math.e**2 / (math.e**2 + 1)  # scores 2 and 0 of the two others, where ours has 0 and 0
    apart = p * math.log(2 * p) + (1 - p) * math.log(2 * (1 - p))
    assert float(loss) == pytest.approx(2 / 3 * apart, abs=1e-6)  # the third is like neither, and so it is with us


# --- spelling ----------------------------------------------------------------------------------------------------


def test_ctc_sums_over_every_alignment():
    log_probs = torch.tensor([[[0.5, 0.3, 0.2], [0.4, 0.4, 0.2]]]).log()
    said = 0.3 * 0.4 + 0.3 * 0.4 + 0.5 * 0.4  # "1 1", "1 -", "- 1"
    loss = losses.ctc(log_probs, torch.tensor([2]), torch.tensor([[1]]), torch.tensor([1]))
    assert float(loss) == pytest.approx(-math.log(said), abs=1e-6)


def test_ctc_is_averaged_by_byte_and_row():
    log_probs = drawn(2, 6, 4).log_softmax(-1)
    targets, n = torch.tensor([[1, 2, 3], [2, 0, 0]]), torch.tensor([3, 1])
    rows = [losses.ctc(log_probs[i : i + 1], torch.tensor([6]), targets[i : i + 1], n[i : i + 1]) for i in (0, 1)]
    assert torch.allclose(losses.ctc(log_probs, torch.tensor([6, 6]), targets, n), sum(rows) / 2)


def test_a_text_too_long_for_its_sound_costs_nothing():
    log_probs = drawn(1, 2, 4).log_softmax(-1).requires_grad_()
    loss = losses.ctc(log_probs, torch.tensor([2]), torch.tensor([[1, 1, 2]]), torch.tensor([3]))
    loss.backward()
    assert loss.item() == 0.0
    assert log_probs.grad is not None and log_probs.grad.isfinite().all()
