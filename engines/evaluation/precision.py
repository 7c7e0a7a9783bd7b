"""What each number format costs and gains on this CPU: the same captions, transcripts and translations in each.

The weights are shipped as int8 rows. "int8" multiplies by them as they are, "mixed" too but for the sound tower, which
is in bfloat16; which of the two is taken depends on the CPU (`engines.device`). "float32" and "bfloat16" are the whole
model in that.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch

from engines import device as devices
from engines.archives import pairs, photos, speech
from engines.evaluation.bench import REASONS, Bench, Row, Rows, skipped
from engines.evaluation.metrics import bleu, cider, word_error_rate, word_errors
from engines.hosts.builtin import BuiltinHost
from engines.model import checkpoint
from engines.protocol import (
    CaptionRequest,
    CaptionResult,
    TranscribeRequest,
    TranscribeResult,
    TranslateRequest,
    TranslateResult,
)
from engines.text import normalise

N_ITEMS = 100
"""Photos, clips of speech and sentences; each part is measured on the same ones."""


FORMATS: Mapping[str, tuple[torch.dtype, bool]] = {
    "float32": (torch.float32, False),
    "int8": (torch.float32, True),
    "mixed": (torch.bfloat16, True),
    "bfloat16": (torch.bfloat16, False),
}
"""What `checkpoint.load` is given: its dtype, and int8."""


def precision_rows(bench: Bench, folder: Path | None = None) -> Rows:
    """`precision.<format>.{caption.cider,speech.word_error_rate,translation.bleu}`, each with its `.seconds` an item.

    folder: of the model, None for the one that comes with the program. Computed on the CPU.
    """
    rows: Rows = {}
    for name, (dtype, int8) in FORMATS.items():
        opened = checkpoint.load(checkpoint.BUILTIN if folder is None else folder, dtype=dtype, int8=int8)
        host = BuiltinHost(opened, choice=devices.choose("cpu", "float32"))
        try:
            for job in (_captions, _transcripts, _translations):
                try:
                    fresh = job(replace(bench, host=host))
                except REASONS as reason:
                    fresh = {job.__name__.strip("_"): skipped(reason)}
                rows |= {f"precision.{name}.{key}": row for key, row in fresh.items()}
        finally:
            host.close()
    return rows


def _captions(bench: Bench) -> Rows:
    records = bench.take([record for record in photos(bench.data, bench.split) if "en" in record.captions], N_ITEMS)
    media = [record.load() for record in records]
    started = time.perf_counter()
    written = [bench.ask(CaptionRequest(media=photo), CaptionResult).text for photo in media]
    seconds = (time.perf_counter() - started) / len(media)
    references = [[normalise(text, "en") for text in record.captions["en"]] for record in records]
    score = cider([normalise(text, "en") for text in written], references)
    return _rows("caption.cider", Row(score, len(media), "points"), seconds)


def _transcripts(bench: Bench) -> Rows:
    records = bench.take([record for record in speech(bench.data, bench.split) if record.language == "en"], N_ITEMS)
    media = [record.load() for record in records]
    started = time.perf_counter()
    written = [bench.ask(TranscribeRequest(media=sound, language="en"), TranscribeResult).text for sound in media]
    seconds = (time.perf_counter() - started) / len(media)
    texts = zip(written, records, strict=True)
    errors = [word_errors(normalise(text, "en"), normalise(record.text, "en")) for text, record in texts]
    return _rows("speech.word_error_rate", Row(word_error_rate(errors)[0], len(media)), seconds)


def _translations(bench: Bench) -> Rows:
    found = [pair for pair in pairs(bench.data, "en-de", bench.split) if pair.corpus == "multi30k"]
    own = bench.take(found, N_ITEMS)
    started = time.perf_counter()
    written = [
        bench.ask(TranslateRequest(text=pair.source, source="en", target="de"), TranslateResult).text for pair in own
    ]
    seconds = (time.perf_counter() - started) / len(own)
    return _rows("translation.bleu", Row(bleu(written, [[pair.target] for pair in own]), len(own), "points"), seconds)


def _rows(key: str, row: Row, seconds: float) -> Rows:
    return {key: row, f"{key.split('.')[0]}.seconds": Row(seconds, row.n, "s", note="mean of one item at a time")}
