"""Where the decoder looked: the weights are those of the layers, shares of one, laid out on the photo and the names."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from engines.encoder import MediaEncoder
from engines.errors import AbilityError, RequestError
from engines.lab import attention
from engines.lab.attention import AttentionRequest, AttentionResult, by_word, cross_attention, looked_at, stream
from engines.lab.network import traced
from engines.model import checkpoint
from engines.model.concepts import Name
from engines.model.config import Concept
from engines.model.features import square_parts, square_regions
from engines.model.fusion import FusionModel
from engines.protocol import Cancel, Clip, Photo
from engines.tasks import caption
from tests.fake_host import FakeHost

NAMES = (
    Concept(en="red panda", de="Kleiner Panda", fr="panda roux", zh="小熊猫"),
    Concept("dog", "Hund", "chien", "狗"),
)


@pytest.fixture(scope="module")
def encoder() -> MediaEncoder:
    """A model that can read the names of what a photo shows."""
    tiny = checkpoint.tiny(seed=3)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model = FusionModel(replace(tiny.model.config, concepts=NAMES)).eval().requires_grad_(False)
    return MediaEncoder(replace(tiny, model=model), cache_bytes=2**20)


def finished(host, **asked) -> AttentionResult:
    *_, last = stream(host, AttentionRequest(**asked))
    assert isinstance(last, AttentionResult) and last.end == "finished"
    return last


@torch.inference_mode()
def test_the_weights_give_what_the_layers_gave(encoder, photo):
    model, encoded = encoder.model, encoder.encode(photo)
    memory = model.fuse(encoder.streams(encoded, "en", whole=True))
    ids = torch.tensor([[*encoder.tokenizer.prefix("caption", "en"), *encoder.tokenizer.encode("a dog on a beach")]])
    layers = [block.memory for block in model.decoder.blocks]
    with traced(layers) as calls:
        model.hidden(ids, memory)
    weights = cross_attention(model, ids, memory)
    assert weights.shape[-2:] == (ids.shape[1], memory.tokens.shape[1])
    for layer, given in zip(layers, weights, strict=True):
        (_, (_, values), _), output = calls[layer]
        assert layer.out((given[None] @ values).transpose(1, 2).flatten(2)).allclose(output, atol=1e-5)


def test_a_token_has_the_weights_it_was_written_with(encoder, photo):
    """The pass over the whole caption gives for each token what a pass that ends just before it gives."""
    encoded, ids = encoder.encode(photo), encoder.tokenizer.encode("a dog on a beach")
    with torch.inference_mode():
        whole = looked_at(encoder, encoded, "en", ids)
        assert whole.sum(-1) == pytest.approx(np.ones(whole.shape[:2]), abs=1e-5)
        for n in (1, len(ids)):
            assert looked_at(encoder, encoded, "en", ids[:n]) == pytest.approx(whole[:n], abs=1e-5)


def test_every_word_of_a_caption_shares_out_its_attention(tiny_host, photo):
    found = finished(tiny_host, photo=photo)
    assert found.text and "".join(found.words).split() and found.host == tiny_host.info.name
    assert found.places is not None and found.to_names is not None and (found.places >= 0).all()
    n_words, _, n_parts, rows, columns = found.places.shape
    assert n_words == len(found.words) and n_parts == len(found.regions) == 1 and rows == columns
    total = found.places.sum((2, 3, 4)) + found.to_names.sum(-1)
    assert total == pytest.approx(np.ones_like(total), abs=1e-4)
    (whole,) = found.regions
    assert (whole.left, whole.top, whole.width, whole.height) == (0.0, 0.0, 1.0, 1.0)


def test_the_names_that_were_read_have_their_shares(encoder, photo, monkeypatch):
    names = tuple(Name(each, 0.9) for each in NAMES)
    ids = tuple(encoder.tokenizer.encode("a dog"))
    written = caption.Written("a dog", ids=ids, names=names)
    monkeypatch.setattr(caption, "written", lambda *_: iter([written]))
    with torch.inference_mode():
        *_, found = attention.write(encoder, AttentionRequest(photo=photo))
    assert found.names == ("red panda", "dog") and found.to_names is not None and found.places is not None
    assert found.to_names.shape[-1] == 2 and (found.to_names > 0).all()
    total = found.places.sum((2, 3, 4)) + found.to_names.sum(-1)
    assert total == pytest.approx(np.ones_like(total), abs=1e-4)


def test_a_panorama_is_laid_out_in_its_parts(tiny_host):
    wide = Photo(np.zeros((20, 100, 3), np.uint8))
    found = finished(tiny_host, photo=wide)
    assert found.places is not None and found.places.shape[2] == len(found.regions) == len(square_parts(wide.pixels))
    assert [round(region.left, 2) for region in found.regions] == sorted(round(r.left, 2) for r in found.regions)
    assert found.regions[-1].left + found.regions[-1].width == pytest.approx(1.0)
    assert [p.shape for p in square_parts(np.zeros((100, 20, 3), np.uint8))] == [
        (rows.stop - rows.start, columns.stop - columns.start, 3) for rows, columns in square_regions(100, 20)
    ]


def test_a_word_of_several_tokens_has_their_mean():
    weights = np.arange(6, dtype=np.float32).reshape(3, 1, 2)
    assert by_word(weights, [[0, 1], [2]]).tolist() == [[[1.0, 2.0]], [[4.0, 5.0]]]


def test_a_clip_another_language_and_another_model_are_one_sentence_each(tiny_host, photo):
    with pytest.raises(RequestError, match="Only a photo helps here"):
        list(stream(tiny_host, AttentionRequest(photo=Clip((photo.pixels,), (0.0,), 1.0))))
    with pytest.raises(RequestError, match="fr captions are translated from English; choose one of en, de, zh"):
        AttentionRequest(photo=photo, language="fr")
    with pytest.raises(AbilityError, match="fake does not show its attention"):
        stream(FakeHost(), AttentionRequest(photo=photo))


def test_it_stops(tiny_host, photo):
    cancel = Cancel()
    cancel.set()
    (stopped,) = stream(tiny_host, AttentionRequest(photo=photo), cancel)
    assert stopped.end == "cancelled" and stopped.places is None and stopped.words == ()
