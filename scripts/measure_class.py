"""Measure a class on one shared studio: many runs of the Lab at once, taking turns in the page's queue.

    python -m scripts.measure_class --runs 30 --steps 20

Prints after how many seconds runs had their first point, and when they ended: the first, the median and the last.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from collections.abc import Callable
from statistics import median

from engines.background import FairQueue, Queued, follow
from engines.lab import EXPERIMENTS, Findings, FusionRequest, Watch, experiment
from engines.protocol import Cancel


def main() -> int:
    """Run them all and print the times."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--runs", type=int, default=30)
    options.add_argument("--steps", type=int, default=20)
    given = options.parse_args()
    EXPERIMENTS["fusion"].load()  # imports torch
    turns, firsts, ends = FairQueue(), list[float](), list[float]()
    began_s = time.monotonic()

    def attend(seed: int) -> None:
        request = FusionRequest(operator=("picture",), n_steps=given.steps, seed=seed)

        def work(emit: Callable[[Findings | Queued], None]) -> None:
            for found in experiment(request, watch=Watch()):
                emit(found)

        is_first = True
        for found in follow(work, Cancel(), queue=turns, every_s=0.25):
            if is_first and isinstance(found, Findings):
                firsts.append(time.monotonic() - began_s)
                is_first = False
        ends.append(time.monotonic() - began_s)

    pupils = [threading.Thread(target=attend, args=(seed,)) for seed in range(given.runs)]
    for pupil in pupils:
        pupil.start()
    for pupil in pupils:
        pupil.join()
    for name, times in (("first point", firsts), ("end", ends)):
        print(f"{name}: first {min(times):.1f} s, median {median(times):.1f} s, last {max(times):.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
