"""From public weights to our towers: the same numbers as the models they come from.

On tiny random models always; on the real ones where FUSION_WEIGHTS names a folder with `whisper-base` and
`efficientnet-lite2.pth`.
"""

from __future__ import annotations

import math
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from engines.errors import CheckpointError
from engines.model import public
from engines.model.config import ModelConfig, tiny
from engines.model.features import log_mel, photo_tensor
from engines.model.fusion import FusionModel, Memory
from tests.conftest import SAMPLES
from tests.engines.model.makers import built, drawn


@pytest.fixture
def weights() -> Path:
    """The folder FUSION_WEIGHTS names."""
    folder = os.environ.get("FUSION_WEIGHTS")
    if not folder:
        pytest.skip("FUSION_WEIGHTS does not name a folder with whisper-base and efficientnet-lite2.pth")
    return Path(folder)


# --- Whisper -----------------------------------------------------------------------------------------------------


def tiny_whisper(*, vocab_size: int = 60) -> Any:
    """A random Whisper of two blocks a side and width 32, every weight drawn so that none can be left out unnoticed."""
    from transformers import WhisperConfig, WhisperForConditionalGeneration

    special = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1}
    heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 2}
    sizes = {"d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_ffn_dim": 128, "decoder_ffn_dim": 128}
    model = WhisperForConditionalGeneration(WhisperConfig(vocab_size=vocab_size, **sizes, **heads, **special)).eval()
    with torch.no_grad():
        for i, (name, p) in enumerate(model.named_parameters()):
            if "encoder.embed_positions" not in name:
                p.copy_(drawn(*p.shape, seed=i) * (0.2 if p.dim() > 1 else 0.5))
    return model


def parity(theirs: Any, ours: FusionModel, mel: Tensor, ids: Tensor) -> tuple[float, float]:
    """Largest differences of encoder tokens (next to the largest token) and of decoder logits."""
    with torch.inference_mode():
        encoded = theirs.model.encoder(mel).last_hidden_state
        logits = theirs(encoder_outputs=(encoded,), decoder_input_ids=ids).logits
        heard = ours.hear(mel, torch.full((len(mel),), mel.shape[2]))
        written = ours.decode(ids, Memory(heard.last, heard.mask))
    return float((heard.last - encoded).abs().max() / encoded.abs().max()), float((written - logits).abs().max())


@pytest.mark.parametrize("from_a_folder", [False, True])
def test_our_towers_compute_what_whisper_computes(from_a_folder, tmp_path):
    theirs, ours = tiny_whisper(), built(vocab_size=60)
    if from_a_folder:
        theirs.save_pretrained(tmp_path)
        state = public.read_whisper(tmp_path)
    else:
        state = theirs.state_dict()
    public.load_whisper(ours, state, None)
    tokens, logits = parity(theirs, ours, drawn(1, 80, 3000), torch.tensor([[1, 7, 3, 59, 2]]))
    assert tokens < 1e-4
    assert logits < 1e-4


def test_the_text_tower_starts_as_the_decoders_first_blocks_without_their_memory():
    ours = built(vocab_size=60)
    public.load_whisper(ours, tiny_whisper().state_dict(), None)
    state = ours.state_dict()
    for name, value in ours.text.blocks[0].state_dict().items():
        assert torch.equal(value, state[f"decoder.blocks.0.{name}"]), name
    assert torch.equal(ours.text.positions.weight, ours.decoder.positions.weight)


def test_a_new_piece_starts_as_the_mean_of_the_rows_it_was_spelt_with():
    state, ours = tiny_whisper().state_dict(), built(vocab_size=3)
    public.load_whisper(ours, state, [[5], [1, 2], [9, 9, 40]])
    old = state["model.decoder.embed_tokens.weight"]
    wanted = torch.stack([old[5], (old[1] + old[2]) / 2, (2 * old[9] + old[40]) / 3])
    assert torch.allclose(ours.decoder.embedding.weight, wanted, atol=1e-6)


def test_a_whisper_of_another_size_says_what_does_not_fit():
    with pytest.raises(CheckpointError) as caught:
        public.load_whisper(built(vocab_size=50), tiny_whisper().state_dict(), None)
    assert caught.value.en == (
        "Whisper does not fit this model: decoder.embedding.weight is (60, 32) there, (50, 32) here."
    )


def test_the_real_whisper_base_is_met(weights):
    from transformers import WhisperForConditionalGeneration

    theirs = WhisperForConditionalGeneration.from_pretrained(weights / "whisper-base", dtype=torch.float32).eval()
    ours = FusionModel(ModelConfig(vocab_size=51_865, picture="cnn")).eval()
    public.load_whisper(ours, theirs.state_dict(), None)
    mel = log_mel(0.1 * drawn(1, 480_000))
    tokens, logits = parity(theirs, ours, mel, torch.tensor([[50258, 50259, 50359, 50363, 440]]))
    # its stored positions are rounded (3e-4 from the sinusoids), and some of its activations reach 500
    assert tokens < 0.03
    assert logits < 0.03


# --- EfficientNet-Lite2 ------------------------------------------------------------------------------------------

# EfficientNet-B0's stages (Tan & Le 2019, table 1): repeats, kernel, stride, expansion, channels.
B0 = ((1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112), (4, 5, 2, 6, 192),
      (1, 3, 1, 6, 320))  # fmt: skip


def lite2_blocks() -> list[tuple[int, int, int, int, int]]:
    """Kernel, stride, inner, in and out channels of each block: B0 at width 1.1 and depth 1.2, by the Lite rule."""
    blocks, n_in = [], 32
    for stage, (repeats, kernel, stride, expand, channels) in enumerate(B0):
        n_out = max(8, int(channels * 1.1 + 4) // 8 * 8)
        n_out += 8 if n_out < 0.9 * channels * 1.1 else 0
        deeper = repeats if stage in (0, 6) else math.ceil(repeats * 1.2)
        for i in range(deeper):
            blocks.append((kernel, stride if i == 0 else 1, n_in * expand, n_in, n_out))
            n_in = n_out
    return blocks


def random_efficientnet() -> dict[str, Tensor]:
    """A state dict under the public names, its batch norms not idle; in float64, so that rounding plays no part."""
    state: dict[str, Tensor] = {}

    def add(convolution: str, norm: str, n_out: int, n_in: int, kernel: int) -> None:
        seed = len(state)
        fan = n_in * kernel**2
        state[f"{convolution}.weight"] = drawn(n_out, n_in, kernel, kernel, seed=seed) * (2 / fan) ** 0.5
        state[f"{norm}.weight"] = 1 + 0.2 * drawn(n_out, seed=seed + 1)
        state[f"{norm}.bias"] = 0.3 * drawn(n_out, seed=seed + 2)
        state[f"{norm}.running_mean"] = 0.2 * drawn(n_out, seed=seed + 3)
        state[f"{norm}.running_var"] = (1 + 0.3 * drawn(n_out, seed=seed + 4)) ** 2
        state[f"{norm}.num_batches_tracked"] = torch.tensor(1)

    add("_conv_stem", "_bn0", 32, 3, 3)
    for i, (kernel, _, inner, n_in, n_out) in enumerate(lite2_blocks()):
        if inner != n_in:
            add(f"_blocks.{i}._expand_conv", f"_blocks.{i}._bn0", inner, n_in, 1)
        add(f"_blocks.{i}._depthwise_conv", f"_blocks.{i}._bn1", inner, 1, kernel)
        add(f"_blocks.{i}._project_conv", f"_blocks.{i}._bn2", n_out, inner, 1)
    add("_conv_head", "_bn1", 1280, 352, 1)
    return {name: value.double() for name, value in state.items()}


def reference(state: dict[str, Tensor], x: Tensor) -> Tensor:
    """EfficientNet-Lite2 as published: convolution (padded as in TensorFlow), batch norm, ReLU6."""

    def step(x: Tensor, convolution: str, norm: str, stride: int = 1, groups: int = 1) -> Tensor:
        weight = state[f"{convolution}.weight"]
        pads = [max((math.ceil(n / stride) - 1) * stride + weight.shape[2] - n, 0) for n in (x.shape[3], x.shape[2])]
        x = F.pad(x, [pads[0] // 2, pads[0] - pads[0] // 2, pads[1] // 2, pads[1] - pads[1] // 2])
        x = F.conv2d(x, weight, stride=stride, groups=groups)
        mean, var, scale, bias = (state[f"{norm}.{k}"] for k in ("running_mean", "running_var", "weight", "bias"))
        return F.batch_norm(x, mean, var, scale, bias, eps=1e-3)

    x = F.relu6(step(x, "_conv_stem", "_bn0", 2))
    for i, (_, stride, inner, n_in, n_out) in enumerate(lite2_blocks()):
        name, y = f"_blocks.{i}", x
        if inner != n_in:
            y = F.relu6(step(y, f"{name}._expand_conv", f"{name}._bn0"))
        y = F.relu6(step(y, f"{name}._depthwise_conv", f"{name}._bn1", stride, inner))
        y = step(y, f"{name}._project_conv", f"{name}._bn2")
        x = x + y if stride == 1 and n_in == n_out else y
    return F.relu6(step(x, "_conv_head", "_bn1"))


@pytest.fixture(scope="module")
def folded() -> FusionModel:
    model = built(picture="efficientnet_lite2").double()
    public.load_efficientnet(model, random_efficientnet())
    return model


@pytest.mark.parametrize("size", [(64, 64), (96, 65)])
def test_the_trunk_with_its_norms_folded_in_computes_what_the_network_computes(folded, size):
    photos = drawn(2, 3, *size).double()
    wanted = reference(random_efficientnet(), photos)
    assert 0.5 < float(wanted.mean()) < 4.0  # neither dead nor saturated, so the comparison says something
    assert torch.allclose(folded.picture.trunk(photos), wanted, atol=1e-4)


def test_another_network_is_refused():
    with pytest.raises(CheckpointError) as caught:
        public.load_efficientnet(built(picture="efficientnet_lite2"), {"conv1.weight": torch.zeros(1)})
    assert caught.value.en == "This is no EfficientNet-Lite2: it lacks _bn0.weight."
    with pytest.raises(CheckpointError, match=r"EfficientNet-Lite2 does not fit this model: picture\.trunk\.stem\."):
        public.load_efficientnet(built(), random_efficientnet())


def test_the_real_network_sees_a_cat(weights):
    state = public.read_efficientnet(weights / "efficientnet-lite2.pth")
    model = FusionModel(replace(tiny(10), picture="efficientnet_lite2")).eval()
    public.load_efficientnet(model, state)
    pixels = np.asarray(Image.open(SAMPLES / "cat.jpg").convert("RGB"))
    with torch.inference_mode():
        feature_map = model.picture.trunk(photo_tensor(pixels, 256)[None])
        best = (state["_fc.weight"] @ feature_map.mean((2, 3))[0] + state["_fc.bias"]).argmax()
    assert 281 <= int(best) <= 285  # ImageNet's five cats
