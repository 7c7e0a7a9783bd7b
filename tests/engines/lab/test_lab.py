import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch

from engines.lab import Cancel, ExtractorsRequest, Findings, experiment
from tests.engines.lab.trials import assert_same, last

QUICK = ExtractorsRequest(modality="text", n_steps=10)


def test_a_stop_before_the_start_ends_it_at_its_first_step():
    cancel = Cancel()
    cancel.set()
    *_, end = experiment(QUICK, cancel=cancel)
    assert end.end == "cancelled" and end.n_done == 1 and not end.charts


def test_two_runs_at_once_do_not_disturb_each_other():
    alone = {seed: last(replace(QUICK, seed=seed)) for seed in (1, 2)}
    beside: dict[int, Findings] = {}

    def run(seed: int) -> None:
        beside[seed] = last(replace(QUICK, seed=seed))

    threads = [threading.Thread(target=run, args=(seed,)) for seed in alone]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        torch.rand(10)  # somebody else draws numbers meanwhile
    for seed, found in alone.items():
        assert_same(found, beside[seed])


def test_a_run_leaves_the_random_numbers_of_others_as_they_were():
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    last(QUICK)
    assert torch.equal(torch.rand(3), wanted)


@pytest.mark.parametrize("leave", ["early", "at the end"])
def test_threads_are_given_back_however_it_ends(leave):
    torch.set_num_threads(2)
    try:
        stream: Iterator[Findings] = experiment(QUICK)
        next(stream)
        assert torch.get_num_threads() == 1
        if leave == "early":
            stream.close()
        else:
            list(stream)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)
