"""What each number format costs and gains on this CPU: the same captions, transcripts and translations in each.

The weights are shipped as int8 rows. "int8" multiplies by them as they are, "mixed" too but for the sound tower, which
is in bfloat16; which of the two is taken depends on the CPU (`engines.device`). "float32" and "bfloat16" are the whole
model in that.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import torch

from engines import device as devices
from engines.archives import pairs, photos, speech
from engines.evaluation.harness import Harness, Row, Rows, attempt
from engines.evaluation.metrics import bleu, cider, word_error_rate
from engines.evaluation.speech import errors_of
from engines.hosts.builtin import BuiltinHost
from engines.model import checkpoint
from engines.text import normalise

N_ITEMS = 100
"""Photos, clips of speech and sentences; each part is measured on the same ones."""
T = TypeVar("T")

FORMATS: Mapping[str, tuple[torch.dtype, bool]] = {
    "float32": (torch.float32, False),
    "int8": (torch.float32, True),
    "mixed": (torch.bfloat16, True),
    "bfloat16": (torch.bfloat16, False),
}
"""What `checkpoint.load` is given: its dtype, and int8."""


def precision_rows(harness: Harness, folder: Path | None = None) -> Rows:
    """`precision.<format>.{caption.cider,speech.word_error_rate,translation.bleu}`, each with its `.seconds` an item.

    folder: of the model, None for the one that comes with the program. Computed on the CPU.
    """
    tasks = {"caption": _captions, "speech": _transcripts, "translation": _translations}
    rows: Rows = {}
    for name, (dtype, int8) in FORMATS.items():
        opened = checkpoint.load(checkpoint.BUILTIN if folder is None else folder, dtype=dtype, int8=int8)
        host = BuiltinHost(opened, choice=devices.choose("cpu", "float32"))
        try:
            for task, measure in tasks.items():
                key = f"precision.{name}.{task}"
                rows |= attempt(key, measure, key, replace(harness, host=host))
        finally:
            host.close()
    return rows


def _captions(key: str, harness: Harness) -> Rows:
    described = [record for record in photos(harness.data, harness.split) if "en" in record.captions]
    records = harness.take(described, N_ITEMS)
    written, seconds = _timed(lambda photo: harness.caption(photo).text, [record.load() for record in records])
    references = [[normalise(text, "en") for text in record.captions["en"]] for record in records]
    score = cider([normalise(text, "en") for text in written], references)
    return {f"{key}.cider": Row(score, len(written), "points"), f"{key}.seconds": seconds}


def _transcripts(key: str, harness: Harness) -> Rows:
    english = [record for record in speech(harness.data, harness.split) if record.language == "en"]
    records = harness.take(english, N_ITEMS)
    written, seconds = _timed(lambda sound: harness.transcribe(sound, "en"), [record.load() for record in records])
    rate, _ = word_error_rate([errors_of(text, record) for text, record in zip(written, records, strict=True)])
    return {f"{key}.word_error_rate": Row(rate, len(written)), f"{key}.seconds": seconds}


def _translations(key: str, harness: Harness) -> Rows:
    found = [pair for pair in pairs(harness.data, "en-de", harness.split) if pair.corpus == "multi30k"]
    own = harness.take(found, N_ITEMS)
    written, seconds = _timed(lambda text: harness.translate(text, "en", "de"), [pair.source for pair in own])
    score = bleu(written, [[pair.target] for pair in own])
    return {f"{key}.bleu": Row(score, len(own), "points"), f"{key}.seconds": seconds}


def _timed(write: Callable[[T], str], items: Sequence[T]) -> tuple[list[str], Row]:
    """What is written for each item, and the mean seconds of one."""
    started = time.perf_counter()
    written = [write(item) for item in items]
    seconds = (time.perf_counter() - started) / len(items)
    return written, Row(seconds, len(items), "s", note="mean of one item at a time")
