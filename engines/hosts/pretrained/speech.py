"""Speech models: Whisper and models like it, and CTC models.

Whisper: Radford et al. 2022, "Robust Speech Recognition via Large-Scale Weak Supervision". Its time tokens give each
segment its times, the probability of "no speech" at the start of a chunk keeps silence and noise empty, and it
translates into English by itself.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from typing import Any

import numpy as np
import torch
from transformers import LogitsProcessor, LogitsProcessorList

from engines.errors import AbilityError
from engines.hosts.pretrained import weights
from engines.hosts.pretrained.checkpoint import Checkpoint, Place
from engines.hosts.pretrained.generation import GenerationLock
from engines.hosts.results import Steps
from engines.hosts.transcription import ChunkTranscript, transcribe_chunks
from engines.protocol import LANGUAGES, RATE_HZ, Ability, Cancel, Segment, TranscribeRequest, TranscribeResult, Word

TIME_S = 0.02
"""Seconds between two of Whisper's time tokens."""
NO_SPEECH = 0.6
"""Whisper's own threshold; above it a chunk counts as silence. In noise Whisper often stays below, and is unsure of
what it writes: half of it is enough then, which real speech does not reach."""
UNSURE = -1.0
"""Whisper's own threshold for the mean log probability of the tokens of a text that is not to be relied on."""
N_NEW = 220
"""Maximum new tokens per chunk, of at most 15 s: half of what Whisper writes in a window of 30 s."""
MAX_COMPRESSION = 2.4
"""The compression ratio above which a text is a repetition, as over music; Whisper's own threshold, too."""
PIVOT = "en"
"""The language that Whisper translates into."""


def abilities(checkpoint: Checkpoint) -> frozenset[Ability]:
    """Transcription in each language that the checkpoint lists; "" where it lists none."""
    spoken = _languages(checkpoint)
    found = {Ability(TranscribeRequest, language) for language in spoken or ("",)}
    if _translates(checkpoint):
        found |= {Ability(TranscribeRequest, f"{language}-{PIVOT}") for language in spoken if language != PIVOT}
    return frozenset(found)


def _generation(checkpoint: Checkpoint) -> dict[str, Any]:
    return checkpoint.small("generation_config.json")


def _languages(checkpoint: Checkpoint) -> tuple[str, ...]:
    generation = _generation(checkpoint)
    known = generation.get("lang_to_id") or {}
    if known and generation.get("is_multilingual", True):
        return tuple(language for language in LANGUAGES if f"<|{language}|>" in known)
    return ("en",) if generation.get("is_multilingual") is False else ()


def _translates(checkpoint: Checkpoint) -> bool:
    return "translate" in (_generation(checkpoint).get("task_to_id") or {})


def tasks(checkpoint: Checkpoint, place: Place, lock: GenerationLock) -> dict[type, Steps]:
    """What the model does, once its weights are there. Raises CheckpointError."""
    writer = Speller(checkpoint, place, lock) if checkpoint.family == "ctc" else Whisper(checkpoint, place, lock)

    def transcribe(request: TranscribeRequest, _: Cancel) -> Iterator[TranscribeResult]:
        to = request.translate_to
        if to is not None and to != request.language and not (to == PIVOT and _translates(checkpoint)):
            raise AbilityError(
                "speech_translation_unable",
                "{name} does not translate speech to {to}; leave the translation out, or choose a model "
                "for translation in Models & device.",
                name=checkpoint.name,
                to=to,
            )
        spoken = _languages(checkpoint)
        if request.language is not None and spoken and request.language not in spoken:
            raise AbilityError(
                "speech_language_unable",
                "{name} does not write down {language}; it knows {known}.",
                name=checkpoint.name,
                language=request.language,
                known=list(spoken),
            )
        return transcribe_chunks(request, lambda samples, language: writer.write(samples, language, to))

    return {TranscribeRequest: transcribe}


class Whisper:
    """An encoder-decoder speech model; language and time tokens are used where it has them."""

    def __init__(self, checkpoint: Checkpoint, place: Place, lock: GenerationLock) -> None:
        self._features = weights.feature_extractor(checkpoint)
        self._tokenizer = weights.tokenizer(checkpoint)
        self._model = weights.load("AutoModelForSpeechSeq2Seq", checkpoint, place)
        self._lock = lock
        config = self._model.generation_config
        self._languages: dict[str, int] = (getattr(config, "lang_to_id", None) or {}) if _languages(checkpoint) else {}
        self._only = _languages(checkpoint) if not self._languages or len(_languages(checkpoint)) == 1 else ()
        unstamped = getattr(config, "no_timestamps_token_id", None)
        self._first_time = None if unstamped is None else unstamped + 1
        self._no_speech = next(
            (i for t in ("<|nospeech|>", "<|nocaptions|>") if (i := _token(self._tokenizer, t)) is not None), None
        )

    def write(self, samples: np.ndarray, language: str | None, translate_to: str | None) -> Generator[ChunkTranscript]:
        inputs = self._inputs(samples)
        no_speech, found = yield from self._lock.run(lambda: self._heard(inputs, language), ChunkTranscript())
        nothing = ChunkTranscript(language=found)
        if no_speech > NO_SPEECH:
            yield nothing
            return
        end_s = len(samples) / RATE_HZ
        transcript, confidence, doubtful = nothing, _Confidence(), no_speech > NO_SPEECH / 2
        with closing(self._ids(inputs, found, "transcribe", confidence)) as generation:
            for ids in generation:
                transcript = ChunkTranscript(_timed(ids, self._first_time, self._decode, end_s), found)
                if _is_repetitive(" ".join(segment.text for segment in transcript.segments)):
                    yield nothing
                    return
                yield nothing if doubtful else transcript
        if doubtful and confidence.mean_logprob < UNSURE:
            return
        yield transcript
        if translate_to is None or translate_to == found:
            return
        text, start_s, stop_s = " ".join(s.text for s in transcript.segments), 0.0, end_s
        if transcript.segments:
            start_s, stop_s = transcript.segments[0].start_s, transcript.segments[-1].end_s
        with closing(self._ids(inputs, found, "translate", _Confidence())) as generation:
            for ids in generation:
                translation = " ".join(s.text for s in _timed(ids, self._first_time, self._decode, end_s))
                yield ChunkTranscript((Segment(start_s, stop_s, text, translation=translation),), found)

    def _inputs(self, samples: np.ndarray) -> dict[str, torch.Tensor]:
        found = self._features(samples, sampling_rate=RATE_HZ, return_tensors="pt", return_attention_mask=True)
        return weights.placed(found, self._model)

    def _heard(self, inputs: dict[str, torch.Tensor], language: str | None) -> tuple[float, str]:
        """The probability of no speech, and the language: both stand at the first place of the decoder."""
        start = self._model.generation_config.decoder_start_token_id
        found = language or next(iter(self._only), "")
        if "input_features" not in inputs or (self._no_speech is None and not self._languages):
            return 0.0, found
        first = torch.tensor([[start]], device=self._model.device)
        logits = self._model(input_features=inputs["input_features"], decoder_input_ids=first).logits[0, -1].float()
        no_speech = 0.0 if self._no_speech is None else float(logits.softmax(-1)[self._no_speech])
        if not found and self._languages:
            known = {name.strip("<|>"): index for name, index in self._languages.items()}
            found = max(known, key=lambda name: float(logits[known[name]]))
        return no_speech, found

    def _ids(
        self, inputs: dict[str, torch.Tensor], language: str, task: str, confidence: _Confidence
    ) -> Generator[list[int]]:
        options: dict[str, Any] = {"max_new_tokens": N_NEW, "num_beams": 1, "do_sample": False}
        options["logits_processor"] = LogitsProcessorList([confidence])
        if self._first_time is not None:
            options["return_timestamps"] = True
        if self._languages and len(self._only) != 1:
            options |= {"language": language, "task": task}
        return self._lock.generate(lambda extra: self._model.generate(**inputs, **options, **extra))

    def _decode(self, ids: list[int]) -> str:
        return str(self._tokenizer.decode(ids, skip_special_tokens=True)).strip()


class _Confidence(LogitsProcessor):
    """Records the log-probability of each token, which in greedy decoding is the highest."""

    def __init__(self) -> None:
        self._logprobs: list[float] = []

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        self._logprobs.append(float(scores[0].float().log_softmax(-1).max()))
        return scores

    @property
    def mean_logprob(self) -> float:
        return sum(self._logprobs) / max(1, len(self._logprobs))


class Speller:
    """A CTC model (Graves et al. 2006): writes letter by letter, with the times of each word."""

    def __init__(self, checkpoint: Checkpoint, place: Place, lock: GenerationLock) -> None:
        self._features = weights.feature_extractor(checkpoint)
        self._tokenizer = weights.tokenizer(checkpoint)
        self._model = weights.load("AutoModelForCTC", checkpoint, place)
        self._lock = lock

    def write(self, samples: np.ndarray, language: str | None, _: str | None) -> Generator[ChunkTranscript]:
        inputs = weights.placed(self._features(samples, sampling_rate=RATE_HZ, return_tensors="pt"), self._model)
        logits = yield from self._lock.run(
            lambda: self._model(**inputs).logits[0], ChunkTranscript(language=language or "")
        )
        found = self._tokenizer.decode(logits.argmax(-1).tolist(), output_word_offsets=True)
        step_s = len(samples) / RATE_HZ / len(logits)
        words = tuple(Word(w["start_offset"] * step_s, w["end_offset"] * step_s, w["word"]) for w in found.word_offsets)
        if words:
            segment = Segment(words[0].start_s, words[-1].end_s, str(found.text), words)
            yield ChunkTranscript((segment,), language or "")


def _token(tokenizer: Any, text: str) -> int | None:
    index = tokenizer.convert_tokens_to_ids(text)
    return None if index is None or index == tokenizer.unk_token_id else int(index)


def _is_repetitive(text: str) -> bool:
    encoded = text.encode()
    return len(encoded) > 80 and len(encoded) / len(zlib.compress(encoded)) > MAX_COMPRESSION


def _timed(
    ids: list[int], first_time: int | None, decode: Callable[[list[int]], str], end_s: float
) -> tuple[Segment, ...]:
    """Tokens with time tokens between them -> segments; what is still open ends with the chunk."""
    segments: list[Segment] = []
    start_s, held = 0.0, list[int]()
    for index in ids:
        if first_time is None or index < first_time:
            held.append(index)
            continue
        time_s = min((index - first_time) * TIME_S, end_s)
        if text := decode(held):
            segments.append(Segment(start_s, max(time_s, start_s), text))
        start_s, held = time_s, []
    if text := decode(held):
        segments.append(Segment(start_s, end_s, text))
    return tuple(segments)
