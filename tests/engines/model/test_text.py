"""Text in and out: both text towers behind one interface, and a decoder that writes from its memory."""

from __future__ import annotations

import pytest
import torch

from engines.model.config import KINDS
from engines.model.fusion import Memory
from tests.engines.model.makers import built, drawn, lengths

MODELS = {kind: built(text=kind) for kind in KINDS["text"]}
every_tower = pytest.mark.parametrize("model", MODELS.values(), ids=MODELS.keys())
IDS = torch.tensor([[5, 6, 7, 8], [9, 4, 0, 0]])


@every_tower
def test_a_sentence_does_not_depend_on_the_padding_of_its_batch(model):
    other = IDS.clone()
    other[1, 2:] = 33
    assert torch.allclose(model.read(IDS, lengths(4, 2))[1, :2], model.read(other, lengths(4, 2))[1, :2], atol=1e-5)
    alone = model.read(IDS[1:, :2], lengths(2))
    assert torch.allclose(model.read(IDS, lengths(4, 2))[1:, :2], alone, atol=1e-5)


@every_tower
def test_words_are_read_in_their_order_and_context(model):
    mask = lengths(4)
    forward, backward = model.read(IDS[:1], mask), model.read(IDS[:1].flip(1), mask)
    assert not torch.allclose(forward, backward.flip(1), atol=1e-3)


def test_what_is_written_depends_on_the_real_part_of_the_memory():
    model, tokens, mask = MODELS["transformer"], drawn(1, 4, 32), lengths(2, longest=4)
    changed = tokens.clone()
    changed[:, 2:] += 9.0
    assert torch.allclose(model.decode(IDS[:1], Memory(tokens, mask)), model.decode(IDS[:1], Memory(changed, mask)))
    changed[:, 0] += 9.0
    assert not torch.allclose(model.decode(IDS[:1], Memory(tokens, mask)), model.decode(IDS[:1], Memory(changed, mask)))
