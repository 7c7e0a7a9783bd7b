"""The command line: requests in, text or JSON out, a sentence and an exit code for what goes wrong."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engines.cli import main
from engines.errors import MediaError, RequestError
from engines.protocol import (
    AskRequest,
    AskResult,
    CaptionRequest,
    EmbedRequest,
    IndexRequest,
    Request,
    Result,
    SearchRequest,
    TranscribeRequest,
    TranslateRequest,
)
from engines.settings import Settings
from tests.fake_host import FakeHost


def asked(*arguments: str, host: FakeHost | None = None) -> tuple[int, Request | None, FakeHost]:
    """Exit code, the request that reached the host, and the host."""
    fake = FakeHost() if host is None else host
    code = main(list(arguments), opener=lambda name, settings: fake)
    return code, fake.requests[-1] if fake.requests else None, fake


@pytest.mark.parametrize(
    ("arguments", "request_made", "printed"),
    [
        ("caption dog.jpg --language de", CaptionRequest(media=Path("dog.jpg"), language="de"), "Ein Hund läuft"),
        ("transcribe a.wav", TranscribeRequest(media=Path("a.wav")), "Good morning.\nThe train leaves at nine."),
        (
            "transcribe a.wav --language en --translate-to de",
            TranscribeRequest(media=Path("a.wav"), language="en", translate_to="de"),
            "Guten Morgen.\nDer Zug",
        ),
        ("translate Hello --from en --to fr", TranslateRequest(text="Hello", source="en", target="fr"), "Bonjour."),
        (
            "ask a.mp4 Who? --hide sound",
            AskRequest(media=Path("a.mp4"), question="Who?", hide=frozenset({"sound"})),
            "A dog is barking.  (80% sure, picture 20%, at 1.5 s)",
        ),
        (
            "index pictures my.db",
            IndexRequest(folder=Path("pictures"), collection=Path("my.db")),
            "2 added, 0 unchanged, 0 removed; 2 rows in all\nbroken.jpg: broken.jpg is damaged",
        ),
        (
            "index pictures s3://bucket/pictures",
            IndexRequest(folder=Path("pictures"), collection="s3://bucket/pictures"),
            "2 added, 0 unchanged, 0 removed; 2 rows in all",
        ),
        ("search s3://bucket/a dog", SearchRequest(query="dog", collection="s3://bucket/a"), " 90%  photo"),
        (
            "search my.db dog --kinds photo,sound -k 2",
            SearchRequest(query="dog", collection=Path("my.db"), kinds=frozenset({"photo", "sound"}), k=2),
            " 90%  photo   dog.jpg\n 70%  sound   bark.wav  0-10 s",
        ),
        ("search my.db --file a.jpg", SearchRequest(query=Path("a.jpg"), collection=Path("my.db")), " 90%  photo"),
        ("embed dog", EmbedRequest(media="dog"), "text: 1.0000 0.0000"),
        ("embed --file a.jpg", EmbedRequest(media=Path("a.jpg")), "photo: 1.0000"),
    ],
)
def test_a_command_becomes_a_request_and_its_answer_is_printed(
    arguments: str, request_made: Request, printed: str, capsys: pytest.CaptureFixture[str]
):
    code, request, host = asked(*arguments.split())
    out, err = capsys.readouterr()
    assert code == 0 and request == request_made and host.closed
    assert out.startswith(printed) and err == ""


@pytest.mark.parametrize("arguments", ["caption a.jpg", "transcribe a.wav", "search my.db dog", "embed dog"])
def test_json_is_one_object_of_the_last_result(arguments: str, capsys: pytest.CaptureFixture[str]):
    assert asked(*arguments.split(), "--json")[0] == 0
    plain = json.loads(capsys.readouterr().out)
    assert plain["end"] == "finished" and plain["result"] == arguments.split()[0] and plain["host"] == "fake"


@pytest.mark.parametrize(("form", "start"), [("srt", "1\n00:00:00,500 -->"), ("vtt", "WEBVTT"), ("json", "{")])
def test_a_transcript_comes_as_subtitles(form: str, start: str, capsys: pytest.CaptureFixture[str]):
    assert asked("transcribe", "a.wav", "--format", form)[0] == 0
    assert capsys.readouterr().out.lstrip().startswith(start)


def test_text_may_come_from_standard_input(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("Hello there."))
    assert asked("translate", "-", "--from", "en", "--to", "de")[1] == TranslateRequest(
        text="Hello there.", source="en", target="de"
    )


def test_an_empty_end_is_said_and_not_an_error(capsys: pytest.CaptureFixture[str]):
    assert asked("search", "my.db", "dog", "--kinds", "text")[0] == 0
    assert capsys.readouterr().out == "(nothing found)\n"


def test_an_answer_says_how_sure_it_is_only_if_it_knows(capsys: pytest.CaptureFixture[str]):
    unsure = {AskRequest: lambda request: iter([AskResult(request=request, text="A dog.", end="finished")])}
    assert asked("ask", "a.mp4", "Who?", host=FakeHost(scripts=unsure))[0] == 0
    assert capsys.readouterr().out == "A dog.\n"


def test_a_text_that_breaks_off_says_so_beside_it(capsys: pytest.CaptureFixture[str]):
    cut = {AskRequest: lambda request: iter([AskResult(request=request, text="A dog and", end="cut")])}
    assert asked("ask", "a.mp4", "Who?", host=FakeHost(scripts=cut))[0] == 0
    said = capsys.readouterr()
    assert said.out == "A dog and\n" and said.err.startswith("the text breaks off here")


def test_a_silent_sound_is_said_to_hold_nothing(capsys: pytest.CaptureFixture[str]):
    silent = {AskRequest: lambda request: iter([AskResult(request=request, silent=True, end="empty")])}
    assert asked("ask", "a.wav", "Who?", host=FakeHost(scripts=silent))[0] == 0
    assert capsys.readouterr().out == "(nothing to hear)\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("caption a.jpg --language xx", "The language 'xx' is not known; choose one of en, de, fr, zh."),
        ("search my.db dog --kinds smell", "Unknown kinds smell; known are photo, sound, speech, clip, text."),
        ("index pictures my.db --processes 0", "0 processes read nothing; choose 1 or more."),
        ("translate x --from en --to en", "Source and target are the same language; choose two different ones."),
    ],
)
def test_a_wrong_request_is_one_sentence_and_exit_code_1(arguments: str, said: str, capsys: pytest.CaptureFixture[str]):
    assert asked(*arguments.split())[0] == 1
    assert capsys.readouterr() == ("", said + "\n")


def test_what_fails_on_the_way_is_one_sentence_and_the_host_is_closed(capsys: pytest.CaptureFixture[str]):
    code, _, host = asked(
        "caption", "a.jpg", host=FakeHost(error=MediaError("test", "a.jpg is damaged; save it again."))
    )
    assert code == 1 and host.closed and capsys.readouterr() == ("", "a.jpg is damaged; save it again.\n")


def test_a_host_that_does_not_open_is_one_sentence(capsys: pytest.CaptureFixture[str]):
    def opener(name: str, settings: Settings) -> FakeHost:
        raise RequestError("test", f"No host is called {name!r}.")

    assert main(["embed", "dog", "--model", "nobody"], opener=opener) == 1
    assert capsys.readouterr().err == "No host is called 'nobody'.\n"


def test_device_and_model_reach_the_host():
    seen: list[tuple[str, Settings]] = []

    def opener(name: str, settings: Settings) -> FakeHost:
        seen.append((name, settings))
        return FakeHost()

    assert main(["embed", "dog", "--model", "mine", "--device", "cpu"], opener=opener) == 0
    assert seen == [("mine", Settings(device="cpu"))]


def test_several_processes_read_a_folder_each_with_one_thread(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    from engines.tasks import crowd

    asked_for: list[tuple[Settings, IndexRequest, int]] = []

    def index(opener: Callable[[], FakeHost], request: IndexRequest, n_processes: int) -> Iterator[Result]:
        host = opener()
        asked_for.append((host.settings, request, n_processes))  # type: ignore[attr-defined]
        return host.stream(request)

    def opener(name: str, settings: Settings) -> FakeHost:
        host = FakeHost()
        host.settings = settings  # type: ignore[attr-defined]
        return host

    monkeypatch.setattr(crowd, "index", index)
    assert main(["index", "pictures", "my.db", "--processes", "3", "--device", "cpu"], opener=opener) == 0
    request = IndexRequest(folder=Path("pictures"), collection=Path("my.db"))
    assert asked_for == [(Settings(device="cpu", n_threads=1), request, 3)]
    assert capsys.readouterr().out.startswith("2 added")


def test_ctrl_c_ends_with_130(capsys: pytest.CaptureFixture[str]):
    code, _, host = asked("caption", "a.jpg", host=FakeHost(error=KeyboardInterrupt()))
    assert code == 130 and host.closed and "stopped" in capsys.readouterr().err


def test_on_a_terminal_the_text_is_shown_as_it_grows(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert asked("caption", "a.jpg")[0] == 0
    out, err = capsys.readouterr()
    assert "\r\x1b[KA dog runs" in err and err.endswith("\r\x1b[K") and out == "A dog runs on the beach.\n"


def test_wrong_usage_is_exit_code_2(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as left:
        main(["sing"])
    assert left.value.code == 2 and "invalid choice: 'sing'" in capsys.readouterr().err


def test_the_program_runs_as_a_module_and_a_missing_file_is_one_sentence():
    from engines.model import checkpoint

    if not (checkpoint.BUILTIN / checkpoint.WEIGHTS_FILE).is_file():
        pytest.skip("the built-in model's weights are not in this checkout")
    command = [sys.executable, "-m", "engines", "caption", "gone.jpg", "--device", "cpu"]
    shown = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert shown.returncode == 1 and shown.stderr.count("\n") == 1 and "gone.jpg" in shown.stderr
