"""`transformers serve` for real, on loopback and offline, with a checkpoint of ours."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

START_S, STOP_S = 180.0, 60.0
"""How long a busy machine may take; nothing is asserted about it."""


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """What to give to `open_host` for the checkpoint in a folder, while its server runs."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "transformers.cli.transformers", "serve", str(folder), "--device", "cpu"]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    with (folder.parent / "log").open("wb") as log:
        server = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port)], env=environment, stdout=log, stderr=log
        )
    try:
        patience = time.monotonic() + START_S
        while not _is_up(f"http://127.0.0.1:{port}/health"):
            told = (folder.parent / "log").read_text(errors="replace")
            assert server.poll() is None and time.monotonic() < patience, told
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}/v1#{folder}"
    finally:
        server.terminate()
        server.wait(STOP_S)


def _is_up(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5.0) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False
