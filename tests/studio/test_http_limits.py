import asyncio
import json
import logging
import select
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest
import uvicorn
from fastapi import FastAPI, HTTPException
from fastapi.testclient import TestClient
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from engines import UserError
from studio import http_limits
from studio.http_limits import Harden, HeadTimer

FAILURE = UserError("failure.test", "Something went wrong here.")
SHORT_S = 1.0


def inner() -> FastAPI:
    app = FastAPI()

    @app.get("/")
    def page() -> HTMLResponse:
        return HTMLResponse("<html></html>")

    @app.post("/size")
    async def size(request: Request) -> int:
        return len(await request.body())

    @app.post("/gradio_api/upload")
    @app.post("/v1/chat")
    async def upload(request: Request) -> int:
        return sum([len(part) async for part in request.stream()])

    @app.post("/typed")
    def typed(_: dict[str, int]) -> str:
        return "typed"

    @app.get("/defect")
    def defect() -> str:
        raise OSError("no space left on /home/me")

    @app.get("/wrong")
    def wrong() -> str:
        return str({}["missing"])

    @app.get("/null")
    def null() -> JSONResponse:
        return JSONResponse({"error": None}, 500)

    @app.get("/told")
    def told() -> JSONResponse:
        return JSONResponse({"error": "Send a file with the request."}, 500)

    @app.get("/missing")
    def missing() -> None:
        raise HTTPException(404, "This file is gone.")

    @app.get("/stream")
    def stream() -> StreamingResponse:
        return StreamingResponse(iter(["a", "b"]), headers={"x-frame-options": "SAMEORIGIN"})

    return app


@pytest.fixture
def client() -> TestClient:
    return TestClient(Harden(inner(), lambda _: FAILURE))


class ShortTimer(HeadTimer):
    head_s = SHORT_S


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """A real server with short limits."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()  # so that whoever connects before the server has started waits for it
    app = Harden(inner(), lambda _: FAILURE, body_s=SHORT_S)
    config = uvicorn.Config(app, http=ShortTimer, ws="none", log_level="warning", timeout_keep_alive=30)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    yield listener.getsockname()[1]
    server.should_exit = True
    thread.join(10)


def exchange(port: int, *parts: bytes) -> bytes:
    """Send bytes, further parts after an answer to the one before, and read until the server closes the connection."""
    said = b""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as line, suppress(ConnectionResetError):
        for n, part in enumerate(parts):
            while n and not said.endswith(b"}") and (more := line.recv(65536)):
                said += more
            line.sendall(part)
        while more := line.recv(65536):
            said += more
    return said


# --- slow clients --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "head", [b"", b"G", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nhost: localhost\r\nx-long: " + b"a" * 500]
)
def test_a_connection_that_does_not_finish_its_head_is_dropped(port, head):
    assert exchange(port, head) == b""


def test_a_head_that_comes_byte_by_byte_is_dropped_as_well(port):
    with socket.create_connection(("127.0.0.1", port), timeout=60) as line:
        for _ in range(10_000):
            line.sendall(b"a")
            if select.select([line], [], [], 0.02)[0]:  # the server has closed it
                break
        with suppress(ConnectionResetError):
            assert line.recv(1) == b""


def test_a_second_head_on_the_same_connection_has_its_time_too(port):
    said = exchange(port, b"GET /missing HTTP/1.1\r\nhost: localhost\r\n\r\n", b"GET / HT")
    assert said.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize("path", [b"/size", b"/gradio_api/upload"])
def test_a_body_that_does_not_come_is_answered_and_dropped(port, path):
    said = exchange(port, b"POST " + path + b" HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\nabc")
    assert said.startswith(b"HTTP/1.1 408")
    assert json.loads(said.split(b"\r\n\r\n")[1])["error"].startswith("The request was not sent completely in time")


def test_a_body_that_has_long_arrived_is_not_late_because_the_server_is_busy():
    body_s = 0.05

    async def busy(scope: Scope, receive: Receive, send: Send) -> None:
        begun_s = asyncio.get_running_loop().time()
        while asyncio.get_running_loop().time() < begun_s + 2 * body_s:
            await asyncio.sleep(body_s)
        await JSONResponse(len(await Request(scope, receive).body()))(scope, receive, send)

    parts: list[Message] = [{"type": "http.request", "body": b"abc", "more_body": False}]
    said: list[Message] = []

    async def receive() -> Message:
        return parts.pop(0)

    async def send(message: Message) -> None:
        said.append(message)

    scope = {"type": "http", "method": "POST", "path": "/size", "query_string": b"", "headers": []}
    asyncio.run(Harden(busy, lambda _: FAILURE, body_s=body_s)(scope, receive, send))
    assert (said[0]["status"], said[1]["body"]) == (200, b"3")


def test_a_body_that_nobody_reads_does_not_hold_the_connection(port):
    head = b"POST /missing HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\n"
    assert exchange(port, head + b"a").startswith(b"HTTP/1.1 405")


def test_a_slow_line_that_goes_on_sending_may_upload():
    a_hundred_megabytes = 100 * 2**20
    assert http_limits.body_time_s(0, 30.0) == 30.0
    assert http_limits.body_time_s(a_hundred_megabytes, 30.0) > 3 * 3600
    assert http_limits.body_time_s(600, 30.0) < 31.0  # a byte each tenth of a second is not enough


# --- odd requests --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"CONNECT example.com:443 HTTP/1.1", 405),
        (b"TRACE / HTTP/1.1", 405),
        (b"PROPFIND / HTTP/1.1", 405),
        (b"FOO /size HTTP/1.1", 405),
        (b"PUT /size HTTP/1.1", 405),
        (b"OPTIONS * HTTP/1.1", 400),
        (b"GET http://example.com/ HTTP/1.1", 400),
        (b"GET /%00 HTTP/1.1", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00", 400),
    ],
)
def test_an_odd_request_is_refused_without_a_traceback(port, line, status, caplog):
    with caplog.at_level(logging.INFO):
        said = exchange(port, line + b"\r\nhost: localhost\r\nconnection: close\r\n\r\n")
    assert said.startswith(f"HTTP/1.1 {status} ".encode())
    assert not [record for record in caplog.records if record.exc_info]


def test_a_client_that_goes_away_in_the_middle_leaves_no_traceback(port, caplog):
    with socket.create_connection(("127.0.0.1", port)) as line:
        line.sendall(b"POST /size HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\nabc")
    assert exchange(port, b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").startswith(b"HTTP/1.1 200")
    assert not [record for record in caplog.records if record.exc_info]


def test_a_large_body_is_refused_before_it_is_read(client):
    limit = http_limits.MAX_BODY_BYTES
    assert client.post("/size", content=b"a" * limit).json() == limit
    announced = client.post("/size", content=b"", headers={"content-length": str(limit + 1)})
    unannounced = client.post("/size", content=iter([b"a" * limit, b"a"]))
    for answer in (announced, unannounced):
        assert answer.status_code == 413
        assert answer.json()["error"] == "The request is too large; at most 2 MB are taken."


@pytest.mark.parametrize("path", ["/gradio_api/upload", "/v1/chat"])
def test_media_may_be_larger(client, path):
    large = b"a" * (http_limits.MAX_BODY_BYTES + 1)
    assert client.post(path, content=large).status_code == 200
    assert client.post(f"/studio{path}", content=large).status_code == 404  # as a proxy passes it on: no 413


@pytest.mark.parametrize(
    "path",
    ["/gradio_api/proxy=http://a.example/x", "/gradio_api/file=https://a.example/x", "/gradio_api/file=ftp://a/x"],
)
def test_no_address_is_fetched_for_whoever_asks(client, path):
    assert client.get(path).json() == {"error": "Files are uploaded here, not fetched."}


# --- answers -------------------------------------------------------------------------------------------------------


def test_a_defect_is_logged_and_told_in_a_sentence_without_a_path(client):
    answer = client.get("/defect")
    assert (answer.status_code, answer.json()) == (500, {"error": "Something went wrong here."})


def test_a_sentence_comes_in_the_language_of_whoever_asks(client):
    assert client.put("/size", headers={"accept-language": "zh-CN"}).json()["error"] == "不支持这种请求方法。"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"a": "b"}', b"[" * 100_000])
def test_a_body_of_the_wrong_shape_is_a_4xx_with_a_sentence(client, content):
    answer = client.post("/typed", content=content, headers={"content-type": "application/json"})
    assert 400 <= answer.status_code < 500
    assert "error" in answer.json() or "detail" in answer.json()


def test_gradios_sentence_is_kept_and_its_null_replaced(client):
    told, null = client.get("/told"), client.get("/null")
    assert (told.status_code, told.json()) == (400, {"error": "Send a file with the request."})
    assert null.status_code == 500
    assert null.json()["error"]


def test_every_answer_carries_the_usual_headers(client):
    for answer in (client.get("/"), client.get("/missing"), client.put("/size"), client.get("/defect")):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"
        assert answer.headers["x-frame-options"] == "DENY"
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert "default-src 'self'" in client.get("/").headers["content-security-policy"]
    assert "http" not in http_limits.POLICY
    assert client.get("/stream").headers["x-frame-options"] == "SAMEORIGIN"  # what a route says itself stays


def test_plain_text_and_streams_pass_as_they_are(client):
    assert client.get("/stream").text == "ab"
    assert client.get("/missing").json() == {"detail": "This file is gone."}


def test_a_route_that_polls_sees_that_its_client_has_gone():
    seen: list[bool] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        while not await request.is_disconnected():
            seen.append(False)
            assert len(seen) < 10
        seen.append(True)

    messages = [{"type": "http.request", "body": b"", "more_body": False}, {"type": "http.disconnect"}]

    async def receive() -> Message:
        return messages.pop(0)

    async def send(_: Message) -> None:
        raise AssertionError("nothing is sent to a client that has gone")

    scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": []}
    asyncio.run(Harden(app, lambda _: FAILURE)(scope, receive, send))
    assert seen[-1]
