"""The adapters that only translation passes through: what they change, what they leave alone, and their file."""

from __future__ import annotations

import pytest
import torch

from engines.errors import CheckpointError
from engines.model import checkpoint
from engines.model.checkpoint import ADAPTER_FILE
from engines.model.fusion import FusionModel, Memory, Translator
from engines.model.translation_adapter import TranslationAdapter

IDS = torch.tensor([[5, 6, 7, 8]])
MASK = torch.ones_like(IDS, dtype=torch.bool)


@pytest.fixture
def model() -> FusionModel:
    return checkpoint.tiny().model


def trained(model: FusionModel) -> TranslationAdapter:
    """Adapters that have learnt something."""
    torch.manual_seed(1)
    adapter = TranslationAdapter(model.config, 128).eval().requires_grad_(False)
    for parameter in adapter.parameters():
        parameter.normal_(std=0.3)
    return adapter


def memory() -> Memory:
    return Memory(torch.linspace(-1.0, 1.0, 96).reshape(1, 3, 32), torch.ones(1, 3, dtype=torch.bool))


def test_new_adapters_change_nothing(model):
    before = model.read(IDS, MASK), model.decode(IDS, memory())
    model.translation = TranslationAdapter(model.config).eval()
    torch.testing.assert_close(model.read(IDS, MASK, translating=True), before[0])
    torch.testing.assert_close(Translator(model).decode(IDS, memory()), before[1])


def test_what_they_learnt_is_seen_in_translation_alone(model):
    before = model.read(IDS, MASK), model.decode(IDS, memory())
    model.translation = trained(model)
    assert not torch.allclose(model.read(IDS, MASK, translating=True), before[0])
    assert not torch.allclose(Translator(model).decode(IDS, memory()), before[1])
    torch.testing.assert_close(model.read(IDS, MASK), before[0])
    torch.testing.assert_close(model.decode(IDS, memory()), before[1])


def test_translating_token_by_token_is_translating_at_once(model):
    model.translation = trained(model)
    translator = Translator(model)
    whole = translator.decode(IDS, memory())
    cache = translator.new_cache()
    parts = [translator.decode(IDS[:, i : i + 1], memory(), cache) for i in range(IDS.shape[1])]
    torch.testing.assert_close(torch.cat(parts, dim=1), whole, atol=1e-4, rtol=1e-4)


def folder_with(tmp_path, model: FusionModel) -> TranslationAdapter:
    digest = checkpoint.save(tmp_path, model, checkpoint.BUILTIN / checkpoint.TOKENIZER_FILE)
    assert checkpoint.load(tmp_path).model.translation is None
    adapter = trained(model)
    checkpoint.save_part(tmp_path, adapter, digest)
    return adapter


@pytest.mark.parametrize("int8", [False, True], ids=["float32", "int8"])
def test_saved_adapters_translate_as_before(tmp_path, model, int8):
    adapter = folder_with(tmp_path, model)
    loaded = checkpoint.load(tmp_path, int8=int8).model.translation
    x = torch.randn(1, 4, 32)
    for before, after in zip([*adapter.text, *adapter.decoder], [*loaded.text, *loaded.decoder], strict=True):
        torch.testing.assert_close(after(x), before(x), atol=0.1, rtol=0.1)


def test_a_model_with_adapters_is_saved_without_them(tmp_path, model):
    plain = checkpoint.save(tmp_path / "plain", model, checkpoint.BUILTIN / checkpoint.TOKENIZER_FILE)
    model.translation = trained(model)
    assert checkpoint.save(tmp_path / "adapted", model, checkpoint.BUILTIN / checkpoint.TOKENIZER_FILE) == plain


def test_adapters_of_other_weights_are_not_used(tmp_path, model):
    adapter = folder_with(tmp_path, model)
    checkpoint.save_part(tmp_path, adapter, "another digest")
    with pytest.raises(CheckpointError, match=r"translation\.safetensors was trained on other weights; train it again"):
        checkpoint.load(tmp_path)
    assert checkpoint.load(tmp_path, with_parts=False).model.translation is None


@pytest.mark.parametrize("content", [b"", b"no weights at all", b"\x08\0\0\0\0\0\0\0{}      "])
def test_damaged_adapters_are_said_to_be_so(tmp_path, model, content):
    folder_with(tmp_path, model)
    (tmp_path / ADAPTER_FILE).write_bytes(content)
    with pytest.raises(CheckpointError, match=r"translation\.safetensors is damaged"):
        checkpoint.load(tmp_path)
