"""One sentence about a photo, a clip or a sound.

Photos and sounds are captioned in English, German and Chinese straight from the memory. A clip is asked what is
happening in it, frames and sound together, in English or Chinese. What is left is the English caption, translated.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import torch

from engines.decoding import DecodeOptions, generate
from engines.protocol import CaptionRequest, CaptionResult, Progress
from engines.senses import Encoded, Senses
from engines.tasks import answer, translate

DIRECT = ("en", "de", "zh")
DIRECT_FOR_CLIPS = {"en": "What is happening?", "zh": "发生了什么？"}
_SPACED_MARK = re.compile(r"\s+([.,!?;:])")
"""The captions that were learnt from have a space before their full stops; nobody writes so."""
CAPTION = DecodeOptions(task="caption", beam=3, max_new=60)
ANSWER = DecodeOptions(task="answer", beam=3, max_new=60)


def stream(senses: Senses, request: CaptionRequest) -> Iterator[CaptionResult]:
    """The best caption so far, after each piece. "empty": a sound in which nothing is to be heard."""
    yield CaptionResult(request=request, progress=Progress("looking"))
    for encoded in senses.encoding(request.media):
        yield CaptionResult(request=request, progress=Progress("looking", len(encoded.times_s), unit="frames"))
    if encoded.frames is None and encoded.sound is None:
        yield CaptionResult(request=request, end="empty")
        return
    direct = request.language in (DIRECT_FOR_CLIPS if encoded.kind == "clip" else DIRECT)
    text = ""
    for text in _written(senses, encoded, request.language if direct else translate.PIVOT):
        yield CaptionResult(request=request, text=text if direct else "", progress=Progress("writing"))
    if not direct:
        english = text
        for text in translate.growing(senses, english, translate.PIVOT, request.language):
            yield CaptionResult(request=request, text=text, progress=Progress("translating"))
    yield CaptionResult(request=request, text=text, end="finished")


def _written(senses: Senses, encoded: Encoded, language: str) -> Iterator[str]:
    streams = senses.streams(encoded, whole=encoded.kind == "photo")
    options = CAPTION
    if encoded.kind == "clip":
        streams.append(answer.asked(senses, DIRECT_FOR_CLIPS[language]))
        options = ANSWER
    prefix = torch.tensor([senses.tokenizer.prefix(options.task, language)])
    for (hypothesis,) in generate(senses.model, senses.model.fuse(streams), prefix, senses.tokenizer, options):
        yield _SPACED_MARK.sub(r"\1", senses.tokenizer.decode(hypothesis.ids))
