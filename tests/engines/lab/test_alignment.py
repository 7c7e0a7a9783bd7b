from pathlib import Path

import numpy as np
import pytest
import torch

from engines.lab import AlignmentRequest, Table, alignment
from engines.lab.alignment import Aligned, closed, conclusions, contrast, fooled, gap, recall, right
from engines.lab.data.datasets import digits, from_folder
from engines.training import losses
from engines.training.adversary import Discriminator, game
from tests.engines.lab.makers import save_photos
from tests.engines.lab.trials import N_STEPS, assert_an_experiment, last

QUICK = AlignmentRequest(n_steps=N_STEPS, way=("none", "both"))


def test_an_experiment_is_live_repeatable_and_stopped() -> None:
    end = assert_an_experiment(QUICK)
    assert [(m.key, m.name) for m in end.maps] == [("start", "before"), ("none", "after"), ("both", "after")]
    assert [group.name for group in end.maps[0].groups] == ["written", "spoken", "word"]
    (table,) = [t for t in end.tables if t.key == "alignment"]
    assert len(table.columns) == 1 + 6 + 3, "every two senses, both ways"
    assert {chart.key for chart in end.charts} == {"training", "contrastive loss", "game"}


@pytest.mark.parametrize(
    ("way", "charts"),
    [
        ("contrastive", {"training", "contrastive loss"}),
        ("sigmoid", {"training", "contrastive loss"}),
        ("adversarial", {"training", "game"}),
    ],
)
def test_each_way_shows_the_losses_it_plays_with(way: str, charts: set[str]) -> None:
    found = last(AlignmentRequest(n_steps=10, way=(way,)))
    assert {chart.key for chart in found.charts} == charts
    for chart in found.charts:
        if chart.key == "game":
            assert [curve.name for curve in chart.curves] == [f"{way}: discriminator", f"{way}: encoders"]


def test_every_way_starts_from_the_same_model() -> None:
    one, two = (alignment.build(QUICK, digits()) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), two.state_dict().values(), strict=True))


def unit(*shape: int, seed: int = 0) -> np.ndarray:
    rows = np.random.default_rng(seed).standard_normal(shape)
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


def test_recall_is_the_share_of_nearest_neighbours_of_the_same_digit() -> None:
    a = np.eye(4, dtype=np.float32)
    b = np.eye(4, dtype=np.float32)[[1, 0, 2, 3]]
    assert right(a, b, np.arange(4)) == 0.5
    assert recall({"picture": a, "sound": b}, np.arange(4)) == 0.5
    assert right(a, a, np.array([0, 0, 1, 1])) == 1.0


def test_closing_the_gap_leaves_none_and_keeps_unit_length() -> None:
    vectors = {"picture": unit(200, 8), "sound": unit(200, 8, seed=1)}
    vectors["sound"][:, 0] += 1.0
    vectors["sound"] /= np.linalg.norm(vectors["sound"], axis=1, keepdims=True)
    assert gap(vectors) > 0.5
    shut = closed(vectors)
    assert gap(shut) < 0.25 * gap(vectors), "all but what making them of unit length again opens"
    for own in shut.values():
        np.testing.assert_allclose(np.linalg.norm(own, axis=1), 1.0, rtol=1e-5)


def test_the_losses_are_those_the_product_trains_with() -> None:
    a, b, labels = torch.from_numpy(unit(6, 8)), torch.from_numpy(unit(6, 8, seed=1)), torch.tensor([0, 1, 2, 0, 1, 2])
    info_nce, sigmoid = contrast("contrastive", 0.2), contrast("sigmoid", 0.2)
    assert info_nce is not None and sigmoid is not None
    assert torch.equal(info_nce(a, b, labels), losses.info_nce(a, b, labels, temperature=0.2))
    assert torch.equal(sigmoid(a, b, labels), losses.sigmoid_pairs(a, b, labels, scale=5.0, bias=-2.5))
    assert contrast("none", 0.2) is None and contrast("adversarial", 0.2) is None


def test_at_a_draw_both_sides_of_the_game_lose_alike() -> None:
    discriminator = Discriminator(8, 3)
    kinds = [torch.from_numpy(unit(5, 8, seed=i)) for i in range(3)]
    with torch.no_grad():
        for layer in discriminator.layers:
            for weight in layer.parameters():
                weight.zero_()
    assert game(discriminator, kinds).item() == pytest.approx(np.log(3))
    assert fooled(discriminator, kinds) == pytest.approx(np.log(3))


def test_a_discriminator_that_knows_makes_the_encoders_lose() -> None:
    discriminator = Discriminator(8, 2)
    kinds = [torch.from_numpy(unit(50, 8, seed=i)) + (4.0 if i else -4.0) for i in range(2)]
    optimizer = torch.optim.Adam(discriminator.parameters(), lr=0.01)
    for _ in range(50):
        optimizer.zero_grad()
        game(discriminator, kinds).backward()
        optimizer.step()
    assert float(game(discriminator, kinds).detach()) < 0.1 < np.log(2) < fooled(discriminator, kinds)


def test_a_map_keeps_distances_as_well_as_two_directions_can() -> None:
    flat = np.zeros((30, 8), np.float32)
    flat[:, 2:4] = np.random.default_rng(0).standard_normal((30, 2))
    drawn = alignment.trainer.draw(digits().valid, ("picture",), 30, np.random.default_rng(0))
    (group,) = alignment.drawn_map("start", "before", {"picture": flat}, drawn, digits()).groups
    by_place = np.linalg.norm(group.places[:, None] - group.places[None], axis=-1)
    np.testing.assert_allclose(by_place, np.linalg.norm(flat[:, None] - flat[None], axis=-1), atol=1e-4)
    assert group.name == "written" and set(group.labels) <= set(digits().classes)


def test_a_map_does_not_flip_when_it_is_drawn_again() -> None:
    vectors = {"picture": unit(30, 8), "text": unit(30, 8, seed=1)}
    drawn = alignment.trainer.draw(digits().valid, ("picture", "text"), 30, np.random.default_rng(0))
    once = alignment.drawn_map("a", "after", vectors, drawn, digits())
    nearly = {sense: own + 1e-4 for sense, own in vectors.items()}
    again = alignment.drawn_map("a", "after", nearly, drawn, digits())
    for a, b in zip(once.groups, again.groups, strict=True):
        np.testing.assert_allclose(a.places, b.places, atol=0.01)


def test_what_is_said_is_what_the_table_holds() -> None:
    columns = ("way", "written → spoken %", "mean %", "modality gap", "mean, gap closed %")
    rows = (("none", 0.1, 0.12, 0.9, 0.15), ("both", 0.8, 0.81, 0.2, 0.82), ("adversarial", 0.1, 0.14, 0.05, 0.14))
    told = dict(conclusions(Table("alignment", columns, rows)))
    assert told["alignment_best"] == {"way": "both", "percent": pytest.approx(81.0), "without": pytest.approx(12.0)}
    assert told["alignment_game"] == {"gap": 0.05, "before": 0.9, "percent": pytest.approx(14.0)}
    assert conclusions(Table("alignment", columns, rows[1:2])) == ()


def test_a_folder_of_photos_is_aligned_with_the_names_of_its_classes(tmp_path: Path) -> None:
    for name in ("cat", "dog", "owl"):
        save_photos(tmp_path / name, 6)
    found = last(AlignmentRequest(n_steps=10, way=("contrastive",)), material=from_folder(tmp_path))
    assert [group.name for group in found.maps[0].groups] == ["written", "word"]
    assert set(found.maps[0].groups[0].labels) == {"cat", "dog", "owl"}
    assert isinstance(alignment.build(QUICK, digits()), Aligned)
