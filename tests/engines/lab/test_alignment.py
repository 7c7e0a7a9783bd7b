import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engines.lab import AlignmentRequest, Table, alignment
from engines.lab.alignment import (
    Discriminator,
    adversarial_loss,
    conclusions,
    contrastive_loss,
    encoder_loss,
    mean_retrieval,
    modality_gap,
    projection,
    retrieval,
    without_gap,
)
from engines.lab.data.datasets import digits
from engines.lab.trainer import sample
from engines.training import losses
from tests.engines.lab.trials import last


@pytest.mark.parametrize(("objective", "chart"), [("sigmoid", "contrastive loss"), ("adversarial", "game")])
def test_each_objective_shows_its_own_losses(objective, chart):
    found = last(AlignmentRequest(n_steps=10, objective=(objective,)))
    assert [each.key for each in found.charts] == ["training", chart]
    if chart == "game":
        names = [curve.name for curve in found.charts[1].curves]
        assert names == [f"{objective}: discriminator", f"{objective}: encoders"]


def test_every_objective_starts_from_the_same_weights():
    one, two = (alignment.build(AlignmentRequest(), digits()) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), two.state_dict().values(), strict=True))


def unit(*shape: int, seed: int = 0) -> np.ndarray:
    rows = np.random.default_rng(seed).standard_normal(shape)
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


def test_retrieval_is_the_share_of_nearest_neighbours_of_the_same_class():
    a = np.eye(4, dtype=np.float32)
    b = np.eye(4, dtype=np.float32)[[1, 0, 2, 3]]
    assert retrieval(a, b, np.arange(4)) == 0.5
    assert mean_retrieval({"picture": a, "sound": b}, np.arange(4)) == 0.5
    assert retrieval(a, a, np.array([0, 0, 1, 1])) == 1.0


def test_removing_the_gap_leaves_little_of_it_and_keeps_unit_length():
    vectors = {"picture": unit(200, 8), "sound": unit(200, 8, seed=1)}
    vectors["sound"][:, 0] += 1.0
    vectors["sound"] /= np.linalg.norm(vectors["sound"], axis=1, keepdims=True)
    assert modality_gap(vectors) > 0.5
    closed = without_gap(vectors)
    assert modality_gap(closed) < 0.25 * modality_gap(vectors), "all but what normalising opens again"
    for each in closed.values():
        np.testing.assert_allclose(np.linalg.norm(each, axis=1), 1.0, rtol=1e-5)


def test_the_losses_are_those_the_product_trains_with():
    a, b, labels = torch.from_numpy(unit(6, 8)), torch.from_numpy(unit(6, 8, seed=1)), torch.tensor([0, 1, 2, 0, 1, 2])
    info_nce, sigmoid = contrastive_loss("contrastive", 0.2), contrastive_loss("sigmoid", 0.2)
    assert info_nce is not None and sigmoid is not None
    assert torch.equal(info_nce(a, b, labels), losses.info_nce(a, b, labels, temperature=0.2))
    assert torch.equal(sigmoid(a, b, labels), losses.sigmoid_pairs(a, b, labels, scale=5.0, bias=-2.5))
    assert contrastive_loss("none", 0.2) is None and contrastive_loss("adversarial", 0.2) is None


def test_a_guessing_discriminator_gives_both_sides_the_same_loss():
    discriminator = Discriminator(8, 3)
    by_modality = [torch.from_numpy(unit(5, 8, seed=i)) for i in range(3)]
    with torch.no_grad():
        for weight in discriminator.layers.parameters():
            weight.zero_()
    assert adversarial_loss(discriminator, by_modality).item() == pytest.approx(np.log(3))
    assert encoder_loss(discriminator, by_modality) == pytest.approx(np.log(3))


def test_a_map_keeps_distances_as_well_as_two_directions_can():
    flat = np.zeros((30, 8), np.float32)
    flat[:, 2:4] = np.random.default_rng(0).standard_normal((30, 2))
    examples = sample(digits().valid, ("picture",), 30, np.random.default_rng(0))
    (group,) = projection("start", "before", {"picture": flat}, examples, digits()).groups
    projected = np.linalg.norm(group.points[:, None] - group.points[None], axis=-1)
    np.testing.assert_allclose(projected, np.linalg.norm(flat[:, None] - flat[None], axis=-1), atol=1e-4)
    assert group.name == "written" and set(group.labels) <= set(digits().classes)


def test_a_map_does_not_flip_when_it_is_drawn_again():
    vectors = {"picture": unit(30, 8), "text": unit(30, 8, seed=1)}
    examples = sample(digits().valid, ("picture", "text"), 30, np.random.default_rng(0))
    nearly = {modality: each + 1e-4 for modality, each in vectors.items()}
    once, again = (projection("a", "after", each, examples, digits()) for each in (vectors, nearly))
    for a, b in zip(once.groups, again.groups, strict=True):
        np.testing.assert_allclose(a.points, b.points, atol=0.01)


def test_conclusions_are_what_the_table_holds():
    columns = ("objective", "written → spoken %", "mean %", "modality gap", "mean, gap closed %")
    rows = (("none", 0.1, 0.12, 0.9, 0.15), ("both", 0.8, 0.81, 0.2, 0.82), ("adversarial", 0.1, 0.14, 0.05, 0.14))
    said = dict(conclusions(Table("alignment", columns, rows)))
    assert said["alignment_best"] == {
        "objective": "both", "percent": pytest.approx(81.0), "without": pytest.approx(12.0),
    }  # fmt: skip
    assert said["alignment_game"] == {"gap": 0.05, "before": 0.9, "percent": pytest.approx(14.0)}
    assert conclusions(Table("alignment", columns, rows[1:2])) == ()


# --- the discriminator -------------------------------------------------------------------------------------------


def two_kinds(n: int = 64, apart: float = 1.0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    drawn = [torch.randn(n, 8, generator=generator) + side * apart for side in (-1.0, 1.0)]
    return [F.normalize(kind, dim=-1) for kind in drawn]


def trained(discriminator: Discriminator, kinds: list[Tensor], n_steps: int = 200) -> float:
    optimizer = torch.optim.Adam(discriminator.parameters(), 1e-2)
    for _ in range(n_steps):
        optimizer.zero_grad()
        loss = adversarial_loss(discriminator, kinds)
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
    adversarial_loss(discriminator, kinds).backward()
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
        adversarial_loss(discriminator, [photos + shift, texts]).backward()
        optimizer.step()
    after = float((photos.mean(0) + shift.detach() - texts.mean(0)).norm())
    assert after < 0.5 * before
