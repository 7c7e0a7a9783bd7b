"""The teacher: sentences to unit vectors, the mean of their tokens, whatever stands beside them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from engines.training.start import MAX_TEACHER_TOKENS, Teacher
from tests.engines.model.makers import drawn

WORDS = ("a", "dog", "runs", "in", "the", "snow", "man", "sits")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A random BERT of width 32 that knows eight words, saved as its makers would."""
    from transformers import BertConfig, BertModel, BertTokenizer

    folder = tmp_path_factory.mktemp("teacher")
    pieces = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS)
    (folder / "vocab.txt").write_text("\n".join(pieces))
    BertTokenizer({piece: i for i, piece in enumerate(pieces)}).save_pretrained(folder)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    model = BertModel(BertConfig(vocab_size=len(pieces), max_position_embeddings=80, **sizes)).eval()
    with torch.no_grad():
        for i, p in enumerate(model.parameters()):
            if p.dim() > 1:
                p.copy_(0.3 * drawn(*p.shape, seed=i))
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def teacher(folder) -> Teacher:
    return Teacher(str(folder))


def test_different_sentences_have_different_unit_vectors(teacher):
    vectors = teacher(["a dog runs", "the man sits in the snow", "a dog runs", "snow"])
    assert vectors.shape == (4, 32)
    assert vectors.dtype == torch.float32
    assert torch.allclose(vectors.norm(dim=1), torch.ones(4), atol=1e-5)
    likeness = vectors @ vectors.T
    assert float(likeness[0, 2]) == pytest.approx(1.0, abs=1e-5)
    assert max(float(likeness[0, 1]), float(likeness[0, 3]), float(likeness[1, 3])) < 0.99


def test_a_vector_is_the_mean_of_a_sentences_tokens(teacher, folder):
    from transformers import BertModel

    model: Any = BertModel.from_pretrained(folder).eval()
    ids = torch.tensor([[2, *(5 + WORDS.index(word) for word in ("the", "man", "sits")), 3]])
    with torch.inference_mode():
        wanted = F.normalize(model(input_ids=ids).last_hidden_state.mean(1), dim=-1)
    assert torch.allclose(teacher(["the man sits"]), wanted, atol=0.02)  # half precision


def test_a_long_text_is_cut(teacher):
    most = MAX_TEACHER_TOKENS - 2  # beside the two that mark where a text begins and ends
    long = ["a", "dog"] * (most // 2)
    assert torch.equal(teacher([" ".join([*long, *["snow"] * 40])]), teacher([" ".join(long)]))
    assert not torch.equal(teacher([" ".join(long)]), teacher([" ".join([*long[:-1], "snow"])]))
