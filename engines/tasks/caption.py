"""One sentence about a photo, a clip or a sound.

Photos and sounds are captioned in English, German and Chinese straight from the memory. A clip is asked what is
happening in it, frames and sound together, in English or Chinese. What is left is the English caption, translated.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import torch

from engines.decoding import DecodeOptions, generate
from engines.encoder import Encoded, MediaEncoder
from engines.protocol import CaptionRequest, CaptionResult, Progress
from engines.tasks import ask, translate

DIRECT = ("en", "de", "zh")
DIRECT_FOR_CLIPS = {"en": "What is happening?", "zh": "发生了什么？"}
_SPACED_MARK = re.compile(r"\s+([.,!?;:])")
"""The captions that were learnt from have a space before their full stops; nobody writes so."""
CAPTION = DecodeOptions(task="caption", beam=3, max_new=60)
ANSWER = DecodeOptions(task="answer", beam=3, max_new=60)


def stream(encoder: MediaEncoder, request: CaptionRequest) -> Iterator[CaptionResult]:
    """The best caption so far, after each piece. "empty": a sound in which nothing is to be heard."""
    yield CaptionResult(request=request, progress=Progress("looking"))
    for encoded in encoder.encoding(request.media):
        yield CaptionResult(request=request, progress=Progress("looking", len(encoded.times_s), unit="frames"))
    if encoded.frames is None and encoded.sound is None:
        yield CaptionResult(request=request, end="empty")
        return
    direct = request.language in (DIRECT_FOR_CLIPS if encoded.kind == "clip" else DIRECT)
    text = ""
    for text in _written(encoder, encoded, request.language if direct else translate.PIVOT):
        yield CaptionResult(request=request, text=text if direct else "", progress=Progress("writing"))
    if not direct:
        english = text
        for text in translate.growing(encoder, english, translate.PIVOT, request.language):
            yield CaptionResult(request=request, text=text, progress=Progress("translating"))
    yield CaptionResult(request=request, text=text, end="finished")


def _written(encoder: MediaEncoder, encoded: Encoded, language: str) -> Iterator[str]:
    streams = encoder.streams(encoded, whole=encoded.kind == "photo")
    options = CAPTION
    if encoded.kind == "clip":
        streams.append(ask.asked(encoder, DIRECT_FOR_CLIPS[language]))
        options = ANSWER
    prefix = torch.tensor([encoder.tokenizer.prefix(options.task, language)])
    for (hypothesis,) in generate(encoder.model, encoder.model.fuse(streams), prefix, encoder.tokenizer, options):
        yield _SPACED_MARK.sub(r"\1", encoder.tokenizer.decode(hypothesis.ids))
