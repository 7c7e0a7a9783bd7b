"""Precision by parts: the same work with one part changed, its results and seconds side by side."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from engines.evaluation import precision
from engines.evaluation.bench import Bench
from engines.evaluation.precision import CHANGES, InBfloat16, precision_rows
from engines.model import checkpoint
from engines.model.fusion import FusionModel, Stream
from tests.fake_host import FakeHost


class Halves(nn.Module):
    """Says in what it was computed, and gives several things."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(2))

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> tuple[list[torch.Tensor], torch.Tensor]:
        self.seen = x.dtype, self.weight.dtype
        return [x * self.weight], mask


def test_a_part_in_bfloat16_takes_and_gives_float32_and_leaves_masks_alone() -> None:
    part = InBfloat16(Halves())
    (out,), mask = part(torch.full((1, 2), 1 / 3), torch.tensor([True]))
    assert part.module.seen == (torch.bfloat16, torch.bfloat16)
    assert (out.dtype, mask.dtype) == (torch.float32, torch.bool)
    assert out[0, 0] == torch.tensor(1 / 3).bfloat16()


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_model_is_near_the_one_in_float32(name: str) -> None:
    ids, mask = torch.tensor([[5, 6, 7]]), torch.ones(1, 3, dtype=torch.bool)

    def outcome(model: FusionModel) -> torch.Tensor:
        tokens = model.read(ids, mask)
        photo, heard = model.see(torch.zeros(1, 3, 64, 64)), model.hear(torch.ones(1, 80, 40), torch.tensor([40]))
        memory = model.fuse([Stream("text", tokens, mask)])
        parts = photo, heard.last, tokens, model.decode(ids, memory)
        return torch.cat([part.flatten().float() for part in parts])

    shipped, changed = checkpoint.tiny().model, checkpoint.tiny().model
    CHANGES[name](changed)
    with torch.inference_mode():
        before, after = outcome(shipped), outcome(changed)
    assert torch.equal(before, after) == (name in ("float32", "logits_float32"))
    assert torch.allclose(before, after, atol=0.05 * float(before.abs().max()))


def test_every_change_is_measured_by_captions_speech_and_translations(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "CHANGES", {name: CHANGES[name] for name in ("float32", "decoder_bfloat16")})
    small = checkpoint.tiny()
    monkeypatch.setattr(checkpoint, "load", lambda folder, **_: small)
    rows = precision_rows(Bench(FakeHost(), tiny, "dev", 1, quiet=True))
    measured = {f"{row}" for row in ("caption.cider", "speech.word_error_rate", "translation.bleu")}
    seconds = {f"{job}.seconds" for job in ("caption", "speech", "translation")}
    wanted = {f"precision.{name}.{row}" for name in ("float32", "decoder_bfloat16") for row in measured | seconds}
    assert set(rows) == wanted
    assert all(row.value is not None and row.n == 1 for row in rows.values())
