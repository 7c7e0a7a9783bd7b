"""A process of its own for untrusted bytes: a decoder that crashes, hangs or swells takes nothing else down.

Parent and child talk over two pipes. A message is a length (4 bytes, big-endian), that much JSON, and the bytes of the
arrays the JSON speaks of, so what the child says is never more than numbers and text: no pickle. The child writes no
files and has limited memory, where the system can see to that. It ends with its parent, and a lost one is replaced.

Where no process can be started, the functions run here.
"""

from __future__ import annotations

import atexit
import functools
import json
import math
import os
import signal
import struct
import subprocess
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Concatenate, ParamSpec, TypeVar

import numpy as np

from engines.errors import MediaError
from engines.media import reading
from engines.media.refusals import refusal
from engines.protocol import Clip, Metadata, Photo, Sound

P = ParamSpec("P")
R = TypeVar("R")

_PATIENCE_S = 300.0
"""How long one answer may take; the slowest honest one is a four-hour sound in one piece."""
_MEMORY_BYTES = 8 * 2**30
_TEXT_BYTES = 2**20
"""The JSON of one message; the largest honest one speaks of 256 frames."""
_N_IDLE = 2
"""Children kept waiting for the next file; more are started while more files are read at once."""

_ROOT = Path(__file__).resolve().parents[2]
# -P: the folder the program was started in, perhaps one of downloads, is no place to import from
_PROGRAM = "import sys; sys.path.insert(0, sys.argv[1]); from engines.media.child import serve; serve()"
_RECORDS: dict[str, type[Any]] = {
    record.__name__: record for record in (reading.MediaInfo, Metadata, Photo, Sound, Clip)
}
_NUMBERS = ("|u1", "<f4")


def apart(function: Callable[Concatenate[Path, P], R]) -> Callable[Concatenate[Path, P], R]:
    """A function of `reading`, run in a child. Raises MediaError also where the child dies or takes too long."""

    @functools.wraps(function)
    def call(path: Path, *args: P.args, **options: P.kwargs) -> R:
        with _borrowed() as child:
            if child is None:
                return function(path, *args, **options)
            return _value(child.ask(path, [function.__name__, _name(path), options]))

    return call


def apart_in_turn(function: Callable[Concatenate[Path, P], Iterator[R]]) -> Callable[Concatenate[Path, P], Iterator[R]]:
    """The same for a function that yields: each item is made when it is asked for."""

    @functools.wraps(function)
    def call(path: Path, *args: P.args, **options: P.kwargs) -> Iterator[R]:
        with _borrowed() as child:
            if child is None:
                yield from function(path, *args, **options)
                return
            answer = child.ask(path, [function.__name__, _name(path), options])
            while "item" in answer:
                try:
                    yield answer["item"]
                except BaseException:  # GeneratorExit: nobody wants the rest
                    child.let_go(path)
                    raise
                answer = child.ask(path, "next")
            _value(answer)

    return call


def _name(path: Path) -> str:
    return str(path.absolute())  # this process may have changed its folder since the child began


def _value(answer: dict[str, Any]) -> Any:
    if "refused" in answer:
        key, english, values = answer["refused"]
        raise MediaError(key, english, **values)
    if "defect" in answer:
        raise RuntimeError(f"reading failed in the child:\n{answer['defect']}")
    return answer["value"]


# --- the parent's side -------------------------------------------------------------------------------------------


class _Child:
    def __init__(self) -> None:
        self._parent = os.getpid()
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-c", _PROGRAM, str(_ROOT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        atexit.register(self.end)

    @property
    def is_ready(self) -> bool:
        return self._parent == os.getpid() and self.process.poll() is None  # a fork must not share its parent's child

    def ask(self, path: Path, message: object) -> dict[str, Any]:
        """Send a message and wait for the answer. A child that fails to give one is ended."""
        assert self.process.stdin is not None and self.process.stdout is not None
        patience = threading.Timer(_PATIENCE_S, self.process.kill)
        patience.daemon = True
        try:
            patience.start()
            _send(self.process.stdin, message)
            return _receive(self.process.stdout)
        except (OSError, EOFError, ValueError, LookupError) as error:  # it died, or says what it may not
            self.end()
            raise refusal("damaged", path) from error
        except BaseException:  # its answer would be taken for that to the next question
            self.end()
            raise
        finally:
            patience.cancel()

    def let_go(self, path: Path) -> None:
        """Have it drop what it is in the middle of."""
        try:
            self.ask(path, "stop")
        except (MediaError, RuntimeError):  # it is lost, or this is the interpreter's own end; `ask` has ended it
            return

    def end(self) -> None:
        atexit.unregister(self.end)
        if self._parent != os.getpid():
            return
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            try:
                if pipe is not None:
                    pipe.close()
            except OSError:  # what was still to be written goes nowhere
                continue


_idle: deque[_Child] = deque()  # its append and pop are atomic, and must be: a generator may be dropped at any moment


@contextmanager
def _borrowed() -> Iterator[_Child | None]:
    child = _waiting()
    if child is None:
        try:
            child = _Child()
        except OSError:  # no such thing as a process here
            yield None
            return
    try:
        yield child
    finally:
        if child.is_ready and len(_idle) < _N_IDLE:
            _idle.append(child)
        else:
            child.end()


def _waiting() -> _Child | None:
    while True:
        try:
            child = _idle.pop()
        except IndexError:
            return None
        if child.is_ready:
            return child
        child.end()


# --- the child's side --------------------------------------------------------------------------------------------


def serve() -> None:
    """Answer requests from standard input until it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is for the parent
    _limit()
    requests = sys.stdin.buffer
    with os.fdopen(os.dup(1), "wb") as answers:
        os.dup2(2, 1)  # whatever a library prints must not get between the answers
        try:
            while True:
                name, path, options = _receive(requests)
                _answer(requests, answers, name, Path(path), options)
        except (EOFError, BrokenPipeError):
            return


def _limit() -> None:
    try:
        import resource
    except ImportError:  # Windows
        return
    for limit, most in ((resource.RLIMIT_AS, _MEMORY_BYTES), (resource.RLIMIT_FSIZE, 0), (resource.RLIMIT_CORE, 0)):
        try:
            resource.setrlimit(limit, (most, most))
        except (OSError, ValueError):  # macOS takes no limit on memory
            continue


def _answer(requests: IO[bytes], answers: IO[bytes], name: str, path: Path, options: dict[str, Any]) -> None:
    try:
        result = getattr(reading, name)(path, **options)
        if isinstance(result, Iterator):
            for item in result:
                _send(answers, {"item": item})
                if _receive(requests) == "stop":
                    break
            result = None
        _send(answers, {"value": result})
    except MediaError as error:
        _send(answers, {"refused": error.parts()})
    except (EOFError, BrokenPipeError):  # the parent is gone
        raise
    except Exception:
        _send(answers, {"defect": traceback.format_exc()})


# --- messages ----------------------------------------------------------------------------------------------------


def _send(pipe: IO[bytes], message: object) -> None:
    arrays: list[np.ndarray] = []
    text = json.dumps(_plain(message, arrays)).encode()
    pipe.write(struct.pack(">I", len(text)) + text)
    for array in arrays:
        pipe.write(array.data)
    pipe.flush()


def _plain(value: Any, arrays: list[np.ndarray]) -> Any:
    if isinstance(value, np.ndarray):
        arrays.append(np.ascontiguousarray(value))
        return {"array": [value.dtype.str, *value.shape]}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, tuple(_RECORDS.values())):
        return {"record": type(value).__name__, "of": _plain(vars(value), arrays)}
    if isinstance(value, dict):
        return {key: _plain(item, arrays) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item, arrays) for item in value]
    return value


def _receive(pipe: IO[bytes]) -> Any:
    (n,) = struct.unpack(">I", _exactly(pipe, 4))
    if n > _TEXT_BYTES:
        raise ValueError(f"{n} bytes of text are not sent")
    return json.loads(_exactly(pipe, n), object_hook=functools.partial(_rich, pipe))


def _rich(pipe: IO[bytes], value: dict[str, Any]) -> Any:
    """Arrays and records for what stands for them. JSON is read in the order it was written, and so are the arrays."""
    if "array" in value:
        dtype, *shape = value["array"]
        if dtype not in _NUMBERS:
            raise ValueError(f"{dtype} is not sent")
        return np.frombuffer(_exactly(pipe, math.prod(shape) * int(dtype[2])), dtype).reshape(shape)
    if "record" in value:
        fields = {name: tuple(item) if isinstance(item, list) else item for name, item in value["of"].items()}
        return _RECORDS[value["record"]](**fields)
    return value


def _exactly(pipe: IO[bytes], n: int) -> bytearray:
    data = bytearray(n)
    view, n_read = memoryview(data), 0
    while n_read < n:
        n_now = pipe.readinto(view[n_read:])  # type: ignore[attr-defined]
        if not n_now:
            raise EOFError("the other side is gone")
        n_read += n_now
    return data
