"""What a host tells: who answered, how long it took, how it ended."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engines.errors import AbilityError, Cancelled, MediaError, Message
from engines.hosts.results import RESULTS, TASK_OF, TASKS, Steps, finalise, simplified
from engines.protocol import (
    Ability,
    AskRequest,
    AskResult,
    Cancel,
    HostInfo,
    Result,
    Segment,
    TranscribeRequest,
    TranscribeResult,
    TranslateRequest,
    TranslateResult,
    Word,
)

INFO = HostInfo(
    name="tiny",
    abilities=frozenset({Ability(TranslateRequest, "en-de")}),
    device="cpu",
    device_reason=Message("test", "asked for"),
    dtype="float32",
    n_parameters=1,
    memory_bytes=4,
    licence="",
    model_digest="tiny-0",
)
HELLO = TranslateRequest(text="Hello.", source="en", target="de")


class Task:
    """Says n words; does something else first where a test wants it."""

    def __init__(self, n_words: int = 3, *, error: BaseException | None = None, ends: bool = True) -> None:
        self.n_words, self.error, self.ends = n_words, error, ends
        self.closed = False

    def __call__(self, request: Any, cancel: Cancel) -> Iterator[Result]:
        try:
            for n in range(self.n_words):
                yield TranslateResult(request=request, text="la " * (n + 1))
            if self.error is not None:
                raise self.error
            if self.ends:
                yield TranslateResult(request=request, text="la", end="finished")
                raise AssertionError("nobody asks for more after the end")
        finally:
            self.closed = True


def tell(task: Steps, cancel: Cancel | None = None) -> Iterator[Result]:
    return finalise(INFO, {TranslateRequest: task}, HELLO, cancel)


@pytest.mark.parametrize("kind", RESULTS)
def test_every_kind_of_request_has_a_task_a_result_and_a_sentence(kind):
    assert kind in TASKS[TASK_OF[kind]] and dataclasses.is_dataclass(RESULTS[kind])
    with pytest.raises(AbilityError, match="tiny does not") as refused:
        finalise(INFO, {}, object.__new__(kind), None)
    assert refused.value.zh.startswith("tiny 不能")


def test_a_stop_ends_with_the_last_partial_result_and_closes_the_task():
    task, cancel = Task(100), Cancel()
    stream = tell(task, cancel)
    first = next(stream)
    cancel.set()
    (last,) = stream
    assert last.end == "cancelled" and last.text == first.text and task.closed


def test_a_stop_that_comes_with_the_end_changes_nothing():
    cancel = Cancel()

    def task(request: Any, cancel: Cancel) -> Iterator[Result]:
        cancel.set()
        yield TranslateResult(request=request, text="la", end="finished")

    assert [r.end for r in tell(task, cancel)] == ["finished"]


def test_a_reader_who_leaves_closes_the_task():
    task = Task()
    stream = tell(task)
    next(stream)
    stream.close()
    assert task.closed


@pytest.mark.parametrize("error", [MediaError("test", "No picture in it."), ZeroDivisionError("a defect")])
def test_a_failure_reaches_who_asked(error):
    task = Task(1, error=error)
    with pytest.raises(type(error), match=str(error)):
        [*tell(task)]
    assert task.closed


def test_a_task_that_ends_without_a_last_result_is_a_defect():
    with pytest.raises(RuntimeError, match="tiny ended a TranslateRequest without a last result"):
        [*tell(Task(ends=False))]


def test_a_task_that_stops_itself_ends_cancelled():
    """As where its host is closed."""
    assert [*tell(Task(error=Cancelled()))][-1].end == "cancelled"


TRADITIONAL, SIMPLIFIED = "他們說這隻狗在沙灘上", "他们说这只狗在沙滩上"


def test_chinese_is_simplified_where_chinese_is_asked_for():
    ask = AskRequest(media=Path("a.jpg"), question="?", language="zh")
    assert simplified(AskResult(request=ask, text=TRADITIONAL)).text == SIMPLIFIED
    put = TranslateRequest(text="x", source="en", target="zh")
    assert simplified(TranslateResult(request=put, text=TRADITIONAL)).text == SIMPLIFIED
    other = TranslateRequest(text=TRADITIONAL, source="zh", target="de")
    assert simplified(TranslateResult(request=other, text=TRADITIONAL)).text == TRADITIONAL


def test_a_chinese_transcript_is_simplified_with_its_words_and_a_translation_only_into_chinese():
    segment = Segment(0.0, 1.0, TRADITIONAL, (Word(0.0, 1.0, "他們"),), translation=TRADITIONAL)
    heard = TranscribeResult(
        request=TranscribeRequest(media=Path("a.wav"), translate_to="de"), language="zh", segments=(segment,)
    )
    (said,) = simplified(heard).segments
    assert (said.text, said.words[0].text, said.translation) == (SIMPLIFIED, "他们", TRADITIONAL)
    german = replace(heard, request=TranscribeRequest(media=Path("a.wav"), translate_to="zh"), language="de")
    (said,) = simplified(german).segments
    assert (said.text, said.translation) == (TRADITIONAL, SIMPLIFIED)
