"""The sound tower: three extractors behind one interface, silence after every sound, and no row minds its padding."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.model.config import KINDS
from engines.model.features import MEL_HZ, log_mel
from engines.model.fusion import pool_tokens
from engines.model.sound import NO_SOUND, TAIL_FRAMES, with_silence
from engines.protocol import RATE_HZ
from tests.conftest import tone
from tests.engines.model.makers import built, drawn

MODELS = {kind: built(sound=kind) for kind in KINDS["sound"]}
every_extractor = pytest.mark.parametrize("model", MODELS.values(), ids=MODELS.keys())


def padded(mel: torch.Tensor, n: int) -> torch.Tensor:
    """(1, 80, S) in a batch of n frames; what pads it is anything but silence."""
    return torch.cat([mel, drawn(1, 80, n - mel.shape[2], seed=1)], dim=2)


@every_extractor
def test_every_extractor_gives_a_layer_more_than_it_has_blocks(model):
    layers, mask = model.sound(drawn(2, 80, 31), torch.tensor([31, 20]))
    assert [tuple(layer.shape) for layer in layers] == [(2, 166, 32)] * 3
    assert mask.sum(1).tolist() == [166, 160]
    assert torch.allclose(layers[-1].mean(-1), torch.zeros(2, 166), atol=1e-5)  # normed


@every_extractor
def test_what_is_heard_has_speech_at_50_hz_and_the_mix_at_5_hz(model):
    heard = model.hear(drawn(2, 80, 100), torch.tensor([100, 41]))
    assert heard.last.shape == (2, 200, 32)
    assert heard.mix.shape == (2, 5, 32)
    assert heard.mask.sum(1).tolist() == [200, 171]
    assert heard.mix_mask.sum(1).tolist() == [5, 3]


@every_extractor
@settings(max_examples=8)
@given(n=st.integers(1, 60), more=st.integers(1, 60))
def test_a_rows_tokens_do_not_depend_on_the_padding_of_its_batch(model, n, more):
    mel = drawn(1, 80, n)
    alone = model.hear(mel, torch.tensor([n]))
    batch = torch.cat([padded(mel, n + more), drawn(1, 80, n + more, seed=2)])
    together = model.hear(batch, torch.tensor([n, n + more]))
    n_last, n_mix = alone.last.shape[1], alone.mix.shape[1]
    assert torch.allclose(together.last[:1, :n_last], alone.last, atol=1e-5)
    assert torch.allclose(together.mix[:1, :n_mix], alone.mix, atol=1e-5)
    assert torch.equal(together.mask[0], torch.arange(together.mask.shape[1]) < n_last)
    assert torch.equal(together.mix_mask[0], torch.arange(together.mix_mask.shape[1]) < n_mix)


# --- the silence after a sound -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("samples", "loud"),
    [(tone(0.9), True), (tone(1.03, hz=3000.0, level=1e-4), False), (tone(0.5, level=0.0), False)],
    ids=["a tone", "a tone too soft for the floor", "nothing at all"],
)
def test_a_sound_goes_on_as_if_zeros_followed_it(samples, loud):
    sound = torch.from_numpy(samples)[None]
    mel, zeros_after = log_mel(sound), log_mel(F.pad(sound, (0, 3 * RATE_HZ)))
    n = mel.shape[2]
    heard, n_frames = with_silence(mel, torch.tensor([n]), 3000)
    assert TAIL_FRAMES == 3 * MEL_HZ
    assert heard.shape == zeros_after.shape and n_frames.tolist() == [n + TAIL_FRAMES]
    assert torch.equal(heard[..., :n], mel)
    assert torch.allclose(heard[..., n + 2 :], zeros_after[..., n + 2 :], atol=1e-6)  # two windows reach across the end
    assert bool((heard[..., n:] > NO_SOUND).all()) == loud


@settings(max_examples=20)
@given(n_real=st.lists(st.integers(0, 50), min_size=1, max_size=3))
def test_each_row_falls_silent_where_it_ends_and_a_row_of_nothing_stays_so(n_real):
    real = torch.arange(50) < torch.tensor(n_real)[:, None]
    mel = torch.where(real[:, None], drawn(len(n_real), 80, 50), 99.0)  # loud padding, which has no say
    heard, n_frames = with_silence(mel, torch.tensor(n_real), 3000)
    assert n_frames.tolist() == [n + TAIL_FRAMES if n else 0 for n in n_real]
    for row, n in zip(heard, n_real, strict=True):
        assert len(row[:, n:].unique()) == 1
        alone, _ = with_silence(row[None, :, :n], torch.tensor([n]), 3000)
        assert n == 0 or torch.equal(row[:, : n + TAIL_FRAMES], alone[0])


@settings(max_examples=20)
@given(n=st.integers(2600, 3000))
def test_the_silence_gives_way_where_thirty_seconds_end(n):
    mel = drawn(1, 80, n)
    heard, n_frames = with_silence(mel, torch.tensor([n]), 3000)
    assert n_frames.tolist() == [heard.shape[2]] == [min(n + TAIL_FRAMES, 3000)]
    assert torch.equal(heard[..., :n], mel)


@every_extractor
def test_what_is_heard_of_the_silence_stays_out_of_the_mix(model):
    mel, n_frames = drawn(2, 80, 100), torch.tensor([100, 41])
    heard = model.hear(mel, n_frames)
    layers, _ = model.sound(mel, n_frames)
    sounds = torch.arange(50) < torch.tensor([50, 21])[:, None]
    pooled, mask = pool_tokens(torch.stack([layer[:, :50] for layer in layers], dim=2), sounds)
    assert torch.equal(heard.mix_mask, mask)
    assert torch.allclose(heard.mix, model.mix(pooled), atol=1e-6)
    last, _, stored, _ = model.layers(mel, n_frames)
    assert torch.equal(last, heard.last) and torch.allclose(stored, pooled, atol=1e-6)


@every_extractor
def test_thirty_seconds_are_heard_and_no_more(model):
    assert model.hear(torch.zeros(1, 80, 3000), torch.tensor([3000])).last.shape == (1, 1500, 32)
    with pytest.raises(ValueError, match=r"3001 mel frames; at most 3000 \(30 s\) are heard at a time"):
        model.hear(torch.zeros(1, 80, 3001), torch.tensor([3001]))


@every_extractor
def test_a_row_of_nothing_harms_no_other(model):
    mel = drawn(2, 80, 30)
    heard = model.hear(mel, torch.tensor([30, 0]))
    assert torch.allclose(heard.last[:1], model.hear(mel[:1], torch.tensor([30])).last, atol=1e-5)
    assert not heard.mask[1].any() and not heard.mix_mask[1].any()
    assert heard.last.isfinite().all() and heard.mix.isfinite().all()
