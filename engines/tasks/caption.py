"""One sentence about a photo, a clip or a sound.

Photos and sounds are captioned in English, German and Chinese straight from the memory. A clip is asked what is
happening in it, frames and sound together, in English or Chinese. What is left is the English caption, translated.

Beside the picture the decoder reads the names of what the concept head found, where they help. Of the sentences that
the beam ends with, the one is taken that the model itself places closest to the picture.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch

from engines.decoding import DecodeOptions, Hypothesis, generate
from engines.encoder import Encoded, MediaEncoder
from engines.model.concepts import Name
from engines.protocol import CaptionRequest, CaptionResult, Progress
from engines.tasks import ask, doubt, reading, translate
from engines.tasks.ask import spelt

DIRECT = ("en", "de", "zh")
DIRECT_FOR_CLIPS = {"en": "What is happening?", "zh": "发生了什么？"}
_SPACED_MARK = re.compile(r"\s+([.,!?;:]|'s\b)")
"""Captions in the training data have a space before their full stops, which is removed."""
_ARTICLE = re.compile(r"\b([Aa]) (?=[aeiou](?!ni(?:c|f|v|t)|u|ne?\b|se))")
"""An article before a word that begins with a vowel sound; "unicycle" and "european" do not."""
UNSURE_NUDGE = {"en": 7.0}
"""To begin a name that is not sure, instead of `DecodeOptions.nudge`: without it the decoder keeps to the people and
dogs of everyday photos. By `python -m engines.evaluation --only caption --limit 200` it costs 0.4 points of CIDEr in
English, and would cost 1.4 in German and 12 in Chinese, where a name begins with a character that begins much else."""
CAPTION = DecodeOptions(task="caption", beam=5, max_new=60)
ANSWER = DecodeOptions(task="answer", beam=5, max_new=60)
CLOSENESS = 4.0
"""Weight of a sentence's cosine to the picture against its mean log-probability."""


SURE_NAME, FITTING = 0.8, 0.6
"""Probability of a name from which on it is always given to the decoder, and the cosine to the picture at which a
caption without names is good enough. On dev, names given always cost photos of everyday life 5 points of CIDEr."""


@dataclass(frozen=True)
class Written:
    """A caption as far as it is written; at its end also what speaks for it. closeness: its cosine to the picture.

    ids: its tokens. names: those that the decoder read beside the picture.
    """

    text: str
    mean_logprob: float = 0.0
    closeness: float = 0.0
    ids: tuple[int, ...] = ()
    names: tuple[Name, ...] = ()


def stream(encoder: MediaEncoder, request: CaptionRequest) -> Iterator[CaptionResult]:
    """The best caption so far, after each token. "empty": a sound in which nothing is to be heard."""
    return (spelt(result, request.language) for result in _growing(encoder, request))


def _growing(encoder: MediaEncoder, request: CaptionRequest) -> Iterator[CaptionResult]:
    shown = CaptionResult(request=request, progress=Progress("looking"))
    yield shown
    reader = reading.Reader(request.media)
    for part in encoder.encoding(request.media, track=request.track):
        if part is not None:
            encoded = part
            progress = Progress("looking", len(encoded.times_s), unit="frames")
            shown = replace(shown, progress=progress, notes=encoded.notes)
        yield shown
    if encoded.frames is None and encoded.sound is None:
        yield replace(shown, progress=None, end="empty")
        return
    direct = request.language in (DIRECT_FOR_CLIPS if encoded.kind == "clip" else DIRECT)
    names = tuple((name.text(request.language), name.probability) for name in encoded.names)
    result = replace(shown, names=names)
    for best in written(encoder, encoded, request.language if direct else translate.PIVOT):
        yield replace(result, text=best.text if direct else "", progress=Progress("writing"))
    text = best.text
    if not direct:
        for translation in translate.growing(encoder, best.text, translate.PIVOT, request.language):
            text = translation.text
            yield replace(result, text=text, progress=Progress("translating"))
    judged = doubt.caption(encoder, encoded, best.mean_logprob, best.closeness, request.language)
    result = replace(result, text=text, progress=Progress("reading words"), **judged.fields())
    while not reader.look():
        yield result
    yield replace(result, written=reader.lines, progress=None, end="finished")


def written(encoder: MediaEncoder, encoded: Encoded, language: str) -> Iterator[Written]:
    """A caption in a language that is written directly, after each token; the last one is the one to be given.

    A name that is nearly sure goes to the decoder at once. A less sure one may stand for something at the edge of the
    picture, so it is given only where a caption written without it does not fit the picture.
    """
    sure = max((name.probability for name in encoded.names), default=0.0) >= SURE_NAME
    if not sure:
        for best in _writing(encoder, replace(encoded, names=()), language):
            yield best
    if sure or (encoded.names and best.closeness < FITTING):
        nudge = CAPTION.nudge if sure else UNSURE_NUDGE.get(language, CAPTION.nudge)
        yield from _writing(encoder, encoded, language, nudge)


def _writing(encoder: MediaEncoder, encoded: Encoded, language: str, nudge: float = CAPTION.nudge) -> Iterator[Written]:
    """A caption after each token, with the names that `encoded` has."""
    streams = encoder.streams(encoded, language, whole=encoded.kind == "photo")
    options = CAPTION
    if encoded.kind == "clip":
        streams.append(ask.asked(encoder, DIRECT_FOR_CLIPS[language]))
        options = ANSWER
    options = replace(options, favoured=encoder.name_tokens(encoded, language), nudge=nudge)
    prefix = torch.tensor([encoder.tokenizer.prefix(options.task, language)])
    for (hypothesis,) in generate(encoder.model, encoder.model.fuse(streams), prefix, encoder.tokenizer, options):
        yield Written(_plain(encoder, hypothesis.ids), hypothesis.mean_logprob, ids=hypothesis.ids, names=encoded.names)
    if encoded.frames is not None and hypothesis.alternatives:
        yield _closest(encoder, encoded, hypothesis)


def _closest(encoder: MediaEncoder, encoded: Encoded, hypothesis: Hypothesis) -> Written:
    """Choose among the texts of the final beam by their cosine to the picture and their own probability."""
    picture = encoder.picture_vector(encoded)
    candidates = []
    for ids, mean_logprob in hypothesis.alternatives:
        text = _plain(encoder, ids)
        if text:
            closeness = float(encoder.text_vector(text) @ picture)
            candidates.append(Written(text, mean_logprob, closeness, ids, encoded.names))
    if not candidates:
        return Written("", hypothesis.mean_logprob)
    return max(candidates, key=lambda written: written.mean_logprob + CLOSENESS * written.closeness)


def _plain(encoder: MediaEncoder, ids: tuple[int, ...]) -> str:
    return _ARTICLE.sub(r"\1n ", _SPACED_MARK.sub(r"\1", encoder.tokenizer.decode(ids)))
