"""Losses as functions of tensors, each with its source; no model, no data.

Axes: B batch, E shared space, L text, T time, V vocabulary.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

TEMPERATURE = 0.05
"""Of the contrastive losses; between CLIP's start (0.07) and its end (0.01), Radford et al. 2021."""
LABEL_SMOOTHING = 0.1
"""Szegedy et al. 2016; the value of the original Transformer (Vaswani et al. 2017)."""


def next_piece(logits: Tensor, targets: Tensor, *, smoothing: float = LABEL_SMOOTHING) -> Tensor:
    """Cross-entropy of the pieces to come: logits (n, V), targets (n,) -> scalar."""
    return F.cross_entropy(logits.float(), targets, label_smoothing=smoothing)


def info_nce(a: Tensor, b: Tensor, group: Tensor, *, temperature: float = TEMPERATURE) -> Tensor:
    """Symmetric contrastive loss (van den Oord et al. 2018; Radford et al. 2021) of unit vectors a, b (B, E).

    group (B,): rows of one group describe the same thing and are all counted as right (Khosla et al. 2020).
    """
    scores = a @ b.T / temperature
    same = (group[:, None] == group[None, :]).float()
    target = same / same.sum(1, keepdim=True)
    forth = -(target * scores.log_softmax(1)).sum(1).mean()
    back = -(target * scores.T.log_softmax(1)).sum(1).mean()
    return (forth + back) / 2


def sigmoid_pairs(a: Tensor, b: Tensor, group: Tensor, *, scale: float = 10.0, bias: float = -10.0) -> Tensor:
    """Every pair a yes-or-no of its own (SigLIP, Zhai et al. 2023): a, b (B, E) unit, group (B,) -> scalar."""
    sign = torch.where(group[:, None] == group[None, :], 1.0, -1.0)
    return -F.logsigmoid(sign * (a @ b.T * scale + bias)).sum(1).mean()


def classes(vectors: Tensor, prompts: Tensor, labels: Tensor, *, temperature: float = TEMPERATURE) -> Tensor:
    """Which prompt fits each vector: vectors (B, E), prompts (C, E) unit, labels (B,) -> scalar."""
    return F.cross_entropy(vectors @ prompts.T / temperature, labels)


def ctc(log_probs: Tensor, n_tokens: Tensor, targets: Tensor, n_targets: Tensor) -> Tensor:
    """Connectionist temporal classification (Graves et al. 2006): log_probs (B, T, C), blank 0 -> scalar per byte."""
    losses = F.ctc_loss(
        log_probs.transpose(0, 1), targets, n_tokens, n_targets, blank=0, reduction="none", zero_infinity=True
    )
    return (losses / n_targets.clamp(min=1)).mean()
