"""README and docs: links lead somewhere, figures are generated, and every command and program in them is real."""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import engines
from engines.paths import ASSETS
from scripts import tables
from studio import serving

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = sorted(
    [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "scripts").glob("*.md"),
        ASSETS / "models/builtin/CARD.md",
    ]
)
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[tuple[Path, str]]:
    """Every block of a language in the documents."""
    return [
        (path, body) for path in DOCUMENTS for kind, body in BLOCK.findall(path.read_text("utf-8")) if kind == language
    ]


def commands() -> list[tuple[Path, list[str]]]:
    """Every command of ours in the documents' blocks, as words; "python launch.py" and the like stand in front."""
    found = []
    for path, body in [*blocks(""), *blocks("sh"), *blocks("bash"), *blocks("console")]:
        for line in body.replace("\\\n", " ").splitlines():
            try:
                words = shlex.split(line.removeprefix("$ "), comments=True)
            except ValueError:  # an apostrophe in what a program printed
                continue
            while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):
                words = words[1:]
            if words and words[0] in ("python", "fusion-studio", ".venv/bin/python"):
                found.append((path, words))
    return found


def test_every_link_leads_to_a_file() -> None:
    for path in DOCUMENTS:
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", path.read_text("utf-8")):
            if "://" not in target:
                assert (path.parent / target).exists(), f"{path.relative_to(ROOT)} links to {target}"


def test_every_source_file_that_is_named_is_there() -> None:
    for path in DOCUMENTS:
        if path.name != "CHANGELOG.md":
            for name in re.findall(
                r"`((?:engines|studio|scripts|tests|assets|docs)/[\w./-]+\.\w+)`", path.read_text("utf-8")
            ):
                assert (ROOT / name).exists(), f"{path.relative_to(ROOT)} names {name}"


def test_both_readmes_have_the_same_sections_and_commands() -> None:
    english, chinese = ((ROOT / name).read_text("utf-8") for name in ("README.md", "README.zh.md"))
    assert len(re.findall("^## ", english, re.M)) == len(re.findall("^## ", chinese, re.M))
    for mark in ("launch.py", "headline", "```python"):
        assert english.count(mark) == chinese.count(mark)


def test_every_table_of_figures_is_the_generated_one() -> None:
    made = {name: table for name, table in tables.tables().items() if name != "known"}  # a minute; it has its own test
    for path in DOCUMENTS:
        text = path.read_text("utf-8")
        assert tables.fill(text, made) == text, f"run python -m scripts.tables: {path.relative_to(ROOT)} is out of date"


def test_every_command_is_one_that_there_is() -> None:
    assert len(commands()) > 20
    for path, words in commands():
        told = f"{path.relative_to(ROOT)}: {shlex.join(words)}"
        if words[:2] == ["python", "launch.py"] or words[0] == "fusion-studio":
            after = words[2:] if words[0] == "python" else words[1:]
            if after and not after[0].startswith("-"):
                assert after[0] in (*serving.COMMANDS, "serve", "test"), told
        elif words[1] == "-m":
            assert importlib.util.find_spec(words[2]) is not None, told


def test_every_python_block_compiles_and_imports_public_names() -> None:
    assert blocks("python")
    for path, body in blocks("python"):
        tree = ast.parse(body)
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module == "engines":
                unknown = {alias.name for alias in node.names} - set(engines.__all__)
                assert not unknown, f"{path.relative_to(ROOT)} imports {unknown}"


@pytest.mark.slow
def test_the_readmes_program_runs(builtin: object) -> None:
    (program,) = [body for path, body in blocks("python") if path.name == "README.md" and path.parent == ROOT]
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert len(ended.stdout.splitlines()) == 4 and "dog" in ended.stdout.splitlines()[0]
