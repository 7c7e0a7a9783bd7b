"""A model behind an address: found out by asking, asked by the protocol, told like any other host."""

from __future__ import annotations

import base64
import io
import threading
import wave
from collections.abc import Iterator
from contextlib import closing

import numpy as np
import pytest
from PIL import Image

from engines.errors import AbilityError, DeviceError, RequestError
from engines.hosts import remote as module
from engines.hosts.remote import RemoteHost, chunk_transcript, load
from engines.protocol import (
    LANGUAGES,
    RATE_HZ,
    AskRequest,
    Cancel,
    CaptionRequest,
    Photo,
    Segment,
    Sound,
    TranscribeRequest,
    TranslateRequest,
    run,
)
from engines.settings import Settings
from tests.conftest import tone
from tests.scripted_server import (
    CHAT,
    MODELS,
    SPEECH,
    TEXT,
    WAIT_S,
    ScriptedServer,
    chat,
    record,
    served,
    silent_after,
    status,
)

QUIET = Settings(timeout_s=WAIT_S)
HELLO = TranslateRequest(text="Good morning, world.", source="en", target="de")


@pytest.fixture
def script() -> Iterator[ScriptedServer]:
    yield from served()


@pytest.fixture
def host(script) -> Iterator[RemoteHost]:
    host = load(script.url, settings=QUIET)
    script.requests.clear()
    yield host
    host.close()


def opened(script: ScriptedServer, name: str = "") -> RemoteHost:
    """A host that was opened and closed, to see what it found."""
    host = load(script.url + name, settings=QUIET)
    host.close()
    return host


# --- opening ------------------------------------------------------------------------------------------------------


def test_the_only_model_is_taken_and_told(script):
    info = opened(script).info
    assert info.name == "tiny" and info.source == script.url and info.device == "remote"
    assert info.device_reason.en == "its server chooses" and script.place not in info.name + info.device_reason.zh
    assert (info.n_parameters, info.memory_bytes, info.licence) == (0, 0, "")
    assert info.model_digest == opened(script, "#tiny").info.model_digest != opened(script, "#other").info.model_digest


def test_a_model_is_chosen_by_its_name_without_asking_for_others(script):
    script.script(MODELS, status(500))
    host = opened(script, "#/home/me/models/tiny")
    assert host.info.name == "tiny" and host.info.source.endswith("/v1#/home/me/models/tiny")
    assert {asked.body["model"] for asked in script.asked(CHAT)} == {"/home/me/models/tiny"}


@pytest.mark.parametrize("code", [404, 500])
def test_a_server_that_lists_nothing_needs_a_name(script, code, monkeypatch):
    monkeypatch.setattr("engines.hosts.openai_client.BACK_OFF_S", 0.001)
    script.script(MODELS, status(code))
    with pytest.raises(RequestError, match="does not tell its models; add #name to the address"):
        load(script.url, settings=QUIET)


def test_several_models_need_a_name_and_some_are_listed():
    with (
        ScriptedServer(models=[f"model-{n}" for n in range(7)]) as script,
        pytest.raises(
            RequestError, match=r"has 7 models; add one to the address as #name: model-0, .*model-4, \.\.\.\."
        ),
    ):
        load(script.url, settings=QUIET)


@pytest.mark.parametrize("url", ["ftp://host/v1", "http://", "http://[::1", "http://host:port/v1", "host:8000"])
def test_what_is_no_web_address_is_told(url):
    with pytest.raises(RequestError, match="looks like http://localhost:8000/v1, with #model after it"):
        load(url, settings=QUIET)


@pytest.mark.parametrize("url", ["http://me:pw@host/v1", "https://host/v1?key=sk-secret-7"])
def test_secrets_do_not_belong_into_the_address(url):
    with pytest.raises(RequestError, match="Leave passwords and keys out of the address; put the key into") as refused:
        load(url, settings=QUIET)
    assert "pw@" not in refused.value.en and "sk-" not in refused.value.en


def test_the_key_comes_from_the_settings_or_the_environment_and_is_not_told(monkeypatch):
    with ScriptedServer(key="sk-secret-7") as script:
        monkeypatch.setenv(module.KEY, "sk-secret-7\n")
        host = opened(script)
        assert "sk-secret-7" not in repr(host.info) and script.requests[-1].headers["authorization"]
        monkeypatch.delenv(module.KEY)
        load(script.url, settings=Settings(api_key="sk-secret-7")).close()
        with pytest.raises(RequestError, match="refuses the key; set FUSION_STUDIO_API_KEY"):
            load(script.url, settings=Settings(api_key="wrong"))
        with pytest.raises(RequestError, match="The key holds letters no key has"):
            load(script.url, settings=Settings(api_key="schlüssel"))


# --- what it can do -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("server", "takes"),
    [
        ({"modalities": ()}, set()),
        ({"modalities": (), "ignores_media": True}, set()),  # it drops pictures before the model reads them
        ({"modalities": ["picture"]}, {"picture"}),
        ({"modalities": ["sound"]}, {"sound"}),
    ],
)
def test_each_modality_is_found_by_itself_and_a_model_of_text_alone_translates(server, takes):
    with ScriptedServer(forms=(), **server) as script:
        info = opened(script).info
    assert info.takes == takes
    assert all(info.serves(TranslateRequest, f"{a}-{b}") for a in LANGUAGES for b in LANGUAGES if a != b)
    assert info.serves(CaptionRequest, "fr") == info.serves(AskRequest, "zh") == bool(takes)
    assert info.serves(TranscribeRequest, "de") == info.serves(TranscribeRequest, "de-en") == ("sound" in takes)


def test_a_server_that_does_not_count_is_not_believed(script):
    script.script(CHAT, record({"choices": [{"index": 0, "message": {"role": "assistant", "content": "Yes"}}]}))
    assert opened(script).info.takes == frozenset()


def test_what_llama_cpp_tells_of_its_model_is_believed(script):
    script.script("/props", record({"modalities": {"vision": True, "audio": False}}))
    assert opened(script).info.takes == {"picture"}
    assert all(asked.modalities == set() for asked in script.asked(CHAT))


def test_a_server_that_only_writes_transcripts_does_so(script):
    script.script(CHAT, status(404))
    host = load(script.url, settings=QUIET)
    assert {ability.request for ability in host.info.abilities} == {TranscribeRequest}
    assert not host.info.serves(TranscribeRequest, "de-en") and host.info.takes == {"sound"}
    assert run(host, TranscribeRequest(media=Sound(tone(1.0)))).end == "finished"
    with pytest.raises(AbilityError, match="does not translate; transcribe without, or choose another model"):
        host.stream(TranscribeRequest(media=Sound(tone(1.0)), translate_to="en"))
    host.close()


def test_a_server_that_does_nothing_for_us_says_why():
    with ScriptedServer(forms=()) as script:
        script.script(CHAT, status(404))
        with pytest.raises(RequestError, match="knows no model 'tiny'"):
            load(script.url, settings=QUIET)


# --- answers ------------------------------------------------------------------------------------------------------


def test_a_server_chooses_its_device_itself(host):
    with pytest.raises(DeviceError, match="runs on a server, which chooses its own device; set it there"):
        host.move("cuda")


def test_a_translation_grows(host, script):
    *growing, last = host.stream(HELLO)
    assert last.end == "finished" and last.text == TEXT and len(growing) > 2
    (asked,) = script.asked(CHAT)
    assert "from English to German" in asked.body["messages"][0]["content"] and asked.body["temperature"] == 0.0
    assert asked.body["max_tokens"] == 128 + len(HELLO.text)


def test_a_photo_travels_as_a_small_jpeg(host, script):
    large = Photo(np.full((1000, 2000, 3), (200, 40, 40), np.uint8))
    assert run(host, CaptionRequest(media=large, language="zh")).text == TEXT
    picture, text = script.asked(CHAT)[0].body["messages"][0]["content"]
    kind, _, data = picture["image_url"]["url"].partition(",")
    image = Image.open(io.BytesIO(base64.b64decode(data)))
    assert kind == "data:image/jpeg;base64" and image.size == (768, 384) and "in Chinese" in text["text"]


def test_a_clip_travels_as_frames_with_their_times_and_its_sound(host, script, clip):
    asked = AskRequest(media=clip, question="What barks?", history=(("Who?", "A dog."),))
    last = run(host, asked)
    assert last.text == TEXT and not last.silent
    first, answer, question = script.asked(CHAT)[0].body["messages"]
    assert [part["type"] for part in first["content"]] == ["image_url"] * 4 + ["input_audio", "text"]
    assert "0.2, 0.8, 1.2, 1.8 seconds" in first["content"][-1]["text"]
    assert answer == {"role": "assistant", "content": "A dog."} and "What barks?" in question["content"]
    sound = first["content"][4]["input_audio"]
    with wave.open(io.BytesIO(base64.b64decode(sound["data"]))) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (RATE_HZ, 1, 2)
        assert sound["format"] == "wav" and file.getnframes() == 2 * RATE_HZ


@pytest.mark.parametrize("kind", [CaptionRequest, AskRequest, TranscribeRequest])
def test_of_a_silent_sound_nothing_is_asked(host, script, kind):
    more = {"question": "What?"} if kind is AskRequest else {}
    assert run(host, kind(media=Sound(np.zeros(RATE_HZ, np.float32)), **more)).end == "empty"
    assert script.requests == []


def test_an_answer_of_nothing_has_no_text(host, script):
    script.script(CHAT, chat(" ", "\n"))
    assert run(host, HELLO).text == ""


def test_an_answer_that_reaches_its_limit_is_said_to_break_off(host, script, photo):
    requests = (CaptionRequest(media=photo), AskRequest(media=photo, question="What?"), HELLO)
    script.script(CHAT, chat(end="length"), chat(end="length"), chat())
    assert [run(host, request).end for request in requests] == ["cut", "cut", "finished"]


# --- transcripts --------------------------------------------------------------------------------------------------


def test_a_transcript_has_the_servers_times_and_language(host, script):
    last = run(host, TranscribeRequest(media=Sound(tone(2.0))))
    assert last.language == "de" and last.text == "Guten Morgen, Welt."
    assert [(s.start_s, s.end_s) for s in last.segments] == [(0.1, 0.6), (0.6, 1.2)]
    assert len(script.asked(SPEECH)) == 1 and script.asked(CHAT) == []


def test_speech_is_translated_segment_by_segment(host, script):
    script.script(CHAT, chat("Good morning,"), chat("world."))
    last = run(host, TranscribeRequest(media=Sound(tone(2.0)), translate_to="en"))
    assert last.translation == "Good morning, world."
    assert "from German to English" in script.asked(CHAT)[0].body["messages"][0]["content"]


def test_a_plain_transcript_lies_over_its_stretch():
    with ScriptedServer(modalities=(), forms=["json"]) as script:
        with closing(load(script.url, settings=QUIET)) as host:
            last = run(host, TranscribeRequest(media=Sound(tone(2.0)), translate_to="fr"))
        assert last.segments == (Segment(0.0, 2.0, TEXT, (), TEXT),) and last.language == ""
        assert "Translate to French" in script.asked(CHAT)[-1].body["messages"][0]["content"]


def test_a_chat_model_that_hears_is_dictated_to():
    with ScriptedServer(modalities=["sound"], forms=()) as script:
        with closing(load(script.url, settings=QUIET)) as host:
            *growing, last = host.stream(TranscribeRequest(media=Sound(tone(2.0)), language="de"))
        assert last.text == TEXT and len(growing) > 3
        assert "The language is German" in script.asked(CHAT)[-1].body["messages"][0]["content"][1]["text"]


@pytest.mark.parametrize(
    ("record", "segments", "language"),
    [
        ({"text": " Hi. ", "language": "en"}, [(0.0, 2.0, "Hi.")], "en"),
        ({"text": "Hi.", "language": "Chinese", "segments": []}, [(0.0, 2.0, "Hi.")], "zh"),
        ({"text": "Hi.", "language": "sw", "segments": [{"text": "Hi."}]}, [(0.0, 2.0, "Hi.")], ""),
        ({"text": "Hi.", "segments": [{"start": -1, "end": 9, "text": " Hi."}]}, [(0.0, 2.0, "Hi.")], ""),
        ({"text": "Hi.", "segments": [{"start": 1, "end": 0.5, "text": "Hi."}]}, [(1.0, 1.0, "Hi.")], ""),
    ],
)
def test_a_servers_record_becomes_segments_inside_the_stretch(record, segments, language):
    found = chunk_transcript(record, 2.0)
    assert [(s.start_s, s.end_s, s.text) for s in found.segments] == segments and found.language == language


# --- stopping -----------------------------------------------------------------------------------------------------


def test_a_stop_keeps_what_was_said_and_frees_the_server(host, script):
    script.script(CHAT, silent_after("Guten"))
    cancel = Cancel()
    results = []
    for result in host.stream(HELLO, cancel):
        results.append(result)
        if result.text:
            threading.Timer(0.02, cancel.set).start()
    assert results[-1].end == "cancelled" and results[-1].text == "Guten" and script.hung_up.wait(WAIT_S)
