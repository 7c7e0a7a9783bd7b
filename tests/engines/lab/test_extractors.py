from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from engines.errors import RequestError
from engines.lab import ExtractorsRequest, extractors
from engines.lab.data.datasets import digits, from_folder
from engines.lab.extractors import build, first_layer, tiles
from engines.model.fusion import FusionModel
from engines.model.sound import ConvBlock, GruBlock
from tests.engines.lab.makers import save_photos
from tests.engines.lab.trials import N_STEPS, assert_an_experiment, last


@pytest.mark.parametrize("sense", ["picture", "sound", "text"])
def test_an_experiment_is_live_repeatable_and_stopped(sense: str) -> None:
    end = assert_an_experiment(ExtractorsRequest(sense=sense, n_steps=N_STEPS))
    kinds = [row[0] for row in end.tables[0].rows]
    assert kinds == list(end.request.kinds)  # type: ignore[attr-defined]
    assert [curve.name for curve in end.charts[0].curves] == kinds


def test_the_extractors_are_those_of_the_product() -> None:
    def blocks(sense: str, kind: str) -> nn.ModuleList:
        model = build(ExtractorsRequest(sense=sense), digits(), kind)
        assert type(model) is FusionModel
        tower: nn.Module = getattr(model, sense)
        assert isinstance(tower.blocks, nn.ModuleList)
        return tower.blocks

    assert isinstance(blocks("sound", "gru")[0], GruBlock) and isinstance(blocks("text", "gru")[0], GruBlock)
    assert isinstance(blocks("sound", "cnn")[0], ConvBlock)
    assert len(blocks("picture", "cnn")) == 0, "convolutions alone"


def test_none_has_ten_times_the_weights_of_another() -> None:
    for sense in ("picture", "sound", "text"):
        sizes = [row[3] for row in last(ExtractorsRequest(sense=sense, n_steps=10)).tables[0].rows]
        assert max(sizes) < 10 * min(sizes)  # type: ignore[type-var, operator]


def test_what_each_looks_at_is_shown() -> None:
    shown = {(p.key, p.name): p.pixels for p in last(ExtractorsRequest(sense="sound", n_steps=N_STEPS)).pictures}
    assert {"cnn", "gru", "transformer"} == {name for key, name in shown if key == "saliency"}
    assert [name for key, name in shown if key == "attention"] == ["transformer"], "only it attends"
    example = shown["sound", "example"]
    assert all(pixels.shape == example.shape for (key, _), pixels in shown.items() if key == "saliency")
    attended = shown["attention", "transformer"]
    assert attended.ndim == 2 and attended.shape[0] == attended.shape[1]
    assert all(p.min() >= 0.0 and p.max() <= 1.0 and p.dtype == np.float32 for p in shown.values())


def test_attention_is_what_the_model_itself_computes() -> None:
    request = ExtractorsRequest(sense="text")
    model = build(request, digits(), "transformer")
    block = model.text.blocks[-1]
    x, mask = torch.randn(1, 4, 64), torch.ones(1, 4, dtype=torch.bool)
    kept: list[torch.Tensor] = []
    hook = block.attention.register_forward_hook(lambda module, args, _: kept.append(extractors.weighed(module, args)))  # type: ignore[union-attr]
    model.text(x, mask)
    hook.remove()
    (weights,) = kept
    assert weights.shape == (1, 4, 4, 4)
    torch.testing.assert_close(weights.sum(-1), torch.ones(1, 4, 4))
    y = torch.randn(1, 4, 64)
    attention = block.attention  # type: ignore[union-attr]
    keys_values = attention.keys_values(y)  # type: ignore[operator]
    by_hand = extractors.weighed(attention, (y, keys_values, mask)) @ keys_values[1]  # type: ignore[arg-type]
    torch.testing.assert_close(attention.out(by_hand.transpose(1, 2).flatten(2)), attention(y, keys_values, mask))  # type: ignore[operator, union-attr]


def test_saliency_is_nothing_where_the_input_counts_for_nothing() -> None:
    request = ExtractorsRequest(sense="picture", n_steps=10)
    model = build(request, digits(), "cnn")
    with torch.no_grad():
        model.picture.trunk.layers[0].weight.zero_()  # type: ignore[union-attr, operator, index]
    one = extractors.example(request, digits())
    assert not extractors.saliency(model, digits().test, one, extractors.Noise(), 0).any()


def test_filters_are_laid_in_rows_of_four_about_a_middle() -> None:
    filters = np.zeros((8, 3, 3), np.float32)
    filters[0, 0, 0], filters[1, 2, 2] = 2.0, -4.0
    shown = tiles(filters)
    assert shown.shape == (7, 15)
    assert shown[0, 0] == pytest.approx(1.0) and shown[2, 6] == pytest.approx(0.0)
    assert shown[5, 5] == 0.5
    assert first_layer(build(ExtractorsRequest(sense="text"), digits(), "gru"), "text") is None


def test_a_folder_without_the_sense_is_one_sentence(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        save_photos(tmp_path / name, 5)
    own = from_folder(tmp_path)
    with pytest.raises(RequestError, match=r"has no sounds in every class; choose another sense"):
        last(ExtractorsRequest(sense="sound", n_steps=10), material=own)
    found = last(ExtractorsRequest(sense="picture", n_steps=10), material=own)
    assert found.data is not None and found.data.files[0] == "cat/000.png"
