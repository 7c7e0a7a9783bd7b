import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest

from engines import Route
from engines.errors import DeviceError
from studio import server
from studio.app import build, open_state
from studio.server import Served, serve, start, start_api
from tests.fake_host import FakeHost

ROOT = Path(__file__).resolve().parents[2]


def test_the_page_answers(served):
    page = httpx.get(served.url)
    assert page.status_code == 200
    assert "Fusion Studio" in page.text
    assert served.password is None


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json", "/monitoring", "/gradio_api/monitoring/summary"])
def test_nothing_is_served_that_nobody_needs(served, path):
    answer = httpx.get(served.url + path)
    assert answer.status_code in (403, 404) or '"swagger' not in answer.text
    assert "openapi" not in answer.text.lower() or answer.status_code == 404


@pytest.mark.parametrize(
    "path", ["/etc/passwd", str(ROOT / "launch.py"), str(ROOT / "studio" / "app.py"), "../../../../etc/passwd"]
)
def test_files_of_this_machine_are_not_served(served, path):
    answer = httpx.get(f"{served.url}/gradio_api/file={path}")
    assert answer.status_code in (403, 404)
    assert "root:" not in answer.text


def test_events_of_the_page_are_private():
    page = build(FakeHost(), state=open_state(FakeHost(), devices=("cpu",)))
    public = {fn.api_name for fn in page.fns.values() if fn.api_visibility == "public"}
    assert public == {"caption", "transcribe", "translate", "ask", "embed", "search", "index"}


def test_all_model_work_waits_in_one_queue():
    page = build(FakeHost(), state=open_state(FakeHost(), devices=("cpu",)))
    streaming = [fn for fn in page.fns.values() if fn.types_generator]
    assert len(streaming) >= 15
    # Besides: opening models and runs of the Lab hold up nobody's request; what shows a run begun before takes no turn.
    assert {fn.concurrency_id for fn in streaming if fn.fn.__name__ != "follow"} == {"model", "load", "lab"}
    assert sum(fn.concurrency_id == "model" for fn in streaming) > 15


def test_a_shared_page_has_a_password_and_hides_what_is_the_owners(tmp_path):
    with start(FakeHost(), share=True, home=tmp_path, devices=("cpu",)) as shared:
        assert shared.password is not None
        assert "Fusion Studio" in httpx.get(shared.url).text
        assert httpx.get(f"{shared.url}/config").status_code == 401
        with httpx.Client(base_url=shared.url, follow_redirects=True) as client:
            client.post("/enter", data={"password": shared.password})
            config = client.get("/config").json()
    by_id = {part["props"].get("elem_id"): part["props"] for part in config["components"]}
    assert by_id["device"]["visible"] is False
    assert by_id["models-device"]["visible"] is False
    assert [value for _, value in by_id["search-place"]["choices"]] == ["samples", "uploads"]


def test_a_shared_page_has_no_event_that_opens_compares_or_gives_back_a_model():
    def queues(shared: bool) -> list[object]:
        state = open_state(FakeHost(), shared=shared, devices=("cpu",))
        return [fn.concurrency_id for fn in build(FakeHost(), state=state).fns.values()]

    assert queues(shared=False).count("load") == 5  # look up, by key too; open; give back; install
    assert "load" not in queues(shared=True)


def test_any_host_is_put_behind_routes_and_routes_stay_as_they_are():
    host = FakeHost()
    state = open_state(host, devices=("cpu",), opener=lambda name, settings: FakeHost(source=name))
    assert state.host.hosts() == (host,)
    assert state.host.open(Route("a/other")).info.source == "a/other"
    assert open_state(state.host, devices=("cpu",)).host is state.host


def test_a_port_that_is_taken_is_an_error_for_whoever_chose_it(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OSError, match="in use"):
            start(FakeHost(), port=taken.getsockname()[1], home=tmp_path, devices=("cpu",))


def test_the_terminal_says_where_it_is_and_the_password_once(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("FUSION_STUDIO_HOME", str(tmp_path))
    monkeypatch.setattr(server, "open_tunnel", lambda _url: "No public link. The studio stays local.")
    monkeypatch.setattr(Served, "wait", lambda _self: None)
    serve(FakeHost(), port=0, share=True, open_browser=False)
    said = capsys.readouterr().out
    assert "Fusion Studio is at http://127.0.0.1:" in said
    assert said.count("The password, shown this once:") == 1
    assert "stays local" in said


class Interrupted(threading.Event):
    """An event that a Ctrl-C follows as soon as it is waited for: sent from another thread, it may come a little
    earlier or later, and the main thread is in `wait` all the while."""

    def wait(self, timeout: float | None = None) -> bool:
        sender = threading.Thread(target=os.kill, args=(os.getpid(), signal.SIGINT))
        sender.start()
        sender.join()
        return super().wait(timeout)


@pytest.mark.skipif(os.name == "nt", reason="no SIGINT there")
def test_after_a_ctrl_c_the_server_has_ended_before_the_model_is_closed(tmp_path):
    with start(FakeHost(), home=tmp_path, devices=("cpu",)) as served:
        served._ended = Interrupted()
        with pytest.raises(KeyboardInterrupt):
            served.wait()
    with pytest.raises(httpx.ConnectError):
        httpx.get(served.url)


def test_the_api_alone_is_served_behind_the_same_gate(tmp_path, photo_file):
    with start_api(FakeHost(), allow_hosts=["studio.example"]) as served:
        models = f"{served.url}/v1/models"
        assert httpx.get(models).status_code == 401
        key = {"authorization": f"Bearer {served.password}"}
        assert httpx.get(models, headers=key).json()["data"][0]["id"] == "fake"
        assert httpx.get(models, headers=key | {"host": "evil.example"}).status_code == 403
    with start_api(FakeHost()) as served:
        assert served.password is None
        assert httpx.get(f"{served.url}/health").text == "ok"
        assert httpx.get(served.url).status_code == 404
        assert httpx.get(f"{served.url}/v1/models", headers={"origin": "http://localhost:3000"}).status_code == 403


def test_a_failed_model_is_told_in_the_form_of_openai_on_the_page_too(tmp_path):
    asked = {"messages": [{"role": "user", "content": "Translate to German: a dog"}]}
    host = FakeHost(error=DeviceError("device_lost", "There is no cuda here."))
    with start_api(host) as served:
        answer = httpx.post(f"{served.url}/v1/chat/completions", json=asked)
    assert answer.status_code == 503
    assert answer.json()["error"]["message"] == "There is no cuda here."
    with start_api(FakeHost(error=ZeroDivisionError("a defect"))) as served:
        answer = httpx.post(f"{served.url}/v1/chat/completions", json=asked)
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "defect")


def test_building_and_serving_asks_no_other_host(tmp_path):
    program = f"""
import socket, sys
sys.path.insert(0, {str(ROOT)!r})
asked = []
real = socket.getaddrinfo
socket.getaddrinfo = lambda host, *rest, **more: (asked.append(host), real(host, *rest, **more))[1]
from studio.server import start
from tests.fake_host import FakeHost
from pathlib import Path
import httpx
with start(FakeHost(), home=Path({str(tmp_path)!r}), devices=("cpu",)) as served:
    httpx.get(served.url)
print({{host for host in asked if host not in ("127.0.0.1", "localhost", b"127.0.0.1", None)}})
"""
    clean = {"PATH": "/usr/bin", "HOME": str(tmp_path), "GRADIO_TEMP_DIR": str(tmp_path / "uploads")}
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=clean, check=False)
    assert ended.stdout.strip().endswith("set()"), ended.stdout + ended.stderr


FORGED = {"meta": {"_type": "gradio.FileData"}}


@pytest.mark.parametrize(
    ("kind", "meta"), [("photo", FORGED), ("photo", {"meta": {}}), ("photo", {}), ("clip", {}), ("sound", {})]
)
def test_a_forged_path_does_not_get_through_the_page_either(served, page_host, kind, meta):
    config = httpx.get(f"{served.url}/config").json()
    names = {part["id"]: part["props"].get("elem_id") for part in config["components"]}
    (run,) = [d for d in config["dependencies"] if any(names.get(t[0]) == "caption-run" for t in d["targets"])]
    forged = {"path": "/etc/hostname", **meta}
    data = [kind, *(forged if name == kind else None for name in ("photo", "clip", "sound")), "en"]
    n_before = len(page_host.requests)
    body = {"data": data, "fn_index": run["id"], "session_hash": f"forger{kind}{len(meta)}"}
    httpx.post(f"{served.url}/gradio_api/queue/join", json=body)
    with httpx.stream("GET", f"{served.url}/gradio_api/queue/data?session_hash={body['session_hash']}") as said:
        for line in said.iter_lines():
            if "process_completed" in line or "close_stream" in line:
                break
    assert len(page_host.requests) == n_before


def test_the_page_cannot_be_framed_and_answers_no_other_port(served):
    page = httpx.get(served.url)
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
    assert "default-src 'self'" in page.headers["content-security-policy"]
    assert httpx.get(f"{served.url}/config", headers={"origin": "http://localhost:3000"}).status_code == 403


def test_an_upload_is_kept_in_a_folder_of_this_process(served):
    (path,) = httpx.post(f"{served.url}/gradio_api/upload", files={"files": ("a.txt", b"a")}).json()
    assert f"studio-{os.getpid()}" in Path(path).parts


def test_below_a_path_the_page_asks_for_a_password_and_says_where_it_is(tmp_path):
    proxy = {"host": "studio.example", "x-forwarded-proto": "https", "origin": "https://studio.example"}
    reach = {"root_path": "/app", "allow_hosts": ("studio.example",)}
    with start(FakeHost(), home=tmp_path, devices=("cpu",), **reach) as served:
        assert 'action="/app/enter"' in httpx.get(served.url, headers=proxy).text
        key = {"authorization": f"Bearer {served.password}"}
        for path in ("/config", "/app/config"):
            assert httpx.get(served.url + path, headers=proxy | key).json()["root"] == "https://studio.example/app"
        assert httpx.get(served.url + "/config", headers=key | {"host": "evil.example"}).status_code == 403


def test_the_path_may_come_from_gradios_variable(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_ROOT_PATH", "/notebook/proxy")
    with start(FakeHost(), home=tmp_path, devices=("cpu",)) as served:
        assert 'action="/notebook/proxy/enter"' in httpx.get(served.url).text
