"""The adversarial game: the discriminator learns to tell, what made the vectors learns that it cannot."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engines.lab.adversary import Discriminator, game


def two_kinds(n: int = 64, apart: float = 1.0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    drawn = [torch.randn(n, 8, generator=generator) + side * apart for side in (-1.0, 1.0)]
    return [F.normalize(kind, dim=-1) for kind in drawn]


def trained(discriminator: Discriminator, kinds: list[Tensor], n_steps: int = 200) -> float:
    optimizer = torch.optim.Adam(discriminator.parameters(), 1e-2)
    for _ in range(n_steps):
        optimizer.zero_grad()
        loss = game(discriminator, kinds)
        loss.backward()
        optimizer.step()
    return float(loss.detach())


def test_a_discriminator_learns_to_tell_kinds_that_differ_and_not_those_that_do_not():
    torch.manual_seed(0)
    assert trained(Discriminator(8), two_kinds()) < 0.1
    kind = two_kinds()[0]
    assert trained(Discriminator(8), [kind, kind]) == pytest.approx(math.log(2), abs=1e-3)


def test_what_made_the_vectors_gets_the_opposite_of_the_gradient():
    torch.manual_seed(0)
    discriminator = Discriminator(8)
    kinds = [kind.requires_grad_() for kind in two_kinds()]
    game(discriminator, kinds).backward()
    labels = torch.tensor([0] * 64 + [1] * 64)
    plain = [kind.detach().requires_grad_() for kind in kinds]
    weights = [p.grad for p in discriminator.parameters()]
    discriminator.zero_grad()
    F.cross_entropy(discriminator(torch.cat(plain)), labels).backward()
    for played, told in zip(kinds, plain, strict=True):
        assert torch.allclose(played.grad, -told.grad)
        assert played.grad.abs().sum() > 0
    for before, p in zip(weights, discriminator.parameters(), strict=True):
        assert torch.allclose(before, p.grad)


def test_towers_learn_to_fool_it():
    """A shift of one kind, learnt in the game, brings it to where the other is."""
    torch.manual_seed(0)
    discriminator, shift = Discriminator(8), nn.Parameter(torch.zeros(8))
    photos, texts = two_kinds()
    optimizer = torch.optim.Adam([{"params": discriminator.parameters()}, {"params": [shift], "lr": 3e-3}], 1e-2)
    before = float((photos.mean(0) - texts.mean(0)).norm())
    for _ in range(600):
        optimizer.zero_grad()
        game(discriminator, [photos + shift, texts]).backward()
        optimizer.step()
    after = float((photos.mean(0) + shift.detach() - texts.mean(0)).norm())
    assert after < 0.5 * before
