import asyncio
import csv
import io
import json
import os
import signal
import sqlite3
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from PIL import Image

from engines import (
    CaptionRequest,
    CaptionResult,
    Hit,
    MediaError,
    SearchRequest,
    SearchResult,
    Segment,
    TranscribeRequest,
    TranscribeResult,
    media,
    subtitles,
    to_json,
)
from engines.index.history import History
from engines.lab import Findings
from engines.lab.fewshot import Example, LabelSet
from engines.media import child
from studio import exports, routes
from studio.history_recorder import HistoryRecorder
from studio.registry import N_RUNS, Registry
from studio.thumbnails import N_BARS, thumbnail
from tests.conftest import tone, write_sound
from tests.studio.findings import finished

CAPTION = CaptionResult(request=CaptionRequest(media=Path("/home/me/my dog.jpg")), text="a dog", end="finished")
SPEECH = TranscribeResult(
    request=TranscribeRequest(media=Path("talk.mp3")),
    language="en",
    segments=(Segment(0.5, 2.0, "Good morning."),),
    end="finished",
)


@pytest.fixture
def runs() -> Registry[Findings]:
    return Registry(N_RUNS)


@pytest.fixture
def history(tmp_path) -> History:
    return History(tmp_path / "history.sqlite")


@pytest.fixture
def client(downloads, runs, history) -> TestClient:
    app = FastAPI()
    routes.add_routes(app, downloads, runs, HistoryRecorder(history))
    return TestClient(app)


def test_media_come_with_their_type_and_in_pieces(client, downloads, clip_file):
    answer = client.get(f"/studio/file/{downloads.add_file(clip_file)}", headers={"range": "bytes=0-9"})
    assert answer.status_code == 206
    assert answer.headers["content-type"] == "video/mp4"
    assert answer.content == clip_file.read_bytes()[:10]


@pytest.mark.parametrize("name", ["page.html", "drawing.svg", "script.js", "noname"])
def test_what_a_browser_could_run_is_only_ever_a_download(client, downloads, tmp_path, name):
    (tmp_path / name).write_text("<script>alert(1)</script>")
    answer = client.get(f"/studio/file/{downloads.add_file(tmp_path / name)}")
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "path",
    [
        "/studio/file/unknown",
        "/studio/file/..%2f..%2fetc%2fpasswd",
        "/studio/thumb/unknown",
        "/studio/save/unknown.txt",
    ],
)
def test_what_is_not_registered_is_not_there(client, path):
    assert client.get(path).status_code == 404


def test_a_file_deleted_since_is_gone(client, downloads, photo_file):
    name = downloads.add_file(photo_file)
    photo_file.unlink()
    assert client.get(f"/studio/file/{name}").status_code == 404


def test_photos_and_clips_are_shown_small(client, downloads, photo_file, clip_file):
    for file in (photo_file, clip_file):
        answer = client.get(f"/studio/thumb/{downloads.add_file(file)}?at=0.5")
        assert answer.headers["content-type"] == "image/jpeg"
        assert max(Image.open(io.BytesIO(answer.content)).size) <= 360


def test_a_sound_is_shown_by_its_loudness(client, downloads, sound_file):
    answer = client.get(f"/studio/thumb/{downloads.add_file(sound_file)}")
    assert answer.headers["content-type"] == "image/svg+xml"
    assert answer.text.count("<rect") == N_BARS


def test_the_wave_of_a_sound_stretches_from_its_beginning_to_its_end(client, downloads, tmp_path):
    samples = np.concatenate([np.zeros(16_000, np.float32), tone(1.0)])
    name = downloads.add_file(write_sound(tmp_path / "late.wav", samples))
    answer = client.get(f"/studio/wave/{name}?duration=2")
    assert answer.headers["content-type"] == "image/svg+xml" and 'preserveAspectRatio="none"' in answer.text
    heights = [float(bar.split('height="')[1].split('"')[0]) for bar in answer.text.split("<rect")[1:]]
    assert max(heights[: len(heights) // 2 - 1]) < 10 < min(heights[len(heights) // 2 + 1 : -1])
    assert client.get(f"/studio/wave/{name}?duration=9999").status_code == 422
    assert client.get("/studio/wave/unknown?duration=2").status_code == 404
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"junk")
    assert client.get(f"/studio/wave/{downloads.add_file(broken)}?duration=2").status_code == 404


def test_a_damaged_file_has_a_blank_picture_and_no_error(client, downloads, tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"junk")
    with pytest.raises(MediaError):
        thumbnail(tmp_path / "broken.jpg")
    answer = client.get(f"/studio/thumb/{downloads.add_file(tmp_path / 'broken.jpg')}")
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"  # the next try may succeed


def test_pictures_that_are_slow_to_make_leave_other_routes_their_threads(client, downloads, photo_file, monkeypatch):
    most, n_begun, lock = 45, 0, threading.Lock()
    begun, go_on = threading.Event(), threading.Event()

    def stalled(*args: object, **options: object) -> tuple[bytes, str]:
        nonlocal n_begun
        with lock:
            n_begun += 1
        begun.set()
        assert go_on.wait(30)
        return b"", "image/jpeg"

    monkeypatch.setattr(routes, "thumbnail", stalled)
    name = downloads.add_file(photo_file)
    with client, ThreadPoolExecutor(most + 1) as asking:  # one server for all of the requests
        asked = [asking.submit(client.get, f"/studio/thumb/{name}?at={n}") for n in range(most)]
        assert begun.wait(30)
        other = asking.submit(client.get, f"/studio/file/{name}")
        try:
            assert other.result(10).content == photo_file.read_bytes()
            assert n_begun <= routes.N_PICTURES
        finally:
            go_on.set()
    assert [each.result().status_code for each in asked] == [200] * most


@pytest.mark.skipif(os.name == "nt", reason="no SIGSTOP there")
@pytest.mark.parametrize("kind", ["thumb", "wave"])
def test_a_closed_connection_ends_the_decoding_for_it(downloads, runs, history, sound_file, kind):
    app = FastAPI()
    routes.add_routes(app, downloads, runs, HistoryRecorder(history))
    while child._idle:
        child._idle.pop().end()
    media.probe(sound_file)
    (decoder,) = child._idle
    decoder.process.send_signal(signal.SIGSTOP)  # it takes for ever
    query = b"duration=2" if kind == "wave" else b""
    scope = {"type": "http", "method": "GET", "path": f"/studio/{kind}/{downloads.add_file(sound_file)}"}
    scope |= {"query_string": query, "headers": []}
    sent = []

    async def ask() -> None:
        messages = iter([{"type": "http.request", "body": b"", "more_body": False}])

        async def receive() -> dict[str, object]:
            if (message := next(messages, None)) is not None:
                return message
            while decoder in child._idle:  # not begun yet
                await asyncio.sleep(0.01)
            return {"type": "http.disconnect"}

        async def send(message: dict[str, object]) -> None:
            sent.append(message)

        await app(scope, receive, send)

    asyncio.run(ask())
    assert decoder.process.wait(60) == -signal.SIGKILL
    assert sent[0]["status"] == 204


@pytest.mark.parametrize("at", ["nan", "inf", "-1", "soon"])
def test_a_time_that_is_none_is_refused(client, downloads, clip_file, at):
    assert client.get(f"/studio/thumb/{downloads.add_file(clip_file)}?at={at}").status_code == 422


def test_json_is_that_of_the_command_line(client, downloads):
    answer = client.get(f"/studio/save/{downloads.add_result(CAPTION)}.json")
    assert json.loads(answer.text) == to_json(CAPTION)
    assert "/home" not in answer.text


def test_a_saved_file_has_a_name_every_system_takes(client, downloads):
    answer = client.get(f"/studio/save/{downloads.add_result(CAPTION)}.txt")
    assert answer.text == "a dog\n"
    assert answer.headers["content-disposition"] == 'attachment; filename="mydog-caption.txt"'


def test_a_translated_transcript_is_saved_with_both_texts_unless_one_is_chosen(client, downloads):
    line = replace(SPEECH.segments[0], translation="Guten Morgen.")
    name = downloads.add_result(replace(SPEECH, segments=(line,)))

    def saved(texts: str) -> str:
        return client.get(f"/studio/save/{name}.txt{texts}").text

    assert saved("") == saved("?texts=both") == "Good morning.\nGuten Morgen.\n"
    assert saved("?texts=original") == "Good morning.\n"
    assert saved("?texts=translation") == "Guten Morgen.\n"
    assert client.get(f"/studio/save/{name}.txt?texts=none").status_code == 422


def test_every_format_comes_in_one_zip(client, downloads):
    name = downloads.add_result(SPEECH)
    with zipfile.ZipFile(io.BytesIO(client.get(f"/studio/save/{name}.zip").content)) as packed:
        assert sorted(packed.namelist()) == [f"talk-transcribe.{form}" for form in sorted(subtitles.FORMATS)]
        assert b"00:00:00,500" in packed.read("talk-transcribe.srt")
    line = replace(SPEECH.segments[0], translation="Guten Morgen.")
    name = downloads.add_result(replace(SPEECH, segments=(line,)))
    with zipfile.ZipFile(io.BytesIO(client.get(f"/studio/save/{name}.zip").content)) as packed:
        assert packed.read("talk-transcribe-translation.txt") == b"Guten Morgen.\n"
        assert packed.read("talk-transcribe-both.txt") == b"Good morning.\nGuten Morgen.\n"


def test_a_corrected_transcript_is_what_is_saved_and_can_be_taken_back(client, downloads):
    name = downloads.add_result(SPEECH)
    answer = client.post(f"/studio/edit/{name}", json={"edit": "text", "line": 0, "text": "Good <b>evening</b>."})
    assert "Good &lt;b&gt;evening&lt;/b&gt;." in answer.json()["html"]
    assert client.get(f"/studio/save/{name}.txt").text == "Good <b>evening</b>.\n"
    for _ in range(2):  # there is nothing before the first version
        answer = client.post(f"/studio/edit/{name}", json={"edit": "undo"})
        assert "Good morning." in answer.json()["html"]
    assert client.get(f"/studio/save/{name}.txt").text == "Good morning.\n"


def test_a_correction_answers_with_the_rows_that_it_changed(client, downloads):
    lines = tuple(Segment(2.0 * n, 2.0 * n + 1, f"Line {n}.") for n in range(300))
    name = downloads.add_result(replace(SPEECH, segments=lines))
    asked = {"edit": "join", "line": 20, "rows": 300}
    answer = client.post(f"/studio/edit/{name}", json=asked).json()
    assert (answer["start"], answer["n_gone"]) == (19, 2)
    assert answer["html"].count('class="segment"') == 1 and "Line 19. Line 20." in answer["html"]


def test_a_wrong_correction_changes_nothing_and_says_so_in_both_languages(client, downloads):
    name = downloads.add_result(SPEECH)
    answer = client.post(f"/studio/edit/{name}", json={"edit": "join", "line": 0})
    assert answer.status_code == 422
    assert "does not fit" in answer.json()["detail"]["en"] and "结果" in answer.json()["detail"]["zh"]
    assert downloads.result(name) == SPEECH
    caption = downloads.add_result(CAPTION)
    for wrong in ({"edit": "split", "line": 0, "at": 2}, {"edit": "text", "text": " "}, {"edit": "text"}):
        assert client.post(f"/studio/edit/{caption}", json=wrong).status_code == 422
    assert downloads.result(caption) == CAPTION
    assert client.post("/studio/edit/unknown", json={"edit": "undo"}).status_code == 404


def test_a_corrected_caption_is_no_longer_judged_and_is_what_is_saved(client, downloads):
    name = downloads.add_result(replace(CAPTION, confidence=0.2, unsure=True, guesses=("wolf",), written=("Rex",)))
    client.post(f"/studio/edit/{name}", json={"edit": "text", "text": " A  puppy. "})
    assert downloads.result(name) == replace(CAPTION, text="A puppy.", written=("Rex",))
    assert client.get(f"/studio/save/{name}.txt").text == "A puppy.\n\nRex\n"


def test_a_correction_stands_in_the_history_and_so_does_taking_it_back(client, downloads, history):
    name, entry = downloads.add_result(SPEECH), history.add(SPEECH)

    def correct(**asked: object) -> None:
        assert client.post(f"/studio/edit/{name}", json={"entry": str(entry), **asked}).is_success

    correct(edit="text", line=0, text="Good evening.")
    assert history.result(entry) == downloads.result(name)
    assert [found.text for found in history.find("evening")] == ["Good evening."]
    correct(edit="undo")
    assert history.result(entry) == SPEECH


@pytest.mark.parametrize("entry", [None, "99", "1; DROP TABLE entries", 1, "²", "1" * 40])
def test_a_correction_that_names_no_entry_of_its_request_leaves_the_history_as_it_is(client, downloads, history, entry):
    history.add(CAPTION)
    name = downloads.add_result(SPEECH)
    asked = {"edit": "text", "line": 0, "text": "Good evening.", "entry": entry}
    assert client.post(f"/studio/edit/{name}", json=asked).is_success
    assert client.post(f"/studio/edit/{name}", json=asked | {"text": "Good night.", "entry": "1"}).is_success
    assert [history.result(found.id) for found in history.find()] == [CAPTION]


@pytest.mark.parametrize(("result", "kind"), [(CAPTION, "srt"), (SPEECH, "csv"), (CAPTION, "exe")])
def test_an_unknown_format_is_refused(client, downloads, result, kind):
    assert client.get(f"/studio/save/{downloads.add_result(result)}.{kind}").status_code == 404


def test_hits_are_saved_as_a_table_that_no_spreadsheet_runs():
    hit = Hit(Path("/home/me/=cmd.jpg"), "photo", score=0.41234567, fit=0.9, text="@sum")
    result = SearchResult(request=SearchRequest(query="dog", collection=Path("c.sqlite")), hits=(hit,), end="finished")
    written = exports.result_as(result, "csv")
    assert written is not None
    (row,) = csv.DictReader(io.StringIO(written))
    assert row["file"] == "'=cmd.jpg"
    assert row["text"] == "'@sum"
    assert row["score"] == "0.4123"


@pytest.mark.parametrize(
    ("form", "name"),
    [("csv", "fusion-seed7.csv"), ("json", "fusion-seed7.json"), ("run", "fusion-seed7.run.safetensors")],
)
def test_a_lab_run_can_be_saved(client, runs, form, name):
    answer = client.get(f"/studio/run/{runs.add(finished())}.{form}")
    assert answer.headers["content-disposition"] == f'attachment; filename="{name}"'
    assert answer.content == exports.run_as(finished(), form)


def test_a_label_set_can_be_taken_along(client, downloads):
    vectors = np.eye(4, dtype=np.float32)
    examples = tuple(Example(label, "a.jpg", "", "text", vectors[n]) for n, label in enumerate(("cat", "dog")))
    answer = client.get(f"/studio/labels/{downloads.add_labels(LabelSet('My pets', examples, 'd'))}.zip")
    assert answer.headers["content-disposition"].startswith('attachment; filename="my-pets-')
    with zipfile.ZipFile(io.BytesIO(answer.content)) as packed:
        assert "classify.py" in packed.namelist()
    assert client.get("/studio/labels/unknown.zip").status_code == 404


def test_a_missing_run_or_an_unknown_format_is_refused(client, runs):
    assert client.get("/studio/run/nobody.csv").status_code == 404
    assert client.get(f"/studio/run/{runs.add(finished())}.exe").status_code == 404


def test_a_result_that_cannot_be_read_leaves_the_others_of_the_export(client, history):
    for text in ("A dog.", "A cat."):
        history.add(CaptionResult(request=CaptionRequest(media=Path("a.jpg")), text=text, end="finished"))
    with sqlite3.connect(history._file) as db:
        db.execute("UPDATE entries SET result = 'no json' WHERE text = 'A dog.'")
    first, second = map(json.loads, client.get("/studio/history.jsonl").text.splitlines())
    assert first["text"] == "A dog." and "another version" in first["error"]
    assert second["text"] == "A cat." and "error" not in second
