"""Serving the page: options, the port, the models that answer, and the sentence for each way it cannot be."""

from __future__ import annotations

import argparse
import errno
import os
import signal
import socket
import subprocess
import sys
import wave
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import numpy as np
import pytest

from engines import Progress, Route, Settings, write_routes
from engines.cli.models import tell_download
from engines.errors import DeviceError, RequestError
from studio import cli
from studio.sharing import stay_offline
from tests.fake_host import FakeHost


def parse(argv: list[str]) -> argparse.Namespace:
    return cli.parse(argv, "launch.py")


BUILT_IN = {
    "host": "127.0.0.1",
    "port": 7860,
    "device": "auto",
    "model": [],
    "share": False,
    "no_browser": False,
    "root_path": None,
    "allow_host": [],
    "no_mcp": False,
    "api_only": False,
}


@pytest.fixture
def busy_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


# --- options ------------------------------------------------------------------------------------------------------


def test_without_flags_the_built_in_model_is_served_to_this_machine_only():
    assert vars(parse([])) == BUILT_IN


def test_every_flag_reaches_its_option():
    flags = "--host 0.0.0.0 --port 80 --device cuda:1 --model mine --model ask=yours --share --no-browser "
    flags += "--root-path /studio --allow-host a.example --allow-host b.example --no-mcp --api-only"
    assert vars(parse(flags.split())) == {
        "host": "0.0.0.0", "port": 80, "device": "cuda:1", "model": ["mine", "ask=yours"], "share": True,
        "no_browser": True, "root_path": "/studio", "allow_host": ["a.example", "b.example"],
        "no_mcp": True, "api_only": True,
    }  # fmt: skip


@pytest.mark.parametrize("port", ["0", "65536", "-1", "http", "7860.0"])
def test_a_number_that_is_no_port_is_refused_with_the_range(port, capsys):
    with pytest.raises(SystemExit):
        parse([f"--port={port}"])
    assert f"{port} is not a port; choose 1 to 65535" in capsys.readouterr().err


def test_the_help_tells_what_a_first_start_does_and_how_to_test(capsys):
    with pytest.raises(SystemExit) as end:
        parse(["--help"])
    said = capsys.readouterr().out
    assert end.value.code == 0
    for promise in (".venv", "network", "python launch.py test", "--share", "default: 7860", "password"):
        assert promise in said


def test_there_are_at_most_twelve_flags():
    assert len(BUILT_IN) <= 12


# --- from options to page ---


def serve_with(monkeypatch: pytest.MonkeyPatch, serve: Any, open_host: Any, home: Path) -> None:
    """Put a page and hosts of the test's own behind the command. home: where the page kept its choices."""
    import engines.hosts

    page = ModuleType("studio.server")
    page.serve = serve
    monkeypatch.setitem(sys.modules, "studio.server", page)
    monkeypatch.setenv("FUSION_STUDIO_HOME", str(home))
    monkeypatch.setattr(engines.hosts, "open_host", open_host)


def start_with(*arguments: str) -> None:
    cli.serve(parse(list(arguments)))


def test_the_page_is_served_with_what_was_asked_for(monkeypatch, tmp_path):
    served: list[Any] = []
    serve_with(
        monkeypatch,
        serve=lambda host, **options: served.append((host, options)),
        open_host=lambda name, settings, tell: FakeHost(name=settings.device, source=name),
        home=tmp_path,
    )
    monkeypatch.setattr(cli, "free_port", lambda host, port: port + 1)
    start_with("--host=0.0.0.0", "--port=8000", "--device=cpu", "--model=mine", "--share", "--no-browser")
    [(host, options)] = served
    assert host.routes == {"": "mine"}
    assert host.info.name == "cpu"
    assert options.pop("settings").device == "cpu"
    expected = {"bind": "0.0.0.0", "port": 8001, "share": True, "open_browser": False, "mcp": True, "api_only": False}
    assert options == expected | {"root_path": None, "allow_hosts": []}


def test_a_device_that_is_absent_is_said_in_both_languages(monkeypatch, tmp_path):
    def open_host(name: str, settings: object, tell: object) -> None:
        raise DeviceError("device_lost", "There is no cuda here.")

    serve_with(monkeypatch, serve=None, open_host=open_host, home=tmp_path)
    with pytest.raises(SystemExit, match=r"^There is no cuda here\.\n显卡停止响应"):
        start_with("--device", "cuda")


def test_a_data_folder_that_cannot_be_is_said_in_both_languages(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    serve_with(monkeypatch, serve=None, open_host=None, home=tmp_path / "file" / "data")
    with pytest.raises(SystemExit, match=r"cannot be made \(file exists\); name another one(.|\n)*无法创建"):
        start_with()


def test_no_library_looks_up_another_machine_and_what_the_owner_allows_is_kept_apart(monkeypatch):
    names = ("GRADIO_ANALYTICS_ENABLED", "HF_HUB_OFFLINE", "FUSION_STUDIO_OFFLINE", "HF_HUB_DISABLE_TELEMETRY")
    for name in names:
        monkeypatch.setenv(name, "before")  # so that it is put back
        monkeypatch.delenv(name)
    stay_offline()
    stay_offline()  # a second time, as by the page's own start, changes nothing
    assert [os.environ[name] for name in names] == ["False", "1", "0", "1"]


def test_a_model_on_its_way_is_one_line_in_a_terminal_and_nothing_elsewhere(monkeypatch, capsys):
    tell_download("a/whisper", Progress("fetching", 1e6, 2e6, "bytes"))
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    tell_download("a/whisper", Progress("fetching", 1e6, 2e6, "bytes"))
    tell_download("a/whisper", Progress("fetching", 2e6, 2e6, "bytes"))
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert said.endswith("a/whisper: fetching 2 of 2 MB\n")


# --- which models answer ---


@pytest.fixture
def models(monkeypatch, tmp_path) -> list[Any]:
    """Holds the host that was served. Every name opens but "down", and the page kept its choices in `tmp_path`."""
    served: list[Any] = []

    def open_host(name: str, settings: object, tell: object) -> FakeHost:
        if name == "down":
            raise RequestError("test", "The server does not answer.")
        host = FakeHost(source=name)
        host.settings = settings
        return host

    serve_with(monkeypatch, lambda host, **_: served.append(host), open_host, tmp_path)
    monkeypatch.setattr(cli, "free_port", lambda host, port: port)
    return served


def test_each_task_may_have_a_model_of_its_own(models):
    start_with("--model", "builtin", "--model", "transcribe=a/whisper")
    assert models[0].routes == {"": "builtin", "transcribe": "a/whisper"}


def test_a_task_that_is_unknown_is_said(models):
    with pytest.raises(SystemExit, match=r"No task is called 'transcibe'.*did you mean transcribe"):
        start_with("--model", "transcibe=a/whisper")


def test_what_was_chosen_on_the_page_answers_again(models, tmp_path):
    write_routes(tmp_path / "models.json", {"": Route("big"), "caption": Route("big"), "search": Route("builtin")})
    start_with()
    (router,) = models
    assert router.routes == {"": "big", "caption": "big", "search": "builtin"}
    assert len(router.hosts()) == 2
    assert not any(host.closed for host in router.hosts())


def test_what_the_command_line_says_counts_before_what_the_page_kept(models, tmp_path):
    write_routes(tmp_path / "models.json", {"ask": Route("down")})
    start_with("--model", "builtin")
    assert models[0].routes == {"": "builtin"}


@pytest.mark.parametrize("task", ["ask", ""])
def test_a_kept_model_that_cannot_be_had_now_does_not_stop_the_start(models, tmp_path, task, capsys):
    kept = {task: Route("down", "int8"), "translate": Route("down", "int8"), "caption": Route("a/picture")}
    write_routes(tmp_path / "models.json", kept)
    start_with()
    (router,) = models
    assert {router.routes[""], router.routes.get(task)} == {"builtin"}
    assert router.routes["caption"] == "a/picture"
    assert not any(host.closed for host in router.hosts())
    said = capsys.readouterr().out
    assert said.count("down is left out this time, the built-in model answers for it: The server does not answer.") == 1
    assert "这次没有 down，由内置模型代替：" in said
    assert router.kept == {"": Route("builtin"), **kept}, "the next start tries again"


def test_a_kept_model_is_opened_in_the_format_it_was_chosen_in(models, tmp_path):
    kept = {"": Route("builtin", "bfloat16"), "ask": Route("a/chat", "int8", 600.0), "caption": Route("a/picture")}
    write_routes(tmp_path / "models.json", kept)
    start_with("--device", "cpu")
    (router,) = models
    how = {host.info.source: host.settings for host in router.hosts()}
    assert how["a/chat"] == Settings(device="cpu", dtype="int8", idle_s=600.0)
    assert how["a/picture"] == Settings(device="cpu")
    assert how["builtin"].dtype == "bfloat16"
    assert router.kept == kept


def test_choices_that_are_damaged_are_one_sentence_and_the_start_goes_on(models, tmp_path, capsys):
    (tmp_path / "models.json").write_text("{")
    start_with()
    assert models[0].routes == {"": "builtin"}
    assert "models.json is damaged" in capsys.readouterr().out


# --- the port -----------------------------------------------------------------------------------------------------


def test_a_port_in_use_is_passed_over_for_the_next_and_this_is_said(busy_port, capsys):
    taken = cli.free_port("127.0.0.1", busy_port)
    assert taken > busy_port
    assert f"Port {busy_port} is in use; taking {taken}." in capsys.readouterr().out


def test_a_free_port_is_taken_without_a_word(capsys):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert cli.free_port("127.0.0.1", port) == port
    assert capsys.readouterr().out == ""


def refuse_to_bind(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    class Socket:
        def __init__(self, family: int) -> None: ...
        def __enter__(self) -> Socket:
            return self

        def __exit__(self, *_: object) -> None: ...
        def setsockopt(self, *_: object) -> None: ...
        def bind(self, address: object) -> None:
            raise OSError(code, os.strerror(code))

    monkeypatch.setattr(socket, "socket", Socket)


@pytest.mark.parametrize(
    ("code", "port", "sentence"),
    [
        (errno.EACCES, 80, "Port 80 is reserved by this system; choose one above 1023"),
        (errno.EADDRNOTAVAIL, 7860, "This machine has no address 1.2.3.4; start without --host"),
        (errno.EADDRINUSE, 7860, "No port from 7860 on is free"),
        (errno.EACCES, 7860, "No port from 7860 on is free"),
        (errno.EADDRINUSE, 65530, "No port from 65530 on is free"),
    ],
)
def test_a_port_that_cannot_be_had_is_one_sentence(code, port, sentence, monkeypatch):
    refuse_to_bind(monkeypatch, code)
    with pytest.raises(RequestError, match=sentence):
        cli.free_port("1.2.3.4", port)


def test_a_name_that_is_no_address_is_one_sentence(monkeypatch):
    refuse_to_bind(monkeypatch, socket.EAI_NONAME)
    with pytest.raises(RequestError, match="This machine has no address nowhere"):
        cli.free_port("nowhere", 7860)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="no SIGINT there")
def test_ctrl_c_ends_a_studio_that_is_at_work(tmp_path):
    with wave.open(str(tmp_path / "long.wav"), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        noise = np.random.default_rng(0).integers(-9_000, 9_000, 16_000 * 600).astype("<i2")
        file.writeframes((noise * (np.arange(len(noise)) % 4_000 < 2_000)).astype("<i2").tobytes())
    port = cli.free_port("127.0.0.1", 17_860)
    environment = os.environ | {
        "FUSION_STUDIO_HOME": str(tmp_path / "home"),
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    command = [sys.executable, "-m", "studio", "serve", "--port", str(port), "--no-browser"]
    program = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert program.stdout is not None
        while " is at " not in (line := program.stdout.readline()):
            assert line, "it ended before it served"
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            sent = client.post("/gradio_api/upload", files={"files": ("a.wav", (tmp_path / "long.wav").read_bytes())})
            asked = {"file": {"path": sent.json()[0], "meta": {"_type": "gradio.FileData"}}}
            called = client.post("/gradio_api/call/v2/transcribe", json=asked).json()["event_id"]
            with client.stream("GET", f"/gradio_api/call/transcribe/{called}") as said:
                next(said.iter_lines())  # it is at work
                program.send_signal(signal.SIGINT)
                rest = program.communicate(timeout=60)[0]
    finally:
        program.kill()
    assert program.returncode in (0, 130) and "stopped" in rest and "terminate" not in rest
