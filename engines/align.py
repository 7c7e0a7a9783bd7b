"""When words are said: forced alignment of a text with the probabilities of a CTC head (Graves et al. 2006).

Axes: T sound tokens, L classes of the text, S alignment states.
"""

from __future__ import annotations

import numpy as np

from engines.protocol import Word
from engines.text import normalise

BLANK = 0


def align(log_probs: np.ndarray, text: str, language: str, token_s: float) -> tuple[Word, ...]:
    """When each word of a text is said, by the best path of a CTC head through it.

    log_probs: (T, 257) float over blank and UTF-8 bytes + 1. text: as written; the path is that of its normalised form.
    Chinese is cut into characters. token_s: seconds of one token; times count from the first. A text that cannot have
    been said in T tokens gets no words.
    """
    words = spoken_words(text, language)
    classes, ends = _classes(words, language)
    spans = best_path(np.asarray(log_probs, np.float32), classes)
    if spans is None:
        return ()
    first, last = spans
    found = []
    for (written, spoken), end in zip(words, ends, strict=True):
        start = end - len(spoken.encode())
        found.append(Word(float(first[start]) * token_s, float(last[end - 1] + 1) * token_s, written))
    return tuple(found)


def end_of_text(log_probs: np.ndarray, text: str, language: str) -> int | None:
    """The token after the last one of a text, where more speech may follow it.

    log_probs: (T, 257). None for a text that has no letters or that T tokens cannot hold.
    """
    classes, _ = _classes(spoken_words(text, language), language)
    spans = best_path(np.asarray(log_probs, np.float32), classes, whole=False)
    return None if spans is None else int(spans[1][-1]) + 1


def spelt(log_probs: np.ndarray) -> int:
    """How many bytes a CTC head spells, best guess by best guess: log_probs (T, 257)."""
    best = log_probs.argmax(1)
    return int(((best != BLANK) & (best != np.concatenate(([BLANK], best[:-1])))).sum())


def spoken_words(text: str, language: str) -> list[tuple[str, str]]:
    """Words as written, each with its normalised form; punctuation alone stays with the word before it."""
    pairs: list[tuple[str, str]] = []
    for written in text if language == "zh" else text.split():
        spoken = normalise(written, language)
        if spoken:
            pairs.append((written, spoken))
        elif pairs and written.strip():
            space = "" if language == "zh" else " "
            pairs[-1] = (pairs[-1][0] + space + written, pairs[-1][1])
    return pairs


def _classes(words: list[tuple[str, str]], language: str) -> tuple[np.ndarray, list[int]]:
    """Spoken words as classes (L,), a space between two, and where the bytes of each end."""
    classes: list[int] = []
    ends: list[int] = []
    for _, spoken in words:
        if classes and language != "zh":
            classes.append(ord(" ") + 1)
        classes += [byte + 1 for byte in spoken.encode()]
        ends.append(len(classes))
    return np.asarray(classes, np.int64), ends


def best_path(
    log_probs: np.ndarray, classes: np.ndarray, *, whole: bool = True
) -> tuple[np.ndarray, np.ndarray] | None:
    """Viterbi over blank, class, blank, class, ..., blank: the first and the last token of each class.

    log_probs: (T, C). classes: (L,) int. whole: the path takes all T tokens; otherwise it may end earlier, and what is
    left is anything at all, at its best guess. Returns two (L,) int arrays, None where T tokens are too few.
    """
    n_tokens, n_classes = len(log_probs), len(classes)
    n_doubled = int((classes[1:] == classes[:-1]).sum())  # a blank must stand between equal neighbours
    if n_classes == 0 or n_tokens < n_classes + n_doubled:
        return None
    states = np.full(2 * n_classes + 1, BLANK)
    states[1::2] = classes
    may_skip = np.zeros(len(states), bool)  # from two states before, over the blank
    may_skip[3::2] = classes[1:] != classes[:-1]
    emission = log_probs[:, states]  # (T, S)
    score = np.full(len(states), -np.inf, np.float32)
    score[:2] = emission[0, :2]
    came_from = np.zeros(emission.shape, np.int8)  # how many states back, 0 to 2
    said = np.full(n_tokens, -np.inf, np.float32)  # score of a text that ends at each token, in its last class
    said[0] = score[-2]
    for t in range(1, n_tokens):
        step = np.concatenate(([-np.inf], score[:-1]))
        skip = np.where(may_skip, np.concatenate(([-np.inf, -np.inf], score[:-2])), -np.inf)
        choices = np.stack((score, step, skip))
        came_from[t] = choices.argmax(0)
        score = choices.max(0) + emission[t]
        said[t] = score[-2]
    if whole:
        end, state = n_tokens - 1, len(states) - 1 if score[-1] >= score[-2] else len(states) - 2
    else:
        rest = np.concatenate((np.cumsum(log_probs.max(1)[::-1])[::-1][1:], [0.0]))
        total = said + rest
        end = int(np.flatnonzero(total >= total.max() - 1e-3)[-1])  # its last class may last for several tokens
        state = len(states) - 2
    first, last = np.zeros(n_classes, np.int64), np.full(n_classes, -1)
    for t in range(end, -1, -1):
        if state % 2:
            first[state // 2] = t
            last[state // 2] = max(last[state // 2], t)
        state -= int(came_from[t, state])
    return first, last
