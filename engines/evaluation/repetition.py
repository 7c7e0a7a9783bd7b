"""Speech that repeats itself: how many of the words that come after the repetition are lost.

A decoder that falls into a loop may swallow the rest of what is said. The texts are generated and spoken by synthetic
voices that no training has heard: flite's, and variants of espeak-ng beside those of `scripts.make_voices`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engines.evaluation.harness import Harness, Row, Rows, attempt
from engines.evaluation.speech import synthesise
from engines.text import normalise
from engines.training.lexicon import LEXICON

N_TEXTS = 200
VOICES = (
    *("flite slt", "flite rms", "flite awb", "flite kal16"),
    *("espeak-ng en-us+klatt3", "espeak-ng en-gb-x-gbclan", "espeak-ng en-us+linda", "espeak-ng en-gb+steph"),
)
TEXTS: dict[str, list[str]] = LEXICON["repetition"]


@dataclass(frozen=True)
class RepetitiveText:
    """before: what is said before and during the repetition. after: what must not be lost. voice: program and voice."""

    before: str
    after: str
    voice: str


def repetitive_texts(rng: np.random.Generator, n: int = N_TEXTS) -> list[RepetitiveText]:
    """Texts in which a word, a phrase or a sentence is said 4 to 10, 3 to 7 or 3 to 6 times before another sentence."""
    found = []
    for i in range(n):
        match i % 4:
            case 0 | 1:
                word, turns = str(rng.choice(TEXTS["words"])), int(rng.integers(4, 11))
                joint = " " if i % 4 else ", "
                before = _sentence(joint.join([word] * turns))
            case 2:
                before = _sentence(", ".join([str(rng.choice(TEXTS["phrases"]))] * int(rng.integers(3, 8))))
            case _:
                before = " ".join([str(rng.choice(TEXTS["sentences"]))] * int(rng.integers(3, 7)))
        if rng.random() < 0.3:
            before = f"{rng.choice(TEXTS['endings'])} {before}"
        after = [str(ending) for ending in rng.choice(TEXTS["endings"], int(rng.integers(1, 3)), replace=False)]
        found.append(RepetitiveText(before, " ".join(after), VOICES[i % len(VOICES)]))
    return found


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def repetition_rows(harness: Harness) -> Rows:
    """`repetition.words_lost`: of those after the repetition; `repetition.texts_cut_short`: those that lose half."""
    return attempt("repetition.words_lost", _rows, harness)


def _rows(harness: Harness) -> Rows:
    texts = harness.take(repetitive_texts(np.random.default_rng(harness.seed)))
    n_lost = n_words = n_cut_short = 0
    for text in harness.each(texts, "repetition"):
        written = harness.transcribe(synthesise(f"{text.before} {text.after}", text.voice), "en")
        before, after = (normalise(part, "en").split() for part in (text.before, text.after))
        lost = words_lost(before, after, normalise(written, "en").split())
        n_lost, n_words = n_lost + lost, n_words + len(after)
        n_cut_short += 2 * lost >= len(after)
    note = f"{n_words} words; synthetic voices: {', '.join(VOICES)}"
    return {
        "repetition.words_lost": Row(100.0 * n_lost / n_words, len(texts), note=note),
        "repetition.texts_cut_short": Row(100.0 * n_cut_short / len(texts), len(texts), note=note),
    }


def words_lost(before: list[str], after: list[str], written: list[str]) -> int:
    """How many words of `after` have no counterpart in `written`, by the best alignment with `before + after`.

    A word heard as another one counts as heard. Of equally good alignments the one that loses fewest of `after` counts.
    """
    said = before + after
    cost = np.zeros((len(said) + 1, len(written) + 1, 2), np.int64)  # edits, lost words of `after`
    cost[:, 0, 0] = np.arange(len(said) + 1)
    cost[:, 0, 1] = np.maximum(np.arange(len(said) + 1) - len(before), 0)
    cost[0, :, 0] = np.arange(len(written) + 1)
    for i in range(1, len(said) + 1):
        for j in range(1, len(written) + 1):
            edit = int(said[i - 1] != written[j - 1])
            choices = (
                cost[i - 1, j - 1] + (edit, 0),
                cost[i - 1, j] + (1, int(i > len(before))),
                cost[i, j - 1] + (1, 0),
            )
            cost[i, j] = min(choices, key=lambda choice: tuple(choice.tolist()))
    return int(cost[-1, -1, 1])
