"""A checkpoint as a host: told before it is loaded, stopped, moved, put to rest and woken, closed."""

from __future__ import annotations

import gc
import threading
import weakref
from dataclasses import replace
from typing import Any

import psutil
import pytest
import torch

from engines.device import Choice
from engines.errors import DeviceError, Message, RequestError
from engines.hosts import pretrained
from engines.hosts.pretrained import chat, checkpoint
from engines.protocol import CaptionRequest, Host, TranscribeRequest, run
from tests.conftest import SAMPLES
from tests.engines.hosts.pretrained.conftest import SETTINGS, WHISPER, with_whisper

WAIT_S = 20.0


def test_a_checkpoint_is_told_without_being_loaded(built, monkeypatch):
    monkeypatch.setattr(pretrained.chat, "tasks", lambda *_: pytest.fail("loaded"))
    info = pretrained.describe(built("omni"), "some/omni", SETTINGS)
    assert info.name == "some/omni" and info.source == "some/omni" and info.takes == {"picture", "sound"}
    assert info.memory_bytes == 4 * info.n_parameters > 0 and info.dtype == "float32" and info.device == "cpu"


def test_what_is_told_before_is_what_the_host_says(built, opened):
    host = opened("omni")
    assert isinstance(host, Host)
    assert host.info == pretrained.describe(built("omni"), str(built("omni")), SETTINGS)


def test_rest_gives_the_weights_back_and_the_next_request_brings_them(opened, sound):
    host = opened("whisper")
    before = run(host, TranscribeRequest(media=sound))
    weights = weakref.ref(next(iter(host._loaded.tasks.values())))
    host.rest()
    gc.collect()
    assert host._loaded is None and weights() is None
    again: Any = run(host, TranscribeRequest(media=sound))
    assert host._loaded is not None and again.segments == before.segments


@with_whisper
@pytest.mark.parametrize("end", ["rest", "close"])
def test_real_whisper_gives_back_what_its_weights_took(end):
    process = psutil.Process()
    host = pretrained.load(WHISPER, str(WHISPER), settings=SETTINGS)
    run(host, TranscribeRequest(media=SAMPLES / "all-busy.mp3"))
    in_use = process.memory_info().rss
    getattr(host, end)()
    assert in_use - process.memory_info().rss > 0.9 * host.info.memory_bytes > 250e6
    host.close()


def test_an_idle_model_goes_to_rest_by_itself_but_not_while_it_works(opened, sound, monkeypatch):
    rested = threading.Event()
    rest = pretrained.PretrainedHost.rest

    def seen(self: Any) -> None:
        rest(self)
        if self._loaded is None:
            rested.set()

    monkeypatch.setattr(pretrained.PretrainedHost, "rest", seen)
    host = opened("whisper", replace(SETTINGS, idle_s=0.05))
    working = host.stream(TranscribeRequest(media=sound))
    next(working)
    rested.clear()
    host._loaded.last_used_s = -1e9
    assert not rested.wait(0.3) and host._loaded is not None
    working.close()
    assert rested.wait(WAIT_S)
    assert run(host, TranscribeRequest(media=sound)).done


def test_a_closed_host_moves_nowhere(opened):
    host = opened("whisper")
    host.close()
    with pytest.raises(RequestError, match=r"^This model was closed"):
        host.move("cpu")


def test_a_move_to_what_is_not_there_leaves_it_where_it_was(opened, sound):
    host = opened("whisper")
    with pytest.raises(DeviceError, match="There is no cuda:99 here"):
        host.move("cuda:99")
    assert host.info.device == "cpu" and run(host, TranscribeRequest(media=sound)).done


def test_a_move_loads_it_anew_and_waits_for_nobody_at_work(opened, sound, monkeypatch):
    host = opened("whisper")
    working = host.stream(TranscribeRequest(media=sound))
    next(working)
    with pytest.raises(DeviceError, match=r"^whisper is at work; stop it, or wait, and choose the device again"):
        host.move("cpu")
    working.close()
    chosen = Choice("cpu", "bfloat16", Message("test", "asked for"))
    monkeypatch.setattr(checkpoint.devices, "choose", lambda *_: chosen)
    host.move("cpu")
    assert host.info.dtype == "bfloat16" and host.info.memory_bytes == 2 * host.info.n_parameters
    assert run(host, TranscribeRequest(media=sound)).done


def test_memory_that_runs_out_is_one_sentence_and_the_host_goes_on(opened, photo, monkeypatch):
    host = opened("omni")

    def full(*_: Any, **__: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    with monkeypatch.context() as patch:
        patch.setattr(chat.Chat, "_inputs", full)
        with pytest.raises(DeviceError, match="memory"):
            run(host, CaptionRequest(media=photo))
    assert run(host, CaptionRequest(media=photo)).done
