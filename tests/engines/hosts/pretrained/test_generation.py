"""One text at a time, in a thread, stopped between tokens, its failures raised where it is read."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import torch

from engines.hosts.pretrained.generation import GenerationLock, is_cut


def counting(n: int, seen: list[int], gate: threading.Event | None = None) -> Any:
    """Work that writes 0 to n - 1, after a prompt of one, until it is stopped."""

    def work(extra: dict[str, Any]) -> torch.Tensor:
        ids = torch.zeros(1, 1, dtype=torch.long)
        extra["streamer"].put(ids)
        for i in range(n):
            if gate is not None:
                gate.wait(20)
            if bool(extra["stopping_criteria"](ids, None).all()):
                break
            seen.append(i)
            extra["streamer"].put(torch.tensor([i]))
        return torch.tensor([[9, *range(len(seen))]])

    return work


def test_a_text_grows_and_ends_as_the_model_returned_it():
    texts = list(GenerationLock().generate(counting(3, [])))
    assert texts[0] == [] and [0, 1, 2] in texts
    assert texts[-1] == [9, 0, 1, 2]


def test_closing_stops_the_generation_between_two_tokens_and_waits_for_its_thread():
    seen: list[int] = []
    gate = threading.Event()
    gate.set()
    generation = GenerationLock().generate(counting(10**9, seen, gate))
    next(generation)
    generation.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "pretrained"]


def test_the_second_waits_for_the_first():
    lock, gate = GenerationLock(), threading.Event()
    first, second = lock.generate(counting(2, [], gate)), lock.generate(counting(2, []))
    next(first)
    while not lock.hold().locked():
        pass
    assert next(second) == [] and next(second) == []
    gate.set()
    assert list(first)[-1] == [9, 0, 1]
    assert list(second)[-1] == [9, 0, 1]


def test_a_failure_is_raised_where_the_text_is_read():
    def work(_: dict[str, Any]) -> None:
        raise ValueError("no such token")

    with pytest.raises(ValueError, match="no such token"):
        list(GenerationLock().generate(work))


def test_work_in_one_piece_comes_back_and_the_lock_is_free_again():
    lock = GenerationLock()

    def read() -> Any:
        found = yield from lock.run(lambda: 42, "meanwhile")
        yield found

    heard = list(read())
    assert heard[-1] == 42 and set(heard[:-1]) == {"meanwhile"}
    assert not lock.hold().locked()


@pytest.mark.parametrize(
    ("ids", "ends", "cut"),
    [
        ([5, 6, 7], 2, True),
        ([5, 6, 2], 2, False),  # it ends of itself where it would have been cut
        ([5, 6], 2, False),  # it was stopped
        ([5, 6, 2], [1, 2], False),
        ([5, 6, 7], (None, 2), True),
        ([5, 6, 7], None, True),
    ],
)
def test_a_text_is_cut_that_reaches_its_limit_without_an_end(ids, ends, cut):
    assert is_cut(ids, 3, ends) is cut
