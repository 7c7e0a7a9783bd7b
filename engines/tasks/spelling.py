"""Captions and answers as they are written by people: adjectives of places and names of breeds with a capital."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from engines.protocol import AskResult, CaptionResult
from engines.text import with_capitals

R = TypeVar("R", CaptionResult, AskResult)


def spelt(result: R, language: str) -> R:
    """A result whose text, names and guesses are spelt so."""
    return replace(
        result,
        text=with_capitals(result.text, language),
        names=tuple((with_capitals(name, language), probability) for name, probability in result.names),
        guesses=tuple(with_capitals(guess, language) for guess in result.guesses),
    )
