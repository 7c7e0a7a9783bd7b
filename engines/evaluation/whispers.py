"""Real Whisper models (Radford et al. 2022) on the same speech in the same run: word errors, and seconds for 10 s."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from engines.archives import speech
from engines.evaluation.harness import REASONS, Harness, Row, Rows, skipped
from engines.evaluation.metrics import MissingTool, word_error_rate
from engines.evaluation.speech import MAX_CLIPS, errors_of
from engines.evaluation.speed import N_RUNS, median_s, ten_seconds
from engines.protocol import RATE_HZ, Sound

MAX_TOKENS = 200
"""Of a window of 30 s; Whisper's own bound is 224."""


class Whisper:
    """A transformers folder of Whisper, float32, greedy, its input filled up to 30 s as it is used to."""

    def __init__(self, folder: Path) -> None:
        try:
            import torch
            from transformers import AutoTokenizer, WhisperFeatureExtractor, WhisperForConditionalGeneration
        except ImportError as error:
            raise MissingTool("transformers is not installed") from error
        self.torch = torch
        model: Any = WhisperForConditionalGeneration
        self.model = model.from_pretrained(folder, dtype=torch.float32, use_safetensors=True).eval()
        self.extract = WhisperFeatureExtractor.from_pretrained(folder)
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.english_only = self.model.config.vocab_size < 51_865  # the multilingual ones have a token more

    def write(self, sound: Sound, language: str) -> str:
        features = self.extract(sound.samples, sampling_rate=RATE_HZ, return_tensors="pt").input_features
        about = {} if self.english_only else {"language": language, "task": "transcribe"}
        with self.torch.inference_mode():
            ids = self.model.generate(features, max_new_tokens=MAX_TOKENS, **about)
        text: str = self.tokenizer.decode(ids[0], skip_special_tokens=True)
        return text


def whisper_rows(harness: Harness, folders: Sequence[Path]) -> Rows:
    """`whispers.<folder>.<corpus>.word_error_rate` and `whispers.<folder>.transcribe.seconds`."""
    rows: Rows = {}
    for folder in folders:
        key = f"whispers.{folder.name}"
        try:
            whisper = Whisper(folder)
            records = [r for r in speech(harness.data, harness.split) if r.language == "en" or not whisper.english_only]
            sounds = ten_seconds(harness)
        except (*REASONS, OSError) as reason:
            rows[key] = skipped(reason)
            continue
        for corpus, own in harness.by_corpus(records, MAX_CLIPS):
            heard = harness.each(own, f"{folder.name}, {corpus}")
            errors = [errors_of(whisper.write(record.load(), record.language), record) for record in heard]
            rate, interval = word_error_rate(errors)
            note = "filled up to 30 s, greedy, float32"
            rows[f"{key}.{corpus}.word_error_rate"] = Row(rate, len(own), interval=interval, note=note)
        seconds = median_s([partial(whisper.write, sound, "en") for sound in sounds])
        rows[f"{key}.transcribe.seconds"] = Row(seconds, N_RUNS, "s", note="10 s of speech; median, one at a time")
    return rows
