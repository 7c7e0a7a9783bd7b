"""Synthetic speech from espeak-ng (Debian package, GPL-3; its output is free), for training and for marked test rows.

Many voices: the languages' accents times espeak's speaker variants, with rate and pitch drawn at random.
"""

from __future__ import annotations

import functools
import io
import shutil
import subprocess
import wave

import numpy as np

from engines.media import resample
from engines.protocol import Sound

ACCENTS = {
    "en": ("en-us", "en-gb", "en-gb-scotland", "en-gb-x-rp", "en-029"),
    "de": ("de",),
    "fr": ("fr", "fr-be", "fr-ch"),
    "zh": ("cmn-latn-pinyin",),  # Debian's plain cmn has no character dictionary; pinyin is spoken right
}
VARIANTS = ("", "+m1", "+m2", "+m3", "+m4", "+m5", "+m6", "+m7", "+f1", "+f2", "+f3", "+f4", "+f5", "+klatt", "+Annie")


@functools.cache
def espeak() -> str | None:
    """Where espeak-ng is, None where it is not installed."""
    return shutil.which("espeak-ng")


def speak(text: str, language: str, rng: np.random.Generator) -> Sound | None:
    """One sentence by a random voice; None when espeak-ng (or pypinyin, for Chinese) is missing or stays silent."""
    program = espeak()
    if program is None:
        return None
    if language == "zh":
        try:
            from pypinyin import Style, lazy_pinyin
        except ImportError:
            return None
        text = " ".join(lazy_pinyin(text, style=Style.TONE3, neutral_tone_with_five=True))
    accent = str(rng.choice(ACCENTS[language]))
    variant = str(rng.choice(VARIANTS)) if accent in ("en-us", "de", "fr", "cmn-latn-pinyin") else ""
    words_per_minute, pitch = int(165 * rng.uniform(0.85, 1.2)), int(rng.uniform(35, 65))
    done = subprocess.run(
        [program, "-v", accent + variant, "-s", str(words_per_minute), "-p", str(pitch), "--stdin", "--stdout"],
        input=text.encode(),
        capture_output=True,
        check=False,
    )
    if len(done.stdout) < 100:
        return None
    with wave.open(io.BytesIO(done.stdout)) as file:
        rate_hz = file.getframerate()
        # espeak writes to a pipe with an unknown length in the header: read what is there
        samples = np.frombuffer(done.stdout[44:][: len(done.stdout[44:]) // 2 * 2], "<i2").astype(np.float32) / 32768.0
    return Sound(resample(samples, rate_hz)) if len(samples) else None
