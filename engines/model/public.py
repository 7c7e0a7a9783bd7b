"""From public weights to our towers: a transformers Whisper folder (or hub name) and an EfficientNet-Lite2 file.

Whisper: Radford et al. 2022, MIT. EfficientNet-Lite2: Tan & Le 2019, weights of the tensorflow/tpu repository as
distributed for PyTorch, Apache-2.0. Only names are changed; batch norms are folded into their convolutions. The text
tower has no public twin: its blocks start as Whisper's decoder blocks without their attention to a memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from engines.errors import CheckpointError
from engines.model.fusion import FusionModel
from engines.model.picture import N_SHARED

BATCH_NORM_EPS = 1e-3
"""TensorFlow's default for EfficientNet, with which the public weights were trained."""

_ATTENTION = {"q_proj": "query", "k_proj": "key", "v_proj": "value", "out_proj": "out"}
_BLOCK = {
    "self_attn.": "attention.",
    "self_attn_layer_norm.": "attention_norm.",
    "encoder_attn.": "memory.",
    "encoder_attn_layer_norm.": "memory_norm.",
    "fc1.": "mlp.up.",
    "fc2.": "mlp.down.",
    "final_layer_norm.": "mlp_norm.",
}


def _block_name(rest: str) -> str:
    """ "self_attn.q_proj.weight" -> "attention.query.weight"."""
    for theirs, ours in _BLOCK.items():
        if rest.startswith(theirs):
            rest = ours + rest[len(theirs) :]
            break
    for theirs, ours in _ATTENTION.items():
        rest = rest.replace(f".{theirs}.", f".{ours}.")
    return rest


def read_whisper(source: str | Path) -> dict[str, Tensor]:
    """The float32 state dict of a transformers Whisper model: a folder, or a name on the hub."""
    from transformers import WhisperForConditionalGeneration

    model = WhisperForConditionalGeneration.from_pretrained(str(source), dtype=torch.float32, use_safetensors=True)
    return {name: value.detach() for name, value in model.state_dict().items()}


def load_whisper(model: FusionModel, whisper: Mapping[str, Tensor], rows: Sequence[Sequence[int]] | None) -> list[str]:
    """Copy Whisper's encoder into the sound tower, its decoder into ours and (as a start) into the text tower.

    rows: per token of our vocabulary, the rows of Whisper's embedding whose mean it starts from; None where the
    vocabulary is Whisper's own. Gives the names of our weights that were set. Raises CheckpointError on a misfit.
    """
    ours: dict[str, Tensor] = {}
    for name, value in whisper.items():
        part, _, rest = name.removeprefix("model.").partition(".")
        if part == "encoder" and rest.startswith("layers."):
            _, i, rest = rest.split(".", 2)
            ours[f"sound.blocks.{i}.{_block_name(rest)}"] = value
        elif part == "encoder" and rest.startswith(("conv1.", "conv2.")):
            ours[f"sound.{rest}"] = value
        elif part == "decoder" and rest.startswith("layers."):
            _, i, rest = rest.split(".", 2)
            rest = _block_name(rest)
            ours[f"decoder.blocks.{i}.{rest}"] = value
            if int(i) < len(model.text.blocks) and not rest.startswith(("memory.", "memory_norm.")):
                ours[f"text.blocks.{i}.{rest}"] = value
        elif rest.startswith("layer_norm."):
            ours[("sound.norm." if part == "encoder" else "decoder.norm.") + rest.removeprefix("layer_norm.")] = value
        elif part == "decoder" and rest == "embed_positions.weight":
            ours["decoder.positions.weight"] = value
            ours["text.positions.weight"] = value
        elif part == "decoder" and rest == "embed_tokens.weight":
            start = value if rows is None else torch.stack([value[list(row)].mean(0) for row in rows])
            ours["decoder.embedding.weight"] = start
    return _copy(model, ours, "Whisper")


def read_efficientnet(path: Path) -> dict[str, Tensor]:
    """The state dict of an EfficientNet-Lite2 file (`.pth`, read with weights_only: no code in it is run)."""
    state: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return state


def load_efficientnet(model: FusionModel, state: Mapping[str, Tensor]) -> list[str]:
    """Copy EfficientNet-Lite2 into the picture tower, batch norms folded in. Gives the names that were set.

    Raises CheckpointError when the state dict is of another network or size.
    """
    ours = {f"picture.trunk.{name}": value for name, value in _folded(state).items()}
    return _copy(model, ours, "EfficientNet-Lite2")


def load_concepts(model: FusionModel, state: Mapping[str, Tensor]) -> list[str]:
    """Copy EfficientNet-Lite2's late blocks and its ImageNet classifier into the concept head, as they are.

    Gives the names that were set. Raises CheckpointError when the state dict is of another network or size.
    """
    ours = {}
    for name, value in _folded(state).items():
        if name.startswith("head."):
            ours[f"picture.concepts.head.0.{name.removeprefix('head.')}"] = value
        elif name.startswith("blocks.") and int(name.split(".")[1]) >= N_SHARED:
            ours[f"picture.concepts.{name}"] = value
    for kind in ("weight", "bias"):
        ours[f"picture.concepts.classify.{kind}"] = state[f"_fc.{kind}"]
    return _copy(model, ours, "EfficientNet-Lite2")


def _folded(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights and biases of the convolutions by our names, each with the batch norm behind it folded in."""
    if lost := {"_conv_stem.weight", "_bn0.weight", "_conv_head.weight", "_bn1.weight"} - state.keys():
        raise CheckpointError(
            "not_efficientnet", "This is no EfficientNet-Lite2: it lacks {missing}.", missing=min(lost)
        )

    def folded(convolution: str, norm: str, name: str) -> dict[str, Tensor]:
        scale = state[f"{norm}.weight"] / torch.sqrt(state[f"{norm}.running_var"] + BATCH_NORM_EPS)
        bias = state[f"{norm}.bias"] - state[f"{norm}.running_mean"] * scale
        return {f"{name}.weight": state[f"{convolution}.weight"] * scale[:, None, None, None], f"{name}.bias": bias}

    ours = folded("_conv_stem", "_bn0", "stem") | folded("_conv_head", "_bn1", "head")
    for i in sorted({int(name.split(".")[1]) for name in state if name.startswith("_blocks.")}):
        theirs = f"_blocks.{i}"
        if f"{theirs}._expand_conv.weight" in state:
            ours |= folded(f"{theirs}._expand_conv", f"{theirs}._bn0", f"blocks.{i}.expand")
        ours |= folded(f"{theirs}._depthwise_conv", f"{theirs}._bn1", f"blocks.{i}.depthwise")
        ours |= folded(f"{theirs}._project_conv", f"{theirs}._bn2", f"blocks.{i}.project")
    return ours


def _copy(model: FusionModel, ours: Mapping[str, Tensor], what: str) -> list[str]:
    own = model.state_dict()
    for name, value in ours.items():
        if name not in own or own[name].shape != value.shape:
            shape = tuple(own[name].shape) if name in own else None
            raise CheckpointError(
                "public_weight_shape",
                "{what} does not fit this model: {name} is {shape} there, {needed} here.",
                what=what,
                name=name,
                shape=tuple(value.shape),
                needed=shape,
            )
    with torch.no_grad():
        for name, value in ours.items():
            own[name].copy_(value)
    return sorted(ours)
