"""All suites by name, and running some of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from engines.errors import RequestError
from engines.evaluation.captions import caption_rows
from engines.evaluation.fewshot import fewshot_rows
from engines.evaluation.harness import Harness, Rows, attempt
from engines.evaluation.naming import naming_rows
from engines.evaluation.questions import composed_rows, mini_rows, photo_rows
from engines.evaluation.repetition import repetition_rows
from engines.evaluation.retrieval import retrieval_rows
from engines.evaluation.sounds import sound_rows
from engines.evaluation.speech import speech_rows, speech_translation_rows
from engines.evaluation.speed import speed_rows
from engines.evaluation.translation import translation_rows

Suite = Callable[[Harness], Rows]

SUITES: Mapping[str, Suite] = {
    "caption": caption_rows,
    "retrieval": retrieval_rows,
    "speech": speech_rows,
    "repetition": repetition_rows,
    "translation": translation_rows,
    "speech_translation": speech_translation_rows,
    "sound": sound_rows,
    "naming": naming_rows,
    "photo_qa": photo_rows,
    "video_qa.composed": composed_rows,
    "video_qa.mini": mini_rows,
    "fewshot": fewshot_rows,
    "speed": speed_rows,
}


def chosen(only: Sequence[str]) -> list[str]:
    """Names of suites: those asked for ("video_qa" means both of its parts), or all. Raises RequestError."""
    unknown = [name for name in only if not _named(name)]
    if unknown:
        raise RequestError(
            "suite_unknown", "No suite is called {name!r}; known are {known}.", name=unknown[0], known=list(SUITES)
        )
    return [name for name in SUITES if not only or any(name in _named(asked) for asked in only)]


def _named(asked: str) -> list[str]:
    return [name for name in SUITES if name == asked or name.split(".")[0] == asked]


def evaluate(harness: Harness, name: str, suites: Mapping[str, Suite] = SUITES) -> Rows:
    """The rows of one suite; where its data or tool is missing altogether, one skipped row of the suite's name."""
    return attempt(name, suites[name], harness)
