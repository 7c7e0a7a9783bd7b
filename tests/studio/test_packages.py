"""The packages of the environment: pip is heard and held to tested versions, and torch fits the machine.

Nothing is installed and no network is asked: pip, the index and the driver only pretend.
"""

from __future__ import annotations

import ctypes
import http.client
import io
import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from studio import environment
from studio.environment import SetupError

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
def native(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """torchaudio's native collections, as it is installed."""
    monkeypatch.setattr(environment, "VENV", tmp_path / ".venv")
    collections = environment.site_packages() / "torchaudio" / "lib" / "_torchaudio.abi3.so"
    collections.parent.mkdir(parents=True)
    collections.touch()
    return collections


@pytest.fixture
def mend(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Mend torchaudio where importing it ends with these words ("" for a success)."""

    def mend_after(words: str) -> None:
        ended = subprocess.CompletedProcess([], int(bool(words)), "", words)
        monkeypatch.setattr(subprocess, "run", lambda *args, **options: ended)
        environment.mend_torchaudio()

    return mend_after


@pytest.fixture
def misfit() -> str:
    return "OSError: Could not load this collections: .../torchaudio/lib/_torchaudio.abi3.so"


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
