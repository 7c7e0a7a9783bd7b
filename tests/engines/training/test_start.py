"""Where a run starts: public weights where they are given, then the mean of earlier stages."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from engines.model import checkpoint, public
from engines.model.config import tiny
from engines.training import start
from engines.training.start import ROWS_FILE, WrongWeights, load_weights, new_model, read_weights
from tests.engines.training.conftest import new_model as tiny_model

NEW = ("clock.", "change.")
"""Parts that an earlier layout did not have."""


def test_a_new_model_starts_from_the_public_weights_it_is_given(run, monkeypatch):
    monkeypatch.setattr(start, "small", tiny)
    given: list[object] = []
    monkeypatch.setattr(public, "read_whisper", lambda source: {"source": source})
    monkeypatch.setattr(public, "read_efficientnet", lambda path: {"path": path})
    monkeypatch.setattr(public, "load_whisper", lambda model, state, rows: given.extend([state, rows]))
    monkeypatch.setattr(public, "load_efficientnet", lambda model, state: given.append(state))
    (run / ROWS_FILE).write_text("[[1]]")
    assert new_model(run, None, None).config.width == 32
    assert given == []
    new_model(run, "whisper-base", Path("lite2.pth"))
    assert given == [{"source": "whisper-base"}, [[1]], {"path": Path("lite2.pth")}]


def test_parameters_become_their_mean_over_earlier_stages(batcher):
    model = tiny_model(batcher)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    load_weights(model, [{name: p + d for name, p in before.items()} for d in (1.0, 3.0)])
    assert all(torch.allclose(p, before[name] + 2.0, atol=1e-5) for name, p in model.named_parameters())


def test_parameters_that_no_stage_has_stay_and_unknown_ones_are_ignored(batcher):
    model = tiny_model(batcher)
    before = model.ctc_head.weight.detach().clone()
    bias = torch.ones_like(model.decoder.norm.bias)
    load_weights(model, [{"decoder.norm.bias": bias, "speech_bridge.weight": torch.ones(32, 32)}])
    assert torch.equal(model.ctc_head.weight, before)
    assert torch.equal(model.decoder.norm.bias, bias)


def test_weights_of_another_shape_are_named(batcher):
    with pytest.raises(WrongWeights, match=r"decoder.norm.bias has the shape \(3,\) in the weights and \(32,\)"):
        load_weights(tiny_model(batcher), [{"decoder.norm.bias": torch.ones(3)}])


def test_a_stage_starts_from_a_finished_model_that_lacks_a_part(batcher, run, tmp_path):
    earlier, model = tiny_model(batcher, seed=1), tiny_model(batcher)
    checkpoint.save(tmp_path, earlier, run / "tokenizer.model")
    path = tmp_path / checkpoint.WEIGHTS_FILE
    save_file({name: value for name, value in load_file(path).items() if not name.startswith(NEW)}, path)
    own = {name: p.detach().clone() for name, p in model.named_parameters() if name.startswith(NEW)}
    assert own
    load_weights(model, [read_weights(tmp_path)])
    for name, p in earlier.named_parameters():
        if name in own:
            assert torch.equal(model.get_parameter(name), own[name]), name
        else:
            most = float(p.detach().abs().max()) / 250 + 1e-6  # it is stored in 8 bits
            assert torch.allclose(model.get_parameter(name), p, atol=most), name


def test_weights_are_read_from_a_stages_file(batcher, tmp_path):
    weights = dict(tiny_model(batcher).state_dict())
    save_file(weights, tmp_path / "ema.safetensors")
    found = read_weights(tmp_path / "ema.safetensors")
    assert all(torch.equal(found[name], weights[name]) for name in weights)
