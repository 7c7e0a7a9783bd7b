"""Naming sounds without an event list: the label whose text lies nearest to the sound in the shared space."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from engines.archives import SoundRecord, sounds
from engines.evaluation.harness import Harness, Row, Rows, attempt, selective_rows
from engines.media.refusals import MIN_SOUND_S
from engines.protocol import Sound
from engines.training.lexicon import sound_prompt


def _sound(record: SoundRecord) -> Sound:
    """A recording; one that is too short to say what it is has silence after it and counts like every other."""
    sound = record.load()
    missing = math.ceil(MIN_SOUND_S * sound.rate_hz) - len(sound.samples)
    return replace(sound, samples=np.pad(sound.samples, (0, missing))) if missing > 0 else sound


def sound_rows(harness: Harness) -> Rows:
    """`sound.<corpus>.accuracy`, among the labels of that corpus."""
    rows: Rows = {}
    records = sounds(harness.data, harness.split)
    for corpus, own in harness.by_corpus(records):
        labels = sorted({record.label for record in records if record.corpus == corpus})
        rows |= attempt(f"sound.{corpus}.accuracy", _corpus_rows, harness, corpus, own, labels)
    return rows


def _corpus_rows(harness: Harness, corpus: str, records: list[SoundRecord], labels: list[str]) -> Rows:
    texts = harness.vectors(labels, sound_prompt, "labels", against="sound")
    similarity = harness.vectors(records, _sound, corpus) @ texts.T  # (sounds, labels)
    guesses = [labels[i] for i in similarity.argmax(1)]
    right = [guess == record.label for guess, record in zip(guesses, records, strict=True)]
    best = np.sort(similarity, axis=1)
    note = f"nearest of {len(labels)} label texts; chance {100 / len(labels):.1f} %"
    rows = selective_rows(f"doubt.sound.{corpus}", right, (best[:, -1] - best[:, -2]).tolist())
    return rows | {f"sound.{corpus}.accuracy": Row.accuracy(right, note)}
