"""Short answers by classification: a question and a picture -> logits over a list of answers that people gave.

Questions about photos have a strong prior ("How many chairs ...?", "What is on the table ...?") that a decoder trained
on everything learns late; a classifier over the answers learns it from a few thousand questions (Antol et al., "VQA",
2015). Question and picture are fused by the Hadamard product of two projections after the question has chosen where to
look (Kim et al., "Hadamard Product for Low-rank Bilinear Pooling", 2017). The first answer stands for all others: what
is not on the list is left to the decoder.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

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


def from_stored(answers: Sequence[str], tensors: Mapping[str, Tensor], width: int) -> AnswerHead:
    """Build the head for a model of this width. Raises RuntimeError where the tensors do not fit."""
    head = AnswerHead(width, answers)
    head.load_state_dict({name: value.float() for name, value in tensors.items()})
    return head
