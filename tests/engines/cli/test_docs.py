"""docs/cli.md: its tables are those of the parsers, and every example in it runs, or says why not."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from engines.cli.table import COMMANDS
from engines.index import Collection, Row
from scripts.tables import MARKS, with_options

PAGE = Path(__file__).resolve().parents[3] / "docs" / "cli.md"


def examples() -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line]


def test_the_tables_of_options_are_those_of_the_parsers():
    page = PAGE.read_text(encoding="utf-8")
    assert page == with_options(page), "write them anew: python -m scripts.tables docs/cli.md"
    told = {found[1] for found in MARKS.findall(page)}
    assert told == {"every", *(command.name for command in COMMANDS if command.program is None)}


def test_every_command_has_an_example():
    named = {name for line in examples() for name in re.findall(r"fusion-studio (\w+)", line)}
    assert named == {command.name for command in COMMANDS}


@pytest.fixture
def sample_folder(folder, monkeypatch) -> Path:
    """The current folder with every file that the examples name."""
    monkeypatch.setenv("FUSION_STUDIO_HOME", str(folder / "home"))
    for name in ("photo.jpg", "pictures/a.jpg", "holiday/b.jpg", "talk.mp3", "talks/one.mp3", "song.mp3", "clip.mp4",
                 "cat1.jpg", "cat2.jpg", "dog.jpg"):  # fmt: skip
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"media")
    (folder / "letter.txt").write_text("Dear all.")
    (folder / "talk.srt").write_text("1\n00:00:01,000 --> 00:00:02,500\nThat is it.\n")
    with Collection(folder / "pictures.db", model_digest="fake0000", create=True) as collection:
        for name, digest in (("a.jpg", "1"), ("copy.jpg", "1")):
            row = Row(str(folder / "pictures" / name), "photo", 0.0, 0.0, np.eye(1, 256, dtype=np.float32)[0])
            collection.put(folder / "pictures" / name, digest, [row])
    return folder


@pytest.mark.usefixtures("sample_folder")
def test_the_examples_run(command, capsys):
    for line in examples():
        words, _, why = line.partition("   # not run: ")
        if why:
            continue
        program, *arguments = shlex.split(words)
        code = command(*arguments)[0]
        shown = capsys.readouterr()
        only_failure = "broken.jpg" if arguments[0] == "index" else ""  # of the scripted host
        assert program == "fusion-studio" and (code == 0 or (only_failure and only_failure in shown.err)), (line, shown)
