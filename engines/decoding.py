"""From logits to pieces, one piece at a time, and from frame probabilities to word times.

`generate` is a generator: whoever reads it may stop between any two pieces, and nothing is left behind. One loop serves
greedy, beam and temperature. Small roles: `_Filter` says which pieces may come next, `_Beams` holds what is written so
far and takes the next step. `align` finds when words are said (CTC forced alignment).

Axes: B batch rows, K beams of a row, L pieces, P prefix pieces, V vocabulary, T sound tokens, S alignment states.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from engines.errors import RequestError
from engines.model.fusion import Memory
from engines.protocol import Word
from engines.text import Task, Tokenizer, normalise

MAX_PERIOD = 8
"""Longest stretch of pieces whose endless repetition is noticed."""
N_TURNS = 4
"""How often a stretch must come in a row to be a loop (a single piece: twice as often, for "haha" and zeros)."""


@dataclass(frozen=True, kw_only=True)
class DecodeOptions:
    """How text is written.

    task: what for; transcripts may be empty and may open with "no speech", answers may hold time pieces. beam: how
    many texts are followed side by side, 1 = greedy. max_new: most pieces. temperature: 0 takes the likeliest piece,
    above it draws, with `seed`. length_penalty: 0 prefers short texts, 1 the best mean. no_repeat: no run of this many
    pieces comes twice, 0 = any may. Loops end a text whatever the options.
    """

    task: Task = "caption"
    beam: int = 1
    max_new: int = 96
    temperature: float = 0.0
    seed: int = 0
    length_penalty: float = 0.6
    no_repeat: int = 3

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
    """A text as far as it is written. ids: its pieces, without an end piece and cut before a loop.

    mean_logprob: of its pieces and its end. no_speech: probability that the first piece was "no speech".
    looped: it began to repeat itself and was stopped.
    """

    ids: tuple[int, ...]
    mean_logprob: float
    done: bool
    no_speech: float = 0.0
    looped: bool = False


class Writer(Protocol):
    """What `generate` asks of a model; its cache follows the beams by `select`, as a `KVCache` does."""

    def new_cache(self) -> Any: ...

    def decode(self, ids: Tensor, memory: Memory, cache: Any) -> Tensor:
        """New pieces (B, L) -> logits (B, L, V)."""
        ...


@torch.inference_mode()
def generate(
    model: Writer, memory: Memory, prefixes: Tensor, tokenizer: Tokenizer, options: DecodeOptions
) -> Iterator[tuple[Hypothesis, ...]]:
    """Write B texts side by side; after each piece, the best hypothesis of every row.

    memory: B rows. prefixes: (B, P) int64, all of one length. Ends when all rows are done, or after `max_new` pieces; a
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
        log_probs = filtering(logits.log_softmax(-1).unflatten(0, (len(beams.pieces), -1)), beams.written())
        parents = beams.step(log_probs, generator)  # (B * K,)
        last = n == options.max_new - 1 or bool(beams.done.all())
        yield beams.best(no_speech, last)
        if last:
            return
        if options.beam > 1:
            cache.select(parents)
        logits = model.decode(beams.pieces[:, :, -1].reshape(-1, 1), memory, cache)[:, -1].float()  # (B * K, V)


class _Filter:
    """Which pieces may come next. Log-probabilities of the others become -inf."""

    def __init__(self, tokenizer: Tokenizer, options: DecodeOptions, n_pieces: int, device: torch.device) -> None:
        never = set(tokenizer.special_ids) - {tokenizer.eos_id}
        if options.task == "answer":
            never -= set(tokenizer.time_ids)
        self.never = torch.zeros(n_pieces, dtype=torch.bool, device=device)
        self.never[sorted(never)] = True
        self.never[tokenizer.vocab_size :] = True
        self.at_first = self.never.clone()
        self.at_first[tokenizer.no_speech_id] = options.task != "transcribe"
        self.at_first[tokenizer.eos_id] = options.task != "transcribe"
        self.no_repeat = options.no_repeat

    def __call__(self, log_probs: Tensor, written: Sequence[Sequence[Sequence[int]]]) -> Tensor:
        """log_probs (B, K, V) and the B x K texts so far -> (B, K, V)."""
        first = not written[0][0]
        log_probs = log_probs.masked_fill(self.at_first if first else self.never, -torch.inf)
        if self.no_repeat:
            for b, row in enumerate(written):
                for k, ids in enumerate(row):
                    log_probs[b, k, repeating(ids, self.no_repeat)] = -torch.inf
        return log_probs


def repeating(ids: Sequence[int], n: int) -> list[int]:
    """The pieces that would make the last n pieces of a text a run that it holds already."""
    if len(ids) < n:
        return []
    tail = tuple(ids[len(ids) - n + 1 :])
    return [ids[i + n - 1] for i in range(len(ids) - n + 1) if tuple(ids[i : i + n - 1]) == tail]


def loop_start(ids: Sequence[int]) -> int | None:
    """Where the second turn of a loop at the end of a text begins; None if the text does not end in one."""
    for period in range(1, MAX_PERIOD + 1):
        length = period * max(N_TURNS, 2 * N_TURNS // period)
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
        self.pieces = torch.zeros(n_rows, 1, 0, dtype=torch.long, device=device)  # (B, K, L); at first one text a row
        self.score = torch.zeros(n_rows, 1, device=device)  # (B, K): sum of log-probabilities
        self.length = torch.zeros(n_rows, 1, device=device)  # pieces scored, the end piece among them
        self.ended = torch.zeros(n_rows, 1, dtype=torch.bool, device=device)
        self.done = torch.zeros(n_rows, dtype=torch.bool, device=device)

    def written(self) -> list[list[list[int]]]:
        texts: list[list[list[int]]] = self.pieces.tolist()
        return texts

    def step(self, log_probs: Tensor, generator: torch.Generator) -> Tensor:
        """Take (B, K, V) log-probabilities; say which of the B * K old texts each new one continues."""
        n_rows, n_beams, n_pieces = log_probs.shape
        ended = self.ended[..., None]
        log_probs = log_probs.masked_fill(ended, -torch.inf)
        log_probs[..., self.ends[0]] = log_probs[..., self.ends[0]].masked_fill(self.ended, 0.0)
        score = self.score[..., None] + log_probs  # (B, K, V)
        length = self.length[..., None] + (~ended).float()
        rank = self._rank(score, length)
        if self.options.temperature > 0.0:  # Gumbel's trick: the largest of the disturbed is a draw
            noise = -torch.empty(log_probs.shape).exponential_(generator=generator).log().to(log_probs.device)
            rank = log_probs / self.options.temperature + noise
        best = rank.flatten(1).topk(min(self.options.beam, n_beams * n_pieces)).indices  # (B, K')
        parent, piece = best // n_pieces, best % n_pieces
        self.score = score.flatten(1).gather(1, best)
        self.length = length.expand_as(score).flatten(1).gather(1, best)
        before = self.pieces.gather(1, parent[..., None].expand(-1, -1, self.pieces.shape[2]))
        self.pieces = torch.cat([before, piece[..., None]], dim=2)
        self.ended = (piece == self.ends[0]) | (piece == self.ends[1]) | self.ended.gather(1, parent)
        self._end_loops()
        self.done = self.ended.all(1)
        return (torch.arange(n_rows, device=best.device)[:, None] * n_beams + parent).flatten()

    def _rank(self, score: Tensor, length: Tensor) -> Tensor:
        return score / ((5.0 + length) / 6.0) ** self.options.length_penalty

    def _end_loops(self) -> None:
        loops = [[loop_start(ids) is not None for ids in row] for row in self.written()]
        if any(any(row) for row in loops):
            self.ended |= torch.tensor(loops, device=self.ended.device)

    def best(self, no_speech: Sequence[float], last: bool) -> tuple[Hypothesis, ...]:
        """The best text of each row."""
        rank = self._rank(self.score, self.length).argmax(1).tolist()
        found = []
        for b, k in enumerate(rank):
            ids: list[int] = self.pieces[b, k].tolist()
            ends = [i for i, piece in enumerate(ids) if piece in self.ends]
            ids = ids[: ends[0]] if ends else ids
            cut = loop_start(ids)
            mean = float(self.score[b, k]) / max(float(self.length[b, k]), 1.0)
            done = last or bool(self.done[b])
            found.append(Hypothesis(tuple(ids[:cut]), mean, done, no_speech[b], cut is not None))
        return tuple(found)


# --- word times --------------------------------------------------------------------------------------------------

BLANK = 0


def align(log_probs: np.ndarray, text: str, language: str, token_s: float) -> tuple[Word, ...]:
    """When each word of a text is said, by the best path of a CTC head through it (Graves et al. 2006).

    log_probs: (T, 257) float over blank and UTF-8 bytes + 1. text: as written; the path is that of its normalised form.
    Chinese is cut into characters. token_s: seconds of one token; times count from the first. A text that cannot have
    been said in T tokens gets no words.
    """
    words = spoken_words(text, language)
    classes: list[int] = []
    ends: list[int] = []  # where each word's bytes end
    for _, spoken in words:
        if classes and language != "zh":
            classes.append(ord(" ") + 1)
        classes += [byte + 1 for byte in spoken.encode()]
        ends.append(len(classes))
    spans = best_path(np.asarray(log_probs, np.float32), np.asarray(classes, np.int64))
    if spans is None:
        return ()
    first, last = spans
    found = []
    for (written, spoken), end in zip(words, ends, strict=True):
        start = end - len(spoken.encode())
        found.append(Word(float(first[start]) * token_s, float(last[end - 1] + 1) * token_s, written))
    return tuple(found)


def spoken_words(text: str, language: str) -> list[tuple[str, str]]:
    """Words as written, each with its normalised form; punctuation alone stays with the word before it."""
    pairs: list[tuple[str, str]] = []
    for written in text if language == "zh" else text.split():
        spoken = normalise(written, language)
        if spoken:
            pairs.append((written, spoken))
        elif pairs and written.strip():
            space = "" if language == "zh" else " "
            pairs[-1] = (pairs[-1][0] + space + written, pairs[-1][1])
    return pairs


def best_path(log_probs: np.ndarray, classes: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Viterbi over blank, class, blank, class, ..., blank: the first and the last token of each class.

    log_probs: (T, C). classes: (L,) int. Returns two (L,) int arrays, None where T tokens are too few for the path.
    """
    n_tokens, n_classes = len(log_probs), len(classes)
    n_doubled = int((classes[1:] == classes[:-1]).sum())  # a blank must stand between equal neighbours
    if n_classes == 0 or n_tokens < n_classes + n_doubled:
        return None
    states = np.full(2 * n_classes + 1, BLANK)
    states[1::2] = classes
    may_skip = np.zeros(len(states), bool)  # from two states before, over the blank
    may_skip[3::2] = classes[1:] != classes[:-1]
    emission = log_probs[:, states]  # (T, S)
    score = np.full(len(states), -np.inf, np.float32)
    score[:2] = emission[0, :2]
    came_from = np.zeros(emission.shape, np.int8)  # how many states back, 0 to 2
    for t in range(1, n_tokens):
        step = np.concatenate(([-np.inf], score[:-1]))
        skip = np.where(may_skip, np.concatenate(([-np.inf, -np.inf], score[:-2])), -np.inf)
        choices = np.stack((score, step, skip))
        came_from[t] = choices.argmax(0)
        score = choices.max(0) + emission[t]
    state = len(states) - 1 if score[-1] >= score[-2] else len(states) - 2
    first, last = np.zeros(n_classes, np.int64), np.full(n_classes, -1)
    for t in range(n_tokens - 1, -1, -1):
        if state % 2:
            first[state // 2] = t
            last[state // 2] = max(last[state // 2], t)
        state -= int(came_from[t, state])
    return first, last
