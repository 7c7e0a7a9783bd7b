"""Several files, one after the other: each has its row, and fails alone."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from engines import (
    Cancel,
    CaptionRequest,
    CaptionResult,
    MediaError,
    Progress,
    Request,
    RequestError,
    Result,
    Segment,
    TranscribeRequest,
    TranscribeResult,
)
from studio import file_queue, uploads
from studio.components import MediaInput
from studio.file_queue import FileQueue
from studio.registry import DownloadRegistry
from studio.tabs.panel import _each_file
from tests.fake_host import FakeHost
from tests.studio.conftest import media_input

SPEECH = TranscribeResult(
    request=TranscribeRequest(media=Path("talk.mp3"), translate_to="de"),
    segments=(Segment(0.0, 1.0, "Good morning.", translation="Guten Morgen."),),
    end="finished",
)


def captions(path: Path) -> Sequence[Request]:
    if path.suffix == ".bad":
        raise MediaError("test", "{name} is damaged.", name=path.name)
    return (CaptionRequest(media=path),)


def no_body(_name: str, _result: Result) -> str:
    return ""


def keep(_result: Result) -> int | None:
    return None


def run(queue: FileQueue, host: FakeHost, downloads: DownloadRegistry, cancel: Cancel | None = None) -> list[str]:
    return [shown for shown, _ in file_queue.frames(queue, host, downloads, no_body, cancel or Cancel(), keep)]


def test_each_file_has_a_row_and_a_damaged_one_fails_alone(downloads):
    queue = FileQueue((Path("one.jpg"), Path("two.bad"), Path("three.jpg")), captions)
    *growing, last = run(queue, FakeHost(), downloads)
    assert "0 of 3 files" in growing[0] and "waits" in growing[0] and 'aria-busy="true"' in growing[0]
    assert "3 of 3 files" in last and "is-done" in last
    assert "two.bad is damaged." in last and last.count("A dog runs") == 2


def test_time_left_is_said_once_a_file_is_done(downloads):
    first, second, *_ = run(FileQueue((Path("a.jpg"), Path("b.jpg")), captions), FakeHost(), downloads)
    assert "files a minute" not in first and "files a minute" in second


def test_a_stop_keeps_what_is_finished_and_runs_no_other_file(downloads):
    cancel, asked = Cancel(), list[Path]()

    def requests(path: Path) -> Sequence[Request]:
        asked.append(path)
        if len(asked) == 2:
            cancel.set()
        return captions(path)

    last = run(FileQueue(tuple(Path(f"{n}.jpg") for n in range(9)), requests), FakeHost(), downloads, cancel)[-1]
    assert len(asked) == 2 and "is-stopped" in last
    assert last.count("waits") >= 7 and ".zip" in last


def test_a_stop_keeps_what_is_there_of_the_file_in_work(downloads):
    def half(request: Request) -> Iterator[Result]:
        yield CaptionResult(request=request, text="A dog")
        yield CaptionResult(request=request, text="A dog", end="cancelled")

    kept: list[Result] = []
    cancel = Cancel()
    queue = FileQueue((Path("a.jpg"), Path("b.jpg")), captions)
    steps = file_queue.frames(queue, FakeHost(scripts={CaptionRequest: half}), downloads, no_body, cancel, kept.append)
    next(steps)
    cancel.set()
    last = [shown for shown, _ in steps][-1]
    assert "A dog" in last and "stopped" in last and ".zip" in last and last.count("waits") == 1
    assert [result.end for result in kept] == ["cancelled"]


def test_how_far_one_long_file_is_is_shown_meanwhile(downloads):
    def slow(request: Request) -> Iterator[Result]:
        for done in (10.0, 20.0):
            yield TranscribeResult(request=request, progress=Progress("listening", done, 7200.0, "s"))
        yield replace(SPEECH, request=request)

    queue = FileQueue((Path("talk.mp3"),), lambda path: (TranscribeRequest(media=path),))
    host = FakeHost(scripts={TranscribeRequest: slow})
    steps = file_queue.frames(queue, host, downloads, no_body, Cancel(), keep, pause_s=0.0)
    shown = [card for card, _ in steps]
    assert any("0:10 of 2:00:00" in card for card in shown) and any("0:20 of 2:00:00" in card for card in shown)


def test_whole_transcripts_come_with_the_last_card_only(downloads):
    queue = FileQueue((Path("one.mp3"), Path("two.mp3")), lambda path: (TranscribeRequest(media=path),))
    steps = file_queue.frames(queue, FakeHost(), downloads, lambda _n, _r: "<p>whole</p>", Cancel(), keep)
    *growing, last = [shown for shown, _ in steps]
    assert last.count("<p>whole</p>") == 2 and not any("whole" in card for card in growing)


def test_rows_of_captions_can_be_corrected_and_name_their_entries(downloads):
    queue = FileQueue((Path("a.jpg"), Path("b.jpg")), captions)
    entries = iter((7, 8))
    steps = file_queue.frames(queue, FakeHost(), downloads, no_body, Cancel(), lambda _: next(entries))
    *growing, last = [card for card, _ in steps]
    assert 'data-entry="7"' in last and 'data-entry="8"' in last and last.count("data-correct-text") == 2
    assert "data-filter" in last and not any("data-correct-text" in card for card in growing)


# --- from the widgets --------------------------------------------------------------------------------------------


@pytest.fixture
def media() -> MediaInput:
    return media_input("caption", "photo", "sound", "files")


def build(
    _session: str, _language: str, kind: str, photo: str | None, sound: str | None, how: str
) -> tuple[Request, ...]:
    given = {"photo": photo, "sound": sound}[kind]
    assert given is not None and how == "en"
    return (CaptionRequest(media=Path(given), language=how),)


def test_uploads_that_wait_are_kept_however_long_those_before_them_take(downloads, uploads_of_the_tests):
    files = [uploads_of_the_tests / f"{n}.jpg" for n in range(3)]
    for file in files:
        file.write_bytes(b"photo")
    seen: list[list[bool]] = []

    def slow(request: Request) -> Iterator[Result]:
        for end in (None, "finished"):
            seen.append([file.stat().st_mtime > 0 for file in files])
            for file in files:
                os.utime(file, (0, 0))  # as after hours
            yield CaptionResult(request=request, text="A dog", end=end)

    host = FakeHost(scripts={CaptionRequest: slow})
    steps = file_queue.frames(FileQueue(tuple(files), captions), host, downloads, no_body, Cancel(), keep, touch_s=0.0)
    assert "3 of 3 files" in [shown for shown, _ in steps][-1]
    assert len(seen) == 6, "at each of two results of three files"
    assert all(all(is_kept[n // 2 :]) for n, is_kept in enumerate(seen)), "the file in work and those after it"
    assert not seen[-1][0], "what is done may go"


def test_a_file_that_was_not_uploaded_keeps_its_time(photo_file, uploads_of_the_tests):
    os.utime(photo_file, (0, 0))
    uploads.touch([photo_file, photo_file.with_name("gone.png")])
    assert photo_file.stat().st_mtime == 0


def test_each_file_goes_into_the_input_of_its_kind(media, photo_file, sound_file, clip_file):
    dropped = {"s": (photo_file, sound_file, clip_file)}
    queue = _each_file(media, build, dropped.__getitem__)("s", "en", "files", None, None, "tiles", "en")
    assert isinstance(queue, FileQueue)
    for path in (photo_file, sound_file):
        assert queue.requests(path) == (CaptionRequest(media=path, language="en"),)
    with pytest.raises(RequestError, match="of a kind that this tab does not take") as caught:
        queue.requests(clip_file)
    assert "不适用" in caught.value.zh


def test_one_file_is_asked_for_as_ever_and_no_file_is_said(media, photo_file):
    built = _each_file(media, build, lambda _session: ())
    assert built("s", "en", "photo", str(photo_file), None, None, "en") == (CaptionRequest(media=photo_file),)
    with pytest.raises(RequestError, match="Drop the files first"):
        built("s", "en", "files", None, None, "no tiles", "en")
