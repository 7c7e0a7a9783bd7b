"""Short answers by classification: which of a list of answers people gave fits a question and a picture.

Questions about photos have a strong prior ("How many chairs ...?", "What is on the table ...?") that a decoder trained
on everything learns late; a classifier over the answers learns it from a few thousand questions (Antol et al., "VQA",
2015). Question and picture are fused by the Hadamard product of two projections after the question has chosen where to
look (Kim et al., "Hadamard Product for Low-rank Bilinear Pooling", 2017). The first answer stands for all others: what
is not on the list is left to the decoder.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engines.errors import CheckpointError

ANSWERS_FILE = "answers.safetensors"
OTHER = ""
WIDTH = 256
N_POOLS = 8


class AnswerHead(nn.Module):
    """Question states and picture tokens, both (B, T, D) of the model's towers, to logits over `answers`.

    answers: the list, OTHER first.
    """

    def __init__(self, width: int, answers: Sequence[str]) -> None:
        super().__init__()
        self.answers = tuple(answers)
        self.weigh_words = nn.Linear(width, N_POOLS)
        self.words = nn.Linear(width, WIDTH)
        self.question = nn.Sequential(nn.ReLU(), nn.Dropout(0.3), nn.Linear(WIDTH, WIDTH))
        self.place_of_picture, self.place_of_question = nn.Linear(width, WIDTH), nn.Linear(WIDTH, WIDTH)
        self.place = nn.Linear(WIDTH, 1)
        self.picture = nn.Linear(width, WIDTH)
        self.drop = nn.Dropout(0.3)
        self.classify = nn.Sequential(nn.Dropout(0.5), nn.Linear(WIDTH, len(self.answers)))

    def forward(self, question: Tensor, mask: Tensor, picture: Tensor) -> Tensor:
        """Question (B, L, D), mask (B, L), picture (B, N, D) -> logits (B, len(answers)) float32."""
        words = self.drop(F.layer_norm(question.float(), question.shape[-1:]))
        tokens = F.layer_norm(picture.float(), picture.shape[-1:])
        weight = self.weigh_words(words).masked_fill(~mask[..., None], -1e4).softmax(1)  # (B, L, N_POOLS)
        values = self.words(words).unflatten(-1, (N_POOLS, -1))  # (B, L, N_POOLS, WIDTH / N_POOLS)
        asked = self.question((weight[..., None] * values).sum(1).flatten(1))
        places = self.place_of_picture(tokens) + self.place_of_question(asked)[:, None]
        seen = (self.place(places.tanh()).softmax(1) * tokens).sum(1)
        fused = asked.tanh() * self.picture(self.drop(seen)).tanh() + asked
        out: Tensor = self.classify(fused)
        return out

    @torch.inference_mode()
    def likeliest(self, question: Tensor, mask: Tensor, picture: Tensor, n: int) -> list[tuple[str, float]]:
        """The n likeliest answers to one question with their probabilities, the likeliest first; OTHER may be one."""
        best = self(question, mask, picture)[0].softmax(-1).topk(min(n, len(self.answers)))
        return [(self.answers[i], p) for i, p in zip(best.indices.tolist(), best.values.tolist(), strict=True)]


def save(head: AnswerHead, folder: Path, digest: str) -> None:
    """Write the head in float16 beside the model it was trained on. digest: that of the model's weights."""
    from safetensors.torch import save_file

    state = {name: value.detach().half().contiguous() for name, value in head.state_dict().items()}
    about = json.dumps({"answers": head.answers, "weights_sha256": digest})
    save_file(state, folder / ANSWERS_FILE, metadata={"about": about})
    (folder / ANSWERS_FILE).chmod(0o644)  # safetensors writes for its own user alone


def load(folder: Path, width: int, digest: str, device: str = "cpu") -> AnswerHead | None:
    """The head of a model of this width, None where its folder has none. digest: that of the model's weights; a head
    reads what its towers make, so it fits no others. Raises CheckpointError, and ValueError, KeyError, SafetensorError
    or RuntimeError where the file is not one."""
    from safetensors import safe_open

    if not (folder / ANSWERS_FILE).is_file():
        return None
    with safe_open(folder / ANSWERS_FILE, framework="pt") as stored:
        about = json.loads((stored.metadata() or {}).get("about", "{}"))
        if about["weights_sha256"] != digest:
            raise CheckpointError(
                "answers_of_other_weights",
                "{file} was trained on other weights; train it again (docs/training.md), or remove it.",
                file=ANSWERS_FILE,
            )
        head = AnswerHead(width, about["answers"])
        head.load_state_dict({name: stored.get_tensor(name).float() for name in stored.keys()})  # noqa: SIM118
    return head.to(device).eval().requires_grad_(False)
