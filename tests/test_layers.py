"""The floors of the house: who may import whom, how long a file may be, and what a file may be called.

Read from the source by `ast`, so that a rule holds for imports inside functions too.
"""

from __future__ import annotations

import ast
import importlib
import itertools
import re
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

BASE = ("engines.errors", "engines.protocol", "engines.settings")
MEDIA = (*BASE, "engines.media")

# What the page may use besides public names: which devices there are, what a file holds, subtitles.
FOR_THE_PAGE = ("engines.device", "engines.media", "engines.subtitles")

# Module or package -> what of the house it may import, besides its own package. The longest name that fits counts.
ARROWS: dict[str, tuple[str, ...]] = {
    "engines": (*BASE, "engines.hosts", "engines.report"),  # the public face
    "engines.errors": (),
    "engines.protocol": ("engines.errors",),
    "engines.settings": ("engines.errors",),
    "engines.report": BASE,
    "engines.device": ("engines.errors",),
    "engines.media": BASE,
    "engines.subtitles": BASE,
    "engines.index": BASE,
    "engines.text": BASE,
    "engines.archives": BASE,
    "engines.model": (*BASE, "engines.text"),
    "engines.decoding": (*BASE, "engines.model", "engines.text"),
    "engines.encoder": (*MEDIA, "engines.decoding", "engines.index", "engines.model", "engines.text"),
    "engines.tasks": (
        *MEDIA, "engines.decoding", "engines.index", "engines.model", "engines.encoder", "engines.subtitles",
        "engines.text",
    ),
    "engines.hosts": (*MEDIA, "engines.device", "engines.model", "engines.encoder", "engines.tasks"),
    "engines.training": (
        *MEDIA, "engines.archives", "engines.decoding", "engines.device", "engines.evaluation", "engines.hosts",
        "engines.model", "engines.encoder", "engines.text",
    ),
    # Clips for questions are composed by the code that composes them for training.
    "engines.evaluation": (
        *MEDIA, "engines.archives", "engines.text", "engines.training.clips", "engines.training.facts",
        "engines.training.questions",
    ),
    "engines.evaluation.__main__": (*BASE, "engines", "engines.evaluation", "engines.hosts"),
    "engines.evaluation.calibration": (
        *BASE, "engines.archives", "engines.evaluation", "engines.hosts", "engines.training.facts",
    ),
    # "Teach it" is measured as it serves.
    "engines.evaluation.fewshot": (
        *BASE, "engines.archives", "engines.evaluation", "engines.lab.fewshot", "engines.training.nouns",
    ),
    "engines.evaluation.precision": (
        *BASE, "engines.archives", "engines.device", "engines.evaluation", "engines.hosts", "engines.model",
        "engines.text",
    ),
    # The lab runs the product's own parts on small material; what it learns for the page is learnt here too.
    "engines.lab": (
        *MEDIA, "engines.archives", "engines.decoding", "engines.hosts", "engines.model", "engines.encoder",
        "engines.tasks", "engines.text", "engines.training",
    ),
    "engines.__main__": ("engines.cli",),
    "engines.cli": (
        *BASE, "engines", "engines.hosts", "engines.lab.commands", "engines.report", "engines.subtitles",
        "engines.tasks.crowd",
    ),
    "scripts": ("engines",),
    "studio": ("engines", "engines.lab", *FOR_THE_PAGE),
    "launch": ("engines", "studio.app", "studio.environment"),
    "studio.environment": (),
}  # fmt: skip

# Inside engines/model a file imports only files of the rows before its own.
MODEL_ORDER = ({"config", "features"}, {"parts"}, {"picture", "sound"}, {"text"}, {"fusion"}, {"checkpoint", "public"})

# Library -> the only parts of the house that may import it.
LIBRARIES: dict[str, tuple[str, ...]] = {
    "gradio": ("studio",),
    "gradio_client": ("studio",),
    "fastapi": ("studio",),
    "uvicorn": ("studio",),
    "sqlite3": ("engines.index",),
    "lancedb": ("engines.index.lance",),
    "pyarrow": ("engines.index.lance",),
    "av": ("engines.media", "engines.archives", "engines.training.voices"),
    "transformers": (
        "engines.evaluation.peers", "engines.evaluation.whispers", "engines.hosts.pretrained", "engines.model.public",
        "engines.training",
    ),
    "sklearn": (),
    "torchao": ("engines.hosts.pretrained.weights",),
    "psutil": ("engines.device",),
    "accelerate": ("engines.training",),
    "huggingface_hub": ("engines.hosts.download", "engines.hosts.hub"),
    "openai": ("engines.hosts.server",),
    "sacrebleu": ("engines.evaluation",),
    "torch": (
        "engines.decoding", "engines.device", "engines.evaluation.peers", "engines.evaluation.precision",
        "engines.evaluation.whispers", "engines.hosts", "engines.lab", "engines.media", "engines.model",
        "engines.encoder", "engines.tasks", "engines.training",
    ),
}  # fmt: skip

BANNED_NAMES = re.compile(r"(utils?|commons?|shared|misc|helpers?|stuff|tools?)$")
LINES_AT_MOST = {"launch": 300}


@dataclass(frozen=True)
class Source:
    """One source file of the house: its module name and what stands in it."""

    module: str
    path: Path

    @property
    def is_package(self) -> bool:
        return self.path.name == "__init__.py"

    @property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @property
    def tree(self) -> ast.Module:
        return _parsed(self.path)

    def imports(self) -> set[str]:
        """Every module imported anywhere in the file, by its full name."""
        found: set[str] = set()
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{self.module} imports relatively; say where from"
                for alias in node.names:
                    inner = f"{node.module}.{alias.name}"
                    found.add(inner if inner in MODULES else str(node.module))
        return found

    def names_from(self, module: str) -> set[str]:
        """The names imported from one module."""
        return {
            alias.name
            for node in ast.walk(self.tree)
            if isinstance(node, ast.ImportFrom) and node.module == module
            for alias in node.names
        }


@cache
def _parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _sources() -> list[Source]:
    files = [ROOT / "launch.py"]
    for package in ("engines", "scripts", "studio"):
        files += sorted((ROOT / package).rglob("*.py"))
    return [
        Source(".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"), file) for file in files
    ]


SOURCES = _sources()
MODULES = {source.module for source in SOURCES}
each_source = pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.module)


def under(module: str, name: str) -> bool:
    """Whether a module is `name` or lies in the package of that name."""
    return module == name or module.startswith(f"{name}.")


def rule_for(module: str, rules: dict[str, tuple[str, ...]]) -> str:
    return max((name for name in rules if under(module, name)), key=len)


# --- who may import whom ------------------------------------------------------------------------------------------


@each_source
def test_every_import_follows_an_arrow(source: Source) -> None:
    rule = rule_for(source.module, ARROWS)
    assert rule != "engines" or source.module == "engines", (
        f"{source.module} has no row in ARROWS; decide what it may use"
    )
    for imported in source.imports():
        if imported not in MODULES or (rule != "engines" and under(imported, rule)):
            continue
        allowed = any(
            imported == name if name == "engines" and rule != "scripts" else under(imported, name)
            for name in ARROWS[rule]
        )
        assert allowed, f"{source.module} imports {imported}; it may import {ARROWS[rule]}"


@each_source
def test_a_library_is_imported_only_where_it_belongs(source: Source) -> None:
    if under(source.module, "scripts"):  # nothing imports these at run time
        return
    for library in {name.split(".")[0] for name in source.imports()} & LIBRARIES.keys():
        homes = LIBRARIES[library]
        assert any(under(source.module, home) for home in homes), f"{source.module} imports {library}; only {homes} may"


def test_the_rules_speak_only_of_what_is_there() -> None:
    rows = {*ARROWS, *itertools.chain(*ARROWS.values(), *LIBRARIES.values())}
    assert rows <= MODULES


def test_the_model_is_built_upwards_from_its_config() -> None:
    row_of = {name: row for row, names in enumerate(MODEL_ORDER) for name in names}
    for source in SOURCES:
        if under(source.module, "engines.model") and not source.is_package:
            name = source.module.rpartition(".")[2]
            for imported in source.imports():
                if under(imported, "engines.model") and imported != "engines.model":
                    below = imported.rpartition(".")[2]
                    assert row_of[below] < row_of[name] or below == "config", f"{name} imports {below}"


@pytest.mark.parametrize("source", [s for s in SOURCES if under(s.module, "studio")], ids=lambda source: source.module)
def test_the_studio_uses_public_names_of_the_engines(source: Source) -> None:
    engines = importlib.import_module("engines")
    private = (
        source.names_from("engines") - set(engines.__all__) - {name.removeprefix("engines.") for name in FOR_THE_PAGE}
    )
    assert not private, f"{source.module} takes {private} from engines; put them into engines.__all__ or leave them"


def test_every_library_that_is_imported_is_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *itertools.chain(*project["optional-dependencies"].values())]
    declared = {re.split(r"[^\w.-]", requirement)[0].replace("-", "_").lower() for requirement in wanted}
    imported = {name.split(".")[0] for source in SOURCES for name in source.imports()}
    foreign = imported - sys.stdlib_module_names - {"engines", "launch", "scripts", "studio", "__future__"}
    assert {{"PIL": "pillow", "sklearn": "scikit_learn"}.get(name, name).lower() for name in foreign} <= declared


# --- importing has no effect --------------------------------------------------------------------------------------


def run_python(program: str, folder: Path) -> str:
    """What a fresh Python says, run in `folder` with the house on its path."""
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r}); {program}"]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout + ended.stderr


def test_importing_the_engines_loads_nothing_heavy(tmp_path: Path) -> None:
    heavy = "{'torch', 'torchaudio', 'transformers', 'gradio', 'av', 'PIL', 'sentencepiece'}"
    assert run_python(f"import engines.lab; print({heavy} & sys.modules.keys())", tmp_path) == "set()\n"


def test_importing_any_module_says_nothing_starts_nothing_and_writes_nothing(tmp_path: Path) -> None:
    modules = [source.module for source in SOURCES]
    program = f"import importlib, threading; [importlib.import_module(name) for name in {modules}]"
    assert run_python(f"{program}; print(threading.active_count())", tmp_path) == "1\n"
    assert list(tmp_path.iterdir()) == []


def test_the_public_names_are_exact_sorted_and_there() -> None:
    engines = importlib.import_module("engines")
    names = list(engines.__all__)
    public = {name for name in vars(engines) if not name.startswith("_")}
    modules = {name for name in public if type(vars(engines)[name]).__name__ == "module"}
    assert set(names) == public - modules - {"annotations"}
    assert names == sorted(set(names), key=lambda name: (not name.isupper(), name[0].islower(), name))


# --- files --------------------------------------------------------------------------------------------------------


@each_source
def test_a_file_can_be_read_in_one_go(source: Source) -> None:
    n_lines, at_most = len(source.text.splitlines()), LINES_AT_MOST.get(source.module, 600)
    assert n_lines <= at_most, f"{source.path.name} has {n_lines} lines; at most {at_most}"


@each_source
def test_a_file_is_named_after_something_in_the_house(source: Source) -> None:
    assert not any(BANNED_NAMES.match(part) for part in source.module.split("."))


@each_source
def test_a_file_opens_by_saying_what_it_is(source: Source) -> None:
    assert ast.get_docstring(source.tree), f"{source.module} has no docstring"


@each_source
def test_no_exception_is_caught_unnamed_or_swallowed_whole(source: Source) -> None:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None, f"{source.module}:{node.lineno} catches everything"
            blanket = isinstance(node.type, ast.Name) and node.type.id in ("Exception", "BaseException")
            idle = all(isinstance(step, ast.Pass | ast.Continue) for step in node.body)
            assert not (blanket and idle), f"{source.module}:{node.lineno} swallows every exception"
