"""How likely a text means anything to a model, so that a search for letters typed at random finds nothing.

Texts of random letters lie close together in the space that text and media share, and apart from most texts people
write; and a tokenizer needs more tokens for them, since it has no word for any part. Both are weighed by the row
"meaning" of a model's calibration table "search": a constant, the weight of the cosine to the mean of random texts, and
that of the bytes a token stands for. `python -m scripts.calibrate_search` learns them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from string import ascii_lowercase

import numpy as np

from engines.text import fold_query

N_RANDOM = 48


def random_texts(n: int, seed: int = 0) -> list[str]:
    """Texts of one to three words of three to eight letters each, drawn at random."""
    rng = np.random.default_rng(seed)

    def word() -> str:
        return "".join(rng.choice(list(ascii_lowercase), rng.integers(3, 9)))

    return [" ".join(word() for _ in range(rng.integers(1, 4))) for _ in range(n)]


class Meaning:
    """A measure of one model. place: a text -> (E,) of length 1. tokens: a text -> ids. known: texts that surely mean
    something, such as the names of the concepts the model can see."""

    def __init__(
        self,
        weights: Sequence[float],
        place: Callable[[str], np.ndarray],
        tokens: Callable[[str], Sequence[int]],
        known: Iterable[str] = (),
    ) -> None:
        self._constant, self._cosine, self._bytes = weights
        self._place, self._tokens = place, tokens
        self._known = frozenset(fold_query(text).lower() for text in known)
        mean = np.mean([place(text) for text in random_texts(N_RANDOM)], axis=0)
        self._random: np.ndarray = mean / max(float(np.linalg.norm(mean)), 1e-9)

    def features(self, text: str) -> tuple[float, float]:
        """The cosine to random texts, and the UTF-8 bytes that a token stands for."""
        n_tokens = max(len(self._tokens(text)), 1)
        return float(self._place(text) @ self._random), len(text.encode("utf-8", "replace")) / n_tokens

    def __call__(self, text: str) -> float:
        """0 to 1. Few letters outside ASCII are ever typed at random; a capital may only begin a line."""
        small = text.lower()
        names = {small, small.partition(" ")[2]}  # an article may stand before a name
        if not text.isascii() or self._known & (names | {name.removesuffix("s") for name in names}):
            return 1.0
        return max(self._probability(text), self._probability(small))

    def _probability(self, text: str) -> float:
        cosine, n_bytes = self.features(text)
        logit = self._constant + self._cosine * cosine + self._bytes * n_bytes
        return 1.0 / (1.0 + math.exp(-max(-30.0, min(30.0, logit))))
