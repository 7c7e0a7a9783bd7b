"""Words in a picture, read by RapidOCR: PP-OCR's detector and recogniser as ONNX files that ship with the package.

The extra `ocr` brings it (`rapidocr`, `onnxruntime`); nothing else needs it. It reads print and neat handwriting in
Chinese, English and other languages of Latin script. `reading.stream_words` calls it in a child process, where each
picture has limited seconds and memory.

ONNX Runtime's packages send telemetry unless a variable forbids it, and nothing may leave the machine, so the variable
is set before it is imported.
"""

from __future__ import annotations

import importlib
import os
from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np

from engines.errors import Message

PACKAGES = ("rapidocr", "onnxruntime")
MAX_SIDE = 1280
"""Pixels of the longer side that is read: a phone's screenshot keeps letters of 12 pixels at it."""
MAX_LINES = 200
"""Lines read in one picture; each takes about 0.05 s of a core."""
LEAST_CONFIDENCE = 0.75
"""Minimum confidence of a line. In photos without text, textures are read as single characters, or with 0.5 to 0.71."""
LEAST_LETTERS = 2
MAX_THREADS = 4


def is_installed() -> bool:
    """Whether words in pictures can be read here."""
    importlib.invalidate_caches()  # it may have been installed since the start
    return all(find_spec(name) is not None for name in PACKAGES)


def missing() -> Message:
    """What to do where they cannot."""
    return Message(
        "note.ocr_missing",
        "Words in pictures are not read, for a package is missing: install it in Models & device, or with "
        "`python -m pip install {packages}` in the studio's environment.",
        packages=" ".join(PACKAGES),
    )


def lines_of(pixels: np.ndarray) -> tuple[str, ...]:
    """The lines written in a picture (H, W, 3) uint8, from top to bottom; () where the extra is not installed."""
    if not is_installed():
        return ()
    found = _reader()(np.ascontiguousarray(pixels[:, :, ::-1]))  # it takes blue first
    lines = zip(found.txts or (), found.scores or (), strict=True)
    sure = (" ".join(text.split()) for text, confidence in lines if confidence >= LEAST_CONFIDENCE)
    return tuple(line for line in sure if sum(letter.isalnum() for letter in line) >= LEAST_LETTERS)


@cache
def _reader() -> Any:
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    rapidocr = importlib.import_module("rapidocr")
    engine = "EngineConfig.onnxruntime"
    return rapidocr.RapidOCR(
        params={
            "Global.log_level": "critical",
            "Global.use_cls": False,  # it takes short upright words for ones upside down
            "Det.max_candidates": MAX_LINES,
            f"{engine}.intra_op_num_threads": min(MAX_THREADS, os.cpu_count() or 1),
            f"{engine}.inter_op_num_threads": 1,
        }
    )
