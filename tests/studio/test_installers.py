"""Installing packages: uv and pip are held to tested versions, told of each other, and torch fits the machine.

Nothing is installed and no network is asked: installers, the index and the driver only pretend.
"""

from __future__ import annotations

import ctypes
import http.client
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from studio import bootstrap
from studio.bootstrap import SetupError

ROOT = Path(bootstrap.__file__).resolve().parents[1]

# --- uv and pip -----------------------------------------------------------------------------------------------------


def pretend_installer(monkeypatch: pytest.MonkeyPatch, folder: Path, name: str, program: str) -> None:
    """Have `program` run where pip or uv would. pip: a package of that name that this Python finds first."""
    package = folder / name
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(program)
    monkeypatch.setenv("PYTHONPATH", str(folder))
    monkeypatch.setattr(bootstrap, "venv_python", lambda: Path(sys.executable))


@pytest.fixture
def no_uv(monkeypatch) -> None:
    monkeypatch.setattr(bootstrap, "find_uv", lambda: None)


def pretend_uv(monkeypatch: pytest.MonkeyPatch, folder: Path, program: str) -> None:
    """Have `program` run where uv would."""
    uv = folder / "uv"
    uv.write_text(f"#!{sys.executable}\n{program}\n")
    uv.chmod(0o755)
    monkeypatch.setattr(bootstrap, "find_uv", lambda: str(uv))


def saying(file: Path) -> str:
    """A program that writes its arguments into a file."""
    return f"import json, sys; json.dump(sys.argv[1:], open({str(file)!r}, 'w'))"


def read(file: Path) -> list[str]:
    words: list[str] = json.loads(file.read_text())
    return words


@pytest.mark.usefixtures("no_uv")
def test_pip_is_always_held_to_the_tested_versions(tmp_path, monkeypatch):
    pretend_installer(monkeypatch, tmp_path, "pip", saying(tmp_path / "said"))
    bootstrap.install("-e", ".")
    said = read(tmp_path / "said")
    assert said[0] == "install" and said[-2:] == ["-e", "."]
    assert said[said.index("--constraint") + 1] == str(bootstrap.CONSTRAINTS)


@pytest.mark.skipif(os.name == "nt", reason="the stand-in for uv is a script with a first line")
def test_uv_is_held_to_the_tested_versions_and_told_what_pip_is_told(tmp_path, monkeypatch):
    config = (
        "global.find-links='/wheels'\\nglobal.extra-index-url='https://a/simple https://b/simple'\\n"
        ":env:.find-links='/mine'"
    )
    pretend_installer(monkeypatch, tmp_path, "pip", f'print("{config}")')
    pretend_uv(monkeypatch, tmp_path, saying(tmp_path / "said"))
    bootstrap.install("-e", ".")
    said = read(tmp_path / "said")
    assert said[:2] == ["pip", "install"] and said[-2:] == ["-e", "."]
    assert said[said.index("--python") + 1] == sys.executable
    assert said[said.index("--constraint") + 1] == str(bootstrap.CONSTRAINTS)
    assert said[said.index("--find-links") + 1] == "/mine", "a variable counts more than a file, as with pip"
    assert [said[n + 1] for n, word in enumerate(said) if word == "--extra-index-url"] == [
        "https://a/simple",
        "https://b/simple",
    ]


def test_the_index_asked_for_takes_the_place_of_the_configured_one(tmp_path, monkeypatch):
    pretend_installer(monkeypatch, tmp_path, "pip", "print(\"global.index-url='https://mirror/simple'\")")
    pretend_uv(monkeypatch, tmp_path, saying(tmp_path / "said"))
    bootstrap.install("--index-url", "https://torch/cpu", "torch")
    said = read(tmp_path / "said")
    assert [said[n + 1] for n, word in enumerate(said) if word == "--index-url"] == ["https://torch/cpu"]


def test_what_uv_cannot_do_pip_does(tmp_path, monkeypatch, capsys):
    pretend_installer(monkeypatch, tmp_path, "pip", saying(tmp_path / "said"))
    pretend_uv(monkeypatch, tmp_path, "raise SystemExit('this uv is broken')")
    bootstrap.install("-e", ".")
    assert read(tmp_path / "said")[0] == "install"
    assert "uv could not do it; pip goes on" in capsys.readouterr().err


def test_a_full_disk_is_said_at_once_and_not_filled_again(tmp_path, monkeypatch):
    pretend_installer(monkeypatch, tmp_path, "pip", saying(tmp_path / "said"))
    pretend_uv(monkeypatch, tmp_path, "raise SystemExit('error: No space left on device (os error 28)')")
    with pytest.raises(SetupError, match="not enough disk space"):
        bootstrap.install("-e", ".")
    assert "install" not in read(tmp_path / "said")


def test_uv_is_fetched_in_its_tested_version_where_it_is_not_there(tmp_path, monkeypatch):
    pretend_installer(monkeypatch, tmp_path, "pip", saying(tmp_path / "said"))
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(bootstrap, "venv_python", lambda: tmp_path / "bin" / "python")
    monkeypatch.setattr(bootstrap, "pip", lambda: [sys.executable, "-m", "pip", "install"])
    assert bootstrap.find_uv() == str(tmp_path / "bin" / "uv")
    assert read(tmp_path / "said") == ["install", f"uv=={bootstrap.tested_versions()['uv']}"]


def test_without_a_network_the_sentence_comes_before_a_second_try(tmp_path, monkeypatch):
    pretend_installer(monkeypatch, tmp_path, "pip", "raise SystemExit('Temporary failure in name resolution')")
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(bootstrap, "venv_python", lambda: tmp_path / "bin" / "python")
    monkeypatch.setattr(bootstrap, "pip", lambda: [sys.executable, "-m", "pip", "install"])
    with pytest.raises(SetupError, match="no package index answers"):
        bootstrap.find_uv()


@pytest.mark.usefixtures("no_uv")
def test_pip_is_heard_while_it_works_and_when_it_fails(tmp_path, monkeypatch, capsys):
    words = "Collecting torch\\nDownloading torch-2.13.0-cp311.whl (190.5 MB)"
    pretend_installer(monkeypatch, tmp_path, "pip", f"print('{words}'); raise SystemExit('no such luck')")
    with pytest.raises(SetupError, match="could not be installed; pip's last words are above"):
        bootstrap.install("torch")
    said = capsys.readouterr().err
    assert said.startswith("    fetching torch, 190.5 MB\n") and said.endswith("    no such luck\n")


@pytest.mark.skipif(os.name == "nt", reason="processes are asked to end by signals")
def test_an_installer_ends_with_the_program_that_started_it():
    sleeper = "import os, time; print('pid', os.getpid(), flush=True); time.sleep(60)"
    program = f"""
import sys; sys.path.insert(0, {str(ROOT)!r})
from studio import bootstrap
bootstrap.progress = lambda line: line
with bootstrap.ended_by_signals():
    bootstrap.run_installer([sys.executable, "-c", {sleeper!r}])
"""
    with subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE, text=True) as start:
        assert start.stderr is not None
        installer = psutil.Process(int(start.stderr.readline().split()[-1]))
        start.terminate()
        assert start.wait(60) == 128 + signal.SIGTERM
        psutil.wait_procs([installer], timeout=60)
        assert not installer.is_running()


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
        ("Downloading torch (717.0MiB)", "fetching torch, 717.0 MB"),
        ("Downloading tokenizers (3.2MiB)", ""),
        ("Installed 78 packages in 1.2s", "installed 78 packages"),
    ],
)
def test_only_lines_that_tell_something_are_passed_on(line, note):
    assert bootstrap.progress(line) == note


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("OSError: [Errno 28] No space left on device", "not enough disk space"),
        ("WARNING: Retrying ... Failed to establish a new connection: [Errno 111]", "no package index answers"),
        ("Temporary failure in name resolution", "no package index answers"),
        ("Read timed out. (read timeout=15)", "no package index answers"),
        ("error: dns error: failed to lookup address information", "no package index answers"),
        ("SSLError(SSLCertVerificationError: certificate is not yet valid", r"this machine's clock says"),
        ("ValueError: ZIP does not support timestamps before 1980", r"this machine's clock says"),
        ("ERROR: ResolutionImpossible", "could not be installed"),
    ],
)
def test_why_installing_failed_is_one_sentence(words, sentence):
    error = bootstrap.why_installing_failed(
        ["Collecting gradio", words, "ERROR: No matching distribution found for gradio"]
    )
    assert sentence in error.en and error.zh


def test_a_failure_nobody_foresaw_is_told_in_pips_last_words(capsys):
    bootstrap.why_installing_failed([f"line {i}" for i in range(9)])
    assert capsys.readouterr().err.split("\n") == [*(f"    line {i}" for i in range(3, 9)), ""]


# --- which torch --------------------------------------------------------------------------------------------------


@pytest.fixture
def index(monkeypatch) -> dict[str, str | Exception]:
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
def test_the_build_fits_the_driver(cuda, listed_in, build, index):
    index.update(dict.fromkeys(listed_in, LISTED))
    found = bootstrap.torch_index("2.13.0", cuda)
    assert found is not None and found.endswith(f"/{build}")


@pytest.mark.parametrize(
    "page", [OSError("unreachable"), TimeoutError(), http.client.IncompleteRead(b""), "torch-2.12.0"]
)
def test_the_registry_serves_where_the_index_does_not(page, index):
    index["cpu"] = page
    assert bootstrap.torch_index("2.13.0", 0) is None


def test_a_mac_takes_the_registrys_only_build(index, monkeypatch):
    index["cpu"] = LISTED
    monkeypatch.setattr(sys, "platform", "darwin")
    assert bootstrap.torch_index("2.13.0", 0) is None


@pytest.mark.parametrize("index", [None, "index/cpu"])
def test_torch_comes_from_its_own_index_first_and_else_with_everything(index, monkeypatch, capsys):
    asked: list[str] = []
    monkeypatch.setattr(bootstrap, "torch_index", lambda version, cuda: index)
    monkeypatch.setattr(bootstrap, "install", lambda *arguments: asked.extend(arguments))
    bootstrap.install_torch(0)
    pins = bootstrap.pins("")
    both = [f"torch=={pins['torch']}", f"torchaudio=={pins['torchaudio']}"]
    assert asked == ([] if index is None else ["--no-deps", "--index-url", index, *both])
    assert ("for the CPU, from its own index" in capsys.readouterr().err) == (index is not None)


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
def test_a_driver_counts_only_if_it_finds_a_card(driver, version, monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda name: driver)
    assert bootstrap.cuda_version() == version


def test_without_a_driver_there_is_no_cuda(monkeypatch):
    def load(name: str) -> None:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(ctypes, "CDLL", load)
    assert bootstrap.cuda_version() == 0


# --- torchaudio ---------------------------------------------------------------------------------------------------


@pytest.fixture
def native(tmp_path, monkeypatch) -> Path:
    """torchaudio's native library, as it is installed."""
    monkeypatch.setattr(bootstrap, "VENV", tmp_path / ".venv")
    library = bootstrap.site_packages() / "torchaudio" / "lib" / "_torchaudio.abi3.so"
    library.parent.mkdir(parents=True)
    library.touch()
    return library


@pytest.fixture
def repair(monkeypatch) -> Callable[[str], None]:
    """Repair torchaudio where importing it ends with these words ("" for a success)."""

    def repair_after(words: str) -> None:
        ended = subprocess.CompletedProcess([], int(bool(words)), "", words)
        monkeypatch.setattr(subprocess, "run", lambda *args, **options: ended)
        bootstrap.repair_torchaudio()

    return repair_after


@pytest.fixture
def misfit() -> str:
    return "OSError: Could not load this library: .../torchaudio/lib/_torchaudio.abi3.so"


def test_a_native_library_that_does_not_fit_is_set_aside_and_this_is_said(repair, native, misfit, capsys):
    repair(misfit)
    assert [file.name for file in native.parent.iterdir()] == ["_torchaudio.abi3.so.aside"]
    assert "does not fit this PyTorch and is set aside" in capsys.readouterr().err


@pytest.mark.parametrize("words", ["", "ModuleNotFoundError: No module named 'torch'"])
def test_a_library_that_fits_or_fails_for_another_reason_stays(repair, native, words):
    repair(words)
    assert native.exists()


def test_a_new_library_takes_the_place_of_the_one_set_aside(repair, native, misfit):
    repair(misfit)
    native.write_text("newer")
    repair(misfit)
    assert [file.read_text() for file in native.parent.iterdir()] == ["newer"]
