"""How likely a result is right: one calibrated probability per task, learnt on dev data and kept in the model's config.

Each table of `ModelConfig.calibration` named here holds "weights" (of the features below, the constant first) of a
logistic regression, and "sure" (the probability at and above which a result is given without a warning). A model
without such a table gives no confidence. `scripts/calibrate_doubt.py` learns them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engines.decoding import Hypothesis
from engines.encoder import Encoded, MediaEncoder
from engines.model.concepts import likeliest
from engines.tasks.carry import Draft

N_GUESSES = 3


@dataclass(frozen=True)
class Judgement:
    """confidence: probability that a result is right, None where the model has no measure for it."""

    confidence: float | None = None
    unsure: bool = False
    guesses: tuple[str, ...] = ()

    def fields(self) -> dict[str, Any]:
        return {"confidence": self.confidence, "unsure": self.unsure, "guesses": self.guesses}


def judged(encoder: MediaEncoder, table: str, features: Sequence[float], guesses: Sequence[str] = ()) -> Judgement:
    """Features of a result -> its judgement; guesses are kept only where the result is in doubt."""
    numbers = encoder.model.config.calibration.get(table)
    if not numbers:
        return Judgement()
    constant, *weights = numbers["weights"]
    logit = constant + sum(weight * value for weight, value in zip(weights, features, strict=True))
    return of_probability(encoder, table, 1.0 / (1.0 + math.exp(-max(-30.0, min(30.0, logit)))), guesses)


def of_probability(encoder: MediaEncoder, table: str, probability: float, guesses: Sequence[str] = ()) -> Judgement:
    """A calibrated probability -> its judgement by the threshold "sure" of the task's table."""
    numbers = encoder.model.config.calibration.get(table) or {}
    unsure = probability < numbers.get("sure", (0.0,))[0]
    return Judgement(probability, unsure, tuple(guesses[:N_GUESSES]) if unsure else ())


def caption_features(encoded: Encoded, mean_logprob: float, closeness: float) -> tuple[float, float, float, float]:
    """Mean log-probability, cosine to the picture, probability of the likeliest name, whether there is a name."""
    best = max((name.probability for name in encoded.names), default=0.0)
    return mean_logprob, closeness, best, float(best > 0.0)


def caption(encoder: MediaEncoder, encoded: Encoded, mean_logprob: float, closeness: float, language: str) -> Judgement:
    """Judge a caption; its guesses are the likeliest names by the concept head."""
    if encoded.frames is None:
        return Judgement()
    guesses = []
    if encoded.shown is not None:
        found = likeliest(encoded.shown, encoder.model.config, N_GUESSES)
        guesses = [name.text(language) for name in found]
    return judged(encoder, "doubt.caption", caption_features(encoded, mean_logprob, closeness), guesses)


def answer_features(encoded: Encoded, hypothesis: Hypothesis) -> tuple[float, ...]:
    """Mean log-probability, length, the lead over the beam's second answer, and what there is to answer from."""
    probabilities = [math.exp(mean * (len(ids) + 1)) for ids, mean in hypothesis.alternatives]
    lead = probabilities[0] - probabilities[1] if len(probabilities) > 1 else 1.0
    length = min(len(hypothesis.ids), 8) / 8
    return hypothesis.mean_logprob, length, lead, float(encoded.sound is not None), float(encoded.kind == "clip")


def answer(encoder: MediaEncoder, encoded: Encoded, hypothesis: Hypothesis, guesses: Sequence[str]) -> Judgement:
    """Judge an answer; its guesses are the answers of the final beam."""
    return judged(encoder, "doubt.answer", answer_features(encoded, hypothesis), guesses)


def translation_features(encoder: MediaEncoder, drafts: Sequence[Draft]) -> tuple[float, float] | None:
    """Mean log-probability of the sentences, weighted by length, and their mean cosine to the source in the shared
    space, which falls where something is left out or invented. None where nothing was translated."""
    found = []
    for draft in drafts:
        if draft.mean_logprob is not None:
            cosine = float(encoder.text_vector(draft.of_plain) @ encoder.text_vector(draft.plain))
            found.append((draft.mean_logprob, cosine, draft.n_tokens))
    n_tokens = sum(n for *_, n in found)
    if not n_tokens:
        return None
    return sum(x * n for x, _, n in found) / n_tokens, sum(x * n for _, x, n in found) / n_tokens


def translation(encoder: MediaEncoder, drafts: Sequence[Draft]) -> Judgement:
    """Judge a translated text."""
    features = translation_features(encoder, drafts)
    return Judgement() if features is None else judged(encoder, "doubt.translation", features)
