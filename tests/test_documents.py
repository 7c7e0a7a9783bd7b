"""README, docs and lessons: links lead somewhere, figures are generated, every command and program in them is real."""

from __future__ import annotations

import argparse
import ast
import importlib
import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import engines
from engines.cli import main
from engines.cli.table import COMMANDS, command_parser
from engines.paths import ASSETS
from scripts import tables
from studio import cli
from studio.server import start
from tests.fake_host import CAPTIONS, SPEECH, FakeHost, LentHost

ROOT = Path(__file__).resolve().parents[1]
LESSONS = sorted((ASSETS / "lessons").rglob("*.md"))
DOCUMENTS = sorted(
    [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "scripts").glob("*.md"),
        *LESSONS,
        ASSETS / "models/builtin/CARD.md",
    ]
)
RUN = ("README.md", "README.zh.md", "api.md", "cli.md")
"""Every block of these is run: here, and docs/cli.md by tests/engines/cli/test_docs.py."""
NOT_RUN = "<!-- not run: why -->"
PROGRAM = re.compile(
    r"(\S+=\S+ )*(\S*python|pip|pipx|uv|uvicorn|fusion-studio|docker|curl|git|ray|vllm|serve|torchrun) "
)
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")


def blocks(language: str) -> list[tuple[Path, str]]:
    """Every block of a language in the documents."""
    return [
        (path, body) for path in DOCUMENTS for kind, body in BLOCK.findall(path.read_text("utf-8")) if kind == language
    ]


def sentences() -> list[tuple[Path, str]]:
    """Every command with arguments within a sentence; not the forms of many (COMMAND, ...) and what once was."""
    return [
        (path, said)
        for path in DOCUMENTS
        if path.name != "CHANGELOG.md"
        for said in INLINE.findall(BLOCK.sub("", path.read_text("utf-8")))
        if not re.fullmatch(r"(python -m engines|fusion-studio|python launch.py) \w+|python -m [\w.]+", said)
        and not re.search(r"COMMAND|\.\.\.|\|", said)
    ]


def commands() -> list[tuple[Path, list[str]]]:
    """Every command of ours in the documents, as words; "python launch.py" and the like stand in front."""
    found = []
    for path, body in [*blocks(""), *blocks("sh"), *blocks("bash"), *blocks("console"), *sentences()]:
        for line in body.replace("\\\n", " ").splitlines():
            try:
                words = shlex.split(line.removeprefix("$ "), comments=True)
            except ValueError:  # an apostrophe in what a program printed
                continue
            while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):
                words = words[1:]
            if words and words[0] in ("python", "fusion-studio", ".venv/bin/python"):
                found.append((path, words))
    for path in LESSONS:  # their commands stand in sentences, too
        found += [(path, shlex.split(line)) for line in re.findall(r"`(python [^`\n]+)`", path.read_text("utf-8"))]
    return found


def test_every_link_leads_to_a_file():
    for path in DOCUMENTS:
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", path.read_text("utf-8")):
            if "://" not in target:
                assert (path.parent / target).exists(), f"{path.relative_to(ROOT)} links to {target}"


def test_every_source_file_that_is_named_is_there():
    for path in DOCUMENTS:
        if path.name != "CHANGELOG.md":
            for name in re.findall(
                r"`((?:engines|studio|scripts|tests|assets|docs)/[\w./-]+\.\w+)`", path.read_text("utf-8")
            ):
                assert (ROOT / name).exists(), f"{path.relative_to(ROOT)} names {name}"


def test_both_readmes_have_the_same_sections_and_commands():
    english, chinese = ((ROOT / name).read_text("utf-8") for name in ("README.md", "README.zh.md"))
    assert len(re.findall("^## ", english, re.M)) == len(re.findall("^## ", chinese, re.M))
    for mark in ("launch.py", "headline", "```python"):
        assert english.count(mark) == chinese.count(mark)


def test_every_table_of_figures_is_the_generated_one():
    made = {name: table for name, table in tables.tables().items() if name != "known"}  # a minute; it has its own test
    for path in DOCUMENTS:
        text = path.read_text("utf-8")
        assert tables.fill(text, made) == text, f"run python -m scripts.tables: {path.relative_to(ROOT)} is out of date"


class Understood(Exception):
    """A parser has taken every word."""


def understand(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the parser that a command belongs to read it, and stop there. Raises SystemExit for a word that is wrong."""
    parse = argparse.ArgumentParser.parse_args

    def parse_only(parser: argparse.ArgumentParser, *given: Any) -> None:
        parse(parser, *given)
        raise Understood

    if words[:2] == ["python", "launch.py"] or words[:3] == ["python", "-m", "engines"] or words[0] == "fusion-studio":
        after = words[1:] if words[0] == "fusion-studio" else words[3:] if words[1] == "-m" else words[2:]
        if cli.asks_for_page(after):
            with suppress(SystemExit):  # of --help
                cli.parse([word for word in after if word != "--help"], "launch.py")
        elif after[0] != "test":
            (command,) = [command for command in COMMANDS if command.name == after[0]]
            if command.program is None:
                command_parser(command).parse_intermixed_args(after[1:])
                return
            monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse_only)
            with pytest.raises(Understood):
                command.program(after[1:])
    elif words[1] == "-m" and words[2].partition(".")[0] in ("engines", "scripts", "studio"):
        module = importlib.import_module(words[2])
        if not hasattr(module, "main"):
            module = importlib.import_module(f"{words[2]}.__main__")
        monkeypatch.setattr(sys, "argv", words[2:])
        monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse_only)
        with pytest.raises(Understood):
            module.main()


def test_every_command_is_understood_by_its_parser(monkeypatch):
    assert len(commands()) > 20
    for path, words in commands():
        words = words[: words.index("|")] if "|" in words else words
        try:
            with monkeypatch.context() as here:
                understand(words, here)
        except (SystemExit, ValueError) as error:
            pytest.fail(f"{path.relative_to(ROOT)}: {shlex.join(words)}: {error}")


def test_every_module_that_is_named_as_a_program_is_there():
    for path in DOCUMENTS:
        if path.name != "CHANGELOG.md":
            for name in re.findall(r"python -m ((?:engines|scripts|studio)[\w.]*\w)", path.read_text("utf-8")):
                found = importlib.util.find_spec(name)
                assert found is not None, f"{path.relative_to(ROOT)} names {name}"
                is_package = found.submodule_search_locations is not None
                assert not is_package or importlib.util.find_spec(f"{name}.__main__"), f"{name} cannot be run"


def test_every_block_of_commands_is_run_or_marked_as_not_run():
    for path in DOCUMENTS:
        if path.name in RUN:
            continue
        for found in BLOCK.finditer(text := path.read_text("utf-8")):
            is_program = found[1] == "python" or any(PROGRAM.match(line) for line in found[2].splitlines())
            if is_program and not text[: found.start()].rstrip().endswith("-->"):
                pytest.fail(f"{path.relative_to(ROOT)}: say why it is not run above: {NOT_RUN}\n{found[0]}")


def test_no_program_stands_in_an_indented_block_which_the_other_tests_do_not_see():
    for path in DOCUMENTS:
        for line in BLOCK.sub("", path.read_text("utf-8")).splitlines():
            if line.startswith("    "):
                is_program = PROGRAM.match(line.strip()) or re.match(r"(nginx|export|cd|systemctl|sudo) ", line.strip())
                assert not is_program, f"{path.relative_to(ROOT)}: put this between ``` lines: {line.strip()}"


def test_every_folder_of_data_that_is_read_is_in_both_tables_of_its_paper():
    reader = (ROOT / "engines/archives.py").read_text("utf-8")
    parts = set(re.findall(r'(?:\bdata / |_found\(data, )"(\w+)"', reader))
    assert parts >= {"photos", "naming", "photo_qa", "captions", "speech", "sounds", "text", "fewshot", "video"}
    paper = (ROOT / "docs/data.md").read_text("utf-8")
    assert parts <= set(re.findall(r"^\| `(\w+)/` \|", paper, re.MULTILINE))
    assert parts - {"video"} <= set(re.findall(r"^\| (\w+) \|", paper, re.MULTILINE))  # clips are composed


@pytest.mark.slow
def test_the_commands_of_the_readmes_run(builtin, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "assets").symlink_to(ASSETS)
    ran = []
    for path, words in commands():
        is_shown = path.name.startswith("README") and words[:2] == ["python", "launch.py"]
        if is_shown and not cli.asks_for_page(words[2:]):
            assert main(words[2:], opener=lambda _, __: LentHost(builtin)) == 0, (words, capsys.readouterr())
            ran.append(capsys.readouterr().out)
    assert "dog" in ran[0] and "-->" in ran[1] and "dog.jpg" in ran[4], ran[4]
    assert "dog" in ran[6] or "cat" in ran[6] or "none" in ran[6], ran[6]


@pytest.fixture
def studio(tmp_path, monkeypatch) -> Iterator[str]:
    """A studio over the scripted host, and a folder with the files that docs/api.md names."""
    monkeypatch.chdir(tmp_path)
    for name, sample in (("photo.jpg", "dog.jpg"), ("talk.mp3", "all-busy.mp3")):
        (tmp_path / name).write_bytes((ASSETS / "samples" / sample).read_bytes())
    with start(FakeHost(), home=tmp_path / "home", devices=("cpu",)) as served:
        yield served.url


def test_the_programs_of_the_api_paper_run(studio):
    shells = {"python": [sys.executable, "-c"], "bash": ["bash", "-euc"]}
    printed = []
    for language, shell in shells.items():
        for path, body in blocks(language):
            if path.name == "api.md":
                command = [*shell, body.replace("http://127.0.0.1:7860", studio)]
                ended = subprocess.run(command, capture_output=True, text=True, check=False)
                assert ended.returncode == 0, (body, ended.stderr)
                printed.append(ended.stdout)
    gradio, openai, upload, curl = printed
    _, first, *partial = gradio.splitlines()  # the first says where the client is
    assert first == CAPTIONS["de"] and partial[-1] == " ".join(SPEECH["en"])
    assert openai.startswith("1\n00:00:00,500 --> ")
    assert "event: complete" in upload and CAPTIONS["en"] in upload
    assert json.loads(curl)["words"][0]["word"] == "Good"


def test_every_python_block_compiles_and_imports_public_names():
    assert blocks("python")
    for path, body in blocks("python"):
        tree = ast.parse(body)
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module == "engines":
                unknown = {alias.name for alias in node.names} - set(engines.__all__)
                assert not unknown, f"{path.relative_to(ROOT)} imports {unknown}"


@pytest.mark.slow
def test_the_readmes_program_runs(builtin):
    (program,) = [body for path, body in blocks("python") if path.name == "README.md" and path.parent == ROOT]
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert len(ended.stdout.splitlines()) == 4 and "dog" in ended.stdout.splitlines()[0]
