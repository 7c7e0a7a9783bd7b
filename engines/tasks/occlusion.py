"""Which words of a translation say a part of its source: those that become less likely when that part is hidden.

Occlusion (Zeiler and Fergus 2014) of the source's tokens. They are hidden from the text tower and the decoder alike,
since a token's neighbours in context tell most of what it said. Axes: R parts, L tokens of the source, L' of the
translation.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch

from engines.encoder import MediaEncoder
from engines.model.fusion import Stream

LEAST_DROP = 0.5
"""Log-probability that a word must lose. Of words that do not say the hidden part most lose less than a third."""
SHARE = 0.5
"""Words that lose this share of what the most affected word loses say the part too."""

Place = tuple[int, int]
"""Start and end of a part of a text, in characters."""


@torch.inference_mode()
def places(encoder: MediaEncoder, source: str, translation: str, target: str, parts: Sequence[Place]) -> list[Place]:
    """Where a translation says each of these parts of its source; in proportion where no word of it clearly does."""
    words = [match.span() for match in re.finditer(r"\S" if target == "zh" else r"\S+", translation)]
    tokenizer = encoder.tokenizer
    ids, written = tokenizer.encode(source), tokenizer.encode(translation)
    if not parts or not words or not ids:
        return [(0, len(translation))] * len(parts)
    ends, written_ends = ([len(tokenizer.decode(x[: n + 1])) for n in range(len(x))] for x in (ids, written))
    device = encoder.model.device
    masks = torch.ones(len(parts) + 1, len(ids), dtype=torch.bool, device=device)  # (R + 1, L); the last hides nothing
    for row, (start, end) in zip(masks, parts, strict=False):
        hidden = [s < end and e > start for s, e in zip([0, *ends[:-1]], ends, strict=True)]
        if not all(hidden):
            row &= ~torch.tensor(hidden, device=device)
    tokens = encoder.model.read(torch.tensor([ids], device=device).expand(len(masks), -1), masks, translating=True)
    memory = encoder.model.fuse([Stream("text", tokens, masks)])
    prefix = tokenizer.prefix("translate", target)
    sequence = torch.tensor([prefix + written], device=device).expand(len(masks), -1)
    logits = encoder.model.decode(sequence, memory, translating=True).float()
    log_probs = logits.log_softmax(-1)[:, len(prefix) - 1 : -1]
    said = log_probs.gather(2, sequence[:, len(prefix) :, None])[..., 0]
    drops = (said[-1] - said[:-1]).tolist()  # (R, L')
    found = []
    for (start, end), drop in zip(parts, drops, strict=True):
        lost = [
            sum(
                d
                for d, e, s in zip(drop, written_ends, [0, *written_ends], strict=False)
                if s < word[1] and e > word[0]
            )
            for word in words
        ]
        most = max(lost)
        if most >= LEAST_DROP:
            chosen = [word for word, d in zip(words, lost, strict=True) if d >= SHARE * most]
        else:
            middle = (start + end) / 2 / max(len(source), 1) * len(translation)
            chosen = [min(words, key=lambda word: abs(sum(word) / 2 - middle))]
        found.append((chosen[0][0], chosen[-1][1]))
    return found
