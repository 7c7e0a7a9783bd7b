"""Standard streams and signals of a command: UTF-8 output, a quiet end of a closed pipe, Ctrl-C within two seconds."""

from __future__ import annotations

import errno
import io
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from engines.errors import RequestError

STOPPED = 130
"""Exit code after Ctrl-C: 128 + SIGINT, as shells have it."""
CLOSED_PIPE = 141
"""Exit code when the reader of standard output has gone away (`| head`): 128 + SIGPIPE."""
GRACE_S = 1.5
"""Seconds between Ctrl-C and the hard end of the process, for a step of the model that cannot be interrupted."""


WRONG_USAGE = 2
"""Exit code of a wrong command line, as argparse has it."""

_OF_OUTPUT = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF})


class WrongUsage(RequestError):
    """A command line that no model can serve: an unknown language or format, options that exclude each other."""


@contextmanager
def usage() -> Iterator[None]:
    """Turn a RequestError raised in the block, before a model is opened, into WrongUsage."""
    try:
        yield
    except RequestError as error:
        key, english, values = error.parts()
        raise WrongUsage(key, english, **values) from None


def open_streams() -> None:
    """Replace standard streams that were closed before the program began (`<&-`), as a service's may be, by empty ones.

    Otherwise the next file opened would get the descriptor of one, and whatever a library prints would go into it.
    """
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(number)
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115, PTH123  (for the whole run)


def is_of_output(error: OSError) -> bool:
    """Whether an error says that standard output takes no more: those of files have a name."""
    return error.filename is None and error.errno in _OF_OUTPUT


def use_utf8() -> None:
    """Write UTF-8 whatever the console's encoding is; file names that are not text come out as the bytes they are."""
    for stream, errors in ((sys.stdout, "surrogateescape"), (sys.stderr, "backslashreplace")):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors=errors)


@contextmanager
def ends_on_ctrl_c(*, for_good: bool = False) -> Iterator[None]:
    """End the process within two seconds of Ctrl-C, whatever it is doing; at once on a second Ctrl-C.

    Python raises KeyboardInterrupt only between two bytecodes of the main thread, and a callback or `__del__` may
    swallow it. The wake-up descriptor is written by the signal handler itself, so a thread that waits for it knows of
    every Ctrl-C; it ends the process if the block has not ended by itself after `GRACE_S`. Collections and output
    files are written as a whole or not at all, so nothing finished is lost.

    for_good: the program is over after the block, so it is ended as well if it then waits for a thread that hangs.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    waiting, waking = socket.socketpair()
    waking.setblocking(False)
    before = signal.set_wakeup_fd(waking.fileno(), warn_on_full_buffer=False)
    threading.Thread(target=_end_late, args=(waiting, for_good), daemon=True).start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        waking.close()


def _end_late(waiting: socket.socket, for_good: bool) -> None:
    with waiting:
        while numbers := waiting.recv(16):
            if signal.SIGINT in numbers:
                break
        else:
            return
        waiting.settimeout(GRACE_S)
        end_s = time.monotonic() + GRACE_S
        with suppress(TimeoutError):
            while (numbers := waiting.recv(16)) and signal.SIGINT not in numbers:
                pass
            if not numbers:  # the block has ended
                if not for_good:
                    return
                time.sleep(max(0.0, end_s - time.monotonic()))
        with suppress(OSError):
            os.write(2, b"\nstopped\n")
        os._exit(STOPPED)


def forget_output() -> None:
    """Discard what is still buffered for a closed pipe, or Python would report it at exit."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
