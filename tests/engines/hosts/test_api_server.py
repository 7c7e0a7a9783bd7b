"""OpenAI's API over a host, as its official client and a plain HTTP client find it."""

from __future__ import annotations

import base64
import io
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import openai
import pytest
from PIL import Image

from engines.errors import MediaError
from engines.hosts import remote
from engines.hosts.api_server import same, standalone
from engines.protocol import (
    AskRequest,
    CaptionRequest,
    Clip,
    EmbedRequest,
    Host,
    TranscribeRequest,
    TranscribeResult,
    TranslateRequest,
    TranslateResult,
)
from tests.fake_host import ANSWERS, CAPTIONS, SPEECH, FakeHost, SilentHost
from tests.loopback_app import loopback


@contextmanager
def served(host: Host, **options: Any) -> Iterator[str]:
    """The address of the API over a host, on loopback."""
    with loopback(standalone(host, **options)) as url:
        yield f"{url}/v1"


@pytest.fixture(scope="module")
def host() -> FakeHost:
    return FakeHost()


@pytest.fixture(scope="module")
def address(host) -> Iterator[str]:
    with served(host) as address:
        yield address


@pytest.fixture
def client(address) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=address, api_key="none", max_retries=0) as client:
        yield client


def picture(colour: str = "red") -> dict[str, Any]:
    file = io.BytesIO()
    Image.new("RGB", (32, 24), colour).save(file, "PNG")
    data = base64.b64encode(file.getvalue()).decode()
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}


SOUND = remote.wav((0.1 * np.sin(np.arange(8_000) / 5)).astype(np.float32))


def sound() -> dict[str, Any]:
    return {"type": "input_audio", "input_audio": {"data": base64.b64encode(SOUND).decode(), "format": "wav"}}


def asked(client: openai.OpenAI, *content: dict[str, Any] | str, **more: Any) -> str:
    parts = [{"type": "text", "text": part} if isinstance(part, str) else part for part in content]
    messages: Any = [{"role": "user", "content": parts}]
    answer = client.chat.completions.create(model="any", messages=messages, **more)
    return str(answer.choices[0].message.content)


# --- speech ---


def test_a_transcript_comes_in_every_form(client):
    def transcript(form: Any, **more: Any) -> Any:
        return client.audio.transcriptions.create(
            model="whisper-1", file=("a.wav", SOUND), response_format=form, **more
        )

    text = " ".join(SPEECH["en"])
    assert transcript("json").text == text
    assert transcript("text") == text + "\n"
    assert "00:00:00,500 --> " in transcript("srt") and transcript("vtt").startswith("WEBVTT")
    whole = transcript("verbose_json", timestamp_granularities=["word", "segment"])
    assert (whole.text, whole.language, whole.duration) == (text, "english", 5.0)
    assert [segment.text for segment in whole.segments] == list(SPEECH["en"])
    assert (whole.words[0].word, whole.words[0].start) == ("Good", 0.5)


def test_the_language_asked_for_reaches_the_host_and_translations_are_english(client, host):
    client.audio.transcriptions.create(model="whisper-1", file=("a.wav", SOUND), language="de")
    heard = host.requests[-1]
    assert isinstance(heard, TranscribeRequest) and (heard.language, heard.translate_to) == ("de", None)
    english = client.audio.translations.create(model="whisper-1", file=("a.wav", SOUND))
    assert english.text == " ".join(SPEECH["en"])
    heard = host.requests[-1]
    assert isinstance(heard, TranscribeRequest) and heard.translate_to == "en"
    assert isinstance(heard.media, Path) and not heard.media.exists(), "the file is gone when the answer is sent"


def test_a_transcript_is_streamed_by_segments(client):
    events: Any = client.audio.transcriptions.create(model="whisper-1", file=("a.wav", SOUND), stream=True)
    *deltas, done = list(events)
    assert [event.type for event in deltas] == ["transcript.text.delta"] * 2
    assert "".join(event.delta for event in deltas) == done.text == " ".join(SPEECH["en"])


# --- chat ---


def test_a_question_about_a_picture_is_answered_in_its_language(client, host):
    assert asked(client, picture(), "What is to be heard?") == ANSWERS["en"]
    assert asked(client, picture(), "画面里有什么？") == ANSWERS["zh"]
    assert asked(client, "Describe this photo in one sentence, in German.", picture()) == CAPTIONS["de"]
    assert isinstance(host.requests[-1], CaptionRequest)
    assert asked(client, sound(), "Transcribe this.") == " ".join(SPEECH["en"])


def test_several_pictures_and_a_sound_are_one_clip(client, host):
    asked(client, picture("red"), picture("blue"), sound(), "What happens?")
    request = host.requests[-1]
    assert isinstance(request, AskRequest) and isinstance(request.media, Clip)
    assert len(request.media.frames) == 2 and request.media.sound is not None


def test_earlier_turns_are_the_history(client, host):
    messages: Any = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [picture(), {"type": "text", "text": "Who is there?"}]},
        {"role": "assistant", "content": "A dog."},
        {"role": "user", "content": "What does it do?"},
    ]
    client.chat.completions.create(model="any", messages=messages)
    request = host.requests[-1]
    assert isinstance(request, AskRequest)
    assert (request.question, request.history) == ("What does it do?", (("Who is there?", "A dog."),))


@pytest.mark.parametrize(
    ("stated", "times_s"),
    [
        ("1.5, 4", (1.5, 4.0)),
        ("1.5,4", (1.5, 4.0)),
        ("1..2,3", (0.0, 1.0)),
        ("9, 3", (0.0, 1.0)),
        ("3, 3", (0.0, 1.0)),
        ("1, 2, 3", (0.0, 1.0)),
    ],
)
def test_times_of_pictures_count_where_they_make_sense(client, host, stated, times_s):
    asked(
        client, picture("red"), picture("blue"), f"These are pictures of a clip, taken at {stated} seconds. What now?"
    )
    assert host.requests[-1].media.times_s == times_s


def test_turns_as_agents_send_them_are_read(address, host):
    """An answer without a content, as where a tool was called, one that refused, and a text that is null."""
    messages = [
        {"role": "user", "content": [picture(), {"type": "text", "text": None}]},
        {"role": "assistant", "content": None, "tool_calls": []},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
        {"role": "user", "content": "What is this?"},
    ]
    answer = httpx.post(f"{address}/chat/completions", json={"messages": messages})
    assert answer.status_code == 200, answer.text
    request = host.requests[-1]
    assert isinstance(request, AskRequest) and (request.question, request.history) == ("What is this?", ())


def test_text_alone_is_translated_or_told_what_can_be_asked(client, host):
    assert asked(client, "Translate to German: Good morning.") == SPEECH["de"][0]
    request = host.requests[-1]
    assert isinstance(request, TranslateRequest)
    assert (request.source, request.target, request.text) == ("en", "de", "Good morning.")
    assert "answers questions about photos" in asked(client, "Hello!")


def test_a_chat_is_streamed_and_ends_as_clients_expect(client):
    messages: Any = [{"role": "user", "content": [picture(), {"type": "text", "text": "What is it?"}]}]
    chunks = list(
        client.chat.completions.create(
            model="any", messages=messages, stream=True, stream_options={"include_usage": True}
        )
    )
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == ANSWERS["en"]
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].usage is not None and chunks[-1].usage.prompt_tokens > 0


def test_only_whole_sentences_are_streamed_since_beams_revise_the_last():
    def script(request: Any) -> Iterator[Any]:
        for text in ("Good", "God morning.", "Good morning. How", "Good morning. Who are", "Good morning. Who is it?"):
            yield TranslateResult(request=request, text=text)
        yield TranslateResult(request=request, text="Good morning. Who is it?", end="finished")

    body = {"messages": [{"role": "user", "content": "Translate from German to English: x"}], "stream": True}
    with served(FakeHost(scripts={TranslateRequest: script})) as address:
        lines = httpx.post(f"{address}/chat/completions", json=body).text.split("\n\n")
    assert lines[-2] == "data: [DONE]"
    choices = [json.loads(line[6:])["choices"][0]["delta"] for line in lines[:-2]]
    assert [choice["content"] for choice in choices if choice.get("content")] == ["Good morning. ", "Who is it?"]


# --- embeddings and models ---


def test_texts_and_media_are_embedded_in_both_encodings(client, host, address):
    vectors = client.embeddings.create(model="any", input=["a dog", picture()["image_url"]["url"]]).data
    assert [len(row.embedding) for row in vectors] == [256, 256] and vectors[1].index == 1
    kinds = [type(r.media) for r in host.requests[-2:] if isinstance(r, EmbedRequest)]
    assert kinds[0] is str and issubclass(kinds[1], Path)
    plain = httpx.post(f"{address}/embeddings", json={"input": "a dog", "encoding_format": "float"}).json()
    assert plain["data"][0]["embedding"][0] == 1.0


def test_the_model_is_listed(client):
    assert [model.id for model in client.models.list()] == ["fake"]
    assert client.models.retrieve("fake").owned_by == "fusion-studio"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-5")


# --- what is refused ---


@pytest.mark.parametrize(
    ("path", "body", "sentence"),
    [
        ("chat/completions", {"messages": []}, "at least one message"),
        ("chat/completions", {"messages": [{"role": "user", "content": [{"type": "file"}]}]}, "is not read"),
        (
            "chat/completions",
            {
                "messages": [
                    {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://x/a.png"}}]}
                ]
            },
            "no address is fetched",
        ),
        ("chat/completions", {"messages": [{"role": "user", "content": "x"}], "n": 2}, "One answer"),
        (
            "chat/completions",
            {"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": None}]}]},
            "base64 data of a part are damaged",
        ),
        ("embeddings", {"input": []}, "list of 1 to"),
        ("embeddings", {"input": [1, 2, 3]}, "token ids are not read"),
        ("embeddings", {"input": " "}, "Type something to embed first."),
        ("embeddings", {"input": "a", "dimensions": 12}, "256 dimensions"),
        ("embeddings", {"input": "a", "against": "smell"}, "one of photo, sound"),
    ],
)
def test_what_cannot_be_served_is_a_sentence_in_the_form_of_openai(address, path, body, sentence):
    answer = httpx.post(f"{address}/{path}", json=body)
    error = answer.json()["error"]
    assert answer.status_code == 400 and sentence in error["message"] and error["type"] == "invalid_request_error"


def test_an_error_of_the_host_is_its_sentence_in_the_language_of_the_client():
    host = FakeHost(error=MediaError("sound_empty", "The sound is empty; record or choose another."))
    with served(host) as address:
        post = {"url": f"{address}/audio/transcriptions", "files": {"file": ("a.wav", SOUND)}}
        english, chinese = httpx.post(**post), httpx.post(**post, headers={"Accept-Language": "zh-CN"})
        streamed = httpx.post(**post, data={"stream": "true"})
    assert english.status_code == 400 and english.json()["error"]["code"] == "sound_empty"
    assert english.json()["error"]["message"] == "The sound is empty; record or choose another."
    assert chinese.json()["error"]["message"].startswith("声音是空的")
    assert json.loads(streamed.text.split("\n\n")[-2][6:])["error"]["code"] == "sound_empty"


def test_a_defect_is_a_calm_sentence_without_its_words():
    with served(FakeHost(error=ZeroDivisionError("/home/me/secret"))) as address:
        answer = httpx.post(f"{address}/audio/transcriptions", files={"file": ("a.wav", SOUND)})
    assert answer.status_code == 500 and "secret" not in answer.text and "log" in answer.json()["error"]["message"]


def test_what_no_endpoint_serves_is_a_sentence_too(address):
    nowhere, method = httpx.post(f"{address}/completions", json={}), httpx.get(f"{address}/chat/completions")
    assert (nowhere.status_code, method.status_code) == (404, 405)
    assert nowhere.json()["error"]["message"] == "There is no such endpoint; /v1 is the address of the API."
    assert method.json()["error"]["message"] == "This endpoint takes another method."


def test_a_body_past_the_limit_is_refused_whether_its_length_is_told_or_not():
    with served(FakeHost(), max_json_bytes=1_000) as address:
        told = httpx.post(f"{address}/embeddings", json={"input": "x" * 2_000})
        chunked = httpx.post(f"{address}/embeddings", content=iter([b"x" * 600] * 4))
    assert (told.status_code, chunked.status_code) == (413, 413)
    assert "at most 0 MB" in told.json()["error"]["message"]


def test_behind_a_password_the_key_is_the_password():
    with served(FakeHost(), opens=same("geheim")) as address:
        wrong = openai.OpenAI(base_url=address, api_key="wrong", max_retries=0)
        with wrong, pytest.raises(openai.AuthenticationError, match="password"):
            wrong.models.list()
        with openai.OpenAI(base_url=address, api_key="geheim", max_retries=0) as client:
            assert client.models.list().data


@pytest.mark.parametrize("coding", ["utf-8", "ascii"])
def test_a_password_may_have_any_letters(coding):
    password = "pässwörd" if coding == "utf-8" else "password"
    with served(FakeHost(), opens=same(password)) as address:
        keys = (password, password.upper(), password[1:])
        codes = [
            httpx.get(f"{address}/models", headers={"Authorization": f"Bearer {key}".encode(coding)}).status_code
            for key in keys
        ]
    assert codes == [200, 401, 401]


def test_who_hangs_up_stops_the_work():
    stopped = threading.Event()

    def endless(request: Any) -> Iterator[Any]:
        try:
            while True:
                yield TranscribeResult(request=request)
        finally:
            stopped.set()

    host = FakeHost(scripts={TranscribeRequest: endless}, delay_s=0.01)
    with served(host) as address:
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{address}/audio/transcriptions", files={"file": ("a.wav", SOUND)}, timeout=1.0)
        assert stopped.wait(60.0)


@pytest.mark.parametrize("fields", [{}, {"stream": "true"}])
def test_who_hangs_up_while_nothing_comes_stops_the_work(fields):
    host = SilentHost()
    with served(host) as address:
        file = {"file": ("a.wav", SOUND)}
        host.asked_and_left(httpx.Request("POST", f"{address}/audio/transcriptions", files=file, data=fields))
        assert host.stopped.wait(60)


# --- our own client ---
