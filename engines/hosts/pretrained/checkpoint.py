"""A transformers checkpoint in a folder: what it is, how large, what it may be used for, and where it fits.

Only small files and the headers of the weights are read here. Code that comes with a checkpoint is never run
(`trust_remote_code`), and weights are read from safetensors only.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from engines import device as devices
from engines.errors import CheckpointError, DeviceError, Message
from engines.hosts.download import INDEX, TEMPLATE_IN, TEMPLATES
from engines.settings import Settings

Family: TypeAlias = Literal["speech", "ctc", "chat", "pictures", "translation", "space"]

BYTES = {"float32": 4.0, "bfloat16": 2.0, "int8": 1.0, "int4": 0.5}
"""Bytes per weight. Norms and embeddings stay in bfloat16 where the rest is int8 or int4, which `SPARE` covers."""
SPARE = 1.2
"""Room beside the weights for activations, keys and values: a sound or eight pictures need a few per cent of a model
of some billions, more of a small one."""
SLICES = 16
"""Number of slices of a weights file that go into its digest: two trainings of one architecture differ everywhere."""
SLICE_BYTES = 65_536


@dataclass(frozen=True)
class Checkpoint:
    """What lies in a folder. n_bytes: of the weights as they are stored. digest: of config and weights."""

    folder: Path
    name: str
    source: str
    family: Family
    model_type: str
    config: dict[str, Any] = field(repr=False)
    n_parameters: int
    n_bytes: int
    licence: str
    digest: str

    def small(self, file: str) -> dict[str, Any]:
        """A JSON file beside the weights; {} where there is none."""
        return _json(self.folder / file)


@dataclass(frozen=True)
class Place:
    """Where a checkpoint is put. spread: over several devices by accelerate. need_bytes: with room to work."""

    device: str
    dtype: str
    reason: Message
    need_bytes: int
    spread: bool = False


def read(folder: Path, source: str) -> Checkpoint:
    """What a folder holds. Raises CheckpointError where this program has no use for it."""
    config = _json(folder / "config.json")
    model_type = str(config.get("model_type", ""))
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise CheckpointError(
            "no_safetensors",
            "{name} has no weights as .safetensors, and other formats can run code; choose a checkpoint that has them.",
            name=folder.name,
        )
    for name in sorted(set(_json(folder / INDEX).get("weight_map", {}).values())):
        if not (folder / name).is_file():
            raise CheckpointError(
                "checkpoint_file_missing",
                "{name} in {folder} is missing; fetch the checkpoint again.",
                name=name,
                folder=folder.name,
            )
    n_parameters = n_bytes = 0
    digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode())
    for file in files:
        shapes, size = _header(file)
        n_parameters += sum(math.prod(shape) for shape in shapes)
        n_bytes += size
        _slices(file, digest)
    return Checkpoint(
        folder=folder,
        name=_name(folder, source),
        source=source,
        family=family(folder.name, config, chats=_chats(folder)),
        model_type=model_type,
        config=config,
        n_parameters=n_parameters,
        n_bytes=n_bytes,
        licence=_licence(folder),
        digest=digest.hexdigest(),
    )


def _name(folder: Path, source: str) -> str:
    """The hub's name for what came from there, else the folder's."""
    return source if re.fullmatch(r"[\w.-]+/[\w.-]+", source) and not Path(source).is_dir() else folder.name


def _json(file: Path) -> dict[str, Any]:
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise CheckpointError(
            "checkpoint_file_damaged",
            "{name} in {folder} is damaged; fetch the checkpoint again.",
            name=file.name,
            folder=file.parent.name,
        ) from error
    return value if isinstance(value, dict) else {}


def _header(file: Path) -> tuple[list[list[int]], int]:
    """Shapes of the tensors of a safetensors file, and its bytes."""
    try:
        with file.open("rb") as opened:
            length = int.from_bytes(opened.read(8), "little")
            if not 2 <= length <= 100_000_000:  # the format's own limit
                raise ValueError("no header")
            header = json.loads(opened.read(length))
        shapes = [entry["shape"] for name, entry in header.items() if name != "__metadata__"]
        ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
        if file.stat().st_size < 8 + length + max(ends, default=0):
            raise ValueError("cut off")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(
            "checkpoint_file_cut_off",
            "{name} in {folder} is damaged or cut off; fetch the checkpoint again.",
            name=file.name,
            folder=file.parent.name,
        ) from error
    return shapes, file.stat().st_size


def _slices(file: Path, digest: Any) -> None:
    size = file.stat().st_size
    with file.open("rb") as opened:
        for i in range(SLICES):
            opened.seek(max(0, size - SLICE_BYTES) * i // (SLICES - 1))
            digest.update(opened.read(SLICE_BYTES))


def _licence(folder: Path) -> str:
    """The licence in the front matter of the model card, "" where there is none."""
    try:
        card = (folder / "README.md").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    head = re.match(r"---\n(.*?)\n---", card, re.DOTALL)
    found = re.search(r"^license(?:_name)?:\s*(\S+)", head[1], re.MULTILINE) if head else None
    return found[1].strip("\"'") if found else ""


def _chats(folder: Path) -> bool:
    """Whether a checkpoint has a template for conversations."""
    beside = any((folder / file).is_file() for file in TEMPLATES)
    return beside or any("chat_template" in _json(folder / file) for file in TEMPLATE_IN)


def family(name: str, config: dict[str, Any], *, chats: bool) -> Family:
    """What kind of model it is, by transformers' own lists. Raises CheckpointError for one of no use here."""
    from transformers.models.auto import modeling_auto as lists

    model_type = str(config.get("model_type", ""))
    architecture = str(next(iter(config.get("architectures") or ()), ""))
    if architecture.endswith("ForCTC"):
        return "ctc"
    if model_type in lists.MODEL_FOR_SPEECH_SEQ_2_SEQ_MAPPING_NAMES and not chats:
        return "speech"
    if chats and (
        model_type in lists.MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES
        or model_type in lists.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES
        or model_type in lists.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    ):
        return "chat"
    if model_type in ("marian", "m2m_100"):
        return "translation"
    if model_type in ("clip", "siglip", "siglip2", "clap"):
        return "space"
    if model_type in ("blip", "git", "vision-encoder-decoder"):
        return "pictures"
    raise CheckpointError(
        "checkpoint_without_use",
        "{name} is a {kind}, which no tab has a use for; choose a model for speech, chat with pictures or sound, "
        "captions, translation or search.",
        name=name,
        kind=architecture or model_type or Message("word.checkpoint", "checkpoint"),
    )


def place(checkpoint: Checkpoint, settings: Settings) -> Place:
    """The device and dtype for a checkpoint: what `device.choose` says, if it fits there.

    Raises DeviceError for a device that is absent or too small.
    """
    quantised = settings.dtype in ("int8", "int4")
    choice = devices.choose(settings.device, "auto" if quantised else settings.dtype)
    dtype = settings.dtype if quantised else choice.dtype
    need = round(checkpoint.n_parameters * BYTES[dtype] * SPARE)
    reason = choice.reason
    if quantised:
        device = reason.values["device"]
        reason = Message("reason.dtype_as_asked", "{device}; {dtype}, as asked for", device=device, dtype=dtype)
    if dtype == "int4" and not choice.device.startswith("cuda"):
        raise DeviceError("int4_needs_cuda", "int4 needs an NVIDIA card; choose int8, or another device.")
    free = devices.free_bytes(choice.device)
    if need <= free:
        return Place(choice.device, dtype, reason, need)
    if choice.device.startswith("cuda") and need <= free + devices.free_bytes("cpu") and _has_accelerate():
        spread = Message("reason.spread", "{reason}; what does not fit stays in main memory", reason=reason)
        return Place(choice.device, dtype, spread, need, spread=True)
    known = ("bfloat16", "int8", "int4") if choice.device.startswith("cuda") else ("bfloat16", "int8")
    smaller = next((name for name in known if BYTES[name] < BYTES[dtype]), None)
    hint = Message("word.smaller_model", "choose a smaller model or a server")
    if smaller is not None:
        hint = Message("word.smaller_dtype", "choose {dtype}, a smaller model or a server", dtype=smaller)
    raise DeviceError(
        "checkpoint_too_large",
        "{name} needs about {need_gb:.1f} GB on {device} in {dtype}, and {free_gb:.1f} GB are free; {hint}.",
        name=checkpoint.name,
        need_gb=need / 1e9,
        device=choice.device,
        dtype=dtype,
        free_gb=free / 1e9,
        hint=hint,
    )


def _has_accelerate() -> bool:
    from importlib.util import find_spec

    return find_spec("accelerate") is not None
