"""The reward of self-critical training: CIDEr-D over token ids against all captions of the photo.

The metric is `engines.evaluation.metrics.cider_similarity`. A batch carries the inverse document frequencies of all
n-grams as two tensors, for which an n-gram of 1 to 4 tokens is packed into one int64.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import torch
from torch import Tensor

from engines.evaluation.metrics import cider_similarity, ngrams

BITS = 15
"""Bits per token: ids up to 32,766."""
PADDING = -100


def pack(gram: Sequence[int]) -> int:
    """An n-gram as one integer; ids count from 1 here, so that (a,) and (0, a) differ."""
    return sum((token + 1) << (BITS * i) for i, token in enumerate(reversed(gram)))


def document_frequencies(documents: Sequence[Sequence[Sequence[int]]]) -> tuple[Tensor, Tensor]:
    """Of the texts of each document: sorted packed n-grams (N,) int64, their inverse document frequency (N,)."""
    counts = Counter(pack(gram) for texts in documents for gram in {gram for text in texts for gram in ngrams(text)})
    keys = torch.tensor(sorted(counts), dtype=torch.int64)
    log_n = math.log(max(2, len(documents)))
    return keys, torch.tensor([log_n - math.log(counts[int(key)]) for key in keys], dtype=torch.float32)


def stack(documents: Sequence[Sequence[Sequence[int]]]) -> Tensor:
    """Up to R texts of each of B documents -> (B, R, L) with PADDING."""
    n, longest = max(map(len, documents)), max(len(text) for texts in documents for text in texts)
    out = torch.full((len(documents), n, longest), PADDING)
    for i, texts in enumerate(documents):
        for j, text in enumerate(texts):
            out[i, j, : len(text)] = torch.tensor(text)
    return out


def unstack(texts: Tensor) -> list[list[int]]:
    """Padded texts (R, L) -> token ids of those that are not empty."""
    rows = [[token for token in text if token != PADDING] for text in texts.tolist()]
    return [row for row in rows if row]


def rewards(
    texts: Sequence[Sequence[int]], references: Sequence[Sequence[Sequence[int]]], keys: Tensor, idf: Tensor
) -> Tensor:
    """CIDEr-D x 10 of each text against its references: (B,) float32. All end with their end token."""
    grams = [ngrams(text) for text in texts]
    reference_grams = [[ngrams(text) for text in group] for group in references]
    every = list({gram for counter in (*grams, *(c for group in reference_grams for c in group)) for gram in counter})
    packed = torch.tensor([pack(gram) for gram in every], dtype=torch.int64)
    at = torch.searchsorted(keys, packed).clamp(max=len(keys) - 1)
    unseen = float(idf.max())
    weights = dict(zip(every, torch.where(keys[at] == packed, idf[at], unseen).tolist(), strict=True))
    scores = [
        10.0 * sum(cider_similarity(text, other, weights, unseen) for other in group) / len(group)
        for text, group in zip(grams, reference_grams, strict=True)
    ]
    return torch.tensor(scores, dtype=torch.float32)
