"""From logits to text, one token at a time.

`generate` is a generator: its reader may stop between any two tokens, and nothing is left behind. One loop serves
greedy, beam and temperature. `_Filter` says which tokens may come next, `_Beams` holds the texts so far and takes the
next step.

Axes: B batch rows, K beams of a row, L tokens, P prefix tokens, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any, Protocol

import torch
from torch import Tensor

from engines.errors import RequestError
from engines.model.fusion import Memory
from engines.text import Task, Tokenizer

MAX_PERIOD = 8
"""Longest run of tokens whose endless repetition is noticed."""
N_TURNS = 4
"""How often a run must come in a row to be a loop (a single token: twice as often, for "haha" and zeros)."""


@dataclass(frozen=True, kw_only=True)
class DecodeOptions:
    """How text is written.

    task: what for; transcripts may be empty and may open with "no speech", answers may hold time tokens. beam: how
    many texts are followed side by side, 1 = greedy. max_new: most tokens. temperature: 0 takes the likeliest token,
    above it draws, with `seed`. length_penalty: 0 prefers short texts, 1 the best mean. no_repeat: no run of this many
    tokens comes twice, 0 = any may. loop_tokens: a loop ends the text; one of up to this many tokens, which
    somebody may really have said, does not. favoured: token sequences, each the name of something that may be written;
    a text that has begun one gets `favour` added to the log-probability of its next token, and one that holds none of
    them yet a `nudge` to begin one (contextual biasing, Pundak et al. 2018), so that rare names are said and spelt out.
    required: token sequences that a text holds once each before it ends (Hokamp and Liu 2017); the beam is shared out
    between texts that hold more and less of them (Post and Vilar 2018), so it should have a place for each token.
    """

    task: Task = "caption"
    beam: int = 1
    max_new: int = 96
    temperature: float = 0.0
    seed: int = 0
    length_penalty: float = 0.6
    no_repeat: int = 3
    loop_tokens: int = 0
    favoured: tuple[tuple[int, ...], ...] = ()
    favour: float = 6.0
    nudge: float = 3.0
    required: tuple[tuple[int, ...], ...] = ()

    def __post_init__(self) -> None:
        if self.beam < 1 or self.max_new < 1:
            raise RequestError(
                "beam_too_small",
                "beam is {beam} and max_new {max_new}; both are 1 or more.",
                beam=self.beam,
                max_new=self.max_new,
            )
        if self.temperature < 0.0:
            raise RequestError(
                "temperature_negative",
                "The temperature is {temperature}; it is 0 or more.",
                temperature=self.temperature,
            )
        if self.temperature > 0.0 and self.beam > 1:
            raise RequestError(
                "beam_and_temperature", "Choose either a beam or a temperature; drawing at random follows one text."
            )


@dataclass(frozen=True)
class Hypothesis:
    """A text as far as it is written. ids: its tokens, without an end token and cut before a loop.

    mean_logprob: of its tokens and its end. no_speech: probability that the first token was "no speech".
    looped: it began to repeat itself and was stopped. logprobs: of each of `ids`. alternatives: at the end, the texts
    of all beams with their mean log-probabilities, the best first.
    """

    ids: tuple[int, ...]
    mean_logprob: float
    done: bool
    no_speech: float = 0.0
    looped: bool = False
    logprobs: tuple[float, ...] = ()
    alternatives: tuple[tuple[tuple[int, ...], float], ...] = field(default=(), compare=False)


class Writer(Protocol):
    """What `generate` asks of a model; its cache follows the beams by `select`, as a `KVCache` does."""

    def new_cache(self) -> Any: ...

    def decode(self, ids: Tensor, memory: Memory, cache: Any) -> Tensor:
        """New tokens (B, L) -> logits (B, L, V)."""
        ...


@torch.inference_mode()
def generate(
    model: Writer, memory: Memory, prefixes: Tensor, tokenizer: Tokenizer, options: DecodeOptions
) -> Iterator[tuple[Hypothesis, ...]]:
    """Write B texts side by side; after each token, the best hypothesis of every row.

    memory: B rows. prefixes: (B, P) int64, all of one length. Ends when all rows are done, or after `max_new` tokens; a
    row that is done no longer changes.
    """
    device = memory.tokens.device
    cache = model.new_cache()
    logits = model.decode(prefixes.to(device), memory, cache)[:, -1].float()  # (B, V)
    no_speech = logits.softmax(-1)[:, tokenizer.no_speech_id].tolist()
    filtering = _Filter(tokenizer, options, logits.shape[-1], device)
    beams = _Beams(len(logits), tokenizer, options, device)
    generator = torch.Generator().manual_seed(options.seed)
    for n in range(options.max_new):
        log_probs = filtering(logits.log_softmax(-1).unflatten(0, (len(beams.tokens), -1)), beams.written())
        parents = beams.step(log_probs, generator)  # (B * K,)
        last = n == options.max_new - 1 or bool(beams.done.all())
        yield beams.best(no_speech, last)
        if last:
            return
        if options.beam > 1:
            cache.select(parents)
        logits = model.decode(beams.tokens[:, :, -1].reshape(-1, 1), memory, cache)[:, -1].float()  # (B * K, V)


class _Filter:
    """Which tokens may come next. Log-probabilities of the others become -inf."""

    def __init__(self, tokenizer: Tokenizer, options: DecodeOptions, n_vocabulary: int, device: torch.device) -> None:
        never = set(tokenizer.special_ids) - {tokenizer.eos_id}
        if options.task == "answer":
            never -= set(tokenizer.time_ids)
        self.never = torch.zeros(n_vocabulary, dtype=torch.bool, device=device)
        self.never[sorted(never)] = True
        self.never[tokenizer.vocab_size :] = True
        self.at_first = self.never.clone()
        self.at_first[tokenizer.no_speech_id] = options.task != "transcribe"
        self.at_first[tokenizer.eos_id] = options.task != "transcribe"
        self.no_repeat = options.no_repeat
        self.favoured, self.favour, self.nudge = options.favoured, options.favour, options.nudge
        self.beginnings = sorted({sequence[0] for sequence in options.favoured if sequence})
        self.required, self.eos_id = options.required, tokenizer.eos_id

    def __call__(self, log_probs: Tensor, written: Sequence[Sequence[Sequence[int]]]) -> Tensor:
        """log_probs (B, K, V) and the B x K texts so far -> (B, K, V)."""
        first = not written[0][0]
        log_probs = log_probs.masked_fill(self.at_first if first else self.never, -torch.inf)
        if self.no_repeat:
            for b, row in enumerate(written):
                for k, ids in enumerate(row):
                    log_probs[b, k, repeating(ids, self.no_repeat)] = -torch.inf
        if self.favoured:
            for b, row in enumerate(written):
                for k, ids in enumerate(row):
                    log_probs[b, k, continuing(ids, self.favoured)] += self.favour
                    if not set(self.beginnings) & set(ids):
                        log_probs[b, k, self.beginnings] += self.nudge
        for b, row in enumerate(written if self.required else ()):
            for k, ids in enumerate(row):
                barred = [
                    s[-1] for s in self.required if holds(ids, s) and tuple(ids[len(ids) - len(s) + 1 :]) == s[:-1]
                ]
                barred += [] if all(holds(ids, s) for s in self.required) else [self.eos_id]
                log_probs[b, k, barred] = -torch.inf
        return log_probs


def holds(ids: Sequence[int], sequence: Sequence[int]) -> bool:
    """Whether a sequence of tokens stands in a text."""
    n = len(sequence)
    return any(tuple(ids[i : i + n]) == tuple(sequence) for i in range(len(ids) - n + 1))


def missing(ids: Sequence[int], required: Sequence[Sequence[int]]) -> tuple[int, set[int]]:
    """How many tokens of the required sequences a text still lacks, and which of them may come next.

    Of a sequence that the text ends within, only the rest is lacking.
    """
    n_missing, following, begun = 0, set[int](), 0
    for sequence in required:
        if not holds(ids, sequence):
            n = next((n for n in range(len(sequence) - 1, 0, -1) if tuple(ids[-n:]) == tuple(sequence[:n])), 0)
            n_missing, begun = n_missing + len(sequence), max(begun, n)
            following.add(sequence[n])
    return n_missing - begun, following


def continuing(ids: Sequence[int], favoured: Sequence[Sequence[int]]) -> list[int]:
    """The tokens that would continue a favoured sequence which a text has begun."""
    found = set()
    for sequence in favoured:
        for n in range(1, min(len(sequence) - 1, len(ids)) + 1):
            if tuple(ids[-n:]) == tuple(sequence[:n]):
                found.add(sequence[n])
    return sorted(found)


def repeating(ids: Sequence[int], n: int) -> list[int]:
    """The tokens that would make the last n tokens of a text a run that it holds already."""
    if len(ids) < n:
        return []
    tail = tuple(ids[len(ids) - n + 1 :])
    return [ids[i + n - 1] for i in range(len(ids) - n + 1) if tuple(ids[i : i + n - 1]) == tail]


def loop_start(ids: Sequence[int], n_allowed: int = 0) -> int | None:
    """Where the second turn of a loop at the end of a text begins; None if the text does not end in one.

    n_allowed: a loop of no more than this many tokens is none.
    """
    for period in range(1, MAX_PERIOD + 1):
        length = period * max(N_TURNS, 2 * N_TURNS // period, n_allowed // period + 1)
        tail = ids[-length:]
        if len(tail) == length and all(tail[i] == tail[i - period] for i in range(period, length)):
            return len(ids) - length + period
    return None


class _Beams:
    """K texts for each of B rows, their scores, and which of them have ended.

    The K best continuations of a row's K texts become its next K texts; an ended text stays as it is and competes by
    its score. A row is done when all its texts have ended. Length penalty as in Wu et al. 2016, equation 14.
    """

    def __init__(self, n_rows: int, tokenizer: Tokenizer, options: DecodeOptions, device: torch.device) -> None:
        self.options = options
        self.ends = (tokenizer.eos_id, tokenizer.no_speech_id)
        self.tokens = torch.zeros(n_rows, 1, 0, dtype=torch.long, device=device)  # (B, K, L); at first one text a row
        self.score = torch.zeros(n_rows, 1, device=device)  # (B, K): sum of log-probabilities
        self.logprobs = torch.zeros(n_rows, 1, 0, device=device)  # (B, K, L), of each token
        self.length = torch.zeros(n_rows, 1, device=device)  # tokens scored, the end token among them
        self.ended = torch.zeros(n_rows, 1, dtype=torch.bool, device=device)
        self.done = torch.zeros(n_rows, dtype=torch.bool, device=device)

    def written(self) -> list[list[list[int]]]:
        texts: list[list[list[int]]] = self.tokens.tolist()
        return texts

    def step(self, log_probs: Tensor, generator: torch.Generator) -> Tensor:
        """Take (B, K, V) log-probabilities; say which of the B * K old texts each new one continues."""
        n_rows, n_beams, n_vocabulary = log_probs.shape
        ended = self.ended[..., None]
        log_probs = log_probs.masked_fill(ended, -torch.inf)
        log_probs[..., self.ends[0]] = log_probs[..., self.ends[0]].masked_fill(self.ended, 0.0)
        score = self.score[..., None] + log_probs  # (B, K, V)
        length = self.length[..., None] + (~ended).float()
        rank = self._rank(score, length)
        if self.options.temperature > 0.0:  # Gumbel's trick: the largest of the disturbed is a draw
            noise = -torch.empty(log_probs.shape).exponential_(generator=generator).log().to(log_probs.device)
            rank = log_probs / self.options.temperature + noise
        best = self._best(rank)  # (B, K')
        parent, token = best // n_vocabulary, best % n_vocabulary
        self.score = score.flatten(1).gather(1, best)
        newest = log_probs.flatten(1).gather(1, best)
        self.length = length.expand_as(score).flatten(1).gather(1, best)
        earlier = parent[..., None].expand(-1, -1, self.tokens.shape[2])
        self.tokens = torch.cat([self.tokens.gather(1, earlier), token[..., None]], dim=2)
        self.logprobs = torch.cat([self.logprobs.gather(1, earlier), newest[..., None]], dim=2)
        self.ended = (token == self.ends[0]) | (token == self.ends[1]) | self.ended.gather(1, parent)
        self._end_loops()
        self.done = self.ended.all(1)
        if self.options.required:  # a text that holds them all is not improved by waiting for worse ones
            rank = self._rank(self.score, self.length)
            self.done |= self.ended.gather(1, rank.argmax(1, keepdim=True))[:, 0]
        return (torch.arange(n_rows, device=best.device)[:, None] * n_beams + parent).flatten()

    def _best(self, rank: Tensor) -> Tensor:
        """The next K' texts out of (B, K, V) ranked ones, as places in (B, K * V)."""
        n_vocabulary = rank.shape[2]
        n_best = min(self.options.beam, rank[0].numel())
        if not self.options.required:
            return rank.flatten(1).topk(n_best).indices
        found = []
        for row, texts in zip(rank, self.written(), strict=True):
            banks: dict[int, list[tuple[float, int]]] = {}  # number of missing tokens -> texts, the best first
            for k, ids in enumerate(texts):
                following = missing(ids, self.options.required)[1]
                for token in {*row[k].topk(min(n_best, n_vocabulary)).indices.tolist(), *following}:
                    if row[k, token] == -torch.inf:
                        continue
                    n_missing = missing([*ids, token], self.options.required)[0]
                    banks.setdefault(n_missing, []).append((float(row[k, token]), k * n_vocabulary + token))
            queues = [sorted(banks[n], reverse=True) for n in sorted(banks)]
            turns = [place for turn in zip_longest(*queues) for place in turn if place is not None]
            found.append([place for _, place in turns[:n_best]])
        n_best = min(len(places) for places in found)
        return torch.tensor([places[:n_best] for places in found], device=rank.device)

    def _rank(self, score: Tensor, length: Tensor) -> Tensor:
        return score / ((5.0 + length) / 6.0) ** self.options.length_penalty

    def _end_loops(self) -> None:
        allowed = self.options.loop_tokens
        loops = [[loop_start(ids, allowed) is not None for ids in row] for row in self.written()]
        if any(any(row) for row in loops):
            looped = torch.tensor(loops, device=self.ended.device)
            self.ended |= looped
            if self.options.required:  # what they still lack will never come
                self.score = self.score.masked_fill(looped, -1e6)

    def best(self, no_speech: Sequence[float], last: bool) -> tuple[Hypothesis, ...]:
        """The best text of each row."""
        ranks = self._rank(self.score, self.length)
        if last and self.options.required:
            lacking = [[missing(ids, self.options.required)[0] for ids in row] for row in self.written()]
            ranks = ranks - 1e4 * torch.tensor(lacking, device=ranks.device) - 1e3 * (~self.ended).float()
        found = []
        for b, k in enumerate(ranks.argmax(1).tolist()):
            ids: list[int] = self.tokens[b, k].tolist()
            ends = [i for i, token in enumerate(ids) if token in self.ends]
            ids = ids[: ends[0]] if ends else ids
            cut = loop_start(ids, self.options.loop_tokens)
            ids = ids[:cut]
            logprobs: list[float] = self.logprobs[b, k, : len(ids)].tolist()
            mean = float(self.score[b, k]) / max(float(self.length[b, k]), 1.0)
            done = last or bool(self.done[b])
            looped = cut is not None
            others = self._alternatives(b) if last else ()
            found.append(Hypothesis(tuple(ids), mean, done, no_speech[b], looped, tuple(logprobs), others))
        return tuple(found)

    def _alternatives(self, b: int) -> tuple[tuple[tuple[int, ...], float], ...]:
        """All texts of a row with their mean log-probabilities, the best first."""
        order = self._rank(self.score, self.length)[b].argsort(descending=True).tolist()
        found = []
        for k in order:
            ids: list[int] = self.tokens[b, k].tolist()
            ends = [i for i, token in enumerate(ids) if token in self.ends]
            mean = float(self.score[b, k]) / max(float(self.length[b, k]), 1.0)
            found.append((tuple(ids[: ends[0]] if ends else ids), mean))
        return tuple(found)
