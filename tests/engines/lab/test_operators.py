"""Operators of the literature: what their papers' formulae say, and what only they can tell."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from engines.lab import trainer
from engines.lab.data.datasets import digits
from engines.lab.operators import RANK, GatedUnit, TensorFusion
from engines.model.fusion import GatedFusion, Stream, StreamModality, SumFusion

CONFIG = trainer.lab_config(digits(), width=8, fusion_grid=2)


def stream(modality: StreamModality, tokens: Tensor, *, missing: bool = False) -> Stream:
    return Stream(modality, tokens, torch.full(tokens.shape[:2], not missing))


@pytest.fixture
def tokens() -> tuple[Tensor, Tensor]:
    """Four places of a picture and two of a sound, for three examples."""
    drawn = torch.Generator().manual_seed(0)
    return torch.randn(3, 4, 8, generator=drawn), torch.randn(3, 2, 8, generator=drawn)


def made(kind: type[nn.Module]) -> nn.Module:
    return trainer.seeded(0, lambda: kind(CONFIG))


@torch.no_grad()
def test_the_outer_product_holds_each_feature_and_each_product_of_two(tokens):
    operator = made(TensorFusion)
    assert isinstance(operator, TensorFusion)
    product = operator.product([stream("picture", tokens[0]), stream("sound", tokens[1])])
    picture = operator.features["picture"](tokens[0][:, [1, 3]])  # a grid of two takes the middle of each half
    sound = operator.features["sound"](tokens[1])
    table = product.unflatten(2, (RANK + 1, RANK + 1))
    torch.testing.assert_close(table[..., :RANK, RANK], picture)
    torch.testing.assert_close(table[..., RANK, :RANK], sound)
    torch.testing.assert_close(table[..., 2, 5], picture[..., 2] * sound[..., 5])
    assert (table[..., RANK, RANK] == 1.0).all()


@torch.no_grad()
def test_without_a_modality_the_features_of_the_other_are_left(tokens):
    operator = made(TensorFusion)
    assert isinstance(operator, TensorFusion)
    table = operator.product([stream("picture", tokens[0], missing=True), stream("sound", tokens[1])])
    table = table.unflatten(2, (RANK + 1, RANK + 1))
    assert (table[..., :RANK, :] == 0.0).all()
    torch.testing.assert_close(table[..., RANK, :RANK], operator.features["sound"](tokens[1]))


@torch.no_grad()
def test_the_gated_unit_mixes_each_feature_by_a_share_that_sees_both(tokens):
    operator = made(GatedUnit)
    assert isinstance(operator, GatedUnit)
    picture, sound = tokens[0][:, [1, 3]], tokens[1]
    share = torch.sigmoid(operator.gate(torch.cat([picture, sound], -1)))
    said = [torch.tanh(operator.content[name](x)) for name, x in (("picture", picture), ("sound", sound))]
    found = operator([stream("picture", tokens[0]), stream("sound", tokens[1])])
    torch.testing.assert_close(found.tokens, share * said[0] + (1 - share) * said[1])
    for missing, left in ((0, said[1]), (1, said[0])):
        streams = [stream("picture", tokens[0], missing=missing == 0), stream("sound", tokens[1], missing=missing == 1)]
        torch.testing.assert_close(operator(streams).tokens, left)


def accuracy_on_pairs(kind: type[nn.Module]) -> float:
    """Of a linear head over an operator, where the class is whether two signs agree: neither says anything alone."""
    drawn = torch.Generator().manual_seed(1)
    signs = torch.randint(0, 2, (256, 2), generator=drawn) * 2.0 - 1.0
    labels = (signs[:, 0] == signs[:, 1]).long()
    directions = torch.randn(2, 8, generator=drawn)
    picture, sound = ((signs[:, i, None] * directions[i])[:, None].expand(-1, 2, -1) for i in (0, 1))
    model = trainer.seeded(0, lambda: nn.ModuleList([kind(CONFIG), nn.Linear(8, 2)]))
    operator, head = model

    def logits() -> Tensor:
        out: Tensor = head(operator([stream("picture", picture), stream("sound", sound)]).tokens.mean(1))
        return out

    for _ in trainer.fit(model.parameters(), 150, lambda step: trainer.cross_entropy(logits(), labels.numpy())):
        pass
    return trainer.accuracy(logits(), labels.numpy())


def test_what_only_a_pair_tells_is_learnt_by_products_and_not_by_a_sum():
    assert accuracy_on_pairs(SumFusion) < 0.8
    assert accuracy_on_pairs(TensorFusion) == 1.0
    assert accuracy_on_pairs(GatedUnit) == 1.0
    assert accuracy_on_pairs(GatedFusion) == 1.0
