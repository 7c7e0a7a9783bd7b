"""Naming sounds without an event list: the label whose text lies nearest to the sound in the shared space."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from engines.archives import SoundRecord, sounds
from engines.evaluation.bench import REASONS, Bench, Row, Rows, selective_rows, skipped
from engines.evaluation.metrics import accuracy
from engines.media.refusals import MIN_SOUND_S
from engines.protocol import Sound
from engines.training.lexicon import sound_prompt


def _sound(record: SoundRecord) -> Sound:
    """A recording; one that is too short to say what it is has silence after it and counts like every other."""
    sound = record.load()
    missing = math.ceil(MIN_SOUND_S * sound.rate_hz) - len(sound.samples)
    return replace(sound, samples=np.pad(sound.samples, (0, missing))) if missing > 0 else sound


def sound_rows(bench: Bench) -> Rows:
    """`sound.<corpus>.accuracy`, among the labels of that corpus."""
    rows: Rows = {}
    records = sounds(bench.data, bench.split)
    for corpus in sorted({record.corpus for record in records}):
        whole = [record for record in records if record.corpus == corpus]
        labels = sorted({record.label for record in whole})
        own = bench.take(whole)
        try:
            texts = bench.vectors(labels, sound_prompt, "labels", against="sound")
            heard = bench.vectors(own, _sound, corpus)
        except REASONS as reason:
            rows[f"sound.{corpus}.accuracy"] = skipped(reason)
            continue
        guesses = [labels[i] for i in np.argmax(heard @ texts.T, axis=1)]
        right = [guess == record.label for guess, record in zip(guesses, own, strict=True)]
        value, interval = accuracy(sum(right), len(own))
        best = np.sort(heard @ texts.T, axis=1)
        rows |= selective_rows(f"doubt.sound.{corpus}", right, (best[:, -1] - best[:, -2]).tolist())
        note = f"nearest of {len(labels)} label texts; chance {100 / len(labels):.1f} %"
        rows[f"sound.{corpus}.accuracy"] = Row(value, len(own), interval=interval, note=note)
    return rows
