"""Decode untrusted bytes in a bounded pool of processes: one that crashes, hangs or swells costs one sentence.

Parent and child talk over two pipes. A message is a length (4 bytes, big-endian), that much JSON, and the bytes of the
arrays the JSON speaks of, so what the child says is never more than numbers and text: no pickle. The child writes no
files, has limited memory and, for each request, limited seconds of CPU by the size of the file, where the system can
see to that. It ends with its parent, and a lost one is replaced.

At most N_AT_ONCE requests start at a time; one that has gone on for a second makes room for the next and counts among
as many long ones, so a file that is slow to decode holds nobody up. Half-read streams keep their process between two
requests, at most N_STREAMS of them. Clients that wait take turns, and no client has the last place, so whoever sends
many heavy files keeps nobody else from the processes. A process is begun only where there is a place for it, so there
are never more than places for requests and streams. A `Stop` ends the processes that work for it at once.

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
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import IO, Any, Concatenate, ParamSpec, TypeVar

import numpy as np

from engines.errors import Cancelled, MediaError, Message
from engines.media import budget, photos, reading
from engines.media.refusals import refusal
from engines.protocol import Clip, Metadata, Photo, Sound, current_client

P = ParamSpec("P")
R = TypeVar("R")

MEMORY_BYTES = 3 * 2**30
"""Address space of one child. A third of it is libraries and thread stacks, so under 2 GiB are ever filled."""
TOGETHER_BYTES = 12 * 2**30
N_AT_ONCE = max(1, min(os.cpu_count() or 1, TOGETHER_BYTES // MEMORY_BYTES // 2))
"""Requests decoded at once that began less than LONG_S ago; as many older ones run beside them."""
LONG_S = 1.0
N_STREAMS = 16
"""Streams half-read at a time; further ones wait, as only their own readers notice."""
PATIENCE_S = 60.0
"""Seconds that an answer may take beyond its CPU limit: a disk or network may hang."""
TEXT_BYTES = 2**23
"""The JSON of one message; the longest honest one is a text file of a MiB."""
NICENESS = 5
"""Niceness of a child process: the model, which others wait for, comes first."""
N_IDLE = 2 * N_AT_ONCE
"""Maximum idle child processes: as many as there are places for requests."""

_ROOT = Path(__file__).resolve().parents[2]
# -P: the folder the program was started in, perhaps one of downloads, is no place to import from
_PROGRAM = "import sys; sys.path.insert(0, sys.argv[1]); from engines.media.child import serve; serve()"
_RECORDS: dict[str, type[Any]] = {
    record.__name__: record
    for record in (reading.MediaInfo, reading.SoundInfo, reading.Thumbnail, reading.Words, Metadata, Photo, Sound, Clip)
}
_NUMBERS = ("|u1", "<f4")


class Stop:
    """Ends the decoding that is done on its behalf, at once and for good. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._children: set[_Child] = set()
        self.is_set = False

    def set(self) -> None:
        with self._lock:
            self.is_set = True
            for child in self._children:
                child.process.kill()

    def watch(self, child: _Child) -> None:
        """Have a child killed by `set` from now on. Raises Cancelled where that has come already."""
        with self._lock:
            if self.is_set:
                raise Cancelled
            self._children.add(child)

    def leave(self, child: _Child) -> None:
        with self._lock:
            self._children.discard(child)


current_stop: ContextVar[Stop | None] = ContextVar("current_stop", default=None)
"""The stop that this thread's decoding obeys; None where nothing can stop it."""


def apart(function: Callable[Concatenate[Path, P], R]) -> Callable[Concatenate[Path, P], R]:
    """A function of `reading`, run in a child. Raises MediaError also where the child dies or takes too long."""

    @functools.wraps(function)
    def call(path: Path, *args: P.args, **options: P.kwargs) -> R:
        with _requests.turn(), _borrowed() as child:  # the place first, so there are no more processes than places
            if child is None:
                return function(path, *args, **options)
            return _value(child.ask(path, [function.__name__, _name(path), options], function.__name__))

    return call


def apart_in_turn(function: Callable[Concatenate[Path, P], Iterator[R]]) -> Callable[Concatenate[Path, P], Iterator[R]]:
    """The same for a function that yields: each item is made when it is asked for."""

    @functools.wraps(function)
    def call(path: Path, *args: P.args, **options: P.kwargs) -> Iterator[R]:
        with _streams.turn(), _borrowed() as child:
            if child is None:
                yield from function(path, *args, **options)
                return
            answer = child.ask_in_turn(path, [function.__name__, _name(path), options], function.__name__)
            while "item" in answer:
                try:
                    yield answer["item"]
                except BaseException:  # GeneratorExit: nobody wants the rest
                    child.let_go(path)
                    raise
                answer = child.ask_in_turn(path, "next", function.__name__)
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


class Places:
    """Places to decode in, for which clients take turns; one of them is always left for another client.

    n: places of requests that have just begun. n_long: as many that have gone on for LONG_S move on to these.
    """

    def __init__(self, n: int, n_long: int = 0) -> None:
        self.n_free, self.n_free_long, self._n_long = n, n_long, n_long
        self._most = max(1, n + n_long - 1)
        self._held: Counter[str] = Counter()
        self._waiting: dict[str, deque[object]] = {}  # by client, the next one's turn first
        self._changed = threading.Condition()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for a place and hold it. Raises Cancelled where a stop comes first."""
        client = current_client.get()
        self._wait(client)
        is_held, is_long = True, False

        def move_on() -> None:
            nonlocal is_long
            with self._changed:
                if is_held and self.n_free_long:
                    self.n_free_long -= 1
                    self.n_free += 1
                    is_long = True
                    self._changed.notify_all()

        timer = threading.Timer(LONG_S, move_on)
        timer.daemon = True
        if self._n_long:
            timer.start()
        try:
            yield
        finally:
            timer.cancel()
            with self._changed:
                is_held = False
                if is_long:
                    self.n_free_long += 1
                else:
                    self.n_free += 1
                self._held[client] -= 1
                if not self._held[client]:
                    del self._held[client]
                self._changed.notify_all()

    def _wait(self, client: str) -> None:
        me, stop = object(), current_stop.get()
        with self._changed:
            queue = self._waiting.setdefault(client, deque())
            queue.append(me)
            try:
                while self.n_free == 0 or self._next() is not me:
                    self._changed.wait(0.1)
                    if stop is not None and stop.is_set:
                        raise Cancelled
                self.n_free -= 1
                self._held[client] += 1
                del self._waiting[client]  # the others' turns come before its next one
                self._waiting[client] = queue
            finally:
                queue.remove(me)
                if not queue:
                    del self._waiting[client]
                self._changed.notify_all()

    def _next(self) -> object:
        """Whose turn it is: the first of the clients' first, those aside that hold all but the last place."""
        return next((queue[0] for client, queue in self._waiting.items() if self._held[client] < self._most), None)


_requests = Places(N_AT_ONCE, N_AT_ONCE)
_streams = Places(N_STREAMS)


class _Child:
    def __init__(self) -> None:
        self._parent = os.getpid()
        self._is_given_up = False
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

    def ask(self, path: Path, message: object, function: str = "") -> dict[str, Any]:
        """Send a message and wait for the answer, in a place held. A child that gives none is ended.

        function: of `reading`, by which the seconds it may take are counted. Raises MediaError, Cancelled.
        """
        assert self.process.stdin is not None and self.process.stdout is not None
        patience = threading.Timer(PATIENCE_S + budget.seconds(path, function), self._give_up)
        patience.daemon = True
        try:
            patience.start()
            _send(self.process.stdin, message)
            return _receive(self.process.stdout)
        except (OSError, EOFError, ValueError, LookupError, TypeError) as error:  # it died, or says what it may not
            self.end()
            stop = current_stop.get()
            if stop is not None and stop.is_set:
                raise Cancelled from error
            why = "too_slow" if self._is_out_of_time else "took_too_long" if self._is_given_up else "damaged"
            raise refusal(why, path) from error
        except BaseException:  # its answer would be taken for that to the next question
            self.end()
            raise
        finally:
            patience.cancel()

    def ask_in_turn(self, path: Path, message: object, function: str = "") -> dict[str, Any]:
        """The same, once there is a place for it."""
        with _requests.turn():
            return self.ask(path, message, function)

    def _give_up(self) -> None:
        self._is_given_up = True
        self.process.kill()

    @property
    def _is_out_of_time(self) -> bool:
        """Whether the system ended it at its CPU limit."""
        return hasattr(signal, "SIGXCPU") and self.process.returncode == -signal.SIGXCPU

    def let_go(self, path: Path) -> None:
        """Make it drop the stream that it is reading."""
        try:
            self.ask_in_turn(path, "stop")
        except (
            Cancelled,
            MediaError,
            RuntimeError,
        ):  # lost, or the interpreter ends
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
    """A child to read one file with, None where no process can be started. Raises Cancelled."""
    child = _waiting()
    if child is None:
        try:
            child = _Child()
        except OSError:  # no such thing as a process here
            yield None
            return
    stop = current_stop.get()
    try:
        if stop is not None:
            stop.watch(child)
        yield child
    finally:
        if stop is not None:
            stop.leave(child)
        if child.is_ready and len(_idle) < N_IDLE and not (stop is not None and stop.is_set):
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
    photos.lift_pillows_limit()  # a large JPEG is scaled while it is read; bombs are refused by our own limits
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
    os.nice(NICENESS)
    for limit, most in ((resource.RLIMIT_AS, MEMORY_BYTES), (resource.RLIMIT_FSIZE, 0), (resource.RLIMIT_CORE, 0)):
        try:
            resource.setrlimit(limit, (most, most))
        except (OSError, ValueError):  # macOS takes no limit on memory
            continue


def _answer(requests: IO[bytes], answers: IO[bytes], name: str, path: Path, options: dict[str, Any]) -> None:
    try:
        budget.begin(path, name)
        result = getattr(reading, name)(path, **options)
        if isinstance(result, Iterator):
            for item in result:
                _send(answers, {"item": item})
                if _receive(requests) == "stop":
                    break
                budget.begin(path, name)
            result = None
        _send(answers, {"value": result})
    except MediaError as error:
        _send(answers, {"refused": error.parts()})
    except MemoryError:
        _send(answers, {"refused": refusal("too_much_memory", path).parts()})
    except (EOFError, BrokenPipeError):  # the parent is gone
        raise
    except Exception:
        _send(answers, {"defect": traceback.format_exc()})


# --- messages ----------------------------------------------------------------------------------------------------


def _send(pipe: IO[bytes], message: object) -> None:
    arrays: list[np.ndarray] = []
    text = json.dumps(_plain(message, arrays), ensure_ascii=False).encode(errors="surrogatepass")
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
    if isinstance(value, Message):
        return {"message": value.key, "english": value.english, "values": _plain(value.values, arrays)}
    if isinstance(value, tuple(_RECORDS.values())):
        return {"record": type(value).__name__, "of": _plain(vars(value), arrays)}
    if isinstance(value, dict):
        return {key: _plain(item, arrays) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item, arrays) for item in value]
    return value


def _receive(pipe: IO[bytes]) -> Any:
    (n,) = struct.unpack(">I", _exactly(pipe, 4))
    if n > TEXT_BYTES:
        raise ValueError(f"{n} bytes of text are not sent")
    return json.loads(_exactly(pipe, n), object_hook=functools.partial(_rich, pipe))


def _rich(pipe: IO[bytes], value: dict[str, Any]) -> Any:
    """Arrays and records for what stands for them. JSON is read in the order it was written, and so are the arrays."""
    if "array" in value:
        dtype, *shape = value["array"]
        if dtype not in _NUMBERS:
            raise ValueError(f"{dtype} is not sent")
        return np.frombuffer(_exactly(pipe, math.prod(shape) * int(dtype[2])), dtype).reshape(shape)
    if "message" in value:
        return Message(value["message"], value["english"], **value["values"])
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
