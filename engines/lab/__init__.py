"""The Lab: the ideas of multimodal learning as experiments on the product's own parts.

    from engines.lab import FusionRequest, experiment
    for findings in experiment(FusionRequest(operator=("concat", "attention"))):
        print(findings.n_done, findings.charts)

A request goes in, a stream of `Findings` comes out; the last one is done. Importing this loads no torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

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
    import numpy as np

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


# --- experiments -----------------------------------------------------------------------------------------------------

Asked = TypeVar("Asked", bound=LabRequest, contravariant=True)
Registered = TypeVar("Registered", bound=LabRequest)


class Experiment(Protocol[Asked]):
    """A module that trains models and measures them. dataset: None for the one that comes with the program."""

    def run(
        self, request: Asked, dataset: Dataset | None, cancel: Cancel, watch: Watch | None, /
    ) -> Iterator[Findings]:
        """Train and measure; the last findings are done. Raises RequestError. Stopped, it ends as "cancelled".

        watch: the example that the network is drawn for; None to draw nothing.
        """

    def measure(
        self, request: Asked, dataset: Dataset | None, weights: Mapping[str, np.ndarray], /
    ) -> tuple[Table, ...]:
        """The tables of a finished run again, from its weights."""


class Drawn(Experiment[Asked], Protocol[Asked]):
    """An experiment whose networks can be drawn."""

    def networks(self, request: Asked, /) -> tuple[str, ...]:
        """The names of the models it trains, in order."""

    def draw(
        self, request: Asked, dataset: Dataset | None, weights: Mapping[str, np.ndarray], name: str, watch: Watch, /
    ) -> Network:
        """One model as it reads the watched example. weights: of a finished run; empty for the untrained model."""


@dataclass(frozen=True)
class Entry(Generic[Registered]):
    """An experiment in the registry. load: imports its module, and torch with it; drawn: the same, where its networks
    can be drawn."""

    request: type[Registered]
    load: Callable[[], Experiment[Registered]]
    drawn: Callable[[], Drawn[Registered]] | None = None


def _extractors() -> Drawn[ExtractorsRequest]:
    from engines.lab import extractors

    return extractors


def _fusion() -> Drawn[FusionRequest]:
    from engines.lab import fusion

    return fusion


def _alignment() -> Drawn[AlignmentRequest]:
    from engines.lab import alignment

    return alignment


def _multitask() -> Drawn[MultitaskRequest]:
    from engines.lab import multitask

    return multitask


def _maml() -> Drawn[MamlRequest]:
    from engines.lab import maml

    return maml


EXPERIMENTS: Mapping[str, Entry[Any]] = {
    "extractors": Entry(ExtractorsRequest, _extractors, _extractors),
    "fusion": Entry(FusionRequest, _fusion, _fusion),
    "alignment": Entry(AlignmentRequest, _alignment, _alignment),
    "multitask": Entry(MultitaskRequest, _multitask, _multitask),
    "maml": Entry(MamlRequest, _maml, _maml),
}


def name_of(request: LabRequest) -> str:
    """The name of the experiment that a request is for."""
    return next(name for name, entry in EXPERIMENTS.items() if type(request) is entry.request)


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
