"""Generation with `transformers` in a thread: one text at a time, streamed as it grows, stopped between two tokens."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from typing import Any, TypeAlias, TypeVar

import torch
from transformers import StoppingCriteria, StoppingCriteriaList
from transformers.generation.streamers import BaseStreamer

from engines.hosts.results import Written

WAIT_S = 0.05
"""Interval at which a text that does not grow is yielded again, so that a stop is noticed."""

T = TypeVar("T")
Y = TypeVar("Y")
Work: TypeAlias = Callable[[dict[str, Any]], Any]
"""Calls a model's `generate` with what it is given on top of its own arguments."""


class _Streamer(BaseStreamer):
    """Puts token ids into a queue; the first call brings the prompt of models that have only a decoder."""

    def __init__(self, tokens: queue.Queue[list[int] | None], skip: int) -> None:
        self._tokens, self._skip = tokens, skip

    def put(self, value: torch.Tensor) -> None:
        if self._skip > 0:
            self._skip -= 1
            return
        self._tokens.put(value.reshape(-1).tolist())

    def end(self) -> None:
        """Nothing: the thread says when it is through."""


class _Stop(StoppingCriteria):
    def __init__(self, event: threading.Event) -> None:
        self._event = event

    def __call__(self, input_ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
        return torch.full((len(input_ids),), self._event.is_set(), dtype=torch.bool, device=input_ids.device)


def is_cut(ids: Sequence[int], n_new: int, ends: int | Sequence[int | None] | None) -> bool:
    """Whether a text stopped at its limit. ids: its tokens. ends: end-of-text tokens, as `eos_token_id` has them."""
    known = {ends} if isinstance(ends, int) else set(ends or ())
    return len(ids) >= n_new and known.isdisjoint(ids)


class GenerationLock:
    """Lets one generation of a model run at a time. The lock is held only while something is computed."""

    def __init__(self) -> None:
        self._turn = threading.Lock()

    def generate(self, work: Work, *, streams: bool = True) -> Generator[list[int]]:
        """Yield the token ids so far, at least every WAIT_S seconds; the last list is what `work` returned.

        work: called with "stopping_criteria" and, if it `streams`, "streamer" (which excludes beams). What it raises is
        raised here. Close the generator to stop early: that returns once the thread has ended, within a token. Left to
        the garbage collector it is closed as well, but a Ctrl-C that arrives meanwhile would be lost there; and a
        thread that still computes while Python shuts down aborts the process.
        """
        tokens: queue.Queue[list[int] | None] = queue.Queue()
        stop = threading.Event()
        ended: list[Any] = []

        def run() -> None:
            try:
                with self._turn, torch.inference_mode():
                    if not stop.is_set():
                        extra: dict[str, Any] = {"stopping_criteria": StoppingCriteriaList([_Stop(stop)])}
                        if streams:
                            extra["streamer"] = _Streamer(tokens, skip=1)
                        ended.append(work(extra))
            except BaseException as error:  # raised again where the ids are read
                ended.append(error)
            tokens.put(None)

        thread = threading.Thread(target=run, name="pretrained", daemon=False)  # Python waits for it before it ends
        thread.start()
        ids: list[int] = []
        try:
            yield ids
            while True:
                try:
                    more = tokens.get(timeout=WAIT_S)
                except queue.Empty:
                    more = []
                if more is None:
                    break
                ids = ids + more
                yield ids
        finally:
            stop.set()
            thread.join()
        if ended and isinstance(ended[0], BaseException):
            raise ended[0]
        if ended and isinstance(ended[0], torch.Tensor):
            yield ended[0].reshape(-1).tolist()

    def texts(
        self,
        model: Any,
        inputs: Mapping[str, Any],
        n_new: int,
        decode: Callable[[list[int]], str],
        ends: int | Sequence[int | None] | None,
        prompt: Sequence[int] = (),
    ) -> Generator[Written]:
        """Greedy decoding: the text as it grows; yielded often, even unchanged, so that a stop is noticed.

        n_new: maximum new tokens. decode: token ids -> text. ends: end-of-text tokens. prompt: token ids that a
        decoder-only model returns before its text.
        """
        options = {"max_new_tokens": n_new, "do_sample": False, "num_beams": 1}
        written, n_known = Written(), 0
        with closing(self.generate(lambda extra: model.generate(**inputs, **options, **extra))) as generation:
            for ids in generation:
                if len(ids) != n_known:
                    n_known = len(ids)
                    new = ids[len(prompt) :] if ids[: len(prompt)] == list(prompt) else ids
                    written = Written(decode(new).strip().rstrip("\ufffd"), is_cut(new, n_new, ends))
                yield written

    def run(self, work: Callable[[], T], meanwhile: Y) -> Generator[Y, None, T]:
        """Run work that cannot be stopped half-way: yield `meanwhile` until it is done, return what it returned."""
        found: list[T] = []
        with closing(self.generate(lambda _: found.append(work()), streams=False)) as waiting:
            for _ in waiting:
                yield meanwhile
        return found[0]

    def hold(self) -> threading.Lock:
        """The lock itself, to keep generations out: `with lock.hold(): ...`."""
        return self._turn
