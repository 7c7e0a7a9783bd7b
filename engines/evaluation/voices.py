"""Synthetic speech by espeak-ng, for what the data has no voices for. Rows that rest on it say so."""

from __future__ import annotations

import shutil
import subprocess

from engines.archives import decode_sound
from engines.evaluation.metrics import MissingTool
from engines.protocol import Sound

VOICES = {"en": "en-us", "de": "de", "fr": "fr"}
"""Chinese is left out: Debian's espeak-ng reads characters as English letters."""


def synthesise(text: str, language: str) -> Sound:
    """A text, spoken. Raises MissingTool where espeak-ng is not installed."""
    program = shutil.which("espeak-ng")
    if program is None:
        raise MissingTool("espeak-ng is not installed")
    spoken = subprocess.run(
        [program, "-v", VOICES[language], "--stdin", "--stdout"], input=text.encode(), capture_output=True, check=True
    )
    return decode_sound(spoken.stdout, "synthetic speech")
