"""Text from one language into another, sentence by sentence, as it is written.

The model is trained between English and each other language. Any other pair goes by way of English.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import torch

from engines.decoding import DecodeOptions, generate
from engines.encoder import MediaEncoder
from engines.model.fusion import Stream
from engines.protocol import LANGUAGES, Progress, TranslateRequest, TranslateResult

PIVOT = "en"
PAIRS = tuple(f"{source}-{target}" for source in LANGUAGES for target in LANGUAGES if source != target)
"""Every pair served, those by way of English among them."""
MAX_PIECES = 100
"""A longer sentence is cut at a comma or a space first: training saw few longer ones."""
BEAM = 4

_SENTENCE = re.compile(r".+?(?:[.!?…]+[\"'»“”’)\]]*(?=\s+[^\sa-zà-ÿ])|[。！？]+[”’」』）]*|$)", re.DOTALL)
_ABBREVIATION = re.compile(r"(?:^|[\s(])(?:[A-Za-z]|Mr|Mrs|Ms|Dr|Prof|St|Nr|No|bzw|ca|vs|Mme|Mlle)\.$")


def stream(encoder: MediaEncoder, request: TranslateRequest) -> Iterator[TranslateResult]:
    """The translation as it grows; line breaks stay where they are."""
    text = ""
    for text, share in _growing(encoder, request.text, request.source, request.target):
        yield TranslateResult(request=request, text=text, progress=Progress("translating", share, 1.0))
    yield TranslateResult(request=request, text=text, end="finished")


def growing(encoder: MediaEncoder, text: str, source: str, target: str) -> Iterator[str]:
    """The translation of a text as it grows; the last one is whole. The same language is a copy."""
    if source == target:
        yield text
        return
    for translation, _ in _growing(encoder, text, source, target):
        yield translation


def _growing(encoder: MediaEncoder, text: str, source: str, target: str) -> Iterator[tuple[str, float]]:
    """The translation so far, and which part of the text it covers, 0 to 1."""
    joint = "" if target == "zh" else " "
    done, n_read = "", 0
    for n, line in enumerate(text.splitlines()):
        done += "\n" if n else ""
        finished: list[str] = []
        for sentence in sentences(line):
            for part in _parts(encoder, sentence):
                translation = ""
                for translation in _part(encoder, part, source, target):
                    yield done + joint.join([*finished, translation]), n_read / len(text)
                finished.append(translation)
                n_read += len(part)
        done += joint.join(finished)
    yield done, 1.0


def sentences(line: str) -> list[str]:
    """A line cut after full stops, exclamation and question marks, but not after "Dr." or an initial."""
    found: list[str] = []
    for match in _SENTENCE.finditer(line):
        if found and _ABBREVIATION.search(found[-1]):
            found[-1] += match[0]
        else:
            found.append(match[0])
    return [sentence.strip() for sentence in found if sentence.strip()]


def _parts(encoder: MediaEncoder, sentence: str) -> list[str]:
    """A sentence in parts of at most `MAX_PIECES`, cut at the comma, else the space, nearest to the middle."""
    if len(encoder.tokenizer.encode(sentence)) <= MAX_PIECES:
        return [sentence]
    middle = len(sentence) // 2
    for mark in ("[,;:，；：、]", r"\s", "(?=.)"):
        ends = [match.end() for match in re.finditer(mark, sentence) if 0 < match.end() < len(sentence)]
        if ends:
            cut = min(ends, key=lambda end: abs(end - middle))
            return _parts(encoder, sentence[:cut].strip()) + _parts(encoder, sentence[cut:].strip())
    return [sentence]


def _part(encoder: MediaEncoder, text: str, source: str, target: str) -> Iterator[str]:
    """One sentence, by way of English where the pair was not trained; nothing of the English is shown."""
    if PIVOT not in (source, target):
        english = ""
        for growing_english in _direct(encoder, text, PIVOT):
            english = growing_english
            yield ""
        text = english
    yield from _direct(encoder, text, target)


def _direct(encoder: MediaEncoder, text: str, target: str) -> Iterator[str]:
    model, tokenizer = encoder.model, encoder.tokenizer
    ids = tokenizer.encode(text)
    memory = model.fuse([Stream("text", *encoder.read(ids))])
    prefix = torch.tensor([tokenizer.prefix("translate", target)])
    for (hypothesis,) in generate(model, memory, prefix, tokenizer, options(len(ids))):
        yield tokenizer.decode(hypothesis.ids)


def options(n_pieces: int) -> DecodeOptions:
    """How the translation of a sentence of so many pieces is written.

    Twice as many pieces and a few is more than any fair translation takes; a rare Chinese character is three pieces, so
    runs of three may come twice.
    """
    return DecodeOptions(task="translate", beam=BEAM, max_new=2 * n_pieces + 24, length_penalty=1.0, no_repeat=4)
