"""The tasks of a chat model, local or remote: each turns a request into a conversation and reads the reply."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from engines.hosts.prompts import Turn, conversation, dictation, material, translation
from engines.hosts.results import RESULTS, Written
from engines.hosts.transcription import ChunkTranscript, Writer, transcribe_chunks
from engines.protocol import (
    RATE_HZ,
    AskRequest,
    Cancel,
    CaptionRequest,
    Modality,
    Progress,
    Result,
    Segment,
    TranscribeRequest,
    TranscribeResult,
    TranslateRequest,
    TranslateResult,
)

Reply: TypeAlias = Callable[[tuple[Turn, ...], int, Cancel], Generator[Written]]
"""(turns of a conversation, maximum new tokens, cancel) -> the reply as it grows."""


@dataclass(frozen=True)
class Dialogue:
    """A chat model. takes: its input modalities. n_tokens: maximum new tokens by request type."""

    name: str
    takes: frozenset[Modality]
    reply: Reply
    n_tokens: Mapping[type, int]

    def answer(self, request: CaptionRequest | AskRequest, cancel: Cancel) -> Iterator[Result]:
        """A caption, or the answer to a question."""
        kind: Any = RESULTS[type(request)]
        yield kind(request=request, progress=Progress("looking"))
        is_asked = isinstance(request, AskRequest)
        hide = request.hide if isinstance(request, AskRequest) else frozenset()
        given = material(request.media, self.takes, self.name, hide=hide, track=request.track)
        told = {"request": request, "notes": given.notes, **({"silent": given.silent} if is_asked else {})}
        if given.kind == "sound" and given.silent:
            yield kind(**told, end="empty")
            return
        written = Written()
        with closing(self.reply(conversation(request, given), self.n_tokens[type(request)], cancel)) as reply:
            for written in reply:
                yield kind(**told, text=written.text, progress=Progress("writing"))
        yield kind(**told, text=written.text.strip(), end=written.end)

    def translate(self, request: TranslateRequest, cancel: Cancel) -> Iterator[Result]:
        """A text in another language."""
        yield TranslateResult(request=request, progress=Progress("translating"))
        written = Written()
        with closing(self.reply(conversation(request, None), self._enough(request.text), cancel)) as reply:
            for written in reply:
                yield TranslateResult(request=request, text=written.text, progress=Progress("translating"))
        yield TranslateResult(request=request, text=written.text.strip(), end=written.end)

    def transcribe(
        self, request: TranscribeRequest, cancel: Cancel, write: Writer | None = None
    ) -> Iterator[TranscribeResult]:
        """Transcribe a recording. write: transcribes a chunk; by default the chat model is asked to."""

        def dictated(samples: np.ndarray, language: str | None) -> Generator[ChunkTranscript]:
            n_tokens = self.n_tokens[TranscribeRequest]
            with closing(self.reply(dictation(samples, language), n_tokens, cancel)) as reply:
                for written in reply:
                    segment = Segment(0.0, len(samples) / RATE_HZ, written.text.strip())
                    yield ChunkTranscript((segment,) if segment.text else (), language or "")

        def translated(text: str, language: str) -> Generator[str]:
            assert request.translate_to is not None
            turn = Turn("user", translation(text, language or None, request.translate_to))
            with closing(self.reply((turn,), self._enough(text), cancel)) as reply:
                for written in reply:
                    yield written.text

        return transcribe_chunks(
            request, dictated if write is None else write, translate=translated if request.translate_to else None
        )

    def _enough(self, text: str) -> int:
        """Maximum new tokens of a translation: hardly any text has more tokens than its source has characters."""
        return min(128 + len(text), self.n_tokens[TranslateRequest])
