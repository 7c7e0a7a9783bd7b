"""Seconds per job, one at a time, beside peers' architectures in the same run on the same machine."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import pairwise

import numpy as np

from engines.archives import pairs, photos, speech
from engines.evaluation.harness import Harness, Row, Rows, attempt
from engines.evaluation.peers import PEERS
from engines.protocol import (
    RATE_HZ,
    CaptionRequest,
    CaptionResult,
    EmbedRequest,
    Host,
    Photo,
    Request,
    Sound,
    TranscribeRequest,
    TranslateRequest,
    run,
)

N_RUNS = 5
"""Timed runs of a job, after one that is not; each on media of its own, so that no cache answers."""

SPEECH_S = 10.0


def speed_rows(harness: Harness, *, reopen: Callable[[], Host] | None = None, with_peers: bool = False) -> Rows:
    """`speed.<job>.seconds`, medians; `reopen` opens the host anew, to time that too."""
    rows: Rows = {}
    jobs: dict[str, Callable[[Harness], list[Request]]] = {
        "caption": lambda b: [CaptionRequest(media=photo) for photo in _photos(b)],
        "transcribe": lambda b: [TranscribeRequest(media=sound, language="en") for sound in ten_seconds(b)],
        "translate": lambda b: [TranslateRequest(text=text, source="en", target="de") for text in _sentences(b)],
        "photo_vector": lambda b: [EmbedRequest(media=photo) for photo in _photos(b, shift=1)],
        "text_vector": lambda b: [EmbedRequest(media=text) for text in _sentences(b)],
    }
    for job, requests in jobs.items():
        rows |= attempt(f"speed.{job}.seconds", _job_rows, harness, job, requests)
    key = "speed.caption_first_word.seconds"
    rows |= attempt(key, _first_word_rows, harness, key)
    rows["speed.peak_memory.megabytes"] = _memory_row()
    if reopen is not None:
        rows["speed.load.seconds"] = _load_row(reopen)
    for name, peer in PEERS.items() if with_peers else ():
        key = f"speed.{name}.seconds"
        rows |= attempt(key, _peer_rows, key, peer)
    return rows


def _job_rows(harness: Harness, job: str, requests: Callable[[Harness], list[Request]]) -> Rows:
    seconds = median_s([partial(run, harness.host, request) for request in requests(harness)])
    rows = {f"speed.{job}.seconds": Row(seconds, N_RUNS, "s", note="median, one at a time")}
    if job == "transcribe":
        rows["speed.transcribe.real_time_factor"] = Row(seconds / SPEECH_S, N_RUNS, "", note="10 s of speech")
    return rows


def median_s(jobs: Sequence[Callable[[], object]]) -> float:
    """Seconds of a job: the median of all but the first, which warms up."""
    jobs[0]()
    times = []
    for job in jobs[1:]:
        started = time.perf_counter()
        job()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def _first_word_rows(harness: Harness, key: str) -> Rows:
    """How long a caption's first word takes to appear."""

    def first_word(photo: Photo) -> None:
        for result in harness.host.stream(CaptionRequest(media=photo)):
            if isinstance(result, CaptionResult) and result.text:
                break

    return {key: Row(median_s([partial(first_word, photo) for photo in _photos(harness, shift=2)]), N_RUNS, "s")}


def _memory_row() -> Row:
    """The most memory this process has held so far, after a caption, a transcript, a translation and vectors."""
    try:
        import resource
    except ImportError:  # Windows
        return Row(None, skipped="this system does not tell a process's peak memory")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 1024**2)
    return Row(peak, 1, "MB", note="resident, the evaluation itself with it")


def _load_row(reopen: Callable[[], Host]) -> Row:
    times = []
    for _ in range(3):
        started = time.perf_counter()
        reopen().close()
        times.append(time.perf_counter() - started)
    return Row(statistics.median(times), len(times), "s", note="libraries imported before")


def _peer_rows(key: str, peer: Callable[[], Callable[[], object]]) -> Rows:
    seconds = median_s([peer()] * (N_RUNS + 1))
    return {key: Row(seconds, N_RUNS, "s", note="its architecture with random weights, float32")}


def _photos(harness: Harness, *, shift: int = 0) -> list[Photo]:
    """Photos, a few pixels of them moved from one side to the other: another shift makes other photos of them."""
    records = photos(harness.data, harness.split)
    chosen = [records[i % len(records)].load() for i in range(N_RUNS + 1)]
    return [Photo(np.roll(photo.pixels, shift, axis=1)) for photo in chosen]


def _sentences(harness: Harness) -> list[str]:
    """Sentences of 9 to 13 words."""
    found = [p.source for p in pairs(harness.data, "en-de", harness.split)]
    usual = [text for text in found if 9 <= len(text.split()) <= 13] or found
    return [usual[i % len(usual)] for i in range(N_RUNS + 1)]


def ten_seconds(harness: Harness) -> list[Sound]:
    """Stretches of 10 s of speech, clips joined as they come."""

    def joined() -> Iterator[np.ndarray]:
        records = [r for r in speech(harness.data, harness.split) if r.language == "en"]
        while True:
            yield from (record.load().samples for record in records)

    n = round(SPEECH_S * RATE_HZ)
    chunks: list[np.ndarray] = []
    for samples in joined():
        chunks.append(samples)
        if sum(map(len, chunks)) >= (N_RUNS + 1) * n:
            break
    whole = np.concatenate(chunks)
    return [Sound(whole[start:end]) for start, end in pairwise(range(0, (N_RUNS + 2) * n, n))]
