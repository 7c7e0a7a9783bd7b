"""A question about a clip, a photo or a sound, answered from its frames and its sound.

The model is asked in English or Chinese, the languages it was trained to answer in; German and French questions and
answers go through translation. After the answer the same pieces are scored again with one sense, and with one moment
after another, taken away: what the answer loses is what it rests on.

Each question is answered by itself: `AskRequest.history` is for hosts whose model was trained on conversations.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch

from engines.decoding import DecodeOptions, Hypothesis, generate
from engines.encoder import Encoded, MediaEncoder
from engines.model.fusion import Stream
from engines.protocol import AskRequest, AskResult, Progress, Sense
from engines.tasks import translate

ASKED_IN = ("en", "zh")
OPTIONS = DecodeOptions(task="answer", beam=1, max_new=40)
MAX_QUESTION_PIECES = 200
N_MOMENTS = 16
"""Stretches a clip is cut into to find the one an answer rests on: at most one frame in each."""
MOMENT_SHARE = 0.1
"""An answer that loses less than this without any one moment rests on none in particular."""


def stream(encoder: MediaEncoder, request: AskRequest) -> Iterator[AskResult]:
    """The answer as it grows; the last one also says how sure it is and what it rests on. "empty": a silent sound."""
    yield AskResult(request=request, progress=Progress("looking"))
    for encoded in encoder.encoding(request.media):
        yield AskResult(request=request, progress=Progress("looking", len(encoded.times_s), unit="frames"))
    silent = encoded.kind != "photo" and encoded.sound is None
    if silent and encoded.frames is None:
        yield AskResult(request=request, silent=True, end="empty")
        return
    language = request.language if request.language in ASKED_IN else "en"
    question = ""
    for growing in _question(encoder, request, language):
        question = growing
        yield AskResult(request=request, progress=Progress("translating"))
    streams = [*encoder.streams(encoded, hide=request.hide), asked(encoder, question)]
    prefix = torch.tensor([encoder.tokenizer.prefix("answer", language)])
    memory = encoder.model.fuse(streams)
    direct = language == request.language
    result = AskResult(request=request, silent=silent, progress=Progress("writing"))
    for (hypothesis,) in generate(encoder.model, memory, prefix, encoder.tokenizer, OPTIONS):
        text = encoder.tokenizer.decode(hypothesis.ids)
        yield replace(result, text=text if direct else "")
    if not direct:
        english = text
        for text in translate.growing(encoder, english, language, request.language):
            yield replace(result, text=text)
    result = replace(result, text=text, confidence=math.exp(hypothesis.mean_logprob), progress=Progress("weighing"))
    yield result
    senses_used = _senses_used(encoder, streams, prefix, hypothesis)
    yield replace(result, senses=senses_used)
    moments_s = _moments_s(encoder, encoded, streams, prefix, hypothesis)
    yield replace(result, senses=senses_used, moments_s=moments_s, progress=None, end="finished")


def _question(encoder: MediaEncoder, request: AskRequest, language: str) -> Iterator[str]:
    """The question in the language the model is asked in, as it is translated; the last one is whole.

    A question is taken to be in the language of its answer; one with Chinese characters is Chinese whatever was chosen.
    """
    is_chinese = any("一" <= character <= "鿿" for character in request.question)
    source = "zh" if is_chinese else "en" if request.language == "zh" else request.language
    return translate.growing(encoder, request.question, source, language)


def asked(encoder: MediaEncoder, question: str) -> Stream:
    """A question as a stream."""
    return Stream("text", *encoder.read(encoder.tokenizer.encode(question)[:MAX_QUESTION_PIECES]))


def _senses_used(
    encoder: MediaEncoder, streams: Sequence[Stream], prefix: torch.Tensor, answer: Hypothesis
) -> tuple[tuple[Sense, float], ...]:
    """For each sense there is, the part of the answer's probability that goes when it is taken away."""
    before = float(_probability(encoder, streams, prefix, answer)[0])
    found: list[tuple[Sense, float]] = []
    for stream in streams:
        if stream.sense != "text":
            left = [other for other in streams if other is not stream]
            found.append((stream.sense, _lost(before, float(_probability(encoder, left, prefix, answer)[0]))))
    return tuple(found)


def _moments_s(
    encoder: MediaEncoder, encoded: Encoded, streams: Sequence[Stream], prefix: torch.Tensor, answer: Hypothesis
) -> tuple[float, ...]:
    """The times an answer names, else the middle of the stretch it is least likely without; () if none stands out.

    Row n of a batch hears and sees everything but stretch n; one more row misses nothing.
    """
    named = [encoder.tokenizer.time_s(piece) for piece in answer.ids]
    if any(time_s is not None for time_s in named):
        return tuple(time_s for time_s in named if time_s is not None)
    times = [stream.times_s for stream in streams if stream.times_s is not None]
    if not times or encoded.duration_s <= 0.0:
        return ()
    end_s = max(float(t.max()) for t in times) + 1e-3
    rows = []
    for stream in streams:
        tokens = stream.tokens.expand(N_MOMENTS + 1, -1, -1)
        mask = stream.mask.expand(N_MOMENTS + 1, -1)
        if stream.times_s is not None:
            at = (stream.times_s / end_s * N_MOMENTS).long()  # (1, T), 0 to N_MOMENTS - 1
            mask = mask & (at != torch.arange(N_MOMENTS + 1, device=at.device)[:, None])
        rows.append(Stream(stream.sense, tokens, mask, stream.times_s))
    probabilities = _probability(encoder, rows, prefix, answer)
    least = int(probabilities[:-1].argmin())
    if _lost(float(probabilities[-1]), float(probabilities[least])) < MOMENT_SHARE:
        return ()
    return (round((least + 0.5) * end_s / N_MOMENTS, 2),)


@torch.inference_mode()
def _probability(
    encoder: MediaEncoder, streams: Sequence[Stream], prefix: torch.Tensor, answer: Hypothesis
) -> torch.Tensor:
    """Mean probability (geometric) of the answer's pieces and its end, given streams of B rows -> (B,)."""
    memory = encoder.model.fuse(streams)
    ids = torch.tensor([[*prefix[0].tolist(), *answer.ids, encoder.tokenizer.eos_id]], device=memory.tokens.device)
    logits = encoder.model.decode(ids[:, :-1].expand(len(memory.tokens), -1), memory).float()
    wanted = ids[:, prefix.shape[1] :].expand(len(logits), -1)  # (B, L)
    given = logits[:, prefix.shape[1] - 1 :].log_softmax(-1).gather(2, wanted[..., None])[..., 0]
    return given.mean(1).exp()


def _lost(before: float, after: float) -> float:
    """The part of a probability that is gone, 0 to 1."""
    return min(max((before - after) / max(before, 1e-9), 0.0), 1.0)
