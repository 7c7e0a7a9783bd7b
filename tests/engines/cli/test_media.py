"""caption, transcribe, translate, ask and embed: what is read, what is asked, where the results go."""

from __future__ import annotations

import io
import json
import os
import re
import sys
import wave
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from PIL import Image

from engines.cli import main
from engines.cli.media import arriving
from engines.errors import Message
from engines.folders import LOOK_S
from engines.protocol import (
    AskRequest,
    AskResult,
    CaptionRequest,
    CaptionResult,
    EmbedRequest,
    Request,
    Result,
    TranscribeRequest,
    TranscribeResult,
    TranslateRequest,
    TranslateResult,
)
from tests.fake_host import FakeHost


@pytest.mark.parametrize(
    ("words", "request_made", "printed"),
    [
        ("caption a.jpg --language de", CaptionRequest(media=Path("a.jpg"), language="de"), "Ein Hund läuft am Str"),
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
        ("caption a.mp4 --track 2", CaptionRequest(media=Path("a.mp4"), track=2), "A dog runs on the beach."),
        ("transcribe a.mp4 --track 2", TranscribeRequest(media=Path("a.mp4"), track=2), "Good morning."),
        ("ask a.mp4 Who? --track 2", AskRequest(media=Path("a.mp4"), question="Who?", track=2), "A dog is barking."),
        ("embed dog", EmbedRequest(media="dog"), "text: 1.0000 0.0000"),
        ("embed dog --against sound", EmbedRequest(media="dog", against="sound"), "text: 1.0000 0.0000"),
        ("embed a.jpg", EmbedRequest(media=Path("a.jpg")), "photo: 1.0000"),
        ("embed --file a.jpg", EmbedRequest(media=Path("a.jpg")), "photo: 1.0000"),
    ],
)
def test_a_command_becomes_a_request_and_its_result_is_printed(words, request_made, printed, command, capsys):
    code, requests, host = command(*words.split())
    out, err = capsys.readouterr()
    assert code == 0 and requests == [request_made] and host.closed
    assert out.startswith(printed) and err == ""


def test_how_a_file_was_read_is_said_beside_the_result(command, capsys):
    def script(request: Request) -> Iterator[Result]:
        note = Message("note.very_quiet", "The sound is very quiet and was made louder.")
        yield CaptionResult(request=request, text="A dog.", notes=(note,), end="finished")

    command("caption", "a.wav", host=FakeHost(scripts={CaptionRequest: script}))
    out, err = capsys.readouterr()
    assert out == "A dog.\n" and err == "a.wav: The sound is very quiet and was made louder.\n"
    command("caption", "a.wav", "--quiet", host=FakeHost(scripts={CaptionRequest: script}))
    assert capsys.readouterr() == ("A dog.\n", "")


@pytest.mark.parametrize("words", ["caption a.jpg", "transcribe a.wav", "ask a.mp4 Who?", "embed dog"])
def test_json_is_one_object_of_the_last_result(words, command, capsys):
    assert command(*words.split(), "--json")[0] == 0
    plain = json.loads(capsys.readouterr().out)
    assert plain["end"] == "finished" and plain["result"] == words.split()[0] and plain["host"] == "fake"
    assert plain["file"] == words.split()[1]


def test_an_empty_result_is_said_and_not_a_failure(command, capsys):
    silent = {
        AskRequest: lambda request: iter([AskResult(request=request, silent=True, end="empty")]),
        TranscribeRequest: lambda request: iter([TranscribeResult(request=request, end="empty")]),
    }
    assert command("ask", "a.wav", "Who?", host=FakeHost(scripts=silent))[0] == 0
    assert command("transcribe", "a.wav", host=FakeHost(scripts=silent))[0] == 0
    assert capsys.readouterr().out == "(nothing to hear)\n(no speech)\n"


def test_an_answer_says_how_sure_it_is_only_if_it_knows(command, capsys):
    unsure = {AskRequest: lambda request: iter([AskResult(request=request, text="A dog.", end="finished")])}
    assert command("ask", "a.mp4", "Who?", host=FakeHost(scripts=unsure))[0] == 0
    assert capsys.readouterr().out == "A dog.\n"


# --- what is read ------------------------------------------------------------------------------------------------


def names(requests: list[Request]) -> list[str]:
    return [Path(str(request.media)).as_posix() for request in requests]


def test_files_folders_and_patterns_are_read_once_by_one_model(folder, command):
    opened = []

    def opener(routes: object, settings: object) -> FakeHost:
        opened.append(FakeHost())
        return opened[-1]

    assert main(["caption", "a.jpg", "*.jpg", "talks", "./a.jpg", "talks/**/*.mp3"], opener=opener) == 0
    (host,) = opened
    assert names(host.requests) == ["a.jpg", "b.jpg", "talks/two.wav", "talks/monday/one.mp3"]


def test_a_folder_gives_transcribe_what_can_be_heard(command):
    assert names(command("transcribe", ".")[1]) == ["a.mp4", "a.wav", "talks/two.wav", "talks/monday/one.mp3"]


@pytest.mark.parametrize(("task", "taken"), [("caption", ["in.foto", "in.tape"]), ("transcribe", ["in.tape"])])
def test_a_file_of_a_folder_with_an_unusual_ending_is_judged_by_what_it_holds(task, taken, tmp_path, command, capsys):
    odd = tmp_path / "odd"
    odd.mkdir()
    Image.new("RGB", (8, 8)).save(odd / "in.foto", "PNG")
    with wave.open(str(odd / "in.tape"), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(bytes(16_000))
    (odd / "in.txt").write_text("words")
    os.mkfifo(odd / "in.wav")
    assert names(command(task, "odd")[1]) == [f"odd/{name}" for name in taken]
    passed = [name for name in ("in.foto", "in.tape", "in.txt", "in.wav") if name not in taken]
    assert capsys.readouterr().err == f"passed over {len(passed)} files: {', '.join(passed)}\n"


def test_of_many_files_passed_over_the_first_are_named(command, capsys):
    for n in range(12):
        (Path("talks") / f"{n:02}.doc").touch()
    command("caption", "talks")
    names = ", ".join(f"{n:02}.doc" for n in range(10))
    assert capsys.readouterr().err == f"passed over 13 files: {names}, ...\n"
    command("caption", "talks", "--quiet")
    assert capsys.readouterr().err == ""


def test_what_is_missing_is_said_with_its_path_and_the_rest_is_read(command, capsys):
    (Path("empty")).mkdir()
    code, requests, _ = command("caption", "talks/gone.jpg", "x*.jpg", "empty", "a.jpg", "--json")
    out, err = capsys.readouterr()
    assert code == 1 and names(requests) == ["a.jpg"]
    assert err.splitlines() == [
        "talks/gone.jpg: there is no such file",
        "x*.jpg: no file fits this pattern",
        "empty: there are no media files in this folder",
    ]
    lines = [json.loads(line) for line in out.splitlines()]
    assert lines[0] == {"file": "talks/gone.jpg", "error": "there is no such file"} and lines[-1]["file"] == "a.jpg"


def test_after_two_dashes_nothing_is_an_option(command, folder, capsys):
    (folder / "-x.jpg").write_bytes(b"media")
    code, requests, _ = command("caption", "a.jpg", "--language", "de", "--", "-x.jpg", "--json")
    assert [request.media for request in requests] == [Path("a.jpg"), Path("-x.jpg")]
    assert code == 1 and capsys.readouterr().err == "--json: there is no such file\n"
    _, (request,), _ = command("ask", "--", "-x.jpg", "-5 degrees?")
    assert (request.media, request.question) == (Path("-x.jpg"), "-5 degrees?")


def test_an_address_is_not_fetched_and_that_is_said(command, capsys):
    code, requests, _ = command("caption", "https://example.org/a.jpg", "a.jpg")
    assert (code, len(requests)) == (1, 1)
    assert capsys.readouterr().err.startswith("https://example.org/a.jpg: addresses are not fetched; download the file")


@pytest.mark.parametrize(
    "words", [("caption", ""), ("transcribe", ""), ("ask", "", "Who?"), ("embed", ""), ("translate", "", "--to", "de")]
)
def test_an_empty_name_is_not_the_current_folder(words, command, capsys):
    """As `caption "$FILE"` is in a script in which FILE is not set."""
    code, requests, _ = command(*words)
    said = capsys.readouterr()
    assert (code, said.out) == (1, "") and said.err.count("\n") == 1
    assert not [request for request in requests if isinstance(getattr(request, "media", None), Path)]


@pytest.mark.parametrize(
    "words",
    [
        ("caption", "a.jpg", "--output-dir", ""),
        ("transcribe", "--watch", ""),
        ("index", "", "c.db"),
        ("index", "talks", ""),
        ("search", "c.db", "a dog", "--html", ""),
        ("search", "", "a dog"),
    ],
)
def test_an_empty_path_is_wrong_usage(words, command, capsys):
    with pytest.raises(SystemExit, match="2"):
        command(*words)
    assert "an empty name names no file or folder" in capsys.readouterr().err


def test_no_model_is_opened_when_nothing_is_there(folder, capsys):
    def opener(routes: object, settings: object) -> FakeHost:
        raise AssertionError("opened for nothing")

    assert main(["caption", "gone.jpg"], opener=opener) == 1
    assert capsys.readouterr().err == "gone.jpg: there is no such file\n"


class Standard:
    """Stands for sys.stdin."""

    def __init__(self, data: bytes) -> None:
        self.buffer = io.BytesIO(data)


@pytest.mark.parametrize("data", [b"a.jpg\nb.jpg\n", b"a.jpg\r\nb.jpg", b"a.jpg\0b.jpg\0"])
def test_standard_input_may_list_paths(data, command, monkeypatch):
    monkeypatch.setattr(sys, "stdin", Standard(data))
    assert names(command("caption", "-")[1]) == ["a.jpg", "b.jpg"]


def test_a_listed_path_that_is_missing_is_said(command, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", Standard("déjà vu.jpg\na.jpg\n".encode()))
    code, requests, _ = command("caption", "-")
    assert code == 1 and names(requests) == ["a.jpg"]
    assert capsys.readouterr().err == "déjà vu.jpg: there is no such file\n"


def test_standard_input_may_be_the_media(command, monkeypatch, capsys):
    data = b"\xff\xd8\xff\xe0" + bytes(range(256)) * 100
    seen: list[tuple[Path, bytes]] = []

    def look(request: CaptionRequest) -> Iterator[Result]:
        assert isinstance(request.media, Path)
        seen.append((request.media, request.media.read_bytes()))
        yield from FakeHost().stream(request)

    monkeypatch.setattr(sys, "stdin", Standard(data))
    assert command("caption", "-", host=FakeHost(scripts={CaptionRequest: look}))[0] == 0
    ((path, read),) = seen
    assert read == data and not path.exists() and capsys.readouterr().out == "A dog runs on the beach.\n"


def test_empty_standard_input_is_a_failure(command, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", Standard(b""))
    assert command("caption", "-")[0] == 1
    assert capsys.readouterr().err == "-: nothing came on standard input\n"


# --- translate ---------------------------------------------------------------------------------------------------


def test_text_comes_from_words_files_and_standard_input(command, folder, monkeypatch, capsys):
    (folder / "letter.txt").write_text("From a file.", encoding="utf-8")
    monkeypatch.setattr(sys, "stdin", Standard("Déjà vu.".encode()))
    code, requests, _ = command("translate", "Hello.", "-", "letter.txt", "--from", "en", "--to", "de")
    assert code == 0
    assert [request.text for request in requests] == ["Hello.", "Déjà vu.", "From a file."]
    assert capsys.readouterr().out.splitlines()[-1] == "letter.txt: Guten Morgen."


def test_a_long_text_is_translated_line_by_line_and_keeps_its_empty_lines(command, folder, capsys):
    (folder / "letter.txt").write_text("One.\n\nTwo.\n")
    code, requests, _ = command("translate", "letter.txt", "--from", "en", "--to", "de")
    assert code == 0 and [request.text for request in requests] == ["One.", "Two."]
    assert capsys.readouterr().out == "Guten Morgen.\n\nGuten Morgen.\n"


SRT = "1\n00:00:01,000 --> 00:00:02,500\nThat is it.\n\n2\n00:00:03,000 --> 00:00:05,000\nYou are\n\n"


def test_subtitles_are_translated_cue_by_cue_into_a_file_that_players_find(command, folder, capsys):
    (folder / "talk.srt").write_bytes(SRT.replace("\n", "\r\n").encode("utf-8-sig"))
    code, requests, _ = command("translate", "talk.srt", "--to", "de", "--output-dir", "out")
    assert code == 0 and [(r.text, r.source) for r in requests] == [("That is it.", "en"), ("You are", "en")]
    written = (folder / "out" / "talk.de.srt").read_bytes().decode()
    assert written == re.sub("That is it.|You are", "Guten Morgen.", SRT).replace("\n", "\r\n")
    assert command("translate", "talk.srt", "--to", "de")[0] == 0
    assert capsys.readouterr().out.count("-->") == 2


def test_a_translation_carries_its_language_in_its_name_and_never_takes_the_place_of_what_is_read(
    command, folder, capsys
):
    (folder / "letter.txt").write_text("From a file.", encoding="utf-8")
    there = ("--from", "en", "--output-dir", ".")
    assert command("translate", "letter.txt", "--to", "de", *there)[0] == 0
    assert command("translate", "letter.txt", "--to", "fr", "--format", "txt,json", *there)[0] == 0
    assert (folder / "letter.txt").read_text() == "From a file."
    assert (folder / "letter.de.txt").read_text() == "Guten Morgen.\n"
    assert (folder / "letter.fr.txt").is_file() and (folder / "letter.fr.json").is_file()
    assert command("translate", "letter.txt", "letter.de.txt", "--to", "de", *there)[0] == 1
    assert "letter.de.txt is read too and is not written over" in capsys.readouterr().err
    assert (folder / "letter.de.txt").read_text() == "Guten Morgen.\n"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names there")
def test_a_pipe_among_the_texts_is_refused_without_waiting_for_it(command, folder, capsys):
    os.mkfifo(folder / "notes.txt")
    assert command("translate", "notes.txt", "--to", "de")[0] == 1
    assert "notes.txt" in capsys.readouterr().err


def test_an_unclear_language_is_asked_for(command, capsys):
    assert command("translate", "Xkcd qwrtz", "--to", "de")[0] == 1
    assert "name it with --from" in capsys.readouterr().err


def test_a_doubtful_translation_says_so(command, capsys):
    scripts = {
        TranslateRequest: lambda request: iter(
            [TranslateResult(request=request, text="Hm.", confidence=0.2, unsure=True, end="finished")]
        )
    }
    words = ("translate", "Hello", "--from", "en", "--to", "de")
    assert command(*words, host=FakeHost(scripts=scripts))[0] == 0
    assert capsys.readouterr().out == "Hm.  (not sure)\n"
    assert command(*words, "--json", host=FakeHost(scripts=scripts))[0] == 0
    plain = json.loads(capsys.readouterr().out)
    assert plain["confidence"] == 0.2 and plain["unsure"] is True


# --- where results go --------------------------------------------------------------------------------------------


def test_results_of_several_files_are_told_apart(command, capsys):
    assert command("caption", "a.jpg", "b.jpg")[0] == 0
    assert capsys.readouterr().out == "a.jpg: A dog runs on the beach.\nb.jpg: A dog runs on the beach.\n"
    assert command("transcribe", "a.wav", "a.mp4")[0] == 0
    first, second = capsys.readouterr().out.split("==> a.mp4 <==\n")
    assert first == f"==> a.wav <==\n{second}" and second.startswith("Good morning.\nThe train")


@pytest.mark.parametrize(
    ("form", "start"),
    [("srt", "1\n00:00:00,500 -->"), ("vtt", "WEBVTT"), ("json", '{"result": "transcribe"'), ("tsv", "start\tend\tte"),
     ("lrc", "[00:00.50]Good"), ("ass", "[Script Info]")],
)  # fmt: skip
def test_a_transcript_comes_in_every_format(form, start, command, capsys):
    assert command("transcribe", "a.wav", "--format", form)[0] == 0
    assert capsys.readouterr().out.startswith(start)


def test_original_and_translation_are_written_as_asked(command, capsys):
    shown = {}
    for text in ("original", "translation", "both"):
        assert command("transcribe", "a.wav", "--translate-to", "fr", "--text", text, "--format", "srt")[0] == 0
        shown[text] = capsys.readouterr().out.splitlines()[2:4]
    assert shown == {
        "original": ["Good morning.", ""],
        "translation": ["Bonjour.", ""],
        "both": ["Good morning.", "Bonjour."],
    }


def test_words_light_up_when_asked(command, capsys):
    assert command("transcribe", "a.wav", "--format", "ass", "--words")[0] == 0
    assert "{\\k30}Good {\\k30}morning." in capsys.readouterr().out


def listing(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_each_input_gets_a_file_of_each_format_at_its_place(command, folder):
    code, _, _ = command("transcribe", "a.wav", "talks", "--output-dir", "out", "--format", "srt,txt")
    assert code == 0
    assert listing(folder / "out") == ["a.srt", "a.txt", "monday/one.srt", "monday/one.txt", "two.srt", "two.txt"]
    assert (folder / "out/two.txt").read_text() == "Good morning.\nThe train leaves at nine.\n"


def test_all_formats_may_be_written_at_once(command, folder, capsys):
    assert command("transcribe", "a.wav", "--output-dir", "out", "--format", "all")[0] == 0
    assert listing(folder / "out") == [f"a.{form}" for form in ("ass", "json", "lrc", "srt", "tsv", "txt", "vtt")]
    assert json.loads((folder / "out/a.json").read_text())["text"] == "Good morning. The train leaves at nine."
    assert capsys.readouterr() == ("", "7 files written\n")


def test_inputs_of_one_name_keep_apart(command, folder):
    (folder / "talks/a.wav").write_bytes(b"media")
    assert command("transcribe", "a.wav", "a.mp4", "talks/a.wav", "--output-dir", "out", "-q")[0] == 0
    assert listing(folder / "out") == ["a.mp4.txt", "a.wav (2).txt", "a.wav.txt"]


def test_resume_skips_what_is_done(command, folder):
    words = ["caption", "a.jpg", "b.jpg", "--output-dir", "out", "--resume"]
    assert names(command(*words)[1]) == ["a.jpg", "b.jpg"]
    (folder / "out/b.txt").unlink()
    assert names(command(*words)[1]) == ["b.jpg"]
    assert names(command(*words)[1]) == []
    assert names(command(*words, "--format", "txt,json")[1]) == ["a.jpg", "b.jpg"]


def test_a_folder_that_cannot_be_written_is_a_sentence_for_each_file(command, folder, capsys):
    (folder / "out").write_text("a file")
    assert command("caption", "a.jpg", "--output-dir", "out")[0] == 1
    err = capsys.readouterr().err
    assert err.startswith(f"a.jpg: {Path('out/a.txt')} cannot be written: ") and err.count("\n") == 1


def test_json_lines_come_as_results_come(command, capsys):
    shown: list[int] = []

    def counting(request: CaptionRequest) -> Iterator[Result]:
        shown.append(capsys.readouterr().out.count("\n"))
        yield from FakeHost().stream(request)

    host = FakeHost(scripts={CaptionRequest: counting})
    assert command("caption", "a.jpg", "b.jpg", "--json", host=host)[0] == 0
    assert shown == [0, 1]


# --- progress ----------------------------------------------------------------------------------------------------


def be_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)


def test_a_terminal_shows_how_many_files_are_done(command, capsys, monkeypatch):
    be_a_terminal(monkeypatch)
    assert command("caption", "a.jpg", "b.jpg", host=FakeHost(delay_s=0.03))[0] == 0
    out, err = capsys.readouterr()
    assert "b.jpg" in err and "2/2" in err and "file/s" in err
    assert out == "a.jpg: A dog runs on the beach.\nb.jpg: A dog runs on the beach.\n"


def test_a_terminal_shows_how_far_a_single_file_is(command, capsys, monkeypatch):
    be_a_terminal(monkeypatch)
    assert command("transcribe", "a.wav")[0] == 0
    err = capsys.readouterr().err
    assert "listening" in err and "5.0/5.0" in err and "Good morning." in err


def test_quiet_shows_results_and_failures_only(command, capsys, monkeypatch):
    be_a_terminal(monkeypatch)
    assert command("caption", "a.jpg", "gone.jpg", "--quiet")[0] == 1
    assert capsys.readouterr() == ("a.jpg: A dog runs on the beach.\n", "gone.jpg: there is no such file\n")


# --- watching ----------------------------------------------------------------------------------------------------


def test_a_file_is_taken_when_it_has_stopped_growing(tmp_path):
    looks = 0

    def step(seconds: float) -> None:
        nonlocal looks
        assert seconds >= LOOK_S
        looks += 1
        if looks <= 3:  # it grows for three looks
            with (tmp_path / "long.wav").open("ab") as file:
                file.write(b"part")
        if looks == 6:  # and is written anew
            (tmp_path / "long.wav").write_bytes(b"another recording")
        if looks == 9:
            raise KeyboardInterrupt

    (tmp_path / "first.mp3").write_bytes(b"media")
    (tmp_path / "empty.mp3").touch()
    (tmp_path / "notes.txt").write_text("no media")
    taken: list[tuple[int, str]] = []
    with suppress(KeyboardInterrupt):
        for source in arriving(tmp_path, frozenset({".wav", ".mp3"}), step):
            taken.append((looks, source.output.as_posix()))  # noqa: PERF401 (what came before the stop is kept)
    assert [name for _, name in taken] == ["first", "long", "long"]
    assert taken[1][0] == 4 and taken[2][0] == 7


def test_files_with_one_stem_have_outputs_of_their_own(tmp_path):
    def step(seconds: float) -> None:
        if seconds > 2 * LOOK_S or looks.append(seconds) or len(looks) > 3:
            raise KeyboardInterrupt

    looks: list[float] = []
    (tmp_path / "talk.mp3").write_bytes(b"media")
    (tmp_path / "talk.wav").write_bytes(b"media")
    outputs: list[str] = []
    with suppress(KeyboardInterrupt):
        for source in arriving(tmp_path, frozenset({".wav", ".mp3"}), step):
            outputs.append(source.output.as_posix())  # noqa: PERF401 (what came before the stop is kept)
    assert sorted(outputs) == ["talk", "talk.wav"]


def test_what_has_changed_since_its_transcript_was_written_is_not_done(command, folder):
    assert command("transcribe", "talks", "--output-dir", "out")[0] == 0
    assert not command("transcribe", "talks", "--output-dir", "out", "--resume")[1]
    later = (folder / "out/two.txt").stat().st_mtime + 10
    os.utime(folder / "talks/two.wav", (later, later))
    assert names(command("transcribe", "talks", "--output-dir", "out", "--resume")[1]) == ["talks/two.wav"]
    words = ("translate", "A long text. " * 100, "--from", "en", "--to", "de", "--output-dir", "out", "--resume")
    assert command(*words)[0] == 0 and not command(*words)[1]


def test_watching_transcribes_what_arrives_and_leaves_what_is_done(command, folder, monkeypatch):
    def sleep(seconds: float) -> None:
        if seconds < LOOK_S:  # the scripted host's own
            return
        looks.append(seconds)
        if len(looks) == 2:
            (folder / "talks/new.wav").write_bytes(b"media")
        if len(looks) == 5:
            raise KeyboardInterrupt

    (folder / "out").mkdir()
    (folder / "out/two.txt").write_text("done before")
    looks: list[float] = []
    monkeypatch.setattr("time.sleep", sleep)
    code, requests, host = command("transcribe", "--watch", "talks", "--output-dir", "out")
    assert code == 130 and host.closed
    assert names(requests) == ["talks/monday/one.mp3", "talks/new.wav"]
    assert (folder / "out/two.txt").read_text() == "done before"
