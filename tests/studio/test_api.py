"""The named endpoints on a real server, through gradio's own client."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from engines import Host
from studio.app import Served, start
from tests.fake_host import FakeHost


@pytest.fixture(scope="module")
def client(served: Served) -> Client:
    return Client(served.url, verbose=False)


@pytest.fixture(scope="module")
def real(builtin: Host, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """The same page over the model people get."""
    with start(builtin, home=tmp_path_factory.mktemp("home"), devices=("cpu",)) as served:
        yield Client(served.url, verbose=False)


def test_only_the_tasks_are_public(client: Client) -> None:
    assert set(client.view_api(return_format="dict")["named_endpoints"]) == {
        "/caption", "/transcribe", "/translate", "/answer", "/search",
    }  # fmt: skip


def test_a_photo_gets_a_caption(client: Client, photo_file: Path) -> None:
    result = client.predict(handle_file(photo_file), "de", api_name="/caption")
    assert result["result"] == "caption"
    assert result["text"] == "Ein Hund läuft am Strand."
    assert result["end"] == "finished"
    assert result["request"]["media"] == "red square.png"


def test_partial_results_come_first(client: Client, photo_file: Path) -> None:
    job = client.submit(handle_file(photo_file), "en", api_name="/caption")
    job.result(timeout=30)
    ends = [partial["end"] for partial in job.outputs()]
    assert ends[-1] == "finished"
    assert set(ends[:-1]) <= {None}


def test_a_sound_becomes_text_with_times(client: Client, sound_file: Path) -> None:
    result = client.predict(handle_file(sound_file), "", "fr", api_name="/transcribe")
    assert result["text"] == "Good morning. The train leaves at nine."
    assert result["translation"] == "Bonjour. Le train part à neuf heures."
    assert result["segments"][0]["words"][0]["text"] == "Good"


def test_a_text_is_translated(client: Client) -> None:
    assert client.predict("Good morning.", "en", "zh", api_name="/translate")["text"] == "早上好。"


def test_a_question_can_hide_a_sense(client: Client, clip_file: Path) -> None:
    result = client.predict(handle_file(clip_file), "What is heard?", "en", "picture", api_name="/answer")
    assert result["text"] == "A dog is barking."
    assert [sense for sense, _ in result["senses"]] == ["sound"]


def test_the_samples_are_searched(client: Client) -> None:
    result = client.predict("a dog", None, 2, api_name="/search")
    assert [hit["file"] for hit in result["hits"]] == ["dog.jpg", "bark.wav"]


@pytest.mark.parametrize(
    ("arguments", "name", "sentence"),
    [
        ((None, "en"), "/caption", "Send a file"),
        (("", "en", "de"), "/translate", "Type something to translate first"),
        (("dog", "en", "en"), "/translate", "two different ones"),
        (("dog", "en", "it"), "/translate", "is not known"),
        (("", None, 5), "/search", "Send a file"),
    ],
)
def test_a_wrong_call_gets_one_sentence(client: Client, arguments: tuple[Any, ...], name: str, sentence: str) -> None:
    with pytest.raises(AppError, match=sentence):
        client.predict(*arguments, api_name=name)


def test_an_empty_question_gets_one_sentence(client: Client, clip_file: Path) -> None:
    with pytest.raises(AppError, match="Type a question first"):
        client.predict(handle_file(clip_file), "  ", "en", "", api_name="/answer")


@pytest.mark.parametrize(
    "path", ["/etc/passwd", str(Path(__file__)), "../../../etc/passwd", "http://127.0.0.1:9/dog.jpg"]
)
def test_a_path_of_this_machine_is_refused(served: Served, page_host: FakeHost, path: str) -> None:
    n_before = len(page_host.requests)
    forged = {"path": path, "meta": {"_type": "gradio.FileData"}}
    call = httpx.post(f"{served.url}/gradio_api/call/caption", json={"data": [forged, "en"]})
    said = call.text
    if call.status_code == 200:
        said = httpx.get(f"{served.url}/gradio_api/call/caption/{call.json()['event_id']}").text
        assert "event: error" in said
    assert "root:" not in said
    assert len(page_host.requests) == n_before


# --- the model people get ----------------------------------------------------------------------------------------


def test_the_real_model_describes_a_photo(real: Client, photo_file: Path) -> None:
    result = real.predict(handle_file(photo_file), "en", api_name="/caption")
    assert result["end"] == "finished"
    assert result["text"]


def test_the_real_model_hears_no_speech_in_a_tone(real: Client, sound_file: Path) -> None:
    result = real.predict(handle_file(sound_file), "", "", api_name="/transcribe")
    assert (result["end"], result["segments"]) == ("empty", [])


def test_the_real_model_translates(real: Client) -> None:
    assert real.predict("A dog runs.", "en", "de", api_name="/translate")["text"]


def test_the_real_model_answers_about_a_clip(real: Client, clip_file: Path) -> None:
    assert real.predict(handle_file(clip_file), "What is seen?", "en", "", api_name="/answer")["text"]


def test_the_real_model_finds_something_among_the_samples(real: Client) -> None:
    result = real.predict("a dog", None, 4, api_name="/search")
    assert len(result["hits"]) == 4


@pytest.mark.parametrize("name", ["broken.jpg", "broken.mp3", "broken.mp4", "empty.wav"])
def test_the_real_model_says_what_is_wrong_with_a_file_and_goes_on(real: Client, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"" if name.startswith("empty") else b"no media in here at all" * 40)
    with pytest.raises(AppError) as caught:
        real.predict(handle_file(tmp_path / name), "en", api_name="/caption")
    assert str(tmp_path) not in str(caught.value)
    assert "not your fault" not in str(caught.value)
    assert real.predict("A dog runs.", "en", "de", api_name="/translate")["text"]
