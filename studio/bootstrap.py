"""Find the Python environment that the studio runs in, and make or repair it.

Standard library only, since it runs before anything is installed; launch.py calls `python()`. A small stamp file in
.venv records a finished set-up. It is removed before anything is installed and written again at the end, so an
environment without its stamp was interrupted and is made afresh.

Packages are installed by uv, which takes a tenth of pip's time; where uv is not on the machine, pip fetches it first.
What uv cannot do, pip does. Both install the tested versions of constraints.txt.
"""

from __future__ import annotations

import ast
import contextlib
import ctypes
import errno
import hashlib
import http.client
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import threading
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from importlib.metadata import Distribution
from pathlib import Path
from types import FrameType

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
CONSTRAINTS = ROOT / "constraints.txt"
CHINESE = ROOT / "assets" / "locales" / "zh.json"
GB = 1e9
SPACE_CPU, SPACE_CUDA, SPACE_MORE = 2.5 * GB, 9 * GB, 0.7 * GB  # measured 1.5 GB, 0.4 GB for tests; CUDA by its wheels
PYTORCH_INDEX = "https://download.pytorch.org/whl"
CUDA_BUILDS = (("cu130", 13000), ("cu128", 12000), ("cu126", 12000))  # best first, with the lowest CUDA each runs on


class SetupError(Exception):
    """Why there can be no environment: one sentence that says what to do. Its Chinese is "error.<key>" in zh.json."""

    def __init__(self, key: str, english: str, /, **values: object) -> None:
        chinese = json.loads(CHINESE.read_text(encoding="utf-8"))
        self.en, self.zh = (text.format(**values) for text in (english, chinese[f"error.{key}"]))
        super().__init__(self.en)


def python(extra: str = "") -> str:
    """Return the Python that has every package of the project and of `extra` ("" or "test"); set one up if need be.

    Raises SetupError for what a person can mend.
    """
    wanted = pins("") | (pins(extra) if extra else {})
    if not in_own_venv() and not missing(wanted, sys.path) and torchaudio_loads():
        return sys.executable
    parts = tuple(dict.fromkeys(("", extra)))
    if not all(is_ready(part) for part in parts):
        with one_at_a_time(), ended_by_signals():
            for part in parts:
                if not is_ready(part):  # asked again: another start may have made it meanwhile
                    set_up(part)
    return sys.executable if in_own_venv() else str(venv_python())


def in_own_venv() -> bool:
    """Whether this very Python is the one in .venv."""
    return Path(sys.prefix).resolve() == VENV.resolve()


def invalidate() -> None:
    """Have the next start make .venv afresh."""
    stamp_file("").unlink(missing_ok=True)


# --- the environment as it is ------------------------------------------------------------------------------------


def pins(extra: str) -> dict[str, str]:
    """The direct requirements of the project, or of an extra, each with its tested version."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = project["optional-dependencies"][extra] if extra else project["dependencies"]
    tested = tested_versions()
    names = [re.split(r"[^\w.-]", requirement)[0] for requirement in wanted]
    return {name: tested[name] for name in names}


def tested_versions() -> dict[str, str]:
    """Every package of constraints.txt with its version."""
    return dict(re.findall(r"^([\w.-]+)==(\S+)", CONSTRAINTS.read_text(encoding="utf-8"), re.MULTILINE))


def missing(wanted: dict[str, str], paths: list[str]) -> list[str]:
    """Which of these packages are not under these paths in their tested version; 2.13.0+cpu counts as 2.13.0."""
    lacking = []
    for name, version in wanted.items():
        found = next(iter(Distribution.discover(name=name, path=paths)), None)
        if found is None or found.version.split("+")[0] != version:
            lacking.append(name)
    return lacking


def torchaudio_loads() -> bool:
    try:
        import torchaudio  # noqa: F401
    except (ImportError, OSError):  # OSError: its native library was built for another torch
        return False
    return True


def venv_python() -> Path:
    return VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def site_packages() -> Path:
    return Path(sysconfig.get_path("purelib", "venv", {"base": str(VENV), "platbase": str(VENV)}))


def stamp_file(part: str) -> Path:
    return VENV / f"ready-{part or 'base'}.json"


def stamp(cuda: int) -> dict[str, str | bool]:
    """What a set-up depends on: the Python, the two files of requirements, and whether there was a driver."""
    files = (ROOT / "pyproject.toml").read_bytes() + CONSTRAINTS.read_bytes()
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return {"python": version, "files": hashlib.sha256(files).hexdigest(), "driver": cuda > 0}


def read_stamp(part: str) -> dict[str, str | bool]:
    try:
        content = json.loads(stamp_file(part).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def can_be_built_upon(found: dict[str, str | bool]) -> bool:
    """Whether the environment of this stamp has the right Python, and no NVIDIA driver has come since."""
    same_python = found.get("python") == stamp(0)["python"] and venv_python().exists()
    return same_python and (found.get("driver") is True or not cuda_version())


def is_ready(part: str) -> bool:
    """Whether .venv holds this part ("" or an extra) as the project asks for it today."""
    found = read_stamp(part)
    up_to_date = found.get("files") == stamp(0)["files"] and can_be_built_upon(found)
    return up_to_date and not missing(pins(part), [str(site_packages())])


def cuda_version() -> int:
    """The newest CUDA the NVIDIA driver runs, in the driver's own counting (12080 is 12.8); 0 without a driver."""
    try:
        driver = ctypes.CDLL("nvcuda.dll" if os.name == "nt" else "libcuda.so.1")
    except OSError:
        return 0
    version = ctypes.c_int()
    answers = driver.cuInit(0) == 0 and driver.cuDriverGetVersion(ctypes.byref(version)) == 0
    return version.value if answers else 0


# --- making it ---------------------------------------------------------------------------------------------------


def set_up(part: str) -> None:
    """Install one part into .venv: "" for the project itself, or one of its extras."""
    started = time.monotonic()
    cuda = cuda_version()
    afresh = not part and not can_be_built_upon(read_stamp(part))
    try:
        require_space((SPACE_CUDA if cuda else SPACE_CPU) if afresh else SPACE_MORE)
        if part:
            say("Adding what the tests need ...")
        elif afresh:
            say("Setting up Fusion Studio; this takes a minute or a few, once.")
            make_venv()
        else:
            say("Bringing the environment up to date ...")
        stamp_file(part).unlink(missing_ok=True)
        if not part:
            install_torch(cuda)
        install("-e", f".[{part}]" if part else ".")
        if not part:
            repair_torchaudio()
            compile_imports()
        if lacking := ", ".join(missing(pins(part), [str(site_packages())])):
            raise SetupError(
                "setup_incomplete",
                "After the set-up {names} is still missing; start again, and report it if it stays so.",
                names=lacking,
            )
        stamp_file(part).write_text(json.dumps(stamp(cuda)), encoding="utf-8")
    except OSError as error:
        raise not_writable(error) from error
    held = sum(path.lstat().st_size for path in VENV.rglob("*"))
    say(f"Set up in {time.monotonic() - started:.0f} s; .venv holds {held / GB:.1f} GB.")


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # standard output belongs to what a command answers


def not_writable(error: OSError) -> SetupError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return no_space()
    return SetupError(
        "setup_not_writable",
        "The folder .venv cannot be written ({reason}); close other copies of the studio, or move this one to a folder "
        "where you may write.",
        reason=error.strerror,
    )


def require_space(needed: float) -> None:
    free = shutil.disk_usage(ROOT).free
    if free < needed:
        raise SetupError(
            "setup_space",
            "There is not enough disk space for the packages: about {needed:.1f} GB are needed and {free:.1f} GB are "
            "free. Make room, or move the studio to another disk.",
            needed=needed / GB,
            free=free / GB,
        )


def no_space() -> SetupError:
    return SetupError(
        "setup_no_space",
        "There is not enough disk space for the packages. Make room, or move the studio to another disk.",
    )


@contextlib.contextmanager
def one_at_a_time() -> Iterator[None]:
    """Hold .venv.lock while a set-up runs, so that a second start waits for the first. It ends with the process."""
    try:
        file = (VENV.parent / f"{VENV.name}.lock").open("a")
    except OSError as error:
        raise not_writable(error) from error
    with file:
        for attempt in range(2**62):
            try:
                lock(file.fileno())
                break
            except OSError:
                if not attempt:
                    say("Another start is setting up the environment; waiting for it ...")
                time.sleep(0.5)
        yield


def lock(file: int) -> None:
    """Lock an open file for this process. Raises OSError where another process holds it."""
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextlib.contextmanager
def ended_by_signals() -> Iterator[None]:
    """Turn a request to end (SIGTERM, a closed terminal) into an exception, so that a running installer ends too."""

    def end(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 (the signature of a handler)
        raise SystemExit(128 + number)

    if threading.current_thread() is not threading.main_thread():  # only there may handlers be set
        yield
        return
    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = [(number, signal.signal(number, end)) for number in numbers]
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)


def make_venv() -> None:
    try:
        import venv

        if not importlib.util.find_spec("ensurepip"):  # Debian keeps it in a package of its own
            raise ModuleNotFoundError("ensurepip")
        venv.EnvBuilder(clear=True, with_pip=True, symlinks=os.name != "nt").create(VENV)
    except (ModuleNotFoundError, subprocess.CalledProcessError) as error:
        raise SetupError(
            "setup_no_venv",
            "This Python lacks a working venv module. On Debian and Ubuntu install python3-venv, elsewhere Python from "
            "python.org; then start again.",
        ) from error


def install_torch(cuda: int) -> None:
    """PyTorch in the build that fits, from its own index, which has them all; else it comes with everything else."""
    index = torch_index(pins("")["torch"], cuda)
    if index is not None:
        say(f"First PyTorch {'with CUDA' if cuda else 'for the CPU'}, from its own index:")
        wanted = [f"{name}=={pins('')[name]}" for name in ("torch", "torchaudio")]
        install("--no-deps", "--index-url", index, *wanted)  # what it needs comes with everything else


def torch_index(version: str, cuda: int) -> str | None:
    """Where PyTorch's own index has this version for this machine; None where the registry must do."""
    if sys.platform == "darwin":  # the registry has the only build there is
        return None
    for build in [name for name, lowest in CUDA_BUILDS if cuda >= lowest] or ["cpu"]:
        try:
            with urllib.request.urlopen(f"{PYTORCH_INDEX}/{build}/torch/", timeout=5) as page:  # noqa: S310 (https above)
                if f"torch-{version}" in page.read().decode("utf-8", "replace"):
                    return f"{PYTORCH_INDEX}/{build}"
        except urllib.error.HTTPError:  # it answers, and has no such build
            continue
        except (OSError, http.client.HTTPException):  # it does not answer
            return None
    return None


# --- installers --------------------------------------------------------------------------------------------------


def install(*arguments: str) -> None:
    """Install into .venv with the tested versions: by uv, and by pip where uv cannot. Raises SetupError."""
    options = ["--constraint", str(CONSTRAINTS), *arguments]
    settings = pip_settings()
    if "--index-url" in arguments:
        settings.pop("index-url", None)
    uv = find_uv()
    if uv is not None:
        command = [uv, "pip", "install", "--python", str(venv_python()), *uv_options(settings), *options]
        failed, said = run_installer(command, uv_variables(settings))
        if not failed:
            return
        if any(sign in "\n".join(said).lower() for sign in SIGNS_OF_NO_SPACE):
            raise no_space()
        say("    uv could not do it; pip goes on.")
    failed, said = run_installer([*pip(), *options])
    if failed:
        raise why_installing_failed(said)


def pip(python: str = "") -> list[str]:
    """The beginning of an installation by pip. python: that of .venv unless given."""
    quiet = ["--no-input", "--disable-pip-version-check", "--progress-bar", "off", "--retries", "2"]
    return [python or str(venv_python()), "-m", "pip", "install", *quiet]


def find_uv() -> str | None:
    """The uv of this machine, or the tested one, fetched by pip into .venv; None where there is none for it."""
    own = venv_python().with_name("uv.exe" if os.name == "nt" else "uv")
    if found := shutil.which("uv") or (str(own) if own.exists() else None):
        return found
    failed, said = run_installer([*pip(), f"uv=={tested_versions()['uv']}"])
    if failed and any(sign in "\n".join(said).lower() for sign in SIGNS_OF_NO_NETWORK):
        raise why_installing_failed(said)  # pip would wait for the same network once more
    return None if failed else str(own)


def pip_settings() -> dict[str, str]:
    """The settings of pip on this machine, from its files and variables, by option. uv reads none of them."""
    listed = subprocess.run(
        [str(venv_python()), "-m", "pip", "config", "list"], capture_output=True, encoding="utf-8", errors="replace"
    )
    found: dict[str, str] = {}
    for rank in ("global", "install", ":env:"):  # the later counts more, as with pip
        for name, value in re.findall(rf"^{rank}\.([\w-]+)=(.*)$", listed.stdout, re.MULTILINE):
            with contextlib.suppress(ValueError, SyntaxError):
                found[name] = str(ast.literal_eval(value))
    return found


def uv_options(settings: dict[str, str]) -> list[str]:
    """pip's settings as options of uv; several indices count alike, as they do for pip."""
    names = {
        "find-links": "--find-links",
        "index-url": "--index-url",
        "extra-index-url": "--extra-index-url",
        "constraint": "--constraint",
        "trusted-host": "--allow-insecure-host",
    }
    given = [(option, value) for name, option in names.items() for value in settings.get(name, "").split()]
    options = ["--no-progress", "--index-strategy", "unsafe-best-match"]
    if settings.get("no-index", "").lower() in ("1", "true", "yes", "on"):
        options.append("--no-index")
    return [*options, *(word for pair in given for word in pair)]


def uv_variables(settings: dict[str, str]) -> dict[str, str]:
    """The settings of pip that uv takes from variables."""
    names = {"cert": "SSL_CERT_FILE", "proxy": "ALL_PROXY", "timeout": "UV_HTTP_TIMEOUT"}
    return {variable: settings[name] for name, variable in names.items() if name in settings}


def run_installer(
    command: list[str], variables: dict[str, str] | None = None, *, hear: Callable[[str], None] | None = None
) -> tuple[bool, list[str]]:
    """Run pip or uv, saying what it fetches. Returns whether it failed, and its lines. Its process ends with ours.

    hear: called with each line; what it raises ends the process.
    """
    said: list[str] = []
    environment = {**os.environ, **(variables or {})}
    try:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8",
            errors="replace",
        )  # fmt: skip
    except OSError as error:
        return True, [str(error)]
    with process:
        try:
            for line in process.stdout or ():
                said.append(line.strip())
                if hear is not None:
                    hear(line.strip())
                if note := progress(line.strip()):
                    say(f"    {note}")
        except BaseException:  # Ctrl-C or a signal: nothing may go on writing into .venv
            process.terminate()
            raise
    return process.returncode != 0, said


def progress(line: str) -> str:
    """A note on progress for a line of pip's or uv's output; "" for a line without any."""
    if fetched := re.match(r"Downloading (?:\S*/)?([\w.]+?)(?:-\d\S*)? \(([\d.]+) ?([MG])i?B\)", line):
        name, size, unit = fetched.groups()
        return f"fetching {name}, {size} {unit}B" if unit == "G" or float(size) >= 5 else ""
    if line.startswith("Installing collected packages:"):
        n_packages = line.count(",") + 1
        return f"installing {n_packages} package{'s' if n_packages > 1 else ''}"
    if installed := re.match(r"Installed (\d+) packages?", line):
        n_packages = int(installed[1])
        return f"installed {n_packages} package{'s' if n_packages > 1 else ''}"
    return ""


SIGNS_OF_NO_SPACE = ("no space left", "errno 28", "os error 28", "not enough space", "disk quota exceeded")
SIGNS_OF_A_WRONG_CLOCK = ("certificate is not yet valid", "certificate has expired", "notvalidyet", "before 1980")
SIGNS_OF_NO_NETWORK = (
    "new connection", "name resolution", "getaddrinfo", "timed out", "unreachable", "dns error", "connection refused",
)  # fmt: skip


def why_installing_failed(said: list[str]) -> SetupError:
    text = "\n".join(said).lower()
    if any(sign in text for sign in SIGNS_OF_NO_SPACE):
        return no_space()
    if any(sign in text for sign in SIGNS_OF_A_WRONG_CLOCK):
        return SetupError(
            "setup_clock",
            "The package index was not trusted, since this machine's clock says {date}. Set the clock right and start "
            "again.",
            date=time.strftime("%Y-%m-%d"),
        )
    if any(sign in text for sign in SIGNS_OF_NO_NETWORK):
        return SetupError(
            "setup_no_network",
            "The packages cannot be fetched, because no package index answers. Connect to the network and start again.",
        )
    say("\n".join(f"    {line}" for line in said[-6:]))
    return SetupError("setup_failed", "The packages could not be installed; pip's last words are above.")


def repair_torchaudio() -> None:
    """Set torchaudio's native library aside where it was built for another torch.

    Registries for Linux may pair a CPU build of torch with a CUDA build of torchaudio; then importing torchaudio fails,
    and transformers with it. All that is used of torchaudio here is written in Python and works without the library.
    """
    probe = subprocess.run([str(venv_python()), "-c", "import torchaudio"], capture_output=True, text=True)
    if probe.returncode == 0 or "_torchaudio" not in probe.stderr:
        return
    for library in (site_packages() / "torchaudio" / "lib").glob("_torchaudio.*"):
        if library.suffix != ".aside":
            library.replace(f"{library}.aside")
    say("    torchaudio's native library does not fit this PyTorch and is set aside; the rest of torchaudio works")


def compile_imports() -> None:
    """Where Python may keep no bytecode, keep that of the packages the page imports: it saves each start seconds.

    uv leaves compiling to the first import, which PYTHONDONTWRITEBYTECODE would make every import.
    """
    if os.environ.get("PYTHONDONTWRITEBYTECODE"):
        allowed = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        program = "import torch, torchaudio, transformers, gradio, av, openai"
        subprocess.run([str(venv_python()), "-c", program], env=allowed, capture_output=True, check=False)
