"""OpenAI's API over the model people get: what its official client and curl read in the samples."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import numpy as np
import openai
import pytest

from engines.hosts.api_server import openai_app
from tests.conftest import SAMPLES
from tests.loopback_app import loopback

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def address(builtin) -> Iterator[str]:
    with loopback(openai_app(builtin)) as url:
        yield url


@pytest.fixture(scope="module")
def client(address) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=address, api_key="none", max_retries=0, timeout=300) as client:
        yield client


def transcript(client: openai.OpenAI, name: str, form: Any, **more: Any) -> Any:
    return client.audio.transcriptions.create(
        model="whisper-1", file=SAMPLES / name, response_format=form, temperature=0.0, **more
    )


def data_url(name: str, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode((SAMPLES / name).read_bytes()).decode()}"


def picture(name: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": data_url(name, "image/jpeg")}}


def clip(name: str) -> dict[str, Any]:
    return {"type": "video_url", "video_url": {"url": data_url(name, "video/mp4")}}


def sound(name: str) -> dict[str, Any]:
    data = base64.b64encode((SAMPLES / name).read_bytes()).decode()
    return {"type": "input_audio", "input_audio": {"data": data, "format": name.rpartition(".")[2]}}


def asked(client: openai.OpenAI, text: str, *media: dict[str, Any]) -> str:
    messages: Any = [{"role": "user", "content": [{"type": "text", "text": text}, *media]}]
    return str(client.chat.completions.create(model="any", messages=messages).choices[0].message.content)


def test_speech_is_written_down_with_the_times_of_its_words(client):
    whole = transcript(client, "all-busy.mp3", "verbose_json", timestamp_granularities=["word", "segment"])
    assert "call" in whole.text and "answered in the order" in whole.text and whole.language == "english"
    assert whole.segments[-1].end <= whole.duration
    times = [(word.start, word.end) for word in whole.words]
    assert " ".join(word.word for word in whole.words) == whole.text and times == sorted(times)


def test_german_speech_becomes_english_text(client):
    assert "Morgen" in transcript(client, "morgen.mp3", "json").text
    assert "morning" in str(client.audio.translations.create(model="whisper-1", file=SAMPLES / "morgen.mp3").text)


def test_pictures_sounds_and_clips_are_asked_about(client):
    assert "dog" in asked(client, "Describe this photo.", picture("dog.jpg"))
    assert "hund" in asked(client, "Describe this photo in German.", picture("dog.jpg")).lower()
    assert "dog" in asked(client, "What animal is heard?", sound("barking.mp3")).lower()
    assert "dog" in asked(client, "What animal is seen?", clip("dog.mp4")).lower()
    assert "Hund" in asked(client, "Translate from English to German: The dog is sleeping.")


def test_texts_and_media_lie_in_one_space(client):
    inputs = ["a dog", "a cup of coffee", data_url("dog.jpg", "image/jpeg"), data_url("barking.mp3", "audio/mpeg")]
    rows = client.embeddings.create(model="any", input=inputs).data
    dog, coffee, photo, bark = (np.array(row.embedding) for row in rows)
    assert np.linalg.norm(photo) == pytest.approx(1.0, abs=1e-3)
    assert photo @ dog > photo @ coffee and bark @ dog > bark @ coffee


def test_silence_and_what_is_no_medium_are_told_from_speech(client, tmp_path):
    assert transcript(client, "rain.opus", "json").text == ""
    (tmp_path / "talk.mp3").write_bytes(b"no sound at all" * 100)
    with pytest.raises(openai.BadRequestError, match=r"talk\.mp3") as refused:
        client.audio.transcriptions.create(model="whisper-1", file=tmp_path / "talk.mp3")
    assert str(tmp_path) not in str(refused.value)
    with pytest.raises(openai.BadRequestError):
        asked(client, "What is it?", {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}})
