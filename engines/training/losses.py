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


N_DRAWN = 4096
"""Pieces beside a batch's own that a shortlist holds: an eighth of the vocabulary."""


def next_piece_of_few(
    hidden: Tensor,
    embedding: Tensor,
    targets: Tensor,
    *,
    n_drawn: int = N_DRAWN,
    smoothing: float = LABEL_SMOOTHING,
    weight: Tensor | None = None,
) -> Tensor:
    """`next_piece` with logits for the batch's own pieces and a random sample of the others alone.

    hidden (n, D), embedding (V, D), targets (n,), weight (n,) of each target or None -> scalar. Each sampled piece
    stands for as many as were left out, so that the sum of the softmax is right on average (sampled softmax, Jean et
    al. 2015). The whole softmax costs as much as many blocks.
    """
    n_pieces = len(embedding)
    own = targets.unique()  # sorted
    others = torch.ones(n_pieces, dtype=torch.bool, device=targets.device)
    others[own] = False
    others &= torch.rand(n_pieces, device=targets.device) < n_drawn / n_pieces
    drawn = others.nonzero()[:, 0]
    each = (n_pieces - len(own)) / max(1, len(drawn))  # pieces that a sampled one stands for
    logits = (hidden @ embedding[torch.cat([own, drawn])].T).float()
    count = torch.ones_like(logits[0])
    count[len(own) :] = each
    total = (logits + count.log()).logsumexp(1)  # (n,)
    right = logits.gather(1, torch.searchsorted(own, targets)[:, None])[:, 0]
    smooth = (logits * count).sum(1) / count.sum()
    loss = total - (1 - smoothing) * right - smoothing * smooth
    return (loss if weight is None else loss * weight).mean()


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


def relations(a: Tensor, b: Tensor, taught: Tensor, *, temperature: float = TEMPERATURE) -> Tensor:
    """Whom else a row of a is like among b, as a teacher sees it (Tejankar et al. 2021): scalar, 0 when they agree.

    a, b (B, E) and taught (B, E') unit vectors of the same B things; a thing itself is left out.
    """
    itself = torch.eye(len(a), dtype=torch.bool, device=a.device)
    wanted = (taught @ taught.T / temperature).masked_fill(itself, -1e4).softmax(1)
    found = (a @ b.T / temperature).masked_fill(itself, -1e4)
    return F.kl_div(found.log_softmax(1), wanted, reduction="batchmean")


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
