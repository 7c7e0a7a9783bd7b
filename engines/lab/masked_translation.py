"""Translate a sentence some words of which are masked, with a photo as context.

    for result in stream(host, MaskedRequest(text="A dog on a beach.", hidden=frozenset({1}), photo=Path("dog.jpg"))):
        print(result.text)

The decoder is `engines.lab.product_of_experts`; importing this module loads no torch. What a photo is worth is measured
by `scripts.measure_masked_translation`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from engines.errors import AbilityError, RequestError
from engines.protocol import Cancel, Host, Media, Progress, Result

if TYPE_CHECKING:
    from engines.encoder import MediaEncoder
    from engines.text import Tokenizer

PAIRS = ("en-de", "en-zh", "de-en", "zh-en")
"""Language pairs that are translated in one step, into a language that the model also captions in."""
BLANK = "..."
"""Stands for any number of adjacent masked words."""
WEIGHT = 0.8
MAX_CHARACTERS = 300


@dataclass(frozen=True, kw_only=True)
class MaskedRequest:
    """Translate a sentence some words of which are masked. Raises RequestError.

    hidden: indices of masked words in `words(text, source)`. photo: context, None for the text alone. weight: of the
    photo, 0 to 1.
    """

    text: str
    source: str = "en"
    target: str = "de"
    hidden: frozenset[int] = frozenset()
    photo: Media | None = None
    weight: float = WEIGHT
    blank: str = BLANK

    def __post_init__(self) -> None:
        n_words = len(words(self.text, self.source))
        if n_words == 0:
            raise RequestError("masking_no_sentence", "Type a sentence first, or let the photo be described.")
        if len(self.text) > MAX_CHARACTERS:
            raise RequestError(
                "masking_too_long",
                "The sentence has {n} characters; at most {at_most} are taken here.",
                n=len(self.text),
                at_most=MAX_CHARACTERS,
            )
        if f"{self.source}-{self.target}" not in PAIRS:
            known = ", ".join(PAIRS)
            raise RequestError(
                "masking_pair_unknown",
                "{source}-{target} is not translated here; choose one of {known}.",
                source=self.source,
                target=self.target,
                known=known,
            )
        if not self.hidden <= set(range(n_words)):
            raise RequestError("masking_no_such_word", "There are {n} words; hide some of those.", n=n_words)
        if len(self.hidden) == n_words:
            raise RequestError("masking_all_hidden", "Leave at least one word to translate.")
        if not 0.0 <= self.weight <= 1.0:
            raise RequestError("weight_out_of_range", "The weight is {weight}; it is 0 to 1.", weight=self.weight)

    @property
    def shown(self) -> str:
        """The sentence with `blank` in place of the masked words."""
        found = [
            re.sub(r"\w(.*\w)?", self.blank, word) if n in self.hidden else word
            for n, word in enumerate(words(self.text, self.source))
        ]
        joined = ("" if self.source == "zh" else " ").join(found)
        blank = re.escape(self.blank)
        return re.sub(rf"{blank}( ?{blank})+", self.blank, joined) if blank else " ".join(joined.split())


def words(text: str, language: str) -> tuple[str, ...]:
    """The units that can be masked: words with the punctuation that follows them; in Chinese, characters."""
    if language == "zh":
        return tuple(re.findall(r"[a-zA-Z0-9]+|\S", text))
    return tuple(re.sub(r"\s+([.,!?;:])", r"\1", text).split())


@dataclass(frozen=True)
class Part:
    """A word of a translation (in Chinese, a token), with the space before it.

    share: 1 - p_text / p, the part of its probability that is due to the photo, 0 to 1.
    """

    text: str
    share: float = 0.0


@dataclass(frozen=True, kw_only=True)
class MaskedResult(Result):
    """text: the translation so far. parts: its words with the photo's share in each, once it is finished."""

    request: Any
    text: str = ""
    parts: tuple[Part, ...] = ()


def stream(host: Host, request: MaskedRequest, cancel: Cancel | None = None) -> Iterator[MaskedResult]:
    """Stream the translation as it is decoded. Raises AbilityError for any host but the built-in model."""
    from engines.hosts.builtin import BuiltinHost

    if not isinstance(host, BuiltinHost):
        raise AbilityError(
            "masking_unable",
            "{name} cannot write by text and photo at once; give the built-in model a task under Models.",
            name=host.info.name,
        )
    return host.perform(write, MaskedResult, request, cancel)


def write(encoder: MediaEncoder, request: MaskedRequest) -> Iterator[MaskedResult]:
    """The task, as the host's worker runs it."""
    import torch

    from engines.decoding import generate
    from engines.lab.product_of_experts import ProductOfExperts
    from engines.model.fusion import Stream
    from engines.tasks.carry import options
    from engines.tasks.translate import MAX_PIECES

    model, tokenizer = encoder.model, encoder.tokenizer
    ids = tokenizer.encode(request.shown)
    if len(ids) > MAX_PIECES:
        raise RequestError("sentence_too_long", "The sentence is too long; give a shorter one.")
    experts: ProductOfExperts | None = None
    if request.photo is not None:
        yield MaskedResult(request=request, progress=Progress("looking"))
        encoded = encoder.encode(request.photo)
        if encoded.kind != "photo":
            raise RequestError("photo_needed", "Only a photo helps here; choose one.")
        photo = model.fuse(encoder.streams(encoded, whole=True))
        experts = ProductOfExperts(model, tokenizer, photo, request.weight)
    memory = model.fuse([Stream("text", *encoder.read(ids))])
    prefix = torch.tensor([tokenizer.prefix("translate", request.target)], device=memory.tokens.device)
    result = MaskedResult(request=request, progress=Progress("writing"))
    for (hypothesis,) in generate(model if experts is None else experts, memory, prefix, tokenizer, options(len(ids))):
        result = replace(result, text=tokenizer.decode(hypothesis.ids))
        yield result
    gains = [0.0] * len(hypothesis.ids) if experts is None else experts.gains(memory, prefix, hypothesis.ids)
    yield replace(result, parts=parts(tokenizer, hypothesis.ids, gains), progress=None, end="finished")


def parts(tokenizer: Tokenizer, ids: Sequence[int], gains: Sequence[float]) -> tuple[Part, ...]:
    """Words with the photo's share in each: 1 - p_text / p, at least 0."""
    return tuple(
        Part(text, 1.0 - math.exp(-max(0.0, sum(gains[i] for i in places)))) for text, places in joined(tokenizer, ids)
    )


def joined(tokenizer: Tokenizer, ids: Sequence[int]) -> list[tuple[str, list[int]]]:
    """Tokens joined to words, in Chinese to characters: each with the space before it, and the places of its tokens."""
    found: list[tuple[str, list[int]]] = []
    written, places = "", list[int]()
    for n in range(len(ids)):
        places.append(n)
        text = tokenizer.decode(ids[: n + 1])
        new = text[len(written) :]
        if not new or new.endswith("\ufffd"):  # a space, or a part of a character
            continue
        if found and re.match(r"[^\s\u2e80-\uffef]", new):
            found[-1] = found[-1][0] + new, found[-1][1] + places
        else:
            found.append((new, places))
        written, places = text, []
    return found
