"""What each part's precision costs and gains: all in float32, one part at a time in bfloat16, all in bfloat16.

The weights are shipped as int8 rows. A CPU that knows bfloat16 computes with it, others with float32; the logits are
int8 products in all but "logits_float32". Here the same captions, transcripts and translations are made in each way.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from engines import device as devices
from engines.archives import pairs, photos, speech
from engines.evaluation.bench import REASONS, Bench, Row, Rows, skipped
from engines.evaluation.metrics import bleu, cider, word_error_rate, word_errors
from engines.hosts.builtin import BuiltinHost
from engines.model import checkpoint
from engines.model.fusion import FusionModel
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


class InBfloat16(nn.Module):
    """A module computed in bfloat16 among others in float32."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module.to(torch.bfloat16)

    def forward(self, *values: Any) -> Any:
        return _cast(self.module(*(_cast(value, torch.bfloat16) for value in values)), torch.float32)


def _cast(value: Any, dtype: torch.dtype) -> Any:
    """Every floating tensor among (lists and tuples of) values to a type."""
    if isinstance(value, torch.Tensor):
        return value.to(dtype) if value.is_floating_point() else value
    return type(value)(_cast(item, dtype) for item in value) if isinstance(value, list | tuple) else value


def _float32(model: FusionModel) -> None:
    pass


def _bfloat16(model: FusionModel) -> None:
    model.to(torch.bfloat16)


def _float32_logits(model: FusionModel) -> None:
    model.decoder.int8 = None


def _bfloat16_picture(model: FusionModel) -> None:
    model.picture = InBfloat16(model.picture)  # type: ignore[assignment]


def _bfloat16_sound(model: FusionModel) -> None:
    model.sound = InBfloat16(model.sound)  # type: ignore[assignment]


def _bfloat16_text(model: FusionModel) -> None:
    model.text = InBfloat16(model.text)  # type: ignore[assignment]


def _bfloat16_decoder(model: FusionModel) -> None:
    model.decoder.blocks = nn.ModuleList(InBfloat16(block) for block in model.decoder.blocks)


CHANGES: Mapping[str, Callable[[FusionModel], None]] = {
    "float32": _float32,
    "logits_float32": _float32_logits,
    "picture_bfloat16": _bfloat16_picture,
    "sound_bfloat16": _bfloat16_sound,
    "text_bfloat16": _bfloat16_text,
    "decoder_bfloat16": _bfloat16_decoder,
    "bfloat16": _bfloat16,
}


def precision_rows(bench: Bench, folder: Path | None = None) -> Rows:
    """`precision.<change>.{caption.cider,speech.word_error_rate,translation.bleu}`, each with its `.seconds` an item.

    folder: of the model, None for the one that comes with the program. Computed on the CPU.
    """
    rows: Rows = {}
    for name, change in CHANGES.items():
        opened = checkpoint.load(checkpoint.BUILTIN if folder is None else folder, int8=True)
        change(opened.model)
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
