"""Architecture rules: which module may import which, where a library may be used, and how files are named.

Imports are read from the source with `ast`, so the rules hold for imports inside functions too. Each rule is one test
that lists every violation.
"""

from __future__ import annotations

import ast
import importlib
import itertools
import re
import subprocess
import sys
import threading
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from engines.hosts.builtin import BuiltinHost
from engines.hosts.router import Router
from engines.media import reading
from engines.model import checkpoint
from engines.protocol import CaptionRequest, run
from tests.conftest import write_photo

ROOT = Path(__file__).resolve().parent.parent

BASE = (
    "engines.errors", "engines.metadata", "engines.paths", "engines.protocol", "engines.settings",
    "engines.tensor_files",
)  # fmt: skip
MEDIA = (*BASE, "engines.media")

# What the page may use besides public names: work in threads, devices, where files are, what a file holds, subtitles,
# the API it serves.
FOR_THE_PAGE = (
    "engines.background", "engines.device", "engines.folders", "engines.home", "engines.hosts.api_server",
    "engines.index.history", "engines.index.shipped", "engines.media", "engines.paths", "engines.subtitles",
    "engines.text", "engines.words",
)  # fmt: skip

# Module or package -> the modules of this repository it may import besides its own package. The longest match counts.
ARROWS: dict[str, tuple[str, ...]] = {
    "engines": (*BASE, "engines.hosts", "engines.report"),  # the public face
    "engines.errors": ("engines.paths",),
    "engines.folders": (),
    "engines.home": ("engines.errors",),
    "engines.paths": (),
    "engines.tensor_files": (),
    "engines.metadata": ("engines.errors",),
    "engines.protocol": ("engines.errors", "engines.metadata"),
    "engines.settings": ("engines.errors",),
    "engines.report": BASE,
    "engines.background": BASE,
    "engines.device": ("engines.errors",),
    "engines.media": BASE,
    "engines.subtitles": BASE,
    "engines.subtitle_files": BASE,
    "engines.index": BASE,
    "engines.text": BASE,
    "engines.archives": (*BASE, "engines.media"),
    "engines.model": (*BASE, "engines.text"),
    "engines.align": (*BASE, "engines.text"),
    "engines.decoding": (*BASE, "engines.model", "engines.text"),
    "engines.meaning": (*BASE, "engines.text"),
    "engines.words": ("engines.text",),
    "engines.encoder": (
        *MEDIA, "engines.decoding", "engines.index", "engines.meaning", "engines.model", "engines.text",
    ),
    "engines.tasks": (
        *MEDIA, "engines.align", "engines.decoding", "engines.folders", "engines.index", "engines.model",
        "engines.encoder", "engines.subtitles", "engines.subtitle_files", "engines.text", "engines.words",
    ),
    "engines.hosts": (
        *MEDIA, "engines.device", "engines.model", "engines.encoder", "engines.subtitles", "engines.tasks",
    ),
    "engines.training": (
        *MEDIA, "engines.archives", "engines.decoding", "engines.device", "engines.evaluation", "engines.hosts",
        "engines.model", "engines.encoder", "engines.text",
    ),
    # Clips for questions are composed by the code that composes them for training.
    "engines.evaluation": (
        *MEDIA, "engines.archives", "engines.text", "engines.training.clips",
        "engines.training.concept_groups", "engines.training.lexicon", "engines.training.questions",
    ),
    "engines.evaluation.__main__": (*BASE, "engines", "engines.evaluation", "engines.hosts"),
    # "Teach it" is measured as it serves.
    "engines.evaluation.fewshot": (
        *BASE, "engines.archives", "engines.evaluation", "engines.lab.fewshot_head", "engines.training.lexicon",
    ),
    "engines.evaluation.speed": (
        *BASE, "engines.archives", "engines.device", "engines.evaluation", "engines.hosts", "engines.model",
        "engines.text",
    ),
    # The lab runs the product's own parts on small material; what it learns for the page is learnt here too.
    "engines.lab": (
        *MEDIA, "engines.archives", "engines.decoding", "engines.home", "engines.hosts", "engines.model",
        "engines.encoder", "engines.tasks", "engines.text", "engines.training",
    ),
    "engines.__main__": ("engines.cli",),
    "engines.cli": (
        *BASE, "engines", "engines.folders", "engines.hosts", "engines.index", "engines.media", "engines.report",
        "engines.subtitles", "engines.tasks.workers",
    ),
    "engines.cli.translate": (
        *BASE, "engines.cli", "engines.media", "engines.subtitle_files", "engines.text",
    ),
    "engines.cli.history": (*BASE, "engines.cli", "engines.home", "engines.index"),
    "engines.cli.labels": (*BASE, "engines.cli", "engines.home", "engines.lab", "engines.media"),
    # Commands that are whole programs, each with its own parser.
    "engines.cli.table": (
        *BASE, "engines", "engines.cli", "engines.evaluation.__main__", "engines.hosts.publish", "engines.lab.__main__",
        "engines.training.train", "studio.cli",
    ),
    "scripts": ("engines",),
    "scripts.load": ("engines", "scripts.tables", "studio.server"),
    "scripts.prepare_samples": ("engines", "engines.index", "engines.paths", "engines.tasks", "studio.thumbnails"),
    "scripts.record_tour": ("engines", "scripts.take_pictures", "studio.server"),
    "scripts.take_pictures": ("engines", "engines.paths", "studio.server"),
    "studio": ("engines", "engines.lab", *FOR_THE_PAGE),
    "launch": ("studio.__main__", "studio.bootstrap", "studio.cli"),
    "studio.__main__": ("engines.cli", "studio.cli", "studio.sharing"),
    "studio.bootstrap": (),
    "studio.cli": (
        "engines", "engines.cli.models", "engines.cli.process", "engines.home", "studio.gradio_import", "studio.server",
        "studio.sharing",
    ),
}  # fmt: skip

# Inside engines/model a file imports only files of the rows before its own.
MODEL_ORDER = (
    {"answer_head", "config", "features"},
    {"concepts", "parts"},
    {"picture", "sound"},
    {"text", "translation_adapter"},
    {"fusion"},
    {"checkpoint", "public"},
)

# Library -> the only modules that may import it.
LIBRARIES: dict[str, tuple[str, ...]] = {
    "gradio": ("studio",),
    "gradio_client": ("studio",),
    "fastapi": ("studio",),
    "uvicorn": ("studio",),
    "sqlite3": ("engines.index",),
    "lancedb": ("engines.index.lance",),
    "pyarrow": ("engines.index.lance",),
    "av": ("engines.media", "engines.archives"),
    "transformers": (
        "engines.evaluation.speed", "engines.hosts.pretrained", "engines.model.public", "engines.training",
    ),
    "sklearn": (),
    "torchao": ("engines.hosts.pretrained.weights",),
    "psutil": ("engines.device", "studio.uploads"),
    "mcp": ("studio.mcp_server",),
    "accelerate": ("engines.training",),
    "huggingface_hub": ("engines.hosts.download", "engines.hosts.hub", "engines.hosts.publish"),
    "openai": ("engines.hosts.openai_client",),
    "opencc": ("engines.hosts.results",),
    "starlette": ("engines.hosts.api_server", "studio"),
    "sacrebleu": ("engines.evaluation",),
    "torch": (
        "engines.decoding", "engines.device", "engines.evaluation.fewshot", "engines.evaluation.speed", "engines.hosts",
        "engines.lab", "engines.media", "engines.model",
        "engines.encoder", "engines.tasks", "engines.training",
    ),
}  # fmt: skip

BANNED_NAMES = re.compile(r"(utils?|commons?|shared|misc|helpers?|stuff|tools?)$")
LINES_AT_MOST = 600
"""400 lines are a reason to look for a seam; more than this is too much for one reader."""


@dataclass(frozen=True)
class Source:
    """One source file: its module name and its content."""

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


def under(module: str, name: str) -> bool:
    """Whether a module is `name` or lies in the package of that name."""
    return module == name or module.startswith(f"{name}.")


def rule_for(module: str, rules: dict[str, tuple[str, ...]]) -> str:
    return max((name for name in rules if under(module, name)), key=len)


# --- imports ------------------------------------------------------------------------------------------------------


def test_every_import_is_allowed():
    wrong = []
    for source in SOURCES:
        rule = rule_for(source.module, ARROWS)
        if rule == "engines" and source.module != "engines":
            wrong.append(f"{source.module} has no row in ARROWS")
        for imported in source.imports() & MODULES:
            if rule != "engines" and under(imported, rule):
                continue
            exact = {"engines"} if rule != "scripts" else set()  # only the public face, and not all below it
            if not any(imported == name if name in exact else under(imported, name) for name in ARROWS[rule]):
                wrong.append(f"{source.module} imports {imported}; it may import {ARROWS[rule]}")
    assert not wrong, "\n".join(wrong)


def test_a_library_is_imported_only_where_it_belongs():
    wrong = [
        f"{source.module} imports {library}; only {LIBRARIES[library]} may"
        for source in SOURCES
        for library in {name.split(".")[0] for name in source.imports()} & LIBRARIES.keys()
        if not any(under(source.module, home) for home in (*LIBRARIES[library], "scripts"))
    ]
    assert not wrong, "\n".join(wrong)


def test_no_files_import_each_other_in_a_circle():
    links = {(source.module, imported) for source in SOURCES for imported in source.imports() & MODULES}
    links -= {(module, module) for module in MODULES}
    n_links = -1
    while n_links != len(links):  # what imports nothing, or is imported by nothing, is in no circle
        n_links = len(links)
        importing, imported_by = {one for one, _ in links}, {other for _, other in links}
        links = {(one, other) for one, other in links if other in importing and one in imported_by}
    assert not links, f"circles among: {sorted(links)}"


def test_the_rules_speak_only_of_what_is_there():
    rows = {*ARROWS, *itertools.chain(*ARROWS.values(), *LIBRARIES.values())}
    assert rows <= MODULES


def test_the_model_is_built_upwards_from_its_config():
    row_of = {name: row for row, names in enumerate(MODEL_ORDER) for name in names}
    for source in SOURCES:
        if under(source.module, "engines.model") and not source.is_package:
            name = source.module.rpartition(".")[2]
            for imported in source.imports():
                if under(imported, "engines.model") and imported != "engines.model":
                    below = imported.rpartition(".")[2]
                    assert row_of[below] < row_of[name] or below == "config", f"{name} imports {below}"


def test_the_studio_uses_public_names_of_the_engines():
    engines = importlib.import_module("engines")
    public = {*engines.__all__, *(name.removeprefix("engines.") for name in FOR_THE_PAGE)}
    private = {
        source.module: names
        for source in SOURCES
        if under(source.module, "studio") and (names := source.names_from("engines") - public)
    }
    assert not private, f"put these into engines.__all__ or leave them: {private}"


def test_every_library_that_is_imported_is_declared():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *itertools.chain(*project["optional-dependencies"].values())]
    declared = {re.split(r"[^\w.-]", requirement)[0].replace("-", "_").lower() for requirement in wanted}
    imported = {name.split(".")[0] for source in SOURCES for name in source.imports()}
    foreign = imported - sys.stdlib_module_names - {"engines", "launch", "scripts", "studio", "__future__"}
    assert {{"PIL": "pillow", "sklearn": "scikit_learn"}.get(name, name).lower() for name in foreign} <= declared


# --- importing has no effect --------------------------------------------------------------------------------------


def run_python(program: str, folder: Path) -> str:
    """What a fresh Python says, run in `folder`, where it can import this program."""
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r}); {program}"]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout + ended.stderr


def test_importing_the_engines_loads_nothing_heavy(tmp_path):
    heavy = "{'torch', 'torchaudio', 'transformers', 'gradio', 'av', 'PIL', 'sentencepiece'}"
    assert run_python(f"import engines.lab; print({heavy} & sys.modules.keys())", tmp_path) == "set()\n"


def test_importing_any_module_says_nothing_starts_nothing_and_writes_nothing(tmp_path):
    modules = [source.module for source in SOURCES]
    program = f"import importlib, threading; [importlib.import_module(name) for name in {modules}]"
    assert run_python(f"{program}; print(threading.active_count())", tmp_path) == "1\n"
    assert list(tmp_path.iterdir()) == []


def test_the_public_names_are_exact_sorted_and_there():
    engines = importlib.import_module("engines")
    names = list(engines.__all__)
    public = {name for name in vars(engines) if not name.startswith("_")}
    modules = {name for name in public if type(vars(engines)[name]).__name__ == "module"}
    assert set(names) == public - modules - {"annotations"}
    assert names == sorted(set(names), key=lambda name: (not name.isupper(), name[0].islower(), name))


def test_every_request_result_and_error_is_public():
    from engines import errors, protocol

    of_the_protocol = {name for name in vars(protocol) if name.endswith(("Request", "Result")) and name[0].isupper()}
    assert of_the_protocol | set(errors.__all__) <= set(importlib.import_module("engines").__all__)


# --- files --------------------------------------------------------------------------------------------------------


def test_files_are_short_documented_and_named_for_what_they_hold():
    wrong = []
    for source in SOURCES:
        n_lines = len(source.text.splitlines())
        if n_lines > LINES_AT_MOST:
            wrong.append(f"{source.module} has {n_lines} lines; at most {LINES_AT_MOST}")
        if any(BANNED_NAMES.match(part) for part in source.module.split(".")):
            wrong.append(f"{source.module} is named for nothing of the field")
        if not ast.get_docstring(source.tree):
            wrong.append(f"{source.module} has no docstring")
    assert not wrong, "\n".join(wrong)


def test_no_exception_is_caught_unnamed_or_swallowed_whole():
    wrong = []
    for source in SOURCES:
        for node in ast.walk(source.tree):
            if isinstance(node, ast.ExceptHandler):
                blanket = isinstance(node.type, ast.Name) and node.type.id in ("Exception", "BaseException")
                idle = all(isinstance(step, ast.Pass | ast.Continue) for step in node.body)
                if node.type is None or (blanket and idle):
                    wrong.append(f"{source.module}:{node.lineno}")
    assert not wrong, wrong


# --- the way of a request -----------------------------------------------------------------------------------------


def test_a_caption_passes_at_most_15_files_in_one_direction(photo, tmp_path):
    """The deepest chain of files in each thread; where one hands over to the next the way goes on there."""
    chains: dict[str, set[str]] = {}

    def follow(frame, event, _):
        files, step = set(), frame if event == "call" else None
        while step is not None:
            if step.f_code.co_filename.startswith(str(ROOT / "engines")):
                files.add(Path(step.f_code.co_filename).relative_to(ROOT / "engines").with_suffix("").as_posix())
            step = step.f_back
        name = threading.current_thread().name
        chains[name] = max(chains.get(name, set()), files, key=len)

    path = write_photo(tmp_path / "photo.png", photo)
    threading.setprofile(follow)  # of threads that begin from now on, as the host's worker
    router = Router({"": BuiltinHost(checkpoint.tiny())})
    try:
        sys.setprofile(follow)
        assert run(router, CaptionRequest(media=path)).done
        caller = chains.pop(threading.current_thread().name)
        reading.load_photo(path)  # what the child process does with it
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
        router.close()
    to_pixels = (
        {"tasks/caption", "encoder", "media/child"} | chains["read ahead"] | chains[threading.current_thread().name]
    )
    for way in (chains["host tiny"], to_pixels):
        assert len({"tabs/panel", "stream"} | caller | way) <= 15, way
