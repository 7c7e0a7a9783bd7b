"""A model on disk: what is saved is what is loaded, and every way a folder can be wrong has its sentence."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from engines.errors import CheckpointError
from engines.model import checkpoint
from engines.model.checkpoint import (
    BUILTIN,
    CARD_FILE,
    CONFIG_FILE,
    SCALE,
    TOKENIZER_FILE,
    WEIGHTS_FILE,
    dequantise,
    load,
    quantise,
    save,
)
from engines.model.fusion import FusionModel, Stream

TOKENIZER = BUILTIN / TOKENIZER_FILE


@pytest.fixture(scope="module")
def model() -> FusionModel:
    return checkpoint.tiny().model


@pytest.fixture(scope="module")
def saved(tmp_path_factory, model) -> Path:
    folder = tmp_path_factory.mktemp("models") / "mine"
    save(folder, model, TOKENIZER, name="mine", licence="CC BY 4.0", card="# A card")
    return folder


@pytest.fixture
def folder(saved, tmp_path) -> Path:
    """A copy of the saved model that may be spoilt."""
    return Path(shutil.copytree(saved, tmp_path / "mine"))


def written(model: FusionModel) -> Tensor:
    """What a model makes of three tokens about a photo, as probabilities."""
    photo = torch.linspace(-1, 1, 3 * 64 * 64).reshape(1, 3, 64, 64)
    tokens = model.see(photo)
    memory = model.fuse([Stream("picture", tokens, torch.ones(tokens.shape[:2], dtype=torch.bool))])
    return model.decode(torch.tensor([[1, 4, 9]]), memory).float().softmax(-1)


# --- there and back ----------------------------------------------------------------------------------------------


def test_what_is_loaded_is_what_was_saved_but_for_the_rounding(saved, model):
    loaded = load(saved)
    own = model.state_dict()
    for name, value in loaded.model.state_dict().items():
        step = own[name].flatten(1).abs().amax(1) / 127 if own[name].dim() > 1 else torch.zeros(len(own[name]))
        error = (value - own[name]).abs().flatten(1).amax(1) if own[name].dim() > 1 else (value - own[name]).abs()
        assert (error <= 0.5 * step + 1e-7).all(), name
    assert torch.allclose(written(loaded.model), written(model), rtol=0.2)


def test_a_loaded_model_says_what_it_is(saved, model):
    loaded = load(saved)
    assert (loaded.name, loaded.licence, loaded.card) == ("mine", "CC BY 4.0", "# A card")
    assert loaded.digest == hashlib.sha256((saved / WEIGHTS_FILE).read_bytes()).hexdigest()
    assert loaded.model.config == model.config
    assert loaded.tokenizer.digest == checkpoint.tiny().tokenizer.digest
    assert loaded.n_parameters == sum(p.numel() for p in model.parameters())
    assert loaded.memory_bytes == 4 * loaded.n_parameters


def test_a_loaded_model_serves_and_does_not_learn(saved):
    loaded = load(saved).model
    assert not loaded.training
    assert not any(p.requires_grad for p in loaded.parameters())


def test_a_model_saved_again_is_the_same_file(saved, tmp_path):
    first = save(tmp_path / "a", load(saved).model, saved / TOKENIZER_FILE)
    assert first == save(tmp_path / "b", load(tmp_path / "a").model, saved / TOKENIZER_FILE)


def test_a_model_may_be_saved_over_itself(folder):
    loaded = load(folder)
    save(folder, loaded.model, folder / TOKENIZER_FILE, name="again")
    assert load(folder).name == "again"


def test_the_weights_say_what_they_are_and_others_may_read_them(saved):
    with safe_open(saved / WEIGHTS_FILE, "pt") as file:
        assert json.loads(file.metadata()["about"])["model"] == "fusion-studio"
    assert saved.joinpath(WEIGHTS_FILE).stat().st_mode & 0o777 == 0o644


def test_a_folder_holds_no_code(saved):
    assert {file.name for file in saved.iterdir()} == {CONFIG_FILE, WEIGHTS_FILE, TOKENIZER_FILE, CARD_FILE}
    head = (saved / WEIGHTS_FILE).read_bytes()[:9]
    assert head[8:] == b"{"  # safetensors: the length of a JSON header, then the header; a pickle is a zip or \x80


def test_a_card_is_not_needed(folder):
    (folder / CARD_FILE).unlink()
    assert load(folder).card == ""


def test_tiny_is_alike_for_one_seed_and_leaves_the_random_state_alone():
    state = torch.get_rng_state()
    one, two, other = checkpoint.tiny(), checkpoint.tiny(), checkpoint.tiny(seed=1)
    assert torch.equal(one.model.ctc_head.weight, two.model.ctc_head.weight)
    assert not torch.equal(one.model.ctc_head.weight, other.model.ctc_head.weight)
    assert torch.equal(torch.get_rng_state(), state)
    assert one.digest != other.digest


# --- int8 --------------------------------------------------------------------------------------------------------


@settings(max_examples=20)
@given(seed=st.integers(0, 999), exponent=st.integers(-6, 6), dims=st.sampled_from([(64, 80), (64, 4, 5, 5)]))
def test_rounding_costs_half_a_step_of_each_row(seed, exponent, dims):
    rows = torch.randn(*dims, generator=torch.Generator().manual_seed(seed)) * 10.0**exponent
    stored = quantise({"w": rows})
    assert stored["w"].dtype == torch.int8
    error = (dequantise(stored)["w"] - rows).flatten(1).abs().amax(1)
    assert (error <= rows.flatten(1).abs().amax(1) / 127 * 0.501).all()


def test_rows_of_zeros_stay_zeros_and_small_things_stay_exact():
    state = {"rows": torch.zeros(64, 100), "few": torch.rand(8, 8), "bias": torch.rand(9000)}
    back = dequantise(quantise(state))
    assert all(torch.equal(back[name], value) for name, value in state.items())
    assert quantise(state).keys() == {"rows", "rows" + SCALE, "few", "bias"}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_model_multiplied_as_int8_writes_almost_what_it_writes_in_float32(saved, dtype, monkeypatch):
    monkeypatch.setattr(checkpoint, "MIN_EMBEDDING", 1)
    exact, quick = load(saved), load(saved, dtype=dtype, int8=True)
    assert quick.is_int8 and not exact.is_int8
    assert quick.n_parameters == exact.n_parameters
    assert quick.memory_bytes < exact.memory_bytes
    before, after = written(exact.model), written(quick.model)
    assert not torch.equal(after, before)
    assert torch.allclose(after, before, atol=0.1 * float(before.abs().max()))
    mel, n_frames = torch.randn(1, 80, 60), torch.tensor([60])
    heard, wanted = quick.model.hear(mel, n_frames).last, exact.model.hear(mel, n_frames).last
    assert heard.dtype == torch.float32
    assert torch.allclose(heard, wanted, atol=0.1 * float(wanted.abs().max()))


# --- folders that are wrong --------------------------------------------------------------------------------------


Spoil: TypeAlias = Callable[[Path], object]


def reconfigure(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    settings = json.loads((folder / CONFIG_FILE).read_text())
    change(settings)
    (folder / CONFIG_FILE).write_text(json.dumps(settings))


def reweigh(folder: Path, change: Callable[[dict[str, Tensor]], object]) -> None:
    """Change the weights and their digest with them, as a program that writes other models would."""
    state = load_file(folder / WEIGHTS_FILE)
    change(state)
    save_file(state, folder / WEIGHTS_FILE)
    redigest(folder)


def redigest(folder: Path) -> None:
    digest = hashlib.sha256((folder / WEIGHTS_FILE).read_bytes()).hexdigest()
    reconfigure(folder, lambda settings: settings.update(weights_sha256=digest))


def holding(file: str, change: Callable[[bytes], bytes], *, fits: bool = False) -> Spoil:
    """Change the bytes of a file. fits: and the digest of the weights with them."""

    def spoil(folder: Path) -> None:
        (folder / file).write_bytes(change((folder / file).read_bytes()))
        if fits:
            redigest(folder)

    return spoil


def without(file: str) -> Spoil:
    return lambda folder: (folder / file).unlink()


def configured(change: Callable[[dict[str, Any]], object]) -> Spoil:
    return lambda folder: reconfigure(folder, change)


def sized(**sizes: object) -> Spoil:
    return configured(lambda settings: settings["model"].update(sizes))


def weighing(change: Callable[[dict[str, Tensor]], object]) -> Spoil:
    return lambda folder: reweigh(folder, change)


def halve(raw: bytes) -> bytes:
    return raw[: len(raw) // 2]


def flip_one_bit(raw: bytes) -> bytes:
    return raw[:-100] + bytes([raw[-100] ^ 1]) + raw[-99:]


DAMAGED = "{} is damaged or was changed (its digest is another); fetch the model again."
SENSELESS = "The model's config makes no sense: {}."
EMBEDDING = "decoder.embedding.weight"


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (without(CONFIG_FILE), "The folder mine has no config.json; it is not a model of Fusion Studio."),
        *(
            (holding(CONFIG_FILE, lambda _, text=text: text), DAMAGED.format("The file config.json"))
            for text in (b"", b"{", b"\xff\xfe")
        ),
        *(
            (holding(CONFIG_FILE, lambda _, text=text: text), "The folder mine holds a model of another program.")
            for text in (b'{"model_type": "whisper"}', b"[1, 2]", b"null")
        ),
        (
            configured(lambda settings: settings.update(version=2)),
            "The model is of version 2, this program reads version 1; update the older one.",
        ),
        (
            configured(lambda settings: (settings.pop("licence"), settings.pop("model"))),
            "config.json lacks licence, model; fetch the model again.",
        ),
        (
            configured(lambda settings: (settings["model"].pop("fusion"), settings["model"].update(n_experts=4))),
            "The model's config and this program disagree about fusion, n_experts; update the older one.",
        ),
        (configured(lambda settings: settings.update(model=[])), DAMAGED.format("The file config.json")),
        (sized(width=31), SENSELESS.format("width 31 is not a multiple of n_heads 2")),
        (
            sized(picture="vgg"),
            SENSELESS.format("picture is 'vgg'; it must be one of efficientnet_lite2, cnn, transformer"),
        ),
        (sized(n_sound_blocks="2"), SENSELESS.format("n_sound_blocks is '2'; it must be a whole number of 1 or more")),
        (sized(events=None), SENSELESS.format("'NoneType' object is not iterable")),
        # an empty field of a kind that readers of the tokenizer skip
        (holding(TOKENIZER_FILE, lambda raw: raw + b"\xa2\x01\x00"), DAMAGED.format("The tokenizer")),
        (without(TOKENIZER_FILE), "The tokenizer file tokenizer.model cannot be read; fetch the model again."),
        (
            sized(vocab_size=1000),
            f"The tokenizer has {checkpoint.tiny().tokenizer.vocab_size:,} tokens, the model 1,000; they do not belong "
            "together.",
        ),
        (without(WEIGHTS_FILE), "The model folder has no readable model.safetensors; fetch the model again."),
        *(
            (holding(WEIGHTS_FILE, change), DAMAGED.format("The weights file"))
            for change in (halve, flip_one_bit, lambda _: b"")
        ),
        *(
            (holding(WEIGHTS_FILE, change, fits=True), DAMAGED.format("The weights file"))
            for change in (halve, lambda _: b"\x80\x04K\x01.")  # a pickle
        ),
        *(
            (weighing(change), DAMAGED.format("The weights file"))
            for change in (
                lambda state: state.pop(EMBEDDING + SCALE),
                lambda state: state.update({EMBEDDING + SCALE: torch.ones(3)}),
            )
        ),
        (
            weighing(lambda state: (state.pop("ctc_head.bias"), state.update(extra=torch.zeros(3)))),
            "The weights do not fit the model: 1 missing, 1 unknown (first ctc_head.bias).",
        ),
        (
            weighing(lambda state: state.update({"ctc_head.bias": torch.zeros(256)})),
            "The weight ctc_head.bias has shape (256,), the model needs (257,).",
        ),
    ],
)
def test_a_wrong_folder_is_one_sentence(folder, spoil, said):
    spoil(folder)
    with pytest.raises(CheckpointError) as refused:
        load(folder)
    assert refused.value.en == said and refused.value.zh != said
    assert str(folder.parent) not in refused.value.en + refused.value.zh


def test_calibration_is_read_with_the_model_and_may_be_absent(folder):
    reconfigure(folder, lambda settings: settings["model"].update(calibration={"search": {"other": [0.5, 9]}}))
    assert load(folder).model.config.calibration == {"search": {"other": (0.5, 9)}}
    reconfigure(folder, lambda settings: settings["model"].pop("calibration"))
    assert load(folder).model.config.calibration == {}
