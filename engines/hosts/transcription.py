"""A transcript by any model that writes down a chunk of speech at a time.

The sound is cut at its pauses as for the built-in model, so two hours need no more memory than half a minute, a stop
comes within one chunk, and every segment has its times.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from engines.errors import Message
from engines.media.segment import trim
from engines.protocol import LANGUAGES, Progress, Segment, TranscribeRequest, TranscribeResult
from engines.tasks.transcribe import chunks_of


@dataclass(frozen=True)
class ChunkTranscript:
    """What is said in a chunk, as far as it is written. Times are seconds from the chunk's start.

    language: found by the model, "" where it does not tell. segments: none = nobody speaks.
    """

    segments: tuple[Segment, ...] = ()
    language: str = ""


Writer: TypeAlias = Callable[[np.ndarray, str | None], Generator[ChunkTranscript]]
"""((n,) float32 at 16 kHz, its language if known) -> what is said, growing; the last one is whole."""
Translator: TypeAlias = Callable[[str, str], Generator[str]]
"""(text, its language) -> its translation, growing."""


def transcribe_chunks(
    request: TranscribeRequest, write: Writer, *, translate: Translator | None = None
) -> Iterator[TranscribeResult]:
    """Segments as they are made; the one being written stands last and grows. "empty": no speech at all.

    translate: puts finished segments into `request.translate_to`; None where `write` did so or nobody asked.
    Raises MediaError.
    """
    language = request.language or ""
    segments: tuple[Segment, ...] = ()
    total_s = heard_s = 0.0
    notes: tuple[Message, ...] = ()

    def result(growing: tuple[Segment, ...] = ()) -> TranscribeResult:
        return TranscribeResult(
            request=request,
            language=language,
            duration_s=max(total_s, heard_s),
            segments=segments + growing,
            progress=Progress("listening", heard_s, max(total_s, heard_s), "s"),
            notes=notes,
        )

    for stated_s, read, whole in chunks_of(request.media, request.track):
        total_s, notes = stated_s, read
        yield result()
        chunk = trim(whole)
        transcript = ChunkTranscript()
        if chunk is not None:
            with closing(write(chunk.samples, language or None)) as growing:
                for transcript in growing:
                    if transcript.language in LANGUAGES:
                        language = language or transcript.language
                    yield result(_placed(transcript.segments, chunk.start_s))
            for segment in _placed(transcript.segments, chunk.start_s):
                if translate is not None and request.translate_to not in (None, language):
                    with closing(translate(segment.text, language)) as translations:
                        for translation in translations:
                            segment = replace(segment, translation=translation)
                            yield result((segment,))
                segments += (segment,)
        heard_s = whole.end_s
    yield replace(result(), duration_s=heard_s, progress=None, end="finished" if segments else "empty")


def _placed(segments: tuple[Segment, ...], start_s: float) -> tuple[Segment, ...]:
    """Segments of a chunk with times from the start of the whole sound; empty ones are left out."""
    return tuple(
        replace(
            segment,
            start_s=segment.start_s + start_s,
            end_s=segment.end_s + start_s,
            words=tuple(replace(w, start_s=w.start_s + start_s, end_s=w.end_s + start_s) for w in segment.words),
        )
        for segment in segments
        if segment.text.strip()
    )
