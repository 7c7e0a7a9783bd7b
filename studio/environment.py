"""The Python environment the studio runs in: is there one, is it whole, and if not, make it.

Standard library only; launch.py calls `python()`. A set-up is known to be whole by its stamp, a small file in .venv
that is taken away before anything is installed and written again when all is done: an environment without its stamp
was interrupted, and is made anew.
"""

from __future__ import annotations

import ctypes
import errno
import hashlib
import http.client
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import time
import tomllib
import urllib.error
import urllib.request
from importlib.metadata import Distribution
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
CONSTRAINTS = ROOT / "constraints.txt"
GB = 1e9
SPACE_CPU, SPACE_CUDA, SPACE_MORE = 2.5 * GB, 9 * GB, 0.7 * GB  # measured 1.5 GB, 0.4 GB for tests; CUDA by its wheels
PYTORCH_INDEX = "https://download.pytorch.org/whl"
CUDA_BUILDS = (("cu130", 13000), ("cu128", 12000), ("cu126", 12000))  # best first, with the lowest CUDA each runs on


class SetupError(Exception):
    """Why there can be no environment: one sentence that says what to do, in English and in Chinese."""

    def __init__(self, en: str, zh: str) -> None:
        super().__init__(en)
        self.en = en
        self.zh = zh


def python(extra: str = "") -> str:
    """The Python that has every package of the project and of `extra` ("" or "test"), set up where none has.

    Raises SetupError for what a person can mend.
    """
    wanted = pins("") | (pins(extra) if extra else {})
    if not is_ours() and not missing(wanted, sys.path) and torchaudio_loads():
        return sys.executable
    for part in dict.fromkeys(("", extra)):
        if not stands(part):
            set_up(part)
    return sys.executable if is_ours() else str(venv_python())


def is_ours() -> bool:
    """Whether this very Python is the one in .venv."""
    return Path(sys.prefix).resolve() == VENV.resolve()


def condemn() -> None:
    """Have the next start make .venv anew."""
    stamp_file("").unlink(missing_ok=True)


# --- what is there -----------------------------------------------------------------------------------------------


def pins(extra: str) -> dict[str, str]:
    """The direct requirements of the project, or of an extra, each with its tested version."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = project["optional-dependencies"][extra] if extra else project["dependencies"]
    tested = dict(re.findall(r"^([\w.-]+)==(\S+)", CONSTRAINTS.read_text(encoding="utf-8"), re.MULTILINE))
    names = [re.split(r"[^\w.-]", requirement)[0] for requirement in wanted]
    return {name: tested[name] for name in names}


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
    return VENV / f"stands-{part or 'base'}.json"


def stamp(cuda: int) -> dict[str, str | bool]:
    """What a set-up depends on: the Python, the two files that say what to install, and whether a driver was there."""
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


def stands(part: str) -> bool:
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
            say("Setting up Fusion Studio; this takes a few minutes, once.")
            make_venv()
        else:
            say("Bringing the environment up to date ...")
        stamp_file(part).unlink(missing_ok=True)
        if not part:
            install_torch(cuda)
            say("Then everything else:")
        pip("-e", f".[{part}]" if part else ".")
        if not part:
            mend_torchaudio()
        if lacking := ", ".join(missing(pins(part), [str(site_packages())])):
            raise SetupError(
                f"After the set-up {lacking} is still missing; start again, and report it if it stays so.",
                f"安装后仍缺少 {lacking}；请重新启动，若仍如此请反馈。",
            )
        stamp_file(part).write_text(json.dumps(stamp(cuda)), encoding="utf-8")
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise no_space() from error
        raise SetupError(
            f"The folder .venv cannot be written ({error.strerror}); close other copies of the studio, or move "
            "this one to a folder of your own.",
            "无法写入 .venv 文件夹；请关闭其他正在运行的副本，或移到自己的文件夹。",
        ) from error
    held = sum(path.lstat().st_size for path in VENV.rglob("*"))
    say(f"Set up in {time.monotonic() - started:.0f} s; .venv holds {held / GB:.1f} GB.")


def say(text: str) -> None:
    print(text, flush=True)


def require_space(needed: float) -> None:
    free = shutil.disk_usage(ROOT).free
    if free < needed:
        raise no_space(f": about {needed / GB:.1f} GB are needed and {free / GB:.1f} GB are free")


def no_space(detail: str = "") -> SetupError:
    return SetupError(
        f"There is not enough disk space for the packages{detail}. Make room, or move the studio to another disk.",
        "磁盘空间不足，无法安装所需的包；请腾出空间，或移到其他磁盘。",
    )


def make_venv() -> None:
    try:
        import venv

        if not importlib.util.find_spec("ensurepip"):  # Debian keeps it in a package of its own
            raise ModuleNotFoundError("ensurepip")
        venv.EnvBuilder(clear=True, with_pip=True, symlinks=os.name != "nt").create(VENV)
    except (ModuleNotFoundError, subprocess.CalledProcessError) as error:
        raise SetupError(
            "This Python lacks a working venv module. On Debian and Ubuntu install python3-venv, elsewhere Python from "
            "python.org; then start again.",
            "这个 Python 缺少可用的 venv 模块；Debian 和 Ubuntu 请安装 python3-venv，其他系统请从 python.org 安装。",
        ) from error


def install_torch(cuda: int) -> None:
    """PyTorch in the build that fits: from its own index, which has them all, else what the registry offers."""
    wanted = [f"{name}=={pins('')[name]}" for name in ("torch", "torchaudio")]
    index = torch_index(pins("")["torch"], cuda)
    if index is None:
        say("First PyTorch, as the package registry has it (PyTorch's own index is out of reach or has no such build):")
        pip(*wanted)
    else:
        say(f"First PyTorch {'with CUDA' if cuda else 'for the CPU'}, from its own index:")
        pip("--no-deps", "--index-url", index, *wanted)  # what it needs comes with everything else


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


def pip(*arguments: str) -> None:
    """pip install in .venv with the tested versions; says what it fetches, and plainly why it failed."""
    options = ["--no-input", "--disable-pip-version-check", "--progress-bar", "off", "--retries", "2"]
    command = [str(venv_python()), "-m", "pip", "install", *options, "--constraint", str(CONSTRAINTS), *arguments]
    said: list[str] = []
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", errors="replace"
    ) as process:
        for line in process.stdout or ():
            said.append(line.strip())
            if note := progress(line.strip()):
                say(f"    {note}")
    if process.returncode:
        raise why_pip_failed(said)


def progress(line: str) -> str:
    """What a line of pip's tells somebody who waits; "" for the many that tell nothing."""
    if fetched := re.match(r"Downloading (?:\S*/)?([\w.]+)-\d\S* \(([\d.]+) ([MG]B)\)", line):
        name, size, unit = fetched.groups()
        return f"fetching {name}, {size} {unit}" if unit == "GB" or float(size) >= 5 else ""
    if line.startswith("Installing collected packages:"):
        n_packages = line.count(",") + 1
        return f"installing {n_packages} package{'s' if n_packages > 1 else ''}"
    return ""


def why_pip_failed(said: list[str]) -> SetupError:
    text = "\n".join(said).lower()
    if any(sign in text for sign in ("no space left", "errno 28", "not enough space")):
        return no_space()
    if any(sign in text for sign in ("new connection", "name resolution", "getaddrinfo", "timed out", "unreachable")):
        return SetupError(
            "The packages cannot be fetched, because no package index answers. Connect to the network and start again.",
            "网络不可用，无法下载所需的包；请联网后重新启动。",
        )
    last = "\n".join(f"    {line}" for line in said[-6:])
    return SetupError(
        f"The packages could not be installed. The last words of pip:\n{last}", "无法安装所需的包，原因见上。"
    )


def mend_torchaudio() -> None:
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
