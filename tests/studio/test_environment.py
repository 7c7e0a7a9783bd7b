"""The environment: made once, mended when broken, one plain sentence where it cannot be made.

Nothing is installed and no network is asked: venv, pip, the index and the driver only pretend.
"""

from __future__ import annotations

import ctypes
import errno
import http.client
import importlib.util
import io
import json
import os
import shutil
import subprocess
import sys
import tomllib
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from studio import environment
from studio.environment import SetupError

PROJECT = """\
[project]
dependencies = ["torch>=2.11", "torchaudio", "gradio>=6,<7"]
[project.optional-dependencies]
test = ["pytest-xdist>=3"]
"""
CONSTRAINTS = "# tested\ntorch==2.13.0\ntorchaudio==2.11.0\ngradio==6.31.0\npytest-xdist==3.8.0\n"
INSTALLED_BY = {".": ("torch==2.13.0+cpu", "torchaudio==2.11.0", "gradio==6.31.0"), ".[test]": ("pytest-xdist==3.8.0",)}


def put_package(folder: Path, name: str, version: str) -> None:
    """What an installed package leaves for importlib.metadata to find."""
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


class House:
    """A project folder in which venv and pip only pretend; `did` lists what they were asked for."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        self.did: list[str] = []
        self.free_bytes = 100e9
        self.cuda = 0
        self.pip: Callable[[str], None] = lambda what: None
        (root / "pyproject.toml").write_text(PROJECT)
        (root / "constraints.txt").write_text(CONSTRAINTS)
        monkeypatch.setattr(environment, "ROOT", root)
        monkeypatch.setattr(environment, "VENV", root / ".venv")
        monkeypatch.setattr(environment, "CONSTRAINTS", root / "constraints.txt")
        monkeypatch.setattr(environment, "make_venv", self._make_venv)
        monkeypatch.setattr(environment, "pip", self._pip)
        monkeypatch.setattr(environment, "mend_torchaudio", lambda: self.did.append("mend torchaudio"))
        monkeypatch.setattr(environment, "install_torch", lambda cuda: self.did.append(f"torch, cuda {cuda}"))
        monkeypatch.setattr(environment, "cuda_version", lambda: self.cuda)
        monkeypatch.setattr(environment, "torchaudio_loads", lambda: False)  # this Python will not do
        monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=self.free_bytes))

    def _make_venv(self) -> None:
        self.did.append("make .venv")
        shutil.rmtree(environment.VENV, ignore_errors=True)
        environment.venv_python().parent.mkdir(parents=True)
        environment.venv_python().touch()

    def _pip(self, *arguments: str) -> None:
        part = "test" if arguments[-1] == ".[test]" else ""
        assert not environment.stamp_file(part).exists(), "the stamp must be gone while anything is installed"
        self.did.append(f"pip {arguments[-1]}")
        self.pip(arguments[-1])
        for package in INSTALLED_BY[arguments[-1]]:
            put_package(environment.site_packages(), *package.split("=="))

    def start(self, extra: str = "") -> list[str]:
        """What a start does to the environment."""
        self.did.clear()
        assert environment.python(extra) == str(environment.venv_python())
        return list(self.did)


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    return House(tmp_path, monkeypatch)


ALL = ["make .venv", "torch, cuda 0", "pip .", "mend torchaudio"]


# --- when something is done, and when nothing ---------------------------------------------------------------------


def test_the_first_start_makes_everything_and_the_next_does_nothing(house: House) -> None:
    assert house.start() == ALL
    assert house.start() == []


def test_the_tests_add_their_own_packages_once(house: House) -> None:
    house.start()
    assert house.start("test") == ["pip .[test]"]
    assert house.start("test") == []
    assert house.start() == []


def test_new_requirements_are_installed_into_the_environment_that_is_there(house: House) -> None:
    house.start()
    (house.root / "constraints.txt").write_text(CONSTRAINTS + "numpy==2.4.6\n")
    assert house.start() == ["torch, cuda 0", "pip .", "mend torchaudio"]


@pytest.mark.parametrize("failure", [KeyboardInterrupt(), SetupError("no network", "")], ids=["Ctrl-C", "failure"])
def test_an_interrupted_set_up_is_begun_anew(house: House, failure: BaseException) -> None:
    def fail(what: str) -> None:
        raise failure

    house.pip = fail
    with pytest.raises(type(failure)):
        house.start()
    house.pip = lambda what: None
    assert house.start() == ALL


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"python": "2.7"}'])
def test_a_damaged_or_foreign_stamp_has_everything_made_anew(house: House, content: str) -> None:
    house.start()
    environment.stamp_file("").write_text(content)
    assert house.start() == ALL


def test_a_package_that_went_away_is_put_back(house: House) -> None:
    house.start()
    shutil.rmtree(environment.site_packages() / "gradio-6.31.0.dist-info")
    assert house.start() == ["torch, cuda 0", "pip .", "mend torchaudio"]


def test_an_environment_whose_python_went_away_is_made_anew(house: House) -> None:
    house.start()
    environment.venv_python().unlink()
    assert house.start() == ALL


def test_a_condemned_environment_is_made_anew(house: House) -> None:
    house.start()
    environment.condemn()
    assert house.start() == ALL


def test_a_new_nvidia_driver_has_everything_made_anew_and_one_that_goes_changes_nothing(house: House) -> None:
    house.start()
    house.cuda = 13000
    assert house.start() == ["make .venv", "torch, cuda 13000", "pip .", "mend torchaudio"]
    house.cuda = 0
    assert house.start() == []


def test_packages_still_missing_after_all_are_named_and_the_set_up_does_not_count(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(INSTALLED_BY, ".", ("torch==2.13.0", "gradio==6.30.0"))
    with pytest.raises(SetupError, match="After the set-up torchaudio, gradio is still missing; start again"):
        house.start()
    assert not environment.stamp_file("").exists()


def test_what_is_being_done_is_said(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    house.start()
    said = capsys.readouterr().out
    assert "Setting up Fusion Studio; this takes a few minutes, once." in said and "Set up in 0 s." in said
    house.start("test")
    assert "Adding what the tests need" in capsys.readouterr().out
    (house.root / "constraints.txt").write_text(CONSTRAINTS + "numpy==2.4.6\n")
    house.start()
    assert "Bringing the environment up to date" in capsys.readouterr().out


# --- a Python that has everything ---------------------------------------------------------------------------------


@pytest.fixture
def furnished(house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on this Python's path that has all packages of the project, tests included."""
    folder = tmp_path / "elsewhere"
    for packages in INSTALLED_BY.values():
        for package in packages:
            put_package(folder, *package.split("=="))
    monkeypatch.setattr(sys, "path", [str(folder)])
    monkeypatch.setattr(environment, "torchaudio_loads", lambda: True)
    return folder


@pytest.mark.parametrize("extra", ["", "test"])
def test_a_python_that_has_everything_is_used_as_it_is(furnished: Path, house: House, extra: str) -> None:
    assert environment.python(extra) == sys.executable
    assert house.did == [] and not environment.VENV.exists()


def test_a_python_with_another_version_gets_an_environment(furnished: Path, house: House) -> None:
    (furnished / "gradio-6.31.0.dist-info").rename(furnished / "gradio-6.30.0.dist-info")
    (furnished / "gradio-6.30.0.dist-info" / "METADATA").write_text("Name: gradio\nVersion: 6.30.0\n")
    assert house.start() == ALL


def test_a_python_whose_torchaudio_does_not_load_gets_an_environment(
    furnished: Path, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment, "torchaudio_loads", lambda: False)
    assert house.start() == ALL


def test_torchaudio_loads_only_where_its_import_succeeds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchaudio", SimpleNamespace())  # type: ignore[misc]
    assert environment.torchaudio_loads()
    monkeypatch.setitem(sys.modules, "torchaudio", None)
    assert not environment.torchaudio_loads()


def test_the_environments_own_python_goes_on_in_itself(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.start()
    monkeypatch.setattr(sys, "prefix", str(environment.VENV))
    assert environment.python() == sys.executable


def test_a_local_build_counts_as_its_version(tmp_path: Path) -> None:
    put_package(tmp_path, "torch", "2.13.0+cpu")
    put_package(tmp_path, "gradio", "6.31.0")
    wanted = {"torch": "2.13.0", "gradio": "6.31.1", "numpy": "2.4.6"}
    assert environment.missing(wanted, [str(tmp_path)]) == ["gradio", "numpy"]


# --- the project's own files --------------------------------------------------------------------------------------


def test_every_requirement_of_the_project_has_a_tested_version_that_it_allows() -> None:
    packaging = pytest.importorskip("packaging.requirements")
    project = tomllib.loads((environment.ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for extra, wanted in {"": project["dependencies"], **project["optional-dependencies"]}.items():
        tested = environment.pins(extra)
        for requirement in map(packaging.Requirement, wanted):
            assert requirement.specifier.contains(tested[requirement.name]), requirement


def test_no_constraint_asks_for_one_build_of_torch() -> None:
    assert "+" not in environment.pins("")["torch"]


# --- what may be in the way ---------------------------------------------------------------------------------------


def test_too_little_disk_space_is_said_with_numbers_before_anything_is_touched(house: House) -> None:
    house.free_bytes = 1.2e9
    with pytest.raises(SetupError, match=r"about 2\.5 GB are needed and 1\.2 GB are free\. Make room") as error:
        house.start()
    assert "磁盘空间不足" in error.value.zh
    assert house.did == [] and not environment.VENV.exists()


def test_a_cuda_build_needs_more_room(house: House) -> None:
    house.free_bytes, house.cuda = 5e9, 13000
    with pytest.raises(SetupError, match=r"about 9\.0 GB are needed"):
        house.start()


def test_an_update_needs_less_room_than_a_first_set_up(house: House) -> None:
    house.start()
    house.free_bytes = 1.2e9
    assert house.start("test") == ["pip .[test]"]


@pytest.mark.parametrize(
    ("code", "sentence"),
    [(errno.ENOSPC, "not enough disk space"), (errno.EACCES, r"\.venv cannot be written \(Permission denied\); close")],
)
def test_a_disk_that_is_full_or_closed_to_us_is_one_sentence(
    house: House, monkeypatch: pytest.MonkeyPatch, code: int, sentence: str
) -> None:
    def make_venv() -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(environment, "make_venv", make_venv)
    with pytest.raises(SetupError, match=sentence) as error:
        house.start()
    assert error.value.zh


def test_a_python_without_ensurepip_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda module: None)
    with pytest.raises(SetupError, match=r"venv module\. On Debian and Ubuntu install python3-venv") as error:
        environment.make_venv()
    assert "python3-venv" in error.value.zh


def test_a_python_without_venv_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "venv", None)
    with pytest.raises(SetupError, match="lacks a working venv module"):
        environment.make_venv()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("OSError: [Errno 28] No space left on device", "not enough disk space"),
        ("WARNING: Retrying ... Failed to establish a new connection: [Errno 111]", "no package index answers"),
        ("Temporary failure in name resolution", "no package index answers"),
        ("Read timed out. (read timeout=15)", "no package index answers"),
        ("ERROR: ResolutionImpossible", "could not be installed"),
    ],
)
def test_why_pip_failed_is_one_sentence(words: str, sentence: str) -> None:
    error = environment.why_pip_failed(["Collecting gradio", words, "ERROR: No matching distribution found for gradio"])
    assert sentence in error.en and error.zh


def test_a_failure_nobody_foresaw_is_told_in_pips_last_words() -> None:
    error = environment.why_pip_failed([f"line {i}" for i in range(9)])
    assert "line 8" in error.en and "line 3" in error.en and "line 2" not in error.en


# --- pip ----------------------------------------------------------------------------------------------------------


def pretend_pip(monkeypatch: pytest.MonkeyPatch, folder: Path, program: str) -> None:
    """Have `program` run where pip would: it is put into a package named pip that this Python finds first."""
    (folder / "pip").mkdir()
    (folder / "pip" / "__init__.py").touch()
    (folder / "pip" / "__main__.py").write_text(program)
    monkeypatch.setenv("PYTHONPATH", str(folder))
    monkeypatch.setattr(environment, "venv_python", lambda: Path(sys.executable))


def test_pip_is_always_held_to_the_tested_versions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_pip(
        monkeypatch, tmp_path, f"import json, sys; json.dump(sys.argv[1:], open({str(tmp_path / 'said')!r}, 'w'))"
    )
    environment.pip("-e", ".")
    said = json.loads((tmp_path / "said").read_text())
    assert said[0] == "install" and said[-2:] == ["-e", "."]
    assert said[said.index("--constraint") + 1] == str(environment.CONSTRAINTS)


def test_pip_is_heard_while_it_works_and_when_it_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pretend_pip(
        monkeypatch,
        tmp_path,
        "print('Collecting torch\\nDownloading torch-2.13.0-cp311.whl (190.5 MB)'); raise SystemExit('no such luck')",
    )
    with pytest.raises(SetupError, match=r"The last words of pip:\n(.|\n)*no such luck"):
        environment.pip("torch")
    assert capsys.readouterr().out == "    fetching torch, 190.5 MB\n"


@pytest.mark.parametrize(
    ("line", "note"),
    [
        ("Downloading torch-2.13.0-cp311-cp311-manylinux_2_28_x86_64.whl (1.2 GB)", "fetching torch, 1.2 GB"),
        ("Downloading https://index/whl/torch-2.13.0%2Bcpu-cp311.whl (190.5 MB)", "fetching torch, 190.5 MB"),
        ("Downloading scikit_learn-1.9.1-cp311.whl (9.0 MB)", "fetching scikit_learn, 9.0 MB"),
        ("Downloading idna-3.20-py3-none-any.whl (70 kB)", ""),
        ("Downloading h11-0.16.0-py3-none-any.whl (1.1 MB)", ""),
        ("Collecting torch==2.13.0", ""),
        ("Installing collected packages: mpmath, torch", "installing 2 packages"),
        ("Installing collected packages: torch", "installing 1 package"),
    ],
)
def test_only_lines_that_tell_something_are_passed_on(line: str, note: str) -> None:
    assert environment.progress(line) == note


# --- which torch --------------------------------------------------------------------------------------------------


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> dict[str, str | Exception]:
    """PyTorch's own index: what each build's page lists, or how it fails. Builds not named answer 404."""
    pages: dict[str, str | Exception] = {}

    def urlopen(url: str, timeout: float) -> io.BytesIO:
        assert timeout <= 5, "a start must not hang on an index that does not answer"
        build = url.split("/")[-3]
        page = pages.get(build, urllib.error.HTTPError(url, 404, "Not Found", http.client.HTTPMessage(), None))
        if isinstance(page, Exception):
            raise page
        return io.BytesIO(page.encode())

    monkeypatch.setattr(urllib.request, "urlopen", urlopen)
    monkeypatch.setattr(sys, "platform", "linux")
    return pages


LISTED = '<a href="torch-2.13.0%2Bx.whl">torch-2.13.0+x.whl</a>'


@pytest.mark.parametrize(
    ("cuda", "listed_in", "build"),
    [
        (0, ["cpu", "cu130"], "cpu"),
        (13000, ["cpu", "cu130", "cu126"], "cu130"),
        (13000, ["cpu", "cu126"], "cu126"),
        (12040, ["cpu", "cu130", "cu128"], "cu128"),
        (11080, ["cpu", "cu130", "cu128"], "cpu"),
    ],
)
def test_the_build_fits_the_driver(cuda: int, listed_in: list[str], build: str, index: dict[str, Any]) -> None:
    index.update(dict.fromkeys(listed_in, LISTED))
    found = environment.torch_index("2.13.0", cuda)
    assert found is not None and found.endswith(f"/{build}")


@pytest.mark.parametrize(
    "page", [OSError("unreachable"), TimeoutError(), http.client.IncompleteRead(b""), "torch-2.12.0"]
)
def test_the_registry_serves_where_the_index_does_not(page: str | Exception, index: dict[str, Any]) -> None:
    index["cpu"] = page
    assert environment.torch_index("2.13.0", 0) is None


def test_a_mac_takes_the_registrys_only_build(index: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    index["cpu"] = LISTED
    monkeypatch.setattr(sys, "platform", "darwin")
    assert environment.torch_index("2.13.0", 0) is None


@pytest.mark.parametrize(
    ("index", "options", "line"),
    [
        (None, [], "as the package registry has it"),
        ("index/cpu", ["--no-deps", "--index-url", "index/cpu"], "for the CPU, from its own index"),
    ],
)
def test_torch_and_torchaudio_come_first_and_together(
    index: str | None,
    options: list[str],
    line: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(environment, "torch_index", lambda version, cuda: index)
    monkeypatch.setattr(environment, "pip", lambda *arguments: asked.extend(arguments))
    environment.install_torch(0)
    pins = environment.pins("")
    assert asked == [*options, f"torch=={pins['torch']}", f"torchaudio=={pins['torchaudio']}"]
    assert line in capsys.readouterr().out


class Driver:
    """An NVIDIA driver of CUDA 12.8, or one that fails at a call."""

    def __init__(self, init: int = 0, get: int = 0) -> None:
        self.init, self.get = init, get

    def cuInit(self, flags: int) -> int:
        return self.init

    def cuDriverGetVersion(self, version: Any) -> int:
        version._obj.value = 12080
        return self.get


@pytest.mark.parametrize(("driver", "version"), [(Driver(), 12080), (Driver(init=100), 0), (Driver(get=1), 0)])
def test_a_driver_counts_only_if_it_finds_a_card(driver: Driver, version: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: driver)
    assert environment.cuda_version() == version


def test_without_a_driver_there_is_no_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(name: str) -> None:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(ctypes, "CDLL", load)
    assert environment.cuda_version() == 0


# --- torchaudio ---------------------------------------------------------------------------------------------------


@pytest.fixture
def native(house: House) -> Path:
    """torchaudio's native library, as it is installed."""
    library = environment.site_packages() / "torchaudio" / "lib" / "_torchaudio.abi3.so"
    library.parent.mkdir(parents=True)
    library.touch()
    return library


@pytest.fixture
def mend(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Mend torchaudio where importing it ends with these words ("" for a success)."""
    real = environment.mend_torchaudio

    def mend_after(words: str) -> None:
        ended = subprocess.CompletedProcess([], int(bool(words)), "", words)
        monkeypatch.setattr(subprocess, "run", lambda *args, **options: ended)
        real()

    return mend_after


@pytest.fixture
def misfit() -> str:
    return "OSError: Could not load this library: .../torchaudio/lib/_torchaudio.abi3.so"


def test_a_native_library_that_does_not_fit_is_set_aside_and_this_is_said(
    mend: Callable[[str], None], native: Path, misfit: str, capsys: pytest.CaptureFixture[str]
) -> None:
    mend(misfit)
    assert [file.name for file in native.parent.iterdir()] == ["_torchaudio.abi3.so.aside"]
    assert "does not fit this PyTorch and is set aside" in capsys.readouterr().out


@pytest.mark.parametrize("words", ["", "ModuleNotFoundError: No module named 'torch'"])
def test_a_library_that_fits_or_fails_for_another_reason_stays(
    mend: Callable[[str], None], native: Path, words: str
) -> None:
    mend(words)
    assert native.exists()


def test_a_new_library_takes_the_place_of_the_one_set_aside(
    mend: Callable[[str], None], native: Path, misfit: str
) -> None:
    mend(misfit)
    native.write_text("newer")
    mend(misfit)
    assert [file.read_text() for file in native.parent.iterdir()] == ["newer"]
