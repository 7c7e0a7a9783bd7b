"""Losses as functions of tensors, each with its source; no model, no data.

Axes: B batch, E shared space, L text, T time, V vocabulary.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from engines.evaluation.metrics import cider_similarity, ngrams

TEMPERATURE = 0.05
"""Temperature of the contrastive losses; between CLIP's start (0.07) and its end (0.01), Radford et al. 2021."""
LABEL_SMOOTHING = 0.1
"""Szegedy et al. 2016; the value of the original Transformer (Vaswani et al. 2017)."""


def next_token(logits: Tensor, targets: Tensor, *, smoothing: float = LABEL_SMOOTHING) -> Tensor:
    """Cross-entropy of the next tokens: logits (n, V), targets (n,) -> scalar."""
    return F.cross_entropy(logits.float(), targets, label_smoothing=smoothing)


N_SAMPLED = 4096
"""Negative tokens sampled beside the batch's own: an eighth of the vocabulary."""


def next_token_sampled(
    hidden: Tensor,
    embedding: Tensor,
    targets: Tensor,
    *,
    n_sampled: int = N_SAMPLED,
    smoothing: float = LABEL_SMOOTHING,
    weight: Tensor | None = None,
) -> Tensor:
    """`next_token` with logits of the batch's own tokens and a random sample of the others only.

    hidden (n, D), embedding (V, D), targets (n,), weight (n,) of each target or None -> scalar. Each sampled token
    is weighted for those left out, so that the softmax's sum is right on average (sampled softmax, Jean et al. 2015).
    The whole softmax costs as much as many blocks.
    """
    n_tokens = len(embedding)
    own = targets.unique()  # sorted
    others = torch.ones(n_tokens, dtype=torch.bool, device=targets.device)
    others[own] = False
    others &= torch.rand(n_tokens, device=targets.device) < n_sampled / n_tokens
    drawn = others.nonzero()[:, 0]
    each = (n_tokens - len(own)) / max(1, len(drawn))  # tokens that one sampled token stands for
    logits = (hidden @ embedding[torch.cat([own, drawn])].T).float()
    count = torch.ones_like(logits[0])
    count[len(own) :] = each
    total = (logits + count.log()).logsumexp(1)  # (n,)
    target = logits.gather(1, torch.searchsorted(own, targets)[:, None])[:, 0]
    smooth = (logits * count).sum(1) / count.sum()
    loss = total - (1 - smoothing) * target - smoothing * smooth
    return (loss if weight is None else loss * weight).mean()


def info_nce(a: Tensor, b: Tensor, group: Tensor, *, temperature: float = TEMPERATURE) -> Tensor:
    """Symmetric contrastive loss (van den Oord et al. 2018; Radford et al. 2021) of unit vectors a, b (B, E).

    group (B,): rows of one group describe the same thing and are all positives (Khosla et al. 2020).
    """
    scores = a @ b.T / temperature
    same = (group[:, None] == group[None, :]).float()
    target = same / same.sum(1, keepdim=True)
    forward = -(target * scores.log_softmax(1)).sum(1).mean()
    backward = -(target * scores.T.log_softmax(1)).sum(1).mean()
    return (forward + backward) / 2


def relations(a: Tensor, b: Tensor, teacher: Tensor, *, temperature: float = TEMPERATURE) -> Tensor:
    """KL divergence from the teacher's similarities among B things to ours (Tejankar et al. 2021): scalar.

    a, b (B, E) and teacher (B, E') are unit vectors of the same B things; a thing's similarity to itself is left out.
    """
    itself = torch.eye(len(a), dtype=torch.bool, device=a.device)
    wanted = (teacher @ teacher.T / temperature).masked_fill(itself, -1e4).softmax(1)
    found = (a @ b.T / temperature).masked_fill(itself, -1e4)
    return F.kl_div(found.log_softmax(1), wanted, reduction="batchmean")


def sigmoid_pairs(a: Tensor, b: Tensor, group: Tensor, *, scale: float = 10.0, bias: float = -10.0) -> Tensor:
    """A binary decision for every pair (SigLIP, Zhai et al. 2023): unit vectors a, b (B, E), group (B,) -> scalar."""
    sign = torch.where(group[:, None] == group[None, :], 1.0, -1.0)
    return -F.logsigmoid(sign * (a @ b.T * scale + bias)).sum(1).mean()


def classes(vectors: Tensor, prompts: Tensor, labels: Tensor, *, temperature: float = TEMPERATURE) -> Tensor:
    """Classify vectors by prompts: unit vectors (B, E) and prompts (C, E), labels (B,) -> scalar."""
    return F.cross_entropy(vectors @ prompts.T / temperature, labels)


def ctc(log_probs: Tensor, n_tokens: Tensor, targets: Tensor, n_targets: Tensor) -> Tensor:
    """Connectionist temporal classification (Graves et al. 2006): log_probs (B, T, C), blank 0 -> scalar per byte."""
    losses = F.ctc_loss(
        log_probs.transpose(0, 1), targets, n_tokens, n_targets, blank=0, reduction="none", zero_infinity=True
    )
    return (losses / n_targets.clamp(min=1)).mean()


# --- the reward of self-critical training ----------------------------------------------------------------------------

# CIDEr-D over token ids against all captions of the photo, by `engines.evaluation.metrics.cider_similarity`. A batch
# carries the inverse document frequencies of all n-grams as two tensors, for which an n-gram of 1 to 4 tokens is packed
# into one int64.

BITS = 15
"""Bits per token: ids up to 32,766."""
NO_TOKEN = -100


def pack_ngram(gram: Sequence[int]) -> int:
    """Pack an n-gram into one integer; ids count from 1 here, so that (a,) and (0, a) differ."""
    return sum((token + 1) << (BITS * i) for i, token in enumerate(reversed(gram)))


def document_frequencies(documents: Sequence[Sequence[Sequence[int]]]) -> tuple[Tensor, Tensor]:
    """Texts of each document -> sorted packed n-grams (N,) int64 and their inverse document frequencies (N,)."""
    counts = Counter(
        pack_ngram(gram) for texts in documents for gram in {gram for text in texts for gram in ngrams(text)}
    )
    keys = torch.tensor(sorted(counts), dtype=torch.int64)
    log_n = math.log(max(2, len(documents)))
    return keys, torch.tensor([log_n - math.log(counts[int(key)]) for key in keys], dtype=torch.float32)


def stack_references(documents: Sequence[Sequence[Sequence[int]]]) -> Tensor:
    """Up to R texts of each of B documents -> (B, R, L), padded with NO_TOKEN."""
    n, longest = max(map(len, documents)), max(len(text) for texts in documents for text in texts)
    out = torch.full((len(documents), n, longest), NO_TOKEN)
    for i, texts in enumerate(documents):
        for j, text in enumerate(texts):
            out[i, j, : len(text)] = torch.tensor(text)
    return out


def token_rows(texts: Tensor) -> list[list[int]]:
    """Padded texts (R, L) -> token ids of those that are not empty."""
    rows = [[token for token in text if token != NO_TOKEN] for text in texts.tolist()]
    return [row for row in rows if row]


def rewards(
    texts: Sequence[Sequence[int]], references: Sequence[Sequence[Sequence[int]]], keys: Tensor, idf: Tensor
) -> Tensor:
    """CIDEr-D x 10 of each text against its references: (B,) float32. All end with their end token."""
    grams = [ngrams(text) for text in texts]
    reference_grams = [[ngrams(text) for text in group] for group in references]
    every = list({gram for counter in (*grams, *(c for group in reference_grams for c in group)) for gram in counter})
    packed = torch.tensor([pack_ngram(gram) for gram in every], dtype=torch.int64)
    at = torch.searchsorted(keys, packed).clamp(max=len(keys) - 1)
    unseen = float(idf.max())
    weights = dict(zip(every, torch.where(keys[at] == packed, idf[at], unseen).tolist(), strict=True))
    scores = [
        10.0 * sum(cider_similarity(text, other, weights, unseen) for other in group) / len(group)
        for text, group in zip(grams, reference_grams, strict=True)
    ]
    return torch.tensor(scores, dtype=torch.float32)
