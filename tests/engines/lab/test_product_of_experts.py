"""Product-of-experts decoding: how both distributions are combined, and how much is due to the photo."""

from __future__ import annotations

import pytest
import torch

from engines.errors import RequestError
from engines.lab.masked_translation import MaskedRequest, parts, write
from engines.lab.product_of_experts import Caches, ProductOfExperts, mix
from engines.model.fusion import Stream
from engines.protocol import TranslateRequest
from engines.tasks import translate

TEXT = "A dog runs on the beach."


def logits(*probabilities: float) -> torch.Tensor:
    return torch.tensor([probabilities]).log()


def test_a_sure_translator_decides_and_an_unsure_one_follows_the_photo():
    photo = logits(0.01, 0.01, 0.98)
    assert mix(logits(0.98, 0.01, 0.01), photo, 1.0).argmax() == 0
    assert mix(logits(0.36, 0.33, 0.31), photo, 1.0).argmax() == 2


def test_the_result_is_the_weighted_product_of_both_distributions():
    text, photo = logits(0.5, 0.3, 0.2), logits(0.1, 0.2, 0.7)
    g = 0.8 * (1 - 0.5)
    wanted = text.exp() ** (1 - g) * photo.exp() ** g
    assert torch.allclose(mix(text, photo, 0.8).softmax(-1), wanted / wanted.sum(), atol=1e-6)


def test_without_a_photo_it_writes_what_the_translation_task_writes(encoder):
    *_, alone = write(encoder, MaskedRequest(text=TEXT))
    *_, plain = translate.stream(encoder, TranslateRequest(text=TEXT, source="en", target="de"))
    assert alone.text == plain.text and alone.end == "finished"
    assert all(part.share == 0.0 for part in alone.parts)


def test_a_photo_with_a_weight_of_zero_changes_nothing(encoder, photo):
    *_, alone = write(encoder, MaskedRequest(text=TEXT))
    *_, together = write(encoder, MaskedRequest(text=TEXT, photo=photo, weight=0.0))
    assert together.text == alone.text and all(part.share < 1e-4 for part in together.parts)


@torch.inference_mode()
def test_decoding_step_by_step_and_at_once_give_the_same(encoder, photo):
    """Beams decode with caches; the photo's shares are computed in one pass."""
    model, tokenizer = encoder.model, encoder.tokenizer
    experts = ProductOfExperts(model, tokenizer, model.fuse(encoder.streams(encoder.encode(photo), whole=True)), 0.8)
    memory = model.fuse([Stream("text", *encoder.read(tokenizer.encode(TEXT)))])
    prefix = torch.tensor([tokenizer.prefix("translate", "de")])
    ids = tokenizer.encode("Ein Hund rennt.")
    cache = experts.new_cache()
    assert isinstance(cache, Caches)
    steps = [experts.decode(prefix, memory, cache)[0, -1]]
    for token in ids[:-1]:
        cache.select(torch.tensor([0]))
        steps.append(experts.decode(torch.tensor([[token]]), memory, cache)[0, -1])
    whole = experts.decode(torch.tensor([[*prefix[0].tolist(), *ids[:-1]]]), memory, experts.new_cache())[
        0, -len(ids) :
    ]
    assert torch.allclose(torch.stack(steps).log_softmax(-1), whole.log_softmax(-1), atol=1e-3)
    gains = experts.gains(memory, prefix, ids)
    alone = model.decode(torch.tensor([[*prefix[0].tolist(), *ids]]), memory)[0].log_softmax(-1)
    at = len(prefix[0]) - 1
    wanted = [float(whole[n].log_softmax(-1)[token] - alone[at + n, token]) for n, token in enumerate(ids)]
    assert gains == pytest.approx(wanted, abs=1e-3)


def test_tokens_become_words_and_a_words_share_is_that_of_all_its_tokens(encoder):
    ids = encoder.tokenizer.encode("Der Schäferhund rennt.")
    gains = [0.0] * len(ids)
    inside = len(encoder.tokenizer.encode("Der"))  # the first token of the second word
    gains[inside] = gains[inside + 1] = float(torch.tensor(2.0).log())
    found = parts(encoder.tokenizer, ids, gains)
    assert [part.text for part in found] == ["Der", " Schäferhund", " rennt."]
    assert [part.share for part in found] == pytest.approx([0.0, 0.75, 0.0])


def test_chinese_characters_stand_alone_also_where_one_is_several_tokens(encoder):
    ids = encoder.tokenizer.encode("一只蹼跑。")
    found = parts(encoder.tokenizer, ids, [-1.0] * len(ids))
    assert "".join(part.text for part in found) == "一只蹼跑。"
    assert any(part.text == "蹼" for part in found) and all(part.share == 0.0 for part in found)


def test_only_a_photo_helps_and_a_sentence_has_an_end(encoder, sound, tmp_path):
    with pytest.raises(RequestError, match="Only a photo helps here"):
        list(write(encoder, MaskedRequest(text=TEXT, photo=sound)))
    with pytest.raises(RequestError, match="The sentence is too long"):
        list(write(encoder, MaskedRequest(text="㐂" * 60, source="zh", target="en")))
