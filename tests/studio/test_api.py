"""The named endpoints on a real server, through gradio's own client."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import gradio as gr
import httpx
import pytest
from gradio.state_holder import SessionState
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from engines import RequestError
from studio import api
from studio.app import open_state
from studio.server import start
from tests.fake_host import FakeHost, SilentHost

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def client(served) -> Client:
    return Client(served.url, verbose=False)


@pytest.fixture(scope="module")
def real(builtin, tmp_path_factory) -> Iterator[Client]:
    """The same page over the model people get."""
    with start(builtin, home=tmp_path_factory.mktemp("home"), devices=("cpu",)) as served:
        yield Client(served.url, verbose=False)


def test_openapi_names_what_a_task_takes(served):
    schema = httpx.get(f"{served.url}/gradio_api/openapi.json").json()
    asked = schema["paths"]["/gradio_api/call/v2/ask"]["post"]
    properties = asked["requestBody"]["content"]["application/json"]["schema"]["properties"]
    assert set(properties) == {"file", "question", "language", "hide", "track"}
    assert properties["question"]["type"] == "string"
    assert "at most 500 characters" in properties["question"]["description"]
    assert "Answer a question" in asked["summary"]


def test_a_call_by_name_fills_in_the_defaults(served):
    call = httpx.post(f"{served.url}/gradio_api/call/v2/translate", json={"text": "Good morning."})
    said = httpx.get(f"{served.url}/gradio_api/call/translate/{call.json()['event_id']}").text
    assert "Guten Morgen." in said
    assert "event: complete" in said


def test_the_page_links_its_api_and_the_api_page_lists_every_task(served):
    assert "./api" in httpx.get(f"{served.url}/config").text
    page = httpx.get(f"{served.url}/api").text
    for name in ("caption", "transcribe", "translate", "ask", "embed", "search", "index"):
        assert f'<section id="{name}">' in page
    assert f"{served.url}/gradio_api/mcp" in page
    sections = {part.split('"')[0]: part for part in page.split('<section id="')[1:]}
    upload = f"curl -F files=@FILE {served.url}/gradio_api/upload"
    assert upload in sections["caption"] and upload not in sections["search"], "where a file is sent, it goes first"


def test_the_paper_on_the_api_says_what_is_served(client):
    paper = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    told = {
        section.split("\n")[0]: re.findall(r"^\| `(\w+)` \| (\w+) \| (.+?) \| (.+?) \|$", section, re.MULTILINE)
        for section in re.split(r"^### ", paper, flags=re.MULTILINE)[1:]
    }
    served = {
        name: [
            (
                p["parameter_name"],
                {"filepath": "file", "int": "integer", "str": "string"}[p["python_type"]["type"]],
                f"`{json.dumps(p['parameter_default'])}`" if p["parameter_has_default"] else "required",
                p["python_type"]["description"],
            )
            for p in task["parameters"]
        ]
        for name, task in client.view_api(return_format="dict")["named_endpoints"].items()
    }
    assert told == served


def test_a_visitor_is_not_offered_to_index_and_names_no_folder(tmp_path):
    shared = open_state(FakeHost(), shared=True, home=tmp_path, devices=("cpu",))
    tasks = {task.name: task for task in api.tasks_of(shared)}
    assert "index" not in tasks
    with pytest.raises(RequestError, match="Only the owner"):
        tasks["search"].build(api.parsed(tasks["search"], {"query": "a dog", "folder": "/"}, Path))


def test_a_session_keeps_no_configuration_of_the_page(served):
    """Else each call of the API would keep 0.6 MB, ten thousand calls long."""
    page = gr.Blocks()
    with page:
        gr.Textbox("a value")
    assert list(SessionState(page).components) == []


def test_partial_results_come_first(client, photo_file):
    job = client.submit(handle_file(photo_file), "en", api_name="/caption")
    job.result(timeout=120)
    ends = [partial["end"] for partial in job.outputs()]
    assert ends[-1] == "finished"
    assert set(ends[:-1]) <= {None}


def test_the_samples_are_searched(client):
    result = client.predict("a dog", None, 2, api_name="/search")
    assert [hit["file"] for hit in result["hits"]] == ["dog.jpg", "bark.wav"]


def test_who_hangs_up_stops_the_work_also_while_nothing_comes(tmp_path, sound_file):
    host = SilentHost()
    with start(host, home=tmp_path / "home", devices=("cpu",), mcp=False) as served:
        api = f"{served.url}/gradio_api"
        (path,) = httpx.post(f"{api}/upload", files={"files": ("a.wav", sound_file.read_bytes())}).json()
        values = {"file": {"path": path, "meta": {"_type": "gradio.FileData"}}}
        event = httpx.post(f"{api}/call/v2/transcribe", json=values).json()["event_id"]
        with httpx.stream("GET", f"{api}/call/transcribe/{event}", timeout=60.0) as said:
            assert next(said.iter_lines()) == "event: generating"
            assert host.began.wait(60) and not host.stopped.is_set()
        assert host.stopped.wait(60)


@pytest.mark.parametrize(
    ("path", "body", "sentence"),
    [
        ("v2/translate", {"text": "dog", "target": "xx"}, "The language 'xx' is not known; choose one of en, de"),
        ("v2/translate", {}, "text is missing."),
        ("v2/translate", {"text": 5}, "text has to be a text."),
        ("v2/translate", {"text": "dog", "tone": "kind"}, "translate has no tone."),
        ("translate", {"data": ["dog", "en", "en"]}, "two different ones"),
        ("translate", {"data": ["", "en", "de"]}, "Type something to translate first"),
        ("v2/search", {"query": ""}, "Send words or a file"),
        ("v2/embed", {"text": ""}, "Send a text or a file"),
        ("v2/search", {"query": "a dog", "n_hits": "many"}, "n_hits has to be a whole number"),
        ("v2/search", {"query": "a dog", "folder": "/no/such/folder"}, "no such folder"),
        ("v2/search", {"query": "a dog", "n_hits": -1}, "k is -1; choose 1 to 1000 hits."),
        ("v2/search", {"query": "a dog", "n_hits": 1e300}, "n_hits is too large a number."),
        ("v2/caption", {"file": {"path": "/etc/passwd"}}, "This file was not uploaded here; drop it again."),
        ("v2/ask", {"file": None, "question": "Who?"}, "Send a file with the request."),
    ],
)
def test_wrong_values_are_a_400_with_the_sentence_before_anything_is_queued(served, page_host, path, body, sentence):
    n_before = len(page_host.requests)
    answer = httpx.post(f"{served.url}/gradio_api/call/{path}", json=body)
    assert answer.status_code == 400
    assert sentence in answer.json()["error"]
    assert len(page_host.requests) == n_before


def test_the_sentence_for_wrong_values_is_chinese_where_that_is_preferred(served):
    call = f"{served.url}/gradio_api/call/v2/translate"
    assert "text" in httpx.post(call, json={}, headers={"accept-language": "zh"}).json()["error"]
    assert "缺少" in httpx.post(call, json={}, headers={"accept-language": "zh"}).json()["error"]


@pytest.mark.parametrize("path", ["/etc/passwd", "../../../etc/passwd", "http://127.0.0.1:9/dog.jpg"])
def test_a_path_of_this_machine_is_refused(served, page_host, path):
    n_before = len(page_host.requests)
    forged = {"path": path, "meta": {"_type": "gradio.FileData"}}
    call = httpx.post(f"{served.url}/gradio_api/call/caption", json={"data": [forged, "en"]})
    said = call.text
    if call.status_code == 200:
        said = httpx.get(f"{served.url}/gradio_api/call/caption/{call.json()['event_id']}").text
        assert "event: error" in said
    assert "root:" not in said
    assert len(page_host.requests) == n_before


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("call/caption", {"data": []}),
        ("call/caption", {"data": [1, 2, 3, 4, 5]}),
        ("call/caption", {"data": [{"path": 5}, "en"]}),
        ("call/caption", {"data": [[[["a"]]], {}]}),
        ("call/caption", {"data": "text"}),
        ("call/nothing", {"data": []}),
        ("call/v2/nothing", {}),
        ("call/v2/caption", {"colour": "red"}),
        ("call/v2/caption", []),
        ("run/caption", {"data": []}),
        ("run/nothing", {"data": []}),
        ("run/predict", {"data": [], "fn_index": 99_999}),
        ("queue/join", {"data": [], "fn_index": 99_999, "session_hash": "a"}),
        ("queue/join", {"data": [], "fn_index": 0}),
        ("queue/join", {"data": {}, "fn_index": "x", "session_hash": []}),
        ("component_server", {"component_id": 99_999, "fn_name": "x", "data": 1, "session_hash": "a"}),
        ("component_server", []),
        ("cancel", {}),
        ("upload", {}),
    ],
)
def test_wrong_input_gets_a_sentence_and_no_traceback(served, capfd, path, body):
    answer = httpx.post(f"{served.url}/gradio_api/{path}", json=body)
    said = answer.text
    if answer.status_code == 200:
        assert path.startswith("call/")
        said = httpx.get(f"{served.url}/gradio_api/{path}/{answer.json()['event_id']}").text
        assert "event: error" in said
    else:
        assert 400 <= answer.status_code < 500
    assert "null" not in said.partition('"error"')[2][:8]
    assert re.search(r"\w{3,} \w{2,}", said)
    printed = capfd.readouterr()
    assert "Traceback" not in printed.out + printed.err


# --- the model people get ----------------------------------------------------------------------------------------


def test_the_real_model_hears_no_speech_in_a_tone(real, sound_file):
    result = real.predict(handle_file(sound_file), "", "", api_name="/transcribe")
    assert (result["end"], result["segments"]) == ("empty", [])


@pytest.mark.parametrize("name", ["broken.jpg", "broken.mp3", "broken.mp4", "empty.wav"])
def test_the_real_model_says_what_is_wrong_with_a_file_and_goes_on(real, tmp_path, name):
    (tmp_path / name).write_bytes(b"" if name.startswith("empty") else b"no media in here at all" * 40)
    with pytest.raises(AppError) as caught:
        real.predict(handle_file(tmp_path / name), "en", api_name="/caption")
    assert str(tmp_path) not in str(caught.value)
    assert "not your fault" not in str(caught.value)
    assert real.predict("A dog runs.", "en", "de", api_name="/translate")["text"]
