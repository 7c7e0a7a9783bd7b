"""The Lab: the ideas of multimodal learning as experiments on the product's own parts.

    from engines.lab import FusionRequest, experiment
    for findings in experiment(FusionRequest(operator=("concat", "attention"))):
        print(findings.n_done, findings.charts)

A request goes in, a stream of `Findings` comes out; the last one is done. Importing this loads no torch.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from engines.lab.base import EXPERIMENTS, Entry, Experiment, name_of
from engines.lab.findings import (
    Cell,
    Chart,
    Curve,
    DatasetRecord,
    Dots,
    Findings,
    Map,
    Network,
    Part,
    Picture,
    Table,
    Watch,
)
from engines.lab.requests import (
    AlignmentRequest,
    ExtractorsRequest,
    FusionRequest,
    LabRequest,
    MamlRequest,
    MultitaskRequest,
)
from engines.protocol import Cancel

if TYPE_CHECKING:
    from engines.lab.data.datasets import Dataset

__all__ = [
    "EXPERIMENTS",
    "AlignmentRequest",
    "Cell",
    "Chart",
    "Curve",
    "DatasetRecord",
    "Dots",
    "Entry",
    "Experiment",
    "ExtractorsRequest",
    "Findings",
    "FusionRequest",
    "LabRequest",
    "MamlRequest",
    "Map",
    "MultitaskRequest",
    "Network",
    "Part",
    "Picture",
    "Table",
    "Watch",
    "experiment",
    "name_of",
]


def experiment(
    request: LabRequest,
    dataset: Dataset | None = None,
    cancel: Cancel | None = None,
    watch: Watch | None = None,
) -> Iterator[Findings]:
    """Run an experiment. dataset: a person's own, None for the digits and characters that come with the program.
    watch: an example that the network is drawn for while it trains; it changes nothing about the results.

    Consume the iterator in one thread: torch uses a single thread meanwhile. Raises UserError for what a person can
    correct. A cancelled run ends with what it has found so far (`end` is "cancelled").
    """
    from engines.lab.trainer import one_thread

    with one_thread():
        cancel = cancel if cancel is not None else Cancel()
        yield from EXPERIMENTS[name_of(request)].load().run(request, dataset, cancel, watch)
