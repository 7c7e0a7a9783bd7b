"""CIDEr-D over pieces, as a reward: how far a caption says what several people said of the photo.

Vedantam et al. 2015. The metric of `engines.evaluation` counts words over whole texts; here n-grams of 1 to 4 pieces
are packed into one integer each, so that their document frequencies fit in two tensors of a batch.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import torch
from torch import Tensor

BITS = 15
"""Of a piece: up to 32,768 of them. Four fit into one int64."""
N_MOST = 4
SIGMA = 6.0
NOTHING = -100

Grams = Counter[int]


def packed(pieces: Sequence[int]) -> Grams:
    """Its n-grams and how often each comes. Pieces count from 1 here, so that (a) and (0, a) differ."""
    found: Grams = Counter()
    for end in range(1, len(pieces) + 1):
        key = 0
        for n, piece in enumerate(reversed(pieces[max(0, end - N_MOST) : end])):
            key |= (piece + 1) << (BITS * n)
            found[key] += 1
    return found


def frequencies(documents: Sequence[Sequence[Sequence[int]]]) -> tuple[Tensor, Tensor]:
    """Of the texts of each document: (sorted n-grams (N,) int64, their idf (N,) float32)."""
    counts = Counter(gram for texts in documents for gram in {gram for text in texts for gram in packed(text)})
    keys = torch.tensor(sorted(counts), dtype=torch.int64)
    log_n = math.log(max(2, len(documents)))
    return keys, torch.tensor([log_n - math.log(counts[int(key)]) for key in keys], dtype=torch.float32)


def stacked(documents: Sequence[Sequence[Sequence[int]]]) -> Tensor:
    """R texts or fewer of each of B documents -> (B, R, L), NOTHING where there is no more."""
    n, longest = max(map(len, documents)), max(len(text) for texts in documents for text in texts)
    out = torch.full((len(documents), n, longest), NOTHING)
    for i, texts in enumerate(documents):
        for j, text in enumerate(texts):
            out[i, j, : len(text)] = torch.tensor(text)
    return out


def parted(texts: Tensor) -> list[list[int]]:
    """Texts (R, L) -> their pieces; rows of nothing are left out."""
    found = [[piece for piece in text if piece != NOTHING] for text in texts.tolist()]
    return [text for text in found if text]


def rewards(
    texts: Sequence[Sequence[int]], references: Sequence[Sequence[Sequence[int]]], keys: Tensor, idf: Tensor
) -> Tensor:
    """CIDEr-D x 10 of each text against its own references: (B,) float32. Both end with their end piece."""
    unseen = float(idf.max())

    def weighed(pieces: Sequence[int]) -> list[dict[int, float]]:
        grams = packed(pieces)
        own = torch.tensor(list(grams), dtype=torch.int64)
        at = torch.searchsorted(keys, own).clamp(max=len(keys) - 1)
        found = torch.where(keys[at] == own, idf[at], unseen).tolist()
        by_length: list[dict[int, float]] = [{} for _ in range(N_MOST)]
        for (gram, count), weight in zip(grams.items(), found, strict=True):
            by_length[(gram.bit_length() - 1) // BITS][gram] = count * weight
        return by_length

    out = []
    for text, own in zip(texts, references, strict=True):
        mine = weighed(text)
        scores = []
        for reference in own:
            theirs = weighed(reference)
            cosine = 0.0
            for a, b in zip(mine, theirs, strict=True):
                norm = math.sqrt(sum(x * x for x in a.values()) * sum(x * x for x in b.values()))
                cosine += sum(min(x, b[gram]) * b[gram] for gram, x in a.items() if gram in b) / norm if norm else 0.0
            length = (len(text) - len(reference)) ** 2
            scores.append(10.0 * cosine / N_MOST * math.exp(-length / (2 * SIGMA**2)))
        out.append(sum(scores) / len(scores))
    return torch.tensor(out, dtype=torch.float32)
