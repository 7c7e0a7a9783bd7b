"""Where a run starts: public weights in towers and decoder, then the weights of earlier stages."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from engines import archives
from engines.errors import StudioError
from engines.model import checkpoint, public
from engines.model.config import small
from engines.model.fusion import FusionModel
from engines.model.parts import dequantise
from engines.text import Tokenizer
from engines.training import concept_groups

ROWS_FILE = "whisper_rows.json"
"""Beside the tokenizer: for each token, the rows of Whisper's embedding whose mean it starts from
(`scripts.make_vocabulary`)."""
VOCABULARY_STEP = "python -m scripts.make_vocabulary"


class WrongWeights(StudioError):
    """Weights of an earlier stage do not fit this model; the text says which."""


class StepMissing(StudioError):
    """What an earlier step makes, or a folder that is given, is not there; the text says which and how to get it."""


def new_model(run: Path, whisper: str | None, efficientnet: Path | None, data: Path | None = None) -> FusionModel:
    """A SMALL model whose towers and decoder start from public weights where these are given.

    data: the training folder; where it has a list of concepts, the model gets a concept head.
    Raises StepMissing.
    """
    if data is not None and not data.is_dir():
        raise StepMissing(f"there is no folder of data {data}; docs/data.md says what it holds and where to get it")
    if not (run / checkpoint.TOKENIZER_FILE).is_file():
        raise StepMissing(f"{run} has no {checkpoint.TOKENIZER_FILE}; {VOCABULARY_STEP} makes it")
    if whisper is not None and not (run / ROWS_FILE).is_file():
        raise StepMissing(f"{run} has no {ROWS_FILE}, which --whisper needs; {VOCABULARY_STEP} makes it")
    config = small(Tokenizer.load(run / checkpoint.TOKENIZER_FILE).vocab_size)
    if data is not None and (data / "naming").is_dir():
        classes, groups = concept_groups.concepts(archives.concepts(data))
        config = replace(config, concepts=classes, concept_groups=groups)
    model = FusionModel(config)
    if whisper is not None:
        public.load_whisper(model, public.read_whisper(whisper), json.loads((run / ROWS_FILE).read_text()))
    if efficientnet is not None:
        state = public.read_efficientnet(efficientnet)
        public.load_efficientnet(model, state)
        if config.concepts:
            public.load_concepts(model, state)
    return model


def read_weights(path: Path) -> dict[str, Tensor]:
    """The weights in an earlier stage's EMA file or in a finished model's folder, which may lack parts of this one.

    Raises WrongWeights where there are none.
    """
    file = path / checkpoint.WEIGHTS_FILE if path.is_dir() else path
    try:
        state = load_file(file)
    except FileNotFoundError:
        raise WrongWeights(f"there are no weights {file}; --from takes ema.safetensors or a model folder") from None
    except (SafetensorError, OSError) as error:
        raise WrongWeights(f"the weights {file} cannot be read: {error}") from None
    return dequantise(state) if path.is_dir() else state


@torch.no_grad()
def load_weights(model: FusionModel, states: list[dict[str, Tensor]]) -> None:
    """Load each parameter's mean over the states that contain it (model soups, Wortsman et al. 2022).

    Parameters that none contains stay as they are. Raises WrongWeights where shapes differ.
    """
    for name, parameter in model.named_parameters():
        values = [state[name].float() for state in states if name in state]
        for value in values:
            if value.shape != parameter.shape:
                shapes = f"{tuple(value.shape)} in the weights and {tuple(parameter.shape)} in this model"
                raise WrongWeights(f"{name} has the shape {shapes}: the vocabulary or the list of concepts differs")
        if values:
            parameter.copy_(torch.stack(values).mean(0))


# --- the teacher -----------------------------------------------------------------------------------------------------

# Its similarities between sentences are distilled into ours. MiniLM: Wang et al. 2020, Apache-2.0; sentence vectors:
# Reimers & Gurevych 2019.

MAX_TEACHER_TOKENS = 64
"""Longer texts are cut; captions and most sentences are shorter."""


class Teacher:
    """A transformers sentence encoder from a folder or the hub: English sentences -> unit vectors."""

    def __init__(self, source: str) -> None:
        from transformers import AutoModel, AutoTokenizer

        self.tokenizer = AutoTokenizer.from_pretrained(source)
        self.model = AutoModel.from_pretrained(source, use_safetensors=True).to(torch.bfloat16).eval()

    @torch.inference_mode()
    def __call__(self, texts: Sequence[str]) -> Tensor:
        """B sentences -> (B, 384) float32 unit vectors, the mean of their tokens."""
        read = self.tokenizer(
            list(texts), padding=True, truncation=True, max_length=MAX_TEACHER_TOKENS, return_tensors="pt"
        )
        tokens = self.model(**read).last_hidden_state.float()  # (B, L, 384)
        weight = read["attention_mask"][..., None].float()
        return F.normalize((tokens * weight).sum(1) / weight.sum(1), dim=-1)
