"""Speech that repeats itself: how many of the words that come after the repetition are lost.

A decoder that falls into a loop may swallow the rest of what is said. The texts are generated and spoken by synthetic
voices that no training has heard: flite's, and variants of espeak-ng beside those of `scripts.make_voices`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engines.evaluation.harness import REASONS, Harness, Row, Rows, skipped
from engines.evaluation.speech import synthesise
from engines.protocol import TranscribeRequest, TranscribeResult
from engines.text import normalise

N_TEXTS = 200
VOICES = (
    *("flite slt", "flite rms", "flite awb", "flite kal16"),
    *("espeak-ng en-us+klatt3", "espeak-ng en-gb-x-gbclan", "espeak-ng en-us+linda", "espeak-ng en-gb+steph"),
)
WORDS = (
    *("go", "no", "yes", "stop", "wait", "never", "left", "please", "okay", "hello", "help", "run", "bye", "look"),
    *("now", "more", "ha", "faster", "hurry", "listen", "up", "down", "right", "well", "really"),
)
PHRASES = (
    *("come on", "thank you", "I know", "come back", "one two", "wait a minute", "good morning", "not now"),
    *("over here", "let me see", "all right", "oh no", "so what", "again and again"),
)
SENTENCES = (
    *("Please wait for me here.", "The door is open.", "I want to go home.", "This is the last call."),
    *("Do not touch the fence.", "He is not at home.", "We have to leave now.", "Nobody knows the answer."),
)
ENDINGS = (
    *("Run to the left side.", "Come here and sit down.", "The train leaves at nine o'clock.", "I like it a lot."),
    *("My sister bought a new car yesterday.", "There is some milk in the kitchen.", "You can call me tomorrow."),
    *("The children are playing in the garden.", "It will rain in the afternoon.", "She works in a hospital."),
    *("Take the second street on the right.", "We need three chairs and a table.", "That was a long day."),
    *("The shop closes at six in the evening.", "He reads a book every week.", "I forgot my keys at the office."),
)


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
                word, turns = str(rng.choice(WORDS)), int(rng.integers(4, 11))
                joint = " " if i % 4 else ", "
                before = _sentence(joint.join([word] * turns))
            case 2:
                before = _sentence(", ".join([str(rng.choice(PHRASES))] * int(rng.integers(3, 8))))
            case _:
                before = " ".join([str(rng.choice(SENTENCES))] * int(rng.integers(3, 7)))
        if rng.random() < 0.3:
            before = f"{rng.choice(ENDINGS)} {before}"
        after = [str(ending) for ending in rng.choice(ENDINGS, int(rng.integers(1, 3)), replace=False)]
        found.append(RepetitiveText(before, " ".join(after), VOICES[i % len(VOICES)]))
    return found


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def repetition_rows(harness: Harness) -> Rows:
    """`repetition.words_lost`: of those after the repetition; `repetition.texts_cut_short`: those that lose half."""
    key = "repetition.words_lost"
    texts = harness.take(repetitive_texts(np.random.default_rng(harness.seed)))
    n_lost = n_words = n_cut_short = 0
    try:
        for text in harness.each(texts, "repetition"):
            sound = synthesise(f"{text.before} {text.after}", text.voice)
            written = harness.ask(TranscribeRequest(media=sound, language="en"), TranscribeResult).text
            before, after = (normalise(part, "en").split() for part in (text.before, text.after))
            lost = words_lost(before, after, normalise(written, "en").split())
            n_lost, n_words = n_lost + lost, n_words + len(after)
            n_cut_short += 2 * lost >= len(after)
    except REASONS as reason:
        return {key: skipped(reason)}
    note = f"{n_words} words; synthetic voices: {', '.join(VOICES)}"
    return {
        key: Row(100.0 * n_lost / n_words, len(texts), note=note),
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
