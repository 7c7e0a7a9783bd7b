"""What gradio lacks: results reach the page whatever it sends while its stream closes; our script comes first."""

import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import gradio as gr
import httpx
import pytest
from fastapi import FastAPI
from fastapi.responses import HTMLResponse, JSONResponse
from fastapi.testclient import TestClient

from studio import gradio_fixes
from studio.gradio_fixes import Streams

PAGE = {"x-gradio-user": "app"}


@pytest.fixture
def quick(monkeypatch) -> None:
    monkeypatch.setattr(gradio_fixes, "IDLE_S", 1.0)


def join(url: str, session: str, headers: dict[str, str] | None = None) -> str:
    """Send an event without inputs, as the page does; its id."""
    config = httpx.get(f"{url}/config").json()
    event = next(
        entry["id"]
        for entry in config["dependencies"]
        if not entry["inputs"] and entry["backend_fn"] and any(name == "load" for _, name in entry["targets"])
    )
    sent = {"data": [], "fn_index": event, "session_hash": session}
    answer = httpx.post(f"{url}/gradio_api/queue/join", json=sent, headers=headers or {})
    return answer.raise_for_status().json()["event_id"]


def listen(url: str, session: str) -> Iterator[tuple[str, str | None]]:
    """What the stream of a session says: the kind of each message and its event."""
    with httpx.stream("GET", f"{url}/gradio_api/queue/data", params={"session_hash": session}) as stream:
        for line in stream.iter_lines():
            if line.startswith("data: "):
                message = json.loads(line.removeprefix("data: "))
                yield message["msg"], message.get("event_id")


def test_a_page_hears_of_its_next_event_on_the_same_stream(served):
    first = join(served.url, "same", PAGE)
    messages = listen(served.url, "same")
    assert ("process_completed", first) in messages
    second = join(served.url, "same", PAGE)
    said = []
    for message in messages:
        said.append(message)
        if message == ("process_completed", second):
            break
    assert ("close_stream", None) not in said


def test_the_stream_of_an_idle_page_closes(served, quick):
    event = join(served.url, "idle", PAGE)
    said = list(listen(served.url, "idle"))
    assert said.index(("process_completed", event)) < said.index(("close_stream", None)) == len(said) - 1


def test_an_event_sent_while_the_stream_closes_is_accepted_once_the_page_knows(served, quick, monkeypatch):
    monkeypatch.setattr(gradio_fixes, "CLOSING_S", 2.0)
    join(served.url, "late", PAGE)
    said = []
    with ThreadPoolExecutor(1) as thread:
        for message in listen(served.url, "late"):
            said.append(message)
            if message[1] == gradio_fixes.OPEN:  # "close_stream" is on its way while the next event is sent
                late = thread.submit(join, served.url, "late", PAGE)
        event = late.result()
    assert ("process_completed", event) not in said
    assert ("process_completed", event) in listen(served.url, "late")


def test_the_stream_of_a_call_of_the_api_ends_with_it(served):
    event = join(served.url, "api")
    said = list(listen(served.url, "api"))
    assert said[-1][0] == "close_stream"
    assert {other for message, other in said if message == "process_completed"} == {event}


def test_our_script_stands_before_anything_else_in_the_page_and_nothing_else_is_changed():
    app = FastAPI()

    @app.get("/")
    def page() -> HTMLResponse:
        return HTMLResponse("<!doctype html><html><head><title>x</title></head><body></body></html>")

    @app.get("/other")
    def other() -> JSONResponse:
        return JSONResponse({"text": "<head>"})

    client = TestClient(gradio_fixes.EarlyScript(app))
    shown = client.get("/")
    assert shown.text.startswith('<!doctype html><html><head><link rel="icon"')
    assert shown.text.index("<script>") < shown.text.index("<title>")
    assert int(shown.headers["content-length"]) == len(shown.content)
    assert client.get("/other").json() == {"text": "<head>"}


def test_a_session_that_is_still_read_outlives_newer_ones():
    dropped: list[str] = []
    streams = Streams(2, dropped.append)
    streams["long run"] = streams["short one"] = "messages"
    assert streams["long run"] == "messages"
    streams["another"] = "messages"
    assert set(streams) == {"long run", "another"} and dropped == ["short one"]


def test_a_call_of_the_api_that_has_ended_leaves_no_session():
    def louder(text: str) -> str:
        return text.upper()

    with gr.Blocks() as page:
        gr.api(louder)
    gradio_fixes.keep_open(page.queue())
    with TestClient(gr.mount_gradio_app(FastAPI(), page, path="/")) as client:
        event = client.post("/gradio_api/call/louder", json={"data": ["a dog"]}).json()["event_id"]
        assert "A DOG" in client.get(f"/gradio_api/call/louder/{event}").text
    assert not page.state_holder.session_data


COMPONENT = """
import gradio as gr


class Shout(gr.Textbox):
    EVENTS = ["shouted"]
"""


def test_starting_the_page_writes_no_interface_files_beside_components(tmp_path):
    (tmp_path / "shout.py").write_text(COMPONENT, encoding="utf-8")
    start = "from studio.gradio_import import skip_interface_files; skip_interface_files(); "
    code = (
        f"import sys; sys.path.insert(0, sys.argv[1]); {start}from shout import Shout; print(callable(Shout.shouted))"
    )
    ran = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert ran.stdout == "True\n", "its events are there all the same"
    assert not (tmp_path / "shout.pyi").exists()
