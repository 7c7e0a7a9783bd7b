"""Transcripts as people write them: capitals and punctuation for references that come without.

The words of a reference are never changed. Where Whisper (Radford et al. 2022), listening to the same clips packed into
30 s windows, writes the same word at the same place, its spelling and the mark behind it are taken over; short
commands and sentences that Whisper hears badly get a capital and a full stop.

    python -m engines.training.casing DATA RUN --whisper FOLDER

keeps what Whisper made of them in RUN/cased.json.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from pathlib import Path

import numpy as np
import torch

from engines import archives
from engines.protocol import RATE_HZ
from engines.text import normalise

FILE = "cased.json"
WINDOW_S = 28.0
PAUSE_S = 0.7
TAUGHT = ("librispeech-dev-clean",)
"""Corpora of upper-case references that Whisper hears well (7.6 % word errors)."""


def is_cased(text: str) -> bool:
    """Whether a text has both small and capital letters, or a script without them."""
    return text != text.upper() and text != text.lower()


def as_sentence(text: str) -> str:
    """A capital first, "I" and single letters in capitals, a full stop: "x i sixty one" -> "X I sixty one."."""
    words = [word.upper() if re.fullmatch(r"[b-z]", word) else word for word in text.lower().split()]
    words = [f"I{word[1:]}" if re.fullmatch(r"i('\w+)?", word) else word for word in words]
    line = " ".join(words)
    return f"{line[:1].upper()}{line[1:]}."


def spell_like(words: Sequence[str], model: Sequence[str]) -> list[str]:
    """`words` (plain), each as in `model` (spelt) where both sequences agree."""
    plain = [normalise(word, "en") for word in model]
    out = list(words)
    matcher = SequenceMatcher(a=list(words), b=plain, autojunk=False)
    for a, b, n in matcher.get_matching_blocks():
        for i in range(n):
            if not any(c.isdigit() for c in model[b + i]):  # a numeral would be another word
                out[a + i] = model[b + i]
    return out


def packed(records: Sequence[archives.SpeechRecord]) -> Iterator[tuple[list[archives.SpeechRecord], np.ndarray]]:
    """Clips of one speaker in windows of up to 28 s, a pause between two."""
    pause = np.zeros(round(PAUSE_S * RATE_HZ), np.float32)
    window: list[archives.SpeechRecord] = []
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


@torch.inference_mode()
def taught(records: Sequence[archives.SpeechRecord], whisper: str, *, batch: int = 8) -> dict[str, str]:
    """Cased text by clip, with Whisper (a transformers folder or hub name) listening."""
    from transformers import AutoTokenizer, WhisperFeatureExtractor, WhisperForConditionalGeneration

    model = WhisperForConditionalGeneration.from_pretrained(whisper, dtype=torch.bfloat16, use_safetensors=True).eval()
    extract = WhisperFeatureExtractor.from_pretrained(whisper)
    tokenizer = AutoTokenizer.from_pretrained(whisper)
    windows = list(packed(records))
    found: dict[str, str] = {}
    for start in range(0, len(windows), batch):
        part = windows[start : start + batch]
        features = extract([s for _, s in part], sampling_rate=RATE_HZ, return_tensors="pt").input_features
        ids = model.generate(features.to(torch.bfloat16), language="en", task="transcribe", max_new_tokens=220)
        for (clips, _), line in zip(part, tokenizer.batch_decode(ids, skip_special_tokens=True), strict=True):
            found |= _cut(clips, line.split())
        print(f"casing: {start + len(part)} of {len(windows)} windows", flush=True)
    return found


def _cut(clips: Sequence[archives.SpeechRecord], heard: Sequence[str]) -> dict[str, str]:
    """What was heard in a window, laid over the words of its clips."""
    words = [word for clip in clips for word in clip.text.split()]
    spelt = spell_like(words, heard)
    found: dict[str, str] = {}
    for clip in clips:
        n = len(clip.text.split())
        line, spelt = " ".join(spelt[:n]), spelt[n:]
        line = line[:1].upper() + line[1:]
        found[clip.id] = line if line[-1:] in ".!?" else f"{line.rstrip(',;:')}."
    return found


def written(record: archives.SpeechRecord, known: dict[str, str]) -> str:
    """A clip's transcript as a person would write it. known: from `taught`."""
    if record.language != "en" or is_cased(record.raw):
        return record.raw
    return known.get(record.id) or as_sentence(record.text)


def kept(run: Path, records: Sequence[archives.SpeechRecord], whisper: str) -> dict[str, str]:
    """What is `taught` of records that have it, asked for once and kept in RUN."""
    path = run / FILE
    if not path.exists():
        path.write_text(json.dumps(taught([r for r in records if r.corpus in TAUGHT], whisper), indent=0))
    known: dict[str, str] = json.loads(path.read_text())
    return known


def main() -> None:
    parser = argparse.ArgumentParser(description="Give references without capitals the spelling Whisper hears.")
    parser.add_argument("data", type=Path)
    parser.add_argument("run", type=Path)
    parser.add_argument("--whisper", required=True, help="a transformers folder or hub name")
    args = parser.parse_args()
    print(f"{len(kept(args.run, archives.speech(args.data, 'train'), args.whisper))} were spelt")


if __name__ == "__main__":
    main()
