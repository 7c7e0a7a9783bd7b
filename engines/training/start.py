"""Where a run starts: public weights in towers and decoder, then what earlier stages made of them."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from engines.model import checkpoint, public
from engines.model.config import small
from engines.model.fusion import FusionModel
from engines.text import Tokenizer

ROWS_FILE = "whisper_rows.json"
"""Beside the tokenizer: for each token, the rows of Whisper's embedding whose mean it starts from
(`scripts.make_vocabulary`)."""


def fresh_model(run: Path, whisper: str | None, efficientnet: Path | None) -> FusionModel:
    """A SMALL model, its towers and decoder started from public weights where those are given."""
    tokenizer = Tokenizer.load(run / "tokenizer.model")
    model = FusionModel(small(tokenizer.vocab_size))
    if whisper is not None:
        public.load_whisper(model, public.read_whisper(whisper), json.loads((run / ROWS_FILE).read_text()))
    if efficientnet is not None:
        public.load_efficientnet(model, public.read_efficientnet(efficientnet))
    return model


def stage(path: Path) -> dict[str, Tensor]:
    """The weights of an earlier stage's EMA file, or of a finished model's folder (it may lack parts of this one)."""
    return checkpoint.dequantise(load_file(path / checkpoint.WEIGHTS_FILE)) if path.is_dir() else load_file(path)


@torch.no_grad()
def begin_from(model: FusionModel, states: list[dict[str, Tensor]], *, public: float = 0.0) -> None:
    """Put the mean of earlier stages' weights, each of those that have it, into a model as its public weights made it.

    public: this share of the decoder stays public, which brings back what training made it forget. Mean and mix:
    Wortsman et al. 2022, model soups and WiSE-FT.
    """
    for name, own in model.named_parameters():
        if known := [state[name].float() for state in states if name in state]:
            mean = torch.stack(known).mean(0)
            own.copy_(torch.lerp(mean, own.float(), public if name.startswith("decoder.") else 0.0))
