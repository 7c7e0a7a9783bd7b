"""A checkpoint's weights and its processors, in memory."""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Mapping
from typing import Any

import torch
import transformers

from engines.errors import CheckpointError
from engines.hosts.pretrained.checkpoint import Checkpoint, Place

SAFE: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}


def load(kind: str, checkpoint: Checkpoint, place: Place) -> Any:
    """The model in evaluation mode. kind: a transformers auto class by its name. Raises CheckpointError."""
    options: dict[str, Any] = {"use_safetensors": True, **SAFE}
    options["dtype"] = torch.float32 if place.dtype == "float32" else torch.bfloat16
    if place.dtype in ("int8", "int4"):
        options["quantization_config"] = _quantised(place.dtype)
    if place.spread:
        options["device_map"] = "auto"
    try:
        model = getattr(transformers, kind).from_pretrained(checkpoint.folder, **options)
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        if isinstance(error, torch.OutOfMemoryError):
            raise
        raise CheckpointError(
            "checkpoint_not_loaded", "{name} could not be loaded: {reason}", name=checkpoint.name, reason=_short(error)
        ) from error
    model = getattr(model, "thinker", model)  # an omni model's voice is of no use here, and as large again
    if not place.spread:
        model = model.to(place.device)
    return model.eval()


def placed(inputs: Mapping[str, torch.Tensor], model: Any) -> dict[str, torch.Tensor]:
    """A model's inputs on its device; those in floating point in its dtype."""
    device, dtype = model.device, model.dtype
    return {k: v.to(device, dtype) if v.is_floating_point() else v.to(device) for k, v in inputs.items()}


def _quantised(dtype: str) -> Any:
    try:
        from torchao.quantization import Int4WeightOnlyConfig, Int8WeightOnlyConfig
    except ImportError as error:
        raise CheckpointError(
            "torchao_missing",
            "{dtype} needs the package torchao; install it with {python} -m pip install torchao accelerate",
            dtype=dtype,
            python=sys.executable,
        ) from error
    if dtype == "int8":
        return transformers.TorchAoConfig(Int8WeightOnlyConfig())
    return transformers.TorchAoConfig(Int4WeightOnlyConfig(int4_packing_format="tile_packed_to_4d"))  # on any card


def tokenizer(checkpoint: Checkpoint) -> Any:
    return _part("AutoTokenizer", checkpoint)


def feature_extractor(checkpoint: Checkpoint) -> Any:
    return _part("AutoFeatureExtractor", checkpoint)


def image_processor(checkpoint: Checkpoint) -> Any:
    return _part("AutoImageProcessor", checkpoint)


def processor(checkpoint: Checkpoint) -> Any:
    """All of a multimodal model's processors as one, without that for videos: it needs torchvision, and a clip goes in
    as pictures with their times. A model of text alone has a tokenizer only.

    Raises CheckpointError.
    """
    kind = _processor_class(checkpoint)
    if kind is None:
        return tokenizer(checkpoint)
    parts: dict[str, Any] = {}
    for name in kind.get_attributes():
        if "video" in name:
            parts[name] = None
        elif "tokenizer" in name:
            parts[name] = tokenizer(checkpoint)
        elif "image" in name:
            parts[name] = image_processor(checkpoint)
        else:
            parts[name] = feature_extractor(checkpoint)
    takes = inspect.signature(kind).parameters.keys() - parts.keys()
    settings = {name: value for name, value in checkpoint.small("processor_config.json").items() if name in takes}
    template = parts["tokenizer"].chat_template or checkpoint.small("chat_template.json").get("chat_template")
    if template:
        settings["chat_template"] = template

    class Videoless(kind):  # type: ignore[misc, valid-type]
        """A processor that may lack a part."""

        def check_argument_for_proper_class(self, name: str, part: Any) -> Any:
            return None if part is None else super().check_argument_for_proper_class(name, part)

    try:
        return Videoless(**parts, **settings)
    except (ImportError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(
            "processors_not_built",
            "The processors of {name} could not be put together: {reason}",
            name=checkpoint.name,
            reason=_short(error),
        ) from error


def _processor_class(checkpoint: Checkpoint) -> Any:
    from transformers.models.auto.processing_auto import PROCESSOR_MAPPING_NAMES

    files = ("processor_config.json", "preprocessor_config.json", "tokenizer_config.json")
    named = [checkpoint.small(file).get("processor_class") for file in files]
    for name in (*named, PROCESSOR_MAPPING_NAMES.get(checkpoint.model_type)):
        if name and hasattr(transformers, name):
            return getattr(transformers, name)
    return None


def _part(kind: str, checkpoint: Checkpoint) -> Any:
    try:
        return getattr(transformers, kind).from_pretrained(checkpoint.folder, **SAFE)
    except (OSError, ValueError, KeyError, TypeError, ImportError, json.JSONDecodeError) as error:
        what = kind.removeprefix("Auto")
        raise CheckpointError(
            "checkpoint_part_unreadable",
            "The {what} of {name} could not be read: {reason}",
            what=what,
            name=checkpoint.name,
            reason=_short(error),
        ) from error


def _short(error: BaseException) -> str:
    """The first line of a library's error message, without paths."""
    line = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    words = [word for word in line.split() if "/" not in word.strip("'\"`(")[:1] and "\\" not in word]
    return " ".join(words)[:200]
