"""The tools of MCP on a real server, through the official client."""

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from mcp import Client

from studio.server import Served, start
from tests.fake_host import FakeHost, SilentHost

PATH = "/gradio_api/mcp"


def talk(served: Served, use: Callable[[Client], Awaitable[Any]]) -> Any:
    async def connected() -> Any:
        async with Client(served.url + PATH) as client:
            return await use(client)

    with ThreadPoolExecutor(1) as thread:  # the browser's tests leave an event loop running in this one
        return thread.submit(asyncio.run, connected()).result()


def call(served: Served, name: str, **values: Any) -> Any:
    return talk(served, lambda client: client.call_tool(name, values))


def test_every_task_is_a_tool_with_described_arguments(served):
    tools = {tool.name: tool for tool in talk(served, lambda client: client.list_tools()).tools}
    assert set(tools) == {"caption", "transcribe", "translate", "ask", "embed", "search", "index"}
    schema = tools["ask"].input_schema
    assert schema["required"] == ["file", "question"]
    assert schema["properties"]["language"] == {
        "type": "string",
        "description": "the language of question and answer: en, de, fr or zh",
        "default": "en",
    }
    assert "data: address" in schema["properties"]["file"]["description"]


def test_a_file_comes_as_a_data_address_or_as_an_upload(served, photo_file):
    data = "data:image/png;base64," + base64.b64encode(photo_file.read_bytes()).decode()
    answer = call(served, "caption", file=data)
    assert json.loads(answer.content[0].text) == answer.structured_content
    assert answer.structured_content["request"]["media"] == "file.png"
    with photo_file.open("rb") as photo:
        (path,) = httpx.post(f"{served.url}/gradio_api/upload", files={"files": photo}).json()
    assert call(served, "caption", file=path).structured_content["text"] == "A dog runs on the beach."


@pytest.mark.parametrize(
    ("name", "values", "sentence"),
    [
        ("translate", {"text": "dog", "target": "en"}, "two different ones"),
        ("caption", {"file": "http://127.0.0.1:9/dog.jpg"}, "Files are uploaded here, not fetched."),
        ("caption", {"file": "data:image/png;base64,#"}, "not base64"),
        ("caption", {"file": "dog.jpg"}, "was not uploaded here"),
        ("sing", {}, "There is no such tool; there are caption, transcribe"),
    ],
)
def test_a_wrong_call_gets_one_sentence(served, name, values, sentence):
    answer = call(served, name, **values)
    assert answer.is_error
    assert sentence in answer.content[0].text


def test_another_site_cannot_call_a_tool(served):
    assert httpx.post(served.url + PATH, json={}, headers={"origin": "https://evil.example"}).status_code == 403


def test_visitors_need_the_password_and_name_no_file_of_this_machine(tmp_path, photo_file):
    ask = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "caption", "arguments": {}}}
    ask["params"]["arguments"]["file"] = str(photo_file)
    accepts = {"accept": "application/json, text/event-stream"}
    with start(FakeHost(), share=True, home=tmp_path, devices=("cpu",)) as shared:
        assert httpx.post(shared.url + PATH, json=ask, headers=accepts).status_code == 401
        password = {"authorization": f"Bearer {shared.password}"}
        said = httpx.post(shared.url + PATH, json=ask, headers=accepts | password).json()
    assert "was not uploaded here" in said["result"]["content"][0]["text"]


def test_who_hangs_up_stops_the_work_also_while_nothing_comes(tmp_path, sound_file):
    host = SilentHost()
    values = {"name": "transcribe", "arguments": {"file": str(sound_file)}}
    ask = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": values}
    accepts = {"accept": "application/json, text/event-stream"}
    with start(host, home=tmp_path, devices=("cpu",)) as served:
        host.asked_and_left(httpx.Request("POST", served.url + PATH, json=ask, headers=accepts))
        assert host.stopped.wait(60)


def test_the_tools_can_be_left_out(tmp_path):
    with start(FakeHost(), mcp=False, home=tmp_path, devices=("cpu",)) as served:
        assert httpx.post(served.url + PATH, json={}).status_code in (404, 405)
        assert "MCP" not in httpx.get(f"{served.url}/api").text
