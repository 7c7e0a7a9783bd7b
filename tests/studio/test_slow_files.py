"""A file that is slow or impossible to decode holds up whoever sent it, and nobody else."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from engines import media
from engines.media import child
from scripts.hostile_files import gif, png
from studio.server import start


def end_idle() -> None:
    while child._idle:
        child._idle.pop().end()


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 300  # a guard against a hang
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def clients(tiny_host, tmp_path, monkeypatch) -> Iterator[tuple[Client, Client]]:
    """Two visitors of a studio over a real model, whose decoding processes are new."""
    end_idle()
    monkeypatch.setattr(child, "PATIENCE_S", 600)  # a busy machine may take long to answer the others
    with start(tiny_host, home=tmp_path / "home", devices=("cpu",), mcp=False) as served:
        yield Client(served.url, verbose=False), Client(served.url, verbose=False)
    end_idle()


@pytest.mark.skipif(os.name == "nt", reason="no SIGSTOP there")
@pytest.mark.parametrize("task", ["/caption", "/transcribe"])
def test_while_a_file_is_decoded_others_are_answered_and_a_stop_ends_its_process(
    task, clients, photo_file, clip_file, sound_file
):
    stranger, other = clients
    media.probe(photo_file)
    (first,) = child._idle
    first.process.send_signal(signal.SIGSTOP)  # a decoder that takes for ever
    slow = stranger.submit(handle_file(clip_file if task == "/caption" else sound_file), api_name=task)
    wait_until(lambda: first not in child._idle)
    assert other.predict(handle_file(photo_file), api_name="/caption")["end"] in ("finished", "empty")
    assert other.predict("A dog runs.", api_name="/translate")["end"] == "finished"
    assert not slow.done() and first.process.poll() is None, "the stranger waits alone"
    slow.cancel()
    assert first.process.wait(300) == -signal.SIGKILL
    assert other.predict(handle_file(photo_file), api_name="/caption")["end"] in ("finished", "empty")


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="no SIGSTOP there")
@pytest.mark.parametrize(
    ("name", "data"),
    [("freeze.gif", gif(9_000, 9_000, 16)), ("long.gif", gif(1, 1, 300_000)), ("heavy.png", png(3_000, 3_000, 40))],
)
def test_others_are_answered_while_a_hostile_animation_is_read_and_it_ends_in_a_result_or_a_sentence(
    name, data, clients, photo_file, tmp_path
):
    stranger, other = clients
    hostile = Path(tmp_path, name)
    hostile.write_bytes(data)
    media.probe(photo_file)
    (first,) = child._idle
    first.process.send_signal(signal.SIGSTOP)  # the hostile file is not ready before the others are
    slow = stranger.submit(handle_file(hostile), api_name="/caption")
    wait_until(lambda: first not in child._idle)
    assert other.predict(handle_file(photo_file), api_name="/caption")["end"] in ("finished", "empty")
    assert not slow.done(), "the stranger's file is still being read"
    first.process.send_signal(signal.SIGCONT)
    try:
        assert slow.result(timeout=300)["end"] in ("finished", "empty", "cut")
    except AppError as error:
        assert str(error).startswith(name)
