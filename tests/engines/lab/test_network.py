from __future__ import annotations

import inspect
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engines.lab import (
    EXPERIMENTS,
    AlignmentRequest,
    ExtractorsRequest,
    Findings,
    FusionRequest,
    LabRequest,
    MamlRequest,
    MultitaskRequest,
    Network,
    Part,
    Watch,
    experiment,
    fusion,
    maml,
    name_of,
    trainer,
)
from engines.lab.data.datasets import digits
from engines.lab.network import MOST_ROWS, groups, source_of
from engines.model.parts import Block
from tests.engines.lab.trials import N_STEPS, assert_same

ROOT = Path(__file__).parents[3]
THREE = Watch(3)
BOTH = FusionRequest(n_steps=N_STEPS, operator=("attention",))


def drawn(request: LabRequest, name: str, watch: Watch = THREE, weights: Any = None) -> Network:
    load = EXPERIMENTS[name_of(request)].drawn
    assert load is not None
    return load().draw(request, None, weights or {}, name, watch)


def part(network: Network, key: str) -> Part:
    return next(each for each in network.parts if each.key == key)


EVERY: list[tuple[LabRequest, str]] = [
    *((FusionRequest(), name) for name in ("picture", "sound", "sum", "concat", "attention")),
    *((FusionRequest(), name) for name in ("gated", "gated_unit", "tensor")),
    *((ExtractorsRequest(modality=m), k) for m in ("picture", "sound", "text") for k in ("transformer",)),
    (ExtractorsRequest(), "cnn"),
    (ExtractorsRequest(modality="sound"), "gru"),
    (ExtractorsRequest(modality="sound"), "cnn"),
    (AlignmentRequest(), "contrastive"),
    (MultitaskRequest(), "together"),
    (MultitaskRequest(), "language"),
    *((MamlRequest(), name) for name in ("second_order", "head", "prototypes")),
    (MamlRequest(material="digits"), "first_order"),
]


@pytest.mark.parametrize(
    ("request_", "name"), EVERY, ids=lambda value: value if isinstance(value, str) else name_of(value)
)
def test_every_part_has_its_shape_its_formula_its_code_and_reads_parts_before_it(request_, name):
    network = drawn(request_, name)
    seen: list[Part] = []
    for each in network.parts:
        assert each.formula and all(n > 0 for n in each.shape)
        file, line = each.source.split(":")
        assert "def " in (ROOT / file).read_text(encoding="utf-8").splitlines()[int(line) - 1], each.source
        before = [part(network, key) for key in each.after]
        assert all(other in seen for other in before)
        if each.links is not None:
            assert each.links.shape == (len(each.values), sum(len(other.values) for other in before))
            np.testing.assert_allclose(each.links.sum(1), 1.0, atol=1e-3, err_msg=f"{name} {each.key}")
        seen.append(each)
    assert seen[-1].kind == "bars" and seen[-1].lane == "all"


def test_what_is_drawn_is_what_the_model_says_of_that_example():
    request = FusionRequest(operator=("attention",), picture_noise=0.0, sound_noise=0.0)
    model = fusion.build(request, digits(), "attention")
    from engines.lab import network, trainer

    examples = network.example_of(digits().valid, fusion.MODALITIES, Watch(7, 2))
    said = trainer.probabilities(model, digits().valid, examples, trainer.Noise(), request.seed)[0]
    shown = part(drawn(request, "attention", Watch(7, 2)), "all.classes").values[:, 0]
    assert digits().valid.words is not None and int(examples.labels[0]) == 7
    np.testing.assert_allclose(shown, said.numpy(), atol=1e-5)


def test_another_example_of_a_class_is_another_picture_and_the_last_is_followed_by_the_first():
    pictures = digits().valid.pictures
    assert pictures is not None
    n = int((pictures.labels == 3).sum())
    first, second, again = (part(drawn(FusionRequest(), "picture", Watch(3, i)), "picture.input") for i in (0, 1, n))
    assert not np.array_equal(first.values, second.values)
    np.testing.assert_array_equal(first.values, again.values)


def test_a_watched_run_draws_the_model_that_trains_and_finds_the_same_as_an_unwatched_one():
    watch, seen = Watch(3), list[Findings]()
    for found in experiment(BOTH, watch=watch):
        seen.append(found)
        watch.label = 5
    networks = [found.network for found in seen if found.network is not None]
    assert networks[0].model == "attention" and networks[0].label == 3 and networks[-1].label == 5
    first, last = (part(each, "picture.conv0") for each in (networks[0], networks[-1]))
    assert first.gradient > 0 and last.gradient > 0, "what training does to a part is drawn"
    *_, plain = experiment(BOTH)
    assert plain.network is None
    assert_same(plain, seen[-1])


def test_a_finished_run_draws_any_example_with_its_weights():
    *_, found = experiment(BOTH, watch=Watch(3))
    assert found.network is not None
    trained = part(drawn(BOTH, "attention", THREE, found.weights), "all.classes")
    np.testing.assert_allclose(trained.values, part(found.network, "all.classes").values, atol=1e-5)
    assert not np.allclose(trained.values, part(drawn(BOTH, "attention"), "all.classes").values)


def test_the_embeddings_of_an_example_end_in_the_cosines_of_every_pair():
    cosines = part(drawn(AlignmentRequest(), "none"), "all.cosine")
    assert cosines.labels == ("written – spoken", "written – word", "spoken – word")
    assert (np.abs(cosines.values) <= 1.0).all()


def test_every_task_has_its_bars_and_its_own_right_answer():
    network = drawn(MultitaskRequest(), "together", Watch(7))
    bars = {each.name: each for each in network.parts if each.kind == "bars"}
    assert list(bars) == ["digit", "parity", "language", "family"] and bars["digit"].right == 7
    assert bars["parity"].labels == ("even", "odd") and bars["parity"].right == 1
    assert all(each.values.sum() == pytest.approx(1.0, abs=1e-5) for each in bars.values())
    assert [each.name for each in drawn(MultitaskRequest(), "parity").parts if each.kind == "bars"] == ["parity"]


def test_inner_steps_turn_a_head_of_zeros_into_one_that_knows_the_tasks_classes():
    network = drawn(MamlRequest(n_inner=3), "second_order", Watch(2, 4))
    heads = [part(network, f"all.head{n}").values for n in range(4)]
    assert not heads[0].any() and all(not np.array_equal(a, b) for a, b in itertools.pairwise(heads))
    before, after = part(network, "all.before.classes"), part(network, "all.after.classes")
    assert before.values == pytest.approx(np.full((5, 1), 0.2)) and before.right == after.right == network.label == 2
    assert not np.allclose(after.values, before.values, atol=1e-4)
    again = part(drawn(MamlRequest(n_inner=3), "second_order", Watch(2, 4)), "all.after.classes")
    np.testing.assert_array_equal(after.values, again.values)


@pytest.mark.parametrize(
    "request_",
    [
        MultitaskRequest(task=("digit", "parity"), n_steps=N_STEPS),
        MamlRequest(method=("second_order",), n_steps=10, n_tasks=1),
    ],
    ids=name_of,
)
def test_watching_a_run_moves_the_drawing_and_changes_nothing(request_, monkeypatch):
    monkeypatch.setattr(trainer, "DRAWN_EVERY_S", 0.0)
    for name in ("N_TEST", "N_VALID"):
        monkeypatch.setattr(maml, name, 2)
    *seen, last = experiment(request_, watch=Watch(3))
    networks = [found.network for found in seen if found.network is not None]
    assert len(networks) > 1 and any(
        not np.array_equal(a.values, b.values) for a, b in zip(networks[0].parts, networks[1].parts, strict=False)
    )
    *_, plain = experiment(request_)
    assert_same(plain, last)


def test_the_source_of_a_part_is_where_it_computes():
    line = inspect.getsourcelines(Block.forward)[1]
    assert source_of(Block) == f"engines/model/parts.py:{line}"


def test_long_sequences_are_averaged_over_neighbours():
    average = groups(42)
    assert average.shape == (14, 42) and len(average) <= MOST_ROWS
    np.testing.assert_allclose(average.sum(1), 1.0, rtol=1e-6)
    np.testing.assert_allclose(average @ np.arange(42)[:, None], np.arange(1, 42, 3)[:, None])
