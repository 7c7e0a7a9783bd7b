"""Results of hosts without a worker thread: completed with host, duration and end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import Any, TypeAlias

from engines.errors import AbilityError, Cancelled, Message, RequestError
from engines.protocol import (
    AskRequest,
    AskResult,
    Cancel,
    CaptionRequest,
    CaptionResult,
    EmbedRequest,
    EmbedResult,
    End,
    HostInfo,
    IndexRequest,
    IndexResult,
    MapRequest,
    MapResult,
    Request,
    Result,
    SearchRequest,
    SearchResult,
    Segment,
    TranscribeRequest,
    TranscribeResult,
    TranslateRequest,
    TranslateResult,
    current_client,
)

RESULTS: dict[type, type[Result]] = {
    CaptionRequest: CaptionResult,
    TranscribeRequest: TranscribeResult,
    TranslateRequest: TranslateResult,
    AskRequest: AskResult,
    EmbedRequest: EmbedResult,
    IndexRequest: IndexResult,
    SearchRequest: SearchResult,
    MapRequest: MapResult,
}
TASKS: dict[str, tuple[type, ...]] = {
    "search": (SearchRequest, IndexRequest, EmbedRequest, MapRequest),
    "transcribe": (TranscribeRequest,),
    "translate": (TranslateRequest,),
    "ask": (AskRequest,),
    "caption": (CaptionRequest,),
}
"""Tasks that can be routed to a host each. Search and indexing go together."""
TASK_OF = {kind: task for task, kinds in TASKS.items() for kind in kinds}

Steps: TypeAlias = Callable[[Any, Cancel], Iterator[Result]]
"""A task: results as they are made, at least one every tenth of a second, so that a stop is heard."""


@dataclass(frozen=True)
class Written:
    """A text as far as a model has written it. is_cut: it stopped at the maximum number of tokens."""

    text: str = ""
    is_cut: bool = False

    @property
    def end(self) -> End:
        """The `end` of a result with the whole text."""
        return "cut" if self.is_cut else "finished"


def finalise(info: HostInfo, tasks: Mapping[type, Steps], request: Request, cancel: Cancel | None) -> Iterator[Result]:
    """Results of the task that serves a request, each with its host and seconds; a stop ends them with "cancelled".

    Raises AbilityError, at once, where no task does.
    """
    if type(request) not in tasks:
        raise unable(info.name, type(request))
    return _finalised(info, tasks[type(request)], request, Cancel() if cancel is None else cancel)


def _finalised(info: HostInfo, task: Steps, request: Request, cancel: Cancel) -> Iterator[Result]:
    started_s = time.perf_counter()
    current_client.set(cancel.client)
    last = RESULTS[type(request)](request=request)

    def signed(result: Result) -> Result:
        seconds = time.perf_counter() - started_s
        return simplified(replace(result, host=info.name, model_digest=info.model_digest, seconds=seconds))

    with closing(task(request, cancel)) as steps, suppress(Cancelled):  # type: ignore[type-var]  # a generator
        for result in steps:
            if cancel.is_set and not result.done:
                break
            last = signed(result)
            yield last
            if last.done:
                return
        else:
            if not cancel.is_set:
                raise RuntimeError(f"{info.name} ended a {type(request).__name__} without a last result")
    yield signed(replace(last, progress=None, end="cancelled"))


def simplified(result: Result) -> Result:
    """A result whose Chinese is in simplified characters, as "zh" means here. Whisper often writes traditional ones."""
    match result:
        case CaptionResult(request=CaptionRequest(language="zh")) | AskResult(request=AskRequest(language="zh")):
            return replace(result, text=_simplified(result.text))
        case TranslateResult(request=TranslateRequest(target="zh")):
            return replace(result, text=_simplified(result.text))
        case TranscribeResult(request=TranscribeRequest(translate_to=target), language=language):
            if "zh" not in (language, target):
                return result
            is_said, is_target = language == "zh", target == "zh"
            return replace(result, segments=tuple(_segment(s, is_said, is_target) for s in result.segments))
    return result


def _segment(segment: Segment, is_said: bool, is_target: bool) -> Segment:
    if is_said:
        words = tuple(replace(word, text=_simplified(word.text)) for word in segment.words)
        segment = replace(segment, text=_simplified(segment.text), words=words)
    return replace(segment, translation=_simplified(segment.translation)) if is_target else segment


@lru_cache(maxsize=4096)  # a growing transcript is sent again and again; a sentence takes about 5 microseconds
def _simplified(text: str) -> str:
    return str(_converter().convert(text))


@cache
def _converter() -> Any:
    from opencc import OpenCC  # 0.1 s, and only for Chinese

    return OpenCC("t2s")


def unable(name: str, request: type) -> AbilityError:
    """The error for a request that a host does not serve."""
    what = {
        "search": Message("word.to_search", "search"),
        "transcribe": Message("word.to_transcribe", "write down speech"),
        "translate": Message("word.to_translate", "translate"),
        "ask": Message("word.to_ask", "answer questions"),
        "caption": Message("word.to_caption", "caption"),
    }[TASK_OF[request]]
    return AbilityError(
        "task_unable", "{name} does not {what}; choose another model for it in Models & device.", name=name, what=what
    )


def closed() -> RequestError:
    return RequestError("host_closed", "This model was closed; open it again.")
