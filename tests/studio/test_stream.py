import logging
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest

from engines import CaptionRequest, CaptionResult, MediaError, Request, RequestError, Result, Router
from studio import stream
from studio.state import AppState
from studio.stream import Job, answer
from tests.fake_host import FakeHost

PHOTO = Path("/home/somebody/private/dog.jpg")


def job(*requests: Request) -> Job:
    def view(_session: str, result: Result) -> str:
        assert isinstance(result, CaptionResult)
        return f"{result.end}:{result.text}"

    return Job("caption", lambda *_: requests or (CaptionRequest(media=PHOTO),), view)


def over(state: AppState, host: FakeHost) -> AppState:
    return replace(state, host=Router({"": host}))


def test_a_run_shows_life_at_once_then_grows_then_ends(state):
    frames = list(answer(over(state, FakeHost(delay_s=0.1)), job(), "me", "en", ()))
    assert 'aria-busy="true"' in frames[0][0]
    assert frames[1] == ("None:A", True)
    assert frames[-1] == ("finished:A dog runs on the beach.", False)
    assert all(is_running for _, is_running in frames[:-1])


def test_a_stop_keeps_what_is_there(state):
    slow = over(state, FakeHost(delay_s=0.1))
    run = answer(slow, job(), "me", "en", ())
    next(run), next(run)
    slow.running.stop("me", "caption")
    assert list(run)[-1] == ("cancelled:A", False)


def test_a_closed_page_stops_its_request(state):
    host = FakeHost(delay_s=0.05)
    run = answer(over(state, host), job(), "me", "en", ())
    next(run), next(run)
    run.close()
    assert not state.running.is_latest("me", "caption", state.running.start("you", "caption"))
    fresh = list(answer(over(state, host), job(), "me", "en", ()))
    assert fresh[-1][0].startswith("finished")


def test_a_newer_run_ends_the_older_one_in_silence(state):
    slow = over(state, FakeHost(delay_s=0.1))
    older = answer(slow, job(), "me", "en", ())
    next(older), next(older)
    newer = answer(slow, job(), "me", "en", ())
    next(newer)
    assert list(older) == []
    assert list(newer)[-1] == ("finished:A dog runs on the beach.", False)


def test_a_typed_run_waits_for_one_that_was_asked_for(state, monkeypatch):
    slow = over(state, FakeHost(delay_s=0.1))
    asked = answer(slow, job(), "me", "en", ())
    next(asked)
    monkeypatch.setattr(stream, "TYPED_WAIT_S", 0.2)
    assert list(answer(slow, job(), "me", "en", (), is_typed=True)) == []
    assert list(asked)[-1] == ("finished:A dog runs on the beach.", False)
    shown = list(answer(slow, job(), "me", "en", (), is_typed=True))
    assert shown[-1] == ("finished:A dog runs on the beach.", False)


def test_a_run_that_shows_nothing_changes_nothing_on_the_page():
    with gr.Blocks():
        page: Any = SimpleNamespace(run=gr.Button(), stop=gr.Button(), result=gr.HTML())
    assert list(stream.updates([], page)) == [{page.result: gr.skip()}]
    (shown,) = stream.updates([("found", False)], page)
    assert shown[page.result] == "found" and page.run in shown and page.stop in shown


def test_a_run_that_is_asked_for_ends_a_typed_one_in_silence(state):
    slow = over(state, FakeHost(delay_s=0.1))
    typed = answer(slow, job(), "me", "en", (), is_typed=True)
    next(typed), next(typed)
    asked = answer(slow, job(), "me", "en", ())
    next(asked)
    assert list(typed) == []
    assert list(asked)[-1] == ("finished:A dog runs on the beach.", False)


def test_a_user_error_is_shown_as_written_in_both_languages(state):
    host = FakeHost(error=MediaError("sound_empty", "No picture in dog.jpg."))
    shown, goes_on = list(answer(over(state, host), job(), "me", "en", ()))[-1]
    assert "No picture in dog.jpg." in shown
    assert "声音是空的" in shown
    assert not goes_on


def test_a_defect_is_one_calm_sentence_and_the_log_holds_the_rest(state, caplog):
    host = FakeHost(error=RuntimeError(f"cannot open {PHOTO}"))
    with caplog.at_level(logging.ERROR, logger="studio"):
        shown, _ = list(answer(over(state, host), job(), "me", "en", ()))[-1]
    assert "not your fault" in shown
    assert "somebody" not in shown
    assert "Traceback" not in shown
    (record,) = caplog.records
    assert record.args is not None
    assert str(record.args[0]) in shown
    assert record.exc_info is not None


@pytest.fixture
def clock(monkeypatch) -> SimpleNamespace:
    """The time as the runner reads it: `now_s`, which stands still unless a test moves it."""
    clock = SimpleNamespace(now_s=100.0)
    monkeypatch.setattr(stream, "time", SimpleNamespace(monotonic=lambda: clock.now_s, sleep=time.sleep))
    return clock


def test_seconds_are_those_waited_for_all_requests_together(state, clock):
    def five_seconds(request: Request) -> Iterator[Result]:
        clock.now_s += 5.0
        yield CaptionResult(request=request, text="A dog", end="finished")

    seconds: list[float] = []
    first, second = CaptionRequest(media=PHOTO), CaptionRequest(media=PHOTO, language="de")
    timed = replace(job(first, second), finish=lambda _session, result: seconds.append(result.seconds))
    list(answer(over(state, FakeHost(scripts={CaptionRequest: five_seconds})), timed, "me", "en", ()))
    assert seconds == [10.0]


def test_several_requests_are_one_stream_with_one_end(state):
    first, second = CaptionRequest(media=PHOTO), CaptionRequest(media=PHOTO, language="de")
    ends = [frame for frame, goes_on in answer(state, job(first, second), "me", "en", ()) if not goes_on]
    assert ends == ["finished:Ein Hund läuft am Strand."]


def test_partial_results_that_come_too_fast_are_left_out_and_the_last_never(clock):
    def fast() -> Iterator[Result]:
        for n in range(8):
            yield CaptionResult(request=CaptionRequest(media=PHOTO), text=str(n))
            clock.now_s += stream.PAUSE_S / 3.5
        yield CaptionResult(request=CaptionRequest(media=PHOTO), text="end", end="finished")

    assert [result.text for result in stream.throttled(fast())] == ["0", "4", "end"]


def test_files_of_widgets_become_paths_and_the_rest_stays(uploads_of_the_tests):
    file = str((uploads_of_the_tests / "dog.jpg").resolve())
    assert stream.widget_value([{"path": file}, {"path": file}]) == [file, file]
    assert stream.widget_value({"path": None, "url": "data:,"}) is None
    for value in (["photo", "clip"], "words", None, 12):
        assert stream.widget_value(value) == value


@pytest.mark.parametrize("path", ["/etc/passwd", "dog.jpg", "{uploads}/../dog.jpg", "http://a.example/dog.jpg"])
def test_a_file_that_was_not_uploaded_is_refused_with_a_sentence(uploads_of_the_tests, path):
    with pytest.raises(RequestError, match="not uploaded here") as caught:
        stream.widget_value({"path": path.format(uploads=uploads_of_the_tests)})
    assert "重新拖入" in caught.value.zh
