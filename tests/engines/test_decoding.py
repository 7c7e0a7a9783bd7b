"""Decoding on scripted models, whose best texts can be counted out by hand, and on the tiny one."""

from __future__ import annotations

import itertools
import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from engines.decoding import DecodeOptions, Hypothesis, generate, loop_start, missing, repeating
from engines.errors import RequestError
from engines.model.checkpoint import Checkpoint
from engines.model.fusion import Memory, Stream
from engines.model.parts import KVCache

EOS, START, NO_SPEECH, TIME, A, B, C = range(7)
LETTERS = SimpleNamespace(
    eos_id=EOS,
    no_speech_id=NO_SPEECH,
    special_ids=frozenset({EOS, START, NO_SPEECH, TIME}),
    time_ids=[TIME],
    vocab_size=7,
)
"""Seven tokens instead of a tokenizer: three letters and four controls."""


class Markov:
    """A model whose next piece depends on the last one only: probabilities (7, 7), one table for each row."""

    def __init__(self, *tables: dict[int, dict[int, float]]) -> None:
        self.log_probs = torch.full((len(tables), 7, 7), 1e-6).log()
        for n, table in enumerate(tables):
            for last, following in table.items():
                for piece, probability in following.items():
                    self.log_probs[n, last, piece] = math.log(probability)
        self.log_probs = self.log_probs.log_softmax(-1)

    def new_cache(self) -> KVCache:
        return KVCache(0)

    def decode(self, ids: Tensor, memory: Memory, cache: KVCache | None) -> Tensor:
        row = memory.tokens[:, 0, 0].long()  # the memory of a row is the number of its table
        row = row.repeat_interleave(len(ids) // len(row))  # texts that share a row stand side by side
        return self.log_probs[row[:, None], ids]


def written(model: Markov, **options: Any) -> list[tuple[Hypothesis, ...]]:
    """All that `generate` yields for a Markov model."""
    n = len(model.log_probs)
    memory = Memory(torch.arange(n).float().reshape(n, 1, 1), torch.ones(n, 1, dtype=torch.bool))
    prefixes = torch.full((n, 1), START)
    return list(generate(model, memory, prefixes, LETTERS, DecodeOptions(**options)))


def test_greedy_takes_the_likeliest_token_until_the_end():
    model = Markov({START: {A: 0.9}, A: {B: 0.8}, B: {EOS: 0.7, A: 0.2}})
    steps = written(model)
    assert [step[0].ids for step in steps] == [(A,), (A, B), (A, B)]
    assert [step[0].done for step in steps] == [False, False, True]


def test_mean_logprob_is_over_the_tokens_and_the_end():
    model = Markov({START: {A: 1.0}, A: {EOS: 0.5, B: 0.5}})
    (last,) = written(model)[-1]
    wanted = (model.log_probs[0, START, A] + model.log_probs[0, A, EOS]) / 2
    assert last.ids == (A,) and last.mean_logprob == pytest.approx(float(wanted))


def test_a_beam_finds_what_greedy_walks_past():
    model = Markov({START: {A: 0.6, B: 0.4}, A: {EOS: 0.3, A: 0.25, B: 0.25, C: 0.2}, B: {EOS: 1.0}})
    assert written(model, length_penalty=0.0)[-1][0].ids == (A,)
    assert written(model, beam=2, length_penalty=0.0)[-1][0].ids == (B,)


@given(st.integers(0, 10_000))
@settings(max_examples=25)
def test_a_beam_as_wide_as_the_tree_finds_the_best_text_there_is(seed):
    model = Markov({})
    model.log_probs = torch.randn(1, 7, 7, generator=torch.Generator().manual_seed(seed)).log_softmax(-1)
    (found,) = written(model, beam=9, max_new=3, length_penalty=0.0, no_repeat=0)[-1]

    def score(text: tuple[int, ...]) -> float:
        return sum(float(model.log_probs[0, a, b]) for a, b in itertools.pairwise((START, *text)))

    ended = [(*text, EOS) for n in (1, 2) for text in itertools.product((A, B, C), repeat=n)]
    cut = list(itertools.product((A, B, C), repeat=3))
    best = max(ended + cut, key=score)
    assert found.ids == tuple(piece for piece in best if piece != EOS)


def test_a_length_penalty_lets_a_longer_text_win():
    model = Markov({START: {A: 0.6, B: 0.4}, A: {EOS: 0.7, A: 0.3}, B: {C: 0.95, A: 0.05}, C: {EOS: 0.95, A: 0.05}})
    texts = [written(model, beam=3, length_penalty=penalty)[-1][0].ids for penalty in (0.0, 2.0)]
    assert texts == [(A,), (B, C)]


def test_rows_end_one_by_one_and_a_done_row_no_longer_changes():
    quick = {START: {A: 0.9}, A: {EOS: 0.6, B: 0.4}, B: {EOS: 1.0}}
    slow = {START: {A: 0.9}, A: {B: 0.9}, B: {C: 0.9}, C: {EOS: 0.9}}
    for beam in (1, 3):
        steps = written(Markov(quick, slow), beam=beam)
        assert [step[0].done for step in steps][-1] and steps[-1][1].ids == (A, B, C)
        at_the_end = [step[0] for step in steps if step[0].done]
        assert len(set(at_the_end)) == 1 and at_the_end[0].ids == (A,)


def test_a_text_stops_at_max_new():
    steps = written(Markov({START: {A: 1.0}, A: {B: 1.0}, B: {C: 1.0}, C: {A: 1.0}}), max_new=5, no_repeat=0)
    assert len(steps) == 5 and steps[-1][0].done and len(steps[-1][0].ids) == 5


def test_a_drawn_text_is_the_same_for_the_same_seed_and_varies_with_it():
    model = Markov({last: {A: 0.3, B: 0.3, C: 0.3, EOS: 0.1} for last in (START, A, B, C)})
    texts = [written(model, temperature=1.0, seed=seed)[-1][0].ids for seed in range(20)]
    assert texts == [written(model, temperature=1.0, seed=seed)[-1][0].ids for seed in range(20)]
    assert len(set(texts)) > 5


def test_draws_follow_the_probabilities():
    model = Markov({START: {A: 0.75, B: 0.25}, A: {EOS: 1.0}, B: {EOS: 1.0}})
    drawn = [written(model, temperature=1.0, seed=seed)[-1][0].ids for seed in range(400)]
    assert drawn.count((A,)) / 400 == pytest.approx(0.75, abs=0.08)


def test_no_run_of_three_tokens_comes_twice():
    model = Markov({START: {A: 1.0}, A: {B: 1.0}, B: {C: 1.0}, C: {A: 0.9, EOS: 0.1}})
    ids = written(model, max_new=40)[-1][0].ids
    runs = [ids[i : i + 3] for i in range(len(ids) - 2)]
    assert len(runs) == len(set(runs)) and len(ids) >= 5


@given(st.lists(st.integers(0, 2), max_size=12), st.integers(2, 4))
def test_banned_tokens_are_exactly_those_that_would_repeat_a_run(ids, n):
    runs = {tuple(ids[i : i + n]) for i in range(len(ids) - n + 1)}
    banned = {piece for piece in range(3) if len(ids) >= n - 1 and (*ids[len(ids) - n + 1 :], piece) in runs}
    assert set(repeating(ids, n)) == banned


def test_a_loop_ends_the_text_and_is_cut_to_one_turn():
    model = Markov({START: {C: 1.0}, C: {A: 1.0}, A: {B: 1.0}, B: {A: 1.0}})
    (last,) = written(model, no_repeat=0)[-1]
    assert last.looped and last.done and last.ids == (C, A, B)


def test_three_times_the_same_word_is_no_loop():
    assert loop_start([A, B, A, B, A, B]) is None
    assert loop_start([C, A, B, A, B, A, B, A, B]) == 3
    assert loop_start([A] * 7) is None and loop_start([A] * 8) == 1


def test_a_loop_that_may_have_been_said_does_not_end_the_text():
    model = Markov({START: {A: 1.0}, A: {B: 1.0}, B: {A: 1.0}})
    (last,) = written(model, no_repeat=0, loop_tokens=12, max_new=12)[-1]
    assert not last.looped and last.ids == (A, B) * 6
    (last,) = written(model, no_repeat=0, loop_tokens=12, max_new=96)[-1]
    assert last.looped and last.ids == (A, B)


def test_every_token_has_its_log_probability():
    model = Markov({START: {A: 0.6, B: 0.4}, A: {EOS: 0.3, A: 0.25, B: 0.25, C: 0.2}, B: {C: 1.0}, C: {EOS: 0.9}})
    (last,) = written(model, beam=3, length_penalty=0.0)[-1]
    path = (START, *last.ids)
    assert last.ids == (B, C)
    assert last.logprobs == pytest.approx([float(model.log_probs[0, a, b]) for a, b in itertools.pairwise(path)])


def test_no_speech_may_only_open_a_transcript():
    model = Markov({START: {NO_SPEECH: 0.9, A: 0.1}, A: {NO_SPEECH: 0.9, EOS: 0.1}})
    (silent,) = written(model, task="transcribe")[-1]
    assert silent.ids == () and silent.done and silent.no_speech == pytest.approx(0.9, abs=0.01)
    (caption,) = written(model, task="caption")[-1]
    assert caption.ids == (A,)


def test_time_tokens_belong_to_answers_only_and_only_transcripts_may_be_empty():
    model = Markov({START: {TIME: 0.6, EOS: 0.3, A: 0.1}, TIME: {EOS: 1.0}, A: {EOS: 1.0}})
    assert written(model, task="answer")[-1][0].ids == (TIME,)
    assert written(model, task="caption")[-1][0].ids == (A,)
    assert written(model, task="transcribe")[-1][0].ids == ()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"beam": 0}, "beam is 0 and max_new 96; both are 1 or more."),
        ({"temperature": -1.0}, "The temperature is -1.0; it is 0 or more."),
        ({"temperature": 0.5, "beam": 2}, "Choose either a beam or a temperature; drawing at random follows one text."),
    ],
)
def test_impossible_options_say_what_to_do(options, said):
    with pytest.raises(RequestError) as refused:
        DecodeOptions(**options)
    assert refused.value.en == said and refused.value.zh != said


# --- on the tiny model ---


def memory_of(checkpoint: Checkpoint, lengths: tuple[int, ...]) -> Memory:
    """Rows of random text tokens, each as long as asked, padded to the longest."""
    ids = torch.randint(400, 900, (len(lengths), max(lengths)), generator=torch.Generator().manual_seed(1))
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    return checkpoint.model.fuse([Stream("text", checkpoint.model.read(ids, mask), mask)])


def last_of(checkpoint: Checkpoint, memory: Memory, **options: Any) -> tuple[Hypothesis, ...]:
    prefixes = torch.tensor([checkpoint.tokenizer.prefix("translate", "de")]).expand(len(memory.tokens), -1)
    *_, last = generate(checkpoint.model, memory, prefixes, checkpoint.tokenizer, DecodeOptions(**options))
    return last


@pytest.mark.parametrize("beam", [1, 3])
def test_a_batch_says_what_its_rows_say_alone(checkpoint, beam):
    memory = memory_of(checkpoint, (3, 9, 6))
    together = last_of(checkpoint, memory, beam=beam, max_new=12)
    for n in range(3):
        alone = Memory(memory.tokens[n : n + 1], memory.mask[n : n + 1])
        assert last_of(checkpoint, alone, beam=beam, max_new=12)[0].ids == together[n].ids


def test_the_cache_changes_nothing_but_the_speed(checkpoint):
    memory = memory_of(checkpoint, (7,))
    (found,) = last_of(checkpoint, memory, max_new=8, no_repeat=0)
    ids = checkpoint.tokenizer.prefix("translate", "de")
    never = sorted(checkpoint.tokenizer.special_ids)
    for _ in range(len(found.ids)):
        logits = checkpoint.model.decode(torch.tensor([ids]), memory)[0, -1].clone()
        logits[never] = -torch.inf
        ids.append(int(logits.argmax()))
    assert tuple(ids[4:]) == found.ids


def test_a_generator_may_be_left_at_any_token(checkpoint):
    memory = memory_of(checkpoint, (5,))
    prefix = torch.tensor([checkpoint.tokenizer.prefix("caption", "en")])
    steps = generate(checkpoint.model, memory, prefix, checkpoint.tokenizer, DecodeOptions(beam=2))
    first = next(steps)
    steps.close()
    assert len(first[0].ids) == 1 and not first[0].done


# --- required sequences ------------------------------------------------------------------------------------------


def test_what_is_lacking_of_required_sequences_counts_from_what_has_begun():
    assert missing([A], [(B, C)]) == (2, {B})
    assert missing([A, B], [(B, C)]) == (1, {C})
    assert missing([A, B, A], [(B, C)]) == (2, {B})
    assert missing([B, C, A], [(B, C), (A, A)]) == (1, {A})
    assert missing([B, C], [(B, C)]) == (0, set())


def test_a_required_sequence_is_written_once_where_it_costs_least():
    following = {A: 0.05, B: 0.45, C: 0.05, EOS: 0.45}
    model = Markov({START: {B: 0.9, A: 0.1}, A: following, B: {B: 0.4, A: 0.3, EOS: 0.3}, C: following})
    (free,) = written(model, beam=4, no_repeat=0)[-1]
    assert A not in free.ids
    (bound,) = written(model, beam=6, no_repeat=0, required=((A,),))[-1]
    assert bound.ids.count(A) == 1 and bound.ids[0] == B, "after B it is likelier than at the beginning"


@given(st.integers(0, 10_000))
@settings(max_examples=25)
@example(seed=3063)  # no text ends before it is cut off
def test_whatever_the_model_wants_required_sequences_stand_in_the_text_once(seed):
    model = Markov({})
    model.log_probs = torch.randn(1, 7, 7, generator=torch.Generator().manual_seed(seed)).log_softmax(-1)
    (found,) = written(model, beam=8, max_new=20, no_repeat=0, required=((A, B), (C,)))[-1]
    text = "".join(str(token) for token in found.ids)
    assert text.count(f"{A}{B}") == 1 and text.count(str(C)) == 1
