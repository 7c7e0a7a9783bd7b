"""Where the decoder's cross-attention goes while it writes each word of a caption.

    for result in stream(host, AttentionRequest(photo=Path("dog.jpg"))):
        print(result.text)

The caption is written as ever. Then it is read once more as a whole, and the weights of that one pass are kept: they
are those it was written with, since no token sees a later one. Importing this module loads no torch.

Axes: W words, K decoder blocks, P parts of a photo, S x S places of each, N names.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np

from engines.errors import AbilityError, RequestError
from engines.lab.masked_translation import joined
from engines.protocol import Cancel, Host, Media, Progress, Result
from engines.text import with_capitals

if TYPE_CHECKING:
    from torch import Tensor

    from engines.encoder import Encoded, MediaEncoder
    from engines.model.fusion import FusionModel, Memory

LANGUAGES = ("en", "de", "zh")
"""Languages that captions are written in directly; other captions are translated, and no word of them looked at the
photo."""


@dataclass(frozen=True, kw_only=True)
class AttentionRequest:
    """Caption a photo and keep where the decoder looked. Raises RequestError."""

    photo: Media
    language: str = "en"

    def __post_init__(self) -> None:
        if self.language not in LANGUAGES:
            raise RequestError(
                "attention_language",
                "{language} captions are translated from English; choose one of {known}.",
                language=self.language,
                known=", ".join(LANGUAGES),
            )


@dataclass(frozen=True)
class Region:
    """A part of a photo that the picture tower saw as a square, as shares of its width and height."""

    left: float
    top: float
    width: float
    height: float


@dataclass(frozen=True, kw_only=True, eq=False)
class AttentionResult(Result):
    """A caption, and at its end where each word's attention went.

    words: the caption's, each with the space before it. places (W, K, P, S, S): share of the attention of a block, its
    heads averaged, that went to each place of each part of the photo. regions: the P parts. names: what the decoder
    read beside the picture. to_names (W, K, N): share that went to each. The shares of a word in a block add up to 1.
    """

    request: Any
    text: str = ""
    words: tuple[str, ...] = ()
    places: np.ndarray | None = None
    regions: tuple[Region, ...] = ()
    names: tuple[str, ...] = ()
    to_names: np.ndarray | None = None


def is_served(host: Host) -> bool:
    """Whether a host can show its attention: the built-in model alone can."""
    from engines.hosts.builtin import BuiltinHost

    return isinstance(host, BuiltinHost)


def stream(host: Host, request: AttentionRequest, cancel: Cancel | None = None) -> Iterator[AttentionResult]:
    """Stream the caption as it is written. Raises AbilityError for any host but the built-in model."""
    from engines.hosts.builtin import BuiltinHost

    if not isinstance(host, BuiltinHost):
        raise AbilityError(
            "attention_unable",
            "{name} does not show its attention; give the built-in model a task under Models.",
            name=host.info.name,
        )
    return host.perform(write, AttentionResult, request, cancel)


def write(encoder: MediaEncoder, request: AttentionRequest) -> Iterator[AttentionResult]:
    """The task, as the host's worker runs it."""
    from engines.tasks import caption

    result = AttentionResult(request=request, progress=Progress("looking"))
    yield result
    encoded: Encoded | None = None
    for step in encoder.encoding(request.photo):
        encoded = encoded if step is None else step
        yield result
    if encoded is None or encoded.kind != "photo":
        raise RequestError("photo_needed", "Only a photo helps here; choose one.")
    for written in caption.written(encoder, encoded, request.language):
        result = replace(result, text=written.text, progress=Progress("writing"))
        yield result
    words = joined(encoder.tokenizer, written.ids)
    if not words:
        yield replace(result, progress=None, end="empty")
        return
    encoded = replace(encoded, names=written.names)
    weights = by_word(looked_at(encoder, encoded, request.language, written.ids), [places for _, places in words])
    n_parts, n_places = (0, 0) if encoded.frames is None else encoded.frames.shape[:2]
    side = round(n_places**0.5)
    names = tuple(name.text(request.language) for name in written.names)
    yield replace(
        result,
        text=with_capitals(result.text, request.language),
        words=_spelt([word for word, _ in words], request.language),
        places=weights[..., : n_parts * n_places].reshape(*weights.shape[:2], n_parts, side, side),
        regions=_regions(encoded.size),
        names=tuple(with_capitals(name, request.language) for name in names),
        to_names=_by_name(encoder, names, request.language, weights[..., n_parts * n_places :]),
        progress=None,
        end="finished",
    )


def looked_at(encoder: MediaEncoder, encoded: Encoded, language: str, ids: Sequence[int]) -> np.ndarray:
    """The weights of the attention to the memory (M tokens) while each token of a caption was written, (L, K, M).

    A token is written by what the one before it attends to, so row i belongs to the place before token i.
    """
    import torch

    model, tokenizer = encoder.model, encoder.tokenizer
    memory = model.fuse(encoder.streams(encoded, language, whole=True))
    prefix = tokenizer.prefix("caption", language)
    rows = torch.tensor([[*prefix, *ids]], device=memory.tokens.device)
    weights = cross_attention(model, rows, memory)[:, :, len(prefix) - 1 : -1]  # (K, heads, L, M)
    mean: np.ndarray = weights.mean(1).transpose(0, 1).float().cpu().numpy()
    return mean


def cross_attention(model: FusionModel, ids: Tensor, memory: Memory) -> Tensor:
    """softmax(Q K^T / sqrt(d)) of every block of the decoder over a memory, for one text (1, L): (K, heads, L, M)."""
    import torch

    from engines.lab.network import attention_weights, traced
    from engines.model.parts import DecoderBlock

    layers = [block.memory for block in model.decoder.blocks if isinstance(block, DecoderBlock)]
    with traced(layers) as calls:
        model.hidden(ids, memory)
    return torch.stack([attention_weights(layer, calls[layer][0])[0] for layer in layers])


def by_word(weights: np.ndarray, words: Sequence[Sequence[int]]) -> np.ndarray:
    """Weights of tokens (L, K, M) -> of words, each the mean of its tokens, (W, K, M)."""
    return np.stack([weights[list(places)].mean(0) for places in words])


def _spelt(words: Sequence[str], language: str) -> tuple[str, ...]:
    """The words of a caption with the capitals that the whole of it is given."""
    whole = with_capitals("".join(words), language)
    ends = list(accumulate(len(word) for word in words))
    if len(whole) != ends[-1]:
        return tuple(words)
    return tuple(whole[end - len(word) : end] for word, end in zip(words, ends, strict=True))


def _by_name(encoder: MediaEncoder, names: Sequence[str], language: str, weights: np.ndarray) -> np.ndarray:
    """Weights of the tokens of the names, written as one list, (W, K, T) -> of each name with what follows it, (W, K,
    N)."""
    from engines.model.concepts import listed

    found = np.zeros((*weights.shape[:2], len(names)), np.float32)
    ends = [len(listed(list(names[: n + 1]), language)) for n in range(len(names))]
    ids = encoder.tokenizer.encode(listed(list(names), language)) if names else []
    for i in range(len(ids)):
        begins_at = len(encoder.tokenizer.decode(ids[:i]))
        found[..., sum(end < begins_at for end in ends[:-1])] += weights[..., i]
    return found


def _regions(size: tuple[int, int]) -> tuple[Region, ...]:
    """The parts that a photo of a height and width was seen in."""
    from engines.model.features import square_regions

    height, width = size
    return tuple(
        Region(
            columns.start / width,
            rows.start / height,
            (columns.stop - columns.start) / width,
            (rows.stop - rows.start) / height,
        )
        for rows, columns in square_regions(height, width)
    )
