"""What is said in a sound or clip of any length: cut at pauses, written down, timed, and translated where asked.

Translation of speech is a cascade: each finished segment goes through the same model as text. Where the event head
hears no speech nothing is written, whatever the decoder would say.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch

from engines import media as files
from engines.align import align, spelt, spoken_words
from engines.decoding import DecodeOptions, generate
from engines.encoder import SPEECH_THRESHOLD, TOKEN_S, MediaEncoder
from engines.errors import MediaError
from engines.media.segment import SpeechChunk, speech_chunks, trim
from engines.model.fusion import Memory, Stream
from engines.protocol import (
    RATE_HZ,
    Clip,
    Media,
    Progress,
    Segment,
    Sound,
    TranscribeRequest,
    TranscribeResult,
    Word,
)
from engines.tasks import translate

CHUNK_S = 5.0
NO_SPEECH_THRESHOLD = 0.6
"""Above this probability of "no speech" a doubtful text is dropped, as Whisper does (Radford et al. 2022)."""
DOUBTFUL_LOGPROB = -1.0
GAP_S = 0.6
"""A pause between words that ends a segment, as between two sentences."""
SENTENCE_GAP_S = 0.15
"""A pause that ends a segment after a full stop."""
BEAM = 4
"""Texts followed side by side. With one, dev word errors are 14.0 instead of 12.0 % on LibriSpeech and 32.1 instead of
25.2 % on speechocean762 (`python -m engines.evaluation --only speech --limit 200`)."""
SPELT = 1.2
"""Bytes of what is said for each that the CTC head spells at its best guess: the median over dev speech, where nine
recordings in ten lie between 1 and 2."""
RUNAWAY = 1.5
RUNAWAY_BYTES = 10
READABLE_S = 7.0
READABLE_WIDTH = 84
"""A subtitle has two lines of 42 letters and stays at most 7 s, as broadcasters rule; a Chinese sign counts two."""


def stream(encoder: MediaEncoder, request: TranscribeRequest) -> Iterator[TranscribeResult]:
    """Segments as they are made; while one is being written it stands last and grows. "empty": no speech at all."""
    total_s, chunks = opened(request.media)
    language = request.language
    segments: tuple[Segment, ...] = ()
    heard_s = 0.0

    def result(growing: tuple[Segment, ...] = ()) -> TranscribeResult:
        return TranscribeResult(
            request=request,
            language=language or "",
            duration_s=max(total_s, heard_s),
            segments=segments + growing,
            progress=Progress("listening", heard_s, max(total_s, heard_s), "s"),
        )

    for whole in speech_chunks(chunks):
        yield result()
        chunk = trim(whole)
        heard = None if chunk is None else encoder.hear(chunk.samples)
        if chunk is not None and heard is not None and encoder.speech_probability(heard) >= SPEECH_THRESHOLD:
            memory = encoder.model.fuse([Stream("sound", heard.last, heard.mask)])
            if language is None:
                language = encoder.spoken_language(memory)
            n_tokens = round(len(chunk.samples) / RATE_HZ / TOKEN_S)  # no word is said in the silence after them
            log_probs = encoder.model.ctc(heard.last[:, :n_tokens])[0].cpu().numpy()
            text = ""
            for text in _written(encoder, memory, language, chunk, spelt(log_probs)):
                yield result((Segment(chunk.start_s, chunk.end_s, text),) if text else ())
            for segment in _segments(text, align(log_probs, text, language, TOKEN_S), chunk, language):
                if request.translate_to is None:
                    segments += (segment,)
                    continue
                for translation in translate.growing(encoder, segment.text, language, request.translate_to):
                    done = Segment(segment.start_s, segment.end_s, segment.text, segment.words, translation)
                    yield result((done,))
                segments += (done,)
        heard_s = whole.end_s
    yield TranscribeResult(
        request=request,
        language=language or "",
        duration_s=heard_s,
        segments=segments,
        end="finished" if segments else "empty",
    )


def opened(media: Media) -> tuple[float, Iterator[np.ndarray]]:
    """Seconds and chunks of what is to be heard."""
    if isinstance(media, Path):
        return files.probe(media).duration_s, files.stream_sound(media, chunk_s=CHUNK_S)
    sound = media if isinstance(media, Sound) else media.sound if isinstance(media, Clip) else None
    if sound is None or len(sound.samples) == 0:
        raise MediaError(
            "nothing_to_transcribe",
            "There is no sound in this to write down; choose a sound, or a clip with a sound track.",
        )
    return sound.duration_s, iter([files.resample(sound.samples, sound.rate_hz)])


def _written(encoder: MediaEncoder, memory: Memory, language: str, chunk: SpeechChunk, n_bytes: int) -> Iterator[str]:
    """The text as it grows, to where it runs away; the last one is "" where the decoder doubts that anybody spoke."""
    seconds = len(chunk.samples) / RATE_HZ
    options = DecodeOptions(task="transcribe", beam=BEAM, max_new=min(24 + round(12 * seconds), 320), no_repeat=0)
    prefix = torch.tensor([encoder.tokenizer.prefix("transcribe", language)])
    for (hypothesis,) in generate(encoder.model, memory, prefix, encoder.tokenizer, options):
        text = encoder.tokenizer.decode(hypothesis.ids)
        said = unlooped(text, n_bytes, language)
        yield said
        if said != text:
            return
    if hypothesis.no_speech > NO_SPEECH_THRESHOLD and hypothesis.mean_logprob < DOUBTFUL_LOGPROB:
        yield ""


def unlooped(text: str, n_bytes: int, language: str) -> str:
    """A text without what it only says over again, once it is longer than its sound can hold.

    n_bytes: what the CTC head spells of the sound. A decoder may turn in circles that never quite close ("two one one
    two one one one"); the sound's own spelling tells where the first of them ended.
    """
    words = spoken_words(text, language)
    ends = np.cumsum([len(spoken.encode()) + (language != "zh") for _, spoken in words])
    if not words or ends[-1] <= RUNAWAY * n_bytes + RUNAWAY_BYTES:
        return text
    cut = 1 + int(np.abs(ends - SPELT * n_bytes).argmin())
    if {spoken for _, spoken in words[cut:]} - {spoken for _, spoken in words[:cut]}:
        return text
    return ("" if language == "zh" else " ").join(written for written, _ in words[:cut])


def _segments(text: str, words: Sequence[Word], chunk: SpeechChunk, language: str) -> Iterator[Segment]:
    """A chunk's text as segments fit to be read, with times from the start of the whole sound."""
    if not text:
        return
    if not words:  # the text could not be aligned: it is spread over the chunk as a whole
        yield Segment(chunk.start_s, chunk.end_s, text)
        return
    placed = [Word(chunk.start_s + w.start_s, chunk.start_s + w.end_s, w.text) for w in words]
    for group in _readable(placed, language):
        yield Segment(group[0].start_s, group[-1].end_s, _joined(group, language), tuple(group))


def _readable(words: list[Word], language: str) -> list[list[Word]]:
    """Words in groups: cut at every long pause, then at the best place until each group can be read at a glance."""
    cuts = [
        i
        for i in range(1, len(words))
        if _gap_s(words, i) > (SENTENCE_GAP_S if _ends_sentence(words[i - 1]) else GAP_S)
    ]
    if cuts:
        edges = [0, *cuts, len(words)]
        groups = [words[a:b] for a, b in pairwise(edges)]
        return [part for group in groups for part in _readable(group, language)]
    width = len(_joined(words, language)) * (2 if language == "zh" else 1)
    if len(words) < 2 or (width <= READABLE_WIDTH and words[-1].end_s - words[0].start_s <= READABLE_S):
        return [words]
    # Commas count for half a second of pause, full stops for one; the middle is liked, the ends are not.
    cut = max(range(1, len(words)), key=lambda i: _gap_s(words, i) + _mark(words[i - 1]) - abs(2 * i / len(words) - 1))
    return _readable(words[:cut], language) + _readable(words[cut:], language)


def _gap_s(words: Sequence[Word], i: int) -> float:
    return words[i].start_s - words[i - 1].end_s


def _ends_sentence(word: Word) -> bool:
    return word.text.rstrip("\"'»”’」』）)").endswith((".", "!", "?", "…", "。", "！", "？"))


def _mark(word: Word) -> float:
    return 1.0 if _ends_sentence(word) else 0.5 if word.text.endswith((",", ";", ":", "，", "；", "：", "、")) else 0.0


def _joined(words: Sequence[Word], language: str) -> str:
    return ("" if language == "zh" else " ").join(word.text for word in words)
