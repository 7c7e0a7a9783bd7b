import numpy as np
import pytest
import torch
from torch import nn

from engines.lab import ExtractorsRequest, extractors
from engines.lab.data.datasets import digits
from engines.lab.extractors import N_BLOCKS, build, first_filters, saliency, tiles
from engines.lab.network import attention_weights
from engines.lab.trainer import Noise, used_parameters
from engines.model.parts import Attention, Block
from engines.model.sound import ConvBlock, GruBlock
from tests.engines.lab.trials import N_STEPS, last


@pytest.mark.parametrize(
    ("modality", "kind", "block"),
    [("sound", "gru", GruBlock), ("text", "gru", GruBlock), ("sound", "cnn", ConvBlock), ("picture", "cnn", None)],
)
def test_the_extractors_are_those_of_the_product(modality, kind, block):
    tower: nn.Module = getattr(build(ExtractorsRequest(modality=modality), digits(), kind), modality)
    assert isinstance(tower.blocks, nn.ModuleList)
    assert len(tower.blocks) == 0 if block is None else isinstance(tower.blocks[0], block)


def test_no_extractor_has_ten_times_the_parameters_of_another():
    for modality in ("picture", "sound", "text"):
        kinds = [kind for known, kind in N_BLOCKS if known == modality]
        models = [build(ExtractorsRequest(modality=modality), digits(), kind) for kind in kinds]
        sizes = [used_parameters(model, (f"{modality}.", "decoder.embedding")) for model in models]
        assert max(sizes) < 10 * min(sizes)


def test_saliency_attention_and_filters_of_each_extractor_are_shown():
    found = last(ExtractorsRequest(modality="sound", n_steps=N_STEPS)).pictures
    shown = {(p.key, p.name): p.pixels for p in found}
    assert {name for key, name in shown if key == "saliency"} == {"cnn", "gru", "transformer"}
    assert [name for key, name in shown if key == "attention"] == ["transformer"], "only it attends"
    example = shown["sound", "example"]
    assert all(pixels.shape == example.shape for (key, _), pixels in shown.items() if key == "saliency")
    assert shown["attention", "transformer"].shape[0] == shown["attention", "transformer"].shape[1]
    assert all(p.min() >= 0.0 and p.max() <= 1.0 and p.dtype == np.float32 for p in shown.values())


def test_the_attention_shown_is_the_one_the_model_computes():
    block = build(ExtractorsRequest(modality="text"), digits(), "transformer").text.blocks[-1]
    assert isinstance(block, Block)
    attention: Attention = block.attention
    x, mask = torch.randn(1, 4, 64), torch.ones(1, 4, dtype=torch.bool)
    keys_values = attention.keys_values(x)
    weights = attention_weights(attention, (x, keys_values, mask))
    assert weights.shape == (1, 4, 4, 4)
    torch.testing.assert_close(weights.sum(-1), torch.ones(1, 4, 4))
    by_hand = weights @ keys_values[1]
    torch.testing.assert_close(attention.out(by_hand.transpose(1, 2).flatten(2)), attention(x, keys_values, mask))


def test_saliency_is_zero_where_the_input_has_no_influence():
    request = ExtractorsRequest(modality="picture", n_steps=10)
    model = build(request, digits(), "cnn")
    with torch.no_grad():
        model.picture.trunk.get_submodule("layers.0").get_parameter("weight").zero_()
    one = extractors.example(request, digits())
    assert not saliency(model, digits().test, one, Noise(), 0).any()


def test_filters_are_laid_out_in_rows_of_four_around_a_neutral_middle():
    filters = np.zeros((8, 3, 3), np.float32)
    filters[0, 0, 0], filters[1, 2, 2] = 2.0, -4.0
    shown = tiles(filters)
    assert shown.shape == (7, 15)
    assert shown[0, 0] == pytest.approx(1.0) and shown[2, 6] == pytest.approx(0.0)
    assert shown[5, 5] == 0.5
    assert first_filters(build(ExtractorsRequest(modality="text"), digits(), "gru"), "text") is None
