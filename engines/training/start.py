"""Where a run starts: public weights in towers and decoder, then what earlier stages made of them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from engines import archives
from engines.model import checkpoint, public
from engines.model.config import small
from engines.model.fusion import FusionModel
from engines.text import Tokenizer
from engines.training import groups

ROWS_FILE = "whisper_rows.json"
"""Beside the tokenizer: for each token, the rows of Whisper's embedding whose mean it starts from
(`scripts.make_vocabulary`)."""


def fresh_model(run: Path, whisper: str | None, efficientnet: Path | None, data: Path | None = None) -> FusionModel:
    """A SMALL model, its towers and decoder started from public weights where those are given.

    data: the training folder, whose list of concepts the model gets a head for where it has one.
    """
    tokenizer = Tokenizer.load(run / "tokenizer.model")
    config = small(tokenizer.vocab_size)
    if data is not None and (data / "naming").is_dir():
        classes, concept_groups = groups.concepts(archives.concepts(data))
        config = replace(config, concepts=classes, concept_groups=concept_groups)
    model = FusionModel(config)
    if whisper is not None:
        public.load_whisper(model, public.read_whisper(whisper), json.loads((run / ROWS_FILE).read_text()))
    if efficientnet is not None:
        state = public.read_efficientnet(efficientnet)
        public.load_efficientnet(model, state)
        if config.concepts:
            public.load_concepts(model, state)
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
