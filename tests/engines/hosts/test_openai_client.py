"""A request goes out as the protocol asks, is tried again where that helps, can be cut, and fails in one sentence."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator

import pytest

from engines.errors import Cancelled, RequestError
from engines.hosts import openai_client as module
from engines.hosts.openai_client import ChatMessage, Server, short
from engines.protocol import Cancel
from tests.scripted_server import (
    CHAT,
    MODELS,
    SPEECH,
    TEXT,
    WAIT_S,
    WORDS,
    ScriptedServer,
    chat,
    chunk,
    cut_after,
    events,
    hang_up,
    record,
    served,
    silent,
    silent_after,
    status,
)

HELLO: list[ChatMessage] = [{"role": "user", "content": "Hello."}]
SECRET = "sk-secret-7"


@pytest.fixture
def script() -> Iterator[ScriptedServer]:
    yield from served()


@pytest.fixture
def server(script, monkeypatch) -> Iterator[Server]:
    monkeypatch.setattr(module, "BACK_OFF_S", 0.001)
    server = Server(script.url, timeout_s=WAIT_S)
    yield server
    server.close()


def texts(server: Server, cancel: Cancel | None = None) -> Iterator[str]:
    return (written.text for written in server.chat("tiny", HELLO, max_tokens=7, cancel=cancel or Cancel()))


# --- what goes out and comes back ---------------------------------------------------------------------------------


def test_an_answer_grows_word_by_word(server, script):
    assert [*texts(server)] == ["".join(WORDS[: n + 1]) for n in range(len(WORDS))]
    (asked,) = script.asked(CHAT)
    assert asked.body == {
        "model": "tiny", "messages": HELLO, "max_tokens": 7, "temperature": 0.0, "stream": True,
    }  # fmt: skip


def test_what_a_model_thinks_aloud_first_is_left_out(server, script):
    script.script(CHAT, chat("<think>", "Ger", "man?", "</think>\n\n", "Guten", " Tag"))
    assert [text for text in texts(server) if text] == ["Guten", "Guten Tag"]


def test_events_without_text_are_passed_over(server, script):
    usage = '{"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}}'
    script.script(CHAT, events(chunk(), chunk("Hallo"), chunk(end="stop"), usage, "[DONE]"))
    assert [*texts(server)] == ["Hallo"]


def test_a_server_lists_its_models_and_counts_what_it_read(server):
    assert server.models() == ["tiny"]
    assert server.n_read("tiny", HELLO, limit_s=WAIT_S) == 10


def test_the_key_travels_and_nothing_of_the_environment_does(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-another")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-another")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Private: another")
    with ScriptedServer(key=SECRET) as script:
        server = Server(script.url, key=SECRET)
        assert [*texts(server)][-1] == TEXT
        server.close()
        server = Server(script.url)
        with pytest.raises(RequestError):
            server.models()
        server.close()
    with_key, without = script.requests
    assert with_key.headers["authorization"] == f"Bearer {SECRET}" and "authorization" not in without.headers
    assert "another" not in str([asked.headers for asked in script.requests])


def test_a_redirect_is_not_followed_so_the_key_stays_here(script):
    with ScriptedServer() as elsewhere:
        script.script(CHAT, status(307, Location=elsewhere.url + "/chat/completions"))
        server = Server(script.url, key=SECRET)
        with pytest.raises(RequestError, match="points to another address, which is not followed"):
            [*texts(server)]
        server.close()
        assert elsewhere.requests == []


def test_a_proxy_is_not_asked_for_a_server_on_this_machine(script, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://{_free_place()}")
    server = Server(script.url)
    assert server.models() == ["tiny"]
    server.close()


def test_a_transcript_is_asked_for_with_its_form_and_language(server, script):
    found = server.transcription("tiny", b"RIFF", language="de", form="verbose_json", cancel=Cancel())
    assert found["text"] == TEXT and found["language"] == "german" and len(found["segments"]) == 2
    form = script.asked(SPEECH)[0].body.decode()
    assert 'name="language"\r\n\r\nde' in form and 'filename="speech.wav"' in form and "RIFF" in form
    server.transcription("tiny", b"RIFF", language=None, form="json", cancel=Cancel())
    assert 'name="language"' not in script.asked(SPEECH)[1].body.decode()


# --- trying again -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [status(500), status(503), status(429), status(429, **{"Retry-After": "0"})])
def test_a_passing_fault_is_waited_out(server, script, fault):
    script.script(CHAT, fault, fault, chat())
    assert [*texts(server)][-1] == TEXT and len(script.asked(CHAT)) == 3


@pytest.mark.parametrize(
    ("fault", "n_tries"),
    [(status(500), 3), (status(400), 1), (status(401), 1), (status(404), 1), (status(429, **{"Retry-After": "99"}), 1)],
)
def test_three_tries_are_enough_and_one_where_waiting_mends_nothing(server, script, fault, n_tries):
    script.script(CHAT, fault)
    with pytest.raises(RequestError):
        [*texts(server)]
    assert len(script.asked(CHAT)) == n_tries


def test_nothing_is_asked_again_once_something_was_said(server, script):
    script.script(CHAT, cut_after("Guten"), chat())
    answer = texts(server)
    assert next(answer) == "Guten"
    with pytest.raises(RequestError, match="broke off in the middle of its answer; ask again"):
        next(answer)
    assert len(script.asked(CHAT)) == 1


def test_a_server_that_asks_for_patience_gets_it(server, script, monkeypatch):
    monkeypatch.setattr(module, "BACK_OFF_S", 0.0)
    error = _status_error(429, {"retry-after": "13"})
    assert module._worth_waiting_s(error, 1) == 13.0
    assert module._worth_waiting_s(_status_error(429, {"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}), 1) == 0.0
    assert module._worth_waiting_s(_status_error(429, {"retry-after": "21"}), 1) is None


def _status_error(code: int, headers: dict[str, str]) -> Exception:
    import httpx2
    import openai

    response = httpx2.Response(code, headers=headers, request=httpx2.Request("POST", "http://localhost/v1"))
    return openai.APIStatusError("no", response=response, body=None)


# --- stopping -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("quiet", [silent, silent_after("Guten")])
def test_a_stop_is_heard_while_the_server_is_silent_and_the_server_learns_of_it(server, script, quiet):
    script.script(CHAT, quiet)
    cancel = Cancel()
    threading.Thread(target=lambda: script.waits.wait(WAIT_S) and cancel.set()).start()
    with pytest.raises(Cancelled):
        [*texts(server, cancel)]
    assert script.hung_up.wait(WAIT_S)


def test_a_stop_ends_the_wait_for_another_try(server, script, monkeypatch):
    monkeypatch.setattr(module, "BACK_OFF_S", 3600.0)
    script.script(CHAT, status(500))
    cancel = Cancel()
    threading.Timer(0.05, cancel.set).start()
    with pytest.raises(Cancelled):
        [*texts(server, cancel)]


def test_closing_hangs_up_on_what_is_under_way(server, script):
    script.script(CHAT, silent_after("Guten"))
    answer = texts(server)
    next(answer)
    server.close()
    assert script.hung_up.wait(WAIT_S)
    with pytest.raises(Cancelled):
        next(answer)
    server.close()


# --- sentences ----------------------------------------------------------------------------------------------------

TOO_LONG = "This model's maximum context length is 4096 tokens. However, you requested 9000 tokens"


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (status(401, f"Incorrect key {SECRET}"), "refuses the key; set FUSION_STUDIO_API_KEY to one it knows."),
        (status(403), "refuses the key; set FUSION_STUDIO_API_KEY to one it knows."),
        (status(404), "knows no model 'tiny'; check the address, and the model's name after #."),
        (status(400, TOO_LONG), "This is too long for the model at"),
        (status(400, "At most 1 image(s) may be provided in one prompt."), "takes 1 pictures at a time, fewer than a"),
        (status(413), "This is too long for the model at"),
        (status(400, "bad"), r"refuses this request \(HTTP 400\); its own log says why."),
        (status(429), "has too many requests; wait a little and ask again."),
        (status(503), r"failed \(HTTP 503\); its own log says why."),
        (events('{"error": {"message": "CUDA error"}}'), r"failed \(HTTP 500\)"),
        (events('{"error": "input exceeds the context"}'), "This is too long for the model at"),
        (cut_after("Guten"), "broke off in the middle of its answer; ask again."),
        (events(chunk("Guten")), "broke off in the middle of its answer; ask again."),
        (hang_up, "broke off in the middle of its answer; ask again."),
        (events("not json"), "does not answer as an OpenAI-compatible server does; check the address"),
        (events("[1, 2]"), "does not answer as an OpenAI-compatible server does; check the address"),
        (events('{"choices": 3}'), "does not answer as an OpenAI-compatible server does; check the address"),
        (record({"choices": []}), "does not answer as an OpenAI-compatible server does; check the address"),
        (record(b"<html>Welcome</html>"), "does not answer as an OpenAI-compatible server does; check the address"),
    ],
)
def test_a_failure_is_one_sentence_without_the_key(script, monkeypatch, reply, said):
    monkeypatch.setattr(module, "BACK_OFF_S", 0.001)
    script.script(CHAT, reply)
    server = Server(script.url, key=SECRET)
    with pytest.raises(RequestError, match=said) as failed:
        [*texts(server)]
    server.close()
    assert script.place in failed.value.en and SECRET not in failed.value.en + failed.value.zh
    assert failed.value.zh != failed.value.en and failed.value.__cause__ is not None


@pytest.mark.parametrize(
    ("path", "ask"),
    [
        (MODELS, lambda server: server.models()),
        (CHAT, lambda server: server.n_read("tiny", HELLO, limit_s=WAIT_S)),
        (SPEECH, lambda server: server.transcription("tiny", b"", language=None, form="json", cancel=Cancel())),
    ],
)
@pytest.mark.parametrize("body", [[], {"odd": 1}, "text", b"<html>"])
def test_an_answer_of_another_shape_is_told_as_such(server, script, path, ask, body):
    script.script(path, record(body))
    with pytest.raises(RequestError, match="does not answer as an OpenAI-compatible server does"):
        ask(server)


def test_a_silent_server_is_left_after_the_time_limit(script):
    script.script(CHAT, silent)
    server = Server(script.url, timeout_s=0.1)
    with pytest.raises(RequestError, match=r"was silent for 0\.1 seconds; ask again, or give it more time"):
        [*texts(server)]
    server.close()
    assert script.hung_up.wait(WAIT_S)


def _free_place() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return f"127.0.0.1:{listening.getsockname()[1]}"


def test_an_address_where_nothing_listens_is_tried_again_and_told(monkeypatch):
    monkeypatch.setattr(module, "BACK_OFF_S", 0.001)
    place = _free_place()
    server = Server(f"http://{place}/v1")
    with pytest.raises(RequestError, match=f"No server answers at {place}; start it, or check the address"):
        server.models()
    server.close()


def test_a_name_that_nobody_knows_is_told(monkeypatch):
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    server = Server("http://nowhere.invalid/v1")
    with pytest.raises(RequestError, match=r"The network knows no nowhere\.invalid; check the name in the address"):
        server.models()
    server.close()


def test_a_server_that_speaks_no_https_is_told(script):
    server = Server(script.url.replace("http:", "https:"))
    with pytest.raises(RequestError, match="No secure connection to 127") as failed:
        server.models()
    server.close()
    assert any(isinstance(cause, ssl.SSLError) for cause in module._causes(failed.value))


def test_a_defect_of_ours_is_no_sentence(server, monkeypatch):
    monkeypatch.setattr(module, "_piece", lambda chunk: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        [*texts(server)]


@pytest.mark.parametrize(
    ("model", "shown"),
    [("Qwen/Qwen3-8B", "Qwen/Qwen3-8B"), ("/home/me/models/tiny/", "tiny"), ("./tiny", "tiny"), (r"C:\models\m", "m")],
)
def test_a_models_name_is_shown_without_the_folders_it_lies_in(model, shown):
    assert short(model) == shown
