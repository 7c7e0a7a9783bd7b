"""Give speech transcripts without capitals the spelling and punctuation that Whisper hears.

    python -m scripts.truecase DATA RUN --whisper FOLDER

writes RUN/cased.json, which training reads (`engines.training.truecase`). The words of a reference never change. Where
Whisper (Radford et al. 2022), given the same clips in 30 s windows, writes the same word at the same place, its
spelling and punctuation are taken over. Short commands and corpora that Whisper hears badly are left to `as_sentence`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from pathlib import Path

import numpy as np
import torch

from engines.archives import SpeechRecord, speech
from engines.protocol import RATE_HZ
from engines.text import normalise
from engines.training.truecase import FILE

WINDOW_S = 28.0
PAUSE_S = 0.7
CORPORA = ("librispeech-dev-clean",)
"""Corpora with upper-case references that Whisper hears well (7.6 % word errors)."""


def copy_spelling(words: Sequence[str], heard: Sequence[str]) -> list[str]:
    """`words` (plain), each spelt as in `heard` where both sequences agree."""
    plain = [normalise(word, "en") for word in heard]
    out = list(words)
    matcher = SequenceMatcher(a=list(words), b=plain, autojunk=False)
    for a, b, n in matcher.get_matching_blocks():
        for i in range(n):
            if not any(c.isdigit() for c in heard[b + i]):  # a numeral would be another word
                out[a + i] = heard[b + i]
    return out


def windows(records: Sequence[SpeechRecord]) -> Iterator[tuple[list[SpeechRecord], np.ndarray]]:
    """Clips of one speaker joined to windows of up to WINDOW_S, with a pause between two."""
    pause = np.zeros(round(PAUSE_S * RATE_HZ), np.float32)
    window: list[SpeechRecord] = []
    parts: list[np.ndarray] = []
    n = 0
    for record in records:
        samples = record.load().samples
        if window and (n + len(samples) > WINDOW_S * RATE_HZ or record.speaker != window[-1].speaker):
            yield window, np.concatenate(parts)
            window, parts, n = [], [], 0
        window.append(record)
        parts += [samples, pause]
        n += len(samples) + len(pause)
    if window:
        yield window, np.concatenate(parts)


def split_window(clips: Sequence[SpeechRecord], heard: Sequence[str]) -> dict[str, str]:
    """Cased text by clip id, from the words heard in a window of several clips."""
    spelt = copy_spelling([word for clip in clips for word in clip.text.split()], heard)
    cased: dict[str, str] = {}
    for clip in clips:
        n = len(clip.text.split())
        line, spelt = " ".join(spelt[:n]), spelt[n:]
        line = line[:1].upper() + line[1:]
        cased[clip.id] = line if line[-1:] in ".!?" else f"{line.rstrip(',;:')}."
    return cased


@torch.inference_mode()
def truecase(records: Sequence[SpeechRecord], whisper: str, *, batch: int = 8) -> dict[str, str]:
    """Cased text by clip id, from a transformers Whisper (folder or hub name)."""
    from transformers import AutoTokenizer, WhisperFeatureExtractor, WhisperForConditionalGeneration

    model = WhisperForConditionalGeneration.from_pretrained(whisper, dtype=torch.bfloat16, use_safetensors=True).eval()
    extract = WhisperFeatureExtractor.from_pretrained(whisper)
    tokenizer = AutoTokenizer.from_pretrained(whisper)
    joined = list(windows(records))
    cased: dict[str, str] = {}
    for start in range(0, len(joined), batch):
        part = joined[start : start + batch]
        features = extract([s for _, s in part], sampling_rate=RATE_HZ, return_tensors="pt").input_features
        ids = model.generate(features.to(torch.bfloat16), language="en", task="transcribe", max_new_tokens=220)
        for (clips, _), line in zip(part, tokenizer.batch_decode(ids, skip_special_tokens=True), strict=True):
            cased |= split_window(clips, line.split())
        print(f"{start + len(part)} of {len(joined)} windows", flush=True)
    return cased


def main() -> None:
    parser = argparse.ArgumentParser(description="Give transcripts without capitals the spelling that Whisper hears.")
    parser.add_argument("data", type=Path)
    parser.add_argument("run", type=Path)
    parser.add_argument("--whisper", required=True, help="a transformers folder or hub name")
    args = parser.parse_args()
    cased = truecase([r for r in speech(args.data, "train") if r.corpus in CORPORA], args.whisper)
    (args.run / FILE).write_text(json.dumps(cased, indent=0))
    print(f"{len(cased)} transcripts in {args.run / FILE}")


if __name__ == "__main__":
    main()
