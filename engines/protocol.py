"""The contract between clients and hosts: media, requests, results, hosts.

Only frozen records and one Protocol; no torch, no gradio, nothing heavy. A request is checked when it is made, so
everything behind it may trust it. Media are paths (`pathlib.Path`) or the in-memory records below; `str` is text.

Units: seconds (`_s`), hertz (`_hz`), counts (`n_`). Photos are (H, W, 3) uint8, sounds mono float32 in [-1, 1].
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, TypeAlias, runtime_checkable

import numpy as np

from engines.errors import Message, RequestError
from engines.metadata import Filter as Filter
from engines.metadata import Metadata as Metadata

LANGUAGES = ("en", "de", "fr", "zh")
"""The languages the built-in model reads and writes, ISO 639-1."""

RATE_HZ = 16_000
"""Sample rate of every decoded sound, which is mono: that of Whisper (Radford et al. 2022), whose encoder starts the
sound tower."""

Kind: TypeAlias = Literal["photo", "sound", "speech", "clip", "text"]
KINDS: tuple[Kind, ...] = ("photo", "sound", "speech", "clip", "text")
Modality: TypeAlias = Literal["picture", "sound", "names"]
Instead: TypeAlias = Literal["silence", "music", "other"]
"""What is heard where nobody speaks."""
Why: TypeAlias = Literal["seen", "heard", "said", "written", "named"]
"""What of a file fits a query: what it shows, its sound, the words said or written in it, or the name of a thing it
shows."""
End: TypeAlias = Literal["finished", "cut", "empty", "cancelled"]
"""How a stream came to its end. "cut": the text breaks off, for the host writes no more at a time. "empty" is an answer
too: no speech in the sound, no hit in the collection. A failure is not a result; it is raised."""


@dataclass(frozen=True, eq=False)
class Photo:
    """A picture, upright, without alpha. pixels: (H, W, 3) uint8. notes: how the file was read, as for all media."""

    pixels: np.ndarray
    notes: tuple[Message, ...] = ()


@dataclass(frozen=True, eq=False)
class Sound:
    """A mono sound. samples: (n,) float32 in [-1, 1] at `rate_hz`."""

    samples: np.ndarray
    rate_hz: int = RATE_HZ
    notes: tuple[Message, ...] = ()

    @property
    def duration_s(self) -> float:
        return len(self.samples) / self.rate_hz


@dataclass(frozen=True, eq=False)
class Clip:
    """Frames with their times, and the sound track beside them if there is one.

    frames: F arrays (H, W, 3) uint8, upright. times_s: F seconds from the start. sound covers the same span.
    """

    frames: tuple[np.ndarray, ...]
    times_s: tuple[float, ...]
    duration_s: float
    sound: Sound | None = None
    notes: tuple[Message, ...] = ()


Media: TypeAlias = Path | Photo | Sound | Clip


def _language(value: str | None) -> None:
    if value is not None and value not in LANGUAGES:
        raise RequestError(
            "language_unknown",
            "The language {language!r} is not known; choose one of {known}.",
            language=value,
            known=list(LANGUAGES),
        )


def _track(number: int) -> None:
    if number < 0:
        raise RequestError(
            "track_number", "Sound tracks are counted from 1; 0 leaves the choice to the file, {n} is none.", n=number
        )


def _length(text: str, at_most: int) -> None:
    if len(text) > at_most:
        raise RequestError(
            "text_too_long",
            "The text has {n:,} characters; at most {at_most:,} are taken at a time.",
            n=len(text),
            at_most=at_most,
        )


@dataclass(frozen=True, kw_only=True)
class CaptionRequest:
    """Say in one sentence what a photo, a clip or a sound shows. track: of its sound, 0 for the file's own choice."""

    media: Media
    language: str = "en"
    track: int = 0

    def __post_init__(self) -> None:
        _track(self.track)
        _language(self.language)


@dataclass(frozen=True, kw_only=True)
class TranscribeRequest:
    """Write down what is said in a sound or a clip, of any length.

    language: what is spoken, None to find out. translate_to: also put each segment into this language. track: which
    sound track is heard, counted from 1; 0 for the file's own choice.
    """

    media: Media
    language: str | None = None
    translate_to: str | None = None
    track: int = 0

    def __post_init__(self) -> None:
        _track(self.track)
        _language(self.language)
        _language(self.translate_to)


@dataclass(frozen=True, kw_only=True)
class TranslateRequest:
    """Put text from one language into another."""

    text: str
    source: str
    target: str

    def __post_init__(self) -> None:
        _language(self.source)
        _language(self.target)
        if not self.text.strip():
            raise RequestError("text_needed", "Type something to translate first.")
        _length(self.text, 20_000)
        if self.source == self.target:
            raise RequestError("same_language", "Source and target are the same language; choose two different ones.")


@dataclass(frozen=True, kw_only=True)
class AskRequest:
    """Ask about a clip, a photo or a sound.

    history: earlier (question, answer) pairs about the same media, oldest first. hide: modalities to take away, so that
    one can see what the answer rests on. track: of the sound, 0 for the file's own choice.
    """

    media: Media
    question: str
    language: str = "en"
    track: int = 0
    history: tuple[tuple[str, str], ...] = ()
    hide: frozenset[Modality] = frozenset()

    def __post_init__(self) -> None:
        _track(self.track)
        _language(self.language)
        if not self.question.strip():
            raise RequestError("question_needed", "Type a question first.")
        _length(self.question, 500)
        if odd := sorted(self.hide - {"picture", "sound", "names"}):
            raise RequestError("cannot_hide", "Only picture, sound and names can be hidden, not {odd}.", odd=odd)


@dataclass(frozen=True, kw_only=True)
class EmbedRequest:
    """Put text or media into the space all modalities share.

    against: the kind of media that the vector of a text is compared with, as a search has one for each kind: pictures
    carry codes of what they show, which a text gets for them and for nothing else.
    """

    media: Media | str
    against: Kind = "photo"

    def __post_init__(self) -> None:
        if self.against not in KINDS:
            raise RequestError(
                "kinds_unknown", "Unknown kinds {odd}; known are {known}.", odd=[self.against], known=list(KINDS)
            )
        if isinstance(self.media, str):
            if not self.media.strip():
                raise RequestError("embed_text_needed", "Type something to embed first.")
            _length(self.media, 20_000)


@dataclass(frozen=True, kw_only=True)
class IndexRequest:
    """Bring a collection (a file, or an address as text) up to date with the media files under a folder.

    prune: take files out of the collection even if every one of them is gone, as from a disk that is not mounted.
    """

    folder: Path
    collection: Path | str
    prune: bool = False


@dataclass(frozen=True)
class Term:
    """A part of a mixed query: text or media, with its weight; a negative weight takes away what is like it."""

    media: Media | str
    weight: float = 1.0


@dataclass(frozen=True, kw_only=True)
class SearchRequest:
    """Find what fits a query best. query: text (any language served), media, or a mixture. kinds: which kinds of hit
    to give. only: the files to search, None for all."""

    query: Media | str | tuple[Term, ...]
    collection: Path | str
    kinds: frozenset[Kind] = frozenset(KINDS)
    k: int = 12
    only: Filter | None = None

    def __post_init__(self) -> None:
        terms = self.query if isinstance(self.query, tuple) else (Term(self.query),)
        if not any(term.weight > 0.0 for term in terms):
            raise RequestError("query_negative", "Say what to look for, too, not only what to take away.")
        for term in terms:
            if isinstance(term.media, str):
                if not term.media.strip():
                    raise RequestError("query_needed", "Type what to look for, or drop a file.")
                _length(term.media, 2_000)
        if not 1 <= self.k <= 1_000:
            raise RequestError("k_out_of_range", "k is {k}; choose 1 to 1000 hits.", k=self.k)
        _known_kinds(self.kinds)


@dataclass(frozen=True, kw_only=True)
class MapRequest:
    """Lay the files of a collection out on a plane, alike ones together. kinds: which files; n_most: of more than so
    many, that many are drawn, evenly over their paths."""

    collection: Path | str
    kinds: frozenset[Kind] = frozenset(KINDS)
    n_most: int = 1_500

    def __post_init__(self) -> None:
        if not 1 <= self.n_most <= 5_000:
            raise RequestError("map_size", "A map has 1 to 5000 files, not {n}.", n=self.n_most)
        _known_kinds(self.kinds)


def _known_kinds(kinds: frozenset[Kind]) -> None:
    if not kinds:
        raise RequestError("kinds_needed", "Choose at least one kind of media to look for.")
    if odd := sorted(kinds - set(KINDS)):
        raise RequestError("kinds_unknown", "Unknown kinds {odd}; known are {known}.", odd=odd, known=list(KINDS))


Request: TypeAlias = (
    CaptionRequest | TranscribeRequest | TranslateRequest | AskRequest | EmbedRequest | IndexRequest | SearchRequest
    | MapRequest
)  # fmt: skip


@dataclass(frozen=True)
class Progress:
    """What is being done now. done and total share a unit (seconds of sound, files, frames); total 0 = unknown."""

    stage: str
    done: float = 0.0
    total: float = 0.0
    unit: str = ""


@dataclass(frozen=True, kw_only=True)
class Result:
    """What every result carries. `end` is None while the work goes on; the last result of a stream has one.

    arithmetic: the number formats it was computed in, "" where the host does not tell.
    """

    request: Request
    host: str = ""
    model_digest: str = ""
    arithmetic: str = ""
    seconds: float = 0.0
    progress: Progress | None = None
    notes: tuple[Message, ...] = ()
    end: End | None = None

    @property
    def done(self) -> bool:
        return self.end is not None


@dataclass(frozen=True, kw_only=True)
class CaptionResult(Result):
    """text: one sentence. end "empty" = a silent sound, of which there is none.

    confidence: how likely the sentence is right, 0 to 1, by what was measured on dev data; None where the host cannot
    tell. unsure: it is below what the model's config calls sure. guesses: what it may be then, the likeliest first.
    names: what is probably shown, each with its probability; the sentence was written with them in view. written: the
    lines that can be read in the picture, where the extra `ocr` is installed.
    """

    text: str = ""
    confidence: float | None = None
    unsure: bool = False
    guesses: tuple[str, ...] = ()
    names: tuple[tuple[str, float], ...] = ()
    written: tuple[str, ...] = ()


@dataclass(frozen=True)
class Word:
    """A word and when it is said. confidence: the probability that it is right, None where it is not known."""

    start_s: float
    end_s: float
    text: str
    confidence: float | None = None


@dataclass(frozen=True)
class Segment:
    """A stretch of speech between two pauses. words is empty where no times could be aligned.

    language: what is spoken, "" where it is not known, "other" where it is none that the model writes; the text then
    says so in brackets. confidence: mean of the words', None where it is not known. translation_confidence: the share
    of the translation that is probably right; translation_unsure: it is below what the model's config calls sure.
    """

    start_s: float
    end_s: float
    text: str
    words: tuple[Word, ...] = ()
    translation: str = ""
    language: str = ""
    confidence: float | None = None
    translation_confidence: float | None = None
    translation_unsure: bool = False


@dataclass(frozen=True)
class Pause:
    """A stretch of a sound in which nobody speaks, and what is heard there instead."""

    start_s: float
    end_s: float
    heard: Instead


@dataclass(frozen=True, kw_only=True)
class TranscribeResult(Result):
    """language: the one spoken, given or found; of several the one most of the time is spoken in. duration_s: of the
    whole sound. pauses: where nobody speaks for a second or longer; none where the host does not tell. end "empty" = no
    speech in it."""

    language: str = ""
    duration_s: float = 0.0
    segments: tuple[Segment, ...] = ()
    pauses: tuple[Pause, ...] = ()

    @property
    def text(self) -> str:
        whole = ""
        for segment in self.segments:
            chinese = "zh" in (segment.language, self.language if not segment.language else "")
            whole += ("" if chinese or not whole or not segment.text else " ") + segment.text
        return whole

    @property
    def translation(self) -> str:
        gap = "" if getattr(self.request, "translate_to", None) == "zh" else " "
        return gap.join(s.translation for s in self.segments if s.translation)


@dataclass(frozen=True, kw_only=True)
class TranslateResult(Result):
    """confidence: the share of the text that is probably right, 0 to 1; None where the host cannot tell. unsure: it is
    below what the model's config calls sure."""

    text: str = ""
    confidence: float | None = None
    unsure: bool = False


@dataclass(frozen=True, kw_only=True)
class AskResult(Result):
    """text: the answer. confidence, unsure, guesses, names, written: as of a `CaptionResult`; a confidence of 0 where
    the host cannot tell. moments_s: where in the clip to look.

    modalities: how far the answer moves when one modality is taken away, 0 (not at all) to 1; empty until it is known.
    silent: whether a clip or sound holds nothing to hear, as far as it was listened to: no sound track, or a silent
    one. end "empty" = a silent sound, of which nothing is left to answer from.
    """

    text: str = ""
    confidence: float = 0.0
    moments_s: tuple[float, ...] = ()
    modalities: tuple[tuple[Modality, float], ...] = ()
    silent: bool = False
    unsure: bool = False
    guesses: tuple[str, ...] = ()
    names: tuple[tuple[str, float], ...] = ()
    written: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class EmbedResult(Result):
    """vector: (256,) float32 of length 1. kind: what the media was taken for."""

    kind: Kind = "text"
    vector: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32), compare=False)


@dataclass(frozen=True, kw_only=True)
class IndexResult(Result):
    """n_rows counts the collection's rows now; failures are (file name, reason) pairs.

    n_missing: files that are gone but were kept, since a folder they lay in is empty now or cannot be listed, and the
    request does not say `prune`.
    renewed: the collection was emptied first, since another model made it or it was damaged.
    n_passed: files that hold neither media nor text, of which `passed` names the first.
    """

    n_added: int = 0
    n_unchanged: int = 0
    n_removed: int = 0
    n_rows: int = 0
    failures: tuple[tuple[str, Message], ...] = ()
    n_missing: int = 0
    renewed: bool = False
    n_passed: int = 0
    passed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Hit:
    """One find. start_s and end_s point into a sound or clip (0, 0 for a photo or text).

    score: cosine in the shared space. fit: the same as a calibrated 0 to 1; below 0.5 "nothing fits well". why: what of
    it fits, the best first; () where a file, not words, was looked for. text: the words that fit, as they are said or
    written.
    """

    path: Path
    kind: Kind
    score: float
    fit: float
    start_s: float = 0.0
    end_s: float = 0.0
    text: str = ""
    why: tuple[Why, ...] = ()


@dataclass(frozen=True, kw_only=True)
class SearchResult(Result):
    hits: tuple[Hit, ...] = ()


@dataclass(frozen=True)
class MapPoint:
    """A file on a map. x, y: 0 to 1. cluster: its place among them. taken: as in `Metadata`, else its last change."""

    path: Path
    kind: Kind
    x: float
    y: float
    cluster: int
    taken: str


@dataclass(frozen=True)
class MapCluster:
    """Files that lie together on a map. en, zh: a name, "" where none sets them apart. x, y: the middle."""

    en: str
    zh: str
    x: float
    y: float
    n_files: int


@dataclass(frozen=True, kw_only=True)
class MapResult(Result):
    """n_files: how many there are to draw, of which the points may be a part. method: how they were laid out, "tsne",
    or "pca" where they are too few for that."""

    points: tuple[MapPoint, ...] = ()
    clusters: tuple[MapCluster, ...] = ()
    n_files: int = 0
    method: str = ""


@dataclass(frozen=True)
class Ability:
    """A request type a host serves, and in which language: "en", "en-de" for translation of text or speech, "" where it
    does not matter or the host does not tell."""

    request: type
    language: str = ""


@dataclass(frozen=True)
class HostInfo:
    """What a host is and can do. device and dtype are torch's names; memory in bytes of weights, 0 = elsewhere.

    source: what `open_host` was given. takes: modalities it has; of a clip the rest is left out. arithmetic: the number
    formats its products are computed in, "" where it does not tell.
    """

    name: str
    abilities: frozenset[Ability]
    device: str
    device_reason: Message
    dtype: str
    n_parameters: int
    memory_bytes: int
    licence: str
    model_digest: str
    source: str = "builtin"
    takes: frozenset[Modality] = frozenset({"picture", "sound"})
    arithmetic: str = ""

    def serves(self, request: type, language: str | None = None) -> bool:
        """Whether a request type is served, in `language` where one is named."""
        return any(a.request is request and language in (None, a.language) for a in self.abilities)


current_client: ContextVar[str] = ContextVar("current_client", default="")
"""For which client this thread works; clients take turns."""


class Cancel:
    """A cancellation token of one request: pass it to `stream` and to the code that may stop it. Thread-safe.

    client: who asked; left out, the client that this thread works for.
    """

    def __init__(self, client: str = "") -> None:
        self.client = client or current_client.get()
        self._event = threading.Event()

    def set(self) -> None:
        self._event.set()

    @property
    def is_set(self) -> bool:
        return self._event.is_set()


@runtime_checkable
class Host(Protocol):
    """Whatever answers requests. Safe to call from any thread."""

    @property
    def info(self) -> HostInfo: ...

    def stream(self, request: Request, cancel: Cancel | None = None) -> Iterator[Result]:
        """Partial results as they are made; the last one has an `end`. Raises UserError for what a person can mend."""
        ...

    def move(self, device: str) -> None:
        """Move to another device ("auto", "cpu", "cuda", "cuda:1"); running requests are finished first."""
        ...

    def close(self) -> None:
        """Give memory and threads back; a closed host answers nothing more."""
        ...


def run(host: Host, request: Request, cancel: Cancel | None = None) -> Result:
    """The last result of a stream."""
    last = deque(host.stream(request, cancel), maxlen=1)
    if not last or not last[0].done:
        raise RuntimeError(f"{host.info.name} ended a {type(request).__name__} without a last result")
    return last[0]
