"""Synthetic speech by espeak-ng or flite, for what the data has no voices for. Rows that rest on it say so."""

from __future__ import annotations

import shutil
import subprocess

from engines.archives import decode_sound
from engines.evaluation.metrics import MissingTool
from engines.protocol import Sound

VOICE = "espeak-ng en-us"
"""One plain voice, so that rows of different models compare; training hears many others beside it."""


def synthesise(text: str, voice: str = VOICE) -> Sound:
    """A text, spoken. voice: a program, espeak-ng or flite, and one of its voices. Raises MissingTool without it."""
    program, name = voice.split()
    path = shutil.which(program)
    if path is None:
        raise MissingTool(f"{program} is not installed")
    if program == "flite":
        command = [path, "-voice", name, "-t", text, "-o", "/dev/stdout"]
    else:
        command = [path, "-v", name, "--stdin", "--stdout"]
    spoken = subprocess.run(command, input=text.encode(), capture_output=True, check=True)
    return decode_sound(spoken.stdout, "synthetic speech")
