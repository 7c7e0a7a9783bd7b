"""The evaluation harness: the host and the data that are measured, and the rows that a suite returns."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ParamSpec, Protocol, TypeAlias, TypeVar

import numpy as np

from engines.archives import DatasetMissing
from engines.errors import UserError
from engines.evaluation.metrics import MissingTool, accuracy
from engines.protocol import (
    CaptionRequest,
    CaptionResult,
    EmbedRequest,
    EmbedResult,
    Host,
    Kind,
    Media,
    Request,
    Result,
    TranscribeRequest,
    TranscribeResult,
    TranslateRequest,
    TranslateResult,
    run,
)

T = TypeVar("T")
R = TypeVar("R", bound=Result)
P = ParamSpec("P")

REASONS = (DatasetMissing, MissingTool, UserError)
"""What makes a row a skipped one: data or a tool that is not there, a request the host does not serve."""


@dataclass(frozen=True)
class Row:
    """One measured number, or the reason why there is none.

    n: how many items it rests on. interval: where the true value lies with 95 % probability.
    """

    value: float | None
    n: int = 0
    unit: str = "%"
    interval: tuple[float, float] | None = None
    note: str = ""
    skipped: str = ""

    @classmethod
    def accuracy(cls, right: Sequence[bool], note: str = "") -> Row:
        """The percentage of true values with its interval."""
        value, interval = accuracy(sum(right), len(right))
        return cls(value, len(right), interval=interval, note=note)

    def plain(self) -> dict[str, Any]:
        """For JSON; what is empty is left out."""
        if self.value is None:
            return {"value": None, "skipped": self.skipped}
        row: dict[str, Any] = {"value": round(self.value, 4), "n": self.n, "unit": self.unit}
        if self.interval is not None:
            row["interval"] = [round(end, 2) for end in self.interval]
        return row | ({"note": self.note} if self.note else {})


SHARES = (60, 80)
"""Percent of a task's results, the most confident first, of which the accuracy is measured."""
Rows: TypeAlias = dict[str, Row]
"""Rows by their key, `task.dataset.metric`."""


def skipped(reason: Exception) -> Row:
    """A row without a value."""
    return Row(None, skipped=str(reason))


def attempt(key: str, measure: Callable[P, Rows], *args: P.args, **kwargs: P.kwargs) -> Rows:
    """The rows that `measure` returns; one skipped row `key` where data, a tool or an ability is missing."""
    try:
        return measure(*args, **kwargs)
    except REASONS as reason:
        return {key: skipped(reason)}


def selective_rows(key: str, right: Sequence[bool], confidences: Sequence[float | None]) -> Rows:
    """`<key>.accuracy_at_{60,80}`: accuracy of the 60 or 80 % of results that the host is most confident of."""
    known = [(value, mark) for value, mark in zip(confidences, right, strict=True) if value is not None]
    if not known or len(known) < len(right):
        reason = "the host gives no confidence"
        return {f"{key}.accuracy_at_{share}": Row(None, skipped=reason) for share in SHARES}
    known.sort(key=lambda item: -item[0])
    rows: Rows = {}
    for share in SHARES:
        marks = [mark for _, mark in known[: max(1, round(len(known) * share / 100))]]
        rows[f"{key}.accuracy_at_{share}"] = Row.accuracy(marks, "the most confident ones")
    return rows


class InCorpus(Protocol):
    """A record of the data that names the corpus it comes from."""

    @property
    def corpus(self) -> str: ...


C = TypeVar("C", bound=InCorpus)


@dataclass(frozen=True)
class Harness:
    """What is measured: a host on a split of a data folder. limit: most items of a row, None for the suite's own bound.

    corpora: of speech and translation only these, all if empty. seed: of everything drawn. quiet: no progress on
    stderr.
    """

    host: Host
    data: Path
    split: str
    limit: int | None = None
    seed: int = 0
    quiet: bool = False
    corpora: frozenset[str] = frozenset()

    def wants(self, corpus: str) -> bool:
        """Whether a corpus is to be measured."""
        return not self.corpora or corpus in self.corpora

    def take(self, items: Sequence[T], most: int | None = None) -> list[T]:
        """Evenly spread items, no more than the limit nor than `most`."""
        bounds = [bound for bound in (self.limit, most) if bound is not None]
        n = min([len(items), *bounds])
        return [items[i * len(items) // n] for i in range(n)]

    def by_corpus(self, records: Sequence[C], most: int | None = None) -> Iterator[tuple[str, list[C]]]:
        """Each corpus in alphabetical order with what `take` leaves of its records."""
        for corpus in sorted({record.corpus for record in records}):
            yield corpus, self.take([record for record in records if record.corpus == corpus], most)

    def each(self, items: Sequence[T], what: str) -> Iterator[T]:
        """The items one by one, with progress on stderr."""
        started = last = time.monotonic()
        for i, item in enumerate(items):
            now = time.monotonic()
            if not self.quiet and now - last > 10.0:
                last = now
                print(f"  {what}: {i} of {len(items)}, {now - started:.0f} s", file=sys.stderr, flush=True)
            yield item

    def ask(self, request: Request, kind: type[R]) -> R:
        """The host's last result. kind: the result type that belongs to the request."""
        result = run(self.host, request)
        if not isinstance(result, kind):
            raise TypeError(f"{self.host.info.name} answered a {type(request).__name__} with {type(result).__name__}")
        return result

    def caption(self, photo: Media, language: str = "en") -> CaptionResult:
        return self.ask(CaptionRequest(media=photo, language=language), CaptionResult)

    def transcribe(self, sound: Media, language: str | None = None) -> str:
        return self.ask(TranscribeRequest(media=sound, language=language), TranscribeResult).text

    def translate(self, text: str, source: str, target: str) -> str:
        return self.ask(TranslateRequest(text=text, source=source, target=target), TranslateResult).text

    def vectors(
        self, items: Sequence[T], load: Callable[[T], Media | str], what: str, *, against: Kind = "photo"
    ) -> np.ndarray:
        """(n, D) float32 unit vectors of what `load` brings in, one item at a time. against: as of EmbedRequest."""
        return np.stack([self.vector(load(item), against) for item in self.each(items, what)])

    def vector(self, media: Media | str, against: Kind = "photo") -> np.ndarray:
        """(D,) float32, length 1."""
        return self.ask(EmbedRequest(media=media, against=against), EmbedResult).vector
