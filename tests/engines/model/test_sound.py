"""The sound tower: three extractors behind one interface; a row never depends on how far its batch is padded."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.model.config import KINDS
from engines.model.fusion import FusionModel
from tests.engines.model.makers import built, drawn

MODELS = {kind: built(sound=kind) for kind in KINDS["sound"]}
every_extractor = pytest.mark.parametrize("model", MODELS.values(), ids=MODELS.keys())


def padded(mel: torch.Tensor, n: int) -> torch.Tensor:
    """(1, 80, S) in a batch of n frames; what pads it is anything but silence."""
    return torch.cat([mel, drawn(1, 80, n - mel.shape[2], seed=1)], dim=2)


@every_extractor
def test_every_extractor_gives_a_layer_more_than_it_has_blocks(model: FusionModel) -> None:
    layers, mask = model.sound(drawn(2, 80, 31), torch.tensor([31, 20]))
    assert [tuple(layer.shape) for layer in layers] == [(2, 16, 32)] * 3
    assert mask.sum(1).tolist() == [16, 10]
    assert torch.allclose(layers[-1].mean(-1), torch.zeros(2, 16), atol=1e-5)  # normed


@every_extractor
def test_what_is_heard_has_speech_at_50_hz_and_the_mix_at_5_hz(model: FusionModel) -> None:
    heard = model.hear(drawn(2, 80, 100), torch.tensor([100, 41]))
    assert heard.last.shape == (2, 50, 32)
    assert heard.mix.shape == (2, 5, 32)
    assert heard.mask.sum(1).tolist() == [50, 21]
    assert heard.mix_mask.sum(1).tolist() == [5, 3]


@every_extractor
@settings(max_examples=8)
@given(n=st.integers(1, 60), more=st.integers(1, 60))
def test_a_rows_tokens_do_not_depend_on_the_padding_of_its_batch(model: FusionModel, n: int, more: int) -> None:
    mel = drawn(1, 80, n)
    alone = model.hear(mel, torch.tensor([n]))
    batch = torch.cat([padded(mel, n + more), drawn(1, 80, n + more, seed=2)])
    together = model.hear(batch, torch.tensor([n, n + more]))
    n_last, n_mix = alone.last.shape[1], alone.mix.shape[1]
    assert torch.allclose(together.last[:1, :n_last], alone.last, atol=1e-5)
    assert torch.allclose(together.mix[:1, :n_mix], alone.mix, atol=1e-5)
    assert torch.equal(together.mask[0], torch.arange(together.mask.shape[1]) < n_last)
    assert torch.equal(together.mix_mask[0], torch.arange(together.mix_mask.shape[1]) < n_mix)


@every_extractor
def test_thirty_seconds_are_heard_and_no_more(model: FusionModel) -> None:
    assert model.hear(torch.zeros(1, 80, 3000), torch.tensor([3000])).last.shape == (1, 1500, 32)
    with pytest.raises(ValueError, match=r"3001 mel frames; at most 3000 \(30 s\) are heard at a time"):
        model.hear(torch.zeros(1, 80, 3001), torch.tensor([3001]))


def test_the_transformer_hears_where_in_time_it_is() -> None:
    (first, *_), _ = MODELS["transformer"].sound(torch.zeros(1, 80, 40), torch.tensor([40]))
    assert not torch.allclose(first[0, 3], first[0, 10])


@every_extractor
def test_a_row_of_nothing_harms_no_other(model: FusionModel) -> None:
    mel = drawn(2, 80, 30)
    heard = model.hear(mel, torch.tensor([30, 0]))
    assert torch.allclose(heard.last[:1], model.hear(mel[:1], torch.tensor([30])).last, atol=1e-5)
    assert not heard.mask[1].any()
    assert heard.last.isfinite().all()
