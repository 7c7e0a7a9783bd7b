"""After a Ctrl-C a command is gone within the two seconds that are promised, whatever it hangs in."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from contextlib import suppress
from pathlib import Path

import pytest

from engines.cli import process
from tests.conftest import SAMPLES

SAMPLE = SAMPLES / "dog.jpg"
ROOT = Path(__file__).resolve().parents[3]
WAIT_S = 120
"""A guard against a hang, far longer than the two seconds, since a busy machine may take long to start a program."""

HANGS = {
    "a request that swallows it": """
        while True:
            try:
                threading.Event().wait()
            except KeyboardInterrupt:
                pass
    """,
    "a worker of a pool": """
        ThreadPoolExecutor(1).submit(threading.Event().wait)
        threading.Event().wait()
    """,
    "a thread": """
        threading.Thread(target=threading.Event().wait).start()
        threading.Event().wait()
    """,
    "the steps that close it": """
        try:
            threading.Event().wait()
        finally:
            threading.Event().wait()
    """,
    "a decoder": """
        media.probe(Path(sys.argv[1]))
        child._idle[0].process.send_signal(signal.SIGSTOP)
        media.probe(Path(sys.argv[1]))
    """,
}
PROGRAM = """
import signal, sys, threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from engines import media
from engines.cli import process
from engines.media import child

def begun():
    media.probe(Path(sys.argv[1]))
    print(child._idle[0].process.pid, flush=True)

with process.ends_on_ctrl_c(for_good=True):
    begun()
"""


class Ended(BaseException):
    """In place of the end of this process."""


@pytest.fixture
def steps(monkeypatch) -> list[object]:
    """What the watching thread does: its waits, and the end of the process."""
    done: list[object] = []

    def end(code: int) -> None:
        done.append(("end", code))
        raise Ended

    monkeypatch.setattr(os, "_exit", end)
    monkeypatch.setattr(os, "write", lambda *_: 0)
    return done


class Signals:
    """The socket on which signals arrive; what comes after the last is that the time is over."""

    def __init__(self, steps: list[object], *arrives: bytes) -> None:
        self._steps, self._arrives = steps, iter(arrives)

    def __enter__(self) -> Signals:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def settimeout(self, seconds: float) -> None:
        self._steps.append(("wait", seconds))

    def recv(self, _n: int) -> bytes:
        try:
            return next(self._arrives)
        except StopIteration:
            raise TimeoutError from None


INT, OTHER, BLOCK_ENDS = bytes([signal.SIGINT]), bytes([signal.SIGTERM]), b""


def test_the_hard_end_comes_before_the_two_seconds_are_over():
    assert process.GRACE_S < 2.0


@pytest.mark.parametrize(
    ("arrives", "done"),
    [
        ((INT,), [("wait", process.GRACE_S), ("end", process.STOPPED)]),
        ((OTHER, INT, OTHER), [("wait", process.GRACE_S), ("end", process.STOPPED)]),
        ((INT, INT), [("wait", process.GRACE_S), ("end", process.STOPPED)]),
        ((INT, BLOCK_ENDS), [("wait", process.GRACE_S)]),
        ((BLOCK_ENDS,), []),
    ],
    ids=["it hangs", "another signal", "a second one", "it ends by itself", "there was none"],
)
def test_the_process_is_ended_once_its_grace_is_over_and_only_after_a_ctrl_c(steps, arrives, done):
    with suppress(Ended):
        process._end_late(Signals(steps, *arrives), False)
    assert steps == done


def test_a_program_whose_block_has_ended_still_ends_when_its_grace_is_over(steps, monkeypatch):
    slept: list[float] = []
    monkeypatch.setattr(process.time, "sleep", slept.append)
    with pytest.raises(Ended):
        process._end_late(Signals(steps, INT, BLOCK_ENDS), True)
    assert steps == [("wait", process.GRACE_S), ("end", process.STOPPED)]
    assert len(slept) == 1 and 0 <= slept[0] <= process.GRACE_S


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="no SIGINT there")
@pytest.mark.parametrize("hang", HANGS.values(), ids=HANGS)
def test_a_program_is_gone_after_ctrl_c_although_something_hangs(hang):
    program_text = PROGRAM + textwrap.indent(textwrap.dedent(hang), "    ")
    command = [sys.executable, "-c", program_text, str(SAMPLE)]
    program = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=ROOT, text=True, env=os.environ
    )
    assert program.stdout is not None
    try:
        decoder = int(program.stdout.readline())
        program.send_signal(signal.SIGINT)
        assert program.wait(WAIT_S) in (process.STOPPED, -signal.SIGINT)
        left = Path(f"/proc/{decoder}/cmdline")
        deadline = time.monotonic() + WAIT_S
        while left.exists() and left.read_bytes():
            assert time.monotonic() < deadline, "the decoder outlives it"
            time.sleep(0.02)
    finally:
        program.kill()
