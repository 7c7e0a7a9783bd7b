"""The classifier of short answers: what it says, and its file."""

from __future__ import annotations

import pytest
import torch

from engines import tensor_files
from engines.errors import CheckpointError
from engines.model import checkpoint
from engines.model.answer_head import OTHER, AnswerHead
from engines.model.checkpoint import ANSWERS_FILE

ANSWERS = (OTHER, "chair", "table", "2")


def states(n: int) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(1, n, 32), torch.ones(1, n, dtype=torch.bool)


@pytest.fixture
def head() -> AnswerHead:
    torch.manual_seed(0)
    return AnswerHead(32, ANSWERS).eval()


def test_the_likeliest_answers_come_first_and_their_probabilities_sum_to_one(head):
    found = head.likeliest(*states(5), torch.randn(1, 64, 32), 10)
    assert {answer for answer, _ in found} == set(ANSWERS)
    assert [p for _, p in found] == sorted((p for _, p in found), reverse=True)
    assert sum(p for _, p in found) == pytest.approx(1.0)
    assert head.likeliest(*states(5), torch.randn(1, 64, 32), 1)[0][0] in ANSWERS


def test_what_is_masked_in_a_question_changes_nothing(head):
    words, mask = states(6)
    picture = torch.randn(1, 64, 32)
    other = words.clone()
    other[:, 4:] = 7.0
    mask[:, 4:] = False
    torch.testing.assert_close(head(words, mask, picture), head(other, mask, picture))


@pytest.fixture
def digest(tmp_path) -> str:
    """A model saved in the folder."""
    return checkpoint.save(tmp_path, checkpoint.tiny().model, checkpoint.BUILTIN / checkpoint.TOKENIZER_FILE)


def test_a_saved_head_says_the_same_with_its_model(head, digest, tmp_path):
    assert checkpoint.load(tmp_path).answers is None
    checkpoint.save_part(tmp_path, head, digest)
    loaded = checkpoint.load(tmp_path).answers
    assert loaded is not None and loaded.answers == ANSWERS
    given = (*states(5), torch.randn(1, 64, 32))
    torch.testing.assert_close(loaded(*given), head(*given), atol=2e-3, rtol=2e-2)


@pytest.mark.usefixtures("digest")
def test_a_head_of_other_weights_is_not_used(head, tmp_path):
    checkpoint.save_part(tmp_path, head, "another digest")
    with pytest.raises(CheckpointError, match=r"answers\.safetensors was trained on other weights; train it again"):
        checkpoint.load(tmp_path)


@pytest.mark.usefixtures("digest")
def test_a_damaged_head_is_said_to_be_so(tmp_path):
    for content in (b"", b"no weights at all", b"\x08\0\0\0\0\0\0\0{}      "):
        (tmp_path / ANSWERS_FILE).write_bytes(content)
        with pytest.raises(CheckpointError, match=r"answers\.safetensors is damaged"):
            checkpoint.load(tmp_path)


def test_the_shipped_model_knows_answers_about_rooms():
    about, _ = tensor_files.read(checkpoint.BUILTIN / ANSWERS_FILE, "about")
    assert about["answers"][0] == OTHER
    assert {"table", "chair", "bed", "2", "white"} <= set(about["answers"])
