"""A small part behind each block of the text tower and the decoder that only translation passes through.

Towers and decoder are shared by every task, and search rests on the text tower: trained further for translation they
would lose some of the rest. Bottleneck adapters (Houlsby et al. 2019; for translation Bapna and Firat 2019) leave them
as they are; only the adapters are trained. They lie in a file of their own beside the weights they were trained on.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engines.errors import CheckpointError
from engines.model.config import ModelConfig
from engines.model.quantisation import SCALE, dequantise, pack, quantise

ADAPTER_FILE = "translation.safetensors"
WIDTH = 512
"""Numbers between the two layers of an adapter."""


class Adapter(nn.Module):
    """Norm, a layer down, one up, and a residual: (B, L, D) -> (B, L, D). A new one changes nothing."""

    def __init__(self, width: int, n_between: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.down = nn.Linear(width, n_between)
        self.drop = nn.Dropout(0.1)
        self.up = nn.Linear(n_between, width)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.up(self.drop(F.gelu(self.down(self.norm(x)))))
        return out


class TranslationAdapter(nn.Module):
    """An adapter for each block of the text tower and of the decoder."""

    def __init__(self, config: ModelConfig, n_between: int = WIDTH) -> None:
        super().__init__()
        self.n_between = n_between
        self.text = nn.ModuleList(Adapter(config.width, n_between) for _ in range(config.n_text_blocks))
        self.decoder = nn.ModuleList(Adapter(config.width, n_between) for _ in range(config.n_decoder_blocks))


def save(adapter: TranslationAdapter, folder: Path, digest: str) -> None:
    """Write the adapters beside the model they were trained on. digest: that of the model's weights."""
    from safetensors.torch import save_file

    about = json.dumps({"n_between": adapter.n_between, "weights_sha256": digest})
    save_file(quantise(adapter.state_dict()), folder / ADAPTER_FILE, metadata={"about": about})
    (folder / ADAPTER_FILE).chmod(0o644)  # safetensors writes for its own user alone


def load(
    folder: Path, config: ModelConfig, digest: str, *, device: str, dtype: torch.dtype, int8: bool
) -> TranslationAdapter | None:
    """The adapters of a model, None where its folder has none.

    digest: that of the model's weights. int8: multiply by the int8 rows as they are stored, which only CPUs can. Raises
    CheckpointError, and ValueError, KeyError, SafetensorError or RuntimeError where the file is not one.
    """
    from safetensors import safe_open

    if not (folder / ADAPTER_FILE).is_file():
        return None
    with safe_open(folder / ADAPTER_FILE, framework="pt") as file:
        about = json.loads((file.metadata() or {}).get("about", "{}"))
        if about["weights_sha256"] != digest:
            raise CheckpointError(
                "adapter_of_other_weights",
                "{file} was trained on other weights; train it again (docs/training.md), or remove it.",
                file=ADAPTER_FILE,
            )
        stored = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    with torch.device("meta"):
        adapter = TranslationAdapter(config, about["n_between"])
    if int8:
        pack(adapter, stored)
    names = adapter.state_dict().keys()
    own = {name: value for name, value in stored.items() if name.removesuffix(SCALE) in names}
    adapter.load_state_dict(dequantise(own, torch.float32 if int8 else dtype), assign=True)
    return adapter.to(device).eval().requires_grad_(False)
