"""A host that answers from a script: every request type, the same answer every time, no model and no waiting.

    host = FakeHost()                                          # serves everything
    host = FakeHost(error=MediaError("test", "No picture in it."))     # every stream fails like this
    host = FakeHost(delay_s=0.2)                               # slow enough to be stopped
    host = FakeHost(name="tiny", source="a/tiny")              # what it is called, and what it was opened with
    host = FakeHost(scripts={CaptionRequest: silent})          # one answer of your own: request -> results

`host.requests` holds what was asked, `host.moves` where it was moved to, `host.cancelled` which requests were stopped.
"""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import httpx
import numpy as np

from engines.errors import MediaError, Message
from engines.hosts.results import closed, unable
from engines.media.refusals import refusal
from engines.protocol import (
    LANGUAGES,
    Ability,
    AskRequest,
    AskResult,
    Cancel,
    CaptionRequest,
    CaptionResult,
    EmbedRequest,
    EmbedResult,
    Hit,
    Host,
    HostInfo,
    IndexRequest,
    IndexResult,
    MapCluster,
    MapPoint,
    MapRequest,
    MapResult,
    Modality,
    Progress,
    Request,
    Result,
    SearchRequest,
    SearchResult,
    Segment,
    TranscribeRequest,
    TranscribeResult,
    TranslateRequest,
    TranslateResult,
    Word,
)

Script = Callable[[Request], Iterator[Result]]

CAPTIONS = {
    "en": "A dog runs on the beach.",
    "de": "Ein Hund läuft am Strand.",
    "fr": "Un chien court sur la plage.",
    "zh": "一只狗在沙滩上奔跑。",
}
SPEECH = {
    "en": ("Good morning.", "The train leaves at nine."),
    "de": ("Guten Morgen.", "Der Zug fährt um neun."),
    "fr": ("Bonjour.", "Le train part à neuf heures."),
    "zh": ("早上好。", "火车九点开。"),
}
ANSWERS = {"en": "A dog is barking.", "de": "Ein Hund bellt.", "fr": "Un chien aboie.", "zh": "狗在叫。"}

EVERYTHING = frozenset(
    [Ability(kind, lang) for kind in (CaptionRequest, TranscribeRequest, AskRequest) for lang in LANGUAGES]
    + [
        Ability(kind, f"{a}-{b}")
        for kind in (TranscribeRequest, TranslateRequest)
        for a, b in permutations(LANGUAGES, 2)
    ]
    + [Ability(kind) for kind in (EmbedRequest, IndexRequest, SearchRequest, MapRequest)]
)


class FakeHost:
    """Implements `engines.Host`. Safe to call from any thread, as a real one is."""

    def __init__(
        self,
        *,
        abilities: frozenset[Ability] = EVERYTHING,
        delay_s: float = 0.0,
        error: BaseException | None = None,
        scripts: Mapping[type, Script] | None = None,
        name: str = "fake",
        source: str = "builtin",
        takes: frozenset[Modality] = frozenset({"picture", "sound"}),
    ) -> None:
        self.delay_s = delay_s
        self.error = error
        self.scripts: dict[type, Script] = {**SCRIPTS, **(scripts or {})}
        self.requests: list[Request] = []
        self.cancelled: list[Request] = []
        self.moves: list[str] = []
        self.closed = False
        self._lock = threading.Lock()
        self._info = HostInfo(
            name=name,
            abilities=abilities,
            device="cpu",
            device_reason=Message("reason.no_cuda", "there is no CUDA device"),
            dtype="float32",
            n_parameters=1_000_000,
            memory_bytes=4_000_000,
            licence="Apache-2.0",
            model_digest="fake0000",
            source=source,
            takes=takes,
        )

    @property
    def info(self) -> HostInfo:
        return self._info

    def stream(self, request: Request, cancel: Cancel | None = None) -> Iterator[Result]:
        """The script's results, one every `delay_s`; the error, if there is one, comes after the first of them."""
        if self.closed:
            raise closed()
        if not self._info.serves(type(request)):
            raise unable(self._info.name, type(request))
        with self._lock:
            self.requests.append(request)
        return self._play(request, cancel if cancel is not None else Cancel())

    def _play(self, request: Request, cancel: Cancel) -> Iterator[Result]:
        started = time.perf_counter()
        last: Result | None = None
        for result in self.scripts[type(request)](request):
            if cancel.is_set:
                break
            last = replace(result, host=self._info.name, model_digest="fake0000", seconds=time.perf_counter() - started)
            yield last
            if last.done:
                return
            if self.error is not None:
                raise self.error
            time.sleep(self.delay_s)
        with self._lock:
            self.cancelled.append(request)
        if last is None:
            last = replace(next(self.scripts[type(request)](request)), host=self._info.name)
        yield replace(last, end="cancelled", progress=None)

    def move(self, device: str) -> None:
        self.moves.append(device)
        name = "cpu" if device == "auto" else device
        self._info = replace(self._info, device=name, device_reason=Message("test", "asked for"))

    def close(self) -> None:
        self.closed = True


class SilentHost(FakeHost):
    """Gives one transcript without text, then nothing until it is stopped, as while a file is decoded for ever."""

    def __init__(self) -> None:
        super().__init__()
        self.began, self.stopped = threading.Event(), threading.Event()

    def asked_and_left(self, asked: httpx.Request) -> None:
        """Send a request that leads here, and hang up once the work has begun."""
        connection = http.client.HTTPConnection(asked.url.host, asked.url.port)
        connection.request(asked.method, asked.url.path, asked.read(), dict(asked.headers))
        assert self.began.wait(60) and not self.stopped.is_set()
        connection.close()

    def _play(self, request: Request, cancel: Cancel) -> Iterator[Result]:
        assert isinstance(request, TranscribeRequest)
        yield TranscribeResult(request=request, host="silent")
        self.began.set()
        while not cancel.is_set:
            time.sleep(0.01)
        self.stopped.set()
        yield TranscribeResult(request=request, host="silent", end="cancelled")


class LentHost:
    """A host that a command may not close, since others use it, too."""

    def __init__(self, host: Host) -> None:
        self.info, self.stream, self.move = host.info, host.stream, host.move

    def close(self) -> None:
        pass


def _growing(text: str) -> list[str]:
    """A text as it is written: "A", "A dog", ... (Chinese by character)."""
    parts = text.split(" ")
    if len(parts) == 1:
        return [text[: n + 1] for n in range(len(text))]
    return [" ".join(parts[: n + 1]) for n in range(len(parts))]


def caption(request: Request) -> Iterator[Result]:
    assert isinstance(request, CaptionRequest)
    for text in _growing(CAPTIONS[request.language]):
        yield CaptionResult(request=request, text=text)
    yield CaptionResult(request=request, text=CAPTIONS[request.language], end="finished")


def transcribe(request: Request) -> Iterator[Result]:
    assert isinstance(request, TranscribeRequest)
    language = request.language or "en"
    translations = SPEECH[request.translate_to] if request.translate_to else ("", "")
    segments: tuple[Segment, ...] = ()
    yield TranscribeResult(request=request, duration_s=5.0, progress=Progress("listening", 0.0, 5.0, "s"))
    for n, (text, translation) in enumerate(zip(SPEECH[language], translations, strict=True)):
        start_s = 0.5 + 2.5 * n
        words = tuple(Word(start_s + 0.3 * i, start_s + 0.3 * (i + 1), word) for i, word in enumerate(text.split(" ")))
        segments += (Segment(start_s, words[-1].end_s, text, words, translation),)
        yield TranscribeResult(
            request=request,
            language=language,
            duration_s=5.0,
            segments=segments,
            progress=Progress("listening", 2.5 * (n + 1), 5.0, "s"),
        )
    yield TranscribeResult(request=request, language=language, duration_s=5.0, segments=segments, end="finished")


def translate(request: Request) -> Iterator[Result]:
    assert isinstance(request, TranslateRequest)
    text = SPEECH[request.target][0]
    for part in _growing(text):
        yield TranslateResult(request=request, text=part)
    yield TranslateResult(request=request, text=text, end="finished")


def answer(request: Request) -> Iterator[Result]:
    assert isinstance(request, AskRequest)
    text = "I cannot tell." if {"picture", "sound"} <= request.hide else ANSWERS[request.language]
    for part in _growing(text):
        yield AskResult(request=request, text=part)
    shares = tuple((name, share) for name, share in (("picture", 0.2), ("sound", 0.7)) if name not in request.hide)
    yield AskResult(
        request=request,
        text=text,
        confidence=0.8,
        moments_s=(1.5,),
        modalities=shares,
        end="finished",
    )


def embed(request: Request) -> Iterator[Result]:
    assert isinstance(request, EmbedRequest)
    vector = np.zeros(256, np.float32)
    vector[0] = 1.0
    yield EmbedResult(
        request=request, kind="text" if isinstance(request.media, str) else "photo", vector=vector, end="finished"
    )


def index(request: Request) -> Iterator[Result]:
    assert isinstance(request, IndexRequest)
    for n in (1, 2):
        yield IndexResult(request=request, n_added=n, n_rows=n, progress=Progress("reading", n, 3, "files"))
    failures = (("broken.jpg", refusal("damaged", Path("broken.jpg")).message),)
    yield IndexResult(request=request, n_added=2, n_rows=2, failures=failures, end="finished")


def search(request: Request) -> Iterator[Result]:
    assert isinstance(request, SearchRequest)
    finds = (
        Hit(Path("dog.jpg"), "photo", score=0.42, fit=0.9),
        Hit(Path("bark.wav"), "sound", score=0.31, fit=0.7, start_s=0.0, end_s=10.0),
        Hit(Path("walk.mp4"), "clip", score=0.2, fit=0.3, start_s=20.0, end_s=30.0),
    )
    hits = tuple(hit for hit in finds if hit.kind in request.kinds)[: request.k]
    yield SearchResult(request=request, hits=hits, end="finished" if hits else "empty")


def map_of(request: Request) -> Iterator[Result]:
    """Dogs on the left, one of them a sound, and rain on the right; of three months."""
    assert isinstance(request, MapRequest)
    yield MapResult(request=request, progress=Progress("drawing", 10, 300))
    points = (
        MapPoint(Path("dog.jpg"), "photo", 0.0, 0.3, 0, "2024-06-01T12:30:00"),
        MapPoint(Path("bark.wav"), "sound", 0.1, 0.5, 0, "2024-06-03T09:00:00"),
        MapPoint(Path("walk.mp4"), "clip", 0.0, 0.8, 0, "2024-08-10T18:00:00"),
        MapPoint(Path("rain.wav"), "sound", 1.0, 0.5, 1, "2024-08-11T18:00:00"),
    )
    clusters = (MapCluster("dog", "狗", 0.05, 0.5, 3), MapCluster("rain", "雨", 1.0, 0.5, 1))
    yield MapResult(request=request, points=points, clusters=clusters, n_files=9, method="tsne", end="finished")


def embed_by_name(request: Request) -> Iterator[Result]:
    """Files are alike when the first letters of their names are; "broken" ones cannot be read."""
    assert isinstance(request, EmbedRequest) and isinstance(request.media, Path)
    name = request.media.name
    if name.startswith("broken"):
        raise MediaError("test", f"{name} is damaged.")
    vector = np.zeros(256, np.float32)
    vector[ord(name[0])] = 1.0
    yield EmbedResult(request=request, progress=Progress("looking"))
    yield EmbedResult(request=request, kind="photo", vector=vector, end="finished")


SCRIPTS: dict[type, Script] = {
    CaptionRequest: caption,
    TranscribeRequest: transcribe,
    TranslateRequest: translate,
    AskRequest: answer,
    EmbedRequest: embed,
    IndexRequest: index,
    SearchRequest: search,
    MapRequest: map_of,
}
