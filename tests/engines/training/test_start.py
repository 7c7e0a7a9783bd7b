"""Where a run starts: public weights where they are given, then the mean of what earlier stages made."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from engines.model import checkpoint, public
from engines.model.config import tiny
from engines.training import start
from engines.training.batches import Feeds
from engines.training.start import ROWS_FILE, begin_from, fresh_model, stage
from tests.engines.training.conftest import fresh

NEW = ("clock.", "change.")
"""Parts that an earlier layout did not have."""


def test_a_fresh_model_starts_from_the_public_weights_it_is_given(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start, "small", tiny)
    given: list[object] = []
    monkeypatch.setattr(public, "read_whisper", lambda source: {"source": source})
    monkeypatch.setattr(public, "read_efficientnet", lambda path: {"path": path})
    monkeypatch.setattr(public, "load_whisper", lambda model, state, rows: given.extend([state, rows]))
    monkeypatch.setattr(public, "load_efficientnet", lambda model, state: given.append(state))
    (run / ROWS_FILE).write_text("[[1]]")
    assert fresh_model(run, None, None).config.width == 32
    assert given == []
    fresh_model(run, "whisper-base", Path("lite2.pth"))
    assert given == [{"source": "whisper-base"}, [[1]], {"path": Path("lite2.pth")}]


def test_a_stage_begins_from_the_mean_of_others_with_a_share_of_the_public_decoder(feeds: Feeds) -> None:
    model = fresh(feeds)
    public = {name: p.detach().clone() for name, p in model.named_parameters()}
    begin_from(model, [{name: p + d for name, p in public.items()} for d in (1.0, 3.0)], public=0.75)
    for name, p in model.named_parameters():
        moved = 0.5 if name.startswith("decoder.") else 2.0
        assert torch.allclose(p, public[name] + moved, atol=1e-5), name


def test_what_an_earlier_stage_did_not_train_stays_as_it_was(feeds: Feeds) -> None:
    model = fresh(feeds)
    before = model.ctc_head.weight.detach().clone()
    begin_from(model, [{"decoder.norm.bias": torch.ones_like(model.decoder.norm.bias)}])
    assert torch.equal(model.ctc_head.weight, before)
    assert (model.decoder.norm.bias == 1).all()


def test_a_stage_begins_from_a_finished_model_though_it_lacks_a_part(feeds: Feeds, run: Path, tmp_path: Path) -> None:
    earlier, model = fresh(feeds, seed=1), fresh(feeds)
    for name, p in earlier.named_parameters():
        if name.startswith(NEW):
            p.data.fill_(3.0)
    checkpoint.save(tmp_path, earlier, run / "tokenizer.model")
    weights = tmp_path / checkpoint.WEIGHTS_FILE
    stored = {name: value for name, value in load_file(weights).items() if not name.startswith(NEW)}
    assert any(name.startswith(NEW) for name in load_file(weights))
    save_file(stored, weights)
    own = {name: p.detach().clone() for name, p in model.named_parameters() if name.startswith(NEW)}
    begin_from(model, [stage(tmp_path)])
    assert own.keys() == {"clock.weight", "change.picture", "change.sound"}
    for name, p in earlier.named_parameters():
        if name in own:
            assert torch.equal(model.get_parameter(name), own[name]), name
        else:
            most = float(p.detach().abs().max()) / 250 + 1e-6  # it is stored in 8 bits
            assert torch.allclose(model.get_parameter(name), p, atol=most), name


def test_what_this_model_has_no_part_for_is_left_behind(feeds: Feeds) -> None:
    model = fresh(feeds)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    begin_from(model, [{"speech_bridge.weight": torch.ones(32, 32)}])
    assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())


def test_a_stage_is_the_weights_of_its_file_as_they_are(feeds: Feeds, tmp_path: Path) -> None:
    weights = dict(fresh(feeds).state_dict())
    save_file(weights, tmp_path / "ema.safetensors")
    found = stage(tmp_path / "ema.safetensors")
    assert found.keys() == weights.keys()
    assert all(torch.equal(found[name], weights[name]) for name in weights)
