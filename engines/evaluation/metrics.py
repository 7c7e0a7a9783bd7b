"""The numbers: BLEU, CIDEr-D, word error rate, recall, accuracy with its interval. All in percent or points of 100.

Texts of captions and transcripts are brought to one spelling by `engines.text.normalise` before they come here.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from typing import TypeVar

import numpy as np

from engines.errors import StudioError
from engines.text import normalise

Z_95 = 1.959964
"""Half the width of a 95 % interval of the normal distribution, in standard deviations."""


class MissingTool(StudioError):
    """A library or program is not installed; the text says which one. Evaluation prints it as a skipped row."""


def bleu(written: Sequence[str], references: Sequence[Sequence[str]], *, tokenize: str = "13a") -> float:
    """Corpus BLEU-4 by sacreBLEU (Post 2018), 0 to 100; references: one or more a text. tokenize: "zh" for Chinese."""
    return _sacre_bleu(written, references, tokenize=tokenize, order=4)


def caption_bleu(written: Sequence[str], references: Sequence[Sequence[str]], *, order: int = 4) -> float:
    """Corpus BLEU of texts whose words are parted by spaces already, without smoothing, 0 to 100."""
    return _sacre_bleu(written, references, tokenize="none", order=order)


def require_bleu() -> None:
    """Raise MissingTool where sacreBLEU is not installed."""
    _sacre_bleu(["a"], [["a"]], tokenize="none", order=1)


def _sacre_bleu(written: Sequence[str], references: Sequence[Sequence[str]], *, tokenize: str, order: int) -> float:
    try:
        from sacrebleu.metrics import BLEU
    except ImportError as error:
        raise MissingTool("sacrebleu is not installed; the train extra brings it") from error
    n_references = max(len(own) for own in references)
    columns = [[own[i] if i < len(own) else None for own in references] for i in range(n_references)]
    smooth = "none" if tokenize == "none" else "exp"
    metric = BLEU(tokenize=tokenize, max_ngram_order=order, smooth_method=smooth, force=True)
    return float(metric.corpus_score(list(written), columns).score)


def chinese_words(text: str) -> str:
    """Chinese cut into words by jieba, as the published BLEU-1 and -2 of Flickr8k-CN are counted."""
    try:
        import jieba
    except ImportError as error:
        raise MissingTool("jieba is not installed") from error
    jieba.setLogLevel("ERROR")
    return " ".join(jieba.cut(normalise(text, "zh").replace(" ", "")))


T = TypeVar("T", bound=Hashable)


def cider(written: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """CIDEr-D x 100 (Vedantam et al. 2015, section 5 and its reference code): mean over texts, n = 1 to 4, sigma 6.

    Document frequencies are those of the reference sets given. Words are separated by spaces.
    """
    sets = [[ngrams(text.split()) for text in group] for group in references]
    frequency = Counter(gram for group in sets for gram in {gram for grams in group for gram in grams})
    log_n = math.log(max(len(sets), 1))
    idf = {gram: log_n - math.log(n) for gram, n in frequency.items()}
    scores = []
    for text, group in zip(written, sets, strict=True):
        grams = ngrams(text.split())
        scores.append(np.mean([cider_similarity(grams, reference, idf, log_n) for reference in group]))
    return float(1000.0 * np.mean(scores))  # the reference code's factor of 10, and the usual 100


def ngrams(tokens: Sequence[T]) -> Counter[tuple[T, ...]]:
    """The n-grams of 1 to 4 tokens and their counts."""
    return Counter(tuple(tokens[i : i + n]) for n in range(1, 5) for i in range(len(tokens) - n + 1))


def cider_similarity(
    written: Counter[tuple[T, ...]],
    reference: Counter[tuple[T, ...]],
    idf: Mapping[tuple[T, ...], float],
    unseen: float,
) -> float:
    """CIDEr-D of one text and one reference, 0 to 1, from their `ngrams`. unseen: weight of an n-gram not in `idf`.

    The clipped cosine of the weighted n-grams, averaged over n and reduced where the lengths differ.
    """
    dot, written_norm, reference_norm, n_bigrams = [0.0] * 5, [0.0] * 5, [0.0] * 5, 0
    for gram, count in written.items():
        weight, n = count * idf.get(gram, unseen), len(gram)
        other = reference[gram] * idf.get(gram, unseen)
        dot[n] += min(weight, other) * other
        written_norm[n] += weight * weight
        n_bigrams += count if n == 2 else 0
    for gram, count in reference.items():
        reference_norm[len(gram)] += (count * idf.get(gram, unseen)) ** 2
        n_bigrams -= count if len(gram) == 2 else 0
    norms = [math.sqrt(a * b) for a, b in zip(written_norm, reference_norm, strict=True)]
    cosine = sum(d / norm for d, norm in zip(dot, norms, strict=True) if norm > 0) / 4
    return cosine * math.exp(-(n_bigrams**2) / (2 * 6.0**2))  # the reference code measures length in bigrams


def word_errors(written: str, reference: str) -> tuple[int, int]:
    """(errors, words in the reference): the least substitutions, insertions and deletions between two texts."""
    words = reference.split()
    return edit_distance(written.split(), words), len(words)


def edit_distance(a: Sequence[object], b: Sequence[object]) -> int:
    """The least number of items to substitute, insert or delete (Levenshtein 1966)."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        before, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (x != y))
    return row[-1]


def word_error_rate(errors: Sequence[tuple[int, int]]) -> tuple[float, tuple[float, float]]:
    """Percent of words wrong over all texts, and its 95 % interval by 1,000 bootstrap samples of the texts."""
    counts = np.asarray(errors, np.float64)
    drawn = counts[np.random.default_rng(0).integers(0, len(counts), (1000, len(counts)))].sum(1)
    rates = 100.0 * drawn[:, 0] / np.maximum(drawn[:, 1], 1)
    low, high = np.percentile(rates, (2.5, 97.5))
    return float(100.0 * counts[:, 0].sum() / max(counts[:, 1].sum(), 1)), (float(low), float(high))


def recall_at(similarity: np.ndarray, right: np.ndarray, ks: Sequence[int] = (1, 5, 10)) -> dict[int, float]:
    """Percent of queries with a right item among their k best. similarity, right (bool): (queries, items).

    A query may have several right items. Ties count against the query.
    """
    best_right = np.where(right, similarity, -np.inf).max(1, keepdims=True)
    rank = ((similarity >= best_right) & ~right).sum(1)
    return {k: float(100.0 * np.mean(rank < k)) for k in ks}


def accuracy(n_right: int, n: int) -> tuple[float, tuple[float, float]]:
    """Percent right and its 95 % interval (Wilson 1927)."""
    if n == 0:
        return 0.0, (0.0, 100.0)
    share, z = n_right / n, Z_95
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return 100.0 * share, (100.0 * max(middle - half, 0.0), 100.0 * min(middle + half, 1.0))


def same_answer(written: str, right: str, language: str = "en") -> bool:
    """Whether two answers are the same but for case, punctuation and articles; small numbers as digits or words."""
    return bare_answer(written, language) == bare_answer(right, language)


def holds_answer(written: str, right: str) -> bool:
    """Whether the words of an English answer stand in a reply, one after the other."""
    own, wanted = bare_answer(written, "en"), bare_answer(right, "en")
    return any(own[i : i + len(wanted)] == wanted for i in range(len(own) - len(wanted) + 1))


_NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_DIGITS = {word: str(i) for i, word in enumerate(_NUMBERS)}


def bare_answer(answer: str, language: str) -> list[str]:
    words = normalise(answer, language).split()
    return [_DIGITS.get(word, word) for word in words if word not in ("a", "an", "the")]
