"""The program as a whole: its table, exit codes, output streams, signals."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from engines.cli import main
from engines.cli.table import COMMANDS, command_parser, program_name
from engines.errors import DeviceError, MediaError, RequestError
from engines.protocol import AskRequest, AskResult, CaptionRequest
from engines.settings import Settings
from studio import cli
from tests.fake_host import FakeHost

ROOT = Path(__file__).resolve().parents[3]


def test_the_table_holds_every_command_once_and_its_parser_explains_it(capsys):
    names = [command.name for command in COMMANDS]
    assert len(set(names)) == len(names)
    assert {*names} == {"serve", *cli.COMMANDS}, "the page's help lists the same"
    with pytest.raises(SystemExit) as left:
        main(["--help"])
    shown = capsys.readouterr().out
    assert left.value.code == 0
    for command in COMMANDS:
        assert command.name in shown and command.help in shown
        if command.program is None:
            text = command_parser(command).format_help()
            assert all(option in text for option in ("--model", "--device", "--json", "--quiet", "--verbose"))


def test_the_help_needs_neither_torch_nor_a_media_library():
    program = """
import sys
from engines.cli import main
for words in (["--help"], ["--version"], ["transcribe", "--help"]):
    try:
        main(words)
    except SystemExit:
        pass
    print({"torch", "av", "PIL", "transformers", "gradio", "tqdm", "sentencepiece"} & sys.modules.keys())
"""
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT)
    assert shown.stdout.splitlines().count("set()") == 3, shown.stdout + shown.stderr


def test_the_version_is_that_of_the_package(capsys):
    with pytest.raises(SystemExit) as left:
        main(["--version"])
    assert left.value.code == 0 and capsys.readouterr().out.startswith("fusion-studio ")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("", "the following arguments are required: COMMAND"),
        ("sing", "invalid choice: 'sing'"),
        ("answer a.mp4 Who?", "invalid choice: 'answer'"),
        ("caption", "the following arguments are required: FILE"),
        ("caption a.jpg --loud", "unrecognized arguments: --loud"),
        ("caption a.jpg -q -v", "not allowed with argument"),
    ],
)
def test_wrong_usage_is_exit_code_2(words, said, capsys):
    with pytest.raises(SystemExit) as left:
        main(words.split())
    assert left.value.code == 2 and said in capsys.readouterr().err


def test_commands_with_a_parser_of_their_own_get_the_rest_of_the_line(capsys):
    for name, word in (("lab", "fusion"), ("evaluate", "--split"), ("train", "--recipe")):
        with pytest.raises(SystemExit) as left:
            main([name, "--help"])
        assert left.value.code == 0 and word in (printed := capsys.readouterr().out)
        assert printed.startswith(f"usage: {program_name()} {name} ")
    assert main(["lab", "extractors", "--modality", "smell"]) == 2
    assert capsys.readouterr().err.startswith("modality: 'smell' is not known")


# --- failures ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [(DeviceError("test", "The card was lost."), 1, "The card was lost.\n"), (KeyboardInterrupt(), 130, "stopped\n")],
)
def test_what_ends_a_run_is_one_sentence_and_the_host_is_closed(error, code, said, command, capsys):
    found, _, host = command("caption", "a.jpg", "b.jpg", host=FakeHost(error=error))
    assert found == code and host.closed and capsys.readouterr() == ("", said)


def test_a_host_that_does_not_open_is_one_sentence(folder, capsys):
    def opener(routes: Mapping[str, str], settings: Settings) -> FakeHost:
        raise RequestError("test", f"No host is called {routes['']!r}.")

    assert main(["embed", "dog", "--model", "nobody"], opener=opener) == 1
    assert capsys.readouterr().err == "No host is called 'nobody'.\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("caption a.jpg --language xx", "The language 'xx' is not known; choose one of en, de, fr, zh."),
        ("search my.db dog --kinds smell", "Unknown kinds smell; known are photo, sound, speech, clip, text."),
        ("index pictures my.db --workers 0", "0 workers read nothing; choose 1 or more."),
        ("translate x --from en --to en", "Source and target are the same language; choose two different ones."),
        ("transcribe a.wav --text both", "--text both needs a language; add --translate-to."),
        ("transcribe a.wav --resume", "--resume needs the folder of the files; add --output-dir."),
        ("transcribe a.wav --format srt,vtt", "Standard output takes one format; name a folder with --output-dir."),
        ("transcribe a.wav --format doc", "'doc' is no format of this command; choose "),
        ("transcribe a.wav --format ,", "',' is no format of this command; choose "),
        ("transcribe", "Name files to transcribe, or a folder to watch with --watch."),
        ("transcribe a.wav --watch talks", "Name either files or a folder to watch, not both."),
        ("duplicates gone.db --threshold 7", "The threshold is 7; choose 0 to 1."),
        ("caption a.jpg --model sing=whisper", "No task is called 'sing'; known are "),
        ("map my.db --kinds smell", "Unknown kinds smell; known are photo, sound, speech, clip, text."),
        ("history show one", "'one' is no id of a result; `history` lists them."),
    ],
)
def test_a_wrong_value_is_one_sentence_and_exit_code_2_and_no_model_is_asked(words, said, command, capsys):
    code, requests, _ = command(*words.split())
    shown = capsys.readouterr()
    assert code == 2 and not requests and shown.out == ""
    assert shown.err.startswith(said) and shown.err.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("transcribe --watch nowhere", "There is no folder nowhere to watch."),
        ("duplicates gone.db", "There is no collection gone.db; index a folder first."),
    ],
)
def test_what_is_not_there_is_one_sentence_and_exit_code_1(words, said, command, capsys):
    code, requests, _ = command(*words.split())
    assert (code, requests) == (1, [])
    shown = capsys.readouterr()
    assert shown.err.startswith(said) and shown.err.count("\n") == 1


@pytest.mark.parametrize("word", ["DE", "de", "German", "deutsch", "de-AT", "de_CH"])
def test_a_language_is_known_by_its_code_in_any_case_and_by_its_name(word, command):
    _, (request,), _ = command("caption", "a.jpg", "--language", word)
    assert request.language == "de"
    _, (request,), _ = command("translate", "a dog", "--from", "English", "--to", word)
    assert (request.source, request.target) == ("en", "de")


# --- models ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "routes"),
    [
        ("embed dog", {"": "builtin"}),
        ("embed dog --model mine", {"": "mine"}),
        ("embed dog --model mine --model search=theirs", {"": "theirs"}),
        ("embed dog --model ask=theirs", {"": "builtin"}),
        ("transcribe a.wav --model transcribe=w --model translate=m", {"": "w"}),
        ("transcribe a.wav --translate-to de --model transcribe=w", {"": "w", "translate": "builtin"}),
        ("transcribe a.wav --translate-to de --model m", {"": "m"}),
    ],
)
def test_only_the_models_of_the_command_are_opened(words, routes, folder):
    seen: list[tuple[Mapping[str, str], Settings]] = []

    def opener(routes: Mapping[str, str], settings: Settings) -> FakeHost:
        seen.append((routes, settings))
        return FakeHost()

    assert main([*words.split(), "--device", "cpu"], opener=opener) == 0
    assert seen == [(routes, Settings(device="cpu"))]


# --- streams and signals ------------------------------------------------------------------------------------------


def test_output_is_utf8_whatever_the_console_says(command, monkeypatch):
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii"))
    assert command("caption", "a.jpg", "--language", "zh")[0] == 0
    assert written.getvalue().decode("utf-8") == "一只狗在沙滩上奔跑。\n"


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="no such file names there")
def test_a_file_name_that_is_no_text_comes_out_as_its_bytes_and_json_stays_utf8(command, folder, monkeypatch):
    (folder / os.fsdecode(b"caf\xe9.jpg")).write_bytes(b"media")
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="utf-8"))
    assert command("caption", "a.jpg", os.fsdecode(b"caf\xe9.jpg"))[0] == 0
    assert written.getvalue().splitlines()[1].startswith(b"caf\xe9.jpg: A dog")
    before = len(written.getvalue())
    assert command("caption", os.fsdecode(b"caf\xe9.jpg"), "--json")[0] == 0
    assert json.loads(written.getvalue()[before:].decode("utf-8"))["file"] == "caf\udce9.jpg"


def scripted(tmp_path: Path, script: str) -> list[str]:
    """A program that runs `main` with a scripted host."""
    program = tmp_path / "program.py"
    program.write_text(
        "import sys, time\n"
        "from engines.cli import main\n"
        "from engines.protocol import *\n"
        "from tests.fake_host import FakeHost\n"
        f"{script}\n"
        "host = FakeHost(scripts={CaptionRequest: answers})\n"
        "sys.exit(main(sys.argv[1:], opener=lambda routes, settings: host))\n"
    )
    return [sys.executable, str(program)]


ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}
LONG = "def answers(request):\n    yield CaptionResult(request=request, text='word ' * 30_000, end='finished')"
DEAF = """
def answers(request):
    yield CaptionResult(request=request)
    print("begun", file=sys.stderr, flush=True)
    while True:  # like a step of a model that no stop reaches
        try:
            time.sleep(3600)
        except KeyboardInterrupt:
            pass
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt" or shutil.which("head") is None, reason="no pipes of this kind here")
def test_a_reader_that_goes_away_ends_it_quietly(folder):
    words = [*scripted(folder, LONG), "caption", *["a.jpg", "b.jpg"] * 200]
    program = subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=folder, env=ENVIRONMENT, text=True
    )
    assert program.stdout is not None and program.stderr is not None
    assert program.stdout.read(10) == "a.jpg: wor"
    program.stdout.close()
    assert program.stderr.read() == ""
    assert program.wait(60) == 141


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no disk here that is always full")
def test_output_that_cannot_be_written_ends_the_run_with_one_sentence(folder):
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [*scripted(folder, LONG), "caption", "a.jpg", "b.jpg"],
            stdout=full, stderr=subprocess.PIPE, cwd=folder, env=ENVIRONMENT, text=True, check=False,
        )  # fmt: skip
    assert ended.returncode == 1
    assert ended.stderr == "standard output cannot be written: No space left on device\n"


@pytest.mark.skipif(os.name == "nt" or shutil.which("sh") is None, reason="no shell here that closes streams")
@pytest.mark.parametrize(
    ("closed", "words", "code", "out", "err"),
    [
        ("<&-", ("caption", "a.jpg", "-"), 1, "a.jpg: short\n", "-: nothing came on standard input\n"),
        (">&-", ("caption", "a.jpg", "--output-dir", "out", "--quiet"), 0, "", ""),
        ("<&- 2>&-", ("caption", "a.jpg", "gone.jpg"), 1, "a.jpg: short\n", ""),
    ],
)
def test_a_stream_that_is_closed_from_the_start_is_an_empty_one(closed, words, code, out, err, folder):
    """As a service or a shell script may start it."""
    program = scripted(folder, LONG.replace("'word ' * 30_000", "'short'"))
    command = ["sh", "-c", f'exec "$0" "$@" {closed}', *program, *words]
    ended = subprocess.run(command, capture_output=True, cwd=folder, env=ENVIRONMENT, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (code, out, err)
    if "--output-dir" in words:
        assert (folder / "out" / "a.txt").read_text() == "short\n"


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="no SIGINT there")
def test_ctrl_c_ends_even_what_swallows_it(folder):
    words = [*scripted(folder, DEAF), "caption", "a.jpg"]
    program = subprocess.Popen(words, stderr=subprocess.PIPE, cwd=folder, env=ENVIRONMENT, text=True)
    assert program.stderr is not None
    try:
        assert program.stderr.readline() == "begun\n"
        program.send_signal(signal.SIGINT)
        assert "stopped" in program.stderr.read()  # to its end, which is the program's
        assert program.wait() == 130
    finally:
        program.kill()


@pytest.mark.slow
def test_the_module_is_the_same_program_and_a_missing_file_is_one_sentence_with_its_path():
    command = [sys.executable, "-m", "engines", "caption", "photos/gone.jpg", "--device", "cpu"]
    shown = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert (shown.returncode, shown.stderr) == (1, "photos/gone.jpg: there is no such file\n")


def test_logging_is_more_or_less_as_asked(command, capsys):
    def broken(request: object) -> object:
        raise ZeroDivisionError("a defect")

    code, _, _ = command("caption", "a.jpg", "b.jpg", host=FakeHost(scripts={CaptionRequest: broken}))
    err = capsys.readouterr().err
    assert code == 1 and err.count("this failed unexpectedly (ZeroDivisionError('a defect'))") == 2
    assert "Traceback" not in err


def test_a_text_that_breaks_off_says_so_beside_it(command, capsys):
    cut = {AskRequest: lambda request: iter([AskResult(request=request, text="A dog and", end="cut")])}
    assert command("ask", "a.mp4", "Who?", host=FakeHost(scripts=cut))[0] == 0
    said = capsys.readouterr()
    assert said.out == "A dog and\n" and said.err.startswith("a.mp4: the text breaks off here")


def test_one_bad_file_does_not_stop_the_rest(command, capsys):
    def some(request: CaptionRequest) -> object:
        if request.media == Path("a.jpg"):
            raise MediaError("test", "a.jpg is damaged.")
        yield from FakeHost().stream(request)

    code, _, _ = command("caption", "a.jpg", "gone.jpg", "b.jpg", host=FakeHost(scripts={CaptionRequest: some}))
    assert code == 1
    assert capsys.readouterr() == (
        "b.jpg: A dog runs on the beach.\n",
        "gone.jpg: there is no such file\na.jpg: a.jpg is damaged.\n",
    )
