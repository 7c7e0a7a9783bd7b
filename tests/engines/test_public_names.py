"""`from engines import ...` is all a program needs, and costs next to nothing until a host is opened."""

from __future__ import annotations

import subprocess
import sys

import engines
from engines.protocol import CaptionRequest


def test_every_public_name_is_there_and_they_are_sorted() -> None:
    constants = [name for name in engines.__all__ if name.isupper()]
    classes = [name for name in engines.__all__ if name[0].isupper() and not name.isupper()]
    functions = [name for name in engines.__all__ if name[0].islower()]
    assert engines.__all__ == sorted(constants) + sorted(classes) + sorted(functions)
    assert all(hasattr(engines, name) for name in engines.__all__)


def test_every_request_result_and_error_is_public() -> None:
    from engines import errors, protocol

    of_the_protocol = {name for name in vars(protocol) if name.endswith(("Request", "Result")) and name[0].isupper()}
    assert of_the_protocol | set(errors.__all__) <= set(engines.__all__)
    assert engines.CaptionRequest is CaptionRequest


def test_importing_engines_loads_no_torch_and_no_page() -> None:
    code = "import sys, engines; print([m for m in ('torch', 'gradio', 'av', 'studio') if m in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
