"""A model on disk: config.json, model.safetensors, tokenizer.model and a card, in one folder. No pickle anywhere.

A classifier of short answers (`engines.model.answer_head`) and adapters for translation
(`engines.model.translation_adapter`) may lie beside them; without these the shared parts answer and translate alone.

Large matrices are stored as int8 with one scale per output row (largest magnitude / 127), everything else as float32.
On load the version, the digests, every key and every shape are checked, with a sentence for each failure.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from engines import tensor_files
from engines.errors import CheckpointError, Message
from engines.model import answer_head, translation_adapter
from engines.model.answer_head import AnswerHead
from engines.model.config import Concept, ConceptGroup, ModelConfig
from engines.model.config import tiny as tiny_config
from engines.model.fusion import FusionModel
from engines.model.parts import SCALE, Int8Embedding, PackedLinear, dequantise, pack, quantise
from engines.model.translation_adapter import TranslationAdapter
from engines.paths import ASSETS
from engines.text import Tokenizer

FORMAT, VERSION = "fusion-studio", 1
CONFIG_FILE, WEIGHTS_FILE, TOKENIZER_FILE, CARD_FILE = "config.json", "model.safetensors", "tokenizer.model", "CARD.md"
ANSWERS_FILE, ADAPTER_FILE = "answers.safetensors", "translation.safetensors"
BUILTIN = ASSETS / "models" / "builtin"
RANDOM_STARTS = (
    *(Tensor.normal_, Tensor.uniform_, nn.init.normal_, nn.init.uniform_),
    *(nn.init.kaiming_uniform_, nn.init.kaiming_normal_, nn.init.xavier_uniform_),
)
EMBEDDING = "decoder.embedding.weight"
MIN_EMBEDDING = 2**22
"""A smaller embedding, in numbers, fits the CPU's cache as it is."""


@dataclass(frozen=True)
class Checkpoint:
    """A model ready to use, with what belongs to it. digest: SHA-256 of the weights file."""

    model: FusionModel
    tokenizer: Tokenizer
    name: str
    digest: str
    licence: str
    card: str
    answers: AnswerHead | None = None

    @cached_property
    def n_parameters(self) -> int:
        # What is packed is no parameter any more; the embedding serves the logits too.
        packed = sum(layer.n_numbers for layer in self._packed if layer is not self.model.decoder.packed_logits)
        return sum(p.numel() for p in self.model.parameters()) + packed

    @cached_property
    def memory_bytes(self) -> int:
        packed = sum(layer.n_bytes for layer in self._packed)
        return sum(p.numel() * p.element_size() for p in self.model.parameters()) + packed

    @cached_property
    def is_int8(self) -> bool:
        """Whether any of it is multiplied as int8."""
        return bool(self._packed)

    @property
    def _packed(self) -> list[PackedLinear | Int8Embedding]:
        return [module for module in self.model.modules() if isinstance(module, PackedLinear | Int8Embedding)]


def save(
    folder: Path, model: FusionModel, tokenizer: Path, *, name: str = "builtin", licence: str = "", card: str = ""
) -> str:
    """Write a model folder; gives the digest of the weights. `tokenizer` is copied in if it lies elsewhere."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    about = {"format": "pt", "model": FORMAT, "version": str(VERSION), "name": name, "licence": licence}
    # One entry, since safetensors writes several in a random order, and equal weights should be equal files.
    shared = {name: value for name, value in model.state_dict().items() if not name.startswith("translation.")}
    save_file(quantise(shared), folder / WEIGHTS_FILE, metadata={"about": json.dumps(about)})
    (folder / WEIGHTS_FILE).chmod(0o644)  # safetensors writes for its own user alone
    vocabulary = tokenizer.read_bytes()
    if (folder / TOKENIZER_FILE).resolve() != tokenizer.resolve():
        (folder / TOKENIZER_FILE).write_bytes(vocabulary)
    digest = hashlib.sha256((folder / WEIGHTS_FILE).read_bytes()).hexdigest()
    config = {
        "format": FORMAT,
        "version": VERSION,
        "name": name,
        "licence": licence,
        "weights_sha256": digest,
        "tokenizer_sha256": hashlib.sha256(vocabulary).hexdigest(),
        "model": asdict(model.config),
    }
    (folder / CONFIG_FILE).write_text(json.dumps(config, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    if card:
        (folder / CARD_FILE).write_text(card, encoding="utf-8")
    return digest


def save_part(folder: Path, part: AnswerHead | TranslationAdapter, digest: str) -> Path:
    """Write a part beside the model that it was trained on. digest: that of the model's weights."""
    from safetensors.torch import save_file

    about: dict[str, object] = {"weights_sha256": digest}
    if isinstance(part, AnswerHead):
        path, about["answers"] = folder / ANSWERS_FILE, part.answers
        tensors = {name: value.detach().half().contiguous() for name, value in part.state_dict().items()}
    else:
        path, about["n_between"] = folder / ADAPTER_FILE, part.n_between
        tensors = quantise(part.state_dict())
    save_file(tensors, path, metadata={"about": json.dumps(about)})
    path.chmod(0o644)  # safetensors writes for its own user alone
    return path


def digest(folder: Path) -> str:
    """The digest of a model folder's weights, as its config says. Raises CheckpointError."""
    return str(_read_config(folder)["weights_sha256"])


def load(
    folder: Path,
    *,
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
    int8: bool = False,
    with_parts: bool = True,
) -> Checkpoint:
    """Read and check a model folder. Raises CheckpointError with what to do about it.

    int8: multiply as `use_int8` says, which only CPUs can. with_parts: also read the classifier of answers and the
    adapters for translation; those of other weights are an error, but not where they are about to be trained again.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load as load_bytes

    settings = _read_config(folder)
    tokenizer = Tokenizer.load(folder / TOKENIZER_FILE)
    if tokenizer.digest != settings["tokenizer_sha256"]:
        raise _damaged(Message("word.the_tokenizer", "The tokenizer"))
    config = _model_config(settings["model"])
    if tokenizer.vocab_size != config.vocab_size:
        raise CheckpointError(
            "tokenizer_of_other_size",
            "The tokenizer has {n_tokenizer:,} tokens, the model {n_model:,}; they do not belong together.",
            n_tokenizer=tokenizer.vocab_size,
            n_model=config.vocab_size,
        )
    try:
        raw = (folder / WEIGHTS_FILE).read_bytes()
    except OSError as error:
        raise CheckpointError(
            "weights_unreadable", "The model folder has no readable {file}; fetch the model again.", file=WEIGHTS_FILE
        ) from error
    digest = hashlib.sha256(raw).hexdigest()
    if digest != settings["weights_sha256"]:
        raise _damaged(Message("word.the_weights_file", "The weights file"))
    with torch.device("meta"), _WithoutRandomStart():
        model = FusionModel(config)
    try:
        stored = load_bytes(raw)
        del raw
        _check({name: value for name, value in stored.items() if not name.endswith(SCALE)}, model.state_dict())
        if int8:
            use_int8(model, stored, dtype)
        state = dequantise(_rest(stored, model), torch.float32 if int8 else dtype)
    except (SafetensorError, ValueError) as error:
        raise _damaged(Message("word.the_weights_file", "The weights file")) from error
    model.load_state_dict(state, assign=True)
    if int8 and dtype == torch.bfloat16:
        model.sound.to(dtype)
    model.to(device).eval().requires_grad_(False)
    card = folder / CARD_FILE
    text = card.read_text(encoding="utf-8") if card.is_file() else ""
    answers = None
    if with_parts:
        with _part(folder / ANSWERS_FILE, digest) as stored_part:
            if stored_part is not None:
                about, tensors = stored_part
                answers = answer_head.from_stored(about["answers"], tensors, config.width)
                answers.to(device).eval().requires_grad_(False)
        with _part(folder / ADAPTER_FILE, digest) as stored_part:
            if stored_part is not None:
                about, tensors = stored_part
                adapter = translation_adapter.from_stored(about["n_between"], tensors, config, dtype, int8=int8)
                model.translation = adapter.to(device).eval().requires_grad_(False)
    return Checkpoint(model, tokenizer, settings["name"], digest, settings["licence"], text, answers)


@contextmanager
def _part(path: Path, digest: str) -> Iterator[tuple[dict[str, Any], dict[str, Tensor]] | None]:
    """Give the description and the tensors of a part to build it from; None where there is no such file.

    Raises CheckpointError where it was trained on other weights than those of this digest, since it reads what their
    towers make, and where the file is damaged, also if that shows only when the part is built.
    """
    if not path.is_file():
        yield None
        return
    try:
        about, tensors = tensor_files.read(path, "about", "pt")
        if about["weights_sha256"] != digest:
            raise CheckpointError(
                "part_of_other_weights",
                "{file} was trained on other weights; train it again (docs/training.md), or remove it.",
                file=path.name,
            )
        yield about, tensors
    except (ValueError, KeyError, RuntimeError, OSError, AttributeError, TypeError) as error:
        raise _damaged(Message("word.the_file", "The file {name}", name=path.name)) from error


class _WithoutRandomStart(TorchFunctionMode):
    """Leaves out random numbers that a checkpoint's would replace.

    On the meta device they take two seconds: PyTorch computes their shape in Python and imports its compiler for it.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        return (*args, *kwargs.values())[0] if func in RANDOM_STARTS else func(*args, **kwargs)


def use_int8(model: FusionModel, stored: Mapping[str, Tensor], dtype: torch.dtype) -> None:
    """Have a model without numbers multiply by matrices that are stored as int8 rows as they are.

    Rounding the inputs of the logits and of the MLP's second layer moves what the decoder writes ten times as much as
    all other layers together (divergence from float32 on dev captions: 0.0038 and 0.0016 against 0.0005, which is that
    of bfloat16), so those two have weights in float16.

    dtype: that of the sound tower. In bfloat16 it stays as it is: on one core with AMX, 10 s of sound take it 112 ms in
    bfloat16, 205 in int8 and 297 in float32; without AMX bfloat16 is slower than both.
    """
    for tower in ("decoder", "text", "sound"):
        if tower == "sound" and dtype == torch.bfloat16:
            continue
        exact = ("mlp.down",) if tower != "sound" else ()
        pack(model.get_submodule(tower), stored, f"{tower}.", keep_inputs=exact)
    rows, scale = stored[EMBEDDING], stored.get(EMBEDDING + SCALE)
    if scale is not None and rows.numel() >= MIN_EMBEDDING:
        model.decoder.packed_logits = PackedLinear(rows, scale, keeps_inputs=True)
        model.decoder.embedding = Int8Embedding(rows, scale)  # type: ignore[assignment]  # it embeds as one


def _rest(stored: Mapping[str, Tensor], model: FusionModel) -> dict[str, Tensor]:
    """What is stored of the parameters that a model has, with their scales."""
    names = model.state_dict().keys()
    return {name: value for name, value in stored.items() if name.removesuffix(SCALE) in names}


def _damaged(what: Message) -> CheckpointError:
    return CheckpointError(
        "model_damaged", "{what} is damaged or was changed (its digest is another); fetch the model again.", what=what
    )


def _read_config(folder: Path) -> dict[str, Any]:
    try:
        settings = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
    except OSError as error:
        raise CheckpointError(
            "model_config_missing",
            "The folder {name} has no {file}; it is not a model of Fusion Studio.",
            name=folder.name,
            file=CONFIG_FILE,
        ) from error
    except ValueError as error:
        raise _damaged(Message("word.the_file", "The file {name}", name=CONFIG_FILE)) from error
    if not isinstance(settings, dict) or settings.get("format") != FORMAT:
        raise CheckpointError(
            "model_of_other_program", "The folder {name} holds a model of another program.", name=folder.name
        )
    if settings.get("version") != VERSION:
        raise CheckpointError(
            "model_version",
            "The model is of version {version}, this program reads version {known}; update the older one.",
            version=settings.get("version"),
            known=VERSION,
        )
    wanted = {"name", "licence", "weights_sha256", "tokenizer_sha256", "model"}
    if missing := wanted - settings.keys():
        raise CheckpointError(
            "model_config_lacks",
            "{file} lacks {missing}; fetch the model again.",
            file=CONFIG_FILE,
            missing=sorted(missing),
        )
    return settings


def _model_config(values: Any) -> ModelConfig:
    known = {field.name for field in fields(ModelConfig)}
    optional = {"calibration", "concepts", "concept_groups"}
    if not isinstance(values, dict):
        raise _damaged(Message("word.the_file", "The file {name}", name=CONFIG_FILE))
    if odd_keys := (values.keys() ^ known) - (optional - values.keys()):
        odd = ", ".join(sorted(odd_keys))
        raise CheckpointError(
            "model_config_differs",
            "The model's config and this program disagree about {odd}; update the older one.",
            odd=odd,
        )
    try:
        tables = values.get("calibration", {})
        calibration = {name: {row: tuple(tables[name][row]) for row in tables[name]} for name in tables}
        concepts = tuple(Concept(**names) for names in values.get("concepts", ()))
        groups = tuple(
            ConceptGroup(Concept(**g["name"]), tuple(g["members"])) for g in values.get("concept_groups", ())
        )
        rest = {
            "events": tuple(values["events"]),
            "concepts": concepts,
            "concept_groups": groups,
            "calibration": calibration,
        }
        return ModelConfig(**{**values, **rest})
    except (TypeError, ValueError) as error:
        raise CheckpointError(
            "model_config_invalid", "The model's config makes no sense: {reason}.", reason=error
        ) from error


def _check(state: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    missing, surplus = sorted(wanted.keys() - state.keys()), sorted(state.keys() - wanted.keys())
    if missing or surplus:
        first = (missing + surplus)[0]
        raise CheckpointError(
            "weights_do_not_fit",
            "The weights do not fit the model: {n_missing} missing, {n_surplus} unknown (first {first}).",
            n_missing=len(missing),
            n_surplus=len(surplus),
            first=first,
        )
    for name, value in wanted.items():
        if state[name].shape != value.shape:
            raise CheckpointError(
                "weight_of_other_shape",
                "The weight {name} has shape {shape}, the model needs {needed}.",
                name=name,
                shape=tuple(state[name].shape),
                needed=tuple(value.shape),
            )


def tiny(seed: int = 0) -> Checkpoint:
    """A random model of the smallest size with the shipped vocabulary: every part is there, nothing is learnt."""
    tokenizer = Tokenizer.load(BUILTIN / TOKENIZER_FILE)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = FusionModel(tiny_config(tokenizer.vocab_size)).eval().requires_grad_(False)
    return Checkpoint(model, tokenizer, "tiny", f"tiny-{seed}", "Apache-2.0", "")
