"""One worker, many requests: they take turns, a stop stops its own, a move waits, a failure reaches who asked."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from engines import media
from engines.device import Choice
from engines.encoder import MediaEncoder
from engines.errors import AbilityError, Cancelled, DeviceError, Message, UserError
from engines.hosts import builtin as module
from engines.hosts.builtin import BuiltinHost
from engines.model import checkpoint
from engines.protocol import (
    AskRequest,
    Cancel,
    CaptionRequest,
    CaptionResult,
    EmbedRequest,
    Host,
    IndexRequest,
    Request,
    Result,
    SearchRequest,
    TranscribeRequest,
    TranslateRequest,
    run,
)
from engines.settings import Settings
from tests.conftest import write_photo

WAIT_S = 20.0


@dataclass
class Script:
    """A task that waits for permission before each step, so that a test decides who is where."""

    n_steps: int = 3
    gate: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    entered: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    closed: threading.Event = field(default_factory=threading.Event)
    log: list[str] = field(default_factory=list)
    error: BaseException | None = None

    def stream(self, encoder: object, request: Any) -> Iterator[Result]:
        try:
            for n in range(self.n_steps):
                self.entered.release()
                assert self.gate.acquire(timeout=WAIT_S)
                self.log.append(f"{request.language} {n}")
                if self.error is not None:
                    raise self.error
                end = "finished" if n == self.n_steps - 1 else None
                yield CaptionResult(request=request, text=str(n), end=end)
        finally:
            self.closed.set()


@pytest.fixture
def script(monkeypatch) -> Script:
    """What every caption request runs instead of the model."""
    script = Script()
    monkeypatch.setitem(module.TASKS, CaptionRequest, (script.stream, ("en",)))
    return script


@pytest.fixture
def ask(photo) -> CaptionRequest:
    return CaptionRequest(media=photo)


class Reader:
    """Reads a stream in a thread of its own, as a page does."""

    def __init__(self, host: Host, request: Any, cancel: Cancel | None = None) -> None:
        self.results: list[Result] = []
        self.error: BaseException | None = None
        self.thread = threading.Thread(target=self._read, args=(host, request, cancel), daemon=True)
        self.thread.start()

    def _read(self, host: Host, request: Any, cancel: Cancel | None) -> None:
        try:
            self.results.extend(host.stream(request, cancel))
        except UserError as error:
            self.error = error

    def last(self) -> Result:
        self.thread.join(WAIT_S)
        assert not self.thread.is_alive()
        return self.results[-1]


def test_a_short_request_beside_a_long_one_gets_half_of_the_time_though_its_steps_are_shorter(tiny_host, monkeypatch):
    now_s, log, entered, gate = 0.0, list[str](), threading.Event(), threading.Event()
    monkeypatch.setattr(module, "time", SimpleNamespace(perf_counter=lambda: now_s))

    def steps(_: MediaEncoder, request: Any) -> Iterator[CaptionResult]:
        nonlocal now_s
        name, n_steps, step_s = request
        for n in range(n_steps):
            entered.set()
            assert gate.wait(WAIT_S)
            now_s += step_s
            log.append(name)
            yield CaptionResult(request=request, end="finished" if n == n_steps - 1 else None)

    def start(*request: object) -> threading.Thread:
        read = threading.Thread(target=lambda: [*tiny_host.perform(steps, CaptionResult, request)], daemon=True)
        read.start()
        return read

    readers = [start("long", 40, 1.0)]
    assert entered.wait(WAIT_S)
    readers.append(start("short", 20, 0.05))
    while tiny_host._incoming.empty():  # it waits in line while the long one is in its first step
        assert readers[1].is_alive()
    gate.set()
    for reader in readers:
        reader.join(WAIT_S)
    n_long_before = log[: len(log) - log[::-1].index("short")].count("long")
    assert n_long_before == 2, "its own second is as long as one step of the other, and one was under way"


def test_a_stop_is_heard_though_the_worker_is_busy(tiny_host, script, photo):
    busy = Reader(tiny_host, CaptionRequest(media=photo, language="de"))
    assert script.entered.acquire(timeout=WAIT_S)
    cancel = Cancel()
    stopped = Reader(tiny_host, CaptionRequest(media=photo, language="en"), cancel)
    cancel.set()
    assert stopped.last().end == "cancelled" and script.log == []
    script.gate.release(3)
    assert busy.last().end == "finished"


def test_a_stop_ends_with_the_last_partial_result(tiny_host, script, ask):
    cancel = Cancel()
    stream = tiny_host.stream(ask, cancel)
    script.gate.release()
    first = next(stream)
    cancel.set()
    script.gate.release(2)
    *_, last = stream
    assert last.end == "cancelled" and last.text >= first.text and last.progress is None
    assert script.closed.wait(WAIT_S)


@pytest.fixture
def undecoded(tmp_path, photo, monkeypatch) -> Iterator[tuple[Path, threading.Event]]:
    """A photo that is not decoded until the event is set."""
    decoded = threading.Event()

    def slow(probe: Callable[..., Any]) -> Callable[..., Any]:
        def probed(path: Path, **choices: int) -> Any:
            assert decoded.wait(WAIT_S)
            return probe(path, **choices)

        return probed

    for name in ("probe", "probe_sound"):
        monkeypatch.setattr(media, name, slow(getattr(media, name)))
    yield write_photo(tmp_path / "slow.png", photo), decoded
    decoded.set()


def test_a_file_that_is_being_decoded_holds_nobody_else_up(tiny_host, photo, undecoded):
    path, decoded = undecoded
    for request in (CaptionRequest(media=path), EmbedRequest(media=path), TranscribeRequest(media=path)):
        stuck = tiny_host.stream(request)
        next(stuck)
        assert run(tiny_host, CaptionRequest(media=photo)).end == "finished"
        stuck.close()
    cancel = Cancel()
    stopped = tiny_host.stream(CaptionRequest(media=path), cancel)
    next(stopped)
    cancel.set()
    assert [*stopped][-1].end == "cancelled"
    waiting = tiny_host.stream(CaptionRequest(media=path))
    next(waiting)
    decoded.set()
    assert [*waiting][-1].end == "finished"


def test_a_stop_raised_inside_a_task_is_no_failure(tiny_host, script, ask):
    script.error = Cancelled()
    script.gate.release()
    assert run(tiny_host, ask).end == "cancelled"


def test_a_stream_nobody_reads_any_more_is_given_up(tiny_host, script, ask):
    script.n_steps = 1000
    script.gate.release(1000)
    stream = tiny_host.stream(ask)
    next(stream)
    stream.close()
    assert script.closed.wait(WAIT_S)
    assert run(tiny_host, EmbedRequest(media="still there")).end == "finished"


def test_work_begins_only_when_it_is_asked_for(tiny_host, script, ask):
    stream = tiny_host.stream(ask)
    assert run(tiny_host, EmbedRequest(media="first")).end == "finished" and script.log == []
    script.gate.release(3)
    assert [*stream][-1].end == "finished"


def test_a_failure_reaches_who_asked_and_the_host_goes_on(tiny_host, script, ask):
    script.error = ZeroDivisionError("a defect")
    script.gate.release()
    with pytest.raises(ZeroDivisionError, match="a defect"):
        run(tiny_host, ask)
    assert run(tiny_host, EmbedRequest(media="next")).end == "finished"


def test_running_out_of_memory_is_one_sentence_and_empties_the_cache(tiny_host, script, ask, photo):
    kept = tiny_host._encoder.encode(photo)
    script.error = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
    script.gate.release()
    with pytest.raises(DeviceError, match="The device ran out of memory; try a shorter or smaller file") as failed:
        run(tiny_host, ask)
    assert isinstance(failed.value.__cause__, torch.OutOfMemoryError)
    assert tiny_host._encoder.encode(photo) is not kept


def test_what_is_not_served_is_refused_at_once(tiny_host):
    with pytest.raises(AbilityError, match="The built-in model does not serve str"):
        tiny_host.stream("caption this")


def test_a_move_waits_for_what_is_under_way_and_holds_back_what_comes(tiny_host, script, photo, monkeypatch):
    def placed(choice: Choice) -> checkpoint.Checkpoint:
        script.log.append("moved")
        return checkpoint.tiny(seed=9)

    monkeypatch.setattr(tiny_host, "_placed", placed)
    before = Reader(tiny_host, CaptionRequest(media=photo, language="en"))
    assert script.entered.acquire(timeout=WAIT_S)
    mover = threading.Thread(target=tiny_host.move, args=("cpu",), daemon=True)
    mover.start()
    while tiny_host._incoming.qsize() < 1:
        assert mover.is_alive()
    after = Reader(tiny_host, CaptionRequest(media=photo, language="de"))
    script.gate.release(6)
    mover.join(WAIT_S)
    assert [before.last().end, after.last().end] == ["finished", "finished"]
    assert script.log == ["en 0", "en 1", "en 2", "moved", "de 0", "de 1", "de 2"]
    assert [before.last().model_digest, after.last().model_digest] == ["tiny-0", "tiny-9"]


def test_a_move_to_an_absent_device_changes_nothing(tiny_host, photo):
    kept = tiny_host._encoder.encode(photo)
    with pytest.raises(DeviceError, match="cuda:99"):
        tiny_host.move("cuda:99")
    assert tiny_host.info.device == "cpu" and tiny_host._encoder.encode(photo) is kept


def test_a_device_that_fails_during_a_move_is_not_moved_to(tiny_host, photo, monkeypatch):
    def placed(choice: Choice) -> checkpoint.Checkpoint:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(
        module.devices, "choose", lambda device, dtype="auto": Choice("cuda:0", "bfloat16", Message("test", "is there"))
    )
    monkeypatch.setattr(tiny_host, "_placed", placed)
    with pytest.raises(DeviceError, match="ran out of memory"):
        tiny_host.move("cuda")
    assert tiny_host.info.device == "cpu" and run(tiny_host, CaptionRequest(media=photo)).end == "finished"


def test_a_move_brings_the_weights_along_and_forgets_what_was_encoded(tiny_host, photo):
    kept = tiny_host._encoder.encode(photo)
    tiny_host.move("cpu")
    weights = tiny_host._checkpoint.model.state_dict().values()
    assert {str(weight.dtype) for weight in weights} == {f"torch.{tiny_host.info.dtype}"}
    assert tiny_host._encoder.encode(photo) is not kept
    assert run(tiny_host, CaptionRequest(media=photo)).end == "finished"


def test_a_host_from_a_folder_reads_it_again_when_it_moves_from_a_device_that_was_lost(tmp_path, photo, monkeypatch):
    checkpoint.save(tmp_path, checkpoint.tiny().model, checkpoint.BUILTIN / checkpoint.TOKENIZER_FILE)
    host = module.load(tmp_path, settings=Settings(device="cpu", dtype="float32"))
    for weight in host._checkpoint.model.parameters():
        weight.data.fill_(torch.nan)  # as good as lost
    host.move("cpu")
    assert run(host, EmbedRequest(media=photo)).vector.std() > 0.0
    assert host.info.dtype == "float32", "what was asked for when it was opened is kept"
    host.close()


def test_every_task_runs_in_bfloat16(photo, sound, clip, tmp_path):
    tiny = checkpoint.tiny(seed=2)
    tiny.model.to(torch.bfloat16)
    with torch.no_grad():
        tiny.model.event_head.project.bias[tiny.model.config.events.index("speech")] = 20.0
    host = BuiltinHost(tiny, choice=Choice("cpu", "bfloat16", Message("test", "asked for")))
    collection = tmp_path / "my.db"
    write_photo(tmp_path / "red.png", photo)
    requests: list[Request] = [
        CaptionRequest(media=photo),
        TranscribeRequest(media=sound, language="en", translate_to="de"),
        TranslateRequest(text="Hello.", source="en", target="fr"),
        AskRequest(media=clip, question="What is it?"),
        EmbedRequest(media=clip),
        IndexRequest(folder=tmp_path, collection=collection),
        SearchRequest(query=sound, collection=collection),
    ]
    try:
        assert [run(host, request).end for request in requests] == ["finished"] * len(requests)
    finally:
        host.close()


def test_closing_ends_a_long_request_a_waiting_move_and_what_waits_behind_it(tiny_host, script, photo):
    script.n_steps = 1000
    failed: list[UserError] = []

    def move() -> None:
        try:
            tiny_host.move("cpu")
        except UserError as error:
            failed.append(error)

    first = Reader(tiny_host, CaptionRequest(media=photo, language="en"))
    assert script.entered.acquire(timeout=WAIT_S)
    mover = threading.Thread(target=move, daemon=True)
    mover.start()
    while tiny_host._incoming.qsize() < 1:
        assert mover.is_alive()
    second = Reader(tiny_host, CaptionRequest(media=photo, language="de"))
    while tiny_host._incoming.qsize() < 2:
        assert second.thread.is_alive()
    closer = threading.Thread(target=tiny_host.close, daemon=True)
    closer.start()
    while not tiny_host._closed:
        assert closer.is_alive()
    script.gate.release(1000)
    closer.join(WAIT_S)
    mover.join(WAIT_S)
    assert first.last().end == second.last().end == "cancelled"
    assert [error.en for error in failed] == ["This model was closed; open it again."]


def test_a_slow_reader_gets_the_newest_result_and_the_end(tiny_host, script, ask):
    script.n_steps = 50
    script.gate.release(50)
    stream = tiny_host.stream(ask)
    first = next(stream)
    assert script.closed.wait(WAIT_S)
    results = [first, *stream]
    assert results[-1].end == "finished" and len(results) < 50


def test_a_task_of_somebody_else_takes_its_turn_and_is_signed_as_all_others(tiny_host):
    def echo(encoder: MediaEncoder, request: Any) -> Iterator[CaptionResult]:
        yield CaptionResult(request=request, text=str(encoder.model_digest))
        yield CaptionResult(request=request, text="done", end="finished")

    *_, last = tiny_host.perform(echo, CaptionResult, "of my own")
    assert last.text == "done" and last.request == "of my own" and last.host == "tiny" and last.seconds > 0.0
    cancel = Cancel()
    cancel.set()
    (stopped,) = tiny_host.perform(echo, CaptionResult, "of my own", cancel)
    assert stopped.end == "cancelled" and stopped.text == ""
