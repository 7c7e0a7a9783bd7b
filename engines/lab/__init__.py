"""The lab: every idea of multimodal learning as an experiment on the product's own parts, live.

    from engines.lab import FusionRequest, experiment
    for findings in experiment(FusionRequest(operator=("concat", "attention"))):
        print(findings.n_done, findings.charts)

A request goes in, a stream of `Findings` comes out; the last one is done. Importing this loads no torch.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from engines.lab.findings import Cell, Chart, Curve, DataList, Dots, Findings, Map, Picture, Table
from engines.lab.requests import (
    EXPERIMENTS,
    AlignmentRequest,
    ExtractorsRequest,
    FusionRequest,
    LabRequest,
    MamlRequest,
    MultitaskRequest,
    name_of,
)
from engines.protocol import Cancel

if TYPE_CHECKING:
    from engines.lab.data.datasets import Material

__all__ = [
    "EXPERIMENTS",
    "AlignmentRequest",
    "Cell",
    "Chart",
    "Curve",
    "DataList",
    "Dots",
    "ExtractorsRequest",
    "Findings",
    "FusionRequest",
    "LabRequest",
    "MamlRequest",
    "Map",
    "MultitaskRequest",
    "Picture",
    "Table",
    "experiment",
    "name_of",
]


def experiment(
    request: LabRequest, material: Material | None = None, cancel: Cancel | None = None
) -> Iterator[Findings]:
    """Run it. material: of one's own, None for the written and spoken digits that come with the program.

    All of it is to be asked for in one thread, which computes alone meanwhile. Raises UserError for what a person can
    mend. Stopped, it ends with what it has found (`end` "cancelled").
    """
    from engines.lab.trainer import one_thread

    module: Any = importlib.import_module(f"engines.lab.{name_of(request)}")
    with one_thread():
        yield from module.run(request, material, cancel if cancel is not None else Cancel())
