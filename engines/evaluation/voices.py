"""Synthetic speech by espeak-ng, for what the data has no voices for. Rows that rest on it say so."""

from __future__ import annotations

import shutil
import subprocess

from engines.archives import decode_sound
from engines.evaluation.metrics import MissingTool
from engines.protocol import Sound

VOICE = "espeak-ng en-us"
"""One plain voice, so that rows of different models compare; training hears many others beside it."""


def synthesise(text: str) -> Sound:
    """An English text, spoken. Raises MissingTool where espeak-ng is not installed."""
    program, voice = VOICE.split()
    path = shutil.which(program)
    if path is None:
        raise MissingTool(f"{program} is not installed")
    spoken = subprocess.run(
        [path, "-v", voice, "--stdin", "--stdout"], input=text.encode(), capture_output=True, check=True
    )
    return decode_sound(spoken.stdout, "synthetic speech")
