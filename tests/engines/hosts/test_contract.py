"""What every host keeps, whatever is behind it: the built-in model, a script, a transformers checkpoint, a server.

A new kind of host is one more factory in HOSTS: a context that gives a host on something tiny.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest

from engines.errors import AbilityError, DeviceError, RequestError
from engines.protocol import (
    LANGUAGES,
    RATE_HZ,
    Ability,
    AskRequest,
    Cancel,
    CaptionRequest,
    EmbedRequest,
    Host,
    IndexRequest,
    MapRequest,
    Request,
    Result,
    SearchRequest,
    Sound,
    TranscribeRequest,
    TranslateRequest,
    run,
)
from engines.report import to_json
from engines.settings import Settings
from tests.conftest import tone
from tests.fake_host import EVERYTHING, FakeHost
from tests.loopback_app import loopback
from tests.scripted_server import ScriptedServer

WAIT_S = 60.0
ENDS = ("finished", "cut", "empty")
"""How a stream may end that nobody stopped; models of random weights write until they may not."""
KINDS = (
    CaptionRequest, TranscribeRequest, TranslateRequest, AskRequest, EmbedRequest, IndexRequest, SearchRequest,
    MapRequest,
)  # fmt: skip


# --- hosts --------------------------------------------------------------------------------------------------------


def built_in() -> AbstractContextManager[Host]:
    from engines.hosts.builtin import BuiltinHost
    from engines.model import checkpoint

    return closing(BuiltinHost(checkpoint.tiny(), cache_bytes=2**20))


def fake(abilities: frozenset[Ability] = EVERYTHING) -> AbstractContextManager[Host]:
    return closing(FakeHost(abilities=abilities))


@contextmanager
def remote(**abilities: Any) -> Iterator[Host]:
    from engines.hosts import remote

    with (
        ScriptedServer(**abilities) as server,
        closing(remote.load(server.url, settings=Settings(timeout_s=WAIT_S))) as host,
    ):
        yield host


@contextmanager
def remote_on_our_own_server() -> Iterator[Host]:
    """The built-in model behind our OpenAI-compatible server, opened as a server's model."""
    from engines.hosts import remote
    from engines.hosts.api_server import standalone

    with (
        built_in() as host,
        loopback(standalone(host)) as url,
        closing(remote.load(f"{url}/v1", settings=Settings(timeout_s=WAIT_S))) as client,
    ):
        yield client


@contextmanager
def pretrained(name: str) -> Iterator[Host]:
    """A tiny random transformers checkpoint."""
    from engines.hosts.pretrained import chat, load, speech
    from tests.tiny_models import BUILT

    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(speech, "N_NEW", 20)  # of weights that have learnt nothing any number of tokens is as good
        patch.setattr(chat, "N_NEW", dict.fromkeys(chat.N_NEW, 12))
        made = BUILT[name](Path(folder) / name)
        with closing(load(made, str(made), settings=Settings(device="cpu", dtype="float32", n_threads=1))) as host:
            yield host


HOSTS: dict[str, Callable[[], AbstractContextManager[Host]]] = {
    "built-in": built_in,
    "fake": fake,
    "fake that only translates": partial(fake, frozenset(a for a in EVERYTHING if a.request is TranslateRequest)),
    "remote": remote,
    "remote that only sees": partial(remote, modalities=["picture"], forms=()),
    "remote on our own server": remote_on_our_own_server,
    "pretrained that sees and hears": partial(pretrained, "omni"),
    "pretrained that only hears": partial(pretrained, "whisper"),
    "pretrained that only embeds": partial(pretrained, "siglip"),
}


@pytest.fixture(scope="module", params=HOSTS)
def host(request) -> Iterator[Host]:
    """A host that all tests share."""
    with HOSTS[request.param]() as host:
        yield host


@pytest.fixture(params=HOSTS)
def own_host(request) -> Iterator[Host]:
    """A host that a test may close."""
    with HOSTS[request.param]() as host:
        yield host


# --- requests -----------------------------------------------------------------------------------------------------


@pytest.fixture
def requests(photo, sound, clip, tmp_path) -> dict[type, Request]:
    """One request of every type."""
    return {
        CaptionRequest: CaptionRequest(media=photo),
        TranscribeRequest: TranscribeRequest(media=sound, language="en"),
        TranslateRequest: TranslateRequest(text="Good morning.", source="en", target="de"),
        AskRequest: AskRequest(media=clip, question="What is it?"),
        EmbedRequest: EmbedRequest(media=photo),
        IndexRequest: IndexRequest(folder=tmp_path, collection=tmp_path / "mine.db"),
        SearchRequest: SearchRequest(query="a red square", collection=tmp_path / "mine.db"),
        MapRequest: MapRequest(collection=tmp_path / "mine.db"),
    }


def served(host: Host, requests: dict[type, Request]) -> list[Request]:
    """What the host declares, in an order in which it can be asked: an index is made before it is searched."""
    return [requests[kind] for kind in KINDS if host.info.serves(kind)]


def quick(host: Host, requests: dict[type, Request]) -> Request:
    return requests[TranslateRequest] if host.info.serves(TranslateRequest) else served(host, requests)[0]


def lengthy(host: Host) -> Request:
    """One that cannot be answered by the time its first result is read."""
    if host.info.serves(TranslateRequest):
        return TranslateRequest(text="Good morning. " * 500, source="en", target="de")
    if host.info.serves(TranscribeRequest):
        return TranscribeRequest(media=Sound(tone(60.0)), language="en")
    pytest.skip("it answers nothing that takes long")


# --- what it declares ---------------------------------------------------------------------------------------------


def test_it_is_a_host_and_says_what_it_is(host):
    info = host.info
    assert isinstance(host, Host) and info.name and info.source and info.device and info.model_digest
    assert info.device_reason.en != info.device_reason.zh and "\n" not in info.device_reason.en
    assert info.n_parameters >= 0 and info.memory_bytes >= 0 and info.takes <= {"picture", "sound"}
    assert info.abilities


def test_its_abilities_name_requests_and_languages_there_are(host):
    pairs = {f"{source}-{target}" for source in LANGUAGES for target in LANGUAGES if source != target}
    for ability in host.info.abilities:
        known = pairs if ability.request is TranslateRequest else {"", *LANGUAGES, *pairs}
        assert ability.request in KINDS and ability.language in known
        assert host.info.serves(ability.request, ability.language)


# --- what it answers ----------------------------------------------------------------------------------------------


def test_what_it_declares_it_serves_and_every_result_is_signed(host, requests):
    asked = served(host, requests)
    assert asked
    for request in asked:
        results: list[Result] = [*host.stream(request)]
        *_, last = results
        assert [r.done for r in results] == [False] * (len(results) - 1) + [True]
        assert last.end in ENDS, type(request).__name__
        assert all(r.request is request and r.host == host.info.name for r in results)
        assert {r.model_digest for r in results} == {host.info.model_digest}
        assert [r.seconds for r in results] == sorted(r.seconds for r in results) and last.seconds > 0.0
        assert json.loads(json.dumps(to_json(last)))["end"] == last.end


def test_what_it_does_not_declare_it_refuses_at_once(host, requests):
    for kind, request in requests.items():
        if not host.info.serves(kind):
            with pytest.raises(AbilityError) as refused:
                host.stream(request)
            assert refused.value.en and refused.value.zh != refused.value.en


def test_the_same_question_has_the_same_answer(host, requests):
    first, second = (to_json(run(host, quick(host, requests))) for _ in range(2))
    assert {**first, "seconds": 0} == {**second, "seconds": 0}


def test_of_silence_there_is_nothing_to_write_down(host):
    if host.info.serves(TranscribeRequest) and not isinstance(host, FakeHost):
        assert run(host, TranscribeRequest(media=Sound(np.zeros(RATE_HZ, np.float32)))).end == "empty"


# --- how it is stopped --------------------------------------------------------------------------------------------


def test_a_stop_that_is_set_already_ends_with_cancelled(host, requests):
    for request in served(host, requests):
        cancel = Cancel()
        cancel.set()
        *_, last = host.stream(request, cancel)
        assert last.end == "cancelled" and last.request is request and last.host == host.info.name


def test_a_stop_under_way_ends_with_cancelled(host):
    cancel = Cancel()
    ends = []
    for result in host.stream(lengthy(host), cancel):
        ends.append(result.end)
        cancel.set()
    assert ends[-1] == "cancelled" and ends[:-1] == [None] * (len(ends) - 1)


def test_a_stop_stops_its_own_request_only(host, requests):
    stopped = Cancel()
    stopped.set()
    other = host.stream(quick(host, requests), Cancel())
    first = next(other)
    assert run(host, quick(host, requests), stopped).end == "cancelled"
    assert first.done or [*other][-1].end in ENDS


def test_a_reader_who_leaves_early_leaves_the_host_usable(host, requests):
    for request in served(host, requests):
        stream = host.stream(request)
        next(stream)
        stream.close()
        del stream
    assert run(host, quick(host, requests)).end in ENDS


def test_many_who_ask_at_once_each_get_their_own_answer(host, requests):
    asked = [replace(quick(host, requests)) for _ in range(3)]
    answers: dict[int, Result] = {}

    def ask(n: int) -> None:
        answers[n] = run(host, asked[n])

    threads = [threading.Thread(target=ask, args=(n,), daemon=True) for n in range(len(asked))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)
    assert all(answers[n].request is request for n, request in enumerate(asked))
    assert all(answer.end in ENDS for answer in answers.values())


# --- how it moves and closes --------------------------------------------------------------------------------------


def test_it_moves_or_says_why_not(host, requests):
    try:
        host.move("cpu")
    except DeviceError as error:
        assert error.en and error.zh != error.en
    assert run(host, quick(host, requests)).end in ENDS


def test_a_closed_host_says_so(own_host, requests):
    own_host.close()
    own_host.close()
    with pytest.raises(RequestError) as refused:
        run(own_host, quick(own_host, requests))
    assert refused.value.en.endswith("open it again.") and refused.value.zh != refused.value.en


def test_closing_ends_what_is_under_way(own_host):
    if isinstance(own_host, FakeHost):
        pytest.skip("a script has no work under way")
    stream = own_host.stream(lengthy(own_host))
    next(stream)
    own_host.close()
    *_, last = stream
    assert last.end == "cancelled"


def test_a_long_sound_is_heard_to_its_end(host):
    if not host.info.serves(TranscribeRequest, "en"):
        pytest.skip("it writes no transcripts")
    *partial, last = host.stream(TranscribeRequest(media=Sound(tone(20.0)), language="en"))
    assert last.end in ENDS and partial[0].progress is not None
